"""An error that ends the attempt does so before tasks beside it ask for anything more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NoReturn

import pytest

from holdfast import Context, VirtualObject, handler
from holdfast.runtime.testing import settle

from .controlled import Outer, note
from .test_cancel import assert_nothing_is_open
from .worlds import World

FAILURES: list[Exception] = []
"""What goes wrong, once each."""


class Crew(VirtualObject):
    """Handlers in which two tasks wait for one event; the first of them fails, once."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._is_working = False

    @handler
    async def grouped(self, ctx: Context) -> str:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._fail(ctx))
            group.create_task(self._work(ctx))
            group.create_task(self._start(ctx))
        return "done"

    @handler
    async def gathered(self, ctx: Context) -> str:
        await asyncio.gather(self._fail(ctx), self._work(ctx), self._start(ctx))
        return "done"

    @handler
    async def in_the_handler_itself(self, ctx: Context) -> str:
        working = asyncio.create_task(self._work(ctx))
        await self._start(ctx)
        await self._fail(ctx)
        await working
        return "done"

    @handler
    async def in_a_group_within(self, ctx: Context) -> str:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._fail(ctx))
            group.create_task(self._work_within(ctx))
            group.create_task(self._start(ctx))
        return "done"

    @handler
    async def in_the_block_around(self, ctx: Context) -> str:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work_within(ctx))
            await self._start(ctx)
            await self._fail(ctx)
        return "done"

    @handler
    async def in_a_group_beside(self, ctx: Context) -> str:
        """The group has not heard yet of a task that was done when another one failed."""
        await asyncio.gather(self._fall(ctx), self._work_later(ctx), self._start(ctx))
        return "done"

    async def _fall(self, ctx: Context) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._event.wait())
            group.create_task(self._fail(ctx))
            await self._event.wait()

    @handler
    async def in_a_group_around_others(self, ctx: Context) -> str:
        """The first who waits fails; the last is of its group, and ends when it is told."""
        await asyncio.gather(self._fall_later(ctx), self._work_later(ctx), self._start(ctx))
        return "done"

    async def _fall_later(self, ctx: Context) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._fail(ctx))
            group.create_task(self._wait(hops=2))

    async def _work_later(self, ctx: Context) -> None:
        await self._wait(hops=2)
        await ctx.run("work", note, "work")

    async def _wait(self, *, hops: int) -> None:
        for _ in range(hops):
            await asyncio.sleep(0)
        await self._event.wait()

    @handler
    async def beside_a_shield(self, ctx: Context) -> str:
        """What is shielded has ended just before the error, and who waits for it knows not yet."""
        await asyncio.gather(self._work_after(ctx), self._fail_last(ctx), self._start(ctx))
        return "done"

    async def _work_after(self, ctx: Context) -> None:
        await asyncio.shield(asyncio.ensure_future(self._event.wait()))
        await ctx.run("work", note, "work")

    async def _fail_last(self, ctx: Context) -> None:
        await self._wait(hops=2)
        await self._fail(ctx)

    @handler
    async def beside_a_time_limit(self, ctx: Context) -> str:
        """What is waited for has ended just before the error, and who waits knows not yet."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work_in_time(ctx))
            group.create_task(self._fail_after(ctx, hops=1))
            group.create_task(self._start(ctx))
        return "done"

    @handler
    async def beside_a_time_limit_that_is_told(self, ctx: Context) -> str:
        """As above, and who waits for it has been told, and was to go on."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work_in_time(ctx))
            group.create_task(self._fail_after(ctx, hops=2))
            group.create_task(self._start(ctx))
        return "done"

    @handler
    async def beside_a_time_limit_of_a_future(self, ctx: Context) -> str:
        future = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work_in_time(ctx, future))
            group.create_task(self._fail_after(ctx, hops=0, resolving=future))
            group.create_task(self._start(ctx))
        return "done"

    @handler
    async def beside_a_time_limit_of_many(self, ctx: Context) -> str:
        gathering = asyncio.gather(self._event.wait(), self._event.wait())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work_in_time(ctx, gathering))
            group.create_task(self._fail_after(ctx, hops=2))
            group.create_task(self._start(ctx))
        return "done"

    async def _work_in_time(self, ctx: Context, future: asyncio.Future[Any] | None = None) -> None:
        await asyncio.wait_for(future or self._event.wait(), 60)
        await ctx.run("work", note, "work")

    async def _fail_after(
        self, ctx: Context, *, hops: int, resolving: asyncio.Future[None] | None = None
    ) -> None:
        await self._event.wait()
        for _ in range(hops):
            await asyncio.sleep(0)
        if resolving is not None:
            resolving.set_result(None)
        await self._fail(ctx)

    @handler
    async def in_a_saga(self, ctx: Context) -> str:
        working = asyncio.create_task(self._work(ctx))
        await self._start(ctx)
        async with ctx.saga() as saga:
            saga.add("refund", note, "refund")
            await self._fail(ctx)
        await working
        return "done"

    @handler
    async def caught(self, ctx: Context) -> str:
        """It goes on without what failed."""
        failing = asyncio.create_task(self._raise())
        working = asyncio.create_task(self._work(ctx))
        await self._start(ctx)
        try:
            await failing
        except OSError as error:
            await ctx.run("mend", note, f"mend {error}")
        await working
        return "done"

    @handler
    async def watched(self, ctx: Context) -> str:
        """What caught the error gives the other task no turn but by looking."""
        failing = asyncio.create_task(self._raise())
        working = asyncio.create_task(self._work(ctx))
        await self._start(ctx)
        await asyncio.wait([failing])
        while not self._is_working:  # noqa: ASYNC110  # the point of it
            await asyncio.sleep(0)
        await working
        return f"after {failing.exception()}"

    async def _start(self, ctx: Context) -> None:
        await ctx.run("start", note, "start")
        self._event.set()

    async def _fail(self, ctx: Context) -> None:
        await self._event.wait()
        if FAILURES:
            raise FAILURES.pop()
        await ctx.run("go on", note, "go on")

    async def _raise(self) -> NoReturn:
        await self._event.wait()
        message = "always"
        raise OSError(message)

    async def _work(self, ctx: Context) -> None:
        await self._event.wait()
        self._is_working = True
        await ctx.run("work", note, "work")

    async def _work_within(self, ctx: Context) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work(ctx))


