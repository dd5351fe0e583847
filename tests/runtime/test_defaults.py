"""Defaults that are read, changed, cleared and read again, within one turn and across a crash."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from holdfast import Context, VirtualObject, handler, shared, state
from holdfast.runtime.testing import settle

from .agents import Ledger, act
from .worlds import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Numbers:
    """Another number each time, as ``uuid4`` would give."""

    made: ClassVar[int] = 0

    @classmethod
    def make(cls) -> int:
        cls.made += 1
        return cls.made


class Sheet(VirtualObject):
    title: str = state("untitled")
    lines: list[str] = state(default_factory=lambda: [str(number) * 90 for number in range(50)])
    number: int = state(default_factory=Numbers.make)

    @handler
    async def fill(self, ctx: Context) -> None:
        self.title = "full"
        self.lines = ["long" * 300 for _ in range(9)]

    @handler
    async def clear_and_read(self, ctx: Context) -> tuple[str, int]:
        del self.title
        del self.lines
        return self.title, len(self.lines)

    @handler
    async def change_twice(self, ctx: Context) -> None:
        self.lines[0] = "first"
        del self.lines
        self.lines[1] = "second"

    @handler
    async def clear_read_and_wait(self, ctx: Context) -> str:
        before = self.title
        del self.title
        await ctx.run(f"{before} then {self.title}", act, "waited")
        await ctx.sleep(10)
        return before

    @handler
    async def two_numbers(self, ctx: Context) -> list[int]:
        numbers = [self.number]
        await ctx.run(f"first {self.number}", act, "first")
        del self.number
        numbers.append(self.number)
        await ctx.run(f"second {self.number}", act, "second")
        await ctx.sleep(10)
        return numbers

    @handler
    async def unstored_number(self, ctx: Context) -> int:
        await ctx.sleep(1)
        return self.number

    @shared
    async def look(self, ctx: Context) -> tuple[str, list[str]]:
        return self.title, self.lines


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Ledger.lines.clear()
    Numbers.made = 0
    world = World([Sheet])
    yield world
    world.close()


async def test_what_was_cleared_and_then_read_stays_cleared(world: World) -> None:
    sheet = (await world.start()).object(Sheet, "s")
    await sheet.fill()
    assert await sheet.clear_and_read() == ("untitled", 50)
    sheet = (await world.restart()).object(Sheet, "s")
    title, lines = await sheet.look()
    assert (title, len(lines), lines[3]) == ("untitled", 50, "3" * 90)


async def test_a_default_that_was_changed_cleared_and_changed_again_is_stored_whole(
    world: World,
) -> None:
    sheet = (await world.start()).object(Sheet, "s")
    await sheet.change_twice()
    sheet = (await world.restart()).object(Sheet, "s")
    _, lines = await sheet.look()
    assert (lines[0], lines[1], len(lines)) == ("0" * 90, "second", 50)


async def test_a_replay_begins_with_what_was_there_before_it_was_cleared_and_read(
    world: World,
) -> None:
    sheet = (await world.start()).object(Sheet, "s")
    await sheet.fill()
    await sheet.clear_read_and_wait.send()
    await settle()
    runtime = await world.restart()
    await world.clock.advance(20)
    await settle()
    assert runtime.statistics().invocations_completed == 1
    assert (await runtime.object(Sheet, "s").look())[0] == "untitled"
    assert Ledger.lines == ["waited"]


async def test_an_absent_field_has_one_default_in_a_turn_also_on_replay(world: World) -> None:
    sheet = (await world.start()).object(Sheet, "s")
    await sheet.two_numbers.send()
    await settle()
    runtime = await world.restart()
    await world.clock.advance(20)
    assert runtime.statistics().invocations_completed == 1
    assert Ledger.lines == ["first", "second"]
    assert Numbers.made == 1


async def test_a_default_that_was_only_read_at_the_end_is_not_stored(world: World) -> None:
    runtime = await world.start()
    sheet = runtime.object(Sheet, "s")
    assert await world.finish(sheet.unstored_number()) == 1
    assert await world.finish(sheet.unstored_number()) == 2
