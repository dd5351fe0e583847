"""Dropping an attempt: what is unfinished is ended, in order, and reaches nobody."""

import asyncio
import contextlib
import contextvars
import gc
import logging
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.runtime.loop_worlds import LoopWorld


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No test here may make asyncio say a word: nobody's task was lost, all of them were ended."""
    gc.collect()  # What other tests have left speaks now, or under the first of these.
    with caplog.at_level(logging.DEBUG, logger="asyncio"):
        yield
    gc.collect()
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []


def test_what_is_suspended_cleans_up_in_the_order_in_which_it_was_created() -> None:
    trace: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.sleep(10)
        finally:
            trace.append(name)

    async def handler() -> None:
        tasks = [asyncio.create_task(work(name)) for name in "abc"]
        try:
            await asyncio.wait(tasks)
        finally:
            trace.append("handler")

    world = LoopWorld()
    world.start(handler())
    world.loop.close()
    assert trace == ["handler", "a", "b", "c"]
    assert world.reports == []


def test_clean_up_reaches_the_host_with_nothing() -> None:
    reached: list[str] = []

    async def never() -> None:
        raise AssertionError

    async def handler() -> None:
        loop = asyncio.get_running_loop()
        pending = loop.call_later(20, print)
        event = asyncio.Event()
        waiter = asyncio.create_task(event.wait())
        try:
            await asyncio.sleep(10)
        finally:
            pending.cancel()
            loop.call_soon(reached.append, "call_soon")
            loop.call_later(1, reached.append, "call_later")
            asyncio.create_task(never())  # noqa: RUF006  # that is the test
            event.set()
            waiter.cancel()
            assert asyncio.get_running_loop() is loop
            reached.append("ended")

    world = LoopWorld()
    world.start(handler())
    commands = list(world.commands)
    world.loop.close()
    assert reached == ["ended"]
    assert world.commands == commands
    assert world.reports == []


def test_an_await_in_clean_up_gets_no_answer_and_its_line_is_reported_once() -> None:
    trace: list[str] = []

    async def handler() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            trace.append("before")
            try:
                await asyncio.sleep(1)
                trace.append("between")
            finally:
                await asyncio.sleep(0)
                trace.append("after")

    world = LoopWorld()
    world.start(handler())
    world.loop.close()
    assert trace == ["before"]
    ((message, error),) = world.reports
    assert message.startswith(__file__)
    assert "in vain" in message
    assert error is None


def test_what_clean_up_raises_is_reported_and_the_rest_is_ended() -> None:
    trace: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            trace.append("ended")

    async def handler() -> None:
        task = asyncio.create_task(work())
        try:
            await task
        finally:
            raise ValueError

    world = LoopWorld()
    world.start(handler())
    world.loop.close()
    assert trace == ["ended"]
    assert [type(error) for _, error in world.reports] == [ValueError]


def test_groups_timeouts_and_locks_are_left_without_a_word() -> None:
    async def handler() -> None:
        lock = asyncio.Lock()
        async with lock, asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(10))
            waiting = group.create_task(lock.acquire())
            await asyncio.gather(asyncio.sleep(20), waiting)

    world = LoopWorld()
    world.start(handler())
    commands = list(world.commands)
    world.loop.close()
    assert world.commands == commands
    assert world.reports == []


def test_code_that_catches_everything_gives_the_thread_back() -> None:
    tries = 0

    async def handler() -> None:
        nonlocal tries
        while tries < 1_000_000:
            tries += 1
            with contextlib.suppress(BaseException):
                await asyncio.wait_for(asyncio.sleep(10), 5)

    world = LoopWorld()
    task = world.start(handler())
    coroutine: Any = task.get_coro()
    world.loop.close()
    assert tries < 1_000
    assert "cannot be ended" in world.reports[-1][0]
    # Let it go now, or Python complains when it is collected.
    tries = 1_000_000
    coroutine.close()


def test_a_task_that_never_began_is_ended_without_a_warning() -> None:
    async def handler() -> None:
        raise AssertionError

    world = LoopWorld()
    world.loop.start(handler())
    world.loop.close()
    world.loop.close()
    assert world.reports == []


def test_clean_up_runs_in_the_context_and_the_task_it_was_suspended_in() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    seen: list[Any] = []

    async def handler() -> None:
        task = asyncio.current_task()
        token = variable.set("mine")
        try:
            await asyncio.sleep(10)
        finally:
            seen.append(variable.get())
            variable.reset(token)
            seen.append(asyncio.current_task() is task)

    world = LoopWorld()
    world.start(handler())
    world.loop.close()
    assert seen == ["mine", True]
    assert world.reports == []


