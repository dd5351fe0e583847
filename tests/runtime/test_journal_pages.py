"""What a person is shown of a journal: all of it, in order, and where a restart can begin."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from holdfast import (
    Context,
    InvalidArgumentError,
    NotKeptError,
    TerminalError,
    UnknownTargetError,
    VirtualObject,
    handler,
    shared,
)
from holdfast.runtime import journal_slices
from holdfast.runtime.journal_pages import EntryInfo

from .worlds import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def echo(value: str) -> str:
    return value


async def refuse() -> None:
    message = "no"
    raise TerminalError(message)


class Clerk(VirtualObject):
    @handler
    async def work(self, ctx: Context) -> str:
        await ctx.run("look", echo, "x")
        other = await ctx.object(Clerk, "other").note.send("hello")
        await ctx.object(Clerk, "other").note("again")
        given_up = asyncio.ensure_future(ctx.sleep(timedelta(hours=1)))
        answer = ctx.awakeable(str)
        await ctx.signal("go", str)
        given_up.cancel()
        ctx.patched("new")
        try:
            await ctx.run("fail", refuse)
        except TerminalError:
            return f"{other} {await answer}"
        return ""

    @handler
    async def note(self, ctx: Context, text: str) -> str:
        return text

    @handler
    async def steps(self, ctx: Context, count: int) -> int:
        late = ctx.signal("late")
        for number in range(count):
            await ctx.run(f"step {number}", echo, "x")
        await late
        return count

    @shared
    async def plain(self, ctx: Context) -> int:
        return 1


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World([Clerk])
    await world.start()
    yield world
    world.close()


async def begin(world: World, count: int) -> str:
    id_ = await world.runtime.object(Clerk, "c").steps.send(count)
    await world.rest()
    return id_


def shown(entry: EntryInfo) -> tuple[object, ...]:
    return entry.index, entry.kind, entry.name or entry.of or "", entry.is_complete


async def test_everything_that_was_recorded_is_shown_in_order(world: World) -> None:
    id_ = await world.runtime.object(Clerk, "c").work.send()
    await world.rest()
    await world.runtime.invocation(id_).signal("go", "now")
    await world.rest()
    await world.restart()
    await world.rest()

    page = await world.runtime.invocation(id_).journal()
    assert page.next is None
    assert [shown(entry) for entry in page] == [
        (0, "input", "", None),
        (1, "step", "look", True),
        (2, "result", 1, None),
        (3, "send", "Clerk/other/note", None),
        (4, "call", "Clerk/other/note", True),
        (5, "result", 4, None),
        (6, "timer", "", False),
        (7, "awakeable", f"awk_{id_.removeprefix('inv_')}00000007", False),
        (8, "signal", "go", True),
        (9, "result", 8, None),
        (10, "give back", 6, None),
        (11, "patch", "new", None),
        (12, "step", "fail", True),
        (13, "result", 12, None),
    ]
    assert page.entries[13].failure == "no"
    assert page.entries[6].due_at is not None
    assert page.entries[3].invocation_id != page.entries[4].invocation_id


async def test_pages_follow_one_another_and_know_of_results_on_later_ones(world: World) -> None:
    id_ = await begin(world, 5)
    invocation = world.runtime.invocation(id_)
    whole = await invocation.journal()
    seen: list[EntryInfo] = []
    after = -1
    while True:
        page = await invocation.journal(after=after, limit=2)
        assert len(page) <= 2
        seen += page
        if page.next is None:
            break
        after = page.next
    assert tuple(seen) == whole.entries
    assert [entry.is_complete for entry in seen if entry.kind == "signal"] == [False]
    assert all(entry.is_complete for entry in seen if entry.kind == "step")
    await invocation.signal("late")
    await world.rest()
    assert (await invocation.journal(limit=2)).entries[1].is_complete


async def test_a_long_journal_is_read_while_others_have_their_turn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_slices, "_SLICE_ROWS", 2)
    id_ = await begin(world, 10)
    reading = asyncio.ensure_future(world.runtime.invocation(id_).journal())
    assert await world.runtime.object(Clerk, "d").plain() == 1
    assert len(await reading) == 22


async def test_it_is_shown_when_the_invocation_is_completed(world: World) -> None:
    id_ = await begin(world, 1)
    await world.runtime.invocation(id_).signal("late")
    await world.rest()
    page = await world.runtime.invocation(id_).journal()
    assert [entry.kind for entry in page] == ["input", "signal", "step", "result", "result"]
    assert page.entries[2].source.startswith("test_journal_pages.py:")
    assert page.entries[3].at is not None
    again = await world.runtime.invocation(id_).restart(from_entry=page.entries[3].index)
    assert again != id_


@pytest.mark.parametrize(("after", "limit"), [(-2, 1), (1 << 32, 1), (-1, 0), (-1, 1001)])
async def test_a_page_that_cannot_be_is_refused(world: World, after: int, limit: int) -> None:
    id_ = await begin(world, 1)
    with pytest.raises(InvalidArgumentError):
        await world.runtime.invocation(id_).journal(after=after, limit=limit)


async def test_behind_the_last_entry_there_is_an_empty_page(world: World) -> None:
    id_ = await begin(world, 1)
    page = await world.runtime.invocation(id_).journal(after=1_000)
    assert (page.entries, page.next) == ((), None)


async def test_what_is_not_kept_is_said_to_be_so(world: World) -> None:
    id_ = await world.runtime.object(Clerk, "c").note.send("x")
    await world.rest()
    with pytest.raises(NotKeptError):
        await world.runtime.invocation(id_).journal()
    with pytest.raises(UnknownTargetError):
        await world.runtime.invocation(f"inv_{'0' * 32}").journal()
