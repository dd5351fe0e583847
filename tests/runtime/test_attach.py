"""Waiting for the outcome of an invocation that somebody else made, and asking for it at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from holdfast import (
    CanceledError,
    Context,
    InvalidArgumentError,
    NotReadyError,
    RuntimeConfig,
    StoreFailedError,
    TerminalError,
    UnknownTargetError,
    VirtualObject,
    Workflow,
    handler,
    state,
)
from holdfast.journal import keys
from holdfast.objects.identity import parse_awakeable_id
from holdfast.runtime.testing import settle

from .controlled import Asked, Outer, note, outcome_of, request_of, work
from .controlled import ask as submit
from .test_cancel import assert_nothing_is_open
from .worlds import World

UNKNOWN = "inv_" + "0" * 32


@dataclass(frozen=True)
class Answer:
    """What a maker makes."""

    text: str


class Maker(VirtualObject):
    """Is attached to."""

    @handler
    async def make(self, ctx: Context, name: str) -> Answer:
        return Answer(await ctx.run("work", work, name))

    @handler
    async def fail(self, ctx: Context, name: str) -> None:
        await ctx.run("work", work, name)
        message = "not made"
        raise TerminalError(message, status_code=418)

    @handler
    async def at_once(self, ctx: Context, size: int) -> str:
        return "x" * size

    @handler
    async def nothing(self, ctx: Context) -> None:
        pass


class Fan(VirtualObject):
    """Attaches."""

    log: list[str] = state(default_factory=list)

    @handler
    async def wait_for(self, ctx: Context, id_: str) -> str:
        return (await ctx.attach(id_, Answer)).text

    @handler
    async def wait_for_any(self, ctx: Context, id_: str) -> str:
        try:
            return str(await ctx.attach(id_))
        except TerminalError as error:
            return f"{type(error).__name__} {error.status_code}: {error.message}"

    @handler
    async def wait_a_while(self, ctx: Context, id_: str) -> str:
        try:
            async with asyncio.timeout(5):
                return str(await ctx.attach(id_))
        except TimeoutError:
            return "too late"

    @handler
    async def wait_twice(self, ctx: Context, id_: str) -> list[str]:
        first, second = ctx.attach(id_, Answer), ctx.attach(id_, Answer)
        return [(await first).text, (await second).text]

    @handler
    async def wait_for_itself(self, ctx: Context) -> str:
        try:
            return str(await ctx.attach(ctx.invocation_id))
        except TerminalError as error:
            return f"{type(error).__name__}: {error.message}"

    @handler
    async def wait_for_later_self(self, ctx: Context) -> str:
        id_ = await ctx.object(Fan, ctx.key).touch.send(delay=timedelta(seconds=5))
        await ctx.run("told", note, id_)
        try:
            return str(await ctx.attach(id_))
        except TerminalError as error:
            return f"{type(error).__name__}: {error.message}"

    @handler
    async def wait_for_told(self, ctx: Context) -> str:
        promise = ctx.awakeable(str)
        await ctx.run("tell", note, promise.id)
        try:
            return str(await ctx.attach(await promise))
        except TerminalError as error:
            return f"{type(error).__name__}: {error.message}"

    @handler
    async def touch(self, ctx: Context) -> str:
        return "touched"


class Once(Workflow):
    """Runs once."""

    @handler
    async def run(self, ctx: Context, name: str) -> Answer:
        return Answer(await ctx.run("work", work, name))


CLASSES: list[type] = [Maker, Fan, Once]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Outer.clear()
    world = World(CLASSES)
    yield world
    world.close()


def assert_nobody_waits(world: World) -> None:
    assert not list(world.store.scan(*keys.prefix_range(keys.ATTACHED)))
    assert_nothing_is_open(world)


async def soon(answer: Awaitable[Any]) -> Any:
    """What ``answer`` gives, which nothing but the loop is to bring about."""
    task = asyncio.ensure_future(answer)
    await settle()
    assert task.done(), "no answer"
    return task.result()


# -- From outside ----------------------------------------------------------------------------


async def test_attach_gives_what_the_call_would_have_given(world: World) -> None:
    runtime = await world.start()
    id_ = await runtime.object(Maker, "m").make.send("x")
    waiting = asyncio.ensure_future(runtime.invocation(id_, Maker.make).attach())
    await settle()
    assert not waiting.done()
    with pytest.raises(NotReadyError, match=rf"Maker/m/make \({id_}\) is not completed"):
        await runtime.invocation(id_).output()
    Outer.gate("x").set()
    await settle()

    made: Answer = waiting.result()
    assert made == Answer("x")
    assert await soon(runtime.invocation(id_, Maker.make).attach()) == Answer("x")
    assert await runtime.invocation(id_).output() == Answer("x")


async def test_attach_raises_the_failure(world: World) -> None:
    runtime = await world.start()
    id_ = await runtime.object(Maker, "m").fail.send("x")
    waiting = asyncio.ensure_future(runtime.invocation(id_).attach())
    await settle()
    Outer.gate("x").set()
    await settle()
    for outcome in (waiting, runtime.invocation(id_).attach(), runtime.invocation(id_).output()):
        with pytest.raises(TerminalError, match="not made") as raised:
            await soon(outcome)
        assert raised.value.status_code == 418


async def test_attach_to_what_is_canceled_raises_that(world: World) -> None:
    runtime = await world.start()
    id_ = await runtime.object(Maker, "m").make.send("x")
    waiting = asyncio.ensure_future(runtime.invocation(id_).attach())
    await settle()
    await runtime.invocation(id_).cancel("no need")

    with pytest.raises(CanceledError, match="no need"):
        await waiting


async def test_the_outcome_survives_a_crash(world: World) -> None:
    runtime = await world.start()
    id_ = await runtime.object(Maker, "m").make.send("x")
    waiting = asyncio.ensure_future(runtime.invocation(id_).attach())
    await settle()
    runtime = await world.restart()
    with pytest.raises(StoreFailedError):
        await waiting
    Outer.gate("x").set()
    assert await soon(runtime.invocation(id_).attach()) == Answer("x")
    runtime = await world.restart(keep_written=False)

    assert await runtime.invocation(id_).output() == Answer("x")


async def test_whoever_stops_waiting_stops_nothing(world: World) -> None:
    runtime = await world.start()
    id_ = await runtime.object(Maker, "m").make.send("x")
    waiting = asyncio.ensure_future(runtime.invocation(id_).attach())
    await settle()
    waiting.cancel()
    await settle()
    Outer.gate("x").set()
    await settle()

    assert await runtime.invocation(id_).output() == Answer("x")


async def test_without_its_class_the_result_is_its_json(world: World) -> None:
    runtime = await world.start()
    id_ = await runtime.object(Maker, "m").make.send("x")
    empty = await runtime.object(Maker, "m").nothing.send()
    Outer.gate("x").set()
    await settle()
    world.classes = [Fan]
    runtime = await world.restart()

    assert await soon(runtime.invocation(id_).attach()) == {"text": "x"}
    assert await soon(runtime.invocation(empty).attach()) is None


async def test_a_handler_that_it_is_no_call_of_is_refused(world: World) -> None:
    runtime = await world.start()
    id_ = await runtime.object(Maker, "m").make.send("x")
    await settle()
    for _ in range(2):
        with pytest.raises(InvalidArgumentError, match=r"is a call of Maker/m/make, not of"):
            await soon(runtime.invocation(id_, Maker.fail).attach())
        Outer.gate("x").set()
        await settle()


async def test_what_does_not_exist_or_is_long_gone_is_unknown(world: World) -> None:
    world.config = RuntimeConfig(retention=timedelta(seconds=10))
    runtime = await world.start()
    id_ = await runtime.object(Maker, "m").at_once.send(3)
    assert await soon(runtime.invocation(id_).attach()) == "xxx"
    await world.clock.advance(120)
    for unknown in (UNKNOWN, id_):
        invocation = runtime.invocation(unknown)
        for asked in (invocation.attach(), invocation.output(), invocation.describe()):
            with pytest.raises(UnknownTargetError, match="does not exist, or is completed and no"):
                await soon(asked)


async def test_a_result_that_was_not_kept_is_said_to_be_lost(world: World) -> None:
    runtime = await world.start()
    await runtime.object(Maker, "m").make.send("x")
    id_ = await runtime.object(Maker, "m").at_once.send(5_000)
    waiting = asyncio.ensure_future(runtime.invocation(id_).attach())
    await settle()
    Outer.gate("x").set()
    assert len(await waiting) == 5_000
    kept = await runtime.object(Maker, "m", idempotency_key="k").at_once.send(5_000)
    assert len(await soon(runtime.invocation(kept).attach())) == 5_000

    with pytest.raises(UnknownTargetError, match="has an idempotency key; give it one"):
        await soon(runtime.invocation(id_).attach())


async def test_an_invocation_is_found_by_its_idempotency_key(world: World) -> None:
    world.config = RuntimeConfig(retention=timedelta(seconds=100))
    runtime = await world.start()
    id_ = await runtime.object(Maker, "m", idempotency_key="order-7").at_once.send(3)
    for service, handler_ in ((Maker, Maker.at_once), ("Maker", "at_once")):
        found = await runtime.find_invocation(service, "m", handler_, idempotency_key="order-7")
        assert found is not None
        assert found.id == id_
        assert await soon(found.attach()) == "xxx"
    assert await runtime.find_invocation(Maker, "n", "at_once", idempotency_key="order-7") is None
    assert await runtime.find_invocation(Maker, "m", "at_once", idempotency_key="order-8") is None
    world.clock.jump(200)  # It has been kept long enough, and is not collected yet.

    assert await runtime.find_invocation(Maker, "m", "at_once", idempotency_key="order-7") is None


async def test_a_workflow_is_found_by_its_key(world: World) -> None:
    runtime = await world.start()
    assert await runtime.find_invocation(Once, "o") is None
    id_ = await runtime.workflow(Once, "o").run.send("x")
    Outer.gate("x").set()
    for service in (Once, "Once"):
        found = await runtime.find_invocation(service, "o")
        assert found is not None
        assert found.id == id_
        assert await soon(found.attach()) == Answer("x")


async def test_what_names_no_invocation_is_refused(world: World) -> None:
    runtime = await world.start()
    with pytest.raises(InvalidArgumentError, match="only where it is a workflow"):
        await runtime.find_invocation(Maker, "m", "make")
    with pytest.raises(InvalidArgumentError, match="only where it is a workflow"):
        await runtime.find_invocation(Once)
    with pytest.raises(UnknownTargetError, match="no handler"):
        await runtime.find_invocation(Maker, "m", "mkae", idempotency_key="k")
    with pytest.raises(UnknownTargetError, match="did you mean 'Once'"):
        await runtime.find_invocation("Onec", "o")
    with pytest.raises(InvalidArgumentError, match="key"):
        await runtime.find_invocation(Maker, "", "make", idempotency_key="k")


# -- From handlers ---------------------------------------------------------------------------


@pytest.mark.parametrize("waiter_is_suspended", [True, False])
@pytest.mark.parametrize("crashes", [True, False])
async def test_a_handler_waits_for_what_another_one_made(
    world: World, *, waiter_is_suspended: bool, crashes: bool
) -> None:
    runtime = await world.start()
    id_ = await runtime.object(Maker, "m").make.send("x")
    fans = [await submit(world, f"Fan/{number}/wait_for", id_) for number in range(3)]
    twice = await submit(world, "Fan/t/wait_twice", id_)
    await settle()
    if waiter_is_suspended:
        runtime.suspend_idle()
    if crashes:
        runtime = await world.restart()
    assert len(list(world.store.scan(*keys.prefix_range(keys.ATTACHED)))) == 5
    Outer.gate("x").set()
    await settle()

    for fan in [*fans, twice]:
        expected = Answer("x").text if fan is not twice else ["x", "x"]
        assert await soon(runtime.invocation(fan.id).attach()) == expected
    assert_nobody_waits(world)


@pytest.mark.parametrize("attach_first", [True, False])
async def test_attaching_and_completing_in_one_turn(world: World, *, attach_first: bool) -> None:
    runtime = await world.start()
    id_ = await runtime.object(Maker, "m").make.send("x")
    await settle()
    if attach_first:
        asked = runtime.submit(request_of("Fan/f/wait_for", id_), wait=True)
        Outer.gate("x").set()
    else:
        Outer.gate("x").set()
        for _ in range(2):
            await asyncio.sleep(0)
        asked = runtime.submit(request_of("Fan/f/wait_for", id_), wait=True)
    await settle()

    assert (await asked).outcome == b'"x"'
    assert_nobody_waits(world)


async def test_what_is_completed_or_unknown_is_answered_at_once_and_recorded(world: World) -> None:
    runtime = await world.start()
    small = await runtime.object(Maker, "m").at_once.send(2)
    large = await runtime.object(Maker, "m").at_once.send(5_000)
    failed = await runtime.object(Maker, "m").fail.send("x")
    Outer.gate("x").set()
    await settle()
    said = [
        await outcome_of(await submit_and_settle(world, f"Fan/{n}/wait_for_any", id_))
        for n, id_ in enumerate([small, large, failed, UNKNOWN])
    ]

    assert said[0] == '"xx"'
    assert said[1].startswith(f'"TerminalError 410: {large} is completed, and its result was not')
    assert said[2] == '"TerminalError 418: not made"'
    assert said[3].startswith(f'"TerminalError 404: {UNKNOWN} does not exist')
    assert_nobody_waits(world)


async def submit_and_settle(world: World, path: str, argument: Any = None) -> Asked:
    asked = await submit(world, path, argument)
    await settle()
    return asked


async def test_a_handler_gets_the_cancellation_of_what_it_waits_for(world: World) -> None:
    runtime = await world.start()
    id_ = await runtime.object(Maker, "m").make.send("x")
    asked = await submit(world, "Fan/f/wait_for_any", id_)
    await settle()
    await runtime.invocation(id_).cancel("no need")
    await settle()

    assert "CanceledError 409" in await outcome_of(asked)
    assert_nobody_waits(world)


@pytest.mark.parametrize("verb", ["cancel", "kill"])
@pytest.mark.parametrize("suspends", [True, False])
async def test_who_stops_waiting_leaves_nothing_and_stops_nothing(
    world: World, verb: str, *, suspends: bool
) -> None:
    runtime = await world.start()
    id_ = await runtime.object(Maker, "m").make.send("x")
    fan = await submit(world, "Fan/f/wait_for", id_)
    late = await submit(world, "Fan/g/wait_a_while", id_)
    await settle()
    if suspends:
        runtime.suspend_idle()
    await getattr(runtime.invocation(fan.id), verb)()
    await world.clock.advance(6)
    assert "CanceledError" in await outcome_of(fan)
    assert await outcome_of(late) == '"too late"'
    assert not list(world.store.scan(*keys.prefix_range(keys.ATTACHED)))
    Outer.gate("x").set()
    await settle()

    assert await runtime.invocation(id_).output() == Answer("x")
    assert_nobody_waits(world)


async def test_who_waits_for_itself_is_refused(world: World) -> None:
    await world.start()
    asked = await submit_and_settle(world, "Fan/f/wait_for_itself")

    assert '"DeadlockError: this call would wait for ever: Fan/f' in await outcome_of(asked)
    assert_nobody_waits(world)


async def test_two_who_wait_for_each_other_are_refused_once(world: World) -> None:
    runtime = await world.start()
    asked = [await submit_and_settle(world, f"Fan/{n}/wait_for_told", None) for n in "ab"]
    promises = [parse_awakeable_id(line) for line in Outer.lines]
    await runtime.complete_awakeable(promises[0], f'"{asked[1].id}"'.encode())
    await settle()
    runtime.suspend_idle()
    await runtime.complete_awakeable(promises[1], f'"{asked[0].id}"'.encode())
    await settle()

    # The second one is told; then it ends with that, which the first one gets.
    first, second = [await outcome_of(each) for each in asked]
    assert "DeadlockError" in second
    assert "DeadlockError" in first
    assert_nobody_waits(world)


async def test_who_waits_for_one_behind_itself_is_refused_and_that_one_goes_on(
    world: World,
) -> None:
    runtime = await world.start()
    asked = await submit_and_settle(world, "Fan/f/wait_for_told")
    behind = await submit_and_settle(world, "Fan/f/touch")
    promise = parse_awakeable_id(Outer.lines[0])
    await runtime.complete_awakeable(promise, f'"{behind.id}"'.encode())
    await settle()

    assert "whose turn is held by" in await outcome_of(asked)
    assert await outcome_of(behind) == '"touched"'
    assert_nobody_waits(world)


async def test_an_id_that_is_none_is_refused_in_the_handler(world: World) -> None:
    await world.start()
    asked = await submit_and_settle(world, "Fan/f/wait_for_any", "nonsense")

    assert not asked.outcome.done()  # It is a mistake of the code, and so it is tried again.


@pytest.mark.parametrize("down", [False, True])
async def test_waiting_for_what_falls_due_behind_ones_own_turn_is_refused(
    world: World, *, down: bool
) -> None:
    runtime = await world.start()
    id_ = await runtime.object(Fan, "f").wait_for_later_self.send()
    await settle()
    if down:
        await world.crash()
        await world.clock.advance(5)
        runtime = await world.start()
    else:
        await world.clock.advance(5)
    await settle()

    said = await soon(runtime.invocation(id_).attach())
    assert said.startswith("DeadlockError: this call would wait for ever: Fan/f/touch")
    assert await soon(runtime.invocation(Outer.lines[-1]).attach()) == "touched"
    assert_nobody_waits(world)


async def test_what_falls_due_behind_a_chain_that_waits_for_it_is_refused(world: World) -> None:
    runtime = await world.start()
    id_ = await runtime.object(Fan, "a").touch.send(delay=timedelta(seconds=5))
    inner = await runtime.object(Fan, "b").wait_for_any.send(id_)
    outer = await runtime.object(Fan, "a").wait_for_any.send(inner)
    await settle()
    runtime.suspend_idle()
    await world.clock.advance(5)
    await settle()

    said = await soon(runtime.invocation(outer).attach())
    assert "DeadlockError" in said
    assert await soon(runtime.invocation(id_).attach()) == "touched"
    assert await soon(runtime.invocation(inner).attach()) == "touched"
    assert_nobody_waits(world)


async def test_what_falls_due_behind_somebody_else_is_waited_for(world: World) -> None:
    runtime = await world.start()
    held = await runtime.object(Fan, "a").wait_for_told.send()
    id_ = await runtime.object(Fan, "a").touch.send(delay=timedelta(seconds=5))
    waiter = await runtime.object(Fan, "b").wait_for_any.send(id_)
    await settle()
    await world.clock.advance(5)
    await settle()
    assert await runtime.resolve_awakeable(Outer.lines[-1], UNKNOWN)
    await settle()

    assert "404" not in await soon(runtime.invocation(held).attach())
    assert await soon(runtime.invocation(waiter).attach()) == "touched"
    assert_nobody_waits(world)
