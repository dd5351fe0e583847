"""Messages for the turn under way: who reads them, and that none is lost or read twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from holdfast import (
    CanceledError,
    Context,
    InvalidArgumentError,
    RetryPolicy,
    RuntimeConfig,
    Service,
    TerminalError,
    VirtualObject,
    Workflow,
    handler,
    shared,
    state,
)
from holdfast.journal import keys
from holdfast.objects.identity import Target
from holdfast.runtime.requests import CallRequest
from holdfast.runtime.testing import settle

from .agreement import assert_agree
from .controlled import Outer, work
from .worlds import World

ONCE = RetryPolicy(max_attempts=1, on_max_attempts="fail")
FOREVER = 10_000.0


@dataclass
class Hint:
    text: str


@dataclass
class Twin:
    text: str


class Agent(VirtualObject):
    """Runs long, and is told things meanwhile."""

    log: list[Any] = state(default_factory=list)

    @handler
    async def read(self, ctx: Context, count: int) -> list[str]:
        inbox = ctx.inbox(str)
        for _ in range(count):
            self.log.append(await inbox.get())
        return self.log

    @handler
    async def read_hints(self, ctx: Context, count: int) -> list[str]:
        inbox = ctx.inbox(Hint)
        return [(await inbox.get()).text for _ in range(count)]

    @handler
    async def read_both(self, ctx: Context) -> list[Any]:
        """Two types at once, the second asked for first."""
        number, text = ctx.inbox(int).get(), ctx.inbox(str).get()
        return list(await asyncio.gather(number, text))

    @handler
    async def race(self, ctx: Context) -> list[str]:
        """Of two reads the loser is given back before it has taken anything."""
        inbox = ctx.inbox(str)
        first, second = inbox.get(), inbox.get()
        await asyncio.wait([first, second], return_when=asyncio.FIRST_COMPLETED)
        second.cancel()
        self.log.append(await first)
        return self.log

    @handler
    async def drain(self, ctx: Context, name: str) -> list[Any]:
        await ctx.run("work", work, name)
        self.log += await ctx.inbox(str).drain()
        self.log.append("and")
        self.log += await ctx.inbox(str).drain()
        return self.log

    @handler
    async def drain_too_late(self, ctx: Context, name: str) -> str:
        """The time is up before what was asked for can arrive."""
        try:
            async with asyncio.timeout(5):
                await ctx.run("work", work, name)
                self.log += await ctx.inbox(str).drain()
        except TimeoutError:
            return "too late"
        return "in time"

    @handler
    async def read_briefly(self, ctx: Context) -> str:
        try:
            async with asyncio.timeout(5):
                return await ctx.inbox(str).get()
        except TimeoutError:
            await ctx.run("work", work, "after")
            return "nothing"

    @handler
    async def read_at_once_or_not(self, ctx: Context) -> str:
        await ctx.run("work", work, "first")
        try:
            async with asyncio.timeout(0):
                return await ctx.inbox(str).get()
        except TimeoutError:
            return "nothing"

    @handler
    async def ignore(self, ctx: Context, name: str) -> str:
        return await ctx.run("work", work, name)

    @handler
    async def leave_a_read_behind(self, ctx: Context, name: str) -> str:
        async def clean_up() -> None:
            try:
                await ctx.sleep(FOREVER)
            finally:
                await ctx.run("clean", work, f"{name} clean")

        task = asyncio.create_task(clean_up())
        unread = ctx.inbox(str).get()
        await ctx.run("work", work, name)
        assert not task.done()
        assert not unread.done()
        return "left"

    @handler(retry=RetryPolicy(initial_interval=timedelta(seconds=10)))
    async def read_and_fail_once(self, ctx: Context) -> list[str]:
        self.log.append(await ctx.inbox(str).get())
        Outer.lines.append("tried")
        if Outer.lines.count("tried") == 1:
            message = "once"
            raise OSError(message)
        self.log.append(await ctx.inbox(str).get())
        return self.log

    @handler
    async def tell_itself(self, ctx: Context) -> list[str]:
        mine = ctx.object(Agent, ctx.key, mode="steer")
        await mine.touch.send("a")
        await ctx.send("Agent", ctx.key, "touch", "b", mode="steer")
        return await ctx.inbox(str).drain()

    @handler
    async def touch(self, ctx: Context, text: str) -> str:
        self.log.append(text)
        return text

    @handler
    async def poke(self, ctx: Context) -> None:
        self.log.append("poked")

    @handler
    async def hint(self, ctx: Context, text: str, weight: int = 0) -> None:
        self.log.append(f"hint {text}")

    @handler
    async def number(self, ctx: Context, number: int) -> None:
        self.log.append(number)

    @handler
    async def read_anything(self, ctx: Context) -> Any:
        return await ctx.inbox().get()

    @handler(retry=ONCE)
    async def read_what_none_can_be(self, ctx: Context) -> None:
        await ctx.inbox(Hint | Twin).get()

    @shared
    async def look(self, ctx: Context) -> list[Any]:
        return self.log

    @shared(retry=ONCE)
    async def read_shared(self, ctx: Context) -> None:
        ctx.inbox(str)


class Guide(VirtualObject):
    """Steers others."""

    @handler
    async def steer(self, ctx: Context, key: str) -> str:
        return await ctx.object(Agent, key, mode="steer").touch.send(f"from {ctx.key}")

    @handler
    async def call_to_steer(self, ctx: Context, key: str) -> str:
        try:
            return await ctx.object(Agent, key, mode="steer").touch("no")
        except InvalidArgumentError as error:
            return error.message

    @handler
    async def ask_and_wait(self, ctx: Context, key: str) -> list[str]:
        return await ctx.object(Agent, key).read(1)


class Bare(Service):
    @handler(retry=ONCE)
    async def read(self, ctx: Context) -> None:
        ctx.inbox(str)


class Flow(Workflow):
    @handler(retry=ONCE)
    async def run(self, ctx: Context) -> None:
        ctx.inbox(str)


CLASSES = [Agent, Guide, Bare, Flow]
OPEN = (keys.INVOCATION, keys.LIVE, keys.TURN, keys.INBOX, keys.LANE, keys.TIMER, keys.MESSAGE)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Outer.clear()
    world = World(CLASSES)
    await world.start()
    yield world
    world.close()


def begin(coroutine: Any) -> asyncio.Future[Any]:
    """Ask, and do not mind when nobody looks at the answer."""
    asked: asyncio.Future[Any] = asyncio.ensure_future(coroutine)
    asked.add_done_callback(lambda done: done.cancelled() or done.exception())
    return asked


async def soon(asked: asyncio.Future[Any]) -> Any:
    """The answer, which is there."""
    return await asyncio.wait_for(asked, 0)


def agent(world: World, **options: Any) -> Agent:
    return world.runtime.object(Agent, "a", **options)


async def steer(world: World, text: str, **options: Any) -> str:
    return await agent(world, mode="steer", **options).touch.send(text)


async def outcome_of(world: World, name: str, text: str) -> Any:
    """What became of a message that was sent with the idempotency key ``name``."""
    request = CallRequest(
        target=Target("Agent", "a", "touch"),
        argument=f'"{text}"'.encode(),
        idempotency_key=name,
    )
    return (await world.runtime.submit(request, wait=True)).outcome


def assert_nothing_is_open(world: World) -> None:
    for table in OPEN:
        assert not list(world.store.scan(*keys.prefix_range(table))), table


async def test_a_turn_reads_messages_in_order_and_their_outcome_is_null(world: World) -> None:
    reading = begin(agent(world).read(3))
    await settle()
    for number in range(3):
        await steer(world, f"m{number}", idempotency_key=f"k{number}")
    await settle()

    assert await soon(reading) == ["m0", "m1", "m2"]
    assert await outcome_of(world, "k1", "m1") == b"null"
    assert_nothing_is_open(world)


async def test_a_call_with_the_idempotency_key_of_a_message_that_was_read_gives_none(
    world: World,
) -> None:
    begin(agent(world).read(1))
    await settle()
    steering = world.runtime.object(Agent, "a", mode="steer", idempotency_key="k")
    await steering.ignore.send("m")
    await settle()

    calling = begin(world.runtime.object(Agent, "a", idempotency_key="k").ignore("m"))
    await settle()
    assert await soon(calling) is None


async def test_attaching_to_a_message_that_was_read_gives_none_whatever_its_handler_returns(
    world: World,
) -> None:
    begin(agent(world).read(1))
    await settle()
    id_ = await steer(world, "m")
    waiting = begin(world.runtime.invocation(id_).attach())
    await settle()

    assert await soon(waiting) is None
    assert await world.runtime.invocation(id_).output() is None


async def test_a_message_that_came_before_the_read_is_there(world: World) -> None:
    drained = begin(agent(world).drain("x"))
    await settle()
    for number in range(3):
        await steer(world, f"m{number}")
    Outer.gate("x").set()
    await settle()

    assert await soon(drained) == ["m0", "m1", "m2", "and"]
    assert_nothing_is_open(world)


async def test_a_drain_of_nothing_is_an_empty_list(world: World) -> None:
    Outer.gate("x").set()

    assert await agent(world).drain("x") == ["and"]


async def test_when_nobody_holds_the_turn_a_message_is_an_ordinary_call(world: World) -> None:
    await steer(world, "alone")
    await settle()

    assert await agent(world).look() == ["alone"]
    assert_nothing_is_open(world)


async def test_unread_messages_become_calls_in_order_among_those_who_wait(world: World) -> None:
    ignoring = begin(agent(world).ignore("x"))
    await settle()
    await steer(world, "m0")
    normal = begin(agent(world).touch("normal"))
    await settle()
    await steer(world, "m1")
    Outer.gate("x").set()
    await settle()

    assert await soon(ignoring) == "x"
    assert await normal == "normal"
    assert await agent(world).look() == ["m0", "normal", "m1"]
    assert_nothing_is_open(world)


async def test_what_one_turn_has_left_unread_the_next_one_does_not_take(world: World) -> None:
    begin(agent(world).ignore("x"))
    await settle()
    reading = begin(agent(world).read(1))
    await settle()
    await steer(world, "left by the first")
    Outer.gate("x").set()
    await settle()
    assert not reading.done()
    await steer(world, "for the second")
    await settle()

    assert await soon(reading) == ["for the second"]
    assert await agent(world).look() == ["for the second", "left by the first"]


async def test_messages_of_a_killed_turn_become_calls(world: World) -> None:
    id_ = await agent(world).read.send(3)
    await settle()
    await steer(world, "read")
    await settle()
    await agent(world, mode="steer").number.send(5)
    await settle()
    await world.runtime.invocation(id_).kill()
    await settle()

    assert await agent(world).look() == ["read", 5]
    assert_nothing_is_open(world)


async def test_messages_of_a_canceled_and_of_an_interrupted_turn_become_calls(
    world: World,
) -> None:
    for mode in ("queue", "interrupt"):
        begin(agent(world).ignore("x"))
        await settle()
        await steer(world, f"unread {mode}")
        if mode == "interrupt":
            await agent(world, mode=mode).touch("next")
        else:
            (key, _), *_ = world.store.scan(*keys.prefix_range(keys.LIVE))
            await world.runtime.invocation(f"inv_{key[1:].hex()}").cancel()
        await settle()

    assert await agent(world).look() == ["unread queue", "next", "unread interrupt"]
    assert_nothing_is_open(world)


async def test_a_message_that_does_not_fit_stays_and_becomes_a_call(world: World) -> None:
    reading = begin(agent(world).read(2))
    await settle()
    await agent(world, mode="steer").number.send(1)
    await steer(world, "fits")
    await agent(world, mode="steer").hint.send("is an object")
    await agent(world, mode="steer").poke.send()
    await settle()
    assert not reading.done()
    await steer(world, "fits too")
    await settle()

    assert await soon(reading) == ["fits", "fits too"]
    assert (await agent(world).look())[2:] == [1, "hint is an object", "poked"]


async def test_a_message_of_several_parameters_is_read_as_the_object_of_them(world: World) -> None:
    reading = begin(agent(world).read_hints(1))
    await settle()
    await agent(world, mode="steer").hint.send("be brief", weight=3)
    await settle()

    assert await soon(reading) == ["be brief"]


async def test_a_message_without_an_argument_is_null(world: World) -> None:
    reading = begin(agent(world).read_anything())
    await settle()
    await agent(world, mode="steer").poke.send()
    await settle()

    assert await soon(reading) is None


async def test_each_read_gets_what_fits_it(world: World) -> None:
    reading = begin(agent(world).read_both())
    await settle()
    await steer(world, "text")
    await agent(world, mode="steer").number.send(7)
    await settle()

    assert await soon(reading) == [7, "text"]


async def test_of_two_reads_at_once_the_one_that_is_given_back_takes_nothing(world: World) -> None:
    begin(agent(world).ignore("x"))
    await settle()
    racing = begin(agent(world).race())
    Outer.gate("x").set()
    await settle()
    first, second = begin(steer(world, "m0")), begin(steer(world, "m1"))
    await settle()

    assert await soon(racing) == ["m0"]
    assert first.done()
    assert second.done()
    assert await agent(world).look() == ["m0", "m1"]


async def test_a_read_whose_time_is_up_swallows_no_later_message(world: World) -> None:
    reading = begin(agent(world).read_briefly())
    await settle()
    assert list(world.store.scan(*keys.prefix_range(keys.MESSAGE)))
    await world.clock.advance(5)
    await settle()
    assert not list(world.store.scan(*keys.prefix_range(keys.MESSAGE)))
    await steer(world, "too late")
    Outer.gate("after").set()
    await settle()

    assert await soon(reading) == "nothing"
    assert await agent(world).look() == ["too late"]
    assert_nothing_is_open(world)


async def test_a_read_that_is_given_back_before_the_handler_waits_takes_nothing(
    world: World,
) -> None:
    reading = begin(agent(world).read_at_once_or_not())
    await settle()
    await steer(world, "there already")
    Outer.gate("first").set()
    await settle()

    assert await soon(reading) == "nothing"
    assert await agent(world).look() == ["there already"]


async def test_a_drain_that_is_cut_off_by_what_was_recorded_before_loses_nothing(
    world: World,
) -> None:
    """The step ends and the time is up in one turn, so the drain is asked for in between."""
    reading = begin(agent(world).drain_too_late("x"))
    await settle()
    await steer(world, "kept")
    id_ = next(iter(world.store.scan(*keys.prefix_range(keys.TURN))))[1][8:]
    await world.runtime.invocation(f"inv_{id_.hex()}").pause()
    Outer.gate("x").set()
    await settle()
    await world.clock.advance(5)
    await world.runtime.invocation(f"inv_{id_.hex()}").resume()
    await settle()

    assert await soon(reading) == "too late"
    assert await agent(world).look() == ["kept"]
    assert_nothing_is_open(world)


@pytest.mark.parametrize("keep_written", [True, False])
@pytest.mark.parametrize("rounds", [0, 1, 2, 3, 4, 5, 50])
async def test_a_crash_at_any_moment_neither_loses_nor_doubles_a_message(
    world: World, rounds: int, *, keep_written: bool
) -> None:
    await agent(world, idempotency_key="r").read.send(2)
    await settle()
    begin(steer(world, "m0", idempotency_key="m0"))
    for _ in range(rounds):
        await asyncio.sleep(0)
    await world.restart(keep_written=keep_written)
    reading = begin(agent(world, idempotency_key="r").read(2))
    await steer(world, "m0", idempotency_key="m0")
    await settle()
    await steer(world, "m1", idempotency_key="m1")
    await settle()

    assert await soon(reading) == ["m0", "m1"]
    assert await agent(world).look() == ["m0", "m1"]
    assert_nothing_is_open(world)


async def test_an_arrival_wakes_a_suspended_turn(world: World) -> None:
    reading = begin(agent(world).read(2))
    await settle()
    for number in range(2):
        world.runtime.suspend_idle()
        assert world.runtime.statistics().attempts_resident == 0
        await steer(world, f"m{number}")
        await settle()

    assert await soon(reading) == ["m0", "m1"]
    assert_nothing_is_open(world)


@pytest.mark.parametrize("suspends_first", [True, False])
@pytest.mark.parametrize("rounds", [0, 1, 2])
async def test_an_arrival_and_a_suspension_in_one_turn_lose_neither(
    world: World, rounds: int, *, suspends_first: bool
) -> None:
    reading = begin(agent(world).read(1))
    await settle()
    if suspends_first:
        world.runtime.suspend_idle()
    begin(steer(world, "m"))
    for _ in range(rounds):
        await asyncio.sleep(0)
    if not suspends_first:
        world.runtime.suspend_idle()
    await settle()

    assert await soon(reading) == ["m"]
    assert_nothing_is_open(world)


async def test_a_crash_between_an_arrival_and_the_look_of_the_turn_is_made_up_for(
    world: World,
) -> None:
    begin(agent(world, idempotency_key="r").read(1))
    await settle()
    world.runtime.suspend_idle()
    # In one decision: the place in the mailbox, and that the turn has to look.
    begin(steer(world, "m"))
    await asyncio.sleep(0)
    vars(world.runtime)["_commits"].write()
    assert list(world.store.scan(*keys.prefix_range(keys.LIVE)))
    await world.restart()
    await settle()

    assert await agent(world, idempotency_key="r").read(1) == ["m"]


async def test_an_arrival_that_does_not_fit_lets_the_turn_go_back_to_sleep(world: World) -> None:
    begin(agent(world).read(1))
    await settle()
    world.runtime.suspend_idle()
    await agent(world, mode="steer").number.send(1)
    await settle()
    world.runtime.suspend_idle()

    assert world.runtime.statistics().attempts_resident == 0
    assert not list(world.store.scan(*keys.prefix_range(keys.LIVE)))
    await settle()


async def test_a_failed_attempt_reads_again_what_it_has_read_and_then_what_came(
    world: World,
) -> None:
    reading = begin(agent(world).read_and_fail_once())
    await settle()
    await steer(world, "m0")
    await settle()
    await steer(world, "m1")
    await settle()
    assert not reading.done()
    await world.clock.advance(10)
    await settle()

    assert await soon(reading) == ["m0", "m1"]
    assert_nothing_is_open(world)


async def test_a_paused_turn_is_not_woken_and_reads_when_it_is_resumed(world: World) -> None:
    id_ = await agent(world).read.send(1)
    await settle()
    await world.runtime.invocation(id_).pause()
    await steer(world, "m")
    await settle()
    assert await agent(world).look() == []
    await world.runtime.invocation(id_).resume()
    await settle()

    assert await agent(world).look() == ["m"]
    assert_nothing_is_open(world)


async def test_a_read_that_the_handler_has_left_behind_takes_nothing(world: World) -> None:
    leaving = begin(agent(world).leave_a_read_behind("x"))
    await settle()
    Outer.gate("x").set()
    await settle()
    assert Outer.lines[-1] == "x clean began"
    await steer(world, "not for a turn that is ending")
    await settle()
    Outer.gate("x clean").set()
    await settle()

    assert await soon(leaving) == "left"
    assert await agent(world).look() == ["not for a turn that is ending"]
    assert_nothing_is_open(world)


async def test_a_delayed_message_is_handed_over_when_it_is_due(world: World) -> None:
    reading = begin(agent(world).read(1))
    await settle()
    world.runtime.suspend_idle()
    await agent(world, mode="steer").touch.send("m", delay=timedelta(seconds=10))
    await world.clock.advance(9)
    assert not reading.done()
    await world.clock.advance(1)
    await settle()

    assert await soon(reading) == ["m"]


async def test_a_message_that_is_canceled_is_never_read(world: World) -> None:
    begin(agent(world).drain("x"))
    await settle()
    ids = [await steer(world, f"m{number}") for number in range(4)]
    assert await world.runtime.invocation(ids[1]).cancel()
    assert await world.runtime.invocation(ids[2]).kill()
    assert_agree(world.runtime)
    Outer.gate("x").set()
    await settle()

    assert await agent(world).look() == ["m0", "m3", "and"]


async def test_a_turn_that_waits_for_a_message_is_canceled_and_killed_like_any_other(
    world: World,
) -> None:
    for verb in ("cancel", "kill"):
        reading = begin(agent(world).read(1))
        await settle()
        id_ = next(iter(world.store.scan(*keys.prefix_range(keys.TURN))))[1][8:]
        world.runtime.suspend_idle()
        await getattr(world.runtime.invocation(f"inv_{id_.hex()}"), verb)()
        await settle()
        with pytest.raises(CanceledError):
            await soon(reading)
        assert_nothing_is_open(world)


async def test_a_handler_steers_its_own_turn(world: World) -> None:
    assert await agent(world).tell_itself() == ["a", "b"]
    assert_nothing_is_open(world)


async def test_a_handler_steers_another_key(world: World) -> None:
    reading = begin(agent(world).read(1))
    await settle()
    await world.runtime.object(Guide, "g").steer("a")
    await settle()

    assert await soon(reading) == ["from g"]


async def test_waiting_for_a_message_is_no_deadlock_since_anybody_may_send_one(
    world: World,
) -> None:
    asked = begin(world.runtime.object(Guide, "g").ask_and_wait("a"))
    behind = begin(world.runtime.object(Guide, "g").ask_and_wait("a"))
    await settle()
    await steer(world, "m0")
    await settle()
    await steer(world, "m1")
    await settle()

    assert (await asked, await behind) == (["m0"], ["m0", "m1"])


async def test_a_call_that_waits_is_told_to_send(world: World) -> None:
    rows = dict(world.store.scan(b"", None))
    with pytest.raises(InvalidArgumentError, match='use send\\(\\) with mode="steer"'):
        await agent(world, mode="steer").touch("no")
    assert dict(world.store.scan(b"", None)) == rows

    assert "use send()" in await world.runtime.object(Guide, "g").call_to_steer("a")


async def test_only_an_exclusive_handler_of_an_object_has_an_inbox(world: World) -> None:
    for call in (
        agent(world).read_shared(),
        world.runtime.service(Bare).read(),
        world.runtime.workflow(Flow, "f").run(),
    ):
        with pytest.raises(TerminalError, match="only an exclusive handler of a virtual object"):
            await call


async def test_a_type_that_nothing_can_be_read_as_is_refused(world: World) -> None:
    with pytest.raises(TerminalError) as raised:
        await agent(world).read_what_none_can_be()

    assert raised.value.type_name == "InvalidDefinitionError"
    assert_nothing_is_open(world)


async def test_with_always_replay_messages_are_read_the_same() -> None:
    Outer.clear()
    world = World(CLASSES, RuntimeConfig(always_replay=True))
    await world.start()
    reading = begin(agent(world).read(2))
    await settle()
    await steer(world, "m0")
    await steer(world, "m1")
    await settle()
    drained = begin(agent(world).drain("x"))
    await settle()
    await steer(world, "m2")
    Outer.gate("x").set()
    await settle()

    assert await soon(reading) == ["m0", "m1"]
    assert await soon(drained) == ["m0", "m1", "m2", "and"]
    assert world.runtime.statistics().attempts_started > 4
    world.close()
