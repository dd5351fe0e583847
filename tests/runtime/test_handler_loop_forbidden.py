"""What a handler may not touch: what it is told, and that nothing happened."""

import asyncio
import concurrent.futures
import functools
import gc
import inspect
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import anyio.to_thread
import pytest

from holdfast.objects.errors import ForbiddenInHandlerError
from tests.runtime.loop_worlds import LoopWorld, run

Handler = Callable[[], Coroutine[Any, Any, Any]]


def refusal_of(handler: Coroutine[Any, Any, Any]) -> str:
    with pytest.raises(ForbiddenInHandlerError) as caught:
        run(handler)
    return caught.value.message


def line_of(text: str) -> str:
    """Where the only line of this file that ends with a comment of ``text`` is."""
    with open(__file__, encoding="utf-8") as file:  # noqa: PTH123  # read once, line by line
        (number,) = [n for n, line in enumerate(file, 1) if line.rstrip().endswith(f"# {text}")]
    return f"{__file__}:{number}"


# -- The network, processes and threads ----------------------------------------------------------


def test_a_thread_is_refused_with_the_handler_the_line_and_the_cure() -> None:
    async def handler() -> None:
        await asyncio.to_thread(time.monotonic)  # here: to_thread

    assert refusal_of(handler()) == (
        f"Assistant/sam/ask (inv_1): asyncio.to_thread at {line_of('here: to_thread')} reaches a "
        "thread, which would happen again whenever the handler is replayed. "
        'Wrap it in a step: await ctx.run("name", function, ...).'
    )


def test_a_thread_of_anyio_is_refused_and_never_begins() -> None:
    ran: list[int] = []

    async def handler() -> None:
        await anyio.to_thread.run_sync(ran.append, 1)  # here: anyio

    before = threading.active_count()
    message = refusal_of(handler())
    assert f"anyio.to_thread.run_sync at {line_of('here: anyio')} reaches a thread" in message
    assert ran == []
    assert threading.active_count() == before


def test_what_a_thread_will_say_is_refused_also_where_it_has_said_it_already() -> None:
    said: concurrent.futures.Future[int] = concurrent.futures.Future()
    said.set_result(1)

    async def handler() -> None:
        await asyncio.wrap_future(said)  # here: wrap_future

    message = refusal_of(handler())
    assert f"asyncio.wrap_future at {line_of('here: wrap_future')} reaches a thread" in message


def test_threads_that_a_gather_starts_are_blamed_on_the_line_that_gathers() -> None:
    async def handler() -> None:
        await asyncio.gather(asyncio.to_thread(time.monotonic))  # here: gather

    assert line_of("here: gather") in refusal_of(handler())


def test_the_line_is_the_innermost_of_the_user() -> None:
    async def look_up() -> None:
        await asyncio.open_connection("localhost", 1)  # here: helper

    async def handler() -> None:
        await look_up()

    message = refusal_of(handler())
    assert "asyncio.open_connection" in message
    assert "the network" in message
    assert line_of("here: helper") in message


def test_a_library_is_not_blamed() -> None:
    source = "async def connect(asyncio):\n    await asyncio.open_connection('localhost', 1)\n"
    names: dict[str, Any] = {}
    library = os.path.join(os.sep, "lib", "site-packages", "library.py")  # noqa: PTH118  # no file
    exec(compile(source, library, "exec"), names)  # noqa: S102  # a library that need not exist

    async def handler() -> None:
        await names["connect"](asyncio)  # here: library

    message = refusal_of(handler())
    assert line_of("here: library") in message
    assert "loop.create_connection" in message or "asyncio.open_connection" in message


async def starts_a_process() -> None:
    await asyncio.create_subprocess_exec("true")


async def starts_a_shell() -> None:
    await asyncio.create_subprocess_shell("true")


async def uses_an_executor() -> None:
    asyncio.get_running_loop().run_in_executor(None, time.monotonic)


async def serves() -> None:
    await asyncio.start_server(lambda _reader, _writer: None, "localhost", 0)


async def resolves() -> None:
    await asyncio.get_running_loop().getaddrinfo("localhost", 1)


async def reads() -> None:
    asyncio.get_running_loop().add_reader(0, print)


async def handles_signals() -> None:
    asyncio.get_running_loop().add_signal_handler(2, print)


async def receives() -> None:
    with socket.socket() as one:
        await asyncio.get_running_loop().sock_recv(one, 1)


async def nests_a_run() -> None:
    asyncio.get_running_loop().run_until_complete(asyncio.sleep(1))


async def runs_for_ever() -> None:
    asyncio.get_running_loop().run_forever()


