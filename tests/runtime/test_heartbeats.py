"""An action that says nothing is ended; one that says how far it has come goes on from there."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from holdfast import (
    Context,
    Happened,
    Intent,
    InvalidArgumentError,
    MemoryStore,
    NeverHappened,
    OutcomeUnknownError,
    RetryPolicy,
    StepFailedError,
    StepInfo,
    VirtualObject,
    handler,
    step_info,
)
from holdfast.journal import keys
from holdfast.objects.identity import Target
from holdfast.objects.step_info import DETAILS_BYTES_MAX
from holdfast.runtime.requests import Answer, CallRequest
from holdfast.runtime.seams import SystemThreads
from holdfast.testing import Client, Effects, VirtualRuntime, crash_everywhere
from holdfast.testing.virtual import UNHURRIED

from .worlds import World

SECOND = timedelta(seconds=1)
EFFECTS = Effects()


class Outside:
    """What actions saw, and how they behave."""

    world: ClassVar[World]
    seen: ClassVar[list[Any]] = []
    info: ClassVar[StepInfo]
    beats: ClassVar[list[float]] = []
    """Seconds before each heartbeat; afterwards the action is silent."""
    fails: ClassVar[bool] = False
    cancelled: ClassVar[int] = 0
    released: ClassVar[threading.Event]

    @classmethod
    def reset(cls) -> None:
        cls.seen, cls.beats, cls.fails, cls.cancelled = [], [], False, 0
        cls.released = threading.Event()


async def beat() -> str:
    Outside.info = info = step_info()
    Outside.seen.append(info.details)
    try:
        for number, seconds in enumerate(Outside.beats):
            await Outside.world.clock.sleep(seconds)
            info.heartbeat({"at": number, "of": (b"bytes", None)})
        if Outside.fails:
            message = "half way"
            raise OSError(message)
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        Outside.cancelled += 1
        raise
    return "never"


async def ignore_the_end() -> None:
    """Take its time when it is cancelled, and go on speaking meanwhile."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await Outside.world.clock.sleep(3)
        step_info().heartbeat("still here")
        await Outside.world.clock.sleep(3)


async def look_up(intent: Intent) -> Happened | NeverHappened:
    Outside.seen.append(("verify", intent.details))
    return Happened("looked up")


async def deny_at_length(intent: Intent) -> NeverHappened:
    """Looks for the effect on two pages, and says so each time."""
    Outside.seen.append(("verify", intent.details))
    for page in range(2):
        step_info().heartbeat(f"looked at {page}")
        await Outside.world.clock.sleep(0.1)
    return NeverHappened()


def work_in_thread() -> None:
    info = step_info()
    try:
        while True:
            info.heartbeat("working")
            if Outside.released.wait(0.001):
                return
    except asyncio.CancelledError:
        Outside.seen.append("told to end")
        raise


class Worker(VirtualObject):
    @handler
    async def quiet(self, ctx: Context) -> str:
        step = ctx.step(heartbeat_timeout=5 * SECOND, timeout=60 * SECOND, on_unknown="fail")
        try:
            return await step.run("beat", beat)
        except OutcomeUnknownError as error:
            return error.message

    @handler
    async def again(self, ctx: Context) -> str:
        policy = RetryPolicy(max_attempts=3)
        step = ctx.step(heartbeat_timeout=5 * SECOND, retry=policy)
        try:
            return await step.run("beat", beat)
        except StepFailedError as error:
            return error.message

    @handler
    async def verified(self, ctx: Context) -> str:
        step = ctx.step(heartbeat_timeout=5 * SECOND, on_unknown=look_up)
        return await step.run("beat", beat)

    @handler
    async def denied(self, ctx: Context) -> str:
        return await ctx.step(on_unknown=deny_at_length).run("beat", beat)

    @handler
    async def given_up(self, ctx: Context) -> str:
        try:
            async with asyncio.timeout(10):
                return await ctx.run("beat", beat)
        except TimeoutError:
            return "gave up"

    @handler
    async def threaded(self, ctx: Context) -> str:
        try:
            async with asyncio.timeout(1):
                await ctx.run("work", work_in_thread)
        except TimeoutError:
            return "gave up"
        return "?"

    @handler
    async def too_long(self, ctx: Context) -> str:
        step = ctx.step(timeout=SECOND, on_unknown="fail")
        try:
            await step.run("work", work_in_thread)
        except OutcomeUnknownError as error:
            return error.message
        return "?"

    @handler
    async def stubborn(self, ctx: Context) -> str:
        try:
            async with asyncio.timeout(10):
                await ctx.run("ignore", ignore_the_end)
        except TimeoutError:
            await asyncio.sleep(5)
        return "?"

    @handler
    async def badly(self, ctx: Context) -> list[str]:
        return await ctx.run("badly", say_badly)


