"""A saga in a task group takes nothing back for an error with which the attempt is tried again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import NoReturn

import pytest

from holdfast import Context, RetryPolicy, TerminalError, VirtualObject, handler
from holdfast.runtime.testing import settle

from .controlled import Outer, note, work
from .test_cancel import assert_nothing_is_open
from .worlds import World

FAILURES: list[Exception] = []
"""What goes wrong next; a terminal error in every attempt, anything else once."""


def fail_if_asked() -> None:
    if FAILURES and isinstance(FAILURES[-1], TerminalError):
        raise FAILURES[-1]
    if FAILURES:
        raise FAILURES.pop()


class Trip(VirtualObject):
    @handler
    async def beside(self, ctx: Context) -> str:
        """The saga and what fails are two tasks of one group."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._book(ctx))
            group.create_task(self._look(ctx))
        return "booked"

    @handler
    async def within(self, ctx: Context) -> str:
        """The saga is in the group's own block."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look(ctx))
            await self._book(ctx)
        return "booked"

    @handler
    async def around(self, ctx: Context) -> str:
        """What fails is in the group's own block."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._book(ctx))
            await self._look(ctx)
        return "booked"

    @handler
    async def nested(self, ctx: Context) -> str:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look(ctx))
            group.create_task(self._in_a_group(ctx))
        return "booked"

    async def _in_a_group(self, ctx: Context) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._book(ctx))

    @handler
    async def gathered(self, ctx: Context) -> str:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look(ctx))
            await asyncio.gather(self._book(ctx))
        return "booked"

    @handler
    async def awaited(self, ctx: Context) -> str:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look(ctx))
            await asyncio.ensure_future(self._book(ctx))
        return "booked"

    @handler
    async def waited_for(self, ctx: Context) -> str:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look(ctx))
            await asyncio.wait_for(self._book(ctx), 600)
        return "booked"

    @handler(retry=RetryPolicy(max_attempts=2, on_max_attempts="fail"))
    async def always(self, ctx: Context) -> str:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._book(ctx))
            group.create_task(self._never(ctx))
        return "booked"

    @handler
    async def given_up(self, ctx: Context) -> str:
        """The handler itself thinks better of it, in every attempt."""
        booking = asyncio.ensure_future(self._book(ctx))
        await ctx.run("look", note, "look")
        booking.cancel()
        await asyncio.wait([booking])
        return "given up"

    @handler
    async def compensating(self, ctx: Context) -> str:
        """The saga has failed and takes back when the group falls."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._fail(ctx))
            group.create_task(self._confirm(ctx))
            group.create_task(self._look_later(ctx))
        return "over"

    @handler
    async def survived(self, ctx: Context) -> str:
        """A group has fallen, in every attempt, before what ends the saga."""
        await self._survive(ctx)
        waiting = asyncio.ensure_future(asyncio.sleep(3600))
        with contextlib.suppress(asyncio.CancelledError):
            async with ctx.saga() as saga:
                saga.add("refund", note, "refund")
                await ctx.run("charge", note, "charge")
                waiting.cancel()
                await waiting
        return "given up"

    @handler
    async def survived_and_ends_itself(self, ctx: Context) -> str:
        await self._survive(ctx)
        task = asyncio.current_task()
        assert task is not None
        with contextlib.suppress(asyncio.CancelledError):
            async with ctx.saga() as saga:
                saga.add("refund", note, "refund")
                await ctx.run("charge", note, "charge")
                task.cancel()
                await asyncio.sleep(0)
        return "given up"

    async def _survive(self, ctx: Context) -> None:
        with contextlib.suppress(BaseExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(self._never(ctx))
                await ctx.sleep(3600)

    async def _fail(self, ctx: Context) -> None:
        with contextlib.suppress(TerminalError):
            async with ctx.saga() as saga:
                saga.add("refund", work, "refund")
                await ctx.run("charge", note, "charge")
                message = "full"
                raise TerminalError(message)

    async def _confirm(self, ctx: Context) -> None:
        await ctx.run("confirm", work, "confirm")

    async def _look_later(self, ctx: Context) -> None:
        await ctx.sleep(1)
        fail_if_asked()

    async def _book(self, ctx: Context) -> None:
        async with ctx.saga() as saga:
            saga.add("refund", note, "refund")
            await ctx.run("charge", note, "charge")
            await ctx.run("confirm", work, "confirm")

    async def _look(self, ctx: Context) -> None:
        await ctx.run("look", note, "look")
        fail_if_asked()
        await ctx.run("look again", note, "look again")

    async def _never(self, ctx: Context) -> NoReturn:
        await ctx.run("look", note, "look")
        message = "never"
        raise OSError(message)


FORMS = ["beside", "within", "around", "nested", "gathered", "awaited", "waited_for"]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Outer.clear()
    FAILURES.clear()
    world = World([Trip])
    await world.start()
    yield world
    world.close()


async def begin(world: World, form: str) -> str:
    id_: str = await getattr(world.runtime.object(Trip, "t"), form).send()
    await settle()
    return id_


async def end(world: World, id_: str) -> object:
    await world.clock.advance(2)
    Outer.gate("confirm").set()
    await settle()
    assert_nothing_is_open(world)
    return await world.runtime.invocation(id_).output()


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("form", FORMS)
async def test_nothing_is_taken_back_while_the_attempt_is_tried_again(
    world: World, form: str, *, crash: bool
) -> None:
    FAILURES.append(OSError("once"))
    id_ = await begin(world, form)
    assert not FAILURES
    if crash:
        await world.restart()

    assert await end(world, id_) == "booked"
    assert "refund" not in Outer.lines
    assert Outer.lines.count("charge") == 1


@pytest.mark.parametrize("form", FORMS)
async def test_an_outcome_is_taken_back_at_once(world: World, form: str) -> None:
    FAILURES.append(TerminalError("full"))
    id_ = await begin(world, form)

    with pytest.raises(TerminalError, match="full"):
        await end(world, id_)
    assert Outer.lines.count("refund") == 1


@pytest.mark.parametrize("form", FORMS)
async def test_a_cancellation_is_taken_back(world: World, form: str) -> None:
    id_ = await begin(world, form)
    assert await world.runtime.invocation(id_).cancel("enough")
    await settle()

    with pytest.raises(TerminalError, match="enough"):
        await end(world, id_)
    assert Outer.lines.count("refund") == 1


async def test_the_last_attempt_is_taken_back(world: World) -> None:
    id_ = await begin(world, "always")
    assert "refund" not in Outer.lines

    with pytest.raises(TerminalError, match="never"):
        await end(world, id_)
    assert Outer.lines.count("refund") == 1


async def test_what_the_handler_cancels_is_taken_back(world: World) -> None:
    id_ = await begin(world, "given_up")

    assert await end(world, id_) == "given up"
    assert Outer.lines.count("refund") == 1


@pytest.mark.parametrize("form", ["survived", "survived_and_ends_itself"])
async def test_a_group_that_fell_before_the_saga_is_not_why_it_ends(
    world: World, form: str
) -> None:
    id_ = await begin(world, form)

    assert await end(world, id_) == "given up"
    assert Outer.lines.count("refund") == 1


@pytest.mark.parametrize("crash", [False, True])
async def test_a_group_may_fall_while_a_cancelled_handler_takes_back(
    world: World, *, crash: bool
) -> None:
    """What the group has cancelled is not recorded for an error that need not come again."""
    FAILURES.append(OSError("once"))
    id_ = await begin(world, "compensating")
    assert await world.runtime.invocation(id_).cancel("enough")
    await settle()
    await world.clock.advance(1)
    assert not FAILURES
    if crash:
        await world.restart()
    Outer.gate("refund").set()

    with pytest.raises(TerminalError, match="enough"):
        await end(world, id_)
    assert "refund ended" in Outer.lines
