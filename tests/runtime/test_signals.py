"""Signals reach an invocation by its id: in order, each once, early or late."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from holdfast import (
    Context,
    InvalidArgumentError,
    MailboxFullError,
    RetryPolicy,
    RuntimeConfig,
    Service,
    TerminalError,
    UnknownTargetError,
    VirtualObject,
    handler,
    shared,
    state,
)
from holdfast.journal import keys
from holdfast.objects.identity import Target
from holdfast.runtime.requests import CallRequest
from holdfast.runtime.testing import settle
from holdfast.testing import Effects, crash_everywhere

from .worlds import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from holdfast.testing import Client, Ending

EFFECTS = Effects()
ONCE = RetryPolicy(max_attempts=1, on_max_attempts="fail")
TWICE = RetryPolicy(max_attempts=2, on_max_attempts="fail")


async def act(what: str) -> str:
    EFFECTS.add(what)
    await asyncio.sleep(0)
    return what


class Session(VirtualObject):
    """Is talked to while it runs."""

    heard: list[str] = state(default_factory=list)
    silent: int = state(0)

    @handler
    async def listen(self, ctx: Context, count: int) -> list[str]:
        for _ in range(count):
            self.heard.append(await ctx.signal("word", str))
        return self.heard

    @handler
    async def listen_late(self, ctx: Context, seconds: float) -> list[str]:
        await ctx.sleep(seconds)
        return [await ctx.signal("word", str), await ctx.signal("word", str)]

    @handler
    async def listen_at_once(self, ctx: Context, count: int) -> list[str]:
        waits = [ctx.signal("word", str) for _ in range(count)]
        return list(await asyncio.gather(*waits))

    @handler
    async def poll(self, ctx: Context, words: int) -> list[str]:
        """Waits a second for each, and counts how often there was none."""
        while len(self.heard) < words:
            try:
                async with asyncio.timeout(1):
                    self.heard.append(await ctx.signal("word", str))
            except TimeoutError:
                self.silent += 1
        return self.heard

    @handler
    async def give_up_two(self, ctx: Context) -> list[str]:
        """Two wait, both give up after a second, and then three are wanted."""
        first, second = ctx.signal("word", str), ctx.signal("word", str)
        await ctx.sleep(1)
        first.cancel()
        again = ctx.signal("word", str)  # It gets what the first one had.
        second.cancel()
        again.cancel()
        return [await ctx.signal("word", str) for _ in range(3)]

    @handler
    async def give_up_one_of_two(self, ctx: Context) -> list[str]:
        first, second = ctx.signal("word", str), ctx.signal("word", str)
        await ctx.sleep(1)
        first.cancel()
        return [await second, await ctx.signal("word", str)]

    @handler
    async def hear_last_word(self, ctx: Context) -> str:
        try:
            return await ctx.signal("word", str)
        except asyncio.CancelledError:
            return "canceled, then " + await ctx.signal("word", str)

    @handler
    async def refused(self, ctx: Context) -> str:
        try:
            return await ctx.signal("word", str)
        except TerminalError as error:
            return f"{error.status_code} {error.message}"

    @handler
    async def leave(self, ctx: Context) -> str:
        ctx.signal("word")
        return await ctx.run("act", act, "left")

    @handler(retry=ONCE)
    async def fail(self, ctx: Context) -> None:
        waiting = ctx.signal("word")
        await ctx.run("act", act, "failed")
        del waiting
        message = "broken"
        raise OSError(message)

    @handler(retry=TWICE)
    async def fail_sooner(self, ctx: Context) -> None:
        """The second attempt does not come as far as the first one."""
        message = "broken"
        if EFFECTS.lines:
            raise OSError(message)
        EFFECTS.add("waits")
        ctx.signal("word")
        raise OSError(message)

    @handler
    async def talk_to_oneself(self, ctx: Context) -> list[str]:
        ctx.send_signal(ctx.invocation_id, "word", "early")
        waits = ctx.signal("word", str), ctx.signal("word", str)
        ctx.send_signal(ctx.invocation_id, "word", "late")
        return [await wait for wait in waits]

    @handler(retry=ONCE)
    async def name_badly(self, ctx: Context) -> None:
        await ctx.signal("x" * 257)

    @handler(retry=ONCE)
    async def send_badly(self, ctx: Context) -> None:
        ctx.send_signal("awk_" + "0" * 40, "word", "x")

    @shared
    async def read(self, ctx: Context) -> list[str]:
        return self.heard


class Sender(Service):
    @handler
    async def say(self, ctx: Context, to: str, words: list[str]) -> None:
        for word in words:
            ctx.send_signal(to, "word", await ctx.run("act", act, word))

    @handler
    async def refuse(self, ctx: Context, to: str, reason: str) -> None:
        ctx.reject_signal(to, "word", TerminalError(reason, status_code=418))


CLASSES = [Session, Sender]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    EFFECTS.clear()
    world = World(CLASSES, RuntimeConfig(signals_max=3))
    await world.start()
    yield world
    world.close()


async def begin(world: World, name: str, argument: Any = None) -> tuple[str, asyncio.Future[Any]]:
    """Call a handler of the session ``s``; gives its id, and the future of what it returns."""
    request = CallRequest(
        target=Target("Session", "s", name),
        argument=b"" if argument is None else json.dumps(argument).encode(),
        idempotency_key=name,
    )
    id_ = (await world.runtime.submit(request, wait=False)).invocation_id
    await settle()
    return id_, asyncio.ensure_future(outcome(world, request))


async def outcome(world: World, request: CallRequest) -> Any:
    found = (await world.runtime.submit(request, wait=True)).outcome
    if isinstance(found, TerminalError):
        raise found
    return json.loads(found or b"null")


async def send(world: World, to: str, *words: str) -> None:
    for word in words:
        await world.runtime.invocation(to).signal("word", word)


def rows(world: World) -> list[bytes]:
    """What there is of signals."""
    return [
        key[:1]
        for table in (keys.SIGNAL, keys.SIGNALLED)
        for key, _ in world.store.scan(*keys.prefix_range(table))
    ]


async def test_signals_come_in_the_order_in_which_they_were_sent(world: World) -> None:
    id_, heard = await begin(world, "listen", 5)
    await send(world, id_, "a", "b")
    await world.runtime.service(Sender).say(id_, ["c", "d", "e"])

    assert await heard == ["a", "b", "c", "d", "e"]
    assert rows(world) == []


async def test_early_signals_are_kept_in_order_across_a_restart(world: World) -> None:
    first, waiting = await begin(world, "listen", 1)
    waiting.cancel()
    queued, _ = await begin(world, "listen_late", 10)
    await send(world, queued, "a", "b")
    await world.restart()
    assert rows(world) == [keys.SIGNAL, keys.SIGNAL, keys.SIGNALLED]

    await send(world, first, "go")
    _, heard = await begin(world, "listen_late", 10)
    assert await world.finish(heard) == ["a", "b"]
    assert rows(world) == []


async def test_many_waits_are_served_first_come_first(world: World) -> None:
    id_, heard = await begin(world, "listen_at_once", 3)
    world.runtime.suspend_idle()
    await send(world, id_, "a", "b", "c")

    assert await heard == ["a", "b", "c"]


async def test_names_do_not_meet(world: World) -> None:
    id_, heard = await begin(world, "listen", 1)
    await world.runtime.invocation(id_).signal("other", "x")
    await world.runtime.invocation(id_).signal("wor", "y")
    assert not heard.done()
    await send(world, id_, "right")

    assert await heard == ["right"]
    assert rows(world) == []


async def test_a_rejected_signal_is_an_error_for_whoever_awaits_it(world: World) -> None:
    id_, heard = await begin(world, "refused")
    await world.runtime.invocation(id_).reject_signal("word", "not you")
    assert await heard == "500 not you"

    world.close()
    world = World(CLASSES)
    await world.start()
    id_, heard = await begin(world, "refused")
    await world.runtime.service(Sender).refuse(id_, "nor you")
    assert await heard == "418 nor you"
    world.close()


async def test_a_wait_that_is_given_up_swallows_no_later_signal(world: World) -> None:
    id_, heard = await begin(world, "poll", 2)
    await world.clock.advance(2.5)
    world.runtime.suspend_idle()
    await send(world, id_, "late")
    await world.clock.advance(2)
    await send(world, id_, "later")

    assert await heard == ["late", "later"]
    assert rows(world) == []


async def time_then_signal(world: World, id_: str) -> None:
    """Both are accepted while the handler is away: it sees the time first."""
    await world.crash()
    world.clock.jump(1)
    await world.start()  # What fell due comes first.
    await send(world, id_, "a")


async def signal_then_time(world: World, id_: str) -> None:
    sent = world.runtime.invocation(id_).signal("word", "a")
    world.clock.jump(1)
    await world.clock.advance(0)
    await sent


@pytest.mark.parametrize("order", [time_then_signal, signal_then_time])
async def test_a_signal_that_comes_when_the_time_is_over_is_heard_once(
    world: World, order: Callable[[World, str], Any]
) -> None:
    id_, _ = await begin(world, "poll", 1)
    await order(world, id_)

    _, heard = await begin(world, "poll", 1)
    assert await heard == ["a"]
    assert rows(world) == []


async def accept_behind_time(world: World, id_: str, words: list[str]) -> None:
    """Signals that are accepted after the time was up, and before the handler was told so.

    The attempt gets all of it in one turn, so it gives up waits that have their signals.
    """
    world.clock.jump(1)
    assert world.runtime.core.lifecycle.timers.fire_due() is False  # In the same turn.
    for word in words:
        world.runtime.invocation(id_).signal("word", word)
    await settle()


async def test_signals_that_were_taken_and_not_seen_are_given_back_in_order(world: World) -> None:
    id_, heard = await begin(world, "give_up_two")
    await accept_behind_time(world, id_, ["a", "b"])
    await send(world, id_, "c")

    assert await heard == ["a", "b", "c"]
    assert rows(world) == []


async def test_what_one_wait_gives_back_another_one_gets(world: World) -> None:
    id_, heard = await begin(world, "give_up_one_of_two")
    await accept_behind_time(world, id_, ["a"])
    await send(world, id_, "b")

    assert await heard == ["a", "b"]
    assert rows(world) == []


async def test_what_was_taken_from_a_suspended_handler_is_given_back_too(world: World) -> None:
    id_, _ = await begin(world, "give_up_two")
    await world.crash()
    world.clock.jump(1)
    await world.start()
    await send(world, id_, "a", "b", "c")

    _, heard = await begin(world, "give_up_two")
    assert await heard == ["a", "b", "c"]


@pytest.mark.parametrize("is_suspended", [False, True])
async def test_a_cancellation_swallows_no_signal(world: World, *, is_suspended: bool) -> None:
    id_, heard = await begin(world, "hear_last_word")
    if is_suspended:
        world.runtime.suspend_idle()
    handle = world.runtime.invocation(id_)
    canceled, sent = handle.cancel(), handle.signal("word", "bye")
    await asyncio.gather(canceled, sent)

    assert await heard == "canceled, then bye"
    assert rows(world) == []


async def test_a_handler_may_send_itself_signals(world: World) -> None:
    assert await world.runtime.object(Session, "s").talk_to_oneself() == ["early", "late"]
    assert rows(world) == []


@pytest.mark.parametrize("name", ["leave", "fail"])
async def test_an_invocation_that_ends_leaves_nothing_of_its_signals(
    world: World, name: str
) -> None:
    id_, ended = await begin(world, "listen", 1)
    queued, _ = await begin(world, name)
    for signal in ("word", "x", "y"):
        await world.runtime.invocation(queued).signal(signal)
    await send(world, id_, "go")
    await ended
    await settle()

    assert rows(world) == []
    assert not list(world.store.scan(*keys.prefix_range(keys.INVOCATION)))


@pytest.mark.parametrize("name", ["leave", "fail", "fail_sooner"])
async def test_an_invocation_that_ends_leaves_nothing_of_its_waits(world: World, name: str) -> None:
    _, ended = await begin(world, name)
    await asyncio.wait([ended, asyncio.ensure_future(world.clock.advance(10))])
    assert ended.done()
    assert (ended.exception() is None) == (name == "leave")

    assert rows(world) == []


async def test_a_signal_to_nobody_is_an_error_outside_and_nothing_inside(world: World) -> None:
    id_, heard = await begin(world, "listen", 1)
    await send(world, id_, "only")
    await heard

    for nobody in (id_, "inv_" + "0" * 32):
        with pytest.raises(UnknownTargetError, match=f"{nobody} does not exist or is completed"):
            await send(world, nobody, "late")
        await world.runtime.service(Sender).say(nobody, ["late"])
    assert rows(world) == []


async def test_too_many_early_signals_are_refused_outside_and_none_inside(world: World) -> None:
    await begin(world, "listen", 1)
    queued, _ = await begin(world, "listen_late", 1)
    await send(world, queued, "a", "b", "c")

    with pytest.raises(MailboxFullError, match=f"{queued} has 3 signals waiting"):
        await send(world, queued, "d")
    await world.runtime.service(Sender).say(queued, ["e"])
    assert rows(world).count(keys.SIGNAL) == 4


async def test_a_bad_signal_is_refused_and_leaves_nothing(world: World) -> None:
    runtime = world.runtime
    id_, _ = await begin(world, "listen", 1)
    handle = runtime.invocation(id_)
    with pytest.raises(InvalidArgumentError, match="the name of a signal is a str"):
        handle.signal("")
    with pytest.raises(InvalidArgumentError, match="cannot be encoded"):
        handle.signal("word", object())
    with pytest.raises(TerminalError, match="the name of a signal"):
        await runtime.object(Session, "t").name_badly()
    with pytest.raises(TerminalError, match="expected an invocation id"):
        await runtime.object(Session, "t").send_badly()

    assert rows(world) == [keys.SIGNALLED]


async def test_a_signal_of_another_type_is_an_error_for_the_handler(world: World) -> None:
    id_, heard = await begin(world, "refused")
    await world.runtime.invocation(id_).signal("word", 5)

    assert "expected str, found int" in await heard


async def talk(client: Client) -> list[str]:
    """Sends from a handler: exactly once, whatever happens."""
    session = client.object(Session, "s")
    to = await session.poll.send(4)
    await client.sleep(2)
    await client.service(Sender).say(to, ["a", "b"])
    await client.sleep(3)
    await client.service(Sender).say(to, ["c", "d"])
    while len(heard := await session.read()) < 4:
        await client.sleep(1)
    return heard


def without_silence(ending: Ending) -> Any:
    """How often it was silent depends on when the process was away."""
    return [ending.outcome, ending.effects]


@pytest.mark.parametrize("suspending", [False, True])
async def test_signals_come_once_and_in_order_whatever_commit_the_process_dies_at(
    *, suspending: bool
) -> None:
    report = await crash_everywhere(
        talk,
        CLASSES,
        effects=EFFECTS,
        compare=without_silence,
        crash_again=True,
        suspending=suspending,
    )

    assert report.commits >= 5
    assert report.ending.outcome == ["a", "b", "c", "d"]
