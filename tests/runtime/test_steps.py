"""Steps: intents, unknown outcomes, retries, time limits, and what a stop leaves behind."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, ClassVar, cast

import pytest

from holdfast import (
    Context,
    Happened,
    Intent,
    InvocationInfo,
    NeverHappened,
    RetryPolicy,
    RuntimeConfig,
    StepInfo,
    VirtualObject,
    handler,
    state,
    step_info,
)
from holdfast.journal import keys
from holdfast.objects.identity import Target, parse_invocation_id
from holdfast.objects.syscalls import OnUnknown
from holdfast.runtime.requests import Answer, CallRequest
from holdfast.runtime.step_plan import Step
from holdfast.runtime.testing import settle
from holdfast.testing.dying_store import DyingStore

from .worlds import World

WRITES_OF_A_START = 6


class Outside:
    """What actions did, and what lets them end."""

    begun: ClassVar[list[StepInfo]] = []
    cancelled: ClassVar[list[str]] = []
    may_end: ClassVar[asyncio.Event]
    verdict: ClassVar[Any] = None

    @classmethod
    def reset(cls) -> None:
        cls.begun = []
        cls.cancelled = []
        cls.may_end = asyncio.Event()
        cls.verdict = None


async def charge(amount: int) -> int:
    Outside.begun.append(step_info())
    try:
        await Outside.may_end.wait()
    except asyncio.CancelledError:
        Outside.cancelled.append(step_info().name)
        raise
    return amount


async def look_up(intent: Intent) -> Happened | NeverHappened:
    if isinstance(Outside.verdict, Exception):
        raise Outside.verdict
    if isinstance(Outside.verdict, asyncio.Event):
        await Outside.verdict.wait()
        return NeverHappened()
    if Outside.verdict in {"nothing", "odd"}:
        return Happened(object()) if Outside.verdict == "odd" else cast("NeverHappened", None)
    return Happened(40 + intent.attempt) if Outside.verdict else NeverHappened()


POLICIES: dict[str, OnUnknown] = {
    "retry": "retry",
    "fail": "fail",
    "pause": "pause",
    "verify": look_up,
}


class Shop(VirtualObject):
    log: list[str] = state(default_factory=list)

    @handler
    async def buy(self, ctx: Context, policy: str) -> str:
        try:
            step = ctx.step(on_unknown=POLICIES[policy])
            result: object = await step.run("charge", charge, 7)
        except Exception as error:  # noqa: BLE001
            return f"{type(error).__name__}: {error}"
        return str(result)

    @handler
    async def impatient(self, ctx: Context, attempts: int) -> str:
        step = ctx.step(timeout=timedelta(seconds=5), retry=RetryPolicy(max_attempts=attempts))
        try:
            return str(await step.run("charge", charge, 7))
        except Exception as error:  # noqa: BLE001
            return f"{type(error).__name__} {getattr(error, 'type_name', '')}"

    @handler
    async def give_up(self, ctx: Context) -> str:
        try:
            async with asyncio.timeout(3):
                return str(await ctx.run("charge", charge, 7))
        except TimeoutError:
            return "gave up"

    @handler
    async def plain(self, ctx: Context) -> int:
        return await ctx.run("plain", threading.get_ident)

    @handler
    async def unencodable(self, ctx: Context) -> str:
        try:
            await ctx.run("odd", object)
        except Exception as error:  # noqa: BLE001
            return type(error).__name__
        return "?"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Outside.reset()
    world = World([Shop])
    yield world
    world.close()


def ask(world: World, handler_name: str, argument: bytes) -> "asyncio.Future[Answer]":
    target = Target("Shop", "s", handler_name)
    request = CallRequest(target=target, argument=argument, idempotency_key=handler_name)
    return world.runtime.submit(request, wait=True)


async def interrupt(world: World, policy: str) -> "asyncio.Future[Answer]":
    """Begin a step, crash in the middle of its action, start again, and ask again."""
    await world.start()
    first = ask(world, "buy", f'"{policy}"'.encode())
    await settle()
    assert [info.attempt for info in Outside.begun] == [1]
    await world.restart()
    assert first.exception() is not None
    answer = ask(world, "buy", f'"{policy}"'.encode())
    await settle()
    return answer


async def test_an_interrupted_step_runs_again_with_the_same_idempotency_key(world: World) -> None:
    answer = await interrupt(world, "retry")
    Outside.may_end.set()

    assert (await answer).outcome == b'"7"'
    assert [info.attempt for info in Outside.begun] == [1, 2]
    assert len({info.idempotency_key for info in Outside.begun}) == 1


async def test_an_interrupted_step_can_fail_instead_of_running_again(world: World) -> None:
    outcome = (await interrupt(world, "fail")).result().outcome

    assert isinstance(outcome, bytes)
    assert outcome.startswith(b"\"OutcomeUnknownError: [HF0003] step 'charge'")
    assert len(Outside.begun) == 1


async def test_a_handler_told_of_an_unknown_step_is_told_again_wherever_it_dies() -> None:
    """Between the failure's commit and the handler's next command, nobody took it up any more."""
    left: list[int] = []
    for writes in range(WRITES_OF_A_START):
        Outside.reset()
        world = World([Shop], RuntimeConfig(turn_pumps_max=1))
        await world.start()
        asked = ask(world, "buy", b'"fail"')
        await settle()
        await world.crash()
        assert asked.exception() is not None
        await world.start(store=DyingStore(world.store, die_at=writes))
        await settle()
        await world.restart()
        await settle()
        left.append(len(list(world.store.scan(*keys.prefix_range(keys.INVOCATION)))))
        world.close()

    assert left == [0] * WRITES_OF_A_START


async def test_an_interrupted_step_can_wait_for_a_person(world: World) -> None:
    answer = await interrupt(world, "pause")
    await world.clock.advance(3600)
    assert not answer.done()
    assert len(Outside.begun) == 1

    id_ = await world.runtime.submit(
        CallRequest(target=Target("Shop", "s", "buy"), argument=b'"pause"', idempotency_key="buy"),
        wait=False,
    )
    Outside.may_end.set()
    assert await world.runtime.invocation(id_.invocation_id).resume()
    assert (await answer).outcome == b'"7"'
    assert [info.attempt for info in Outside.begun] == [1, 2]


async def test_a_verifier_that_finds_the_effect_gives_the_result(world: World) -> None:
    Outside.verdict = True
    answer = await interrupt(world, "verify")

    assert (await answer).outcome == b'"41"'
    assert len(Outside.begun) == 1


async def test_a_verifier_that_finds_nothing_lets_the_action_run(world: World) -> None:
    Outside.verdict = False
    answer = await interrupt(world, "verify")
    Outside.may_end.set()

    assert (await answer).outcome == b'"7"'
    assert [info.attempt for info in Outside.begun] == [1, 2]


async def test_what_never_happened_runs_only_once_a_paused_invocation_is_resumed(
    world: World,
) -> None:
    Outside.verdict = asyncio.Event()
    answer = await interrupt(world, "verify")
    found = await world.runtime.submit(
        CallRequest(target=Target("Shop", "s", "buy"), argument=b'"verify"', idempotency_key="buy"),
        wait=False,
    )
    handle = world.runtime.invocation(found.invocation_id)
    assert await handle.pause()
    Outside.verdict.set()
    await world.clock.advance(3600)
    assert len(Outside.begun) == 1

    Outside.may_end.set()
    assert await handle.resume()
    assert (await answer).outcome == b'"7"'
    assert [info.attempt for info in Outside.begun] == [1, 2]


async def test_a_verifier_that_fails_is_asked_again_before_anything_runs(world: World) -> None:
    Outside.verdict = ConnectionError("no route")
    answer = await interrupt(world, "verify")
    assert len(Outside.begun) == 1
    Outside.verdict = True
    await world.clock.advance(2)

    assert (await answer).outcome == b'"41"'
    assert len(Outside.begun) == 1


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        ("nothing", "it returned NoneType, not Happened or NeverHappened"),
        ("odd", "the result of step 'charge' cannot be recorded: a object cannot be encoded"),
    ],
)
async def test_a_verifier_that_says_nothing_of_use_is_asked_again_once_it_is_mended(
    world: World, verdict: str, reason: str
) -> None:
    """The step may have happened, so it must not be taken for failed."""
    Outside.verdict = verdict
    answer = await interrupt(world, "verify")
    await world.clock.advance(0.1)
    (found,) = [each for each in (await find_buy(world)).awaiting if each.name == "charge"]
    assert reason in str(found.last_failure)
    assert not answer.done()
    await world.restart()
    again = ask(world, "buy", b'"verify"')
    Outside.verdict = True
    await world.clock.advance(4)

    assert (await again).outcome == b'"41"'
    assert len(Outside.begun) == 1


async def find_buy(world: World) -> InvocationInfo:
    request = CallRequest(
        target=Target("Shop", "s", "buy"), argument=b'"verify"', idempotency_key="buy"
    )
    found = await world.runtime.submit(request, wait=False)
    return await world.runtime.invocation(found.invocation_id).describe()


async def test_a_time_limit_cancels_the_action_and_counts_as_a_failure(world: World) -> None:
    await world.start()
    answer = ask(world, "impatient", b"2")
    await world.clock.advance(20)

    assert (await answer).outcome == b'"StepFailedError TimeoutError"'
    assert [info.attempt for info in Outside.begun] == [1, 2]
    assert Outside.cancelled == ["charge", "charge"]


async def test_a_step_nobody_wants_any_more_is_cancelled(world: World) -> None:
    await world.start()
    answer = ask(world, "give_up", b"")
    await world.clock.advance(4)

    assert (await answer).outcome == b'"gave up"'
    assert Outside.cancelled == ["charge"]


async def test_a_stop_records_what_ends_in_time_and_starts_nothing_new(world: World) -> None:
    runtime = await world.start()
    ask(world, "buy", b'"fail"')
    await settle()
    stopping = asyncio.ensure_future(runtime.stop(timedelta(seconds=5)))
    await settle()
    Outside.may_end.set()
    await stopping
    world.store = world.store.crash(keep_written=False)
    await world.start()

    assert (await ask(world, "buy", b'"fail"')).outcome == b'"7"'
    assert len(Outside.begun) == 1


async def test_a_stop_leaves_a_slow_step_unknown_after_its_grace(world: World) -> None:
    runtime = await world.start()
    ask(world, "buy", b'"retry"')
    await settle()
    stopping = asyncio.ensure_future(runtime.stop(timedelta(seconds=5)))
    await world.clock.advance(6)
    await stopping
    assert Outside.cancelled == ["charge"]
    world.store = world.store.crash(keep_written=False)
    await world.start()
    answer = ask(world, "buy", b'"retry"')
    await settle()
    Outside.may_end.set()

    assert (await answer).outcome == b'"7"'
    assert [info.attempt for info in Outside.begun] == [1, 2]


async def test_an_intent_is_on_disk_before_its_action_begins(world: World) -> None:
    await world.start()
    ask(world, "buy", b'"retry"')
    await settle()
    invocation_id = parse_invocation_id(Outside.begun[0].invocation_id)

    assert world.store.crash(keep_written=False).get(keys.journal(invocation_id, 1)) is not None


async def test_a_result_that_cannot_be_encoded_is_the_steps_failure(world: World) -> None:
    await world.start()

    assert (await ask(world, "unencodable", b"")).outcome == b'"StepFailedError"'


async def test_a_plain_function_is_a_step_too(world: World) -> None:
    await world.start()

    assert isinstance((await ask(world, "plain", b"")).outcome, bytes)


async def test_a_step_is_current_until_its_action_has_ended(world: World) -> None:
    """A second launch of it, as of one that waited for others to end, must find that it is over."""
    runtime = await world.start()
    seen: list[Step] = []
    runtime.watch_steps(seen.append)
    asked = ask(world, "buy", b'"fail"')
    await settle()
    assert [step.is_current for step in seen] == [True]
    Outside.may_end.set()
    await settle()
    assert (await asked).outcome == b'"7"'
    assert [step.is_current for step in seen] == [False]
