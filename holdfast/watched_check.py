"""A check of all open invocations that ends, whatever their handlers do.

The rehearsals run in a thread of their own, one after the other, and this one watches. A handler
that holds its thread for too long (``while True``, a blocking call) is told to end by an exception
in the middle of its code; whether or not it hears, its thread is left behind, and another one goes
on with the next invocation. What handlers print and log meanwhile is not shown.
"""

import contextlib
import ctypes
import gc
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

from .journal.store import StoreView
from .objects.identity import InvocationId, format_invocation_id
from .objects.registry import Registry
from .runtime.checking import CheckedInvocation, Checker, Obstacle
from .runtime.forbidden import find_line, walk_stack

WAITING_RESULTS_MAX = 1_000
LOOK_SECONDS = 0.05
"""Between two looks at a rehearsal that takes its time."""
END_SECONDS_MAX = 2.0
"""How long a check that is given up waits for its thread, which may not hear that it is to end."""


class LeftBehind(BaseException):
    """Raised in the middle of a handler that holds its thread for too long."""


class CheckThread:
    """A thread that rehearses one invocation after the other, from a given one on."""

    def __init__(self, view: StoreView, registry: Registry, after: InvocationId | None) -> None:
        """Start it with those that come after ``after``."""
        self.results: queue.Queue[CheckedInvocation | BaseException | None] = queue.Queue(
            WAITING_RESULTS_MAX
        )
        """What came out, in order; at the end ``None``, or why there is no more."""
        self.current: tuple[InvocationId, float] | None = None
        """What is rehearsed, and since when."""
        self._checker = Checker(view, registry)
        self._after = after
        self._is_left_behind = False
        self._thread = threading.Thread(target=self._run, name="holdfast-check", daemon=True)
        self._thread.start()

    def leave_behind(self, id_: InvocationId) -> CheckedInvocation | None:
        """Give up the rehearsal of ``id_``, and the thread with it; gives what is known of it.

        ``None``: no handler of that invocation is running, so it is not one that holds the thread.
        """
        under_way, identifier = self._checker.under_way, self._thread.ident
        if under_way is None or under_way.invocation_id != format_invocation_id(id_):
            return None
        assert identifier is not None, "a thread that rehearses has begun"
        self._is_left_behind = True
        frame = sys._current_frames().get(identifier)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the only way
        line = find_line(list(walk_stack(frame)), ())
        _tell_to_end(identifier)
        place = f" at {line}" if line else ""
        return replace(under_way, obstacle=Obstacle.BLOCKED, reason=f"it holds its thread{place}")

    def end(self) -> None:
        """Nobody wants to know any more: what is rehearsed is told to end, and nothing follows."""
        self._is_left_behind = True
        is_told = False
        deadline = time.monotonic() + END_SECONDS_MAX
        while self._thread.is_alive() and time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                self.results.get_nowait()  # Its thread may wait for room.
            self._thread.join(LOOK_SECONDS)
            # Most come to their end by themselves, and an exception out of nowhere is no good way.
            if not is_told and self._checker.under_way is not None and self._thread.ident:
                _tell_to_end(self._thread.ident)
                is_told = True

    def _run(self) -> None:
        last: BaseException | None = None
        try:
            for id_ in self._checker.find_open(self._after):
                if self._is_left_behind:
                    return
                self.current = id_, time.monotonic()
                checked = self._checker.check(id_)
                self.current = None
                if self._is_left_behind:
                    return
                self.results.put(checked)
        except BaseException as error:  # noqa: BLE001  # it belongs to whoever watches
            last = error
        if not self._is_left_behind:
            self.results.put(last)


def check_open_invocations(
    view: StoreView, registry: Registry, *, seconds_max: float
) -> Generator[CheckedInvocation]:
    """Rehearse every open invocation that ``view`` shows, each for ``seconds_max`` at most.

    Close it before ``view`` where not all of it is wanted: then no handler runs any more, unless it
    does not hear that it is to end.

    Raises:
        StoreDamagedError, StoreFailedError: the rows cannot be read on.
    """
    thread = CheckThread(view, registry, None)
    try:
        while True:
            try:
                result = thread.results.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                current = thread.current
                if current is None or time.monotonic() - current[1] <= seconds_max:
                    continue
                blocked = thread.leave_behind(current[0])
                if blocked is None:
                    continue
                reason = f"{blocked.reason} for more than {seconds_max:g} s"
                thread = CheckThread(view, registry, current[0])
                yield replace(blocked, reason=reason)
                continue
            if result is None:
                return
            if isinstance(result, BaseException):
                raise result
            yield result
    finally:
        thread.end()


def _tell_to_end(thread: int) -> None:
    """Raise ``LeftBehind`` in the middle of what a thread runs, as soon as it runs Python."""
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    raise_in(ctypes.c_ulong(thread), ctypes.py_object(LeftBehind))
    # A rehearsal holds the collector still while handler code runs.
    gc.enable()


@contextlib.contextmanager
def silence() -> Generator[None]:
    """Show nothing of what handlers print and log: they did so when they ran."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            yield
    finally:
        logging.disable(disabled)