async def say_badly() -> list[str]:
    said: list[str] = []
    for details in ("x" * DETAILS_BYTES_MAX, object(), {1 << 70}, "\ud800"):
        try:
            step_info().heartbeat(details)
        except InvalidArgumentError as error:
            said.append(error.message)
    return said


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Outside.reset()
    world = World([Worker], UNHURRIED)
    Outside.world = world
    await world.start()
    yield world
    world.close()


def ask(world: World, handler_name: str) -> "asyncio.Future[Answer]":
    target = Target("Worker", "w", handler_name)
    request = CallRequest(target=target, argument=b"", idempotency_key=handler_name)
    answer = world.runtime.submit(request, wait=True)
    answer.add_done_callback(lambda done: done.cancelled() or done.exception())
    return answer


async def outcome(world: World, handler_name: str) -> Any:
    return (await world.finish(ask(world, handler_name))).outcome


async def test_a_silent_action_is_cancelled_and_its_outcome_unknown(world: World) -> None:
    Outside.beats = [4, 4, 4]
    said = await outcome(world, "quiet")

    assert b"the outcome of attempt 1 is unknown: it was silent for 0:00:05" in said
    assert world.clock.monotonic() == pytest.approx(17)
    assert (Outside.seen, Outside.cancelled) == ([None], 1)


async def test_an_action_that_never_speaks_is_silent_from_its_start(world: World) -> None:
    assert b"it was silent" in await outcome(world, "quiet")
    assert world.clock.monotonic() == pytest.approx(5)


async def test_heartbeats_do_not_put_off_the_time_limit(world: World) -> None:
    Outside.beats = [4] * 100

    assert b"it did not end within 0:01:00" in await outcome(world, "quiet")
    assert world.clock.monotonic() == pytest.approx(60)


async def test_what_an_action_said_last_reaches_its_next_attempt(world: World) -> None:
    Outside.beats, Outside.fails = [1, 1, 1], True

    assert await outcome(world, "again") == b'"half way"'
    assert Outside.seen == [None, *[{"at": 2, "of": [b"bytes", None]}] * 2]


async def test_what_a_silent_action_said_last_reaches_its_next_attempt(world: World) -> None:
    Outside.beats = [1]
    await outcome(world, "again")

    assert Outside.seen[1] == {"at": 0, "of": [b"bytes", None]}


@pytest.mark.parametrize(("killed_at", "number"), [(0.4, None), (0.6, 0), (1.4, 0), (1.6, 2)])
async def test_a_killed_process_loses_a_second_of_what_an_action_said(
    world: World, killed_at: float, number: int | None
) -> None:
    Outside.beats = [0.5, 0.2, 0.2, 100]
    ask(world, "again")
    await world.clock.advance(killed_at)
    await world.restart()
    await world.runtime.rest()

    said = None if number is None else {"at": number, "of": [b"bytes", None]}
    assert Outside.seen == [None, said]


async def test_what_an_action_said_may_be_lost_with_the_power(world: World) -> None:
    Outside.beats = [1, 5]
    ask(world, "again")
    await world.clock.advance(3)
    await world.restart(keep_written=False)
    await world.runtime.rest()

    assert Outside.seen == [None, None]


async def test_what_an_action_said_reaches_who_verifies_it(world: World) -> None:
    Outside.beats = [1]

    assert await outcome(world, "verified") == b'"looked up"'
    assert Outside.seen[-1] == ("verify", {"at": 0, "of": [b"bytes", None]})


