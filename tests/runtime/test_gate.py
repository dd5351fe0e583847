"""Nothing leaves before what it depends on is durable, and nothing at all once the store failed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from holdfast import Context, StoreFailedError, VirtualObject, handler, state
from holdfast.ingress.health import health_of
from holdfast.journal import keys
from holdfast.journal.memory import MemoryStore
from holdfast.objects.identity import Target
from holdfast.runtime.engine import Engine
from holdfast.runtime.requests import CallRequest
from holdfast.runtime.slow_syncs import SlowSyncs
from holdfast.runtime.testing import InlineThreads, ManualClock, SeededRandomness, settle

from .held_threads import HeldThreads, SlowDisk
from .worlds import World

actions: list[str] = []


async def act(name: str) -> str:
    actions.append(name)
    return name


class Ledger(VirtualObject):
    total: int = state(0)

    @handler
    async def add(self, ctx: Context, amount: int) -> int:
        self.total += amount
        return self.total

    @handler
    async def effect(self, ctx: Context) -> str:
        return await ctx.run("effect", act, "effect")


@pytest.fixture
async def threads() -> AsyncIterator[HeldThreads]:
    actions.clear()
    threads = HeldThreads()
    yield threads
    for runtime in started:
        runtime.crash()
    started.clear()


started: list[Engine] = []


async def start(
    threads: HeldThreads, store: MemoryStore, clock: ManualClock | None = None
) -> Engine:
    runtime = Engine(
        [Ledger],
        store=store,
        clock=clock or ManualClock(),
        randomness=SeededRandomness(),
        threads=threads,
    )
    await runtime.start()
    started.append(runtime)
    return runtime


async def test_an_answer_waits_until_its_outcome_is_durable(threads: HeldThreads) -> None:
    store = MemoryStore()
    runtime = await start(threads, store)
    answer = asyncio.ensure_future(runtime.object(Ledger, "a").add(1))
    await settle()
    assert store.statistics().batches_written == 1
    assert not answer.done()
    await threads.let_sync_end()

    assert answer.result() == 1


class LeavingOver(MemoryStore):
    """Syncs take as long as the test says, and what they leave over is noted."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock
        self.sync_seconds = 0.0
        self.settled: list[tuple[int, bool]] = []

    def sync(self) -> int:
        self._clock.jump(self.sync_seconds)
        return super().sync()

    def settle(self, *, aside: bool) -> None:
        self.settled.append((self.statistics().syncs, aside))


async def test_what_a_sync_leaves_over_is_settled_after_it_and_aside_where_it_took_long() -> None:
    clock = ManualClock()
    store = LeavingOver(clock)
    async with Engine([Ledger], store=store, clock=clock, threads=InlineThreads()) as runtime:
        await runtime.object(Ledger, "a").add(1)
        store.sync_seconds = 0.002
        await runtime.object(Ledger, "a").add(1)
        store.sync_seconds = 0.0005
        await runtime.object(Ledger, "a").add(1)

        assert store.settled == [(1, False), (2, True), (3, False)]


def test_a_disk_is_slow_while_a_sync_takes_a_tenth_of_a_second_and_a_while_after() -> None:
    clock = ManualClock()
    syncs = SlowSyncs(clock)
    syncs.begin()
    clock.jump(0.09)
    assert not syncs.is_slow
    clock.jump(0.01)
    assert syncs.is_slow
    syncs.end()
    clock.jump(4.9)
    assert syncs.is_slow
    clock.jump(0.2)
    assert not syncs.is_slow
    syncs.begin()
    clock.jump(0.09)
    syncs.end()

    assert not syncs.is_slow


async def test_a_loop_that_is_slow_to_hear_of_a_sync_is_no_slow_disk(threads: HeldThreads) -> None:
    clock = ManualClock()
    runtime = await start(threads, MemoryStore(), clock)
    answer = asyncio.ensure_future(runtime.object(Ledger, "a").add(1))
    await settle()
    clock.jump(0.2)
    assert health_of(runtime) == (200, "ok")
    await threads.let_sync_end()

    assert answer.result() == 1
    assert health_of(runtime) == (200, "ok")


async def test_the_health_of_a_server_with_a_slow_disk_is_degraded_and_welcomes_work() -> None:
    clock, threads = ManualClock(), SlowDisk()
    runtime = await start(threads, MemoryStore(), clock)
    answer = asyncio.ensure_future(runtime.object(Ledger, "a").add(1))
    await clock.advance(0.2)
    assert health_of(runtime) == (200, "degraded")
    await threads.let_sync_end()
    assert answer.result() == 1
    runtime.crash()

    assert health_of(runtime)[0] == 503


async def test_a_state_is_told_when_it_is_durable_also_to_whoever_waits(
    threads: HeldThreads,
) -> None:
    runtime = await start(threads, MemoryStore())
    before = runtime.wait_state(Ledger, "a")
    waiting = runtime.wait_state(Ledger, "a", since=(await before).tag)
    answer = asyncio.ensure_future(runtime.object(Ledger, "a").add(1))
    await settle()
    asked_between = runtime.wait_state(Ledger, "a")
    await settle()
    assert [each.done() for each in (answer, waiting, asked_between)] == [False] * 3
    await threads.let_sync_end()

    assert answer.result() == 1
    assert waiting.result().values == {"total": 1}
    assert asked_between.result() == waiting.result()


