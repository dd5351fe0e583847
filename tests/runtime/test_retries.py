"""What failed is tried again when its policy says so, and a crash never makes the policy forget."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, ClassVar

import pytest

from holdfast import (
    Context,
    Happened,
    Intent,
    NeverHappened,
    OutcomeUnknownError,
    RetryableError,
    RetryPolicy,
    StepFailedError,
    TerminalError,
    VirtualObject,
    handler,
    state,
)
from holdfast.journal import keys
from holdfast.journal.records import decode_step
from holdfast.objects.identity import Target, parse_awakeable_id
from holdfast.runtime.requests import Answer, CallRequest
from holdfast.runtime.verify import verify_rows
from holdfast.testing import Client, crash_everywhere
from holdfast.testing.virtual import UNHURRIED

from .worlds import World

SECOND = timedelta(seconds=1)
EACH_SECOND = RetryPolicy(initial_interval=SECOND, factor=1)


class Script:
    """What attempts do, one after the other: an exception to raise, or anything else to return."""

    world: ClassVar[World]
    outcomes: ClassVar[list[Any]] = []
    times: ClassVar[list[float]] = []
    policy: ClassVar[RetryPolicy] = EACH_SECOND
    awakeable: ClassVar[str] = ""

    @classmethod
    def act(cls) -> Any:
        cls.times.append(cls.world.clock.monotonic())
        outcome = cls.outcomes.pop(0) if cls.outcomes else "done"
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


async def look_up(intent: Intent) -> Any:
    assert intent.attempt == 1
    await Script.world.clock.sleep(0.25)
    return Script.act()


class Busy(VirtualObject):
    steps: int = state(0)

    @handler
    async def step(self, ctx: Context) -> Any:
        try:
            return await ctx.step(retry=Script.policy).run("act", Script.act)
        except StepFailedError as error:
            return f"{error.type_name}: {error.message}"

    @handler
    async def timed(self, ctx: Context) -> Any:
        _, said = await asyncio.gather(ctx.sleep(SECOND), ctx.step().run("act", Script.act))
        return said

    @handler
    async def told(self, ctx: Context) -> Any:
        answer = ctx.awakeable(str)
        Script.awakeable = answer.id
        return [*await asyncio.gather(answer, ctx.step(retry=Script.policy).run("act", Script.act))]

    @handler
    async def verified(self, ctx: Context) -> Any:
        answer = ctx.awakeable(str)
        Script.awakeable = answer.id
        step = ctx.step(retry=Script.policy, timeout=SECOND, on_unknown=look_up)
        return [*await asyncio.gather(answer, step.run("hang", asyncio.Event().wait))]

    @handler
    async def slow(self, ctx: Context) -> Any:
        step = ctx.step(retry=Script.policy, timeout=5 * SECOND)
        try:
            return await step.run("hang", asyncio.Event().wait)
        except StepFailedError as error:
            return f"{error.type_name}: {error.message}"

    @handler(retry=RetryPolicy(max_attempts=3, initial_interval=SECOND, factor=1))
    async def plain(self, ctx: Context) -> Any:
        return Script.act()

    @handler(retry=RetryPolicy(stop_on=(ValueError,), retry_on=(OSError, ValueError)))
    async def picky(self, ctx: Context) -> Any:
        return Script.act()

    @handler(retry=RetryPolicy(initial_interval=SECOND, factor=1, max_duration=10 * SECOND))
    async def limited(self, ctx: Context) -> Any:
        return Script.act()

    @handler(retry=RetryPolicy(max_attempts=2, initial_interval=SECOND))
    async def advancing(self, ctx: Context, count: int) -> int:
        """Fail after each step when it is done for the first time, and so never twice in a row."""
        for number in range(count):
            await ctx.run(f"s{number}", str)
            if Script.act() == "fail":
                message = f"after step {number}"
                raise OSError(message)
        return count

    @handler(retry=RetryPolicy(max_attempts=3, initial_interval=SECOND))
    async def asks(self, ctx: Context) -> str:
        answer = ctx.awakeable(str)
        Script.awakeable = answer.id
        Script.act()
        said = await answer
        Script.act()
        return said


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World([Busy], UNHURRIED)
    Script.world = world
    Script.outcomes, Script.times, Script.policy = [], [], EACH_SECOND
    await world.start()
    yield world
    world.close()


def ask(world: World, handler_name: str, argument: bytes = b"") -> "asyncio.Future[Answer]":
    target = Target("Busy", "b", handler_name)
    request = CallRequest(target=target, argument=argument, idempotency_key=handler_name)
    answer = world.runtime.submit(request, wait=True)
    answer.add_done_callback(lambda done: done.cancelled() or done.exception())
    return answer


async def outcome(world: World, handler_name: str, argument: bytes = b"") -> Any:
    return (await world.finish(ask(world, handler_name, argument))).outcome


def is_paused(world: World) -> bool:
    return any("paused" in line for line in world.runtime.describe_open())


# -- Steps --------------------------------------------------------------------------------------


async def test_a_429_with_a_header_is_tried_again_when_the_header_says(world: World) -> None:
    busy = RetryableError("busy", retry_after="7")
    at = datetime.fromtimestamp(world.clock.now_ms() / 1000 + 30, UTC)
    later = RetryableError("busy", retry_after=f"{at:%a, %d %b %Y %H:%M:%S GMT}")
    Script.outcomes = [busy, later, OSError("plain")]

    assert await outcome(world, "step") == b'"done"'
    assert Script.times == [0, 7, 30, 31]


class OddError(RetryableError):
    """Says how long to wait in its own way, as classes of users may."""

    def __init__(self, wait: Any) -> None:
        super().__init__("odd")
        self.retry_after = wait


@pytest.mark.parametrize("handler_name", ["step", "plain"])
async def test_a_wait_of_a_class_of_its_own_stops_no_runtime(
    world: World, handler_name: str
) -> None:
    Script.outcomes = [OddError(4), OddError(object())]

    assert await outcome(world, handler_name) == b'"done"'
    assert world.runtime.health == "ok"
    assert Script.times == [0, 4, 5]


async def test_a_step_that_is_put_off_counts_its_attempts(world: World) -> None:
    Script.policy = RetryPolicy(max_attempts=2)
    Script.outcomes = [RetryableError("busy", retry_after=5), RetryableError("still busy")]

    assert await outcome(world, "step") == b'"RetryableError: still busy"'
    assert Script.times == [0, 5]


async def test_an_error_that_stops_fails_the_step_at_once(world: World) -> None:
    Script.policy = RetryPolicy(stop_on=(ValueError,))
    Script.outcomes = [OSError("once"), ValueError("wrong card")]

    assert await outcome(world, "step") == b'"ValueError: wrong card"'
    assert len(Script.times) == 2


async def test_an_error_that_is_not_retried_fails_the_step_at_once(world: World) -> None:
    Script.policy = RetryPolicy(retry_on=(OSError,))
    Script.outcomes = [OSError("once"), RetryableError("twice"), KeyError("wrong")]

    assert await outcome(world, "step") == b"\"KeyError: 'wrong'\""
    assert len(Script.times) == 3


async def test_a_final_error_never_pauses_even_where_the_last_attempt_does(world: World) -> None:
    Script.policy = RetryPolicy(stop_on=(ValueError,), on_max_attempts="pause", max_attempts=5)
    Script.outcomes = [ValueError("wrong card")]

    assert await outcome(world, "step") == b'"ValueError: wrong card"'


async def test_a_time_limit_is_no_error_that_a_policy_looks_at(world: World) -> None:
    Script.policy = RetryPolicy(retry_on=(), max_attempts=3)

    assert b"TimeoutError: it did not end within" in await outcome(world, "slow")
    assert world.runtime.statistics().actions_started == 3


async def test_a_group_of_outcomes_is_an_outcome_of_a_step_too(world: World) -> None:
    Script.outcomes = [ExceptionGroup("", [TerminalError("no card", status_code=402)])]
    failure = await outcome(world, "step")

    assert isinstance(failure, TerminalError)
    assert (failure.status_code, failure.message) == (402, "no card")
    assert len(Script.times) == 1


async def test_a_step_is_given_up_when_its_time_is_over(world: World) -> None:
    Script.policy = RetryPolicy(initial_interval=SECOND, factor=1, max_duration=3 * SECOND)
    Script.outcomes = [OSError(f"{number}") for number in range(9)]

    assert await outcome(world, "step") == b'"OSError: 3"'
    assert Script.times == [0, 1, 2, 3]


@pytest.mark.parametrize("keep_written", [True, False])
async def test_a_crash_in_its_first_attempt_does_not_give_a_step_more_time(
    world: World, *, keep_written: bool
) -> None:
    Script.policy = RetryPolicy(max_duration=timedelta(minutes=1))
    ask(world, "slow")
    await world.runtime.rest()
    assert world.runtime.statistics().actions_started == 1
    await world.crash(keep_written=keep_written)
    world.clock.jump(58)
    await world.start()

    # The next attempt ends 63 seconds after the first began.
    assert b"TimeoutError" in await outcome(world, "slow")
    assert world.runtime.statistics().actions_started == 1


async def test_no_attempt_of_a_step_begins_when_its_time_is_over_although_one_was_due(
    world: World,
) -> None:
    """A provider forgets an idempotency key after a day, say, and the process was down for two."""
    Script.policy = RetryPolicy(initial_interval=SECOND, factor=1, max_duration=10 * SECOND)
    Script.outcomes = [OSError("1"), OSError("2")]
    ask(world, "step")
    await world.clock.advance(1.5)
    await world.crash(keep_written=True)
    world.clock.jump(60)
    await world.start()

    said = await outcome(world, "step")
    assert said.startswith(b'"TimeoutError: ')
    assert b"max_duration of 0:00:10 is over; the last one ended with OSError: 2" in said
    assert Script.times == [0, 1]


@pytest.mark.parametrize("late", [True, False])
async def test_a_step_that_was_cut_off_runs_again_only_while_its_time_lasts(
    world: World, *, late: bool
) -> None:
    Script.policy = RetryPolicy(max_duration=timedelta(minutes=1), max_attempts=2)
    ask(world, "slow")
    await world.runtime.rest()
    await world.crash(keep_written=True)
    world.clock.jump(61 if late else 58)
    await world.start()
    answer = ask(world, "slow")
    await world.clock.advance(1)

    assert world.runtime.statistics().actions_started == (0 if late else 1)
    if late:
        failure = (await world.finish(answer)).outcome
        assert isinstance(failure, OutcomeUnknownError)
        assert "max_duration of 0:01:00 is over" in failure.message


async def test_a_step_that_never_happened_does_not_once_its_time_is_over(world: World) -> None:
    Script.policy = RetryPolicy(max_duration=timedelta(minutes=1), on_max_attempts="pause")
    Script.outcomes = [NeverHappened()]
    ask(world, "verified")
    await world.runtime.rest()
    await world.crash(keep_written=True)
    world.clock.jump(61)
    await world.start()
    await world.clock.advance(1)

    assert is_paused(world)
    found = await world.runtime.find_invocation("Busy", "b", "verified", idempotency_key="verified")
    assert found is not None
    assert "it never happened" in (await found.describe()).last_failure
    before = world.runtime.statistics().actions_started
    await found.resume()
    await world.clock.advance(0.5)
    assert world.runtime.statistics().actions_started == before + 1


async def test_the_time_of_a_step_that_a_stop_kept_from_beginning_is_not_over(
    world: World,
) -> None:
    Script.policy = RetryPolicy(max_duration=10 * SECOND)
    ask(world, "step")
    await world.restart()
    world.clock.jump(60)

    assert await outcome(world, "step") == b'"done"'


async def test_a_chosen_delay_is_by_chance_and_is_kept_by_a_crash(world: World) -> None:
    Script.policy = RetryPolicy(initial_interval=100 * SECOND, max_interval=100 * SECOND, jitter=1)
    Script.outcomes = [OSError("1"), OSError("2"), OSError("3")]
    ask(world, "step")
    due: list[float] = []
    for _ in range(3):
        await world.runtime.rest()
        due.append(next_attempt(world))
        await world.restart()
        assert next_attempt(world) == due[-1]
        await world.clock.advance(due[-1] - world.clock.monotonic())

    assert Script.times == pytest.approx([0, *due])
    delays = [after - before for before, after in pairwise([0, *due])]
    assert all(0 <= delay < 100 for delay in delays)
    assert len(set(delays)) == 3


def next_attempt(world: World) -> float:
    """When the one step that waits is due, on the world's clock."""
    [(_, row)] = world.store.scan(*keys.prefix_range(keys.STEP))
    return decode_step(row).next_attempt_ms / 1000 - 1_000_000_000