def test_async_generators_are_ended_where_they_wait_and_where_they_were_left() -> None:
    trace: list[str] = []

    async def generate(name: str) -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.sleep(10)
            yield 2
        finally:
            trace.append(name)

    async def consume() -> None:
        async for _ in outer():
            pass

    async def outer() -> AsyncIterator[int]:
        try:
            async for n in generate("inner"):
                yield n
        finally:
            trace.append("outer")

    async def handler() -> None:
        left = generate("left")
        await anext(left)
        task = asyncio.create_task(consume())
        await asyncio.sleep(20)
        await task
        await anext(left)

    world = LoopWorld()
    world.start(handler())
    world.loop.close()
    assert trace == ["inner", "outer", "left"]
    assert world.reports == []


def test_a_generator_that_awaits_while_it_is_ended_gets_no_answer() -> None:
    trace: list[str] = []

    async def generate() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            try:
                await asyncio.sleep(1)
                trace.append("slept")
            finally:
                trace.append("ended")

    async def handler() -> None:
        generator = generate()
        await anext(generator)
        await asyncio.sleep(10)
        await anext(generator)

    world = LoopWorld()
    world.start(handler())
    commands = list(world.commands)
    world.loop.close()
    assert trace == ["ended"]
    assert world.commands == commands


def test_the_loop_around_is_the_running_one_during_no_clean_up_and_after_all_of_it() -> None:
    seen: list[asyncio.AbstractEventLoop] = []

    async def handler() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            seen.append(asyncio.get_running_loop())

    def close(world: LoopWorld) -> None:
        world.start(handler())
        world.loop.close()
        seen.append(asyncio.get_running_loop())

    async def around(world: LoopWorld) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        loop.call_soon(close, world)
        await asyncio.sleep(0.001)
        return loop

    world = LoopWorld()
    outer = asyncio.run(around(world))
    assert seen == [world.loop, outer]


def test_a_task_of_the_program_may_close_a_loop() -> None:
    async def handler() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            seen.append(asyncio.current_task())

    async def around() -> bool:
        me = asyncio.current_task()
        world.loop.close()
        await asyncio.sleep(0)
        return asyncio.current_task() is me

    seen: list[Any] = []
    world = LoopWorld()
    task = world.start(handler())
    assert asyncio.run(around())
    assert seen == [task]


def test_failures_nobody_looked_at_are_reported_when_the_loop_is_closed() -> None:
    async def fail() -> None:
        raise ValueError

    async def handler() -> None:
        task = asyncio.create_task(fail())
        await asyncio.sleep(0)
        assert task.done()
        raise KeyError

    world = LoopWorld()
    task = world.start(handler())
    del task
    world.loop.close()
    gc.collect()
    assert [type(error) for _, error in world.reports] == [ValueError]


@pytest.mark.parametrize("how", ["gather", "wait", "list", "lost"])
def test_of_failures_a_waiting_handler_can_still_look_at_nothing_is_reported(how: str) -> None:
    async def fail() -> None:
        raise ValueError

    async def handler() -> None:
        match how:
            case "gather":
                await asyncio.gather(fail(), asyncio.sleep(10), return_exceptions=True)
            case "wait":
                await asyncio.wait([asyncio.create_task(c) for c in (fail(), asyncio.sleep(10))])
            case "list":
                tasks = [asyncio.create_task(fail())]
                await asyncio.sleep(10)
                await tasks[0]
            case _:
                asyncio.create_task(fail())  # noqa: RUF006  # it is what the test is about
                await asyncio.sleep(10)

    world = LoopWorld()
    world.start(handler())
    world.loop.close()
    assert [type(error) for _, error in world.reports] == ([ValueError] if how == "lost" else [])


def test_a_dead_loop_ignores_what_arrives_late() -> None:
    async def handler() -> None:
        await event.wait()

    event, world = asyncio.Event(), LoopWorld()
    world.start(handler())
    world.loop.close()
    event.set()
    world.loop.interrupt()
    world.loop.cancel_remaining()
    world.loop.fire_timer("nothing")
    assert not world.loop.ready
    assert not world.loop.has_tasks


def test_a_closed_attempt_is_freed() -> None:
    class Large:
        """Something only the handler holds."""

    held: list[weakref.ref[Any]] = []

    async def wait(large: Large) -> None:
        await asyncio.sleep(10)
        raise AssertionError(large)

    async def handler() -> None:
        large = Large()
        held.append(weakref.ref(large))
        await asyncio.gather(wait(large), asyncio.get_running_loop().create_future())

    world = LoopWorld()
    held.extend([weakref.ref(world.loop), weakref.ref(world)])
    world.start(handler())
    world.loop.close()
    del world
    gc.collect()
    assert [reference() for reference in held] == [None, None, None]


def test_an_attempt_that_has_ended_is_freed_without_the_collector() -> None:
    async def handler() -> str:
        return await asyncio.create_task(asyncio.sleep(1, "done"))

    gc.disable()
    try:
        world = LoopWorld()
        loop = weakref.ref(world.loop)
        assert world.run(handler()) == "done"
        del world
        assert loop() is None
    finally:
        gc.enable()
