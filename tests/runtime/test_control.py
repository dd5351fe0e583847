"""Duplicates, limits, waits that cannot end, handlers that do not end, and what is kept."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import ClassVar

import pytest

from holdfast import (
    ConflictError,
    Context,
    DeadlockError,
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
from holdfast.runtime.engine import Engine
from holdfast.runtime.requests import Answer, CallRequest
from holdfast.runtime.testing import settle

from .agents import Agent, Caller, Counter, Faulty, Ledger, act
from .worlds import World


class Node(VirtualObject):
    """Waits for others in every way there is."""

    event: ClassVar[asyncio.Event]
    log: list[str] = state(default_factory=list)

    @handler
    async def reach(self, ctx: Context, path: list[str]) -> str:
        if not path:
            return ctx.key
        return await ctx.object(Node, path[0]).reach(path[1:])

    @handler
    async def nap_then_call(self, ctx: Context, other: str) -> str:
        await asyncio.sleep(10)
        return await ctx.object(Node, other).reach([])

    @handler
    async def catch(self, ctx: Context, path: list[str]) -> str:
        try:
            return await ctx.object(Node, path[0]).reach(path[1:])
        except DeadlockError as error:
            return f"refused: {error.status_code}"

    @handler
    async def catch_beside(self, ctx: Context, path: list[str]) -> str:
        ctx.awakeable(str)
        beside = ctx.object(Node, "z").nap_then_call("y")
        try:
            return await ctx.object(Node, path[0]).reach(path[1:])
        except DeadlockError as error:
            return f"refused: {error.status_code}, {await beside}"

    @handler
    async def call_with_timeout(self, ctx: Context, path: list[str]) -> str:
        try:
            async with asyncio.timeout(5):
                return await ctx.object(Node, path[0]).reach(path[1:])
        except TimeoutError:
            return "timeout"

    @handler
    async def call_in_background(self, ctx: Context, path: list[str]) -> str:
        call = ctx.object(Node, path[0]).reach(path[1:])
        result = await ctx.run("work", act, "work")
        del call
        return result

    @shared
    async def look(self, ctx: Context, path: list[str]) -> str:
        return await ctx.object(Node, path[0]).reach(path[1:])

    @handler
    async def through_shared(self, ctx: Context, other: str) -> str:
        return await ctx.object(Node, other).look([ctx.key])

    @handler
    async def never(self, ctx: Context) -> None:
        await asyncio.Event().wait()

    @handler
    async def spin(self, ctx: Context) -> None:
        while True:  # noqa: ASYNC110  # that it never ends is the point
            await asyncio.sleep(0)

    @handler
    async def network(self, ctx: Context) -> None:
        await asyncio.open_connection("127.0.0.1", 1)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Ledger.lines.clear()
    Faulty.tries.clear()
    world = World([Counter, Agent, Caller, Faulty, Node])
    yield world
    world.close()


def submit(
    runtime: Engine, handler_name: str, argument: bytes, *, key: str | None = "k", wait: bool = True
) -> "asyncio.Future[Answer]":
    target = Target("Counter", "a", handler_name)
    request = CallRequest(target=target, argument=argument, idempotency_key=key)
    return runtime.submit(request, wait=wait)


async def test_a_duplicate_gets_the_first_result_also_after_a_crash(world: World) -> None:
    runtime = await world.start()
    first = await submit(runtime, "add", b"2")
    runtime = await world.restart()
    second = await submit(runtime, "add", b"5")

    assert (second.outcome, second.is_duplicate, second.is_other_body) == (b"2", True, True)
    assert second.invocation_id == first.invocation_id
    assert await runtime.object(Counter, "a").get() == 2


async def test_a_strict_runtime_refuses_another_body(world: World) -> None:
    world.config = RuntimeConfig(idempotency_strict=True)
    runtime = await world.start()
    await submit(runtime, "add", b"2")

    with pytest.raises(ConflictError, match="came with another body"):
        await submit(runtime, "add", b"5")


async def test_an_idempotency_key_counts_until_its_retention_ends(world: World) -> None:
    world.config = RuntimeConfig(retention=timedelta(seconds=100))
    runtime = await world.start()
    await submit(runtime, "add", b"1")
    await world.clock.advance(90)
    assert (await submit(runtime, "add", b"1")).is_duplicate
    await world.clock.advance(20)

    assert not (await submit(runtime, "add", b"1")).is_duplicate


async def test_retention_leaves_only_state_behind(world: World) -> None:
    world.config = RuntimeConfig(retention=timedelta(seconds=100))
    runtime = await world.start()
    await runtime.object(Agent, "s").work(5)
    await submit(runtime, "add", b"1")
    await world.clock.advance(200)
    tables = {key[:1] for key, _ in world.store.scan(b"", None)}

    assert tables == {keys.STATE, keys.META}


async def test_what_is_kept_is_bounded_in_bytes(world: World) -> None:
    world.config = RuntimeConfig(retained_bytes_max=4_000)
    runtime = await world.start()
    for _ in range(100):
        await runtime.object(Counter, "a").add(1)
    await world.clock.advance(5)
    kept = [key for key, _ in world.store.scan(keys.OUTCOME, keys.after(keys.OUTCOME))]

    assert len(kept) < 100
    assert await runtime.object(Counter, "a").get() == 100


@pytest.mark.parametrize("path", [["a"], ["b", "a"], ["b", "c", "d", "a"]])
async def test_a_cycle_of_any_length_is_refused_at_once(world: World, path: list[str]) -> None:
    runtime = await world.start()

    assert await runtime.object(Node, "a").catch(path) == "refused: 409"
    assert await runtime.object(Node, "a").reach([]) == "a"


async def test_what_nobody_awaits_ends_no_cycle(world: World) -> None:
    """An awakeable that is still open, and a call that goes on beside: both move nobody."""
    runtime = await world.start()
    answer = asyncio.ensure_future(runtime.object(Node, "a").catch_beside(["b", "a"]))
    await world.clock.advance(20)

    assert answer.result() == "refused: 409, y"


async def test_a_cycle_through_suspended_handlers_is_refused(world: World) -> None:
    runtime = await world.start()
    tasks = [
        asyncio.ensure_future(runtime.object(Node, mine).nap_then_call(other))
        for mine, other in (("a", "b"), ("b", "c"), ("c", "a"))
    ]
    await settle()
    runtime.suspend_idle()
    for _ in range(12):
        await world.clock.advance(1)
        runtime.suspend_idle()
    done = [task for task in tasks if isinstance(task.exception(), TerminalError)]

    assert len(done) >= 1
    assert all(task.done() for task in tasks)
    error = done[0].exception()
    assert error is not None
    assert "whose turn is held by" in str(error)


async def test_a_cycle_through_a_shared_handler_is_refused(world: World) -> None:
    runtime = await world.start()

    with pytest.raises(TerminalError, match="Node/b/look"):
        await runtime.object(Node, "a").through_shared("b")


async def test_a_call_under_a_timeout_is_no_cycle(world: World) -> None:
    runtime = await world.start()
    answer = asyncio.ensure_future(runtime.object(Node, "a").call_with_timeout(["b", "a"]))
    await world.clock.advance(4)
    assert not answer.done()
    await world.clock.advance(2)

    assert answer.result() == "timeout"


async def test_a_call_in_the_background_is_no_cycle(world: World) -> None:
    runtime = await world.start()

    assert await runtime.object(Node, "a").call_in_background(["b", "a"]) == "work"


async def test_a_handler_that_waits_for_nothing_is_ended_and_frees_its_key(world: World) -> None:
    runtime = await world.start()

    with pytest.raises(
        TerminalError,
        match=r"never end: at \S+test_control.py:\d+ it waits .* nothing can bring about.*ctx\.run",
    ):
        await runtime.object(Node, "a").never()
    assert await runtime.object(Node, "a").reach([]) == "a"


async def test_a_spinning_handler_is_ended_with_its_line_and_others_go_on(world: World) -> None:
    world.config = RuntimeConfig(spin_callbacks_max=10_000)
    runtime = await world.start()
    spinning = asyncio.ensure_future(runtime.object(Node, "a").spin())
    assert await runtime.object(Counter, "c").add(1) == 1

    with pytest.raises(TerminalError, match=r"test_control.py:\d+"):
        await spinning


async def test_the_network_in_a_handler_names_the_line_and_the_cure(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.config = RuntimeConfig(retry=RetryPolicy(max_attempts=1))
    runtime = await world.start()
    answer = asyncio.ensure_future(runtime.object(Node, "a").network())
    await settle()

    assert "Node/a/network" in caplog.text
    assert "test_control.py" in caplog.text
    assert "ctx.run" in caplog.text
    answer.cancel()


async def test_after_its_last_attempt_an_invocation_waits_for_a_person(world: World) -> None:
    world.config = RuntimeConfig(retry=RetryPolicy(max_attempts=3))
    runtime = await world.start()
    request = CallRequest(target=Target("Faulty", "f", "flaky"), argument=b"4", idempotency_key="k")
    answer = runtime.submit(request, wait=True)
    await world.clock.advance(3600)
    assert Faulty.tries["f"] == 3
    runtime = await world.restart()
    answer = runtime.submit(request, wait=True)
    await world.clock.advance(3600)
    assert Faulty.tries["f"] == 3
    accepted = await runtime.submit(request, wait=False)
    assert await runtime.invocation(accepted.invocation_id).resume()
    await world.clock.advance(3600)

    assert (await answer).outcome == b"1"
    assert Faulty.tries["f"] == 5


async def test_a_crash_does_not_reset_the_count_of_attempts(world: World) -> None:
    world.config = RuntimeConfig(retry=RetryPolicy(max_attempts=3))
    runtime = await world.start()
    runtime.submit(CallRequest(target=Target("Faulty", "f", "flaky"), argument=b"9"), wait=False)
    for _ in range(6):
        await world.clock.advance(0.7)
        await world.restart()
    await world.clock.advance(3600)

    assert Faulty.tries["f"] == 3


async def test_attempts_beyond_the_limit_leave_memory_and_come_back(world: World) -> None:
    world.config = RuntimeConfig(resident_attempts_max=5)
    runtime = await world.start()
    naps = [asyncio.ensure_future(runtime.object(Agent, str(n)).nap(10)) for n in range(50)]
    await settle()
    assert runtime.statistics().attempts_resident <= 6
    await world.clock.advance(11)

    assert [nap.result() for nap in naps] == [10.0] * 50


async def test_an_idle_attempt_leaves_memory_after_its_time(world: World) -> None:
    world.config = RuntimeConfig(idle_ms_max=5_000)
    runtime = await world.start()
    nap = asyncio.ensure_future(runtime.object(Agent, "s").nap(100))
    await world.clock.advance(3)
    assert runtime.statistics().attempts_resident == 1
    await world.clock.advance(4)
    assert runtime.statistics().attempts_resident == 0
    await world.clock.advance(100)

    assert nap.result() == 100.0


async def test_those_who_wait_behind_a_suspended_handler_run_in_order(world: World) -> None:
    runtime = await world.start()
    nap = asyncio.ensure_future(runtime.object(Agent, "s").nap(10))
    await settle()
    behind = [asyncio.ensure_future(runtime.object(Agent, "s").work(n)) for n in (1, 2)]
    await settle()
    runtime.suspend_idle()
    await settle()
    behind.append(asyncio.ensure_future(runtime.object(Agent, "s").work(1)))
    await settle()
    assert Ledger.lines == []
    await world.clock.advance(11)

    assert nap.result() == 10.0
    assert [len(task.result()) for task in behind] == [1, 3, 4]


async def test_two_runtimes_in_one_process_do_not_know_of_each_other(world: World) -> None:
    other = World([Counter])
    first, second = await world.start(), await other.start()
    await first.object(Counter, "a").add(1)

    assert await second.object(Counter, "a").add(5) == 5
    await first.stop()
    assert await second.object(Counter, "a").add(5) == 10
