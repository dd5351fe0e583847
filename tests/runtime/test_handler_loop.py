"""What ordinary asyncio does on a handler's loop: what it does on any other, and durably."""

import asyncio
import contextlib
import contextvars
import gc
import itertools
import linecache
import sys
import time
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from holdfast.objects.errors import ForbiddenInHandlerError
from holdfast.runtime.handler_loop import HandlerLoop, PumpResult
from tests.runtime.loop_worlds import BEGIN, LoopWorld, run

# -- The same as on asyncio's own loop ---------------------------------------------------------


async def tick(value: Any, seconds: float = 0.0) -> Any:
    await asyncio.sleep(seconds)
    return value


async def gathers() -> Any:
    return await asyncio.gather(tick(1, 0.02), tick(2, 0.01), tick(3))


async def gathers_failures() -> Any:
    async def fail() -> None:
        raise ValueError

    results = await asyncio.gather(tick(1), fail(), return_exceptions=True)
    return [str(result) or type(result).__name__ for result in results]


async def groups() -> Any:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(tick(n, n / 100)) for n in range(4)]
    return [task.result() for task in tasks]


async def groups_that_abort() -> Any:
    trace: list[str] = []

    async def worker(n: int) -> None:
        try:
            await asyncio.sleep(10)
        finally:
            trace.append(f"stopped {n}")

    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise ValueError

    try:
        async with asyncio.TaskGroup() as group:
            for n in range(3):
                group.create_task(worker(n))
            group.create_task(fail())
    except* ValueError as errors:
        trace.append(str(errors.exceptions))
    return sorted(trace)


async def times_out() -> Any:
    trace: list[str] = []
    try:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(10)
    except TimeoutError:
        trace.append("timeout")
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout_at(loop.time() + 0.01):
            await asyncio.sleep(10)
    except TimeoutError:
        trace.append("timeout_at")
    try:
        await asyncio.wait_for(asyncio.sleep(10), 0.01)
    except TimeoutError:
        trace.append("wait_for")
    trace.append(await asyncio.wait_for(tick("in time"), 10))
    async with asyncio.timeout(10) as deadline:
        deadline.reschedule(None)
        await asyncio.sleep(0)
    return trace


async def waits() -> Any:
    slow, quick = asyncio.create_task(tick(1, 10)), asyncio.create_task(tick(2))
    done, pending = await asyncio.wait([slow, quick], return_when=asyncio.FIRST_COMPLETED)
    assert done == {quick}
    assert pending == {slow}
    done, pending = await asyncio.wait([slow], timeout=0.01)
    assert not done
    slow.cancel()
    done, _ = await asyncio.wait([slow])
    return [task.cancelled() for task in done]


async def as_completes() -> Any:
    given = [tick(n, seconds) for n, seconds in enumerate((0.03, 0.01, 0.02))]
    return [await item for item in asyncio.as_completed(given)]


async def as_completes_in_time() -> Any:
    trace: list[Any] = []
    try:
        for item in asyncio.as_completed([tick(1), tick(2, 10)], timeout=0.01):
            trace.append(await item)  # noqa: PERF401  # what came before the exception is wanted
    except TimeoutError:
        trace.append("timeout")
    return trace


async def queues() -> Any:
    queue: asyncio.Queue[int] = asyncio.Queue(maxsize=2)
    taken: list[int] = []

    async def take() -> None:
        while True:
            taken.append(await queue.get())
            await asyncio.sleep(0)
            queue.task_done()

    takers = [asyncio.create_task(take()) for _ in range(3)]
    for n in range(10):
        await queue.put(n)
    await queue.join()
    for taker in takers:
        taker.cancel()
    await asyncio.gather(*takers, return_exceptions=True)
    return taken


async def locks() -> Any:
    lock, semaphore = asyncio.Lock(), asyncio.BoundedSemaphore(2)
    condition, event, barrier = asyncio.Condition(), asyncio.Event(), asyncio.Barrier(3)
    trace: list[Any] = []

    async def work(n: int) -> None:
        async with semaphore, lock:
            await asyncio.sleep(0.001)
            trace.append(n)
        async with condition:
            await condition.wait_for(event.is_set)
            trace.append(("set", n))
        await barrier.wait()
        trace.append("through")

    tasks = [asyncio.create_task(work(n)) for n in range(3)]
    await asyncio.sleep(0.1)
    event.set()
    async with condition:
        condition.notify_all()
    await asyncio.gather(*tasks)
    return trace


