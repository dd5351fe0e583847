"""The seams to the real world, where a stand-in would hide what they do."""

import asyncio
import threading
from queue import SimpleQueue
from typing import Any

import pytest

from holdfast import RuntimeConfig, StoreFailedError
from holdfast.journal import keys
from holdfast.journal.memory import MemoryStore
from holdfast.runtime import seams
from holdfast.runtime.engine import Engine
from holdfast.runtime.seams import SystemThreads

from .agents import Agent


async def test_an_alarm_of_the_runtime_set_while_a_handler_runs_is_no_timer_of_the_handler() -> (
    None
):
    """The running loop is the handler's then, and every call it takes is a durable command."""
    store = MemoryStore()
    async with Engine([Agent], store=store) as runtime:
        # The first alarm of all is set at the start, so only the second nap needs one of its own.
        await runtime.object(Agent, "s").nap(0.01)
        await runtime.object(Agent, "s").nap(0.01)
        entries = list(store.scan(*keys.prefix_range(keys.JOURNAL)))

    assert len(entries) == 2 * 3, "an input, a sleep and its completion of each"


async def test_no_action_waits_for_another_one_while_a_thread_could_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread that has just taken its work has not begun it, and is not free either."""
    taken, goes_on = threading.Event(), threading.Event()

    class Slow(SimpleQueue[Any]):
        def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: FBT001, FBT002 -- as it is
            work = super().get(block, timeout)
            if not taken.is_set():
                taken.set()
                goes_on.wait()
            return work

    monkeypatch.setattr(seams, "SimpleQueue", Slow)
    threads = SystemThreads()
    ended: list[str] = []
    done = asyncio.Event()

    def end(name: str, _error: BaseException | None) -> None:
        ended.append(name)
        done.set()

    threads.run("actions", lambda: "first", end)
    assert await asyncio.to_thread(taken.wait, 30)
    threads.run("actions", lambda: "second", end)
    async with asyncio.timeout(30):
        await done.wait()
    assert ended == ["second"]
    goes_on.set()
    threads.close()


async def test_what_is_done_afterwards_keeps_nobody_waiting() -> None:
    threads = SystemThreads()
    told, did = threading.Event(), asyncio.Event()
    loop, order = asyncio.get_running_loop(), list[str]()

    def done(result: str, _error: BaseException | None) -> None:
        order.append(result)
        told.set()

    def afterwards() -> None:
        assert told.wait(30)
        order.append("afterwards")
        loop.call_soon_threadsafe(did.set)

    threads.run("store", lambda: "done", done, afterwards)
    async with asyncio.timeout(60):
        await did.wait()
    assert order == ["done", "afterwards"]
    threads.close()


class Refusing(threading.Thread):
    """The system gives no more than so many of them."""

    left = 0

    def start(self) -> None:
        if Refusing.left == 0:
            message = "can't start new thread"
            raise RuntimeError(message)
        Refusing.left -= 1
        super().start()


@pytest.mark.parametrize("left", [0, 1])
async def test_work_is_done_by_the_threads_that_can_be_had_or_is_refused(
    monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    monkeypatch.setattr(Refusing, "left", left)
    monkeypatch.setattr(threading, "Thread", Refusing)
    threads, goes_on = SystemThreads(), threading.Event()
    told: asyncio.Queue[str] = asyncio.Queue()

    def done(result: str | None, error: BaseException | None) -> None:
        told.put_nowait(result or str(error))

    def work() -> str:
        return "done" if goes_on.wait(30) else "not done"

    for _ in range(3):
        threads.run("actions", work, done)
    goes_on.set()
    async with asyncio.timeout(30):
        ends = [await told.get() for _ in range(3)]
    assert ends == ["done" if left else "can't start new thread"] * 3
    threads.close()


async def test_a_runtime_that_gets_no_thread_to_sync_in_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = Engine([Agent], store=MemoryStore(), config=RuntimeConfig(blocking_ms_max=0))
    monkeypatch.setattr(Refusing, "left", 0)
    async with runtime, asyncio.timeout(30):
        monkeypatch.setattr(threading, "Thread", Refusing)
        with pytest.raises(StoreFailedError, match="can't start new thread"):
            await runtime.object(Agent, "s").nap(0.01)


async def test_threads_that_are_free_are_used_again() -> None:
    threads = SystemThreads()
    used: list[int] = []
    done = asyncio.Event()

    def end(thread: int, _error: BaseException | None) -> None:
        used.append(thread)
        done.set()

    for _ in range(20):
        done.clear()
        threads.run("actions", threading.get_ident, end)
        await done.wait()
    assert len(set(used)) == 1
    threads.close()
