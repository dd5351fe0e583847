"""SQL through the operators' door."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast import Context, VirtualObject, handler, state
from holdfast.ingress.admin.door import AdminDoor
from holdfast.ingress.messages import Head, Request
from holdfast.ingress.sql.queries import QUERIES_MAX
from tests.ingress.admin.operator import ABOUT, Answered, operate
from tests.runtime.worlds import World


class Counter(VirtualObject):
    counter: int = state(0)
    label: str = state("")

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


async def test_too_many_queries_at_a_time_are_asked_to_come_again(world: World) -> None:
    door = AdminDoor(world.runtime, about=ABOUT)
    request = Request(
        Head("POST", "/query", {"host": "localhost", "content-type": "application/json"}),
        b'{"query": "SELECT 1 AS a"}',
    )
    answers = await asyncio.gather(*(door.respond(request) for _ in range(QUERIES_MAX + 1)))
    statuses = [answer.status for answer in answers]
    assert statuses == [200] * QUERIES_MAX + [429]
    assert answers[-1].headers["retry-after"] == "1"
    assert (await door.respond(request)).status == 200


async def test_a_long_query_is_refused_and_a_long_state_is_not(world: World) -> None:
    long = "x" * 1_100_000
    assert (await ask(world, {"query": long})).status == 413
    refused = await ask(world, {"query": "SELECT 1"}, **{"content-length": "1100000"})
    assert refused.status == 413
    body = {"object_key": "sam", "state": {"label": long}}
    answered = await operate(world.runtime, "PATCH", "/services/Counter/state", body)
    assert answered.status == 202