async def shields() -> Any:
    inner = asyncio.create_task(tick("kept", 0.05))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(inner), 0.01)
    return inner.done(), await inner


async def generates() -> Any:
    async def count() -> AsyncIterator[int]:
        try:
            for n in range(10):
                await asyncio.sleep(0)
                yield n
        finally:
            trace.append("ended")

    trace: list[Any] = []
    async for n in count():
        trace.append(n)
        if n == 2:
            break
    await asyncio.sleep(0.01)
    return trace


async def calls_back() -> Any:
    loop = asyncio.get_running_loop()
    trace: list[Any] = []
    loop.call_soon(trace.append, 1)
    loop.call_soon(trace.append, 2).cancel()
    loop.call_later(0, trace.append, 3)
    loop.call_at(loop.time() - 1, trace.append, 4)
    handle = loop.call_later(0.02, trace.append, 6)
    loop.call_later(0.01, trace.append, 5)
    loop.call_later(0.01, trace.append, 7).cancel()
    loop.call_soon_threadsafe(trace.append, 8)
    await asyncio.sleep(0.05)
    return sorted(trace), handle.cancelled(), handle.when() < loop.time()


PROGRAMS: list[Callable[[], Coroutine[Any, Any, Any]]] = [
    gathers,
    gathers_failures,
    groups,
    groups_that_abort,
    times_out,
    waits,
    as_completes,
    as_completes_in_time,
    queues,
    locks,
    shields,
    generates,
    calls_back,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_a_program_ends_as_on_asyncios_own_loop(
    program: Callable[[], Coroutine[Any, Any, Any]],
) -> None:
    assert run(program()) == asyncio.run(program())


# -- Time ---------------------------------------------------------------------------------------


def test_a_sleep_is_a_timer_of_the_host() -> None:
    world = LoopWorld()
    assert world.run(tick("rested", 90)) == "rested"
    assert world.commands == [("set", 90.0)]


def test_time_stands_still_until_something_is_delivered() -> None:
    async def handler() -> list[float]:
        loop = asyncio.get_running_loop()
        times = [loop.time()]
        await asyncio.sleep(0)
        times.append(loop.time())
        await asyncio.sleep(5)
        return [*times, loop.time()]

    assert run(handler()) == [BEGIN, BEGIN, BEGIN + 5]


def test_a_timeout_that_is_not_reached_is_taken_back_once() -> None:
    async def handler() -> None:
        async with asyncio.timeout(60):
            await asyncio.sleep(1)

    world = LoopWorld()
    world.run(handler())
    assert world.commands == [("set", 60.0), ("set", 1.0), ("cancel", 60.0)]


def test_a_timer_that_is_due_is_no_command() -> None:
    async def handler() -> list[int]:
        loop = asyncio.get_running_loop()
        trace: list[int] = []
        loop.call_later(0, trace.append, 1)
        loop.call_later(-5, trace.append, 2)
        loop.call_at(loop.time(), trace.append, 3)
        await asyncio.sleep(0)
        return trace

    world = LoopWorld()
    assert world.run(handler()) == [1, 2, 3]
    assert world.commands == []


def test_a_timer_cancelled_after_it_fired_does_not_run_and_is_no_command() -> None:
    async def handler() -> list[int]:
        loop = asyncio.get_running_loop()
        trace: list[int] = []
        handles: list[asyncio.TimerHandle] = []

        def first() -> None:
            handles[0].cancel()
            trace.append(1)

        loop.call_later(1, first)
        handles.append(loop.call_later(1, trace.append, 2))
        await asyncio.sleep(2)
        return trace

    world = LoopWorld()
    task = world.start(handler())
    world.time += 1
    for timer in world.timers[:2]:
        world.loop.fire_timer(timer)
    world.timers = world.timers[2:]
    world.pump_and_fire()
    assert task.result() == [1]
    assert ("cancel", 1.0) not in world.commands
    world.loop.close()


def test_a_sleep_for_ever_is_no_timer() -> None:
    async def handler() -> str:
        try:
            async with asyncio.timeout(3):
                await asyncio.sleep(float("inf"))
        except TimeoutError:
            return "woken"
        return "never"

    world = LoopWorld()
    assert world.run(handler()) == "woken"
    assert world.commands == [("set", 3.0)]


def test_a_timer_for_no_number_is_refused() -> None:
    async def handler() -> None:
        asyncio.get_running_loop().call_later(float("nan"), print)

    with pytest.raises(ValueError, match="nan"):
        run(handler())


# -- The pump -----------------------------------------------------------------------------------


def test_the_loop_runs_only_while_it_is_pumped() -> None:
    async def handler() -> bool:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, HandlerLoop)
        return loop.is_running()

    world = LoopWorld()
    task = world.loop.start(handler())
    assert not task.done()
    assert not world.loop.is_running()
    world.pump()
    assert task.result()
    world.loop.close()
    assert world.loop.is_closed()