async def test_a_step_that_waits_for_its_next_attempt_leaves_memory(world: World) -> None:
    Script.outcomes = [RetryableError("busy", retry_after=timedelta(hours=20))]
    answer = ask(world, "step")
    await world.clock.advance(60)
    world.runtime.suspend_idle()
    assert world.runtime.statistics().attempts_resident == 0

    assert (await world.finish(answer)).outcome == b'"done"'
    assert Script.times == [0, 20 * 3600]


async def test_a_next_attempt_may_be_due_with_what_brings_the_handler_back(world: World) -> None:
    """Its handler's attempt has a place then, and has read nothing yet."""
    Script.outcomes = [RetryableError("busy", retry_after=1)]
    answer = ask(world, "timed")
    await world.clock.advance(0.5)
    world.runtime.suspend_idle()

    assert (await world.finish(answer)).outcome == b'"done"'
    assert Script.times == [0, 1]


async def test_a_next_attempt_that_is_overdue_when_its_handler_is_back_begins_once(
    world: World,
) -> None:
    """Its timer was to ring after the answer that brought the handler back, and is taken back."""
    Script.outcomes = [OSError("plain"), RetryableError("busy", retry_after=7)]
    answer = ask(world, "told")
    await world.rest()
    world.runtime.suspend_idle()
    await world.rest()
    world.clock.jump(1)  # It is due, and the loop has not come to its timer.
    resolved = world.runtime.complete_awakeable(parse_awakeable_id(Script.awakeable), b'"told"')

    assert (await world.finish(answer)).outcome == b'["told","done"]'
    assert Script.times == [0, 1, 8]
    assert await resolved
    assert verify_rows(world.store) == []


