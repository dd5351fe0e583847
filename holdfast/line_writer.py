"""Lines for whoever reads a stream, without waiting for them.

A pipe holds 64 KiB, and a terminal may be stopped with Ctrl-S. Whoever writes more than is read
stands still, and the loop of a server with them: no call is answered because of a log. So a line is
written at once where the stream takes it, and else kept, in order, for a thread that waits. What is
kept has a bound; beyond it lines are lost, and how many is the next line.

A regular file takes everything, and the disk below it is nothing that could be asked.
"""

import os
import select
import threading
from collections import deque
from typing import Final

BYTES_MAX: Final = 1_048_576
"""Kept for a stream that takes nothing."""
SECONDS_MAX: Final = 1.0
"""How long the end of the process waits for what is kept, and one line by itself for its turn."""

_AT_ONCE: Final = select.PIPE_BUF
"""A stream that is ready takes this much without making anybody wait."""


def is_ready(descriptor: int, seconds: float = 0) -> bool:
    """Whether a stream takes a line, or fails at once, within ``seconds``."""
    return bool(_poll(descriptor).poll(seconds * 1000))


def _poll(descriptor: int) -> "select.poll":
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return poll


class LineWriter:
    """Writes to one descriptor from any thread, one line after the other."""

    def __init__(self, descriptor: int) -> None:
        """Nothing is written, and no thread begins, before there is a reason to."""
        self._descriptor = descriptor
        self._poll = _poll(descriptor)
        self._lock = threading.Lock()
        # Lines that the stream did not take, the first perhaps in part, and their bytes.
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._lost = 0
        # Invariant: set while ``_kept`` holds anything, or the thread is about to look.
        self._thread: threading.Thread | None = None

    def write(self, line: bytes) -> None:
        """Write ``line`` now, or have it written behind those that wait.

        Raises:
            OSError: the stream can take nothing any more; the line is lost.
        """
        with self._lock:
            if self._thread is None:
                line = self._write_at_once(line)
                if line:
                    self._begin_to_wait(line)
            elif self._kept_bytes + len(line) > BYTES_MAX:
                self._lost += 1
            else:
                self._keep(line)

    def drain(self) -> None:
        """Return once nothing is kept, or after ``SECONDS_MAX``."""
        thread = self._thread
        if thread is not None:
            thread.join(SECONDS_MAX)

    def _begin_to_wait(self, line: bytes) -> None:
        self._keep(line)
        self._thread = threading.Thread(target=self._catch_up, daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # The system has no more threads; the next line tries again.
            self._thread = None
            self._kept.clear()
            self._kept_bytes = 0
            self._lost += 1

    def _keep(self, line: bytes) -> None:
        self._kept.append(line)
        self._kept_bytes += len(line)

    def _write_at_once(self, line: bytes) -> bytes:
        """Write what the stream takes without waiting; gives the rest."""
        view = memoryview(line)
        while view and self._poll.poll(0):
            try:
                view = view[os.write(self._descriptor, view[:_AT_ONCE]) :]
            except BlockingIOError:
                break
        return bytes(view)

    def _catch_up(self) -> None:
        while True:
            with self._lock:
                if not self._kept and self._lost:
                    lost, self._lost = self._lost, 0
                    self._keep(f"holdfast: {lost:,} lines were lost here: nobody read\n".encode())
                if not self._kept:
                    self._thread = None
                    return
                line = self._kept[0]
            rest = self._write_waiting(line)
            with self._lock:
                self._kept_bytes -= len(line) - len(rest)
                if rest:
                    self._kept[0] = rest
                else:
                    self._kept.popleft()

    def _write_waiting(self, line: bytes) -> bytes:
        """Wait until the stream takes something, and write that; gives the rest, or nothing."""
        self._poll.poll()
        try:
            return line[os.write(self._descriptor, line[:_AT_ONCE]) :]
        except BlockingIOError:
            return line
        except OSError:
            return b""  # It can take nothing any more: the line is lost, as any other.
