"""A saga's effects all stand, or each is taken back: whatever fails, and whenever."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from holdfast import (
    AwakeableExpiredError,
    CanceledError,
    MemoryStore,
    TerminalError,
)
from holdfast.journal import codec, keys
from holdfast.journal.entry import Compensation, GiveUp, Issued
from holdfast.objects.identity import Target
from holdfast.objects.registry import Registry
from holdfast.runtime.checking import Verdict
from holdfast.runtime.requests import Answer, CallRequest
from holdfast.runtime.seams import SystemThreads
from holdfast.testing import Client, Ending, VirtualRuntime, crash_everywhere
from holdfast.testing.virtual import UNHURRIED
from holdfast.watched_check import check_open_invocations

from .travel import CLASSES, EFFECTS, Outside, Room, Trip
from .worlds import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    EFFECTS.clear()
    Outside.reset()
    world = World(CLASSES, UNHURRIED)
    Outside.sleep = world.clock.sleep
    await world.start()
    yield world
    world.close()


def ask(world: World, handler_name: str, argument: bytes = b"") -> asyncio.Future[Answer]:
    target = Target("Trip", "t", handler_name)
    request = CallRequest(target=target, argument=argument, idempotency_key=handler_name)
    answer = world.runtime.submit(request, wait=True)
    answer.add_done_callback(lambda done: done.cancelled() or done.exception())
    return answer


async def outcome(world: World, handler_name: str, argument: bytes = b"") -> Any:
    return (await world.finish(ask(world, handler_name, argument))).outcome


async def id_of(world: World, handler_name: str) -> str:
    target = Target("Trip", "t", handler_name)
    request = CallRequest(target=target, argument=b"", idempotency_key=handler_name)
    return (await world.runtime.submit(request, wait=False)).invocation_id


def commands(world: World) -> list[Any]:
    rows = world.store.scan(*keys.prefix_range(keys.JOURNAL))
    entries = [codec.decode_entry(row) for _, row in rows]
    return [entry.command for entry in entries if isinstance(entry, Issued)]


# -- Outcomes and cancellations -----------------------------------------------------------------


async def test_what_went_well_stands(world: World) -> None:
    assert await outcome(world, "books") == b'"booked"'
    assert EFFECTS.lines == [("book", "flight"), ("book", "hotel")]
    assert [each for each in commands(world) if isinstance(each, Compensation)] == [
        Compensation("cancel flight"),
        Compensation("cancel hotel"),
    ]


@pytest.mark.parametrize("handler_name", ["unanswered", "unanswered_beside"])
async def test_a_question_that_nobody_answered_in_time_takes_everything_back(
    world: World, handler_name: str
) -> None:
    failure = await outcome(world, handler_name)

    assert isinstance(failure, AwakeableExpiredError)
    assert EFFECTS.lines == [
        ("book", "flight"),
        ("book", "hotel"),
        ("cancel", "hotel"),
        ("cancel", "flight"),
    ]


async def test_a_failure_takes_everything_back_last_first_and_stays_what_it_is(
    world: World,
) -> None:
    failure = await outcome(world, "refused")

    assert isinstance(failure, TerminalError)
    assert (failure.status_code, failure.message) == (410, "no car")
    assert failure.metadata == {"what": "car"}
    assert EFFECTS.lines == [
        ("book", "flight"),
        ("book", "hotel"),
        ("cancel", "car"),
        ("cancel", "hotel"),
        ("cancel", "flight"),
    ]


async def test_a_handler_that_catches_it_goes_on_with_its_state(world: World) -> None:
    assert await outcome(world, "caught") == b'["flight","hotel","no car"]'
    assert EFFECTS.lines[2:] == [("cancel", "hotel"), ("cancel", "flight")]


async def test_a_step_of_unknown_outcome_is_taken_back_too(world: World) -> None:
    failure = await outcome(world, "unknown")

    assert failure.code == "HF0003"
    assert EFFECTS.lines == [("cancel", "flight")]


async def test_a_timeout_around_it_takes_it_back_and_is_a_timeout(world: World) -> None:
    assert await outcome(world, "timed_out") == b'"timed out"'
    assert EFFECTS.lines == [("book", "flight"), ("cancel", "flight")]


async def test_a_timeout_within_takes_it_back_and_can_be_caught_around_it(world: World) -> None:
    assert await outcome(world, "expires") == b'"not approved"'
    assert EFFECTS.lines == [("book", "flight"), ("cancel", "flight")]


async def test_a_cancelled_invocation_takes_it_back_and_is_canceled(world: World) -> None:
    answer = ask(world, "waits")
    await world.runtime.rest()
    await world.runtime.invocation(await id_of(world, "waits")).cancel("no more")
    failure = (await world.finish(answer)).outcome

    assert isinstance(failure, CanceledError)
    assert failure.status_code == 409
    assert failure.message.endswith("was canceled: no more")
    assert EFFECTS.lines[2:] == [("cancel", "hotel"), ("cancel", "flight")]


async def test_a_killed_invocation_takes_nothing_back(world: World) -> None:
    answer = ask(world, "waits")
    await world.runtime.rest()
    await world.runtime.invocation(await id_of(world, "waits")).kill()
    await world.finish(answer)

    assert EFFECTS.lines == [("book", "flight"), ("book", "hotel")]


async def test_leaving_memory_takes_nothing_back(world: World) -> None:
    answer = ask(world, "waits")
    await world.runtime.rest()
    for _ in range(3):
        world.runtime.suspend_idle()
        assert world.runtime.statistics().attempts_resident == 0
        await world.restart()
        await world.clock.advance(3600)
    assert EFFECTS.lines == [("book", "flight"), ("book", "hotel")]

    answer = ask(world, "waits")
    await world.runtime.invocation(await id_of(world, "waits")).cancel()
    assert isinstance((await world.finish(answer)).outcome, CanceledError)
    assert EFFECTS.lines[2:] == [("cancel", "hotel"), ("cancel", "flight")]


async def test_a_block_that_stands_is_not_taken_back_with_the_one_around_it(world: World) -> None:
    await outcome(world, "nested")

    assert EFFECTS.lines[4:] == [
        ("cancel", "breakfast"),
        ("cancel", "hotel"),
        ("cancel", "flight"),
    ]


async def test_blocks_in_a_task_group_are_each_taken_back(world: World) -> None:
    failure = await outcome(world, "group")

    assert failure.status_code == 410
    undone = [what for did, what in EFFECTS.lines if did == "cancel"]
    assert undone.index("car") < undone.index("tent") < undone.index("boat")
    assert undone.index("hotel") < undone.index("flight")
    assert len(undone) == 5


async def test_a_block_left_open_in_the_background_is_taken_back(world: World) -> None:
    assert await outcome(world, "background") == b'"main has ended"'
    assert EFFECTS.lines == [("book", "flight"), ("cancel", "flight")]


async def test_an_error_in_the_background_does_not_keep_it_from_being_taken_back(
    world: World,
) -> None:
    Outside.fails["background"] = 1

    assert await outcome(world, "background") == b'"main has ended"'
    assert EFFECTS.lines == [("book", "flight"), ("cancel", "flight")]


async def test_a_shared_handler_has_sagas_too(world: World) -> None:
    assert (await outcome(world, "shares")).status_code == 410
    assert EFFECTS.lines == [("cancel", "shared")]


# -- What cannot be compensated -----------------------------------------------------------------


async def test_what_could_not_be_taken_back_is_named_in_the_outcome(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    Outside.fails = {"cancel hotel": 2, "cancel flight": 1}
    failure = await outcome(world, "refused")

    assert failure.status_code == 410
    assert failure.message == (
        "no car; not compensated: cancel hotel (ConnectionError: cancel hotel is down)"
    )
    assert failure.metadata == {"what": "car", "not_compensated": "cancel hotel"}
    assert EFFECTS.lines[-2:] == [("cancel", "car"), ("cancel", "flight")]
    said = [line for line in caplog.messages if "was not compensated" in line]
    assert len(said) == 1
    assert "cancel hotel was not compensated: ConnectionError: cancel hotel is down" in said[0]


async def test_a_handler_that_catches_it_sees_what_could_not_be_taken_back(world: World) -> None:
    Outside.fails = {"cancel hotel": 2}

    assert b"cancel hotel: ConnectionError: cancel hotel is down" in await outcome(world, "caught")


async def test_a_canceled_invocation_names_what_could_not_be_taken_back(world: World) -> None:
    Outside.fails = {"cancel hotel": 9, "cancel flight": 9}
    answer = ask(world, "waits")
    await world.runtime.rest()
    await world.runtime.invocation(await id_of(world, "waits")).cancel()
    failure = (await world.finish(answer)).outcome

    assert isinstance(failure, CanceledError)
    assert failure.status_code == 409
    assert failure.metadata == {"not_compensated": "cancel hotel, cancel flight"}


async def test_a_caller_far_away_learns_what_could_not_be_taken_back(world: World) -> None:
    Outside.fails = {"cancel hotel": 9}
    said = await outcome(world, "tells")

    assert said == (
        b'[410,"no car; not compensated: cancel hotel (ConnectionError: cancel hotel is down)",'
        b'{"what":"car","not_compensated":"cancel hotel"}]'
    )


# -- Errors that are no outcome -----------------------------------------------------------------


async def test_an_attempt_that_is_tried_again_takes_nothing_back(world: World) -> None:
    Outside.fails = {"handler": 1}

    assert await outcome(world, "flaky") == b'"booked"'
    assert EFFECTS.lines == [("book", "flight"), ("book", "hotel")]


async def test_the_last_attempt_takes_it_back_and_its_error_is_the_outcome(world: World) -> None:
    Outside.fails = {"handler": 2}
    failure = await outcome(world, "flaky")

    assert (failure.type_name, failure.message) == ("ConnectionError", "handler is down")
    assert EFFECTS.lines[2:] == [("cancel", "hotel"), ("cancel", "flight")]
    assert any(isinstance(each, GiveUp) for each in commands(world))


async def test_an_error_that_stops_takes_it_back_at_once(world: World) -> None:
    Outside.fails = {"handler": 1}
    failure = await outcome(world, "picky")

    assert failure.type_name == "ConnectionError"
    assert EFFECTS.lines == [("book", "flight"), ("cancel", "flight")]


async def test_an_invocation_that_waits_for_a_person_takes_nothing_back(world: World) -> None:
    Outside.fails = {"handler": 2}
    answer = ask(world, "held")
    await world.clock.advance(3600)
    assert any("paused" in line for line in world.runtime.describe_open())
    assert EFFECTS.lines == [("book", "flight")]

    await world.runtime.invocation(await id_of(world, "held")).resume()
    assert (await world.finish(answer)).outcome == b'"booked"'


async def test_cancelling_what_fails_each_time_takes_it_back(world: World) -> None:
    Outside.fails = {"handler": 1_000}
    answer = ask(world, "held")
    await world.clock.advance(3600)
    await world.runtime.invocation(await id_of(world, "held")).cancel("give it up")
    failure = (await world.finish(answer)).outcome

    assert isinstance(failure, CanceledError)
    assert failure.message.endswith("was canceled: give it up")
    assert failure.cause == (("ConnectionError", "handler is down"),)
    assert EFFECTS.lines == [("book", "flight"), ("cancel", "flight")]


@pytest.mark.parametrize("fails", [1, 2])
async def test_code_around_the_block_does_not_see_an_error_that_is_no_outcome(
    world: World, fails: int
) -> None:
    Outside.fails = {"handler": fails}
    said = await outcome(world, "swallows")

    assert Outside.seen == []
    if fails == 1:
        assert said == b'"went on"'
        assert EFFECTS.lines == [("book", "flight")]
    else:
        assert said.type_name == "ConnectionError"
        assert EFFECTS.lines == [("book", "flight"), ("cancel", "flight")]


@pytest.mark.parametrize("how", ["returns", "asks", "waits", "spins", "sets"])
@pytest.mark.parametrize("keep_written", [True, False])
async def test_once_begun_it_is_taken_back_although_the_error_does_not_come_again(
    world: World, how: str, *, keep_written: bool
) -> None:
    Outside.fails = {"handler": 2, "cancel hotel": 1}
    ask(world, "goes_on", f'"{how}"'.encode())
    # Its last attempt has failed, and a compensation is to be tried again.
    await world.clock.advance(1.1)
    assert ("cancel", "hotel") not in EFFECTS.lines
    await world.restart(keep_written=keep_written)
    failure = await outcome(world, "goes_on", f'"{how}"'.encode())

    assert failure.type_name == "ConnectionError"
    assert failure.message == "handler is down"
    assert Outside.seen == ["went on"]
    assert EFFECTS.lines[-2:] == [("cancel", "hotel"), ("cancel", "flight")]
    assert [line for line in EFFECTS.lines if "late" in line] == [("cancel", "late")]
    log = await world.finish(world.runtime.object(Trip, "t").caught())
    assert log[:3] == ["room", "flight", "hotel"]


async def test_a_check_of_what_is_being_taken_back_finds_it_safe(world: World) -> None:
    Outside.fails = {"handler": 2, "cancel hotel": 1}
    ask(world, "goes_on", b'"asks"')
    await world.clock.advance(1.1)
    assert any(isinstance(each, GiveUp) for each in commands(world))
    await world.crash()
    checked = list(check_open_invocations(world.store.view(), Registry(CLASSES), seconds_max=30))

    assert [each.verdict for each in checked] == [Verdict.SAFE]


async def test_code_that_fails_before_it_comes_to_it_again_waits_for_a_person(
    world: World,
) -> None:
    answer = ask(world, "fails_earlier")
    await world.runtime.rest()
    Outside.fails = {"start": 2}
    await world.restart()
    answer = ask(world, "fails_earlier")
    await world.runtime.invocation(await id_of(world, "fails_earlier")).cancel()
    await world.clock.advance(3600)
    [said] = world.runtime.describe_open()
    assert "it fails for good before it comes again to what is to be compensated" in said
    assert "('cancel flight', 'cancel hotel'): ConnectionError: start is down" in said

    Outside.fails = {}
    await world.runtime.invocation(await id_of(world, "fails_earlier")).resume()
    assert isinstance((await world.finish(answer)).outcome, CanceledError)
    assert EFFECTS.lines[2:] == [("cancel", "hotel"), ("cancel", "flight")]


async def test_what_is_being_taken_back_when_the_handler_fails_is_not_begun_again(
    world: World,
) -> None:
    Outside.fails = {"handler": 1}
    failure = await outcome(world, "two_ways")

    assert failure.type_name == "ConnectionError"
    did = [line[0] for line in EFFECTS.lines]
    assert did == ["book", "book", "slowly", "slowly done", "cancel", "cancel"]
    assert EFFECTS.lines[4:] == [("cancel", "flight"), ("cancel", "hotel")]


async def test_a_handler_that_can_never_end_takes_it_back(world: World) -> None:
    failure = await outcome(world, "stuck")

    assert "will never end" in failure.message
    assert EFFECTS.lines == [("book", "flight"), ("cancel", "flight")]


async def test_state_that_cannot_be_stored_does_not_keep_it_from_being_taken_back(
    world: World,
) -> None:
    failure = await outcome(world, "unstorable")

    assert "odd" in failure.message
    assert failure.metadata == {}
    assert EFFECTS.lines == [("book", "flight"), ("cancel", "flight")]


@pytest.mark.parametrize("place", ["task", "further down", "group", "body"])
async def test_a_group_that_is_tried_again_takes_nothing_back_of_its_other_tasks(
    world: World, place: str
) -> None:
    """It took back what was booked, and no other attempt could follow that."""
    Outside.fails = {"handler": 1}
    said = await outcome(world, "brought_down", f'"{place}"'.encode())

    assert said == b'"booked"'
    assert EFFECTS.lines == [("book", "flight"), ("book", "hotel")]


@pytest.mark.parametrize("place", ["task", "further down", "group", "body"])
async def test_a_group_that_is_canceled_takes_back_what_its_tasks_did(
    world: World, place: str
) -> None:
    answer = ask(world, "brought_down", f'"{place}"'.encode())
    await world.clock.advance(1)
    request = CallRequest(
        target=Target("Trip", "t", "brought_down"),
        argument=f'"{place}"'.encode(),
        idempotency_key="brought_down",
    )
    sent = (await world.runtime.submit(request, wait=False)).invocation_id
    await world.runtime.invocation(sent).cancel("stop")

    assert isinstance((await world.finish(answer)).outcome, CanceledError)
    assert EFFECTS.lines == [("book", "flight"), ("cancel", "flight")]


# -- Cancellations meanwhile --------------------------------------------------------------------


async def test_it_is_taken_back_when_what_was_cut_off_has_really_ended(world: World) -> None:
    said = await outcome(world, "stubborn")

    assert said == b'"timed out"'
    assert EFFECTS.lines == [("book", "flight"), ("cancel", "flight")]


async def test_it_is_taken_back_when_a_thread_has_really_ended() -> None:
    EFFECTS.clear()
    Outside.reset()
    store = MemoryStore()
    async with VirtualRuntime(CLASSES, store=store, threads=SystemThreads()) as runtime:
        Outside.sleep = runtime.clock.sleep
        call = asyncio.ensure_future(runtime.call_by_name("Trip", "t", "threaded"))
        await runtime.rest()
        await runtime.clock.advance(60)
        assert EFFECTS.lines == []
        Outside.released.set()
        assert await runtime.finish(call) == "timed out"

    assert EFFECTS.lines == [("book", "flight"), ("cancel", "flight")]


async def test_another_object_is_asked_when_what_was_cut_off_has_really_ended(
    world: World,
) -> None:
    ask(world, "calls")
    await world.clock.advance(12)
    assert EFFECTS.lines == []
    await world.clock.advance(60)

    assert EFFECTS.lines == [("book", "flight"), ("release", "t")]
    assert not await world.runtime.object(Room, "12").is_booked()


async def test_another_object_that_fails_is_named(world: World) -> None:
    Outside.fails = {"release room": 2}
    ask(world, "calls")
    await world.clock.advance(120)
    await world.runtime.invocation(await id_of(world, "calls")).cancel()
    failure = await outcome(world, "calls")

    assert "release room (ConnectionError: release room is down)" in failure.message
    assert await world.runtime.object(Room, "12").is_booked()


async def test_a_cancellation_does_not_reach_into_it_and_is_told_afterwards(world: World) -> None:
    answer = ask(world, "interrupted")
    await world.clock.advance(1)
    await world.runtime.invocation(await id_of(world, "interrupted")).cancel("stop")
    failure = (await world.finish(answer)).outcome

    assert isinstance(failure, CanceledError)
    assert world.clock.monotonic() == pytest.approx(10)
    assert EFFECTS.lines[0] == ("slowly", 1)
    assert len(EFFECTS.lines) == 2


async def test_a_timeout_does_not_reach_into_it_and_is_told_afterwards(world: World) -> None:
    assert await outcome(world, "interrupted") == b'["no car","timed out"]'
    assert world.clock.monotonic() == pytest.approx(10)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("overtaken", b'["no car","went on"]'),
        ("overtaken_at_the_end", b'["walked"]'),
        ("overtaken_twice", b'["waits","timed out"]'),
    ],
)
async def test_a_timeout_that_comes_meanwhile_reaches_nothing_beyond_its_block(
    world: World, name: str, said: bytes
) -> None:
    """It was told at the next await, although its block was left by then: the handler was canceled,
    and nobody had told it to end."""
    assert await outcome(world, name) == said


async def test_it_reaches_nothing_beyond_its_block_in_clean_up_either(world: World) -> None:
    answer = ask(world, "overtaken_in_clean_up")
    await world.clock.advance(1)
    await world.runtime.invocation(await id_of(world, "overtaken_in_clean_up")).cancel("stop")

    assert (await world.finish(answer)).outcome == b'["told","went on"]'


async def test_a_cancellation_and_a_timeout_that_come_meanwhile_are_told_once(
    world: World,
) -> None:
    answer = ask(world, "overtaken")
    await world.clock.advance(7)
    await world.runtime.invocation(await id_of(world, "overtaken")).cancel("stop")

    assert isinstance((await world.finish(answer)).outcome, CanceledError)
    assert (await world.runtime.state(Trip, "t"))["log"] == ["no car"]


async def test_a_cancellation_does_not_reach_what_a_given_up_handler_owes(world: World) -> None:
    Outside.fails = {"handler": 2, "cancel hotel": 1}
    answer = ask(world, "flaky")
    await world.clock.advance(1.1)
    await world.runtime.invocation(await id_of(world, "flaky")).cancel("stop")
    failure: Any = (await world.finish(answer)).outcome

    assert failure.type_name == "ConnectionError"
    assert EFFECTS.lines[2:] == [("cancel", "hotel"), ("cancel", "flight")]


async def test_a_stop_while_it_waits_leaves_it_to_the_next_start(world: World) -> None:
    ask(world, "stubborn")
    await world.clock.advance(11)
    stopping = asyncio.ensure_future(world.runtime.stop(timedelta(seconds=1)))
    await world.clock.advance(2)
    await stopping
    assert EFFECTS.lines == []
    world.store = world.store.crash(keep_written=False)
    await world.start()
    await world.clock.advance(60)

    assert EFFECTS.lines == [("cancel", "flight")]


async def test_a_kill_while_it_waits_leaves_nothing_behind(world: World) -> None:
    ask(world, "stubborn")
    await world.clock.advance(11)
    await world.runtime.invocation(await id_of(world, "stubborn")).kill()
    await world.clock.advance(60)

    assert EFFECTS.lines == []
    await world.runtime.stop(timedelta(seconds=1))
    assert world.clock.monotonic() == pytest.approx(71), "nothing was waited for"


# -- Bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("before", "'cancel' was added to a saga that is not under way"),
        ("after", "'cancel' was added to a saga that is not under way"),
        ("again", "a saga is one block"),
        ("twice", "a saga is one block"),
        ("name", "a step begins with its name"),
        ("function", "step 'cancel' was given a call instead of a function"),
        ("option", r"saga.step\(retry=...\).add\('cancel', cancel, ...\)"),
        ("bad option", "timeout is a timedelta or a number of seconds, above zero"),
        ("self", "Trip/books was called on self"),
        ("argument", "Room/release"),
    ],
)
async def test_a_saga_that_is_used_wrongly_says_how_it_is_used(
    world: World, caplog: pytest.LogCaptureFixture, how: str, sentence: str
) -> None:
    ask(world, "misuses", f'"{how}"'.encode())
    with caplog.at_level(logging.WARNING):
        await world.clock.advance(0.1)

    assert re.search(sentence, caplog.text), caplog.text
    assert not any(isinstance(each, Compensation) for each in commands(world))


async def test_a_saga_is_no_matter_of_an_action(world: World) -> None:
    ask(world, "misuses", b'"inside"')
    await world.clock.advance(0.1)

    [said] = world.runtime.describe_open()
    assert "Compensation" not in said


# -- Crashes ------------------------------------------------------------------------------------

HANDLERS: dict[str, tuple[dict[str, int], str]] = {
    "books": ({}, "booked"),
    "refused": ({"cancel hotel": 1}, "no car"),
    "caught": ({"cancel hotel": 1_000}, "no car"),
    "flaky": ({"handler": 1_000, "cancel hotel": 1}, "handler is down"),
    "picky": ({"handler": 1_000, "cancel flight": 1_000}, "not compensated: cancel flight"),
    "nested": ({}, "no car"),
    "mends": ({}, "mended"),
    "brought_down": ({"handler": 1}, "booked"),
    "tells": ({"cancel hotel": 1_000}, "not compensated"),
}
"""By handler: what fails how often, and what the outcome says."""

TIMED: dict[str, tuple[dict[str, int], str]] = {
    "timed_out": ({}, "timed out"),
    "expires": ({}, "not approved"),
    "unknown": ({}, "is unknown"),
    "group": ({"cancel tent": 1}, "no car"),
    "two_ways": ({"handler": 1_000}, "handler is down"),
    "background": ({}, "main has ended"),
    "brought_down_for_good": ({"handler": 1_000}, "handler is down"),
    "stubborn": ({}, "timed out"),
}
"""The same where it depends on the time of the death what was done; all that was is taken back."""


@pytest.mark.parametrize("handler_name", [*HANDLERS, *TIMED])
async def test_a_saga_ends_alike_wherever_the_process_dies(handler_name: str) -> None:
    fails, said = (HANDLERS | TIMED)[handler_name]

    def reset() -> None:
        Outside.reset()
        Outside.fails = dict(fails)

    async def call(client: Client) -> Any:
        Outside.sleep = client.sleep
        return await client.call_by_name("Trip", "t", handler_name)

    def compare(ending: Ending) -> Any:
        assert said in str(ending.outcome)
        if handler_name in HANDLERS:
            return ending
        done = [line for step in ending.effects for line in step.lines]
        booked = {what for did, what in done if did == "book"}
        return booked <= {what for did, what in done if did == "cancel"}

    await crash_everywhere(
        call,
        CLASSES,
        effects=EFFECTS,
        reset=reset,
        compare=compare,
        # A second death waits once more, in real time, for an action that ends by itself only.
        crash_again=handler_name != "stubborn",
        suspending=True,
    )


async def test_a_cancelled_saga_ends_alike_wherever_the_process_dies() -> None:
    async def call(client: Client) -> Any:
        Outside.sleep = client.sleep
        trip = client.object(Trip, "t")
        id_ = await trip.waits.send()
        await client.sleep(5)
        await client.ask(lambda runtime: runtime.invocation(id_).cancel("no more"))
        return await trip.books()

    def compare(ending: Ending) -> Any:
        done = [line for step in ending.effects for line in step.lines]
        # Both calls book the flight, and the first one takes it back if it did.
        return ending.outcome, done.count(("cancel", "flight"))

    report = await crash_everywhere(
        call,
        CLASSES,
        effects=EFFECTS,
        reset=Outside.reset,
        compare=compare,
        crash_again=True,
        suspending=True,
    )

    assert report.ending.outcome == "booked"
