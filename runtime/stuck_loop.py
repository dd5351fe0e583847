"""Whether the loop stands still in one and the same callback, seen from another thread.

The thread asks the loop for a beat and waits. A loop that has much to do answers late too, so it
counts only where every look meanwhile finds the loop in the same callback: a loop calls each once
between two beats. What is below a callback in the stack is as deep as what is below the beat.
"""

import sys
from collections.abc import Callable
from itertools import takewhile
from types import FrameType

_current_frames: Callable[[], dict[int, FrameType]] = sys._current_frames  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # CPython's only way
_frame: Callable[[int], FrameType] = sys._getframe  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # inspect is slow


class StuckLoop:
    """The loop of one thread. All but the beat is called by the one thread that looks."""

    def __init__(self, thread_id: int, post: Callable[[Callable[[], None]], None]) -> None:
        """Watch the loop of thread ``thread_id``; what ``post`` is given is called on it, soon."""
        self._thread_id = thread_id
        self._post = post
        # Frames below a callback, known from the first beat on.
        self._depth = sys.maxsize
        self._is_asked = False
        # The callback the loop was in at the last look, and since when it has been seen there.
        self._callback: FrameType | None = None
        self._seen_since = 0.0

    def ask(self) -> None:
        """Ask for a beat."""
        self._is_asked = True
        self._post(self._beat)

    def look(self, now: float, seconds_max: float) -> tuple[list[FrameType], float] | None:
        """The stack of a callback that has run for ``seconds_max``, innermost first; how long.

        ``now``: seconds of any clock, the same one each time.
        """
        if not self._is_asked:
            self._callback = None  # It is not kept alive for this.
            self.ask()
            return None
        frames = _walk(_current_frames().get(self._thread_id))
        above = len(frames) - self._depth
        callback = frames[above - 1] if above > 0 else None
        if callback is None or callback is not self._callback:
            self._callback, self._seen_since = callback, now
            return None
        if now - self._seen_since < seconds_max:
            return None
        return frames[:above], now - self._seen_since

    def rest(self) -> None:
        """Nobody looks for a while."""
        self._callback = None

    def _beat(self) -> None:
        below = _walk(_frame(1))
        # From 3.14 on, asyncio runs what another thread asks for in a frame more than the rest.
        runs = takewhile(lambda frame: frame.f_code.co_name == "_run", below)
        self._depth = len(below) - max(0, len(list(runs)) - 1)
        self._is_asked = False


def _walk(frame: FrameType | None) -> list[FrameType]:
    """The frames from ``frame`` on, innermost first."""
    frames: list[FrameType] = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames
