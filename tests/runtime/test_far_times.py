"""Whoever waits longer than a date can say waits, and is looked at like everybody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from holdfast import Context, RetryPolicy, VirtualObject, handler
from holdfast.ingress.answers import format_time
from holdfast.ingress.sql.table import time_text
from holdfast.objects.moments import moment_of
from holdfast.runtime.testing import settle

from .controlled import Outer, fail, work
from .test_cancel import assert_nothing_is_open
from .worlds import World

LAST = datetime.max.replace(tzinfo=UTC)
PATIENT = RetryPolicy(initial_interval=timedelta.max, max_interval=timedelta.max)


class Patient(VirtualObject):
    @handler
    async def naps(self, ctx: Context, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "rested"

    @handler
    async def works(self, ctx: Context, seconds: float) -> str:
        async with asyncio.timeout(seconds):
            return await ctx.run("work", work, "x")

    @handler
    async def sleeps(self, ctx: Context) -> str:
        await ctx.sleep(timedelta.max)
        return "rested"

    @handler
    async def tries(self, ctx: Context) -> str:
        return await ctx.step(retry=PATIENT).run("fail", fail, "x")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Outer.clear()
    world = World([Patient])
    await world.start()
    yield world
    world.close()


@pytest.mark.parametrize("seconds", [1e12, 1e16, 1e19, 1e300, 1.7e308])
async def test_a_timer_may_be_as_far_away_as_a_float_can_say(world: World, seconds: float) -> None:
    napping = await world.runtime.object(Patient, "a").naps.send(seconds)
    working = await world.runtime.object(Patient, "b").works.send(seconds)
    await settle()
    await world.restart()

    (timer,) = (await world.runtime.invocation(napping).describe()).awaiting
    assert (timer.kind, timer.until) == ("timer", LAST)
    assert [each.due_at for each in await world.runtime.invocation(working).journal()][1] == LAST
    Outer.gate("x").set()
    await settle()
    assert await world.runtime.invocation(working).output() == "x"
    assert await world.runtime.invocation(napping).cancel()
    await settle()
    assert_nothing_is_open(world)


async def test_what_is_delayed_or_tried_again_so_late_is_described(world: World) -> None:
    sleeping = await world.runtime.object(Patient, "a").sleeps.send()
    delayed = await world.runtime.object(Patient, "b").sleeps.send(delay=timedelta.max)
    trying = await world.runtime.object(Patient, "c").tries.send()
    await settle()
    describe = world.runtime.invocation

    assert (await describe(sleeping).describe()).awaiting[0].until == LAST
    assert (await describe(delayed).describe()).scheduled_for == LAST
    assert (await describe(trying).describe()).next_attempt_at == LAST
    assert [each.next_attempt_at for each in await describe(trying).effects()] == [LAST]


def test_a_moment_is_exact_up_to_the_last_one() -> None:
    last_ms = (LAST - moment_of(0)) // timedelta(milliseconds=1)

    assert moment_of(1) == datetime(1970, 1, 1, 0, 0, 0, 1000, UTC)
    assert moment_of(last_ms) == LAST.replace(microsecond=999_000)
    assert moment_of(last_ms + 1) == moment_of(1 << 62) == LAST


def test_doors_and_tables_say_the_last_one_too() -> None:
    assert format_time(1 << 62) == "9999-12-31T23:59:59.999000000Z"
    assert time_text(1 << 62) == "9999-12-31T23:59:59.999Z"