FORMS = [
    "grouped",
    "gathered",
    "in_the_handler_itself",
    "in_a_group_within",
    "in_the_block_around",
    "in_a_group_beside",
    "in_a_group_around_others",
    "beside_a_shield",
    "beside_a_time_limit",
    "beside_a_time_limit_that_is_told",
    "beside_a_time_limit_of_a_future",
    "beside_a_time_limit_of_many",
    "in_a_saga",
]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Outer.clear()
    FAILURES.clear()
    world = World([Crew])
    await world.start()
    yield world
    world.close()


async def begin(world: World, form: str) -> str:
    id_: str = await getattr(world.runtime.object(Crew, "c"), form).send()
    await settle()
    return id_


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("form", FORMS)
async def test_the_next_attempt_goes_another_way_undisturbed(
    world: World, form: str, *, crash: bool
) -> None:
    FAILURES.append(OSError("once"))
    id_ = await begin(world, form)
    assert not FAILURES
    assert Outer.lines == ["start"]
    if crash:
        await world.restart()

    await world.clock.advance(2)
    assert_nothing_is_open(world)
    assert await world.runtime.invocation(id_).output() == "done"
    assert sorted(Outer.lines) == ["go on", "start", "work"]


@pytest.mark.parametrize("form", FORMS)
async def test_nothing_changes_without_an_error(world: World, form: str) -> None:
    id_ = await begin(world, form)

    assert await world.runtime.invocation(id_).output() == "done"
    assert Outer.lines[0] == "start"
    assert sorted(Outer.lines) == ["go on", "start", "work"]


@pytest.mark.parametrize(
    ("form", "output", "line"),
    [("caught", "done", "mend always"), ("watched", "after always", "work")],
)
async def test_an_error_that_is_caught_holds_nobody_up(
    world: World, form: str, output: str, line: str
) -> None:
    id_ = await begin(world, form)

    assert await world.runtime.invocation(id_).output() == output
    assert line in Outer.lines
    assert "work" in Outer.lines
