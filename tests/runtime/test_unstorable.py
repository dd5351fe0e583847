"""A state that cannot be stored is said by a command or the outcome, and hinders no giving up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast import Context, RuntimeConfig, TerminalError, VirtualObject, handler, shared, state
from holdfast.runtime.testing import settle

from .controlled import Outer, note, work
from .test_cancel import assert_nothing_is_open
from .worlds import World

UNSTORABLE = "state field 'items': a object"


class Keeper(VirtualObject):
    items: list[Any] = state(default_factory=list)

    @handler
    async def gives_up_a_question(self, ctx: Context) -> None:
        question = ctx.awakeable(str)
        await ctx.run("told", note, question.id)
        self.items.append(object())
        question.future.cancel()

    @handler
    async def gives_up_a_step(self, ctx: Context) -> None:
        step = ctx.run("work", work, "x")
        await ctx.run("told", note, "told")
        self.items.append(object())
        step.cancel()

    @handler
    async def gives_up_a_timer(self, ctx: Context) -> None:
        async with asyncio.timeout(5):
            await ctx.run("told", note, "told")
            self.items.append(object())

    @handler
    async def gives_up_a_task(self, ctx: Context) -> str:
        task = asyncio.ensure_future(self._wait(ctx))
        await ctx.run("told", note, "told")
        self.items.append(object())
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            self.items.pop()
        await ctx.run("more", work, "more")
        return "given up"

    async def _wait(self, ctx: Context) -> None:
        await ctx.signal("never")

    @handler
    async def hears_of_it(self, ctx: Context) -> str:
        question = ctx.awakeable(str)
        await ctx.run("told", note, "told")
        self.items += ["kept", object()]
        question.future.cancel()
        said = ""
        try:
            ctx.run("more", note, "more")
        except TerminalError as error:
            self.items.pop()
            said = error.message
        await ctx.run("work", work, "x")
        return said

    @handler
    async def waits(self, ctx: Context) -> str:
        question = ctx.awakeable(str)
        await ctx.run("told", note, "told")
        self.items.append(object())
        return await question

    @handler
    async def read(self, ctx: Context) -> list[Any]:
        return self.items

    @shared
    async def changes_its_copy(self, ctx: Context) -> None:
        question = ctx.awakeable(str)
        await ctx.run("told", note, "told")
        self.items.append("mine")
        question.future.cancel()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Outer.clear()
    world = World([Keeper])
    await world.start()
    yield world
    world.close()


async def call(world: World, name: str) -> asyncio.Future[Any]:
    called: asyncio.Future[Any] = asyncio.ensure_future(
        getattr(world.runtime.object(Keeper, "k"), name)()
    )
    called.add_done_callback(lambda done: done.cancelled() or done.exception())
    await settle()
    return called


@pytest.mark.parametrize("name", ["gives_up_a_question", "gives_up_a_step", "gives_up_a_timer"])
async def test_what_is_given_up_is_taken_back_all_the_same(world: World, name: str) -> None:
    called = await call(world, name)

    assert called.done(), "it waits for what it has given up"
    with pytest.raises(TerminalError, match=UNSTORABLE):
        called.result()
    assert_nothing_is_open(world)
    assert "x ended" not in Outer.lines


@pytest.mark.parametrize("crash", [False, True])
async def test_a_task_that_is_cancelled_ends(world: World, *, crash: bool) -> None:
    id_ = await world.runtime.object(Keeper, "k").gives_up_a_task.send()
    await settle()
    if crash:
        await world.restart()
    Outer.gate("more").set()
    await settle()

    assert await world.runtime.invocation(id_).output() == "given up"
    assert_nothing_is_open(world)


@pytest.mark.parametrize("crash", [False, True])
async def test_the_next_command_says_it_in_every_attempt_alike(
    world: World, *, crash: bool
) -> None:
    id_ = await world.runtime.object(Keeper, "k").hears_of_it.send()
    await settle()
    if crash:
        await world.restart()
    Outer.gate("x").set()
    await settle()

    assert UNSTORABLE in str(await world.runtime.invocation(id_).output())
    assert await world.runtime.object(Keeper, "k").read() == ["kept"]
    assert_nothing_is_open(world)


async def test_a_cancellation_from_outside_is_heard(world: World) -> None:
    id_ = await world.runtime.object(Keeper, "k").waits.send()
    await settle()
    assert await world.runtime.invocation(id_).cancel("enough")
    await settle()

    with pytest.raises(TerminalError, match=UNSTORABLE):
        await world.runtime.invocation(id_).output()
    assert_nothing_is_open(world)


async def test_a_shared_handler_that_changes_its_copy_fails_where_it_gives_something_up() -> None:
    Outer.clear()
    world = World([Keeper], RuntimeConfig())
    runtime = await world.start()
    id_ = await runtime.object(Keeper, "k").changes_its_copy.send()
    await settle()

    assert (
        "was changed by a shared handler" in (await runtime.invocation(id_).describe()).last_failure
    )
    world.close()
