"""Everything the runtime asks of the world, behind three small protocols.

Nothing else in ``objects``, ``journal`` or ``runtime`` reads a clock, draws a random number or
starts a thread (``tests/test_tidy.py`` holds that line), so a simulation that passes its own
clock, randomness, threads, store and event loop runs the real code from a seed.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, Protocol


class Alarm(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Do not call. Without effect once it has been called."""
        ...


class Clock(Protocol):
    """The time, and being woken at one."""

    @property
    def alarm_seconds_max(self) -> float:
        """How long to sleep at most before looking at the wall clock, which may have jumped."""
        ...

    def now_ms(self) -> int:
        """Wall clock, milliseconds since 1970. It may jump either way."""
        ...

    def monotonic(self) -> float:
        """Seconds from any start; never goes back."""
        ...

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Alarm:
        """Call ``callback`` on the running loop after ``delay_s`` seconds."""
        ...


class Randomness(Protocol):
    """Where ids and seeds come from."""

    def token(self, size: int) -> bytes:
        """``size`` bytes that nobody can guess."""
        ...


class Threads(Protocol):
    """Work that would stop the loop, done elsewhere."""

    def run(
        self,
        lane: str,
        function: Callable[[], Any],
        done: Callable[[Any, BaseException | None], None],
        afterwards: Callable[[], None] | None = None,
    ) -> None:
        """Run ``function`` in a thread of ``lane``, then call ``done`` on the loop.

        ``done`` is given the result, or ``None`` and the exception. ``afterwards`` runs in the same
        thread once ``done`` is on its way; it must not raise. Lane ``"store"`` has one thread and
        keeps order; lane ``"actions"`` has many.
        """
        ...

    def post(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` on the loop, soon; from any thread, the loop's own included."""
        ...

    def close(self) -> None:
        """Start nothing more. Work under way goes on, but ``done`` is no longer called."""
        ...


class SystemClock:
    """The machine's clocks, and the timers of the loop that first asks for one."""

    alarm_seconds_max = 1.0

    def __init__(self) -> None:
        """Begin without a loop."""
        # Kept, because while a handler runs the running loop is the handler's own, and an alarm
        # set there would be a durable timer of the handler.
        self._loop: asyncio.AbstractEventLoop | None = None

    def now_ms(self) -> int:
        """As ``Clock.now_ms``."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """As ``Clock.monotonic``."""
        return time.monotonic()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Alarm:
        """As ``Clock.call_later``."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop.call_later(delay_s, callback)


class SystemRandomness:
    """The operating system's generator, read in blocks: a system call per id would be felt."""

    _BLOCK_BYTES = 4096

    def __init__(self) -> None:
        """Begin without a block."""
        self._block = b""
        self._position = 0

    def token(self, size: int) -> bytes:
        """As ``Randomness.token``."""
        end = self._position + size
        if end > len(self._block):
            self._block = os.urandom(max(self._BLOCK_BYTES, size))
            self._position, end = 0, size
        token = self._block[self._position : end]
        self._position = end
        return token


_Work = tuple[
    Callable[[], Any], Callable[[Any, BaseException | None], None], Callable[[], None] | None
]


class SystemThreads:
    """Daemon threads, so that a hanging action never keeps a process from ending."""

    def __init__(self, actions_max: int = 64) -> None:
        """At most ``actions_max`` plain functions run at a time; further ones wait."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._actions_max = actions_max
        self._queues: dict[str, SimpleQueue[_Work | None]] = {}
        self._started: dict[str, int] = {}
        # Work that was given and is not done. Invariant: a lane has as many threads, or all that it
        # may have or can get; so nothing waits for work before it while another could do it.
        self._unfinished: dict[str, int] = {}
        self._lock = threading.Lock()
        self._closed = False

    def run(
        self,
        lane: str,
        function: Callable[[], Any],
        done: Callable[[Any, BaseException | None], None],
        afterwards: Callable[[], None] | None = None,
    ) -> None:
        """As ``Threads.run``."""
        self._loop = self._loop or asyncio.get_running_loop()
        queue = self._queues.get(lane)
        if queue is None:
            queue = self._queues[lane] = SimpleQueue()
            self._started[lane] = self._unfinished[lane] = 0
        with self._lock:
            self._unfinished[lane] += 1
            threads_max = 1 if lane != "actions" else self._actions_max
            start = self._started[lane] < min(self._unfinished[lane], threads_max)
            if start:
                self._started[lane] += 1
        queue.put((function, done, afterwards))
        if start:
            self._start(lane, queue)

    def post(self, callback: Callable[[], None]) -> None:
        """As ``Threads.post``."""
        # Without a loop none of our threads has started, so this is the loop's own.
        self._loop = self._loop or asyncio.get_running_loop()
        if self._closed:
            return
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            # The loop was closed between the check and the call: nobody is left to be told.
            return

    def close(self) -> None:
        """As ``Threads.close``."""
        self._closed = True
        for lane, queue in self._queues.items():
            for _ in range(self._started[lane]):
                queue.put(None)

    def _start(self, lane: str, queue: "SimpleQueue[_Work | None]") -> None:
        thread = threading.Thread(
            target=self._work, args=(lane, queue), name=f"holdfast-{lane}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:
            # The system gives no more of them. Those that the lane has do it in their turn; where
            # there is none, nobody would, so whoever waits for it is told.
            with self._lock:
                self._started[lane] -= 1
                if self._started[lane]:
                    return
                self._unfinished[lane] -= 1
            work = queue.get_nowait()
            assert work is not None, "a lane without a thread was told to end"
            self._report(work[1], None, error)

    def _work(self, lane: str, queue: "SimpleQueue[_Work | None]") -> None:
        while True:
            work = queue.get()
            if work is None:
                return
            function, done, afterwards = work
            result, error = None, None
            try:
                result = function()
            except BaseException as raised:  # noqa: BLE001  # handed to `done`, which decides
                error = raised
            with self._lock:
                self._unfinished[lane] -= 1
            self._report(done, result, error)
            if afterwards is not None:
                afterwards()

    def _report(
        self,
        done: Callable[[Any, BaseException | None], None],
        result: Any,
        error: BaseException | None,
    ) -> None:
        self.post(partial(done, result, error))


class SystemWatch:
    """A daemon thread that looks at something again and again, and sleeps while there is nothing.

    ``look`` is given ``time.monotonic()``; where it gives ``False``, the thread waits for ``wake``.
    """

    def __init__(self, look: Callable[[float], bool], interval_s: float) -> None:
        """Begin asleep."""
        self._look = look
        self._interval_s = interval_s
        self._woken = threading.Event()
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="holdfast-watch", daemon=True).start()

    def wake(self) -> None:
        """Look from now on."""
        self._woken.set()

    def close(self) -> None:
        """Look no more."""
        self._closed.set()
        self._woken.set()

    def _run(self) -> None:
        while not self._closed.is_set():
            if not self._look(time.monotonic()):
                self._woken.wait()
                self._woken.clear()
            self._closed.wait(self._interval_s)


def run_aside(work: Callable[[], None]) -> None:
    """Do ``work`` in a daemon thread of its own; nobody waits for it, and nothing comes of it.

    Where the system gives no thread it is not done: whoever asks may be in a decision.
    """
    with contextlib.suppress(RuntimeError):
        threading.Thread(target=work, name="holdfast-aside", daemon=True).start()


def this_thread() -> int:
    """The id of the thread that calls this, as ``sys._current_frames`` knows it."""
    return threading.get_ident()