async def test_a_verification_that_is_overdue_when_its_handler_is_back_is_not_asked_twice(
    world: World,
) -> None:
    """The same for a step whose outcome is unknown, and whose ``verify`` failed."""
    Script.outcomes = [OSError("no bank"), RetryableError("busy", retry_after=7), Happened("done")]
    answer = ask(world, "verified")
    await world.clock.advance(1.5)
    world.runtime.suspend_idle()
    await world.rest()
    world.clock.jump(1)
    resolved = world.runtime.complete_awakeable(parse_awakeable_id(Script.awakeable), b'"told"')
    await world.rest()
    assert verify_rows(world.store) == []

    assert (await world.finish(answer)).outcome == b'["told","done"]'
    assert Script.times == [1.25, 2.75, 10]
    assert await resolved


# -- Handlers -----------------------------------------------------------------------------------


async def test_a_handler_too_waits_as_long_as_it_is_told(world: World) -> None:
    Script.outcomes = [RetryableError("busy", retry_after=7), OSError("plain")]

    assert await outcome(world, "plain") == b'"done"'
    assert Script.times == [0, 7, 8]


async def test_an_error_that_stops_is_the_outcome_of_its_handler(world: World) -> None:
    Script.outcomes = [ValueError("wrong card")]
    failure = await outcome(world, "picky")

    assert isinstance(failure, TerminalError)
    assert (failure.type_name, failure.message) == ("ValueError", "wrong card")
    assert not is_paused(world)


