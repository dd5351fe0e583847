"""A process on a stage dies as it is told to, and the disk keeps what such a death leaves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from holdfast import Context, StoreFailedError, VirtualObject, handler, state
from holdfast.testing import crash_everywhere
from holdfast.testing.rows import read_state
from holdfast.testing.stage import Death, Stage

if TYPE_CHECKING:
    from holdfast.testing import Client, Ending

ATTEMPTS: list[int] = []


class Diary(VirtualObject):
    days: list[str] = state(default_factory=list)

    @handler
    async def keep(self, ctx: Context, days: int) -> int:
        ATTEMPTS.append(days)
        for day in range(days):
            await asyncio.sleep(20)
            self.days.append(f"day {day}")
        return days


class Seen(Stage):
    """A stage that remembers what survived each death."""

    def crashed(self) -> None:
        self.survived = read_state(self.store)


async def write(client: Client) -> None:
    await client.object(Diary, "d").keep.send(4)


@pytest.mark.parametrize(
    ("death", "write_back_ms", "days"),
    [
        (Death(3), 0, 2),
        (Death(3, is_applied=True), 0, 3),
        (Death(3, is_power_cut=True), 1e9, 0),
        (Death(3, is_power_cut=True), 30_000, 1),
        (Death(3, is_power_cut=True), 0, 2),
    ],
    ids=["before", "after", "cut", "cut after a while", "cut of a quick disk"],
)
async def test_a_death_leaves_what_the_disk_keeps(
    death: Death, write_back_ms: float, days: int
) -> None:
    """Each day is a commit in the background, which nobody waits for."""
    stage = Seen([Diary], death=death, write_back_ms=write_back_ms)
    await stage.play(write)

    kept = stage.survived.get("Diary/d", {}).get("days", [])
    assert kept == [f"day {day}" for day in range(days)]
    assert stage.crashes == 1
    assert read_state(stage.store)["Diary/d"]["days"] == ["day 0", "day 1", "day 2", "day 3"]
    stage.close()


async def test_the_next_process_dies_too_where_that_is_wanted() -> None:
    stage = Stage([Diary], death=Death(1, again_at_write=1))
    await stage.play(write)

    assert stage.crashes == 2
    assert read_state(stage.store)["Diary/d"]["days"] == ["day 0", "day 1", "day 2", "day 3"]
    stage.close()


async def test_a_runtime_that_fails_by_itself_is_no_death() -> None:
    stage = Stage([Diary])

    async def break_the_disk(client: Client) -> None:
        await client.object(Diary, "d").keep.send(1)
        stage.store.fail_next_write()

    with pytest.raises(AssertionError, match="the runtime failed by itself") as caught:
        await stage.play(break_the_disk)
    assert isinstance(caught.value.__cause__, StoreFailedError)
    stage.close()


async def test_suspending_has_every_handler_that_waits_replay() -> None:
    attempts: list[int] = []

    async def keep(client: Client) -> int:
        return await client.object(Diary, "d").keep(4)

    def count(ending: Ending) -> Any:
        attempts.append(len(ATTEMPTS))
        return ending

    await crash_everywhere(keep, [Diary], reset=ATTEMPTS.clear, compare=count, suspending=True)

    undisturbed, suspended, *_ = attempts
    assert (undisturbed, suspended) == (1, 5)
