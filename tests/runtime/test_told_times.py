"""A handler's time stands still between two awaits, and does not stand still for hours."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from holdfast import Context, RetryPolicy, TerminalError, VirtualObject, handler, shared, state
from holdfast.objects.identity import Target
from holdfast.runtime.requests import Answer, CallRequest
from holdfast.testing import Client, crash_everywhere

from .worlds import World

SECOND = timedelta(seconds=1)
AFTER_A_MINUTE = RetryPolicy(initial_interval=60 * SECOND, factor=1, max_attempts=3)


class Outer:
    """What is outside of the runtime, and no crash touches."""

    world: ClassVar[World]
    mishaps: ClassVar[int] = 0
    told: ClassVar[list[float]] = []
    awakeable: ClassVar[str] = ""

    @classmethod
    def stumble(cls) -> None:
        if cls.mishaps:
            cls.mishaps -= 1
            message = "a mishap"
            raise OSError(message)

    @classmethod
    async def work(cls) -> str:
        await cls.world.clock.sleep(5)
        return "worked"


async def _say() -> str:
    return "said"


class Late(VirtualObject):
    seen_at: float = state(0.0)

    @handler(retry=AFTER_A_MINUTE)
    async def sleeps(self, ctx: Context) -> None:
        Outer.stumble()
        await ctx.sleep(30)

    @handler(retry=AFTER_A_MINUTE)
    async def sleeps_as_asyncio(self, ctx: Context) -> None:
        Outer.stumble()
        await asyncio.sleep(30)

    @handler(retry=AFTER_A_MINUTE)
    async def in_time(self, ctx: Context) -> str:
        said = await ctx.run("say", _say)
        Outer.stumble()
        async with asyncio.timeout(10):
            return said + await ctx.run("work", Outer.work)

    @handler(retry=AFTER_A_MINUTE)
    async def asks(self, ctx: Context) -> str:
        await ctx.run("say", _say)
        Outer.stumble()
        answer = ctx.awakeable(str, timeout=10 * SECOND)
        Outer.awakeable = answer.id
        return await answer

    @handler(retry=AFTER_A_MINUTE)
    async def measures(self, ctx: Context) -> float:
        """What it was told before it waited it still has to know afterwards."""
        answer = ctx.awakeable(str)
        said = ctx.run("say", _say)
        Outer.awakeable = answer.id
        await said
        Outer.stumble()
        began = ctx.time()
        self.seen_at = began
        await answer
        Outer.told.append(began)
        return ctx.time() - began

    @handler(retry=AFTER_A_MINUTE)
    async def gives_up_first(self, ctx: Context) -> float:
        """The time is asked for before something is given up, and used behind that."""
        sleep = asyncio.ensure_future(ctx.sleep(3600))
        await ctx.run("say", _say)
        Outer.stumble()
        until = ctx.time() + 30
        sleep.cancel()
        await ctx.sleep(until - ctx.time())
        slept_longer = ctx.time() - until
        await ctx.run("work", Outer.work)
        return slept_longer

    @handler(retry=AFTER_A_MINUTE)
    async def always_fails(self, ctx: Context) -> None:
        Outer.told.append(ctx.time())
        message = f"at {ctx.time()}"
        raise OSError(message)

    @handler
    async def books(self, ctx: Context) -> str:
        await ctx.run("say", _say)
        if not Outer.mishaps:
            message = "not yet"
            raise TerminalError(message)
        async with asyncio.timeout(10):
            return await ctx.run("work", Outer.work)

    @shared
    async def looks(self, ctx: Context) -> float:
        return self.seen_at


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World([Late])
    Outer.world, Outer.mishaps, Outer.told = world, 0, []
    await world.start()
    yield world
    world.close()


def ask(world: World, handler_name: str) -> "asyncio.Future[Answer]":
    target = Target("Late", "a", handler_name)
    request = CallRequest(target=target, argument=b"", idempotency_key=handler_name)
    answer = world.runtime.submit(request, wait=True)
    answer.add_done_callback(lambda done: done.cancelled() or done.exception())
    return answer


async def entries(world: World, handler_name: str) -> list[str]:
    found = await world.runtime.find_invocation(
        "Late", "a", handler_name, idempotency_key=handler_name
    )
    assert found is not None
    return [each.kind for each in await found.journal()]


@pytest.mark.parametrize("handler_name", ["sleeps", "sleeps_as_asyncio"])
@pytest.mark.parametrize("restarts", [True, False])
async def test_a_sleep_after_a_failed_attempt_is_as_long_as_any(
    world: World, handler_name: str, *, restarts: bool
) -> None:
    Outer.mishaps = 1
    ask(world, handler_name)
    await world.clock.advance(61)
    if restarts:
        await world.restart()
    answer = ask(world, handler_name)
    await world.clock.advance(28)
    assert not answer.done()
    await world.clock.advance(2)

    assert answer.done()
    assert await entries(world, handler_name) == ["input", "time", "timer", "result"]


@pytest.mark.parametrize("restarts", [True, False])
async def test_a_timeout_after_a_failed_attempt_gives_all_of_its_time(
    world: World, *, restarts: bool
) -> None:
    Outer.mishaps = 1
    ask(world, "in_time")
    await world.clock.advance(61)
    if restarts:
        await world.restart()

    assert (await world.finish(ask(world, "in_time"), 600)).outcome == b'"saidworked"'


async def test_an_awakeable_after_a_failed_attempt_can_be_answered(world: World) -> None:
    Outer.mishaps = 1
    answer = ask(world, "asks")
    await world.clock.advance(65)
    await world.runtime.resolve_awakeable(Outer.awakeable, "yes")

    assert (await world.finish(answer, 600)).outcome == b'"yes"'


async def test_a_timeout_after_a_long_pause_gives_all_of_its_time(world: World) -> None:
    Outer.mishaps = 3
    answer = ask(world, "in_time")
    await world.clock.advance(3600)
    found = await world.runtime.find_invocation("Late", "a", "in_time", idempotency_key="in_time")
    assert found is not None
    assert (await found.describe()).status == "paused"
    assert await found.resume()

    assert (await world.finish(answer, 600)).outcome == b'"saidworked"'


async def test_a_timeout_after_a_restart_from_an_entry_gives_all_of_its_time(world: World) -> None:
    await world.finish(ask(world, "books"))
    found = await world.runtime.find_invocation("Late", "a", "books", idempotency_key="books")
    assert found is not None
    await world.clock.advance(3600)
    Outer.mishaps = 1
    id_ = await found.restart(from_entry=3)
    again = asyncio.ensure_future(world.runtime.invocation(id_).attach())
    await world.clock.advance(6)

    assert await again == "worked"


@pytest.mark.parametrize("mishaps", [0, 1])
@pytest.mark.parametrize("crashes", [True, False])
async def test_the_time_that_a_handler_was_told_before_it_waited_stands(
    world: World, mishaps: int, *, crashes: bool
) -> None:
    Outer.mishaps = mishaps
    answer = ask(world, "measures")
    await world.clock.advance(60 * mishaps + 1)
    began = await world.runtime.object(Late, "a").looks()
    await world.clock.advance(3600)
    if crashes:
        await world.crash(keep_written=True)
        world.clock.jump(3600)
        await world.start()
        answer = ask(world, "measures")
    else:
        world.runtime.suspend_idle()
    await world.clock.advance(3600)
    await world.runtime.resolve_awakeable(Outer.awakeable, "")

    elapsed = (await world.finish(answer, 600)).outcome
    assert isinstance(elapsed, bytes)
    assert float(elapsed) == pytest.approx(10800 if crashes else 7200, abs=1)
    assert Outer.told == [began]
    assert await world.runtime.object(Late, "a").looks() == began


async def test_a_handler_that_asks_for_the_time_and_fails_is_given_up_in_the_end(
    world: World,
) -> None:
    ask(world, "always_fails")
    await world.clock.advance(3600)

    assert [each - Outer.told[0] for each in Outer.told] == [0, 60, 120]
    assert await entries(world, "always_fails") == ["input"]


async def test_a_handler_that_is_not_late_has_nothing_written_down_of_the_time(
    world: World,
) -> None:
    await world.finish(ask(world, "in_time"), 600)

    assert "time" not in await entries(world, "in_time")


@pytest.mark.parametrize(
    ("handler_name", "outcome"),
    [("sleeps", None), ("in_time", "saidworked"), ("gives_up_first", 0.0)],
)
async def test_a_late_handler_is_told_the_same_wherever_the_process_dies(
    handler_name: str, outcome: object
) -> None:
    def reset() -> None:
        Outer.mishaps = 1

    async def play(client: Client) -> Any:
        Outer.world = client  # type: ignore[assignment]  # it has a clock as well
        return await getattr(client.object(Late, "c"), handler_name)()

    report = await crash_everywhere(play, [Late], reset=reset, crash_again=True, suspending=True)

    assert report.ending.outcome == outcome
