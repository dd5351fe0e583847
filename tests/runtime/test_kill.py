"""Killing an invocation: its key is free at once, and so is everything it waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from holdfast import InvalidArgumentError, RetryPolicy, RuntimeConfig, UnknownTargetError
from holdfast.journal import keys
from holdfast.journal.entry import Completion
from holdfast.objects.identity import InvocationId, format_invocation_id
from holdfast.runtime.testing import settle

from .controlled import CLASSES, Boss, Outer, Worker, ask, ask_again, outcome_of, request_of
from .test_cancel import assert_nothing_is_open, entries_of
from .worlds import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Outer.clear()
    world = World(CLASSES)
    yield world
    world.close()


async def test_no_clean_up_runs_and_the_key_is_free_at_once(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/cleans", "x")
    behind = await ask(world, "Worker/a/touch")
    await settle()
    assert await runtime.invocation(asked.id).kill("it hangs")
    await settle()

    assert Outer.lines == ["x began", "x was cancelled"]
    assert await outcome_of(asked) == (
        f"409 CanceledError Worker/a/cleans ({asked.id}) was killed: it hangs"
    )
    assert await outcome_of(behind) == '"touched"'
    assert_nothing_is_open(world)


async def test_nobody_waits_for_an_action_that_does_not_end(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/stubborn", "x")
    behind = await ask(world, "Worker/a/touch")
    await settle()
    await runtime.invocation(asked.id).kill()
    await settle()
    assert await outcome_of(behind) == '"touched"'
    assert "was killed" in await outcome_of(asked)
    rows = dict(world.store.scan(b"", None))
    Outer.stubborn.set()
    await settle()

    assert Outer.lines[-1] == "x ended"
    assert dict(world.store.scan(b"", None)) == rows


@pytest.mark.parametrize("ends", [True, False])
async def test_a_stop_waits_for_an_action_of_a_killed_handler_and_cuts_it_off(
    world: World, *, ends: bool
) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/stubborn", "x")
    await settle()
    await runtime.invocation(asked.id).kill()
    await ask(world, "Worker/a/cleans", "y")
    Outer.gate("y").set()
    await settle()
    stopping = asyncio.ensure_future(runtime.stop(timedelta(seconds=10)))
    await world.clock.advance(5)
    assert not stopping.done()
    if ends:
        Outer.stubborn.set()
        await settle()
    else:
        await world.clock.advance(6)
    await asyncio.wait_for(stopping, 5)

    assert Outer.lines[-1] == ("x ended" if ends else "x was cut off")


@pytest.mark.parametrize("path", ["Worker/a/naps", "Worker/a/awaits"])
@pytest.mark.parametrize("suspends", [True, False])
async def test_a_wait_that_is_killed_leaves_nothing_behind(
    world: World, path: str, *, suspends: bool
) -> None:
    runtime = await world.start()
    asked = await ask(world, path, 1000 if path.endswith("naps") else None)
    await settle()
    if suspends:
        runtime.suspend_idle()
    await runtime.invocation(asked.id).kill()
    await settle()

    assert "was killed" in await outcome_of(asked)
    assert "woke" not in await runtime.object(Worker, "a").look()
    assert_nothing_is_open(world)


@pytest.mark.parametrize("suspends", [True, False])
async def test_all_that_it_waits_for_is_killed_with_it(world: World, *, suspends: bool) -> None:
    runtime = await world.start()
    await ask(world, "Worker/w/plain", "holds w")
    asked = await ask(world, "Boss/a/asks", ["b", "c", "w"])
    await settle()
    if suspends:
        runtime.suspend_idle()
        assert runtime.statistics().attempts_resident == 1
    await runtime.invocation(asked.id).kill()
    await settle()

    assert "was killed" in await outcome_of(asked)
    assert len(list(world.store.scan(*keys.prefix_range(keys.INVOCATION)))) == 1
    assert not list(world.store.scan(*keys.prefix_range(keys.INBOX)))
    outcomes = [row for _, row in world.store.scan(*keys.prefix_range(keys.OUTCOME))]
    assert not any(isinstance(entry, Completion) for entry in entries_of(world, asked.id))
    assert sum(f"{asked.id}, for which it worked, was killed".encode() in row for row in outcomes)
    Outer.gate("holds w").set()
    await settle()
    assert await runtime.object(Worker, "w").touch() == "touched"
    assert_nothing_is_open(world)


async def test_a_callee_does_not_get_the_turn_its_killed_caller_gives_up(world: World) -> None:
    """The callee of a callee waits for the key of the first; nobody may see it begin."""
    runtime = await world.start()
    asked = await ask(world, "Boss/a/asks_for_itself")
    await settle()
    assert len(list(world.store.scan(*keys.prefix_range(keys.INBOX)))) == 1
    started = runtime.statistics().attempts_started
    await runtime.invocation(asked.id).kill()
    await settle()

    assert runtime.statistics().attempts_started == started
    assert_nothing_is_open(world)


async def test_a_chain_of_a_thousand_calls_is_killed_in_one_decision(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Boss/0/asks", [str(number) for number in range(1, 1_001)])
    await settle()
    writes = runtime.statistics().batches_written
    await runtime.invocation(asked.id).kill()
    await settle()

    assert runtime.statistics().batches_written == writes + 1
    assert "was killed" in await outcome_of(asked)
    assert_nothing_is_open(world)


async def test_work_that_was_given_up_or_sent_is_not_killed(world: World) -> None:
    runtime = await world.start()
    sending = await ask(world, "Boss/a/sends", "x")
    await settle()
    await runtime.invocation(sending.id).kill()
    Outer.gate("x").set()
    await settle()

    assert Outer.lines == ["x began", "x ended"]


async def test_a_handler_gets_the_error_of_a_callee_that_was_killed(world: World) -> None:
    runtime = await world.start()
    caller = await ask(world, "Boss/b/catches", "w")
    await settle()
    rows = world.store.scan(*keys.prefix_range(keys.TURN))
    (callee,) = [row[8:] for key, row in rows if b"Worker" in key]
    await runtime.invocation(format_invocation_id(InvocationId(callee))).kill()
    await settle()

    assert "was killed" in await outcome_of(caller)
    assert (await outcome_of(caller)).startswith('"409')
    assert_nothing_is_open(world)


@pytest.mark.parametrize("keep_written", [True, False])
@pytest.mark.parametrize("rounds", range(4))
async def test_a_crash_around_a_kill_kills_all_or_nothing(
    world: World, rounds: int, *, keep_written: bool
) -> None:
    runtime = await world.start()
    asked = await ask(world, "Boss/a/asks", ["b", "w"])
    await settle()
    killed = runtime.invocation(asked.id).kill()
    for _ in range(rounds):
        await asyncio.sleep(0)
    was_acknowledged = killed.done()
    await world.restart(keep_written=keep_written)
    left = len(list(world.store.scan(*keys.prefix_range(keys.INVOCATION))))
    assert left in ({0} if was_acknowledged else {0, 3})
    if left:
        await world.runtime.invocation(asked.id).kill()
    asked = ask_again(world, request_of("Boss/a/asks", ["b", "w"]), asked.id)
    await settle()

    assert "was killed" in await outcome_of(asked)
    assert await world.runtime.object(Worker, "w").touch() == "touched"
    assert_nothing_is_open(world)


async def test_what_has_not_begun_is_killed(world: World) -> None:
    runtime = await world.start()
    await ask(world, "Worker/a/naps", 5)
    waiting = await ask(world, "Worker/a/touch")
    delayed = await ask(world, "Worker/b/touch", delay_ms=5_000)
    assert await runtime.invocation(waiting.id).kill()
    assert await runtime.invocation(delayed.id).kill()
    assert "was killed" in await outcome_of(waiting)
    assert "was killed" in await outcome_of(delayed)
    await world.clock.advance(10)

    assert_nothing_is_open(world)
    assert await runtime.object(Worker, "b").look() == []


@pytest.mark.parametrize("name", ["pauses", "backs off"])
async def test_what_is_paused_or_backs_off_is_killed(world: World, name: str) -> None:
    runtime = await world.start()
    step = await ask(world, "Worker/a/flaky_step", name)
    whole = await ask(world, "Worker/b/flaky", "x")
    await settle()
    await runtime.invocation(step.id).kill()
    await runtime.invocation(whole.id).kill()
    await settle()

    assert "was killed" in await outcome_of(step)
    assert "was killed" in await outcome_of(whole)
    assert_nothing_is_open(world)


async def test_what_is_cleaning_up_or_ending_is_killed(world: World) -> None:
    world.config = RuntimeConfig(retry=RetryPolicy(max_attempts=1, on_max_attempts="fail"))
    runtime = await world.start()
    cleaning = await ask(world, "Worker/a/stubborn", "x")
    ending = await ask(world, "Worker/b/gives_up", "y")
    leaving = await ask(world, "Worker/c/leaves_a_task", "z")
    await world.clock.advance(1)
    await runtime.invocation(cleaning.id).cancel()
    await settle()
    for asked in (cleaning, ending, leaving):
        assert not asked.outcome.done()
        await runtime.invocation(asked.id).kill()
        assert "was killed" in await outcome_of(asked)
    Outer.stubborn.set()
    await settle()

    assert_nothing_is_open(world)


async def test_what_has_no_class_is_killed(world: World) -> None:
    await world.start()
    asked = await ask(world, "Worker/a/naps", 1000)
    behind = await ask(world, "Worker/a/touch")
    world.classes = [Boss]
    runtime = await world.restart()
    assert await runtime.invocation(asked.id).kill()
    assert await runtime.invocation(behind.id).kill()
    world.classes = CLASSES
    runtime = await world.restart()

    assert await runtime.object(Worker, "a").look() == []
    assert_nothing_is_open(world)


async def test_killing_what_is_over_or_not_there(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/touch")
    await settle()

    assert not await runtime.invocation(asked.id).kill()
    assert await outcome_of(asked) == '"touched"'
    with pytest.raises(UnknownTargetError, match="does not exist"):
        await runtime.invocation("inv_" + "0" * 32).kill()
    with pytest.raises(InvalidArgumentError, match="a reason is a str"):
        runtime.invocation(asked.id).kill(None)  # type: ignore[arg-type]


async def test_state_that_was_stored_before_is_kept(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/plain", "x")
    await settle()
    await runtime.invocation(asked.id).kill()
    await settle()

    assert await runtime.object(Worker, "a").look() == ["began"]
    assert await runtime.object(Worker, "a").touch() == "touched"
    assert await runtime.object(Worker, "a").look() == ["began", "touched"]
