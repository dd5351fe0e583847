"""Cancelling an invocation: what its handler sees, who else is told, and every race about it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from holdfast import (
    CanceledError,
    InvalidArgumentError,
    RetryPolicy,
    RuntimeClosedError,
    RuntimeConfig,
    UnknownTargetError,
)
from holdfast.journal import codec, keys
from holdfast.journal.entry import Cancellation, Completion, Entry
from holdfast.objects.identity import (
    InvocationId,
    format_invocation_id,
    parse_awakeable_id,
    parse_invocation_id,
)
from holdfast.runtime.testing import settle

from .controlled import CLASSES, Boss, Outer, Worker, ask, ask_again, outcome_of, request_of
from .worlds import World

TABLES_OF_THE_OPEN = (
    keys.INVOCATION,
    keys.LIVE,
    keys.TURN,
    keys.INBOX,
    keys.TIMER,
    keys.AWAKEABLE,
    keys.WAITING,
    keys.STEP,
)


def assert_nothing_is_open(world: World) -> None:
    for table in TABLES_OF_THE_OPEN:
        left = list(world.store.scan(*keys.prefix_range(table)))
        assert not left, f"{table!r}: {left}"


def entries_of(world: World, id_: str) -> list[Entry]:
    rows = world.store.scan(*keys.prefix_range(keys.JOURNAL + parse_invocation_id(id_)))
    return [codec.decode_entry(row) for _, row in rows]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Outer.clear()
    world = World(CLASSES)
    yield world
    world.close()


async def test_a_handler_sees_the_cancellation_in_its_await_and_cleans_up_with_steps(
    world: World,
) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/cleans", "x")
    await settle()
    assert await runtime.invocation(asked.id).cancel("too slow")
    await settle()

    assert Outer.lines == ["x began", "x was cancelled", "x cleaned"]
    assert await outcome_of(asked) == (
        f"409 CanceledError Worker/a/cleans ({asked.id}) was canceled: too slow"
    )
    assert await runtime.object(Worker, "a").look() == ["too slow"]
    assert_nothing_is_open(world)


async def test_without_a_reason_the_message_says_only_that_it_was_canceled(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/plain", "x")
    await runtime.invocation(asked.id).cancel()
    await settle()

    assert await outcome_of(asked) == (
        f"409 CanceledError Worker/a/plain ({asked.id}) was canceled"
    )


async def test_a_handler_that_returns_all_the_same_has_its_own_outcome(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/swallows", "x")
    await settle()
    await runtime.invocation(asked.id).cancel()
    await settle()

    assert await outcome_of(asked) == '"all the same"'


async def test_a_second_cancel_is_told_that_it_is_the_second(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/leaves_a_task", "x")
    other = await ask(world, "Worker/b/cleans", "y")
    await settle()
    answers = [await runtime.invocation(other.id).cancel() for _ in range(2)]
    await settle()
    answers.append(await runtime.invocation(other.id).cancel())

    assert answers == [True, False, False]
    assert Outer.lines.count("y cleaned") == 1
    assert not asked.outcome.done()


async def test_whoever_is_cancelled_is_cancelled_before_anything_is_on_disk(world: World) -> None:
    """The action is told in the turn that decides, whatever the disk does."""
    runtime = await world.start()
    asked = await ask(world, "Worker/a/plain", "x")
    await settle()
    writes = runtime.statistics().batches_written
    runtime.invocation(asked.id).cancel()
    rounds = 0
    while "x was cancelled" not in Outer.lines:
        await asyncio.sleep(0)
        rounds += 1

    assert rounds <= 3
    assert runtime.statistics().batches_written <= writes + 1


async def test_the_key_is_not_free_before_the_cancelled_action_has_ended(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/stubborn", "x")
    behind = await ask(world, "Worker/a/touch")
    await settle()
    await runtime.invocation(asked.id).cancel()
    await settle()
    assert Outer.lines == ["x began", "x was told"]
    assert not asked.outcome.done()
    assert not behind.outcome.done()
    Outer.stubborn.set()
    await settle()

    assert "was canceled" in await outcome_of(asked)
    assert await outcome_of(behind) == '"touched"'


@pytest.mark.parametrize("path", ["Worker/a/naps", "Worker/a/awaits"])
@pytest.mark.parametrize("suspends", [True, False])
async def test_a_wait_that_is_cancelled_leaves_nothing_behind(
    world: World, path: str, *, suspends: bool
) -> None:
    runtime = await world.start()
    asked = await ask(world, path, 1000 if path.endswith("naps") else None)
    await settle()
    if suspends:
        runtime.suspend_idle()
        assert runtime.statistics().attempts_resident == 0
    await runtime.invocation(asked.id).cancel()
    await settle()

    assert "was canceled" in await outcome_of(asked)
    assert_nothing_is_open(world)


async def test_cancel_and_suspension_in_one_turn_lose_neither(world: World) -> None:
    runtime = await world.start()
    for number, cancel_first in enumerate([True, False]):
        asked = await ask(world, f"Worker/{number}/naps", 1000)
        await settle()
        if cancel_first:
            runtime.invocation(asked.id).cancel()
            runtime.suspend_idle()
        else:
            runtime.suspend_idle()
            runtime.invocation(asked.id).cancel()
        await settle()

        assert "was canceled" in await outcome_of(asked)
    assert_nothing_is_open(world)


async def test_cancel_and_completion_in_one_turn_give_what_was_decided_first(
    world: World,
) -> None:
    runtime = await world.start()
    outcomes: list[str] = []
    for number, cancel_first in enumerate([True, False]):
        asked = await ask(world, f"Worker/{number}/awaits")
        await settle()
        promise = parse_awakeable_id((await runtime.object(Worker, str(number)).look())[0])
        if cancel_first:
            canceled = runtime.invocation(asked.id).cancel()
            runtime.complete_awakeable(promise, b'"kept"')
        else:
            runtime.complete_awakeable(promise, b'"kept"')
            canceled = runtime.invocation(asked.id).cancel()
        await settle()
        assert canceled.result()
        outcomes.append((await outcome_of(asked))[:17])

    assert outcomes == ["409 CanceledError", '"kept"']
    assert_nothing_is_open(world)


async def test_cancelling_what_is_over_changes_nothing(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/touch")
    await settle()

    assert not await runtime.invocation(asked.id).cancel()
    assert await outcome_of(asked) == '"touched"'


async def test_cancelling_before_the_first_attempt_has_read_its_journal(world: World) -> None:
    runtime = await world.start()
    sending = await ask(world, "Boss/b/sends_and_cancels", "a")
    await settle()
    assert await outcome_of(sending) == ""

    # The handler began, and was cancelled in its first await, before its action could start.
    assert Outer.lines == ["a cleaned"]
    assert await runtime.object(Worker, "a").look() == [
        f"asked for by Boss/b/sends_and_cancels ({sending.id}): at once"
    ]
    assert_nothing_is_open(world)


@pytest.mark.parametrize("keep_written", [True, False])
@pytest.mark.parametrize("rounds", range(4))
async def test_a_crash_around_a_cancellation_cancels_once_or_not_at_all(
    world: World, rounds: int, *, keep_written: bool
) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/cleans", "x")
    await settle()
    canceled = runtime.invocation(asked.id).cancel("crash")
    for _ in range(rounds):
        await asyncio.sleep(0)
    was_acknowledged = canceled.done()
    await world.restart(keep_written=keep_written)
    asked = ask_again(world, request_of("Worker/a/cleans", "x"), asked.id)
    await settle()
    if not asked.outcome.done():
        assert not was_acknowledged
        await world.runtime.invocation(asked.id).cancel("crash")
        await settle()

    assert "was canceled: crash" in await outcome_of(asked)
    assert await world.runtime.object(Worker, "a").look() == ["crash"]
    entries = entries_of(world, asked.id)
    assert sum(isinstance(entry, Cancellation) for entry in entries) == 1
    assert_nothing_is_open(world)


async def test_a_crash_before_the_turn_of_a_handler_that_is_told_to_end(world: World) -> None:
    world.config = RuntimeConfig(turn_pumps_max=1)
    runtime = await world.start()
    asked = [await ask(world, f"Worker/{number}/naps", 1000) for number in range(3)]
    await settle()
    for each in asked:
        runtime.invocation(each.id).cancel()
    await asyncio.sleep(0)
    assert not any(each.outcome.done() for each in asked)
    await world.restart()
    asked = [ask_again(world, request_of(f"Worker/{n}/naps", 1000), asked[n].id) for n in range(3)]
    await settle()

    for each in asked:
        assert "was canceled" in await outcome_of(each)
    assert_nothing_is_open(world)


async def test_clean_up_goes_on_after_every_crash(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/cleans_long", "x")
    await settle()
    await runtime.invocation(asked.id).cancel()
    for number in range(3):
        await world.restart()
        asked = ask_again(world, request_of("Worker/a/cleans_long", "x"), asked.id)
        await settle()
        assert not asked.outcome.done()
        Outer.gate(f"x clean {number}").set()
        await settle()

    assert "was canceled" in await outcome_of(asked)
    assert await world.runtime.object(Worker, "a").look() == [f"x clean {n}" for n in range(3)]
    assert Outer.lines.count("x began") == 1
    assert_nothing_is_open(world)


# -- What has not begun, is paused or backs off ----------------------------------------------


async def test_what_waits_for_its_turn_is_taken_out_of_the_mailbox(world: World) -> None:
    runtime = await world.start()
    first = await ask(world, "Worker/a/plain", "x")
    second = await ask(world, "Worker/a/plain", "y")
    third = await ask(world, "Worker/a/touch")
    await settle()
    assert await runtime.invocation(second.id).cancel("not needed")
    assert await outcome_of(second) == (
        f"409 CanceledError Worker/a/plain ({second.id}) was canceled: not needed"
    )
    Outer.gate("x").set()
    await settle()

    assert await outcome_of(first) == '"x"'
    assert await outcome_of(third) == '"touched"'
    assert "y began" not in Outer.lines
    assert_nothing_is_open(world)


@pytest.mark.parametrize("crashes", [True, False])
async def test_what_is_not_due_is_taken_back_with_its_timer(world: World, *, crashes: bool) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/touch", delay_ms=5_000)
    if crashes:
        runtime = await world.restart()
        asked = ask_again(world, request_of("Worker/a/touch", delay_ms=5_000), asked.id)
    assert await runtime.invocation(asked.id).cancel()
    assert "was canceled" in await outcome_of(asked)
    assert_nothing_is_open(world)
    await world.clock.advance(10)

    assert await runtime.object(Worker, "a").look() == []
    assert not await runtime.invocation(asked.id).cancel()


async def test_a_handler_gets_the_error_of_a_call_that_was_taken_back(world: World) -> None:
    runtime = await world.start()
    await ask(world, "Worker/a/plain", "x")
    caller = await ask(world, "Boss/b/catches", "a")
    await settle()
    (waiting,) = world.store.scan(*keys.prefix_range(keys.INBOX))
    callee = format_invocation_id(InvocationId(waiting[1]))
    await runtime.invocation(callee).cancel("no")
    await settle()

    assert await outcome_of(caller) == f'"409 Worker/a/plain ({callee}) was canceled: no"'


async def test_one_that_backs_off_is_woken_to_clean_up(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/flaky", "x")
    await settle()
    Outer.gate("x").set()
    await runtime.invocation(asked.id).cancel()
    await settle()

    assert Outer.lines == ["x tried", "x tried", "x cleaned"]
    assert "was canceled" in await outcome_of(asked)
    assert_nothing_is_open(world)


async def test_a_cancellation_that_a_failing_attempt_did_not_see_does_not_wait_for_the_next(
    world: World,
) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/fails_late", "x")
    await settle()
    runtime.complete_awakeable(parse_awakeable_id(Outer.lines[0]), b'"kept"')
    runtime.invocation(asked.id).cancel()
    await settle()

    assert "was canceled" in await outcome_of(asked)


@pytest.mark.parametrize("is_paused", [False, True])
@pytest.mark.parametrize("rounds", range(6))
async def test_a_cancellation_and_a_step_that_pauses_the_handler_in_any_order(
    world: World, rounds: int, *, is_paused: bool
) -> None:
    """Of a paused one it begins an attempt, which may be dropped before it has read anything."""
    runtime = await world.start()
    asked = await ask(world, "Worker/a/pauses_late", "x")
    await settle()
    if is_paused:
        await runtime.invocation(asked.id).pause()
        await settle()
    Outer.gate("x").set()
    for _ in range(rounds):
        await asyncio.sleep(0)
    runtime.invocation(asked.id).cancel()
    await settle()

    assert "was canceled" in await outcome_of(asked)
    assert_nothing_is_open(world)


@pytest.mark.parametrize("rounds", range(6))
async def test_a_cancellation_is_heard_though_its_attempt_has_to_wait_for_room(
    world: World, rounds: int
) -> None:
    world.config = replace(world.config, resident_attempts_max=1)
    runtime = await world.start()
    asked = await ask(world, "Worker/a/pauses_late", "x")
    await settle()
    await runtime.invocation(asked.id).pause()
    await settle()
    Outer.gate("x").set()
    for _ in range(rounds):
        await asyncio.sleep(0)
    # It takes the room before the attempt that the cancellation begins can have it.
    beside = world.runtime.submit(request_of("Worker/b/touch"), wait=True)
    runtime.invocation(asked.id).cancel()
    await settle()

    assert beside.done()
    assert "was canceled" in await outcome_of(asked)
    assert_nothing_is_open(world)


async def test_one_that_fails_before_the_cancellation_every_time_backs_off(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/flaky", "x")
    await settle()
    await runtime.invocation(asked.id).cancel()
    await settle()
    tried = len(Outer.lines)
    await world.clock.advance(59)

    assert len(Outer.lines) == tried


async def test_a_paused_one_is_woken_to_clean_up(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/flaky_step", "pauses")
    await settle()
    await runtime.invocation(asked.id).cancel()
    await settle()

    assert Outer.lines == ["pauses failed", "pauses cleaned"]
    assert "was canceled" in await outcome_of(asked)
    assert_nothing_is_open(world)


async def test_a_cancellation_does_not_run_a_step_again_that_a_person_was_to_decide_about(
    world: World,
) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/holds", "x")
    await settle()
    runtime = await world.restart()
    asked = ask_again(world, request_of("Worker/a/holds", "x"), asked.id)
    await settle()
    assert Outer.lines[:1] == ["x began"]
    Outer.lines.clear()
    await runtime.invocation(asked.id).cancel()
    await settle()

    assert Outer.lines == []
    assert "was canceled" in await outcome_of(asked)
    assert_nothing_is_open(world)


async def test_the_next_attempt_of_a_step_is_not_waited_for(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/flaky_step", "backs off")
    await settle()
    await runtime.invocation(asked.id).cancel()
    await settle()

    assert "was canceled" in await outcome_of(asked)
    assert_nothing_is_open(world)


async def test_a_task_that_the_handler_left_is_cancelled_again(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/leaves_a_task", "x")
    await settle()
    assert Outer.lines == ["x", "x clean 0 began"]
    await runtime.invocation(asked.id).cancel()
    await settle()

    assert await outcome_of(asked) == '"left"'
    assert_nothing_is_open(world)


async def test_one_that_is_ending_by_itself_cannot_be_canceled_any_more(world: World) -> None:
    world.config = RuntimeConfig(retry=RetryPolicy(max_attempts=1, on_max_attempts="fail"))
    runtime = await world.start()
    asked = await ask(world, "Worker/a/gives_up", "x")
    await world.clock.advance(1)
    assert Outer.lines == ["x began", "x was told"]

    assert not await runtime.invocation(asked.id).cancel()
    Outer.stubborn.set()
    await settle()
    assert await outcome_of(asked) == "500 TerminalError x"
    assert_nothing_is_open(world)


async def test_what_has_no_class_is_canceled_once_its_class_is_back(world: World) -> None:
    await world.start()
    asked = await ask(world, "Worker/a/cleans", "x")
    behind = await ask(world, "Worker/a/touch")
    await settle()
    world.classes = [Boss]
    runtime = await world.restart()
    assert await runtime.invocation(asked.id).cancel("gone")
    assert await runtime.invocation(behind.id).cancel("gone")
    assert not await runtime.invocation(behind.id).cancel("gone")
    world.classes = CLASSES
    await world.restart()
    asked = ask_again(world, request_of("Worker/a/cleans", "x"), asked.id)
    await settle()

    assert "was canceled: gone" in await outcome_of(asked)
    assert_nothing_is_open(world)


# -- Down the tree ---------------------------------------------------------------------------


async def test_a_chain_of_awaited_calls_ends_from_its_top(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Boss/a/asks", ["b", "c", "w"])
    await settle()
    await runtime.invocation(asked.id).cancel("enough")
    await settle()

    assert Outer.lines == ["w began", "w was cancelled", "w cleaned"]
    (why,) = await runtime.object(Worker, "w").look()
    assert why.startswith("its caller Boss/c/asks (inv_")
    assert why.endswith(" was canceled: enough")
    assert_nothing_is_open(world)


@pytest.mark.parametrize("suspends", [True, False])
async def test_a_chain_of_a_thousand_calls_ends_without_recursion(
    world: World, *, suspends: bool
) -> None:
    runtime = await world.start()
    asked = await ask(world, "Boss/0/asks", [str(number) for number in range(1, 1_001)])
    await settle()
    if suspends:
        runtime.suspend_idle()
    await runtime.invocation(asked.id).cancel("enough")
    for _ in range(100):
        await settle()

    assert "was canceled: enough" in await outcome_of(asked)
    assert Outer.lines[-1] == "1000 cleaned"
    assert_nothing_is_open(world)


async def test_all_calls_of_a_task_group_are_canceled(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Boss/a/asks_all", ["x", "y", "z"])
    await settle()
    await runtime.invocation(asked.id).cancel()
    await settle()

    assert sorted(Outer.lines[3:6]) == [f"{key} was cancelled" for key in "xyz"]
    assert sorted(Outer.lines[6:]) == [f"{key} cleaned" for key in "xyz"]
    assert_nothing_is_open(world)


async def test_calls_that_are_not_awaited_yet_are_canceled_with_the_handler(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Boss/a/asks_one_after_the_other", ["x", "y"])
    await settle()
    await runtime.invocation(asked.id).cancel()
    await settle()

    assert sorted(Outer.lines[2:]) == ["x was cancelled", "y was cancelled"]
    assert_nothing_is_open(world)


async def test_a_call_of_a_task_that_is_left_is_canceled(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Boss/a/leaves_a_task_that_calls", "x")
    await settle()
    await runtime.invocation(asked.id).cancel()
    await settle()

    assert Outer.lines == ["x began", "cleaned first", "x was cancelled", "x cleaned"]
    assert "was canceled" in await outcome_of(asked)


async def test_shielded_calls_go_on(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Boss/a/asks_and_shields", ["x", "y"])
    await settle()
    await runtime.invocation(asked.id).cancel()
    await settle()
    assert "was canceled" in await outcome_of(asked)
    assert Outer.lines == ["x began", "y began"]
    Outer.gate("x").set()
    Outer.gate("y").set()
    await settle()

    assert Outer.lines[2:] == ["x ended", "y ended"]
    assert_nothing_is_open(world)


async def test_sent_work_goes_on(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Boss/a/sends", "x")
    await settle()
    await runtime.invocation(asked.id).cancel()
    Outer.gate("x").set()
    await settle()

    assert "was canceled" in await outcome_of(asked)
    assert Outer.lines == ["x began", "x ended"]


async def test_a_call_given_up_by_a_timeout_goes_on(world: World) -> None:
    await world.start()
    asked = await ask(world, "Boss/a/asks_with_a_timeout", "x")
    await world.clock.advance(6)
    assert await outcome_of(asked) == '"too late"'
    Outer.gate("x").set()
    await settle()

    assert Outer.lines == ["x began", "x ended"]


@pytest.mark.skipif(
    sys.version_info < (3, 11, 3),
    reason="asyncio.timeout does not work in a task that was cancelled before Python 3.11.3",
)
async def test_a_call_that_clean_up_gives_up_by_a_timeout_goes_on(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Boss/a/cleans_with_a_call", "x")
    await settle()
    await runtime.invocation(asked.id).cancel()
    await world.clock.advance(6)
    assert "was canceled" in await outcome_of(asked)
    assert await runtime.object(Boss, "a").look() == ["gave up"]
    Outer.gate("x").set()
    await settle()

    assert Outer.lines == ["x began", "x ended"]
    assert_nothing_is_open(world)


async def test_a_callee_that_waits_for_its_turn_is_taken_out(world: World) -> None:
    runtime = await world.start()
    first = await ask(world, "Worker/w/plain", "x")
    asked = await ask(world, "Boss/a/asks", ["w"])
    await settle()
    await runtime.invocation(asked.id).cancel()
    await settle()
    assert "was canceled" in await outcome_of(asked)
    assert not list(world.store.scan(*keys.prefix_range(keys.INBOX)))
    # It was given up; that it ended then is nothing that its caller is told.
    assert not any(isinstance(entry, Completion) for entry in entries_of(world, asked.id))
    Outer.gate("x").set()
    await settle()

    assert await outcome_of(first) == '"x"'
    assert Outer.lines == ["x began", "x ended"]
    assert_nothing_is_open(world)


@pytest.mark.parametrize("keep_written", [True, False])
@pytest.mark.parametrize("rounds", range(8))
async def test_a_crash_while_a_cancellation_goes_down_leaves_nobody_waiting(
    world: World, rounds: int, *, keep_written: bool
) -> None:
    runtime = await world.start()
    asked = await ask(world, "Boss/a/asks", ["b", "w"])
    await settle()
    canceled = runtime.invocation(asked.id).cancel("enough")
    for _ in range(rounds):
        await asyncio.sleep(0)
    was_acknowledged = canceled.done()
    await world.restart(keep_written=keep_written)
    asked = ask_again(world, request_of("Boss/a/asks", ["b", "w"]), asked.id)
    await settle()
    if not asked.outcome.done():
        assert not was_acknowledged
        await world.runtime.invocation(asked.id).cancel("enough")
        await settle()

    assert "was canceled: enough" in await outcome_of(asked)
    assert "w cleaned" in Outer.lines
    assert len(await world.runtime.object(Worker, "w").look()) == 1
    assert_nothing_is_open(world)


# -- Sections that are shielded --------------------------------------------------------------


@pytest.mark.parametrize("crashes", [True, False])
async def test_a_shielded_section_is_finished_first(world: World, *, crashes: bool) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/shields", "x")
    await settle()
    await runtime.invocation(asked.id).cancel()
    await settle()
    if crashes:
        runtime = await world.restart()
        asked = ask_again(world, request_of("Worker/a/shields", "x"), asked.id)
        await settle()
    assert not asked.outcome.done()
    assert "x first was cancelled" not in Outer.lines or crashes
    Outer.gate("x first").set()
    await settle()
    assert not asked.outcome.done()
    if crashes:
        await world.restart()
        asked = ask_again(world, request_of("Worker/a/shields", "x"), asked.id)
        await settle()
    Outer.gate("x second").set()
    await settle()

    assert "was canceled" in await outcome_of(asked)
    assert await world.runtime.object(Worker, "a").look() == ["x first", "x second"]
    assert_nothing_is_open(world)


async def test_a_section_in_a_task_holds_the_cancellation_back_for_all(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/shields_in_a_task", "x")
    await settle()
    await runtime.invocation(asked.id).cancel()
    await settle()
    assert Outer.lines == ["x careful began", "x careless began"]
    Outer.gate("x careful").set()
    await settle()

    assert Outer.lines[2:] == ["x careful ended", "x careless was cancelled"]
    assert "was canceled" in await outcome_of(asked)
    assert await runtime.object(Worker, "a").look() == ["x careful"]


async def test_what_a_shielded_section_raises_is_the_cause(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/fails_in_a_shield", "x")
    await settle()
    await runtime.invocation(asked.id).cancel()
    Outer.gate("x").set()
    await settle()

    assert "was canceled" in await outcome_of(asked)
    failure = (await asked.outcome).outcome
    assert isinstance(failure, CanceledError)
    assert failure.cause == (("ValueError", "the section itself failed"),)


async def test_a_section_that_nothing_came_to_changes_nothing(world: World) -> None:
    await world.start()
    Outer.gate("x first").set()
    Outer.gate("x second").set()
    asked = await ask(world, "Worker/a/shields", "x")
    await settle()

    assert await outcome_of(asked) == '"x first"'


# -- By handlers, and bad input --------------------------------------------------------------


async def test_a_handler_cancels_another_invocation_once(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/cleans", "x")
    stopping = await ask(world, "Boss/b/stops", {"invocation_id": asked.id, "reason": "late"})
    await settle()

    assert await outcome_of(stopping) == '"stopped"'
    why = f"asked for by Boss/b/stops ({stopping.id}): late"
    assert (await outcome_of(asked)).endswith(why)
    assert await runtime.object(Worker, "a").look() == [why]


async def test_a_handler_that_cancels_what_is_not_there_goes_on(world: World) -> None:
    await world.start()
    unknown = "inv_" + "0" * 32
    stopping = await ask(world, "Boss/b/stops", {"invocation_id": unknown, "reason": ""})
    await settle()

    assert await outcome_of(stopping) == '"stopped"'


async def test_a_handler_may_cancel_itself(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Boss/b/stops_itself")
    await settle()

    assert "was canceled: asked for by Boss/b/stops_itself" in await outcome_of(asked)
    assert await runtime.object(Boss, "b").look() == ["asked"]


async def test_who_cancels_what_is_not_there_is_told(world: World) -> None:
    runtime = await world.start()
    with pytest.raises(UnknownTargetError, match="does not exist"):
        await runtime.invocation("inv_" + "0" * 32).cancel()
    with pytest.raises(InvalidArgumentError, match="invocation id"):
        runtime.invocation("nonsense")
    with pytest.raises(InvalidArgumentError, match="a reason is a str"):
        runtime.invocation("inv_" + "0" * 32).cancel(5)  # type: ignore[arg-type]


async def test_a_reason_that_cannot_be_written_is_mended(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/plain", "x")
    await settle()
    await runtime.invocation(asked.id).cancel("\ud800")
    await settle()

    assert "was canceled: ?" in await outcome_of(asked)


async def test_a_stopped_runtime_cancels_nothing(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/plain", "x")
    await settle()
    await world.finish(runtime.stop())
    with pytest.raises(RuntimeClosedError):
        await runtime.invocation(asked.id).cancel()


async def test_the_error_is_caught_by_its_class(world: World) -> None:
    runtime = await world.start()
    caught = asyncio.ensure_future(runtime.object(Worker, "a").plain("x"))
    await settle()
    (row,) = world.store.scan(*keys.prefix_range(keys.INVOCATION))
    await runtime.invocation(format_invocation_id(InvocationId(row[0][1:]))).cancel()
    with pytest.raises(CanceledError) as raised:
        await caught
    assert raised.value.status_code == 409
    assert raised.value.code == "HF0005"
