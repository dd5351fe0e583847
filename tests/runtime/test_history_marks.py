"""What tells that some of an object's past is gone, and when that is forgotten again."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from holdfast import Context, RuntimeConfig, VirtualObject, handler, state
from holdfast.journal import keys
from holdfast.journal.memory import MemoryStore
from holdfast.runtime.commits import Commits
from holdfast.runtime.history_marks import MARGIN_MS, SWEEP_MS, SWEEP_ROWS, HistoryMarks
from holdfast.runtime.slow_syncs import SlowSyncs
from holdfast.runtime.testing import InlineThreads, ManualClock

from .agents import Ledger, act
from .worlds import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BOX = keys.object_key("Box", "b")


class Box(VirtualObject):
    """Something to put in and take out, with and without a journal."""

    thing: str = state("")

    @handler
    async def put(self, ctx: Context, thing: str) -> None:
        self.thing = thing

    @handler
    async def put_with_step(self, ctx: Context, thing: str) -> None:
        self.thing = thing
        await ctx.run("act", act, thing)

    @handler
    async def take(self, ctx: Context) -> None:
        del self.thing

    @handler
    async def take_with_step(self, ctx: Context) -> None:
        del self.thing
        await ctx.run("act", act, "taken")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Ledger.lines.clear()
    world = World([Box], RuntimeConfig(retention=timedelta(hours=1)))
    yield world
    world.close()


async def later(world: World, seconds: float) -> None:
    """Have maintenance see that so much time has passed."""
    world.clock.jump(seconds)
    await world.clock.advance(3)


def mark_of(world: World) -> bytes | None:
    return world.store.get(keys.history(BOX))


async def test_a_turn_without_a_journal_marks_only_what_it_takes_away(world: World) -> None:
    box = (await world.start()).object(Box, "b")
    await box.put("a")
    await box.put("b")
    assert mark_of(world) is None
    await box.take()
    assert mark_of(world) is not None


async def test_a_turn_with_a_journal_is_marked_when_its_undo_rows_are_collected(
    world: World,
) -> None:
    box = (await world.start()).object(Box, "b")
    await box.put("a")
    await box.take_with_step()
    assert mark_of(world) is None
    await later(world, 3700)
    assert not list(world.store.scan(*keys.prefix_range(keys.UNDO + BOX)))
    assert mark_of(world) is not None


async def test_collecting_what_took_nothing_away_marks_nothing(world: World) -> None:
    box = (await world.start()).object(Box, "b")
    await box.put_with_step("a")
    await box.put_with_step("b")
    await later(world, 3700)
    assert not list(world.store.scan(*keys.prefix_range(keys.UNDO + BOX)))
    assert mark_of(world) is None


def new_commits() -> Commits:
    return Commits(
        MemoryStore(),
        InlineThreads(),
        sync_inline=True,
        slow_syncs=SlowSyncs(ManualClock()),
        request_turn=lambda: None,
        fail=lambda _: None,
    )


def test_a_mark_never_goes_back() -> None:
    marks = HistoryMarks(new_commits(), ManualClock())
    marks.advance(BOX, 9)
    marks.advance(BOX, 4)
    assert (marks.find(BOX), marks.find(b"other")) == (9, 0)


async def test_a_mark_is_forgotten_once_nobody_can_name_what_is_before_it(world: World) -> None:
    box = (await world.start()).object(Box, "b")
    await box.put("a")
    await box.take()
    await later(world, (MARGIN_MS - SWEEP_MS) / 1000)
    assert mark_of(world) is not None
    await later(world, 3 * SWEEP_MS / 1000)
    assert mark_of(world) is None


async def test_a_mark_stays_while_an_older_invocation_is_kept(world: World) -> None:
    world.config = RuntimeConfig(retention=timedelta(days=10))
    box = (await world.start()).object(Box, "b")
    await box.put("a")
    await box.take()
    await later(world, 5 * MARGIN_MS / 1000)
    assert mark_of(world) is not None


def test_marks_are_looked_through_in_slices() -> None:
    commits, clock = new_commits(), ManualClock()
    marks = HistoryMarks(commits, clock)
    for number in range(SWEEP_ROWS * 2 + 1):
        marks.advance(keys.object_key("Box", str(number)), 1)
    clock.jump(MARGIN_MS / 1000 + 1)
    left: list[int] = []
    for _ in range(4):
        marks.sweep(clock.now_ms)
        left.append(sum(1 for _ in commits.scan(keys.HISTORY, keys.after(keys.HISTORY))))
    assert left == [SWEEP_ROWS + 1, 1, 0, 0]
