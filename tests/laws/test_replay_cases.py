"""Single cases of replay that once went wrong, each named after what the user saw."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any

import pytest

from holdfast import (
    Context,
    OutcomeUnknownError,
    RetryPolicy,
    RuntimeConfig,
    TerminalError,
    VirtualObject,
    handler,
    shared,
    state,
    step_info,
)
from holdfast.journal import keys
from holdfast.objects.identity import Target
from holdfast.runtime.requests import Answer, CallRequest
from holdfast.runtime.testing import ManualClock, come_to_rest

from ..runtime.worlds import World
from .stage import OUTSIDE, act

AT_ONCE = RetryPolicy(initial_interval=timedelta(0), max_attempts=2)


def submit(world: World, path: str, argument: bytes = b"") -> asyncio.Future[Answer]:
    service, key, name = path.split("/")
    request = CallRequest(
        target=Target(service, key, name), argument=argument, idempotency_key=path
    )
    return world.runtime.submit(request, wait=True)


class Cases(VirtualObject):
    """One handler per case."""

    number: int = state(0)
    names: list[str] = state(default_factory=list)

    @handler
    async def keys_before_and_after(self, ctx: Context) -> list[Any]:
        before = ctx.keys()
        self.names.append("x")
        changed = ctx.keys()
        assert self.number == 0
        read = ctx.keys()
        await asyncio.sleep(10)
        return [before, changed, read, ctx.keys()]

    @handler
    async def count(self, ctx: Context) -> int:
        self.number += 1
        return self.number

    @shared
    async def read_between(self, ctx: Context) -> list[int]:
        asked = ctx.sleep(1)
        between = self.number
        await asked
        after = self.number
        await ctx.sleep(1)
        return [between, after]

    @shared
    async def names_of_shared(self, ctx: Context) -> list[str]:
        found = ctx.keys()
        await ctx.sleep(1)
        return found

    @handler(retry=AT_ONCE)
    async def fail_before_the_step_began(self, ctx: Context) -> str:
        step = ctx.step(on_unknown="fail").run("s", act, "s", 0, "ran")
        if OUTSIDE.count("failed before") == 1:
            message = "once"
            raise OSError(message)
        try:
            return str(await step)
        except OutcomeUnknownError as error:
            return error.message

    @handler(retry=RetryPolicy(max_attempts=1, on_max_attempts="fail"))
    async def give_up_beside_a_step(self, ctx: Context) -> None:
        step = ctx.run("slow", slow, 5)
        ctx.awakeable()
        await asyncio.sleep(0.01)
        assert not step.done()
        message = "given up"
        raise OSError(message)

    @handler
    async def fail_beside_a_step_that_pauses(self, ctx: Context) -> str:
        step = ctx.step(timeout=timedelta(seconds=1), on_unknown="pause").run("s", slow_once, 50)
        await asyncio.sleep(0.9)
        if OUTSIDE.count("failed beside") == 1:
            message = "once"
            raise OSError(message)
        await step
        await asyncio.sleep(10)
        return "done"

    @handler
    async def waits_with_a_status(self, ctx: Context) -> None:
        ctx.set("status", "idle")
        await ctx.run("s", act, "s", 0)
        wait = ctx.sleep(1)
        ctx.set("status", "waiting")
        await wait
        ctx.set("status", "idle")

    @handler
    async def ends_before_its_steps_begin(self, ctx: Context) -> str:
        ctx.run("s", act, "s", 0)
        await ctx.object(Cases, "other").count()
        return "ended"

    @handler
    async def stumbles_when_it_comes_by_again(self, ctx: Context, then: str) -> str:
        try:
            async with asyncio.timeout(100):
                await ctx.run("s", act, "s", 0)
                if OUTSIDE.count("came by") == 2:
                    await stray(ctx, then)
                await ctx.sleep(1)
                await ctx.run("t", act, "t", 0)
                await ctx.sleep(1)
        except OSError:
            match then:
                case "fails":
                    raise
                case "asks":
                    await ctx.run("other", act, "other", 0)
                case "asks for a patch":
                    ctx.patched("new")
                case "waits":
                    await asyncio.Event().wait()
                case _:
                    pass
        return "done"

    @shared
    async def read_status(self, ctx: Context) -> str:
        return str(ctx.get("status"))

    @handler
    async def changes_a_long_list(self, ctx: Context) -> None:
        waits = [ctx.sleep(seconds) for seconds in (1, 2, 3, 4)]
        for number, wait in enumerate(waits):
            change_list(self.names, number)
            await wait

    @shared
    async def read_names(self, ctx: Context) -> list[str]:
        return self.names

    @handler
    async def reads_a_default_between_two_waits(self, ctx: Context) -> list[Any]:
        waits = [ctx.sleep(seconds) for seconds in (1, 2)]
        await waits[0]
        assert self.number == 0
        seen = [ctx.keys()]
        await waits[1]
        seen.append(ctx.keys())
        return seen


def change_list(names: list[str], number: int) -> None:
    """Changes that make, drop and split the rows of a long list."""
    if number == 0:
        names.extend(f"{n} {'x' * 50}" for n in range(200))
    elif number == 1:
        names.extend(f"more {n} {'y' * 50}" for n in range(400))
        names[5] = "changed"
    elif number == 2:
        del names[100:550]
        names.insert(3, "inserted " + "z" * 3000)
    else:
        names.extend(f"last {n} {'w' * 50}" for n in range(100))
        names[-1] = "end"


async def slow(seconds: int) -> None:
    OUTSIDE.count("slow began")
    try:
        await OUTSIDE.pause(1_000_000)
    except asyncio.CancelledError:
        await OUTSIDE.pause(seconds * 1000)
        OUTSIDE.count("slow ended")


async def slow_once(seconds: int) -> None:
    if step_info().attempt == 1:
        await OUTSIDE.pause(seconds * 1000)


async def stray(ctx: Context, then: str) -> None:
    if then == "asks at once":
        await ctx.run("other", act, "other", 0)
    message = "once"
    raise OSError(message)


@pytest.fixture
def world() -> World:
    world = World([Cases])
    world.clock = ManualClock()
    OUTSIDE.clear(world.clock)
    return world


async def test_the_names_of_stored_fields_are_the_same_on_replay(world: World) -> None:
    await world.start()
    submit(world, "Cases/a/keys_before_and_after")
    await world.clock.advance(1)
    await world.restart()
    answer = submit(world, "Cases/a/keys_before_and_after")
    await world.clock.advance(20)
    replayed = (await answer).outcome

    await world.start()
    answer = submit(world, "Cases/b/keys_before_and_after")
    await world.clock.advance(20)
    assert replayed == (await answer).outcome


async def test_what_a_shared_handler_read_between_two_results_is_the_same_on_replay(
    world: World,
) -> None:
    runtime = await world.start()
    answer = submit(world, "Cases/a/read_between")
    await come_to_rest()
    await runtime.object(Cases, "a").count()
    await world.clock.advance(1.5)
    await runtime.object(Cases, "a").count()
    runtime.suspend_idle()
    await world.clock.advance(2)

    assert (await answer).outcome == b"[0,1]"


async def test_the_names_a_shared_handler_saw_are_the_same_on_replay(world: World) -> None:
    runtime = await world.start()
    answer = submit(world, "Cases/a/names_of_shared")
    await come_to_rest()
    await runtime.object(Cases, "a").count()
    runtime.suspend_idle()
    await world.clock.advance(2)

    assert (await answer).outcome == b"[]"


async def test_a_step_that_never_began_is_not_of_unknown_outcome(world: World) -> None:
    await world.start()
    answer = submit(world, "Cases/a/fail_before_the_step_began")
    await world.clock.advance(1)

    assert (await answer).outcome == b'"ran"'


async def test_a_handler_that_gives_up_keeps_its_key_until_its_action_has_ended(
    world: World,
) -> None:
    await world.start()
    first = submit(world, "Cases/a/give_up_beside_a_step")
    second = submit(world, "Cases/a/count")
    await world.clock.advance(1)
    assert OUTSIDE.counts == {"slow began": 1}
    assert not first.done()
    assert not second.done()
    # The action was told to end, and ends when it likes.
    await world.clock.advance(10)

    assert OUTSIDE.counts == {"slow began": 1, "slow ended": 1}
    assert isinstance((await first).outcome, TerminalError)
    assert (await second).outcome == b"1"
    for table in (keys.AWAKEABLE, keys.TIMER, keys.STEP, keys.LIVE):
        assert not list(world.store.scan(*keys.prefix_range(table))), table


async def test_a_retry_that_is_due_after_a_pause_and_a_resume_begins_no_second_attempt(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.config = RuntimeConfig(retry=RetryPolicy(initial_interval=timedelta(seconds=5)))
    runtime = await world.start()
    request = CallRequest(
        target=Target("Cases", "a", "fail_beside_a_step_that_pauses"), argument=b""
    )
    accepted = await runtime.submit(request, wait=False)
    await world.clock.advance(1.5)
    assert await runtime.invocation(accepted.invocation_id).resume()
    caplog.clear()
    with caplog.at_level(logging.ERROR):
        await world.clock.advance(30)

    assert not caplog.records
    assert runtime.statistics().invocations_completed == 1


async def stumble(world: World, then: str) -> asyncio.Future[Answer]:
    """In an attempt that follows the journal, and leaves a timeout by that."""
    runtime = await world.start()
    answer = submit(world, "Cases/a/stumbles_when_it_comes_by_again", f'"{then}"'.encode())
    await world.clock.advance(1.5)
    runtime.suspend_idle()
    await world.clock.advance(10)
    return answer


async def test_an_attempt_that_fails_on_its_way_through_the_journal_is_tried_again(
    world: World,
) -> None:
    answer = await stumble(world, "fails")

    assert answer.done()
    assert answer.result().outcome == b'"done"'
    assert OUTSIDE.counts["came by"] == 3


async def test_what_was_left_first_is_what_is_told(world: World) -> None:
    answer = await stumble(world, "asks at once")

    assert not answer.done()
    [paused] = [line for line in world.runtime.describe_open() if "paused" in line]
    assert "cancellation" not in paused


@pytest.mark.parametrize("then", ["asks", "asks for a patch", "waits", "ends"])
async def test_a_handler_that_goes_on_from_where_it_left_its_journal_is_paused(
    world: World, then: str
) -> None:
    answer = await stumble(world, then)

    assert not answer.done()
    [paused] = [line for line in world.runtime.describe_open() if "paused" in line]
    assert "asks for cancellation of entry 1" in paused


async def test_a_status_that_is_set_back_after_a_wait_is_set_back_after_a_replay(
    world: World,
) -> None:
    runtime = await world.start()
    answer = submit(world, "Cases/a/waits_with_a_status")
    await world.clock.advance(0.5)
    assert await runtime.object(Cases, "a").read_status() == "waiting"
    runtime.suspend_idle()
    await world.clock.advance(1)
    await answer

    runtime = await world.restart()
    assert await runtime.object(Cases, "a").read_status() == "idle"


@pytest.mark.parametrize("suspends_at", [(0.5,), (1.5,), (2.5,), (0.5, 1.5, 2.5), (3.5,)])
async def test_a_long_list_that_changes_at_each_wait_is_the_same_after_a_replay(
    world: World, suspends_at: tuple[float, ...]
) -> None:
    runtime = await world.start()
    submit(world, "Cases/a/changes_a_long_list")
    at = 0.0
    for moment in suspends_at:
        await world.clock.advance(moment - at)
        at = moment
        runtime.suspend_idle()
    await world.clock.advance(10)

    runtime = await world.restart()
    expected: list[str] = []
    for number in range(4):
        change_list(expected, number)
    assert await runtime.object(Cases, "a").read_names() == expected


async def test_a_default_read_before_a_wait_is_named_alike_on_replay(world: World) -> None:
    runtime = await world.start()
    answer = submit(world, "Cases/a/reads_a_default_between_two_waits")
    await world.clock.advance(1.5)
    runtime.suspend_idle()
    await world.clock.advance(10)

    first = (await answer).outcome
    answer = submit(world, "Cases/b/reads_a_default_between_two_waits")
    await world.clock.advance(10)
    assert (await answer).outcome == first


async def test_a_handler_that_ends_before_its_step_has_begun_still_answers(world: World) -> None:
    await world.start()
    answer = submit(world, "Cases/a/ends_before_its_steps_begin")
    await world.clock.advance(1)

    assert (await asyncio.wait_for(answer, 0)).outcome == b'"ended"'
    assert not OUTSIDE.lines