async def stops() -> None:
    asyncio.get_running_loop().stop()


async def closes() -> None:
    asyncio.get_running_loop().close()


@pytest.mark.parametrize(
    "handler",
    [
        starts_a_process,
        starts_a_shell,
        uses_an_executor,
        serves,
        resolves,
        reads,
        handles_signals,
        receives,
        nests_a_run,
        runs_for_ever,
        stops,
        closes,
    ],
    ids=lambda handler: handler.__name__,
)
def test_a_way_outside_is_closed(handler: Handler) -> None:
    message = refusal_of(handler())
    assert f"at {__file__}:" in message
    assert "ctx.run" in message


def test_every_method_of_asyncios_loop_is_answered_or_refused() -> None:
    loop = LoopWorld().loop
    left = [
        name
        for name, function in inspect.getmembers(asyncio.AbstractEventLoop, inspect.isfunction)
        if not name.startswith("__") and getattr(type(loop), name) is function
    ]
    assert left == []


def test_asyncio_run_in_a_handler_is_refused_by_asyncio_itself() -> None:
    async def handler() -> str:
        inner = asyncio.sleep(0)
        try:
            asyncio.run(inner)
        except RuntimeError as error:
            inner.close()
            return str(error)
        return "allowed"

    assert "running event loop" in run(handler())


# -- Other loops ---------------------------------------------------------------------------------


def test_waking_a_handler_from_another_handler_is_refused_in_the_other() -> None:
    shared = asyncio.Semaphore(0)
    first, second = LoopWorld("First/a/h (inv_1)"), LoopWorld("Second/b/h (inv_2)")

    async def wait() -> None:
        await shared.acquire()

    async def wake() -> None:
        shared.release()  # here: shared

    first.start(wait())
    with pytest.raises(ForbiddenInHandlerError) as caught:
        second.run(wake())
    assert caught.value.message.startswith(
        f"Second/b/h (inv_2): {line_of('here: shared')} woke something that belongs to another "
        "handler, First/a/h (inv_1)."
    )
    # The first would otherwise wait in silence for what it was never given.
    assert [type(error) for _, error in first.reports] == [ForbiddenInHandlerError]
    assert not first.loop.ready
    first.loop.close()


def test_waiting_for_what_belongs_to_another_handler_is_explained() -> None:
    shared = asyncio.Lock()
    first, second = LoopWorld("First/a/h (inv_1)"), LoopWorld("Second/b/h (inv_2)")

    async def wait() -> None:
        await shared.acquire()  # here: lock

    async def wait_twice() -> None:
        await shared.acquire()
        await shared.acquire()

    first.start(wait_twice())
    task = second.start(wait())
    error = task.exception()
    assert type(error) is RuntimeError
    explained = second.loop.explain(error)
    assert isinstance(explained, ForbiddenInHandlerError)
    assert explained.message.startswith(f"Second/b/h (inv_2): {line_of('here: lock')} waits for")
    assert explained.__cause__ is error
    first.loop.close()
    second.loop.close()


def test_awaiting_a_future_of_another_handler_is_explained() -> None:
    first, second = LoopWorld(), LoopWorld("Second/b/h (inv_2)")

    async def wait(future: "asyncio.Future[None]") -> None:
        await future

    task = second.start(wait(first.loop.create_future()))
    error = task.exception()
    assert error is not None
    assert isinstance(second.loop.explain(error), ForbiddenInHandlerError)
    first.loop.close()
    second.loop.close()


def test_any_other_error_is_left_as_it_is() -> None:
    world = LoopWorld()
    for error in (RuntimeError("different"), ValueError("no"), KeyError("different event loop")):
        assert world.loop.explain(error) is error
    world.loop.close()


def test_waking_a_handler_from_the_program_around_it_is_refused() -> None:
    async def wait() -> None:
        await event.wait()

    event, world = asyncio.Event(), LoopWorld()
    world.start(wait())
    with pytest.raises(ForbiddenInHandlerError, match="from outside of it"):
        event.set()
    world.loop.close()


@pytest.mark.parametrize("method", ["call_later", "sock_connect"])
def test_what_a_step_uses_and_a_handler_made_is_explained(method: str) -> None:
    world = LoopWorld()
    world.start(asyncio.sleep(0))

    async def step() -> None:  # As a session of aiohttp that was made in the handler.
        getattr(world.loop, method)(1, print)  # here: step

    with pytest.raises(ForbiddenInHandlerError) as caught:
        asyncio.run(step())
    assert line_of("here: step") in caught.value.message
    assert "made in the step, not in the handler" in caught.value.message
    assert "Wrap it in a step" not in caught.value.message
    world.loop.close()


