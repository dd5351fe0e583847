"""Pausing an invocation, and having one tried again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from holdfast import (
    ConflictError,
    Context,
    RetryPolicy,
    RuntimeConfig,
    UnknownTargetError,
    VirtualObject,
    handler,
)
from holdfast.runtime.testing import settle

from .controlled import CLASSES, Outer, Worker, ask, ask_again, note, outcome_of, request_of, work
from .test_cancel import assert_nothing_is_open
from .worlds import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Outer.clear()
    world = World(CLASSES)
    yield world
    world.close()


@pytest.mark.parametrize("crashes", [True, False])
async def test_a_paused_handler_goes_on_where_it_was(world: World, *, crashes: bool) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/naps", 5)
    behind = await ask(world, "Worker/a/touch")
    await settle()
    assert await runtime.invocation(asked.id).pause()
    await world.clock.advance(60)
    if crashes:
        runtime = await world.restart()
        asked = ask_again(world, request_of("Worker/a/naps", 5), asked.id)
        behind = ask_again(world, request_of("Worker/a/touch"), behind.id)
        await settle()
    assert not asked.outcome.done()
    assert not behind.outcome.done()
    assert await runtime.invocation(asked.id).resume()
    await settle()

    assert await outcome_of(asked) == '"rested"'
    assert await outcome_of(behind) == '"touched"'
    assert_nothing_is_open(world)


async def test_an_action_goes_on_during_a_pause_and_its_result_is_recorded(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/plain", "x")
    await settle()
    await runtime.invocation(asked.id).pause()
    Outer.gate("x").set()
    await settle()
    assert Outer.lines == ["x began", "x ended"]
    assert not asked.outcome.done()
    await runtime.invocation(asked.id).resume()
    await settle()

    assert await outcome_of(asked) == '"x"'
    assert Outer.lines == ["x began", "x ended"]


async def test_a_resume_during_an_action_does_not_begin_it_again(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/plain", "x")
    await settle()
    await runtime.invocation(asked.id).pause()
    await runtime.invocation(asked.id).resume()
    await settle()
    Outer.gate("x").set()
    await settle()

    assert await outcome_of(asked) == '"x"'
    assert Outer.lines == ["x began", "x ended"]


async def test_pause_and_completion_in_one_turn_lose_neither(world: World) -> None:
    runtime = await world.start()
    for rounds in range(5):
        name = f"x{rounds}"
        asked = await ask(world, f"Worker/{rounds}/plain", name)
        await settle()
        Outer.gate(name).set()
        for _ in range(rounds):
            await asyncio.sleep(0)
        try:
            await runtime.invocation(asked.id).pause()
        except UnknownTargetError:
            assert rounds > 0
        else:
            await settle()
            await runtime.invocation(asked.id).resume()
        await settle()

        assert await outcome_of(asked) == f'"{name}"'
    assert_nothing_is_open(world)


async def test_a_paused_handler_goes_on_with_mended_code(world: World) -> None:
    class Typo(VirtualObject, name="Code"):
        @handler
        async def run(self, ctx: Context) -> str:
            first = await ctx.run("first", note, "first")
            await ctx.run("wait", work, "wait")
            return first.uper()  # type: ignore[attr-defined,no-any-return]

    class Mended(VirtualObject, name="Code"):
        @handler
        async def run(self, ctx: Context) -> str:
            first = await ctx.run("first", note, "first")
            await ctx.run("wait", work, "wait")
            return first.upper()

    world.classes = [Typo]
    runtime = await world.start()
    asked = await ask(world, "Code/c/run")
    await settle()
    await runtime.invocation(asked.id).pause()
    Outer.gate("wait").set()
    await settle()
    world.classes = [Mended]
    runtime = await world.restart()
    asked = ask_again(world, request_of("Code/c/run"), asked.id)
    await runtime.invocation(asked.id).resume()
    await settle()

    assert await outcome_of(asked) == '"FIRST"'
    assert Outer.lines == ["first", "wait began", "wait ended"]


async def test_a_pause_is_told_when_it_is_the_second(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/naps", 5)
    await settle()

    assert [await runtime.invocation(asked.id).pause() for _ in range(2)] == [True, False]
    assert [await runtime.invocation(asked.id).resume() for _ in range(2)] == [True, False]


async def test_what_has_not_begun_cannot_be_paused(world: World) -> None:
    runtime = await world.start()
    await ask(world, "Worker/a/naps", 5)
    waiting = await ask(world, "Worker/a/touch")
    delayed = await ask(world, "Worker/b/touch", delay_ms=5_000)
    await settle()
    for asked in (waiting, delayed):
        with pytest.raises(ConflictError, match=r"cancel\(\) takes it back"):
            await runtime.invocation(asked.id).pause()
        assert not await runtime.invocation(asked.id).resume()
    await world.clock.advance(10)

    assert await outcome_of(waiting) == '"touched"'
    assert await outcome_of(delayed) == '"touched"'


async def test_what_is_over_or_not_there_cannot_be_paused_or_resumed(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/touch")
    await settle()
    for id_ in (asked.id, "inv_" + "0" * 32):
        with pytest.raises(UnknownTargetError, match="does not exist or is completed"):
            await runtime.invocation(id_).pause()
        with pytest.raises(UnknownTargetError, match="does not exist or is completed"):
            await runtime.invocation(id_).resume()


async def test_a_resume_does_not_wait_for_the_next_attempt_of_the_handler(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/flaky", "x")
    await settle()
    Outer.gate("x").set()
    assert await runtime.invocation(asked.id).resume()
    await world.clock.advance(10)
    assert await outcome_of(asked) == '"got through"'
    await world.clock.advance(60)

    assert Outer.lines == ["x tried", "x tried", "x cleaned"]


@pytest.mark.parametrize("suspends", [True, False])
async def test_a_resume_does_not_wait_for_the_next_attempt_of_a_step(
    world: World, *, suspends: bool
) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/flaky_step", "x")
    await settle()
    if suspends:
        runtime.suspend_idle()
    assert await runtime.invocation(asked.id).resume()
    await world.clock.advance(0.001)

    assert Outer.lines == ["x failed", "x failed"]
    await world.clock.advance(60)
    assert "x" in await outcome_of(asked)
    assert len(Outer.lines) == 3  # It may have two attempts, and had two more from the resume on.
    assert_nothing_is_open(world)


async def test_pausing_what_backs_off_stops_it_for_good(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/flaky", "x")
    await settle()
    assert await runtime.invocation(asked.id).pause()
    Outer.gate("x").set()
    await world.clock.advance(100)
    assert Outer.lines == ["x tried"]
    await runtime.invocation(asked.id).resume()
    await world.clock.advance(100)

    assert await outcome_of(asked) == '"got through"'
    assert_nothing_is_open(world)


async def test_a_pause_after_a_cancel_stands_until_the_resume(world: World) -> None:
    runtime = await world.start()
    asked = await ask(world, "Worker/a/cleans", "x")
    await settle()
    runtime.invocation(asked.id).cancel("first")
    runtime.invocation(asked.id).pause()
    await settle()
    assert not asked.outcome.done()
    assert Outer.lines == ["x began"]
    await runtime.invocation(asked.id).resume()
    await settle()

    assert "was canceled: first" in await outcome_of(asked)
    assert await runtime.object(Worker, "a").look() == ["first"]
    assert_nothing_is_open(world)


async def test_one_that_is_ending_by_itself_is_not_paused(world: World) -> None:
    world.config = RuntimeConfig(retry=RetryPolicy(max_attempts=1, on_max_attempts="fail"))
    runtime = await world.start()
    asked = await ask(world, "Worker/a/gives_up", "x")
    await world.clock.advance(1)
    assert not await runtime.invocation(asked.id).pause()
    Outer.stubborn.set()
    await settle()

    assert await outcome_of(asked) == "500 TerminalError x"
    assert_nothing_is_open(world)
