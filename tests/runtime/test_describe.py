"""What is known of an invocation, wherever it stands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from holdfast import AwaitedInfo, InvocationInfo, TerminalError
from holdfast.objects.identity import Target
from holdfast.runtime.testing import settle

from .controlled import CLASSES, Boss, Outer, Worker, ask
from .worlds import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Outer.clear()
    world = World(CLASSES)
    await world.start()
    yield world
    world.close()


def now(world: World) -> datetime:
    return datetime.fromtimestamp(world.clock.now_ms() / 1000, UTC)


async def describe(world: World, id_: str) -> InvocationInfo:
    return await world.runtime.invocation(id_).describe()


async def test_one_that_runs_a_step(world: World) -> None:
    accepted_at = now(world)
    asked = await ask(world, "Worker/a/plain", "x")
    await world.clock.advance(3)
    info = await describe(world, asked.id)

    (step,) = info.awaiting
    assert step.source.startswith("controlled.py:")
    assert step == AwaitedInfo(kind="step", name="work", index=1, source=step.source)
    assert info == InvocationInfo(
        id=asked.id,
        target=Target("Worker", "a", "plain"),
        status="running",
        accepted_at=accepted_at,
        begun_at=accepted_at,
        idempotency_key="Worker/a/plainx",
        awaiting=(step,),
        entries=2,
    )


@pytest.mark.parametrize("suspends", [True, False])
async def test_one_that_waits_for_a_timer(world: World, *, suspends: bool) -> None:
    asked = await ask(world, "Worker/a/naps", 1000)
    await settle()
    if suspends:
        world.runtime.suspend_idle()
    info = await describe(world, asked.id)

    assert info.status == "suspended"
    (timer,) = info.awaiting
    assert (timer.kind, timer.until) == ("timer", now(world) + timedelta(seconds=1000))


async def test_one_that_waits_for_a_call_and_the_one_that_waits_for_its_turn(
    world: World,
) -> None:
    holder = await ask(world, "Worker/w/naps", 1000)
    asked = await ask(world, "Boss/b/catches", "w")
    await settle()
    info = await describe(world, asked.id)
    (call,) = info.awaiting
    assert (info.status, call.kind, call.name) == ("suspended", "call", "Worker/w/plain")
    assert call.invocation_id is not None
    callee = await describe(world, call.invocation_id)

    assert (callee.status, callee.caller, callee.entries) == ("pending", asked.id, 1)
    assert callee.begun_at is None
    assert callee.awaiting == (AwaitedInfo(kind="turn", invocation_id=holder.id),)


async def test_one_that_is_not_due(world: World) -> None:
    asked = await ask(world, "Worker/a/touch", delay_ms=5_000)
    info = await describe(world, asked.id)
    assert (info.status, info.awaiting) == ("scheduled", ())
    assert info.scheduled_for == now(world) + timedelta(seconds=5)
    await world.clock.advance(6)

    assert (await describe(world, asked.id)).scheduled_for is None


async def test_one_that_backs_off(world: World) -> None:
    asked = await ask(world, "Worker/a/flaky", "x")
    await settle()
    info = await describe(world, asked.id)

    assert (info.status, info.failures) == ("backing-off", 1)
    assert info.next_attempt_at == now(world) + timedelta(seconds=60)
    assert info.last_failure.startswith("OSError: x (at controlled.py:")


@pytest.mark.parametrize("suspends", [True, False])
async def test_one_whose_step_backs_off(world: World, *, suspends: bool) -> None:
    asked = await ask(world, "Worker/a/flaky_step", "x")
    await settle()
    if suspends:
        world.runtime.suspend_idle()
    info = await describe(world, asked.id)

    assert (info.status, info.failures) == ("backing-off", 0)
    assert info.next_attempt_at == now(world) + timedelta(seconds=60)
    (step,) = info.awaiting
    assert (step.until, step.failures) == (info.next_attempt_at, 1)
    assert info.last_failure == step.last_failure == "OSError: x"


async def test_one_that_is_paused(world: World) -> None:
    paused_by_step = await ask(world, "Worker/a/flaky_step", "pauses")
    paused = await ask(world, "Worker/b/naps", 5)
    await settle()
    await world.runtime.invocation(paused.id).pause()

    info = await describe(world, paused_by_step.id)
    assert (info.status, info.next_attempt_at) == ("paused", None)
    assert info.last_failure.startswith("step 'fail' failed 1 times, last with OSError")
    info = await describe(world, paused.id)
    assert (info.status, info.last_failure) == ("paused", "somebody paused it")


async def test_one_that_was_told_to_end(world: World) -> None:
    asked = await ask(world, "Worker/a/stubborn", "x")
    await settle()
    await world.runtime.invocation(asked.id).cancel()
    await settle()
    info = await describe(world, asked.id)

    assert (info.status, info.is_canceled, info.awaiting) == ("running", True, ())


async def test_one_whose_class_is_not_served(world: World) -> None:
    asked = await ask(world, "Worker/a/plain", "x")
    waits = await ask(world, "Worker/b/naps", 5)
    await settle()
    world.classes = [Boss]
    await world.restart()

    assert (await describe(world, asked.id)).status == "ready"
    assert (await describe(world, waits.id)).status == "suspended"


async def test_one_that_is_completed(world: World) -> None:
    asked = await ask(world, "Worker/a/touch")
    failed = await ask(world, "Worker/b/naps", 5)
    await settle()
    await world.runtime.invocation(failed.id).kill("enough")
    info = await describe(world, asked.id)
    assert (info.status, info.outcome, info.completed_at) == ("completed", "success", now(world))
    assert info.error is None
    info = await describe(world, failed.id)

    assert (info.status, info.outcome) == ("completed", "failure")
    assert isinstance(info.error, TerminalError)
    assert "was killed: enough" in info.error.message


async def test_what_a_handler_awaits_is_named_by_what_it_is(world: World) -> None:
    asked = await ask(world, "Worker/a/awaits")
    await settle()
    (promise,) = await world.runtime.object(Worker, "a").look()
    (awaited,) = (await describe(world, asked.id)).awaiting

    assert (awaited.kind, awaited.name, awaited.until) == ("awakeable", promise, None)
