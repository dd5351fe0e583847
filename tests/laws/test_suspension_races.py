"""A completion arrives just when the attempt leaves memory: every order, for every kind of wait.

Each kind of completion is one decision that the test makes happen at a moment of its choosing, as
leaving memory is. Whichever comes first, and whether or not a crash comes between, the handler
gets the completion exactly once.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from holdfast import Context, RetryPolicy, VirtualObject, handler, shared, state
from holdfast.objects.identity import Target, parse_awakeable_id
from holdfast.runtime.requests import Answer, CallRequest
from holdfast.runtime.testing import ManualClock, come_to_rest

from ..runtime.worlds import World
from .stage import OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Waiter(VirtualObject):
    """Waits for one thing of each kind, and tells what it got."""

    got: list[str] = state(default_factory=list)

    @handler
    async def wait(self, ctx: Context, kind: str) -> list[str]:
        match kind:
            case "timer":
                await asyncio.sleep(1)
                self.got.append("timer")
            case "call outcome":
                self.got.append(await ctx.object(Callee, "callee").answer())
            case "awakeable":
                promise = ctx.awakeable(str)
                OUTSIDE.promises["promise"] = promise.id
                self.got.append(await promise)
            case "step result":
                self.got.append(await ctx.run("step", until_opened))
            case _:
                policy = RetryPolicy(initial_interval=timedelta(seconds=1))
                self.got.append(await ctx.step(retry=policy).run("flaky", fail_once))
        return self.got

    @shared
    async def look(self, ctx: Context) -> list[str]:
        return self.got


class Callee(VirtualObject):
    """Answers when its promise is kept."""

    @handler
    async def answer(self, ctx: Context) -> str:
        promise = ctx.awakeable(str)
        OUTSIDE.promises["promise"] = promise.id
        return await promise


async def until_opened() -> str:
    while "open" not in OUTSIDE.counts:
        await OUTSIDE.pause(1)
    return "step result"


async def fail_once() -> str:
    if OUTSIDE.count("flaky") == 1:
        message = "once"
        raise OSError(message)
    return "retry timer"


def keep_promise(world: World, kind: str) -> None:
    identifier = parse_awakeable_id(OUTSIDE.promises["promise"])
    future = world.runtime.complete_awakeable(identifier, f'"{kind}"'.encode())
    future.add_done_callback(lambda done: done.exception())


def let_time_pass(world: World, kind: str) -> None:
    """Ring one alarm after the other, without a turn between, until the second is over."""
    del kind
    clock = world.clock
    end_ms = clock.now_ms() + 1_000
    while clock.now_ms() < end_ms:
        assert clock.step()


def open_step(world: World, kind: str) -> None:
    OUTSIDE.count("open")
    let_time_pass(world, kind)


COMPLETE: dict[str, Callable[[World, str], None]] = {
    "timer": let_time_pass,
    "call outcome": keep_promise,
    "awakeable": keep_promise,
    "step result": open_step,
    "retry timer": let_time_pass,
}
KINDS = pytest.mark.parametrize("kind", COMPLETE)


@pytest.fixture
def world() -> World:
    world = World([Waiter, Callee])
    world.clock = ManualClock()
    OUTSIDE.clear(world.clock)
    return world


async def begin(world: World, kind: str) -> asyncio.Future[Answer]:
    await world.start()
    answer = ask(world, kind)
    await come_to_rest()
    assert not answer.done()
    return answer


def ask(world: World, kind: str) -> asyncio.Future[Answer]:
    request = CallRequest(
        target=Target("Waiter", "w", "wait"), argument=f'"{kind}"'.encode(), idempotency_key="k"
    )
    answer = world.runtime.submit(request, wait=True)
    answer.add_done_callback(lambda done: done.cancelled() or done.exception())
    return answer


async def assert_got_once(world: World, answer: Awaitable[Answer], kind: str) -> None:
    for _ in range(20):
        await come_to_rest()
        world.clock.step()
    assert (await asyncio.wait_for(answer, 0)).outcome == f'["{kind}"]'.encode()
    assert await world.runtime.object(Waiter, "w").look() == [kind]
    runtime: Any = world.runtime
    assert runtime.statistics().attempts_resident == 0


@KINDS
async def test_a_completion_and_then_leaving_memory(world: World, kind: str) -> None:
    answer = await begin(world, kind)
    COMPLETE[kind](world, kind)
    await come_to_rest()
    world.runtime.suspend_idle()

    await assert_got_once(world, answer, kind)


@KINDS
async def test_leaving_memory_and_then_a_completion(world: World, kind: str) -> None:
    answer = await begin(world, kind)
    world.runtime.suspend_idle()
    await come_to_rest()
    COMPLETE[kind](world, kind)

    await assert_got_once(world, answer, kind)


@KINDS
async def test_a_completion_and_leaving_memory_in_one_turn(world: World, kind: str) -> None:
    answer = await begin(world, kind)
    COMPLETE[kind](world, kind)
    world.runtime.suspend_idle()

    await assert_got_once(world, answer, kind)


@KINDS
async def test_leaving_memory_and_a_completion_in_one_turn(world: World, kind: str) -> None:
    answer = await begin(world, kind)
    world.runtime.suspend_idle()
    COMPLETE[kind](world, kind)

    await assert_got_once(world, answer, kind)


@KINDS
async def test_leaving_memory_again_after_each_turn(world: World, kind: str) -> None:
    answer = await begin(world, kind)
    for _ in range(3):
        world.runtime.suspend_idle()
    COMPLETE[kind](world, kind)
    for _ in range(6):
        world.runtime.suspend_idle()
        await asyncio.sleep(0)

    await assert_got_once(world, answer, kind)


@KINDS
@pytest.mark.parametrize("keep_written", [True, False])
@pytest.mark.parametrize("rounds", [0, 1, 2, 3, 50])
async def test_a_completion_and_then_a_crash(
    world: World, kind: str, rounds: int, *, keep_written: bool
) -> None:
    await begin(world, kind)
    world.runtime.suspend_idle()
    COMPLETE[kind](world, kind)
    for _ in range(rounds):
        await asyncio.sleep(0)
    await world.restart(keep_written=keep_written)
    answer = ask(world, kind)
    await come_to_rest()
    if kind in {"awakeable", "call outcome"} and not answer.done():
        # Whether the promise was kept before the crash is what the crash decides.
        keep_promise(world, kind)

    await assert_got_once(world, answer, kind)


@KINDS
@pytest.mark.parametrize("keep_written", [True, False])
async def test_a_crash_between_leaving_memory_and_a_completion(
    world: World, kind: str, *, keep_written: bool
) -> None:
    await begin(world, kind)
    world.runtime.suspend_idle()
    await come_to_rest()
    await world.restart(keep_written=keep_written)
    answer = ask(world, kind)
    await come_to_rest()
    COMPLETE[kind](world, kind)

    await assert_got_once(world, answer, kind)


async def test_a_completion_that_a_crashed_process_missed_finds_the_handler_at_the_next_start(
    world: World,
) -> None:
    await begin(world, "timer")
    world.runtime.suspend_idle()
    await world.crash()
    world.clock.jump(60)
    await world.start()

    await assert_got_once(world, ask(world, "timer"), "timer")
