"""A handler that is told the outcome of an invocation, exactly once, however it ended."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from holdfast import (
    Completed,
    CompletedFailure,
    Context,
    HoldfastError,
    InvalidArgumentError,
    MemoryStore,
    RuntimeConfig,
    Service,
    Target,
    TerminalError,
    UnknownTargetError,
    VirtualObject,
    Workflow,
    handler,
    shared,
    state,
)
from holdfast.runtime.engine import Engine
from holdfast.runtime.requests import CallRequest
from holdfast.runtime.testing import InlineThreads, SeededRandomness, settle
from holdfast.testing import crash_everywhere

from .agents import Agent, Counter, Faulty, act
from .worlds import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.testing import Client


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Inbox(VirtualObject):
    """Is told, and remembers."""

    told: list[Completed] = state(default_factory=list)

    @handler
    async def done(self, ctx: Context, completed: Completed) -> None:
        self.told.append(completed)

    @handler
    async def slowly(self, ctx: Context, completed: Completed) -> None:
        await ctx.sleep(5)
        self.told.append(completed)

    @handler
    async def loosely(self, ctx: Context, completed: dict[str, Any]) -> None:
        given: dict[str, Any] = {**completed, "completed_at": EPOCH, "error": None}
        self.told.append(Completed(**given))

    @shared
    async def glance(self, ctx: Context, completed: Completed) -> str:
        return completed.status

    @handler
    async def nothing(self, ctx: Context) -> None: ...

    @handler
    async def number(self, ctx: Context, number: int) -> None: ...

    @handler
    async def narrow(self, ctx: Context, invocation_id: str, result: int) -> None: ...

    @shared
    async def read(self, ctx: Context) -> list[Completed]:
        return self.told


class Post(Service):
    """A service that is told."""

    told: ClassVar[list[str]] = []

    @handler
    async def deliver(self, ctx: Context, completed: Completed) -> None:
        self.told.append(await ctx.run("post", act, f"{completed.handler} {completed.status}"))


class Boss(VirtualObject):
    """Has others work, and be told of it."""

    own: list[Completed] = state(default_factory=list)

    @handler
    async def order(self, ctx: Context, amount: int) -> int:
        inbox = ctx.object(Inbox, "boss").done
        first = await ctx.object(Counter, "a", callback=inbox).add(amount)
        await ctx.object(Counter, "a", callback=inbox).add.send(amount, delay=timedelta(seconds=3))
        await ctx.send("Counter", "a", "add", amount, callback=Target("Post", None, "deliver"))
        return first

    @handler
    async def misorder(self, ctx: Context) -> str:
        try:
            await ctx.object(Counter, "a", callback=ctx.object(Inbox, "boss").nothing).add(1)
        except InvalidArgumentError:
            return "refused"
        return "accepted"

    @handler
    async def work(self, ctx: Context) -> str:
        return await ctx.run("work", act, "work")

    @handler
    async def done(self, ctx: Context, completed: Completed) -> None:
        self.own.append(completed)

    @shared
    async def read(self, ctx: Context) -> list[Completed]:
        return self.own


class Payout(VirtualObject):
    """Fails, until it is mended."""

    is_mended: ClassVar[bool] = False

    @handler
    async def pay(self, ctx: Context) -> str:
        quote = await ctx.run("quote", str, "quoted")
        if not Payout.is_mended:
            message = "the bank is closed"
            raise TerminalError(message)
        return quote


class Flow(Workflow):
    """What cannot be a callback."""

    @handler
    async def run(self, ctx: Context, completed: Completed) -> None: ...


CLASSES = [Agent, Boss, Counter, Faulty, Flow, Inbox, Payout, Post]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Post.told.clear()
    Faulty.tries.clear()
    world = World(CLASSES)
    await world.start()
    yield world
    world.close()


async def told(world: World, key: str = "sam") -> list[Completed]:
    await settle()
    return await world.runtime.object(Inbox, key).read()


async def test_a_handler_is_told_what_a_call_returned(world: World) -> None:
    runtime = world.runtime
    inbox = runtime.object(Inbox, "sam")
    assert await runtime.object(Counter, "a", callback=inbox.done).add(5) == 5
    (completed,) = await told(world)

    assert (completed.service, completed.key, completed.handler) == ("Counter", "a", "add")
    assert (completed.status, completed.result, completed.error) == ("success", 5, None)
    assert completed.completed_at.timestamp() * 1000 == world.clock.now_ms()
    assert completed.invocation_id.startswith("inv_")


async def test_the_callback_is_named_in_any_way(world: World) -> None:
    runtime = world.runtime
    by_target = Target("Inbox", "sam", "done")
    await runtime.object(Counter, "a", callback=by_target).add(1)
    await runtime.call_by_name("Counter", "a", "add", 1, callback=by_target)
    sent = await runtime.send_by_name(
        "Counter", "a", "add", 1, delay=timedelta(seconds=9), callback=by_target
    )
    assert len(await told(world)) == 2
    await world.clock.advance(10)
    assert [each.result for each in await told(world)] == [1, 2, 3]
    assert (await told(world))[2].invocation_id == sent

    await runtime.object(Counter, "a", callback=runtime.object(Inbox, "joe").loosely).add(1)
    await runtime.object(Counter, "a", callback=runtime.service(Post).deliver).add(1)
    await runtime.object(Counter, "a", callback=runtime.object(Inbox, "sam").glance).add(1)
    assert len(await told(world, "joe")) == 1
    assert Post.told == ["add success"]


async def test_a_handler_is_told_why_a_call_failed(world: World) -> None:
    inbox = world.runtime.object(Inbox, "sam")
    with pytest.raises(TerminalError):
        await world.runtime.object(Faulty, "f", callback=inbox.done).terminal()
    (completed,) = await told(world)

    assert (completed.status, completed.result) == ("failure", None)
    assert completed.error == CompletedFailure(
        code=422, message="no way", type="TerminalError", metadata={"a": "b"}
    )


async def test_a_result_that_is_nothing_is_told_as_null(world: World) -> None:
    inbox = world.runtime.object(Inbox, "sam")
    await world.runtime.object(Inbox, "x", callback=inbox.done).nothing()

    assert [(each.status, each.result) for each in await told(world)] == [("success", None)]


@pytest.mark.parametrize("verb", ["cancel", "kill"])
async def test_the_callback_of_what_was_ended_is_told_too(world: World, verb: str) -> None:
    runtime = world.runtime
    agent = runtime.object(Agent, "a", callback=runtime.object(Inbox, "sam").done)
    ids = [await agent.nap.send(10), await agent.nap.send(10)]
    ids.append(await agent.nap.send(10, delay=timedelta(seconds=60)))
    await settle()
    runtime.suspend_idle()
    for each in reversed(ids):
        await getattr(runtime.invocation(each), verb)("enough")
    completed = await told(world)

    assert [each.invocation_id for each in completed] == ids[::-1]
    assert {each.error.code for each in completed if each.error} == {409}
    assert all("enough" in each.error.message for each in completed if each.error)


async def test_a_callback_at_the_same_key_waits_behind_those_who_wait(world: World) -> None:
    runtime = world.runtime
    boss = runtime.object(Boss, "b", callback=runtime.object(Boss, "b").done)
    working = asyncio.ensure_future(boss.work())
    behind = asyncio.ensure_future(runtime.object(Boss, "b").work())
    await asyncio.gather(working, behind)
    await settle()

    assert [each.handler for each in await runtime.object(Boss, "b").read()] == ["work"]


async def test_a_handler_names_callbacks_and_replays_without_telling_again(world: World) -> None:
    ordering = asyncio.ensure_future(world.runtime.object(Boss, "b").order(2))
    await settle()
    world.runtime.suspend_idle()
    assert await world.finish(ordering) == 2
    await world.restart()
    await world.clock.advance(20)
    await world.restart()

    assert [each.result for each in await told(world, "boss")] == [2, 6]
    assert Post.told == ["add success"]


async def test_a_slow_callback_is_suspended_and_survives_a_crash(world: World) -> None:
    runtime = world.runtime
    await runtime.object(Counter, "a", callback=runtime.object(Inbox, "sam").slowly).add(1)
    await settle()
    runtime.suspend_idle()
    await world.restart()
    await world.clock.advance(6)

    assert len(await told(world)) == 1


@pytest.mark.parametrize("from_entry", [None, 2])
async def test_whoever_was_told_of_a_failure_is_told_how_its_restart_ends(
    world: World, from_entry: int | None
) -> None:
    Payout.is_mended = False
    payout = world.runtime.object(Payout, "p", callback=world.runtime.object(Inbox, "sam").done)
    first = await payout.pay.send()
    await settle()
    runtime = await world.restart()
    second = await runtime.invocation(first).restart(from_entry=from_entry)
    await settle()
    Payout.is_mended = True
    runtime = await world.restart()
    third = await runtime.invocation(second).restart(from_entry=from_entry)
    await world.restart()

    assert [
        (each.invocation_id, each.restarted_from, each.status) for each in await told(world)
    ] == [
        (first, None, "failure"),
        (second, first, "failure"),
        (third, second, "success"),
    ]


async def test_nobody_is_told_of_a_fork(world: World) -> None:
    Payout.is_mended = True
    payout = world.runtime.object(Payout, "p", callback=world.runtime.object(Inbox, "sam").done)
    id_ = await payout.pay.send()
    await settle()
    forked = await world.runtime.invocation(id_).restart(from_entry=2, fork="q")
    await settle()
    assert await world.runtime.invocation(forked).output() == "quoted"
    assert [each.invocation_id for each in await told(world)] == [id_]


async def test_a_repeated_call_tells_once(world: World) -> None:
    runtime = world.runtime
    inbox = runtime.object(Inbox, "sam")
    counter = runtime.object(Counter, "a", idempotency_key="k", callback=inbox.done)
    assert await counter.add(1) == await counter.add(1) == 1

    assert len(await told(world)) == 1


async def test_a_callback_whose_class_is_gone_waits_until_it_is_back(world: World) -> None:
    runtime = world.runtime
    agent = runtime.object(Agent, "a", callback=runtime.object(Inbox, "sam").done)
    await agent.nap.send(10)
    await settle()
    await world.crash()
    world.classes = [Agent]
    runtime = await world.start()
    await world.clock.advance(20)
    assert runtime.statistics().invocations_completed == 1
    await world.crash()
    world.classes = [*CLASSES]
    await world.start()

    assert [each.result for each in await told(world)] == [10.0]


# -- At the door ------------------------------------------------------------------------------

REFUSED: list[tuple[Any, type[HoldfastError], str]] = [
    (Target("Nobody", "a", "done"), UnknownTargetError, "there is no 'Nobody'"),
    (Target("Inbox", "a", "doen"), UnknownTargetError, "no handler 'doen'; did you mean 'done'"),
    (Target("Inbox", None, "done"), UnknownTargetError, "a call of it names a key"),
    (Target("Post", "a", "deliver"), UnknownTargetError, "has no keys"),
    (Target("Inbox", "", "done"), InvalidArgumentError, "must not be empty"),
    (Target("Inbox", "a", "nothing"), InvalidArgumentError, "completed: Completed"),
    (Target("Inbox", "a", "number"), InvalidArgumentError, "cannot be a callback"),
    (Target("Inbox", "a", "narrow"), InvalidArgumentError, "cannot be a callback"),
    (Target("Flow", "a", "run"), InvalidArgumentError, "runs once per key"),
    (Target("holdfast.Callbacks", None, "deliver"), UnknownTargetError, "there is no 'holdfast"),
    (5, InvalidArgumentError, "callback is a handler within reach"),
    (Inbox, InvalidArgumentError, "callback is a handler within reach"),
    ("Inbox/a/done", InvalidArgumentError, "is no URL of http:// or https://"),
    ("ftp://example.com", InvalidArgumentError, "is no URL of http:// or https://"),
    ("http://", InvalidArgumentError, "names no host"),
    ("http://example.com:0/", InvalidArgumentError, "names no host"),
    ("http://./", InvalidArgumentError, "names no host"),
    ("http://example..com/", InvalidArgumentError, "names no host"),
    (f"http://{'a' * 64}.example.com/", InvalidArgumentError, "names no host"),
    ("http://example.com:99999/", InvalidArgumentError, "is no URL"),
    ("http://[::1/", InvalidArgumentError, "is no URL"),
    ("http://sam:secret@example.com/", InvalidArgumentError, "a user or a password"),
    ("https://example.com/#done", InvalidArgumentError, "a fragment"),
    ("https://example.com/a b", InvalidArgumentError, "percent-encode"),
    ("https://example.com/\n", InvalidArgumentError, "percent-encode"),
    ("https://example.com/\ud800", InvalidArgumentError, "percent-encode"),
    ("https://example.com/" + "x" * 2_048, InvalidArgumentError, "at most 2,048"),
]


@pytest.mark.parametrize(("callback", "error", "message"), REFUSED)
async def test_what_cannot_be_told_is_refused_at_the_door(
    world: World, callback: Any, error: type[HoldfastError], message: str
) -> None:
    rows = dict(world.store.scan(b"", None))
    with pytest.raises(error, match=message) as refused:
        await world.runtime.object(Counter, "a", callback=callback).add(1)
    await settle()
    assert "secret" not in refused.value.message

    assert dict(world.store.scan(b"", None)) == rows


async def test_a_request_from_outside_is_held_to_the_same(world: World) -> None:
    target = Target("Counter", "a", "add")
    for callback in ("example.com/hook", Target("Inbox", "a", "nothing")):
        request = CallRequest(target=target, argument=b"1", callback=callback)
        with pytest.raises(InvalidArgumentError, match="callback"):
            world.runtime.submit(request, wait=False)


async def test_a_handler_is_refused_too_and_may_go_on(world: World) -> None:
    assert await world.runtime.object(Boss, "b").misorder() == "refused"
    assert await world.runtime.object(Counter, "a").get() == 0


async def test_an_engine_without_http_refuses_urls(world: World) -> None:
    engine = Engine(
        CLASSES,
        store=MemoryStore(),
        clock=world.clock,
        randomness=SeededRandomness(1),
        threads=InlineThreads(),
    )
    await engine.start()
    with pytest.raises(InvalidArgumentError, match="has no HTTP and cannot call a URL"):
        await engine.object(Counter, "a", callback="https://example.com/").add(1)
    await engine.object(Counter, "a", callback=engine.object(Inbox, "sam").done).add(1)
    assert len(await engine.object(Inbox, "sam").read()) == 1
    engine.crash()


async def test_nobody_calls_what_is_holdfasts_own(world: World) -> None:
    runtime = world.runtime
    argument = {"url": "http://localhost/", "id": "x", "body": "{}"}
    with pytest.raises(UnknownTargetError, match=r"there is no 'holdfast\.Callbacks'"):
        await runtime.call_by_name("holdfast.Callbacks", None, "deliver", argument)
    target = Target("holdfast.Callbacks", None, "deliver")
    with pytest.raises(UnknownTargetError):
        runtime.submit(CallRequest(target=target, argument=b"{}"), wait=False)


# -- Whatever happens -------------------------------------------------------------------------


async def order(client: Client) -> list[Any]:
    inbox = client.object(Inbox, "sam")
    await asyncio.gather(
        client.object(Boss, "b").order(2),
        client.object(Agent, "a", callback=inbox.slowly).work(2),
        client.object(Counter, "n", callback=client.object(Boss, "b").done).add(1),
    )
    await client.sleep(60)
    return [
        [(each.handler, each.result) for each in await client.object(Inbox, key).read()]
        for key in ("boss", "sam")
    ]


async def test_wherever_the_process_dies_each_is_told_exactly_once() -> None:
    config = RuntimeConfig(maintenance_ms=600_000)
    report = await crash_everywhere(
        order,
        CLASSES,
        config=config,
        crash_again=True,
        suspending=True,
        # When each completed depends on when the process came back.
        compare=lambda ending: (ending.outcome, ending.paused),
    )

    assert report.ending.outcome == [
        [("add", 2), ("add", 6)],
        [("work", ["a:0", "a:1"])],
    ]