def test_scheduling_from_another_thread_is_refused_even_during_a_pump() -> None:
    errors: list[BaseException] = []

    def reach(loop: asyncio.AbstractEventLoop) -> None:
        for schedule in (loop.call_soon, loop.call_soon_threadsafe):
            try:
                schedule(print)
            except ForbiddenInHandlerError as error:
                errors.append(error)

    async def handler() -> None:
        thread = threading.Thread(target=reach, args=(asyncio.get_running_loop(),))
        thread.start()
        thread.join()
        await asyncio.sleep(0)

    run(handler())
    assert len(errors) == 2


@pytest.mark.parametrize("how", ["create_task", "group"])
def test_a_task_of_what_has_begun_is_refused_with_what_to_do(how: str) -> None:
    async def handler() -> None:
        begun: Any = asyncio.get_running_loop().create_future()
        if how == "create_task":
            asyncio.create_task(begun)  # noqa: RUF006  # it is what the test is about
        async with asyncio.TaskGroup() as group:
            group.create_task(begun)

    world = LoopWorld()
    main = world.start(handler())
    error: Any = main.exception()
    while not isinstance(error, TypeError):
        (error,) = error.exceptions
    assert "await it as it is, or give it to asyncio.gather()" in str(error)


def test_a_task_made_from_outside_never_runs() -> None:
    async def never() -> None:
        raise AssertionError

    world = LoopWorld()
    world.start(asyncio.sleep(1))
    with pytest.raises(ForbiddenInHandlerError):
        world.loop.create_task(never())
    with pytest.raises(ForbiddenInHandlerError):
        world.loop.call_later(1, print)
    assert world.commands == [("set", 1.0)]
    assert not world.loop.ready
    world.loop.close()


# -- The order in which as_completed starts ------------------------------------------------------


async def note(trace: list[int], n: int) -> int:
    trace.append(n)
    await asyncio.sleep(0)
    return n


@pytest.mark.parametrize("kind", [list, tuple, dict.fromkeys])
def test_as_completed_starts_in_the_callers_order(kind: Callable[[Any], Any]) -> None:
    async def handler() -> list[int]:
        trace: list[int] = []
        given = [note(trace, n) for n in range(20)]
        # Sets of one to twenty addresses are rarely in order by chance.
        for item in asyncio.as_completed(kind(given)):
            await item
        return trace

    assert run(handler()) == list(range(20))


def test_as_completed_takes_tasks_awaitables_and_duplicates_as_asyncio_does() -> None:
    class Awaitable:
        def __init__(self, n: int) -> None:
            self.n = n

        def __await__(self) -> Any:
            return note(trace, self.n).__await__()

    async def handler() -> list[int]:
        twice = note(trace, 1)
        ready = asyncio.create_task(note(trace, 0))
        given: list[Any] = [Awaitable(n) for n in range(2, 9)]
        given = [ready, twice, *given, twice]
        return sorted([await item for item in asyncio.as_completed(given)])

    trace: list[int] = []
    assert run(handler()) == list(range(9))
    assert trace == list(range(9))


def test_as_completed_of_a_set_of_coroutines_is_refused() -> None:
    async def handler() -> None:
        trace: list[int] = []
        for item in asyncio.as_completed({note(trace, 1), note(trace, 2)}):  # here: set
            await item

    message = refusal_of(handler())
    assert f"asyncio.as_completed at {line_of('here: set')} was given a set" in message
    assert "Give it a list" in message


# What the iterator has made and as_completed has not started is never awaited.
@pytest.mark.filterwarnings("ignore:coroutine 'note' was never awaited:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_as_completed_of_a_lazy_iterable_of_coroutines_is_refused() -> None:
    async def handler() -> None:
        trace: list[int] = []
        # A generator expression as well, from Python 3.12 on.
        for item in asyncio.as_completed(map(functools.partial(note, trace), range(3))):
            await item

    assert re.search("given a map.*Give it a list", refusal_of(handler()))
    gc.collect()


def test_as_completed_of_a_set_or_lazy_iterable_of_tasks_is_fine() -> None:
    async def handler() -> list[int]:
        trace: list[int] = []
        tasks = {asyncio.create_task(note(trace, n)) for n in range(3)}
        first = [await item for item in asyncio.as_completed(tasks)]
        made = map(lambda n: asyncio.ensure_future(note(trace, n)), range(3, 6))  # noqa: C417  # lazy
        return sorted(first + [await item for item in asyncio.as_completed(made)])

    assert run(handler()) == list(range(6))
