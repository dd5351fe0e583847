"""SQL through the operators' door."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast import Context, VirtualObject, handler, state
from tests.ingress.admin.operator import Answered, operate
from tests.runtime.worlds import World


class Counter(VirtualObject):
    counter: int = state(0)

    @handler
    async def add(self, ctx: Context, amount: int) -> int:
        self.counter += amount
        return self.counter


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World([Counter])
    await world.start()
    yield world
    world.close()


async def ask(world: World, body: Any, **headers: str) -> Answered:
    return await operate(world.runtime, "POST", "/query", body, headers=headers)


async def test_rows_come_as_json_whatever_is_accepted(world: World) -> None:
    await world.runtime.object(Counter, "sam").add(42)
    text = "SELECT service_key, key, value_utf8 FROM state WHERE service_key = 'sam'"
    for accept in ("application/json", "*/*"):
        found = await ask(world, {"query": text}, accept=accept)
        assert (found.status, found.body) == (
            200,
            {"rows": [{"service_key": "sam", "key": "counter", "value_utf8": "42"}]},
        )


@pytest.mark.parametrize(
    "body",
    [
        {"query": "SELEC"},
        {"query": "SELECT * FROM nope"},
        {"query": "DELETE FROM state"},
        {"query": ""},
        {"sql": "SELECT 1"},
        {},
        b"SELECT 1",
    ],
)
async def test_what_is_no_query_is_refused(world: World, body: Any) -> None:
    refused = await ask(world, body)
    assert refused.status == 400
    assert refused.message
