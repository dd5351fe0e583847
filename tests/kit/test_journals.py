"""A journal says what happened, without bytes, also where it holds what the kit does not know."""

from __future__ import annotations

import asyncio
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
from msgspec import Struct

from holdfast import (
    Context,
    InvalidArgumentError,
    Service,
    TerminalError,
    UnknownTargetError,
    VirtualObject,
    handler,
)
from holdfast.journal.entry import AwaitSignal, Run
from holdfast.testing import (
    ANYTHING,
    CANCELED,
    NOT_KEPT,
    PENDING,
    Awaited,
    Call,
    Failed,
    Other,
    Send,
    Sleep,
    Step,
    World,
    assert_journal,
)
from holdfast.testing.journals import decode_json, view_command

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.journal.entry import Command


async def weigh(what: str) -> dict[str, Any]:
    return {"what": what, "raw": b"\x00\x01"}


def fail() -> None:
    message = "no scales"
    raise TerminalError(message, status_code=503)


class Depot(VirtualObject):
    @handler
    async def take(self, ctx: Context, what: str) -> str:
        await ctx.run("weigh", weigh, what)
        await asyncio.sleep(5)
        await ctx.service(Post).stamp(3)
        await ctx.service(Post).stamp.send(4, delay=timedelta(hours=1))
        return await ctx.awakeable(str)

    @handler
    async def hurry(self, ctx: Context) -> str:
        try:
            async with asyncio.timeout(1):
                await ctx.awakeable(str)
        except TimeoutError:
            return "too late"
        return "in time"

    @handler
    async def rest(self, ctx: Context) -> None:
        await ctx.service(Post).stamp.send(4, delay=timedelta.max)
        await asyncio.sleep(1e12)

    @handler
    async def fail(self, ctx: Context) -> None:
        await ctx.run("weigh", fail)

    @handler
    async def plain(self, ctx: Context, count: int) -> str:
        return "x" * count


class Post(Service):
    @handler
    async def stamp(self, ctx: Context, cents: int) -> int:
        return cents * 2


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World([Depot, Post])
    await world.start()
    yield world
    world.close()


async def test_a_journal_is_read_while_it_is_written(world: World) -> None:
    runtime = world.runtime
    id_ = await runtime.object(Depot, "d").take.send("lead")
    await runtime.rest()
    assert [str(entry) for entry in runtime.journal(id_).entries] == [
        "step 'weigh' -> {'what': 'lead', 'raw': b'\\x00\\x01'}",
        "sleep until 2001-09-09 01:46:45+00:00 (no result yet)",
    ]
    await runtime.clock.advance(5)

    journal = assert_journal(
        runtime,
        id_,
        [
            Step("weigh", {"what": "lead", "raw": b"\x00\x01"}),
            Sleep(datetime(2001, 9, 9, 1, 46, 45, tzinfo=UTC), None),
            Call("Post/stamp", 6),
            Send("Post/stamp", timedelta(hours=1)),
            Awaited(PENDING),
        ],
        outcome=PENDING,
        status="begun",
    )
    assert journal.argument == "lead"
    assert runtime.journal(journal.calls[0].invocation_id).outcome == 6
    assert runtime.journal(journal.sends[0].invocation_id).status == "scheduled"
    assert [step.name for step in journal.steps] == ["weigh"]
    assert len(journal.sleeps) == 1


async def test_who_sleeps_for_ever_can_be_looked_at_all_the_same(world: World) -> None:
    id_ = await world.runtime.object(Depot, "d").rest.send()
    await world.runtime.rest()
    assert [str(entry) for entry in world.runtime.journal(id_).entries] == [
        "send Post/stamp in 999999999 days, 23:59:59.999000",
        "sleep until 9999-12-31 23:59:59.999999+00:00 (no result yet)",
    ]
    with pytest.raises(AssertionError, match=r"this did not end within[\s\S]*Depot/d/rest"):
        await world.finish(world.runtime.invocation(id_).attach())


