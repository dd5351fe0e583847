"""Promises of workflows: completed once, seen by everyone, whoever comes first."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from holdfast import (
    ConflictError,
    Context,
    ContextMisuseError,
    InvalidArgumentError,
    RetryPolicy,
    RuntimeConfig,
    TerminalError,
    VirtualObject,
    Workflow,
    handler,
    shared,
    state,
)
from holdfast.journal import keys
from holdfast.runtime.testing import settle
from holdfast.testing import Effects, crash_everywhere

from .worlds import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from holdfast.testing import Client

EFFECTS = Effects()


async def act(what: str) -> str:
    EFFECTS.add(what)
    await asyncio.sleep(0)
    return what


ONCE = RetryPolicy(max_attempts=1, on_max_attempts="fail")
TWICE = RetryPolicy(max_attempts=2, on_max_attempts="fail")


class Deal(Workflow):
    """Waits for a signature."""

    seen: list[str] = state(default_factory=list)

    @handler
    async def run(self, ctx: Context, seconds: float) -> str:
        signed = ctx.promise("signed", str)
        try:
            async with asyncio.timeout(seconds):
                name = await signed
        except TimeoutError:
            return "too late"
        except TerminalError as error:
            return f"{error.status_code} {error.message}"
        self.seen.append(await ctx.run("file", act, f"file {name}"))
        await ctx.promise("filed").resolve(name)
        return f"signed by {name}"

    @shared
    async def sign(self, ctx: Context, name: str) -> str:
        try:
            await ctx.promise("signed", str).resolve(name)
        except TerminalError as error:
            return f"{error.status_code} {error.type_name}: {error.message}"
        return "thanks"

    @shared
    async def refuse(self, ctx: Context, reason: str) -> None:
        await ctx.promise("signed").reject(TerminalError(reason, status_code=410))

    @shared
    async def who(self, ctx: Context) -> str | None:
        try:
            return await ctx.promise("signed", str).peek()
        except TerminalError as error:
            return f"{error.status_code} {error.message}"

    @shared
    async def wait(self, ctx: Context) -> str:
        return await ctx.promise("signed", str)

    @shared
    async def wait_twice(self, ctx: Context) -> list[str]:
        """The same promise in two tasks, and one that comes when it has its value."""
        promise = ctx.promise("signed", str)
        first = await asyncio.gather(promise.value(), promise.value())
        return [*first, await promise]

    @shared
    async def wait_briefly(self, ctx: Context) -> str:
        try:
            async with asyncio.timeout(1):
                return await ctx.promise("signed", str)
        except TimeoutError:
            return "not in time"

    @shared(retry=ONCE)
    async def fail_while_waiting(self, ctx: Context) -> None:
        waiting = ctx.promise("signed").value()
        await ctx.run("act", act, "act")
        del waiting
        message = "broken"
        raise OSError(message)

    @shared(retry=TWICE)
    async def fail_sooner(self, ctx: Context) -> None:
        """The second attempt does not come as far as the first one."""
        message = "broken"
        if EFFECTS.lines:
            raise OSError(message)
        EFFECTS.add("waits")
        ctx.promise("signed").value()
        raise OSError(message)

    @shared
    async def leave_while_waiting(self, ctx: Context) -> None:
        ctx.promise("signed").value()
        await ctx.run("act", act, "act")

    @shared
    async def sign_for_oneself(self, ctx: Context) -> list[str]:
        order: list[str] = []

        async def wait() -> None:
            order.append(await ctx.promise("own", str))

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        await ctx.promise("own", str).resolve("value")
        order.append("resolved")
        await task
        return order

    @shared(retry=ONCE)
    async def resolve_badly(self, ctx: Context) -> None:
        wrong: Any = 5
        await ctx.promise("signed", str).resolve(wrong)

    @shared(retry=ONCE)
    async def name_badly(self, ctx: Context) -> None:
        ctx.promise("")


class Plain(VirtualObject):
    @handler(retry=ONCE)
    async def promise(self, ctx: Context) -> str:
        return await ctx.promise("signed", str)


CLASSES = [Deal, Plain]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    EFFECTS.clear()
    world = World(CLASSES)
    await world.start()
    yield world
    world.close()


def waiting_rows(world: World) -> list[bytes]:
    return [key for key, _ in world.store.scan(*keys.prefix_range(keys.PROMISED))]


async def test_run_waits_for_what_a_shared_handler_resolves(world: World) -> None:
    deal = world.runtime.workflow(Deal, "d")
    running = asyncio.ensure_future(deal.run(3600))
    await settle()

    assert await deal.who() is None
    assert await deal.sign("sam") == "thanks"
    assert await running == "signed by sam"
    assert await deal.who() == "sam"
    assert await world.runtime.promise(Deal, "d", "filed", str).peek() == "sam"


async def test_what_was_resolved_before_run_starts_is_seen_by_it(world: World) -> None:
    await world.runtime.promise(Deal, "d", "signed", str).resolve("early")
    await world.restart()

    assert await world.runtime.workflow(Deal, "d").run(3600) == "signed by early"


async def test_a_workflow_that_has_ended_still_has_its_promises(world: World) -> None:
    deal = world.runtime.workflow(Deal, "d")
    assert await world.finish(deal.run(5)) == "too late"

    waiting = asyncio.ensure_future(deal.wait())
    await settle()
    assert await deal.sign("late") == "thanks"
    assert await waiting == "late"


async def test_the_first_completion_stands_and_the_second_is_told_so(world: World) -> None:
    deal = world.runtime.workflow(Deal, "d")
    outside = world.runtime.promise(Deal, "d", "signed", str)

    assert await deal.sign("first") == "thanks"
    told = "the promise 'signed' of Deal/d was completed before; its first completion stands"
    assert await deal.sign("second") == f"409 ConflictError: {told}"
    with pytest.raises(ConflictError, match="'signed' of Deal/d was completed before"):
        await outside.resolve("third")
    with pytest.raises(ConflictError):
        await outside.reject("no")
    assert await outside.peek() == await deal.who() == "first"


async def test_of_two_completions_in_one_turn_the_first_stands(world: World) -> None:
    outside = world.runtime.promise(Deal, "d", "signed", str)
    first, second = outside.reject("no"), outside.resolve("yes")

    await first
    with pytest.raises(ConflictError):
        await second
    with pytest.raises(TerminalError, match="no"):
        await outside.peek()


async def test_a_rejected_promise_is_an_error_for_everyone(world: World) -> None:
    deal = world.runtime.workflow(Deal, "d")
    running = asyncio.ensure_future(deal.run(3600))
    waiting = asyncio.ensure_future(deal.wait())
    await settle()
    await deal.refuse("not today")

    assert await running == await deal.who() == "410 not today"
    with pytest.raises(TerminalError, match="not today"):
        await waiting
    with pytest.raises(TerminalError, match="not today"):
        await world.runtime.promise(Deal, "d", "signed").peek()


async def test_everyone_who_waits_is_told_also_twice_and_suspended(world: World) -> None:
    deal = world.runtime.workflow(Deal, "d")
    waiting = [
        asyncio.ensure_future(wait())
        for wait in (deal.wait, deal.wait_twice, deal.wait_twice, deal.wait)
    ]
    await settle()
    assert len(waiting_rows(world)) == 6
    world.runtime.suspend_idle()
    await deal.sign("sam")

    assert await asyncio.gather(*waiting) == ["sam", ["sam"] * 3, ["sam"] * 3, "sam"]
    assert waiting_rows(world) == []


async def resolve_then_suspend(world: World) -> None:
    resolving = world.runtime.promise(Deal, "d", "signed", str).resolve("sam")
    world.runtime.suspend_idle()
    await resolving


async def suspend_then_resolve(world: World) -> None:
    world.runtime.suspend_idle()
    await world.runtime.promise(Deal, "d", "signed", str).resolve("sam")


@pytest.mark.parametrize("order", [resolve_then_suspend, suspend_then_resolve])
async def test_a_value_is_not_lost_between_waiting_and_leaving_memory(
    world: World, order: Callable[[World], Any]
) -> None:
    running = asyncio.ensure_future(world.runtime.workflow(Deal, "d").run(3600))
    await settle()
    await order(world)

    assert await running == "signed by sam"


async def resolve_then_wait(world: World) -> str:
    resolving = world.runtime.promise(Deal, "d", "signed", str).resolve("sam")
    waiting = asyncio.ensure_future(world.runtime.workflow(Deal, "d").wait())
    await resolving
    return await waiting


async def wait_then_resolve(world: World) -> str:
    waiting = asyncio.ensure_future(world.runtime.workflow(Deal, "d").wait())
    await asyncio.sleep(0)
    await world.runtime.promise(Deal, "d", "signed", str).resolve("sam")
    return await waiting


@pytest.mark.parametrize("order", [resolve_then_wait, wait_then_resolve])
async def test_it_makes_no_difference_who_comes_first(
    world: World, order: Callable[[World], Any]
) -> None:
    assert await order(world) == "sam"
    assert waiting_rows(world) == []


async def test_whoever_stops_to_wait_leaves_no_row_and_hears_nothing(world: World) -> None:
    deal = world.runtime.workflow(Deal, "d")
    briefly = asyncio.ensure_future(deal.wait_briefly())
    await settle()
    assert len(waiting_rows(world)) == 1
    world.runtime.suspend_idle()
    assert await world.finish(briefly) == "not in time"

    assert waiting_rows(world) == []
    assert await deal.sign("sam") == "thanks"
    assert await deal.wait_briefly() == "sam"


@pytest.mark.parametrize("name", ["fail_while_waiting", "fail_sooner", "leave_while_waiting"])
async def test_a_handler_that_ends_while_it_waits_leaves_no_row(world: World, name: str) -> None:
    call = world.runtime.call_by_name("Deal", "d", name)
    if name == "leave_while_waiting":
        await call
    else:
        with pytest.raises(TerminalError, match="broken"):
            await world.finish(call)

    assert waiting_rows(world) == []
    await world.runtime.promise(Deal, "d", "signed").resolve("sam")


async def test_whoever_resolves_what_it_awaits_itself_sees_one_order(world: World) -> None:
    deal = world.runtime.workflow(Deal, "d")

    assert await deal.sign_for_oneself() == ["value", "resolved"]


async def test_promises_are_for_workflows_and_for_values_of_their_type(world: World) -> None:
    runtime = world.runtime
    with pytest.raises(TerminalError, match="Plain/p/promise: only workflows have promises"):
        await runtime.object(Plain, "p").promise()
    with pytest.raises(TerminalError, match="expected str, found int"):
        await runtime.workflow(Deal, "d").resolve_badly()
    with pytest.raises(TerminalError, match="the name of a promise is a str of 1 to 256"):
        await runtime.workflow(Deal, "d").name_badly()
    wrong: Any = 5
    with pytest.raises(InvalidArgumentError, match="expected str, found int"):
        runtime.promise(Deal, "d", "signed", str).resolve(wrong)
    with pytest.raises(InvalidArgumentError, match="Plain is a virtual object"):
        runtime.promise(Plain, "p", "signed")
    with pytest.raises(InvalidArgumentError, match="the name of a promise"):
        runtime.promise(Deal, "d", "\ud800")

    assert not list(world.store.scan(*keys.prefix_range(keys.PROMISE)))
    assert issubclass(ContextMisuseError, RuntimeError)


async def sign_by_many(client: Client) -> list[Any]:
    run = await client.ask(lambda runtime: runtime.workflow(Deal, "d").run.send(3600))
    waiting = asyncio.ensure_future(client.call_by_name("Deal", "d", "wait_twice"))
    briefly = asyncio.ensure_future(client.call_by_name("Deal", "e", "wait_briefly"))
    await client.sleep(2)
    answers = [
        await client.call_by_name("Deal", "d", "sign", "sam"),
        await client.call_by_name("Deal", "d", "sign", "eve"),
        await waiting,
        await briefly,
        await client.call_by_name("Deal", "d", "who"),
    ]
    while await client.ask(lambda runtime: runtime.promise(Deal, "d", "filed").peek()) is None:
        await client.sleep(1)
    del run
    return answers


@pytest.mark.parametrize("suspending", [False, True])
async def test_a_promise_has_one_value_whatever_commit_the_process_dies_at(
    *, suspending: bool
) -> None:
    report = await crash_everywhere(
        sign_by_many, CLASSES, effects=EFFECTS, crash_again=True, suspending=suspending
    )

    thanks, refused, *others = report.ending.outcome
    assert thanks == "thanks"
    assert refused.startswith("409 ConflictError")
    assert others == [["sam"] * 3, "not in time", "sam"]
    assert EFFECTS.lines[-1] == "file sam"


async def resolve_from_outside(client: Client) -> Any:
    """A client that got no answer asks again, and then it may have been done."""

    async def resolve() -> None:
        try:
            await client.ask(
                lambda runtime: runtime.promise(Deal, "d", "signed", str).resolve("sam")
            )
        except ConflictError:
            return

    waiting = asyncio.ensure_future(client.call_by_name("Deal", "d", "wait"))
    await client.sleep(1)
    await resolve()
    return await waiting


async def test_a_value_that_was_acknowledged_survives_a_crash() -> None:
    report = await crash_everywhere(resolve_from_outside, CLASSES, crash_again=True)

    assert report.ending.outcome == "sam"


async def test_a_forgotten_workflow_has_no_promises() -> None:
    world = World(CLASSES, RuntimeConfig(retention=timedelta(minutes=5)))
    deal = (await world.start()).workflow(Deal, "d")
    await deal.sign("sam")
    await deal.run(5)
    await world.clock.advance(900)

    assert await deal.who() is None
    assert await world.finish(deal.run(5)) == "too late"
    world.close()


# -- Never started ------------------------------------------------------------------------------


async def test_a_promise_of_a_workflow_that_nobody_starts_goes_when_its_time_is_over() -> None:
    world = World([Deal], RuntimeConfig(retention=timedelta(days=1)))
    await world.start()
    await world.runtime.promise(Deal, "never", "signed").resolve("Ann")
    await world.runtime.promise(Deal, "late", "signed").resolve("Bob")
    await world.restart()
    await world.clock.advance(20 * 3600)
    await world.runtime.rest()
    late = await world.runtime.workflow(Deal, "late").run.send(10**9)
    await world.runtime.promise(Deal, "other", "signed").resolve("Cid")
    for _ in range(8):
        await world.clock.advance(3600)
        await world.runtime.rest()

    kept = {key for key, _ in world.store.scan(*keys.prefix_range(keys.PROMISE))}
    assert keys.promise(keys.object_key("Deal", "never"), "signed") not in kept
    assert keys.promise(keys.object_key("Deal", "late"), "signed") in kept
    assert keys.promise(keys.object_key("Deal", "other"), "signed") in kept
    assert await world.finish(world.runtime.invocation(late).attach()) == "signed by Bob"
    world.close()
