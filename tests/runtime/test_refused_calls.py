"""A call that was refused and caught is refused again on every replay, whatever is served then."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import pytest

from holdfast import (
    Context,
    InvalidArgumentError,
    TerminalError,
    UnknownTargetError,
    VirtualObject,
    handler,
    state,
)
from holdfast.runtime.testing import settle
from holdfast.runtime.verify import verify_rows

from .worlds import World

REFUSALS = (UnknownTargetError, InvalidArgumentError)


class Router(VirtualObject):
    """Calls whomever a model has named."""

    seen: ClassVar[list[str]] = []

    asked: int = state(0)

    @handler
    async def calls(self, ctx: Context, name: str, argument: Any) -> str:
        said = "called"
        self.asked += 1
        try:
            said = await ctx.call(name, "a", "answer", argument)
        except REFUSALS as error:
            said = f"{type(error).__name__}: {error.message}"
        Router.seen.append(said)
        await ctx.sleep(10)
        return said

    @handler
    async def sends(self, ctx: Context, name: str, argument: Any) -> str:
        said = "sent"
        try:
            await ctx.send(name, "a", "answer", argument, delay=5)
        except REFUSALS as error:
            said = f"{type(error).__name__}: {error.message}"
        Router.seen.append(said)
        await ctx.sleep(10)
        return said

    @handler
    async def in_a_group(self, ctx: Context, name: str) -> list[str]:
        """Beside others, and twice, with something given up in between."""
        said = [*await asyncio.gather(self._fails(ctx, name), ctx.run("beside", str, "beside"))]
        for _ in range(2):
            ctx.run("given up", str).cancel()
            said.append(await self._fails(ctx, name))
        return said

    async def _fails(self, ctx: Context, name: str) -> str:
        try:
            await ctx.call(name, "a", "answer", 1)
        except REFUSALS as error:
            return type(error).__name__
        return "called"

    @handler
    async def ends(self, ctx: Context, name: str) -> str:
        said = await self._fails(ctx, name)
        raise TerminalError(said)

    @handler
    async def lets_it_pass(self, ctx: Context, name: str) -> Any:
        return await ctx.call(name, "a", "answer", 1)

    @handler
    async def gives_up(self, ctx: Context, name: str) -> str:
        await self._fails(ctx, name)
        message = "the world is down"
        raise ConnectionError(message)


class Agent(VirtualObject):
    @handler
    async def answer(self, ctx: Context, number: int) -> str:
        return f"answer {number}"


class Strings(VirtualObject, name="Agent"):
    @handler
    async def answer(self, ctx: Context, text: str) -> str:
        return f"answer {text}"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Router.seen = []
    world = World([Router])
    await world.start()
    yield world
    world.close()


def verify(world: World) -> None:
    assert list(verify_rows(world.store)) == []


@pytest.mark.parametrize("how", ["calls", "sends"])
@pytest.mark.parametrize(
    ("before", "argument", "said"),
    [
        ([], 1, "UnknownTargetError: there is no 'Agent'; there is Router"),
        ([Agent], "x", "InvalidArgumentError: Agent/answer"),
    ],
)
async def test_a_refusal_that_was_caught_is_the_same_on_replay_although_it_would_be_taken_now(
    world: World, how: str, before: list[type], argument: Any, said: str
) -> None:
    world.classes = [Router, *before]
    runtime = await world.restart()
    id_ = await runtime.send_by_name("Router", "r", how, {"name": "Agent", "argument": argument})
    await settle()
    world.classes = [Router, Strings if before else Agent]
    for _ in range(2):
        runtime = await world.restart()
    verify(world)
    await world.clock.advance(20)

    result = await runtime.invocation(id_).output()
    assert result.startswith(said)
    assert Router.seen == [result] * len(Router.seen)
    assert len(Router.seen) > 1, "it was replayed"
    asked = (await runtime.invocation(id_).journal()).entries
    kinds = [(each.kind, each.invocation_id) for each in asked[1:3]]
    assert kinds == [(how.removesuffix("s"), None), ("result", None)]
    verify(world)


async def test_beside_others_and_in_a_row_each_has_its_place(world: World) -> None:
    id_ = await world.runtime.send_by_name("Router", "r", "in_a_group", "Agent")
    await settle()
    world.classes = [Router, Agent]
    runtime = await world.restart()
    await settle()
    assert await runtime.invocation(id_).output() == [
        *("UnknownTargetError", "beside", "UnknownTargetError", "UnknownTargetError")
    ]
    again = await runtime.invocation(id_).restart(from_entry=1)
    await settle()
    assert await runtime.invocation(again).output() == ["called", "beside", "called", "called"]
    verify(world)


async def test_what_is_not_caught_is_tried_again_and_finds_the_class(world: World) -> None:
    for how in ("lets_it_pass", "gives_up"):
        id_ = await world.runtime.send_by_name("Router", how, how, "Agent")
        await world.clock.advance(2)
        info = await world.runtime.invocation(id_).describe()
        assert (info.status, info.entries) == ("backing-off", 1), "nothing of it is in the journal"
    world.classes = [Router, Agent]
    runtime = await world.restart()
    await world.clock.advance(120)
    id_ = await runtime.send_by_name("Router", "lets_it_pass", "lets_it_pass", "Agent")
    await settle()
    assert await runtime.invocation(id_).output() == "answer 1", "the first one has its turn before"
    verify(world)


async def test_one_that_ends_by_it_has_it_in_its_journal(world: World) -> None:
    with pytest.raises(TerminalError, match="UnknownTargetError"):
        await world.runtime.object(Router, "r").ends("Agent")
    verify(world)


@pytest.mark.parametrize("from_entry", [2, 3])
async def test_a_restart_never_comes_between_a_send_and_its_refusal(
    world: World, from_entry: int
) -> None:
    asked = {"name": "Agent", "argument": 1}
    id_ = await world.runtime.send_by_name("Router", "r", "sends", asked)
    await world.clock.advance(11)
    world.classes = [Router, Agent]
    runtime = await world.restart()
    if from_entry == 2:
        with pytest.raises(InvalidArgumentError, match="is the answer to entry 1"):
            await runtime.invocation(id_).restart(from_entry=from_entry)
        return
    again = await runtime.invocation(id_).restart(from_entry=from_entry)
    await world.clock.advance(11)
    assert "UnknownTargetError" in await runtime.invocation(again).output()