async def test_what_was_given_up_and_what_failed_is_marked(world: World) -> None:
    runtime = world.runtime
    await runtime.finish(runtime.object(Depot, "d").hurry())
    assert_journal(runtime, "Depot/d/hurry", [Sleep(result=None), Awaited(CANCELED)])
    with pytest.raises(TerminalError):
        await runtime.object(Depot, "d").fail()
    failed = Failed("no scales", "TerminalError", 503)
    assert_journal(runtime, "Depot/d/fail", [Step("weigh", failed)], outcome=failed)


async def test_a_call_without_steps_has_its_outcome_only(world: World) -> None:
    runtime = world.runtime
    await runtime.object(Depot, "d").plain(3)
    journal = assert_journal(runtime, "Depot/d/plain", [], outcome="xxx")
    assert journal.argument is None
    await runtime.object(Depot, "d").plain(5_000)
    assert_journal(runtime, "Depot/d/plain", [], outcome=NOT_KEPT)


async def test_a_difference_shows_both_sides(world: World) -> None:
    runtime = world.runtime
    await runtime.finish(runtime.object(Depot, "d").hurry())
    with pytest.raises(AssertionError) as caught:
        assert_journal(runtime, "Depot/d/hurry", [Sleep(), Step("weigh")], outcome="in time")

    first, *lines = str(caught.value).splitlines()
    assert first.startswith("the journal of Depot/d/hurry (inv_")
    assert [line.split() for line in lines] == [
        ["expected", "found"],
        ["1", "sleep", "sleep", "until", "2001-09-09", "01:46:41+00:00,", "over"],
        [
            ">",
            "2",
            "step",
            "'weigh'",
            "awakeable",
            "(the",
            "handler",
            "no",
            "longer",
            "wanted",
            "it)",
        ],
        [">", "outcome", "'in", "time'", "'too", "late'"],
    ]


@pytest.mark.parametrize("expected", [[], [Sleep(), Awaited(), ANYTHING]], ids=["fewer", "more"])
async def test_an_entry_more_or_less_is_a_difference(world: World, expected: list[Any]) -> None:
    await world.finish(world.runtime.object(Depot, "d").hurry())
    with pytest.raises(AssertionError, match=r"\(nothing\)"):
        assert_journal(world.runtime, "Depot/d/hurry", expected)


async def test_a_journal_that_there_is_not_is_named(world: World) -> None:
    with pytest.raises(InvalidArgumentError, match="nobody has called 'Depot/d/lift'"):
        world.runtime.journal("Depot/d/lift")
    with pytest.raises(UnknownTargetError, match=r"inv_0{32} does not exist"):
        world.runtime.journal("inv_" + "0" * 32)


def test_entries_are_frozen_and_their_reprs_are_what_a_test_writes() -> None:
    step = Step("weigh", 3)
    entries = [Step("weigh"), step, Call("Post/stamp", PENDING), Awaited(None)]
    assert repr(entries) == (
        "[Step('weigh'), Step('weigh', result=3), Call('Post/stamp', result=PENDING), "
        "Awaited(None)]"
    )
    with pytest.raises(FrozenInstanceError):
        step.result = 4  # type: ignore[misc]


class FromTheFuture(Struct, frozen=True):
    """A command that a later release may add."""

    name: str
    digest: bytes


def test_a_command_that_the_kit_does_not_know_shows_by_the_name_of_its_class() -> None:
    later = cast("Command", FromTheFuture("go", b"\x00" * 8))
    assert view_command(AwaitSignal("go"), b'"now"') == Other("AwaitSignal", "name='go'", "now")
    assert str(view_command(later, PENDING)) == (
        "FromTheFuture name='go', digest=<8 bytes> (no result yet)"
    )
    assert view_command(Run("raw"), b"\xc1") == Step("raw", "<1 bytes>")


def test_a_body_that_is_no_json_shows_as_so_many_bytes() -> None:
    for body in (b"\x89PNG", b'"\xff"', b"[" * 5_000):
        assert decode_json(body) == f"<{len(body)} bytes>"
