"""What a failing attempt gives up while its error passes out of the handler, it has not given up.

An error that is no outcome need not come again, so nothing may be left in the journal of what came
after it: the next attempt would have to give up the same, in the same place.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from holdfast import (
    CanceledError,
    Context,
    RetryPolicy,
    RuntimeConfig,
    VirtualObject,
    handler,
    state,
)
from holdfast.objects.identity import Target
from holdfast.runtime.requests import CallRequest
from holdfast.testing import Client, crash_everywhere
from holdfast.testing.virtual import UNHURRIED

from .worlds import World

FAILURES: list[str] = []
"""What is still to go wrong, by name; cleared by each test."""
HOUR = timedelta(hours=1)


def may_fail(name: str) -> None:
    if name in FAILURES:
        FAILURES.remove(name)
        message = f"{name} is out of order"
        raise OSError(message)


async def work(value: str) -> str:
    return value


class Slow(VirtualObject):
    @handler
    async def answer(self, ctx: Context) -> str:
        await asyncio.sleep(60)
        return "slow"


class Notes(VirtualObject):
    lines: list[str] = state(default_factory=list)

    @handler
    async def in_a_group(self, ctx: Context) -> list[str]:
        """A branch fails while another one waits."""
        self.lines.append("begun")
        async with asyncio.TaskGroup() as group:
            slow = group.create_task(self._slow(ctx))
            group.create_task(self._branch(ctx))
        self.lines.append(slow.result())
        return self.lines

    async def _slow(self, ctx: Context) -> str:
        self.lines.append("asked")
        try:
            return await ctx.object(Slow, "s").answer()
        finally:
            self.lines.append("left")

    async def _branch(self, ctx: Context) -> None:
        await ctx.run("look", work, "x")
        may_fail("branch")
        await ctx.run("after", work, "y")

    @handler
    async def in_a_timeout(self, ctx: Context) -> list[str]:
        """Leaving the block gives up its timer."""
        async with asyncio.timeout(60):
            self.lines.append(await ctx.run("look", work, "x"))
            may_fail("branch")
            self.lines.append(await ctx.run("after", work, "y"))
        return self.lines

    @handler
    async def in_a_saga(self, ctx: Context) -> list[str]:
        """The attempt ends in the block, after a group within it has given things up."""
        async with ctx.saga() as undo:
            undo.add("undo", work, "undone")
            self.lines.append("begun")
            async with asyncio.TaskGroup() as group:
                slow = group.create_task(self._slow(ctx))
                group.create_task(self._branch(ctx))
        return [*self.lines, slow.result()]

    @handler
    async def awaits_a_signal(self, ctx: Context) -> str:
        async with asyncio.TaskGroup() as group:
            signal = group.create_task(self._signal(ctx))
            group.create_task(self._branch(ctx))
        return signal.result()

    async def _signal(self, ctx: Context) -> str:
        return await ctx.signal("go", str)

    @handler(retry=RetryPolicy(initial_interval=HOUR))
    async def fails_on_a_signal(self, ctx: Context) -> None:
        await ctx.signal("go", str)
        message = "the signal means nothing"
        raise OSError(message)

    @handler
    async def gives_up_and_goes_on(self, ctx: Context) -> str:
        """What is given up, what is changed and what is asked for next, in one breath."""
        sleeping = asyncio.ensure_future(ctx.sleep(HOUR))
        await ctx.run("look", work, "x")
        sleeping.cancel()
        self.lines.append("gave up")
        self.lines.append(await ctx.run("after", work, "x"))
        await asyncio.sleep(1)
        return ",".join(self.lines)

    @handler
    async def gives_up_last(self, ctx: Context) -> str:
        """Nothing is asked for after it."""
        sleeping = asyncio.ensure_future(ctx.sleep(HOUR))
        await ctx.run("look", work, "x")
        sleeping.cancel()
        self.lines.append("gave up")
        return "done"


CLASSES = [Notes, Slow]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    FAILURES.clear()
    world = World(CLASSES, UNHURRIED)
    await world.start()
    yield world
    world.close()


async def outcome(world: World, name: str) -> object:
    target = Target("Notes", "n", name)
    request = CallRequest(target=target, argument=b"", idempotency_key=name)
    return (await world.finish(world.runtime.submit(request, wait=True))).outcome


async def test_a_group_that_fails_is_tried_again_though_a_sibling_waited(world: World) -> None:
    FAILURES.append("branch")
    assert await outcome(world, "in_a_group") == b'["begun","asked","left","slow"]'
    assert FAILURES == []


async def test_a_timeout_around_a_failure_is_tried_again(world: World) -> None:
    FAILURES.append("branch")
    assert await outcome(world, "in_a_timeout") == b'["x","y"]'
    assert FAILURES == []


async def test_a_wait_for_a_signal_that_a_failure_cut_off_still_gets_it(world: World) -> None:
    FAILURES.append("branch")
    target = Target("Notes", "n", "awaits_a_signal")
    request = CallRequest(target=target, argument=b"", idempotency_key="s")
    answer = world.runtime.submit(request, wait=True)
    await world.runtime.rest()
    id_ = (await world.runtime.submit(request, wait=False)).invocation_id
    await world.runtime.invocation(id_).signal("go", "now")  # While the next attempt is not due.
    assert (await world.finish(answer)).outcome == b'"now"'


async def test_what_was_given_up_in_earnest_is_not_waited_for(world: World) -> None:
    assert await outcome(world, "gives_up_and_goes_on") == b'"gave up,x"'
    assert await outcome(world, "gives_up_last") == b'"done"'
    await world.restart()
    assert world.runtime.describe_open() == []


@pytest.mark.parametrize("name", ["in_a_group", "in_a_timeout", "in_a_saga"])
async def test_it_ends_alike_wherever_the_process_dies_between_failures(name: str) -> None:
    def reset() -> None:
        FAILURES[:] = ["branch"]

    async def call(client: Client) -> Any:
        return await client.call_by_name("Notes", "n", name)

    report = await crash_everywhere(
        call,
        CLASSES,
        reset=reset,
        compare=lambda ending: ending.outcome,
        crash_again=True,
    )
    assert report.commits >= 4


@pytest.mark.parametrize("name", ["gives_up_and_goes_on", "gives_up_last"])
async def test_what_was_given_up_stays_so_wherever_the_process_dies(name: str) -> None:
    async def call(client: Client) -> Any:
        return await client.call_by_name("Notes", "n", name)

    await crash_everywhere(call, CLASSES, crash_again=True, suspending=True)


@pytest.mark.parametrize("always_replay", [False, True])
@pytest.mark.parametrize("is_signal_first", [False, True])
async def test_a_cancellation_beside_what_makes_it_fail_waits_for_no_next_attempt(
    *, always_replay: bool, is_signal_first: bool
) -> None:
    world = World(CLASSES, RuntimeConfig(always_replay=always_replay))
    await world.start()
    invocation = world.runtime.invocation(
        await world.runtime.object(Notes, "n").fails_on_a_signal.send()
    )
    await world.rest()
    if is_signal_first:
        told, canceled = invocation.signal("go", "now"), invocation.cancel("no more")
    else:
        canceled, told = invocation.cancel("no more"), invocation.signal("go", "now")
    await told
    await canceled
    await world.rest()

    assert isinstance((await invocation.describe()).error, CanceledError)
    world.close()