def test_the_loop_around_a_pump_is_the_running_one_again_afterwards() -> None:
    hooks: list[Any] = []

    def pump(world: LoopWorld, loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
        before = sys.get_asyncgen_hooks()
        assert world.run(gathers()) == [1, 2, 3]
        hooks.extend([before, sys.get_asyncgen_hooks()])
        assert asyncio.get_running_loop() is loop
        ended.set()

    async def around() -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.call_soon(pump, LoopWorld(), loop, ended)
        await ended.wait()
        assert asyncio.current_task() is not None

    asyncio.run(around())
    assert hooks[0] == hooks[1]
    assert hooks[0].finalizer is not None


def test_a_pump_inside_a_task_of_another_loop_is_a_bug() -> None:
    async def around(world: LoopWorld) -> None:
        world.pump()

    world = LoopWorld()
    world.loop.start(tick(1))
    with pytest.raises(AssertionError, match="pumped by a task"):
        asyncio.run(around(world))
    world.loop.close()


def test_a_pump_inside_a_pump_is_a_bug() -> None:
    inner = LoopWorld("Inner/a/b (inv_2)")

    async def handler() -> None:
        inner.pump()

    with pytest.raises(AssertionError, match="inside another's pump"):
        run(handler())


def test_a_pump_ends_at_its_bound_and_the_next_goes_on() -> None:
    async def handler() -> int:
        for _ in range(100):
            await asyncio.sleep(0)
        return 1

    world = LoopWorld()
    task = world.loop.start(handler())
    assert world.pump(callbacks_max=10) is PumpResult.BOUND
    states = [(bool(world.loop.ready), world.loop.is_quiescent)]
    assert world.pump(callbacks_max=1_000) is PumpResult.QUIESCENT
    assert task.result() == 1
    states.append((bool(world.loop.ready), world.loop.is_quiescent))
    assert states == [(True, False), (False, True)]
    world.loop.close()


def test_a_pump_ends_when_its_time_is_over() -> None:
    async def handler() -> None:
        while True:  # noqa: ASYNC110  # that is the test
            await asyncio.sleep(0)

    world = LoopWorld()
    world.loop.start(handler())
    readings = itertools.count()
    assert world.pump(seconds_max=3, clock=lambda: float(next(readings))) is PumpResult.BOUND
    assert next(readings) == 4
    world.loop.close()


def test_a_handler_that_spins_is_told_apart_by_its_line() -> None:
    async def handler() -> None:
        while True:  # noqa: ASYNC110  # that is the test
            await asyncio.sleep(0)  # it spins here

    world = LoopWorld(spin_callbacks_max=1_000)
    world.loop.start(handler())
    results = [world.pump(callbacks_max=300) for _ in range(4)]
    assert results == [PumpResult.BOUND] * 3 + [PumpResult.SPINNING]
    file, line = world.loop.spinning_at.rsplit(":", 1)
    assert file == __file__
    assert "it spins here" in linecache.getline(__file__, int(line))
    world.loop.close()


def test_callbacks_that_schedule_themselves_spin_as_well() -> None:
    async def handler() -> None:
        loop = asyncio.get_running_loop()

        def again() -> None:
            loop.call_soon(again)

        again()

    world = LoopWorld(spin_callbacks_max=100)
    world.loop.start(handler())
    assert world.pump(callbacks_max=200) is PumpResult.SPINNING
    assert world.loop.spinning_at.startswith(__file__)
    world.loop.close()


def test_a_busy_handler_that_gets_deliveries_does_not_spin() -> None:
    async def handler() -> str:
        for _ in range(20):
            await asyncio.sleep(1)
            for _ in range(90):
                await asyncio.sleep(0)
        return "done"

    world = LoopWorld(spin_callbacks_max=100)
    assert world.run(handler()) == "done"


def test_nothing_is_collected_during_a_pump() -> None:
    async def handler() -> bool:
        return gc.isenabled()

    assert gc.isenabled()
    assert run(handler()) is False
    assert gc.isenabled()


# -- Deliveries ---------------------------------------------------------------------------------


async def wait_for_one(future: "asyncio.Future[Any]") -> Any:
    return await future


def test_a_delivered_result_is_what_the_handler_gets() -> None:
    world = LoopWorld()
    future = world.loop.create_future()
    task = world.start(wait_for_one(future))
    world.loop.deliver(future, "answer")
    assert world.loop.ready
    world.pump()
    assert task.result() == "answer"
    world.loop.close()


def test_a_delivered_exception_is_raised_in_the_handler() -> None:
    world = LoopWorld()
    future = world.loop.create_future()
    task = world.start(wait_for_one(future))
    world.loop.deliver(future, exception=KeyError("gone"))
    world.pump()
    assert isinstance(task.exception(), KeyError)
    world.loop.close()


def test_a_delivery_to_a_future_nobody_waits_for_any_more_is_silent() -> None:
    world = LoopWorld()
    future = world.loop.create_future()
    world.start(wait_for_one(future))
    world.loop.interrupt()
    world.pump()
    assert future.cancelled()
    world.loop.deliver(future, "late")
    assert not world.loop.ready
    world.loop.close()
    world.loop.deliver(future, "later still")


def test_an_interrupted_handler_may_clean_up_with_further_commands() -> None:
    async def handler() -> str:
        try:
            await asyncio.sleep(1_000)
        except asyncio.CancelledError as error:
            await asyncio.sleep(5)
            return f"stopped: {error}"
        return "not stopped"

    world = LoopWorld()
    task = world.start(handler())
    world.loop.interrupt("an operator")
    world.pump_and_fire()
    assert task.result() == "stopped: an operator"
    assert world.commands == [("set", 1_000.0), ("cancel", 1_000.0), ("set", 5.0)]
    world.loop.close()


# -- Tasks --------------------------------------------------------------------------------------


def test_the_handler_starts_from_a_fresh_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    variable.set("set by the runtime")

    async def child() -> str:
        return variable.get()

    async def handler() -> tuple[str, str]:
        before = variable.get()
        variable.set("set by the handler")
        return before, await asyncio.create_task(child())

    assert run(handler()) == ("unset", "set by the handler")


def test_tasks_are_named_by_their_place_in_the_attempt() -> None:
    async def handler() -> list[str]:
        tasks = [asyncio.create_task(tick(1)), asyncio.create_task(tick(1), name="mine")]
        await asyncio.wait(tasks)
        current = asyncio.current_task()
        assert current is not None
        return [task.get_name() for task in (current, *tasks)]

    assert run(handler()) == run(handler()) == ["Task-1", "Task-2", "mine"]


def test_a_task_nobody_holds_is_not_collected() -> None:
    ended: list[int] = []

    async def background() -> None:
        await asyncio.sleep(1)
        ended.append(1)

    async def handler() -> None:
        asyncio.create_task(background())  # noqa: RUF006  # that is the test
        await asyncio.sleep(0)
        gc.collect()
        await asyncio.sleep(2)

    run(handler())
    assert ended == [1]


def test_finished_tasks_are_forgotten_while_the_handler_goes_on() -> None:
    finished: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
    most = 0

    async def handler() -> None:
        nonlocal most
        for _ in range(1_000):
            task = asyncio.create_task(tick(1))
            finished.add(task)
            await task
            most = max(most, len(finished))

    run(handler())
    assert most < 100


def test_remaining_tasks_are_cancelled_in_the_order_they_were_created() -> None:
    trace: list[int] = []

    async def background(n: int) -> None:
        try:
            await asyncio.sleep(100 - n)
        finally:
            trace.append(n)
            await asyncio.sleep(1)
            trace.append(n)

    async def handler() -> str:
        for n in range(5):
            asyncio.create_task(background(n))  # noqa: RUF006  # they are abandoned
        await asyncio.sleep(0)
        return "outcome"

    world = LoopWorld()
    task = world.start(handler())
    assert task.result() == "outcome"
    has_tasks = [world.loop.has_tasks]
    world.loop.cancel_remaining()
    assert trace == []
    world.pump()
    assert trace == [0, 1, 2, 3, 4]
    world.pump_and_fire()
    assert trace == [0, 1, 2, 3, 4] * 2
    assert [*has_tasks, world.loop.has_tasks] == [True, False]
    assert [command for command in world.commands if command[1] == 1.0] == [("set", 1.0)] * 5
    world.loop.close()


def test_a_task_that_catches_its_cancellation_goes_on_until_the_loop_is_closed() -> None:
    is_stubborn = True

    async def stubborn() -> None:
        while is_stubborn:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1_000)

    async def handler() -> None:
        asyncio.create_task(stubborn())  # noqa: RUF006  # it is abandoned
        await asyncio.sleep(0)

    world = LoopWorld()
    world.start(handler())
    for _ in range(3):
        world.loop.cancel_remaining()
        world.pump()
        assert world.loop.has_tasks
    world.loop.close()
    assert world.reports == []


