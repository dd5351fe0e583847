"""Code that asks for something else than its journal holds is stopped, and nothing is written.

A handler with steps is left waiting in the middle, its code is replaced, and it is replayed. The
invocation is then paused with both sides in its message, its rows are otherwise untouched, and with
the old code back it goes on from where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

import pytest

from holdfast import Context, VirtualObject, handler, state
from holdfast.journal import keys
from holdfast.journal.records import InvocationState, decode_invocation
from holdfast.objects.identity import Target
from holdfast.objects.mismatch import Mismatch, MismatchCause
from holdfast.runtime.requests import CallRequest
from holdfast.runtime.testing import ManualClock, come_to_rest

from ..runtime.worlds import World
from .stage import OUTSIDE, act

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def make_class(body: Callable[[Any, Context], Awaitable[Any]]) -> type:
    """``Changing`` with ``body`` as the code of its handler."""

    class Changing(VirtualObject):
        seen: list[str] = state(default_factory=list)

        @handler
        async def go(self, ctx: Context) -> list[str]:
            await body(self, ctx)
            return self.seen

    return Changing


async def original(me: Any, ctx: Context) -> None:
    first, second = ctx.run("a", act, "a", 0, "a"), ctx.run("b", act, "b", 0, "b")
    me.seen += [await first, await second]
    me.seen.append(await ctx.run("c", act, "c", 0, "c"))
    await asyncio.sleep(10)
    me.seen.append(await ctx.run("d", act, "d", 0, "d"))


async def other_name(_: Any, ctx: Context) -> None:
    await ctx.run("renamed", act, "x", 0)


async def other_kind(_: Any, __: Context) -> None:
    await asyncio.sleep(1)


async def other_order(_: Any, ctx: Context) -> None:
    second, first = ctx.run("b", act, "x", 0), ctx.run("a", act, "x", 0)
    await asyncio.gather(first, second)


async def other_order_in_tasks(_: Any, ctx: Context) -> None:
    """Each task alone might think that all is well, and go on."""

    async def one(name: str) -> None:
        for _ in range(2):
            with contextlib.suppress(Exception):  # users do this
                await ctx.run(name, act, "x", 0)

    await asyncio.gather(one("b"), one("a"), one("b"), one("c"), one("e"))


async def fewer_before_a_result(_: Any, ctx: Context) -> None:
    await ctx.run("a", act, "x", 0)


async def fewer_at_the_end(_: Any, ctx: Context) -> None:
    first, second = ctx.run("a", act, "x", 0), ctx.run("b", act, "x", 0)
    await first
    await second


async def fewer_and_waiting(_: Any, ctx: Context) -> None:
    first, second = ctx.run("a", act, "x", 0), ctx.run("b", act, "x", 0)
    await first
    await second
    await asyncio.Event().wait()


async def one_more(_: Any, ctx: Context) -> None:
    first, second = ctx.run("a", act, "x", 0), ctx.run("b", act, "x", 0)
    await first
    await ctx.run("more", act, "x", 0)
    await second


async def one_more_that_is_like_the_next(_: Any, ctx: Context) -> None:
    first, second = ctx.run("a", act, "x", 0), ctx.run("b", act, "x", 0)
    await first
    await ctx.run("c", act, "x", 0)
    await second


async def other_duration(_: Any, ctx: Context) -> None:
    first, second = ctx.run("a", act, "a", 0), ctx.run("b", act, "b", 0)
    await first
    await second
    await ctx.run("c", act, "x", 0)
    await asyncio.sleep(11)


A, B, C = 'ctx.run("a")', 'ctx.run("b")', 'ctx.run("c")'

CHANGES: dict[Callable[[Any, Context], Awaitable[Any]], tuple[str, str, MismatchCause]] = {
    other_name: (A, 'asks for ctx.run("renamed")', MismatchCause.RENAMED),
    other_kind: (A, "asks for sleep(1 s)", MismatchCause.INSERTED),
    other_order: (A, f"asks for {B}", MismatchCause.REORDERED),
    other_order_in_tasks: (A, f"asks for {B}", MismatchCause.REORDERED),
    fewer_before_a_result: (B, "waits without asking", MismatchCause.LATER),
    fewer_at_the_end: (C, "has ended without asking", MismatchCause.REMOVED),
    fewer_and_waiting: (C, "waits without asking", MismatchCause.LATER),
    one_more: (C, 'asks for ctx.run("more")', MismatchCause.INSERTED),
    one_more_that_is_like_the_next: (C, "asks for it after 1", MismatchCause.EARLIER),
    other_duration: ("sleep(10 s)", "asks for sleep(11 s)", MismatchCause.ARGUMENTS),
}


async def wait_in_the_middle() -> World:
    world = World([make_class(original)])
    world.clock = ManualClock()
    OUTSIDE.clear(world.clock)
    await world.start()
    submit(world)
    await come_to_rest()
    return world


def submit(world: World) -> asyncio.Future[Any]:
    request = CallRequest(
        target=Target("Changing", "c", "go"), argument=b"", idempotency_key="once"
    )
    answer = world.runtime.submit(request, wait=True)
    answer.add_done_callback(lambda done: done.cancelled() or done.exception())
    return answer


def rows_of(world: World) -> dict[bytes, bytes]:
    return dict(world.store.scan(b"", None))


async def change_code(world: World, body: Callable[[Any, Context], Awaitable[Any]]) -> None:
    """Start again with other code, late enough for the timer to be due."""
    await world.crash()
    world.classes = [make_class(body)]
    await world.start()


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
async def test_changed_code_pauses_with_both_sides_and_goes_on_when_it_is_restored(
    change: Callable[[Any, Context], Awaitable[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    world = await wait_in_the_middle()
    lines = list(OUTSIDE.lines)
    before = rows_of(world)
    await change_code(world, change)
    with caplog.at_level(logging.ERROR, "holdfast"):
        await world.clock.advance(10.5)

    after = rows_of(world)
    (invocation,) = [key for key in after if key.startswith(keys.INVOCATION)]
    record = decode_invocation(after[invocation])
    assert record.state is InvocationState.PAUSED
    recorded, asked, cause = CHANGES[change]
    assert f"recorded {recorded} (test_mismatch.py:" in record.last_failure
    assert asked in record.last_failure
    (entry,) = [each for each in caplog.records if each.name == "holdfast.invocations"]
    assert isinstance(entry.args, tuple)
    mismatch = entry.args[1]
    assert isinstance(mismatch, Mismatch)
    assert record.last_failure == mismatch.line
    assert entry.getMessage().endswith(mismatch.line)
    assert mismatch.cause is cause
    assert mismatch.attempted.place.startswith("test_mismatch.py:") != mismatch.has_ended
    assert mismatch.is_code_changed is False, "go itself has not changed, only what it calls"
    assert OUTSIDE.lines == lines, "an action of the changed code ran"
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    changed.discard(keys.meta("timers"))  # How far the runtime has read its own table.
    # The timer that fell due is in the journal now, and that is all.
    assert {key[:1] for key in changed} == {keys.INVOCATION, keys.JOURNAL, keys.TIMER}
    assert len([key for key in changed if key.startswith(keys.JOURNAL)]) == 1

    await change_code(world, original)
    await come_to_rest()
    assert rows_of(world) == after, "a paused invocation moved by itself"
    answer = submit(world)
    id_ = (
        await world.runtime.submit(
            CallRequest(target=Target("Changing", "c", "go"), argument=b"", idempotency_key="once"),
            wait=False,
        )
    ).invocation_id
    assert await world.runtime.invocation(id_).resume()
    await world.clock.advance(1)
    assert (await answer).outcome == b'["a","b","c","d"]'
    assert [line[1:] for line in OUTSIDE.lines if line[2] >= 0] == [
        (name, 0) for name in ("a", "b", "c", "d")
    ]


@pytest.mark.parametrize("verb", ["step", "sleep", "awakeable"])
async def test_code_that_catches_its_mismatch_for_ever_is_stopped_as_well(verb: str) -> None:
    tries = 0

    async def stubborn(_: Any, ctx: Context) -> None:
        nonlocal tries
        while tries < 10_000:
            tries += 1
            with contextlib.suppress(Exception):
                match verb:
                    case "step":
                        await ctx.run("other", act, "x", 0)
                    case "sleep":
                        await asyncio.sleep(7)
                    case _:
                        await ctx.awakeable()

    world = await wait_in_the_middle()
    await change_code(world, stubborn)
    await world.clock.advance(10.5)

    (row,) = [row for key, row in rows_of(world).items() if key.startswith(keys.INVOCATION)]
    assert decode_invocation(row).state is InvocationState.PAUSED
    assert tries < 1_000


async def test_code_that_asks_for_more_after_the_recorded_end_just_goes_on() -> None:
    async def longer(me: Any, ctx: Context) -> None:
        await original(me, ctx)
        me.seen.append(await ctx.run("e", act, "e", 0, "e"))

    world = await wait_in_the_middle()
    await change_code(world, longer)
    answer = submit(world)
    await world.clock.advance(11)

    assert (await answer).outcome == b'["a","b","c","d","e"]'