async def test_an_error_that_is_not_retried_is_the_outcome_of_its_handler(world: World) -> None:
    Script.outcomes = [OSError("once"), KeyError("wrong")]
    failure = await outcome(world, "picky")

    assert isinstance(failure, TerminalError)
    assert failure.type_name == "KeyError"
    assert len(Script.times) == 2


async def test_attempts_that_get_further_do_not_count(world: World) -> None:
    # Replayed, each step before says "done" again.
    Script.outcomes = [said for number in range(20) for said in [*(["done"] * number), "fail"]]

    assert await outcome(world, "advancing", b"20") == b"20"


async def test_attempts_that_get_no_further_do_count(world: World) -> None:
    Script.outcomes = ["fail", "done", "fail", "done", "fail"]
    ask(world, "advancing", b"20")
    await world.clock.advance(3600)

    assert is_paused(world)
    assert Script.outcomes == []


async def test_waiting_for_a_person_costs_no_attempts(world: World) -> None:
    Script.outcomes = [OSError("1"), OSError("2"), "done"]
    answer = ask(world, "asks")
    await world.clock.advance(3 * 86400)
    world.runtime.suspend_idle()
    Script.outcomes = ["done", OSError("3"), "done", OSError("4"), "done", "done"]
    await world.runtime.complete_awakeable(parse_awakeable_id(Script.awakeable), b'"yes"')

    assert (await world.finish(answer)).outcome == b'"yes"'