def test_the_failure_of_a_task_nobody_awaits_is_reported_once_and_changes_nothing() -> None:
    async def fail() -> None:
        raise ValueError

    async def handler() -> str:
        asyncio.create_task(fail())  # noqa: RUF006  # that is the test
        await asyncio.sleep(1)
        return "outcome"

    world = LoopWorld()
    assert world.run(handler()) == "outcome"
    gc.collect()
    ((message, error),) = world.reports
    assert isinstance(error, ValueError)
    assert "never retrieved" in message or "background" in message


def test_the_failure_of_a_callback_is_reported_and_changes_nothing() -> None:
    def fail() -> None:
        raise SystemExit(3)

    async def handler() -> str:
        asyncio.get_running_loop().call_soon(fail)
        await asyncio.sleep(0)
        return "outcome"

    world = LoopWorld()
    assert world.run(handler()) == "outcome"
    ((message, error),) = world.reports
    assert isinstance(error, SystemExit)
    assert "fail" in message


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_exit_in_the_handler_is_the_handlers_exception_and_not_the_programs(
    kind: type[BaseException],
) -> None:
    async def handler() -> None:
        await asyncio.sleep(0)
        raise kind

    world = LoopWorld()
    task = world.start(handler())
    assert isinstance(task.exception(), kind)
    world.loop.close()
    assert world.reports == []


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_exit_in_a_background_task_is_its_own(kind: type[BaseException]) -> None:
    async def fail() -> None:
        raise kind

    async def handler() -> str:
        task = asyncio.create_task(fail())
        await asyncio.sleep(1)
        return type(task.exception()).__name__

    assert run(handler()) == kind.__name__