async def test_whoever_waits_is_not_told_a_later_state_that_is_not_durable_yet(
    threads: HeldThreads,
) -> None:
    runtime = await start(threads, MemoryStore())
    waiting = runtime.wait_state(Ledger, "a", since=(await runtime.wait_state(Ledger, "a")).tag)
    first = asyncio.ensure_future(runtime.object(Ledger, "a").add(1))
    await settle()
    second = asyncio.ensure_future(runtime.object(Ledger, "a").add(1))
    await settle()
    await threads.let_sync_end()
    assert [each.done() for each in (first, second, waiting)] == [True, False, False]
    await threads.let_sync_end()

    assert second.result() == 2
    assert waiting.result().values == {"total": 2}


async def test_an_action_waits_until_its_intent_is_durable(threads: HeldThreads) -> None:
    runtime = await start(threads, MemoryStore())
    answer = asyncio.ensure_future(runtime.object(Ledger, "a").effect())
    await settle()
    assert actions == []
    await threads.let_sync_end()
    assert actions == ["effect"]
    assert not answer.done()
    await threads.let_sync_end()

    assert answer.result() == "effect"


async def test_a_duplicate_is_answered_only_when_the_original_is_durable(
    threads: HeldThreads,
) -> None:
    runtime = await start(threads, MemoryStore())
    request = CallRequest(target=Target("Ledger", "a", "add"), argument=b"1", idempotency_key="k")
    original = runtime.submit(request, wait=True)
    await settle()
    duplicates = [runtime.submit(request, wait=wait) for wait in (True, False)]
    await settle()
    assert not any(future.done() for future in (original, *duplicates))
    await threads.let_sync_end()

    assert [future.result().is_duplicate for future in (original, *duplicates)] == [
        False,
        True,
        True,
    ]


async def test_a_refusal_waits_for_what_it_was_decided_on(threads: HeldThreads) -> None:
    runtime = await start(threads, MemoryStore())
    strict = CallRequest(target=Target("Ledger", "a", "add"), argument=b"1", idempotency_key="k")
    runtime.submit(strict, wait=False)
    other = CallRequest(target=Target("Ledger", "a", "add"), argument=b"2", idempotency_key="k")
    duplicate = runtime.submit(other, wait=False)
    await settle()
    assert not duplicate.done()
    await threads.let_sync_end()

    assert duplicate.result().is_other_body


async def test_calls_that_arrive_during_a_sync_share_the_next_one(threads: HeldThreads) -> None:
    store = MemoryStore()
    runtime = await start(threads, store)
    answers = [asyncio.ensure_future(runtime.object(Ledger, "first").add(1))]
    await settle()
    for number in range(20):
        answers.append(asyncio.ensure_future(runtime.object(Ledger, str(number)).add(1)))
        await settle()
    await threads.let_sync_end()
    await threads.let_sync_end()

    assert all(answer.done() for answer in answers)
    assert store.statistics().syncs == 2


@pytest.mark.parametrize("durable", [False, True])
async def test_after_a_failed_sync_nothing_is_acknowledged(*, durable: bool) -> None:
    world = World([Ledger])
    runtime = await world.start()
    assert await runtime.object(Ledger, "a").add(1) == 1
    world.store.fail_next_sync(durable=durable)

    with pytest.raises(StoreFailedError, match="retry with the same idempotency key"):
        await runtime.object(Ledger, "a").add(1)
    with pytest.raises(StoreFailedError):
        await runtime.object(Ledger, "b").add(1)
    assert (await runtime.wait_failed()).code == "HF0030"
    await runtime.stop()


async def test_after_a_failed_write_a_restart_has_what_was_acknowledged() -> None:
    world = World([Ledger])
    runtime = await world.start()
    assert await runtime.object(Ledger, "a").add(1) == 1
    world.store.fail_next_write()
    with pytest.raises(StoreFailedError):
        await runtime.object(Ledger, "a").add(1)
    world.store = world.store.crash(keep_written=True)
    runtime = await world.start()

    assert await runtime.object(Ledger, "a").add(1) == 2


async def test_what_nobody_waits_for_is_durable_two_rounds_later() -> None:
    world = World([Ledger])
    await world.start()
    ledger = world.runtime.object(Ledger, "joe", idempotency_key="later")
    await ledger.add.send(1, delay=timedelta(seconds=10))
    await world.clock.advance(10)
    await settle()
    before = world.store.statistics().syncs

    await world.clock.advance(1)
    await world.clock.advance(1)
    await settle()
    assert world.store.statistics().syncs == before + 1
    await world.crash(keep_written=False)
    assert state_rows(world.store)


async def test_a_runtime_at_rest_asks_the_disk_for_nothing() -> None:
    world = World([Ledger])
    await world.start()
    await world.finish(world.runtime.object(Ledger, "joe").add(1))
    await world.clock.advance(5)
    before = world.store.statistics().syncs
    await world.clock.advance(60)
    assert world.store.statistics().syncs == before
    world.close()


def state_rows(store: MemoryStore) -> list[Any]:
    return list(store.scan(*keys.prefix_range(keys.STATE)))
