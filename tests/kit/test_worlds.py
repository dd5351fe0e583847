"""A world's time moves when it is told to, and its crashes are those of a process."""

from __future__ import annotations

import asyncio
import logging
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from holdfast import (
    Context,
    InvalidArgumentError,
    RetryPolicy,
    StepFailedError,
    StoreFailedError,
    VirtualObject,
    handler,
    state,
)
from holdfast.runtime.testing import come_to_rest
from holdfast.testing import ManualClock, VirtualRuntime, World
from holdfast.testing.rows import read_state

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Egg(VirtualObject):
    log: list[str] = state(default_factory=list)

    @handler
    async def boil(self, ctx: Context, minutes: float) -> str:
        await asyncio.sleep(60 * minutes)
        self.log.append(f"{minutes:g}")
        return f"{minutes:g} minutes"

    @handler
    async def peel(self, ctx: Context) -> str:
        step = ctx.step(timeout=timedelta(milliseconds=1), on_unknown="fail")
        return await step.run("peel", peel)

    @handler
    async def crack(self, ctx: Context) -> str:
        slow = RetryPolicy(initial_interval=timedelta(minutes=1), factor=1, max_attempts=3)
        return await ctx.step(retry=slow).run("crack", crack)

    @handler
    async def drop(self, ctx: Context, how: str) -> str:
        once = ctx.step(retry=RetryPolicy(max_attempts=1))
        return await once.run("drop", drop, how)

    @handler
    async def wait(self, ctx: Context) -> str:
        return await ctx.awakeable(str)


async def peel() -> str:
    await asyncio.sleep(0.01)
    return "peeled"


def drop(how: str) -> str:
    if how == "sys":
        sys.exit("dropped")
    pytest.fail("dropped")


def crack() -> str:
    message = "hard"
    raise OSError(message)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World([Egg])
    await world.start()
    yield world
    world.close()


async def test_an_answer_gets_as_much_time_as_it_takes_and_no_more(world: World) -> None:
    started_ms = world.clock.now_ms()
    long = asyncio.ensure_future(world.runtime.object(Egg, "long").boil(60 * 24 * 90))
    assert await world.finish(world.runtime.object(Egg, "short").boil(3)) == "3 minutes"
    assert world.clock.now_ms() - started_ms == 180_000
    assert not long.done()

    assert await world.finish(long) == "129600 minutes"


@pytest.mark.parametrize("within", [60, timedelta(minutes=1)])
async def test_an_answer_that_takes_too_long_fails_with_what_is_open(
    world: World, within: float | timedelta
) -> None:
    with pytest.raises(AssertionError) as caught:
        await world.finish(world.runtime.object(Egg, "e").boil(3), within)

    assert str(caught.value).splitlines() == [
        "this did not end within 0:01:00",
        "Egg/e/boil(3) begun",
        "    sleep until 2001-09-09 01:49:40+00:00 (no result yet)",
        "    outcome PENDING",
    ]
    assert await world.finish(world.runtime.object(Egg, "e").boil(1)) == "1 minutes"


async def test_what_nobody_will_bring_fails_at_once(world: World) -> None:
    with pytest.raises(AssertionError, match=r"(?s)nothing is left that could move it.*awakeable"):
        await world.finish(world.runtime.object(Egg, "e").wait())


async def test_time_stands_still_while_an_action_really_works(world: World) -> None:
    assert await world.finish(world.runtime.object(Egg, "e").peel()) == "peeled"


async def test_a_retry_waits_in_virtual_time(world: World) -> None:
    started_ms = world.clock.now_ms()
    with pytest.raises(Exception, match="hard"):
        await world.finish(world.runtime.object(Egg, "e").crack())
    assert world.clock.now_ms() - started_ms == 120_000


@pytest.mark.parametrize("how", ["sys", "pytest"])
async def test_an_action_that_ends_the_program_fails_its_step_as_in_a_thread(
    world: World, how: str
) -> None:
    with pytest.raises(StepFailedError, match="dropped"):
        await world.finish(world.runtime.object(Egg, "e").drop(how))


