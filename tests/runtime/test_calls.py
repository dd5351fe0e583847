"""Calls from outside and between objects: answers, order, state, mailboxes."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from holdfast import MailboxFullError, TerminalError, UnknownTargetError
from holdfast.objects.identity import Target, parse_awakeable_id
from holdfast.runtime.config import RuntimeConfig
from holdfast.runtime.requests import CallRequest
from holdfast.runtime.testing import settle

from .agents import Agent, Caller, Counter, Echo, Faulty, Ledger
from .worlds import World

CLASSES = [Counter, Agent, Caller, Echo, Faulty]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Ledger.lines.clear()
    Faulty.tries.clear()
    world = World(CLASSES)
    yield world
    world.close()


async def test_state_is_kept_between_calls_and_across_a_crash(world: World) -> None:
    runtime = await world.start()
    assert await runtime.object(Counter, "a").add(2) == 2
    assert await runtime.object(Counter, "a").add(3) == 5
    runtime = await world.restart(keep_written=False)

    assert await runtime.object(Counter, "a").get() == 5
    assert await runtime.object(Counter, "b").get() == 0


async def test_calls_to_one_key_run_in_the_order_they_were_made(world: World) -> None:
    runtime = await world.start()
    answers = await asyncio.gather(*(runtime.object(Counter, "a").add(1) for _ in range(50)))

    assert answers == list(range(1, 51))


async def test_a_service_takes_several_arguments(world: World) -> None:
    runtime = await world.start()

    assert await runtime.service(Echo).say("ab", times=2) == {"text": "abab"}
    assert await runtime.call_by_name("Echo", None, "say", {"text": "x"}) == {"text": "x"}


async def test_steps_run_once_and_their_results_are_kept(world: World) -> None:
    runtime = await world.start()

    assert await runtime.object(Agent, "s").work(3) == ["s:0", "s:1", "s:2"]
    assert Ledger.lines == ["s:0", "s:1", "s:2"]
    assert await runtime.object(Agent, "s").history() == ["s:0", "s:1", "s:2"]


async def test_steps_of_a_task_group_run_side_by_side(world: World) -> None:
    runtime = await world.start()

    assert await runtime.object(Agent, "s").both() == ["a1a2", "b1b2", "c1c2"]
    assert Ledger.lines[:3] == ["a1", "b1", "c1"]


async def test_a_sleep_takes_its_time_and_survives_a_crash(world: World) -> None:
    runtime = await world.start()
    request = CallRequest(target=Target("Agent", "s", "nap"), argument=b"100", idempotency_key="k")
    runtime.submit(request, wait=False)
    await world.clock.advance(40)
    runtime = await world.restart()
    again = runtime.submit(request, wait=True)
    await world.clock.advance(59)
    assert not again.done()
    await world.clock.advance(2)

    assert (await again).outcome == b"100.0"


async def test_a_delayed_send_runs_when_it_is_due(world: World) -> None:
    runtime = await world.start()
    await runtime.object(Counter, "a").add.send(7, delay=timedelta(seconds=10))
    await world.clock.advance(9)
    assert await runtime.object(Counter, "a").get() == 0
    await world.clock.advance(2)

    assert await runtime.object(Counter, "a").get() == 7


async def test_sends_of_a_handler_arrive_once_each(world: World) -> None:
    runtime = await world.start()
    await runtime.object(Caller, "c").notify(5)
    await world.clock.advance(11)

    assert await runtime.object(Counter, "notified").get() == 5


async def test_a_chain_of_a_hundred_objects_costs_at_most_five_syncs(world: World) -> None:
    runtime = await world.start()
    before = runtime.statistics().syncs

    assert await runtime.object(Caller, "c").relay(100) == 100
    assert runtime.statistics().syncs - before <= 5


async def test_a_full_mailbox_refuses_callers_from_outside(world: World) -> None:
    world.config = RuntimeConfig(mailbox_invocations_max=2)
    runtime = await world.start()
    naps = [asyncio.ensure_future(runtime.object(Agent, "s").nap(5)) for _ in range(4)]
    await settle()

    with pytest.raises(MailboxFullError, match="2 calls waiting"):
        await naps[3]
    await world.clock.advance(20)
    assert [await nap for nap in naps[:3]] == [5.0, 5.0, 5.0]


async def test_two_keys_that_call_each_other_are_refused_with_the_cycle(world: World) -> None:
    runtime = await world.start()

    cycle = r"Caller/b/meet .* waits for Caller/a/meet .* whose turn is held by Caller/a/meet"
    with pytest.raises(TerminalError, match=cycle):
        await runtime.object(Caller, "a").meet("b")


async def test_a_terminal_error_keeps_status_metadata_and_state(world: World) -> None:
    runtime = await world.start()

    with pytest.raises(TerminalError, match="no way") as caught:
        await runtime.object(Faulty, "f").terminal()
    assert caught.value.status_code == 422
    assert caught.value.metadata == {"a": "b"}


async def test_a_terminal_error_in_a_task_group_is_the_outcome(world: World) -> None:
    runtime = await world.start()

    with pytest.raises(TerminalError, match="not this way") as caught:
        await runtime.object(Faulty, "f").terminal_in_group()
    assert caught.value.status_code == 418


async def test_a_step_is_tried_again_although_the_clock_went_back(world: World) -> None:
    runtime = await world.start()
    answer = asyncio.ensure_future(runtime.object(Faulty, "f").flaky_step(1))
    await settle()
    runtime.suspend_idle()
    await world.clock.advance(0.5)
    world.clock.jump(-3600)
    runtime.suspend_idle()
    await world.restart()
    await settle()

    assert Faulty.tries["f"] == 2
    assert answer.exception() is not None or answer.result() == 2


async def test_a_failed_attempt_is_retried_and_adds_no_state(world: World) -> None:
    runtime = await world.start()

    assert await world.finish(runtime.object(Faulty, "f").flaky(3)) == 1
    assert Faulty.tries["f"] == 4


async def test_a_failed_step_is_retried_without_the_handler(world: World) -> None:
    runtime = await world.start()

    assert await world.finish(runtime.object(Faulty, "f").flaky_step(3)) == 4


async def test_a_step_that_uses_up_its_attempts_raises_into_the_handler(world: World) -> None:
    runtime = await world.start()

    answer = await world.finish(runtime.object(Faulty, "f").doomed_step())
    assert answer == "StepFailedError ValueError: try 3"


async def test_an_unknown_handler_is_refused(world: World) -> None:
    runtime = await world.start()

    with pytest.raises(UnknownTargetError, match="did you mean 'add'"):
        await runtime.call_by_name("Counter", "a", "ad", 1)


async def test_what_a_waiting_handler_has_set_can_be_read_beside_it(world: World) -> None:
    runtime = await world.start()
    answer = asyncio.ensure_future(runtime.object(Agent, "s").offer())
    await settle()
    (awakeable_id,) = await runtime.object(Agent, "s").history()
    runtime.suspend_idle()
    await world.restart()
    runtime = world.runtime
    assert await runtime.object(Agent, "s").history() == [awakeable_id]
    assert await runtime.complete_awakeable(parse_awakeable_id(awakeable_id), b'"yes"')
    await settle()

    assert await runtime.object(Agent, "s").history() == [awakeable_id, "yes"]
    assert answer.exception() is not None