async def test_a_handler_is_given_up_when_its_time_is_over(world: World) -> None:
    Script.outcomes = [OSError(f"{number}") for number in range(100)]
    ask(world, "limited")
    await world.clock.advance(5.5)
    await world.restart()
    await world.clock.advance(3600)

    assert is_paused(world)
    assert len(Script.times) == 11


async def test_a_person_gives_all_attempts_again(world: World) -> None:
    Script.outcomes = [OSError(f"{number}") for number in range(100)]
    ask(world, "limited")
    await world.clock.advance(3600)
    target = Target("Busy", "b", "limited")
    request = CallRequest(target=target, argument=b"", idempotency_key="limited")
    accepted = await world.runtime.submit(request, wait=False)
    assert await world.runtime.invocation(accepted.invocation_id).resume()
    await world.clock.advance(3600)

    assert len(Script.times) == 22


@pytest.mark.parametrize("is_counted", [True, False])
async def test_a_person_gives_a_step_that_waits_for_its_next_attempt_all_of_them_again(
    world: World, *, is_counted: bool
) -> None:
    bound: dict[str, Any] = {"max_attempts": 3} if is_counted else {"max_duration": 2 * SECOND}
    Script.policy = RetryPolicy(initial_interval=SECOND, factor=1, **bound)
    Script.outcomes = [OSError(f"{number}") for number in range(100)]
    answer = ask(world, "step")
    await world.clock.advance(1.5)
    found = await world.runtime.find_invocation("Busy", "b", "step", idempotency_key="step")
    assert found is not None
    assert await found.resume()

    assert (await world.finish(answer)).outcome == b'"OSError: 4"'
    assert Script.times == [0, 1, 1.5, 2.5, 3.5]


# -- Crashes ------------------------------------------------------------------------------------


class Crashing(VirtualObject):
    """All kinds of retries in one handler; what failed how often is kept outside."""

    tries: ClassVar[dict[str, int]] = {}

    @classmethod
    def count(cls, name: str) -> int:
        cls.tries[name] = cls.tries.get(name, 0) + 1
        return cls.tries[name]

    @staticmethod
    async def provider(until: int) -> str:
        if Crashing.count("provider") <= until:
            message = "busy"
            raise RetryableError(message, retry_after=3)
        return "answered"

    @staticmethod
    async def refuse() -> None:
        message = "no"
        raise ValueError(message)

    @handler(retry=RetryPolicy(max_attempts=3, initial_interval=SECOND, jitter=0.5))
    async def run(self, ctx: Context) -> list[str]:
        policy = RetryPolicy(max_duration=timedelta(hours=1), jitter=0.5, stop_on=(ValueError,))
        seen = [await ctx.step(retry=policy).run("provider", Crashing.provider, 2)]
        if Crashing.count("handler") < 2:
            message = "flaky"
            raise OSError(message)
        try:
            await ctx.step(retry=policy).run("refuse", Crashing.refuse)
        except StepFailedError as error:
            seen.append(f"{error.type_name}: {error.message}")
        return seen


async def test_retries_end_alike_wherever_the_process_dies() -> None:
    async def call(client: Client) -> list[str]:
        return await client.object(Crashing, "c").run()

    report = await crash_everywhere(
        call,
        [Crashing],
        reset=Crashing.tries.clear,
        crash_again=True,
        suspending=True,
    )

    assert report.ending.outcome == ["answered", "ValueError: no"]
