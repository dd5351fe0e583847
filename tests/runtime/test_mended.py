"""What went wrong once, each named after what a user would have seen."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from holdfast import (
    Context,
    Happened,
    Intent,
    NeverHappened,
    RetryPolicy,
    RuntimeConfig,
    TerminalError,
    VirtualObject,
    handler,
    shared,
    state,
)
from holdfast.journal import keys
from holdfast.objects.identity import Target
from holdfast.runtime.requests import CallRequest
from holdfast.runtime.testing import settle

from .worlds import World


class OddError(Exception):
    def __str__(self) -> str:
        raise ValueError


class Shop(VirtualObject):
    done: ClassVar[list[str]] = []
    verdict: ClassVar[Happened | NeverHappened] = NeverHappened()
    kept: int = state(0)
    other: Any = state(None)
    left: int = state(0)
    right: int = state(0)

    @staticmethod
    async def charge() -> str:
        Shop.done.append("charge")
        await asyncio.Event().wait()
        return "charged"

    @staticmethod
    async def verify(intent: Intent) -> Happened | NeverHappened:
        Shop.done.append(f"verify {intent.attempt}")
        return Shop.verdict

    @staticmethod
    async def cancel_itself() -> None:
        Shop.done.append("cancelled itself")
        raise asyncio.CancelledError

    @staticmethod
    async def fail_once() -> str:
        Shop.done.append("tried")
        if Shop.done.count("tried") == 1:
            message = "not yet"
            raise OSError(message)
        return "worked"

    @handler
    async def buy(self, ctx: Context) -> str:
        step = ctx.step(timeout=timedelta(seconds=2), on_unknown=Shop.verify)
        return await step.run("charge", Shop.charge)

    @handler
    async def flaky(self, ctx: Context) -> str:
        return await ctx.run("flaky", Shop.fail_once)

    @handler
    async def restless(self, ctx: Context) -> str:
        try:
            await ctx.step(retry=RetryPolicy(max_attempts=3)).run("odd", Shop.cancel_itself)
        except TerminalError as error:
            return type(error).__name__
        return "?"

    @handler
    async def store_badly(self, ctx: Context) -> int:
        self.kept = 7
        self.other = object()
        try:
            await ctx.run("first", Shop.name)
        except TerminalError:
            self.other = None
        await ctx.run("second", Shop.name)
        return self.kept

    @staticmethod
    async def name() -> str:
        return "name"

    @shared
    async def read(self, ctx: Context) -> int:
        return self.kept

    @handler
    async def mistype(self, ctx: Context) -> None:
        value: Any = "seven"
        self.kept = value

    @handler
    async def forget_await(self, ctx: Context) -> Any:
        return ctx.run("name", Shop.name)

    @handler
    async def raise_odd(self, ctx: Context) -> None:
        raise OddError

    @handler
    async def raise_surrogate(self, ctx: Context) -> None:
        message = "\udcff"
        raise OSError(message)

    @handler
    async def raise_unwritable(self, ctx: Context) -> None:
        message = "\udcff"
        raise TerminalError(message, status_code=2**70, metadata={"\udcff": "\udcff"})

    @handler
    async def wait(self, ctx: Context) -> str:
        awakeable = ctx.awakeable(str)
        Shop.done.append(awakeable.id)
        return await awakeable

    @handler
    async def fill(self, ctx: Context, text: str) -> int:
        self.kept += 5
        return self.kept

    @handler
    async def move_both(self, ctx: Context, number: int) -> None:
        self.left = self.right = number

    @shared
    async def read_both(self, ctx: Context) -> list[int]:
        left = self.left
        for _ in range(50):
            await asyncio.sleep(0)
        return [left, self.right]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Shop.done.clear()
    Shop.verdict = NeverHappened()
    world = World([Shop])
    yield world
    world.close()


async def test_a_step_cut_off_during_a_stop_is_verified_before_it_runs_again(world: World) -> None:
    runtime = await world.start()
    await runtime.object(Shop, "s").buy.send()
    await settle()
    stopping = asyncio.ensure_future(runtime.stop(timedelta(seconds=10)))
    await world.clock.advance(3)
    await stopping
    world.store = world.store.crash(keep_written=False)
    Shop.verdict = Happened("found")
    await world.start()
    await world.clock.advance(1)

    assert Shop.done == ["charge", "verify 1"]


async def test_a_step_that_always_times_out_keeps_to_its_policy_when_verified(
    world: World,
) -> None:
    world.config = RuntimeConfig(retry=RetryPolicy(max_attempts=3))
    runtime = await world.start()
    await runtime.object(Shop, "s").buy.send()
    await world.clock.advance(600)

    assert Shop.done.count("charge") == 3


async def test_an_action_that_cancels_itself_does_not_spin(world: World) -> None:
    runtime = await world.start()

    assert await world.finish(runtime.object(Shop, "s").restless()) == "StepFailedError"
    assert len(Shop.done) == 3


async def test_a_crash_right_after_a_steps_retry_fell_due_loses_nothing(world: World) -> None:
    world.config = RuntimeConfig(turn_pumps_max=1)
    runtime = await world.start()
    for key in "abc":
        await runtime.object(Shop, key).flaky.send()
    await settle()
    world.clock.jump(1)
    inside: Any = runtime
    inside._lifecycle.timers.fire_due()  # noqa: SLF001  # a crash between two turns
    inside._commits.write()  # noqa: SLF001
    await world.restart()
    await world.clock.advance(60)

    assert world.runtime.statistics().objects_busy == 0


async def test_a_change_is_stored_although_another_field_could_not_be(world: World) -> None:
    runtime = await world.start()
    assert await runtime.object(Shop, "s").store_badly() == 7
    runtime = await world.restart()

    assert await runtime.object(Shop, "s").read() == 7


@pytest.mark.parametrize("name", ["raise_odd", "raise_surrogate", "raise_unwritable"])
async def test_an_exception_with_odd_text_stops_nobody_else(world: World, name: str) -> None:
    runtime = await world.start()
    await runtime.send_by_name("Shop", "odd", name)
    await settle()
    await world.clock.advance(2)
    assert await runtime.object(Shop, "s").fill("x") == 5
    runtime = await world.restart()

    assert await runtime.object(Shop, "s").fill("x") == 10


async def test_a_large_journal_under_way_costs_no_idempotency_key(world: World) -> None:
    world.config = RuntimeConfig(retained_bytes_max=1_000)
    runtime = await world.start()
    request = CallRequest(target=Target("Shop", "s", "fill"), argument=b'"x"', idempotency_key="k")
    first = await runtime.submit(request, wait=True)
    for number in range(50):
        await runtime.object(Shop, f"w{number}").wait.send()
    await runtime.object(Shop, "big").fill("x" * 5_000)
    await world.clock.advance(10)

    assert (await runtime.submit(request, wait=True)).outcome == first.outcome == b"5"


async def test_one_late_call_does_not_keep_all_others(world: World) -> None:
    world.config = RuntimeConfig(retention=timedelta(minutes=10))
    runtime = await world.start()
    await runtime.object(Shop, "late").wait.send()
    await settle()
    for _ in range(20):
        await runtime.object(Shop, "s").fill("x")
    await world.clock.advance(540)
    await runtime.call_by_name("Shop", "s", "fill", "x")
    awakeable_id = Shop.done[-1]
    await runtime.object(Shop, "other").fill("x")
    await world.clock.advance(200)
    outcomes = [key for key, _ in world.store.scan(keys.OUTCOME, keys.after(keys.OUTCOME))]

    assert awakeable_id.startswith("awk_")
    assert len(outcomes) == 2


async def test_a_long_journal_is_collected_in_bounded_rounds(world: World) -> None:
    world.config = RuntimeConfig(retention=timedelta(seconds=5), collect_rows_max=10)
    runtime = await world.start()
    for number in range(30):
        await runtime.object(Shop, f"s{number}").store_badly()
    before = world.store.statistics().rows_written
    await world.clock.advance(6)
    rounds = world.store.statistics().rows_written - before
    await world.clock.advance(120)

    assert rounds > 0
    assert not list(world.store.scan(keys.OUTCOME, keys.after(keys.OUTCOME)))
    assert not list(world.store.scan(keys.JOURNAL, keys.after(keys.JOURNAL)))


async def test_a_caller_who_has_gone_leaves_nothing_behind(world: World) -> None:
    runtime = await world.start()
    request = CallRequest(target=Target("Shop", "s", "wait"), argument=b"", idempotency_key="k")
    for _ in range(10):
        runtime.submit(request, wait=True).cancel()
    await settle()

    inside: Any = runtime
    assert not inside._answers._open  # noqa: SLF001  # nothing public tells of a leak
    assert not inside._lifecycle.outcomes._waiters  # noqa: SLF001


async def test_a_shared_handler_sees_one_moment_however_long_it_runs(world: World) -> None:
    world.config = RuntimeConfig(pump_callbacks_max=3)
    runtime = await world.start()
    await runtime.object(Shop, "s").move_both(1)
    reading = asyncio.ensure_future(runtime.object(Shop, "s").read_both())
    moving = [asyncio.ensure_future(runtime.object(Shop, "s").move_both(2)) for _ in range(2)]
    await asyncio.gather(*moving)

    assert await reading == [1, 1]


async def test_a_value_of_another_type_is_refused_where_it_is_assigned(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = await world.start()
    await runtime.object(Shop, "s").mistype.send()
    await settle()

    assert "state field 'kept' was given 'seven'" in caplog.text
    assert "test_mended.py:" in caplog.text
    assert await runtime.object(Shop, "s").read() == 0


async def test_a_forgotten_await_is_named(world: World) -> None:
    runtime = await world.start()

    with pytest.raises(TerminalError, match="did you forget `await`"):
        await runtime.object(Shop, "s").forget_await()