@pytest.mark.parametrize("keep_written", [True, False])
async def test_a_killed_process_keeps_what_a_power_cut_loses(
    world: World, *, keep_written: bool
) -> None:
    await world.runtime.object(Egg, "e").boil.send(5)
    assert world.store.unsynced_batches == 0
    await world.clock.advance(300)  # It boils in the background: nobody waits for the disk.
    assert world.store.unsynced_batches > 0
    await world.crash(keep_written=keep_written)

    assert read_state(world.store) == ({"Egg/e": {"log": ["5"]}} if keep_written else {})


async def test_a_world_on_a_disk_survives_a_crash_and_refuses_a_power_cut(tmp_path: Path) -> None:
    world = World([Egg], data_dir=tmp_path / "data")
    await world.start()
    try:
        await world.runtime.object(Egg, "e").boil.send(5)
        with pytest.raises(InvalidArgumentError, match="a power cut needs a world in memory"):
            await world.crash(keep_written=False)
        with pytest.raises(InvalidArgumentError, match="the rows of this world are on disk"):
            _ = world.store
        runtime = await world.restart()
        await world.clock.advance(300)
        assert runtime.journal("Egg/e/boil").outcome == "5 minutes"
    finally:
        world.close()


async def test_a_crash_that_a_test_wants_is_not_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = asyncio.ensure_future(world.runtime.object(Egg, "e").boil(1))
    await world.runtime.rest()
    await world.restart()
    with pytest.raises(StoreFailedError):
        await waiting
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []

    world.store.fail_next_write()
    with pytest.raises(StoreFailedError):
        await world.runtime.object(Egg, "e").boil(1)
    assert "the store failed" in caplog.text


async def test_a_clock_steps_from_alarm_to_alarm() -> None:
    clock = ManualClock()
    woken: list[str] = []

    async def sleep(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(name)

    late = asyncio.ensure_future(sleep("late", 2))
    early = asyncio.ensure_future(sleep("early", 1))
    never = asyncio.ensure_future(sleep("never", 0.5))
    await come_to_rest()
    assert clock.sleeping_others == 3
    never.cancel()
    await come_to_rest()
    assert clock.next_ms() == clock.now_ms() + 1000
    assert clock.step()
    await come_to_rest()
    assert (woken, early.done(), late.done()) == (["early"], True, False)
    assert clock.step()
    await come_to_rest()
    assert woken == ["early", "late"]
    assert not clock.step()
    assert clock.next_ms() is None
    assert clock.sleeping_others == 0


@pytest.mark.parametrize("seconds", [(60, 1), (1, 60)])
async def test_two_who_move_the_time_together_never_move_it_back(seconds: tuple[int, int]) -> None:
    clock = ManualClock()
    clock.call_later(0.5, lambda: None)
    await asyncio.gather(*(clock.advance(each) for each in seconds))

    assert clock.monotonic() >= 60


async def test_a_loop_that_never_rests_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.runtime.testing.REST_ROUNDS_MAX", 100)

    async def spin() -> None:
        for _ in range(1_000_000):
            await asyncio.sleep(0)

    spinning = asyncio.ensure_future(spin())
    with pytest.raises(AssertionError, match="the loop never came to rest"):
        await come_to_rest()
    spinning.cancel()


async def test_a_watched_world_lets_wait_who_does_not_wait_in_vain(
    monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    monkeypatch.setattr("holdfast.testing.worlds._LOOK_SECONDS", 0.001)
    watch = asyncio.ensure_future(world.watch())
    runtime: VirtualRuntime = world.runtime
    assert await runtime.finish(runtime.object(Egg, "e").peel()) == "peeled"
    assert await runtime.object(Egg, "e").peel() == "peeled"
    with pytest.raises(AssertionError, match="this does not end while time stands still"):
        await runtime.object(Egg, "e").boil(1)
    watch.cancel()
