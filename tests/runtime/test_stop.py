"""A graceful stop at any moment: nothing is lost, nothing is repeated, nothing breaks."""

import asyncio
import gc
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from holdfast import Context, RuntimeClosedError, VirtualObject, handler
from holdfast.objects.identity import Target
from holdfast.runtime.engine import Engine
from holdfast.runtime.requests import CallRequest
from holdfast.runtime.testing import SETTLE_ROUNDS, InlineThreads, SeededRandomness, settle

from .agents import Agent, Ledger, act
from .worlds import World

MOMENTS = range(60)
"""Rounds of the loop before the stop: from before the first step to after the last."""

LONG_ROUNDS = 16
"""Rounds of an action that is still running when the stop keeps another from starting."""


class Hurried(VirtualObject):
    """Does not wait for its step."""

    @handler
    async def run(self, ctx: Context) -> str:
        try:
            async with asyncio.timeout(1):
                return await ctx.run("slow", lambda: act("slow"))
        except TimeoutError:
            return "late"


class Uneven(VirtualObject):
    """Goes on with one branch while a step of the other still runs."""

    @handler
    async def run(self, ctx: Context) -> str:
        long = ctx.run("long", act_long)
        await ctx.run("short", act, "short")
        return await ctx.run("next", act, "next") + await long


class Deaf(VirtualObject):
    """Has a step that ends well although it was cut off."""

    @handler
    async def run(self, ctx: Context) -> str:
        return await ctx.run("deaf", act_deaf)


async def act_deaf() -> str:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        Ledger.lines.append("cut off")
    return "done"


async def act_long() -> str:
    for _ in range(LONG_ROUNDS):
        await asyncio.sleep(0)
    return await act("long")


class SlowThreads(InlineThreads):
    """Reports what a lane has done some rounds of the loop later, as a thread would."""

    def __init__(self, lane: str, rounds: int) -> None:
        super().__init__()
        self._slow_lane = lane
        self._rounds = rounds

    def run(
        self,
        lane: str,
        function: Callable[[], Any],
        done: Callable[[Any, BaseException | None], None],
        afterwards: Callable[[], None] | None = None,
    ) -> None:
        rounds = self._rounds if lane == self._slow_lane else 0
        super().run(lane, function, self._later(done, rounds), afterwards)

    def _later(
        self, done: Callable[[Any, BaseException | None], None], rounds: int
    ) -> Callable[[Any, BaseException | None], None]:
        def report(result: Any, error: BaseException | None) -> None:
            if rounds == 0:
                done(result, error)
            else:
                later = self._later(done, rounds - 1)
                asyncio.get_running_loop().call_soon(later, result, error)

        return report


@pytest.fixture
def world() -> World:
    Ledger.lines.clear()
    return World([Agent, Deaf, Hurried, Uneven])


def make_engine(world: World, threads: SlowThreads) -> Engine:
    return Engine(
        [Agent, Deaf, Hurried, Uneven],
        store=world.store,
        clock=world.clock,
        randomness=SeededRandomness(),
        threads=threads,
    )


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_stop_at_any_moment_repeats_no_step_and_loses_none(
    world: World, moment: int
) -> None:
    runtime = make_engine(world, SlowThreads("store", 8))
    await runtime.start()
    answer = asyncio.ensure_future(runtime.object(Agent, "s").work(3))
    for _ in range(moment):
        await asyncio.sleep(0)
    await runtime.stop()
    (answered,) = await asyncio.gather(answer, return_exceptions=True)
    assert isinstance(answered, list | RuntimeClosedError)

    world.store = world.store.crash(keep_written=False)
    runtime = await world.start()
    await world.clock.advance(1)
    done = await runtime.object(Agent, "s").history()
    assert done == Ledger.lines
    assert done in ([], ["s:0", "s:1", "s:2"])


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_step_that_a_stop_kept_from_starting_runs_at_the_next_start(
    world: World, moment: int
) -> None:
    """Also when a result of the same invocation arrives during the stop, after that."""
    runtime = make_engine(world, SlowThreads("store", 8))
    await runtime.start()
    request = CallRequest(target=Target("Uneven", "u", "run"), argument=b"", idempotency_key="i")
    answer = runtime.submit(request, wait=True)
    for _ in range(moment):
        await asyncio.sleep(0)
    await runtime.stop()
    await asyncio.gather(answer, return_exceptions=True)

    world.store = world.store.crash(keep_written=False)
    runtime = await world.start()
    assert (await world.finish(runtime.submit(request, wait=True), 1)).outcome == b'"nextlong"'
    assert sorted(Ledger.lines) == ["long", "next", "short"]


async def test_what_becomes_of_an_action_that_a_stop_cut_off_is_not_recorded(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = make_engine(world, SlowThreads("store", 8))
    await runtime.start()
    answer = asyncio.ensure_future(runtime.object(Deaf, "d").run())
    await settle()
    stopping = asyncio.ensure_future(runtime.stop(timedelta(seconds=1)))
    await world.clock.advance(2)
    await asyncio.wait_for(stopping, 5)

    with pytest.raises(RuntimeClosedError):
        await answer
    assert Ledger.lines == ["cut off"]
    assert runtime.health == "stopped"
    assert not [record for record in caplog.records if record.levelname == "CRITICAL"]


async def test_an_action_that_is_cancelled_before_its_coroutine_began_leaves_no_warning(
    world: World,
) -> None:
    """Warnings are errors in these tests, that of a coroutine which was never awaited too."""
    runtime = make_engine(world, SlowThreads("actions", 3 * SETTLE_ROUNDS))
    await runtime.start()
    answer = asyncio.ensure_future(runtime.object(Hurried, "h").run())
    await world.clock.advance(2)
    await settle()
    await settle()

    assert await answer == "late"
    gc.collect()
    assert Ledger.lines == []
    await runtime.stop()