async def test_what_an_action_said_before_a_crash_reaches_who_verifies_it(world: World) -> None:
    Outside.beats = [1, 100]
    ask(world, "verified")
    await world.clock.advance(2)
    await world.restart()

    assert await outcome(world, "verified") == b'"looked up"'
    assert Outside.seen == [None, ("verify", {"at": 0, "of": [b"bytes", None]})]


async def test_what_an_action_says_after_a_verify_that_spoke_is_written_too(world: World) -> None:
    Outside.beats = [1, 100]
    ask(world, "denied")
    await world.runtime.rest()
    await world.restart()
    await world.clock.advance(2)
    await world.restart()
    await world.runtime.rest()

    assert Outside.seen[:2] == [None, ("verify", None)]
    assert Outside.seen[3] == ("verify", {"at": 0, "of": [b"bytes", None]})


async def test_a_heartbeat_for_each_token_is_a_row_a_second(world: World) -> None:
    Outside.beats = [0.01] * 1_000
    answer = ask(world, "quiet")
    await world.runtime.rest()
    before = world.runtime.statistics()
    await world.finish(answer)
    after = world.runtime.statistics()

    assert after.batches_written - before.batches_written <= 13
    assert after.syncs - before.syncs <= 2


async def test_a_heartbeat_of_a_step_that_has_ended_writes_nothing(world: World) -> None:
    Outside.beats = [1]
    assert await outcome(world, "given_up") == b'"gave up"'
    Outside.info.heartbeat("late")
    await world.clock.advance(5)

    assert list(world.store.scan(*keys.prefix_range(keys.STEP))) == []


async def test_a_step_that_nobody_wants_any_more_gets_no_row_by_speaking(world: World) -> None:
    answer = ask(world, "stubborn")
    await world.clock.advance(14)
    assert list(world.store.scan(*keys.prefix_range(keys.STEP))) == []

    assert (await world.finish(answer)).outcome == b'"?"'
    assert world.clock.monotonic() == pytest.approx(16), "the key waits for what still runs"


@pytest.mark.parametrize("handler_name", ["threaded", "too_long"])
async def test_a_thread_that_speaks_learns_that_it_should_end(handler_name: str) -> None:
    Outside.reset()
    threads = SystemThreads()
    async with VirtualRuntime([Worker], store=MemoryStore(), threads=threads) as runtime:
        call = runtime.call_by_name("Worker", "w", handler_name)
        try:
            said = await runtime.finish(call)
        finally:
            Outside.released.set()

    assert said == "gave up" or "it did not end within 0:00:01" in said
    assert Outside.seen == ["told to end"]


async def test_details_that_cannot_be_written_are_refused_with_the_reason(world: World) -> None:
    said = await outcome(world, "badly")

    assert b"step 'badly': heartbeat details take 65541 bytes, and may take 65536" in said
    assert said.count(b"heartbeat details: ") == 3


def test_a_step_info_that_a_test_has_made_can_be_told_anything() -> None:
    info = StepInfo(name="s", attempt=1, idempotency_key="k", invocation_id="i", details=7)
    info.heartbeat({"a": 1})

    assert info.details == 7
    with pytest.raises(InvalidArgumentError):
        info.heartbeat(object())


# -- Crashes ------------------------------------------------------------------------------------


class Importer(VirtualObject):
    @handler
    async def run(self, ctx: Context) -> int:
        return await ctx.step(heartbeat_timeout=3 * SECOND).run("import", import_pages)


async def import_pages() -> int:
    """Do what is left to do, a second for each page."""
    begin = step_info().details or 0
    for page in range(begin, 5):
        await Outside.world.clock.sleep(1)
        EFFECTS.add(f"page {page}")
        step_info().heartbeat(page + 1)
    return 5


async def test_an_import_goes_on_wherever_the_process_dies() -> None:
    async def call(client: Client) -> int:
        Outside.world = client  # type: ignore[assignment]  # for its clock
        return await client.object(Importer, "i").run()

    pages: list[int] = []

    def count(ending: Any) -> Any:
        pages.append(len(str(ending.effects).split("page")) - 1)
        return ending.outcome

    report = await crash_everywhere(
        call, [Importer], effects=EFFECTS, compare=count, crash_again=True, suspending=True
    )

    assert report.ending.outcome == 5
    assert report.commits > 5
