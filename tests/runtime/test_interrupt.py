"""Calls that interrupt the turn under way at their key: who is told, and who goes next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from holdfast import (
    CanceledError,
    Context,
    InvalidArgumentError,
    MailboxFullError,
    RuntimeConfig,
    Service,
    VirtualObject,
    Workflow,
    handler,
    shared,
    state,
)
from holdfast.journal import codec, keys
from holdfast.journal.entry import Cancellation
from holdfast.objects.identity import parse_invocation_id
from holdfast.runtime.testing import settle

from .controlled import Outer, note, work
from .worlds import World

DELAY = timedelta(seconds=10)


class Chat(VirtualObject):
    """Answers take long, and say in the log what became of them."""

    log: list[str] = state(default_factory=list)

    @handler
    async def answer(self, ctx: Context, name: str) -> str:
        self.log.append(f"{name} began")
        try:
            said = await ctx.run("work", work, name)
        except asyncio.CancelledError:
            self.log.append(f"{name} was interrupted")
            await ctx.run("clean", work, f"{name} clean")
            raise
        self.log.append(f"{name} ended")
        return said

    @handler
    async def swallow(self, ctx: Context, name: str) -> str:
        try:
            return await ctx.run("work", work, name)
        except asyncio.CancelledError:
            return "all the same"

    @handler
    async def wait(self, ctx: Context, name: str) -> str:
        try:
            return await ctx.awakeable(str)
        except asyncio.CancelledError:
            await ctx.run("clean", note, f"{name} cleaned")
            raise

    @handler
    async def back_off(self, ctx: Context, name: str) -> str:
        try:
            return await ctx.awakeable(str) if Outer.lines else await self.break_down(ctx, name)
        except asyncio.CancelledError:
            await ctx.run("clean", note, f"{name} cleaned")
            raise

    async def break_down(self, ctx: Context, name: str) -> str:
        Outer.lines.append("broke down")
        raise OSError(name)

    @handler
    async def touch(self, ctx: Context, name: str) -> str:
        self.log.append(name)
        return name

    @handler
    async def restart(self, ctx: Context, name: str) -> str:
        await ctx.object(Chat, ctx.key, mode="interrupt").touch.send(name)
        self.log.append("sent")
        return await ctx.run("work", work, name)

    @handler
    async def wait_for_itself(self, ctx: Context, name: str) -> str:
        try:
            return await ctx.object(Chat, ctx.key, mode="interrupt").touch(name)
        except InvalidArgumentError as error:
            return error.message

    @handler
    async def shield_and_ask(self, ctx: Context, other: str) -> str:
        async with ctx.shield():
            await ctx.run("work", work, "shielded")
            try:
                return await ctx.object(Other, other).interrupt(ctx.key)
            except Exception as error:  # noqa: BLE001  # what it is is the point
                return type(error).__name__

    @shared
    async def look(self, ctx: Context) -> list[str]:
        return self.log


class Other(VirtualObject):
    """Interrupts from another key."""

    @handler
    async def interrupt(self, ctx: Context, key: str) -> str:
        return await ctx.object(Chat, key, mode="interrupt").touch(f"from {ctx.key}")

    @handler
    async def interrupt_by_name(self, ctx: Context, key: str) -> Any:
        return await ctx.call("Chat", key, "touch", "by name", mode="interrupt")

    @handler
    async def send_by_name(self, ctx: Context, key: str) -> str:
        return await ctx.send("Chat", key, "touch", "sent by name", mode="interrupt")


class Bare(Service):
    @handler
    async def go(self, ctx: Context) -> None: ...


class Flow(Workflow):
    @handler
    async def run(self, ctx: Context) -> None: ...


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Outer.clear()
    world = World([Chat, Other, Bare, Flow])
    await world.start()
    yield world
    world.close()


def begin(coroutine: Any) -> asyncio.Future[Any]:
    """Ask, and do not mind when nobody looks at the answer."""
    asked: asyncio.Future[Any] = asyncio.ensure_future(coroutine)
    asked.add_done_callback(lambda done: done.cancelled() or done.exception())
    return asked


def chat(world: World, mode: Any = "queue", **options: Any) -> Chat:
    return world.runtime.object(Chat, "a", mode=mode, **options)


def told(world: World) -> list[str]:
    """The reasons of all cancellations in all journals."""
    rows = world.store.scan(*keys.prefix_range(keys.JOURNAL))
    entries = [codec.decode_entry(row) for _, row in rows]
    return [entry.reason for entry in entries if isinstance(entry, Cancellation)]


def assert_nothing_is_open(world: World) -> None:
    for table in (keys.INVOCATION, keys.LIVE, keys.TURN, keys.INBOX, keys.LANE, keys.TIMER):
        assert not list(world.store.scan(*keys.prefix_range(table))), table


async def test_the_holder_cleans_up_and_the_interrupting_call_goes_before_those_who_wait(
    world: World,
) -> None:
    first = begin(chat(world).answer("first"))
    await settle()
    behind = begin(chat(world).touch("behind"))
    await settle()
    next_ = begin(chat(world, "interrupt").touch("next"))
    await settle()
    assert Outer.lines == ["first began", "first was cancelled", "first clean began"]
    assert not next_.done()
    Outer.gate("first clean").set()
    await settle()

    with pytest.raises(CanceledError, match=r"was canceled: interrupted by inv_[0-9a-f]{32}$"):
        await first
    assert (await next_, await behind) == ("next", "behind")
    assert await chat(world).look() == ["first began", "first was interrupted", "next", "behind"]
    assert_nothing_is_open(world)


async def test_the_reason_names_the_interrupting_invocation(world: World) -> None:
    begin(chat(world).swallow("first"))
    await settle()
    id_ = await chat(world, "interrupt").touch.send("next")
    await settle()

    assert told(world) == [f"interrupted by {id_}"]


async def test_a_holder_that_swallows_it_has_its_own_outcome(world: World) -> None:
    first = begin(chat(world).swallow("first"))
    await settle()

    assert await chat(world, "interrupt").touch("next") == "next"
    assert await first == "all the same"


async def test_without_a_holder_it_is_an_ordinary_call(world: World) -> None:
    assert await chat(world, "interrupt").touch("only") == "only"
    assert told(world) == []
    assert_nothing_is_open(world)


async def test_interrupts_go_one_after_the_other_and_the_holder_is_told_once(world: World) -> None:
    begin(chat(world).answer("first"))
    await settle()
    asked = [begin(chat(world, "interrupt").touch(f"i{number}")) for number in range(3)]
    asked.append(begin(chat(world).touch("normal")))
    asked.append(begin(chat(world, "interrupt").touch("i3")))
    await settle()
    Outer.gate("first clean").set()
    await settle()

    assert (await chat(world).look())[2:] == ["i0", "i1", "i2", "i3", "normal"]
    assert all(each.done() for each in asked)
    assert len(told(world)) == 1


async def test_one_that_comes_while_an_interrupting_call_runs_interrupts_that_one(
    world: World,
) -> None:
    Outer.gate("first clean").set()
    Outer.gate("second clean").set()
    first = begin(chat(world).answer("first"))
    await settle()
    second = begin(chat(world, "interrupt").answer("second"))
    await settle()
    assert await chat(world, "interrupt").touch("third") == "third"

    for each in (first, second):
        with pytest.raises(CanceledError):
            await each


@pytest.mark.parametrize("keep_written", [True, False])
@pytest.mark.parametrize("rounds", [0, 1, 2, 3, 50])
async def test_a_crash_after_an_interrupt_leaves_both_halves_or_neither(
    world: World, rounds: int, *, keep_written: bool
) -> None:
    begin(chat(world, idempotency_key="1").answer("first"))
    await settle()
    begin(chat(world, "interrupt", idempotency_key="2").touch("next"))
    for _ in range(rounds):
        await asyncio.sleep(0)
    await world.crash(keep_written=keep_written)
    in_lane = list(world.store.scan(*keys.prefix_range(keys.LANE)))
    assert len(in_lane) == len(told(world))
    await world.start()
    next_ = begin(chat(world, "interrupt", idempotency_key="2").touch("next"))
    Outer.gate("first clean").set()
    await settle()

    assert await next_ == "next"
    assert (await chat(world).look())[-1] == "next"
    assert len(told(world)) == 1
    assert_nothing_is_open(world)


async def test_a_duplicate_interrupts_nothing_again(world: World) -> None:
    Outer.gate("first clean").set()
    begin(chat(world).answer("first"))
    await settle()
    assert await chat(world, "interrupt", idempotency_key="k").touch("next") == "next"
    second = begin(chat(world).answer("second"))
    await settle()

    assert await chat(world, "interrupt", idempotency_key="k").touch("other") == "next"
    assert not second.done()
    assert len(told(world)) == 1


async def test_a_suspended_holder_comes_back_to_clean_up(world: World) -> None:
    first = begin(chat(world).wait("first"))
    await settle()
    world.runtime.suspend_idle()
    assert world.runtime.statistics().attempts_resident == 0

    assert await chat(world, "interrupt").touch("next") == "next"
    assert Outer.lines == ["first cleaned"]
    with pytest.raises(CanceledError):
        await first


@pytest.mark.parametrize("suspends_first", [True, False])
async def test_an_interrupt_and_a_suspension_in_one_turn_lose_neither(
    world: World, *, suspends_first: bool
) -> None:
    begin(chat(world).wait("first"))
    await settle()
    if suspends_first:
        world.runtime.suspend_idle()
    next_ = begin(chat(world, "interrupt").touch("next"))
    if not suspends_first:
        await asyncio.sleep(0)
        world.runtime.suspend_idle()
    await settle()

    assert await next_ == "next"
    assert Outer.lines == ["first cleaned"]


async def test_a_paused_holder_is_woken_to_clean_up_and_end(world: World) -> None:
    id_ = await chat(world).wait.send("first")
    await settle()
    await world.runtime.invocation(id_).pause()

    assert await chat(world, "interrupt").touch("next") == "next"
    assert Outer.lines == ["first cleaned"]
    assert_nothing_is_open(world)


async def test_a_holder_that_waits_for_its_next_attempt_is_woken(world: World) -> None:
    await chat(world).back_off.send("first")
    await settle()

    assert await chat(world, "interrupt").touch("next") == "next"
    assert Outer.lines == ["broke down", "first cleaned"]
    assert_nothing_is_open(world)


async def test_a_delayed_one_interrupts_when_it_is_due_and_not_before(world: World) -> None:
    Outer.gate("first clean").set()
    await world.runtime.send_by_name("Chat", "a", "touch", "late", delay=DELAY, mode="interrupt")
    begin(chat(world).answer("first"))
    begin(chat(world).touch("behind"))
    await world.clock.advance(9)
    assert told(world) == []
    await world.clock.advance(1)
    await settle()

    assert (await chat(world).look())[1:] == ["first was interrupted", "late", "behind"]


async def test_one_that_fell_due_in_downtime_interrupts_at_the_next_start(world: World) -> None:
    Outer.gate("first clean").set()
    await chat(world).wait.send("first")
    await chat(world).touch.send("behind")
    await chat(world, "interrupt").touch.send("late", delay=DELAY)
    await settle()
    await world.crash()
    world.clock.jump(60)
    await world.start()
    await settle()

    assert await chat(world).look() == ["late", "behind"]
    assert Outer.lines == ["first cleaned"]


async def test_a_handler_interrupts_its_own_turn_by_a_send(world: World) -> None:
    first = begin(chat(world).restart("own"))
    await settle()

    with pytest.raises(CanceledError):
        await first
    assert await chat(world).look() == ["sent", "own"]
    assert_nothing_is_open(world)


async def test_a_handler_that_would_wait_for_what_ends_it_is_told_the_cure(world: World) -> None:
    said = await chat(world).wait_for_itself("own")

    assert "would interrupt itself and never see the result of Chat/a/touch; use send()" in said
    assert await chat(world).look() == []


@pytest.mark.parametrize("verb", ["interrupt", "interrupt_by_name", "send_by_name"])
async def test_a_handler_interrupts_another_key(world: World, verb: str) -> None:
    Outer.gate("first clean").set()
    first = begin(chat(world).answer("first"))
    await settle()
    await getattr(world.runtime.object(Other, "b"), verb)("a")
    await settle()

    with pytest.raises(CanceledError):
        await first
    assert len(await chat(world).look()) == 3


async def test_a_holder_whose_section_waits_behind_its_own_turn_is_refused_as_a_deadlock(
    world: World,
) -> None:
    """The cancellation is held back, so nothing else would ever end the wait."""
    first = begin(chat(world).shield_and_ask("b"))
    await settle()
    Outer.gate("shielded").set()
    await settle()

    with pytest.raises(CanceledError):
        await first
    assert await chat(world).look() == []
    assert_nothing_is_open(world)


async def test_one_in_the_lane_is_taken_out_by_a_cancel_and_by_a_kill(world: World) -> None:
    begin(chat(world).answer("first"))
    await settle()
    ids = [await chat(world, "interrupt").touch.send(f"i{number}") for number in range(4)]
    assert await world.runtime.invocation(ids[1]).cancel("not this one")
    assert await world.runtime.invocation(ids[2]).kill()
    Outer.gate("first clean").set()
    await settle()

    assert (await chat(world).look())[2:] == ["i0", "i3"]
    assert_nothing_is_open(world)


async def test_when_the_holder_is_killed_the_lane_goes_first(world: World) -> None:
    id_ = await chat(world).answer.send("first")
    await settle()
    behind = begin(chat(world).touch("behind"))
    await settle()
    next_ = begin(chat(world, "interrupt").touch("next"))
    await settle()
    await world.runtime.invocation(id_).kill()

    assert (await next_, await behind) == ("next", "behind")
    # What it changed before its last command stays, what came later goes.
    assert (await chat(world).look())[-2:] == ["next", "behind"]


async def test_the_bound_of_the_mailbox_counts_the_lane_and_holds_for_interrupts() -> None:
    Outer.clear()
    world = World([Chat], RuntimeConfig(mailbox_invocations_max=2))
    await world.start()
    begin(chat(world).answer("first"))
    await settle()
    begin(chat(world).touch("behind"))
    begin(chat(world, "interrupt").touch("next"))
    await settle()
    for mode in ("interrupt", "queue"):
        with pytest.raises(MailboxFullError, match="has 2 calls waiting"):
            await chat(world, mode).touch("too many")

    assert len(told(world)) == 1
    world.close()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (("Chat", "a", "look"), "Chat/a/look is a shared handler, which waits for no turn"),
        (("Bare", None, "go"), "Bare/go is a handler of a service"),
        (("Flow", "f", "run"), "Flow/f/run is a handler of a workflow"),
    ],
)
@pytest.mark.parametrize("mode", ["interrupt", "steer"])
async def test_what_has_no_turn_to_act_on_is_refused_and_leaves_no_trace(
    world: World, target: tuple[str, str | None, str], said: str, mode: Any
) -> None:
    rows = dict(world.store.scan(b"", None))
    with pytest.raises(InvalidArgumentError, match=f"{said}.*so mode='{mode}' has nothing to"):
        await world.runtime.call_by_name(*target, mode=mode)
    with pytest.raises(InvalidArgumentError, match="leave it out"):
        await world.runtime.send_by_name(*target, mode=mode)

    assert dict(world.store.scan(b"", None)) == rows


@pytest.mark.parametrize("mode", ["interupt", None, 1, True])
async def test_a_mode_there_is_not_is_refused(world: World, mode: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="mode is one of 'queue', 'interrupt', 'steer'"):
        chat(world, mode)


async def test_a_failed_clean_up_is_tried_again_and_the_lane_waits(world: World) -> None:
    id_ = parse_invocation_id(await chat(world).answer.send("first"))
    await settle()
    next_ = begin(chat(world, "interrupt").touch("next"))
    await settle()
    await world.restart()
    await settle()
    assert world.store.get(keys.invocation(id_)) is not None
    assert Outer.lines.count("first clean began") == 2
    Outer.gate("first clean").set()
    await settle()

    assert (await chat(world).look())[-1] == "next"
    assert next_.done()
