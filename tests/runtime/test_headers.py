"""A handler's headers are what the call came with, whatever the handler does to them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from holdfast import Context, VirtualObject, handler
from holdfast.objects.identity import Target
from holdfast.runtime.requests import CallRequest
from holdfast.runtime.testing import settle

from .controlled import Outer, work
from .worlds import World


class Careless(VirtualObject):
    @handler
    async def changes_them(self, ctx: Context) -> dict[str, str]:
        headers = cast("dict[str, Any]", ctx.headers)
        seen = dict(headers)
        headers.pop("x-trace")
        headers["odd"] = object()
        await ctx.run("work", work, "work")
        return {**seen, **ctx.headers}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Outer.clear()
    world = World([Careless])
    await world.start()
    yield world
    world.close()


@pytest.mark.parametrize("crash", [False, True])
async def test_a_replay_sees_the_headers_that_the_call_came_with(
    world: World, *, crash: bool
) -> None:
    request = CallRequest(
        target=Target("Careless", "c", "changes_them"), argument=b"", headers={"x-trace": "1"}
    )
    sent = await world.runtime.submit(request, wait=False)
    await settle()
    if crash:
        await world.restart()
    Outer.gate("work").set()
    await settle()

    assert world.runtime.health == "ok"
    assert await world.runtime.invocation(sent.invocation_id).output() == {"x-trace": "1"}