def test_the_handlers_own_exception_handler_hears_of_failures_in_the_background() -> None:
    heard: list[Any] = []

    def fail() -> None:
        raise ValueError

    async def handler() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: heard.append(context["exception"]))
        loop.call_soon(fail)
        await asyncio.sleep(0)

    world = LoopWorld()
    world.run(handler())
    assert [type(error) for error in heard] == [ValueError]
    assert world.reports == []


def test_a_task_factory_is_refused() -> None:
    async def handler() -> None:
        asyncio.get_running_loop().set_task_factory(lambda *_args, **_more: None)  # type: ignore[arg-type]

    with pytest.raises(ForbiddenInHandlerError, match="set_task_factory"):
        run(handler())


# -- Async generators ---------------------------------------------------------------------------


def test_a_generator_the_handler_leaves_is_ended_on_its_own_loop() -> None:
    async def generate() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(3)
            trace.append("ended")

    async def handler() -> None:
        async for _ in generate():
            break
        await asyncio.sleep(10)

    trace: list[str] = []
    world = LoopWorld()
    world.run(handler())
    assert trace == ["ended"]
    assert world.commands == [("set", 10.0), ("set", 3.0)]


def test_a_generator_in_a_cycle_is_ended_with_the_handler_whatever_the_collector_does() -> None:
    def commands(*, collect: bool) -> list[tuple[str, float]]:
        async def generate() -> AsyncIterator[Any]:
            try:
                yield 1
            finally:
                await asyncio.sleep(3)

        async def handler() -> None:
            generator = generate()
            await anext(generator)
            cycle: list[Any] = [generator]
            cycle.append(cycle)
            del generator, cycle
            await asyncio.sleep(10)

        world = LoopWorld()
        task = world.start(handler())
        if collect:
            gc.collect()
        world.pump_and_fire()
        assert task.done()
        world.loop.cancel_remaining()
        world.pump_and_fire()
        world.loop.close()
        return world.commands

    assert commands(collect=True) == commands(collect=False) == [("set", 10.0), ("set", 13.0)]


# -- Cost ---------------------------------------------------------------------------------------


def test_many_tasks_cost_time_in_proportion() -> None:
    async def handler(count: int) -> None:
        for _ in range(count // 100):
            await asyncio.gather(*(tick(1) for _ in range(100)))

    def cpu_seconds(count: int) -> float:
        begin = time.process_time()
        run(handler(count))
        return time.process_time() - begin

    few = min(cpu_seconds(3_000) for _ in range(3))
    assert cpu_seconds(60_000) < 20 * few * 3
