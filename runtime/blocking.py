"""Handlers that stop the loop for everybody: noticed while they do, and reported once per place.

A pump is short unless one callback of it does not come back: a blocking call, or a long
computation. The loop cannot see that, since it is what stands still; so a thread looks at what the
loop is doing, and where it has been in one and the same pump for too long, it logs the stack.

The loop's side is two attributes that are set around each pump. Nothing here knows how the thread
sleeps and wakes; see ``seams``.
"""

import sys
import traceback
from collections.abc import Callable
from types import FrameType

from .logs import make_logger
from .open_invocation import OpenInvocation
from .sources import is_internal

logger = make_logger("holdfast.handlers")

PLACES_MAX = 1_000
"""Places that are remembered as reported; beyond it nothing more is reported."""
STACK_LINES_MAX = 20
"""Of a stack, the innermost ones."""


class BlockingWatch:
    """What one loop is doing now, and which places have blocked it so far."""

    def __init__(self, thread_id: int, seconds_max: float) -> None:
        """Watch the thread ``thread_id``, whose pumps should take less than ``seconds_max``."""
        self.invocation: OpenInvocation | None = None
        """Whose handler is being pumped; set by the loop around each pump."""
        self.pumps = 0
        """How many pumps have begun; counted by the loop."""
        self.wake: Callable[[], None] = _nothing
        """Called by the loop where a pump begins and nobody looks."""
        # Whether somebody looks. The loop counts a pump and then reads this; ``look`` clears it
        # and then reads the count: so one of them sees what the other did.
        self._is_awake = True
        self._thread_id = thread_id
        self._seconds_max = seconds_max
        # The pump that was under way at the last look, and since when it has been seen.
        self._seen_pump = -1
        self._seen_since = 0.0
        self._reported: set[tuple[str, int]] = set()

    def begin(self, invocation: OpenInvocation) -> None:
        """The loop pumps a handler from now on; ``invocation`` is set to ``None`` afterwards."""
        self.invocation = invocation
        self.pumps += 1
        if not self._is_awake:
            self._is_awake = True
            self.wake()

    def look(self, now: float) -> bool:
        """See what the loop is doing at ``now`` (seconds of any clock); from any one thread.

        ``False``: nothing has been pumped since the last look, so there is no need to look soon.
        """
        pump, invocation = self.pumps, self.invocation
        if pump != self._seen_pump:
            self._seen_pump, self._seen_since = pump, now
            return True
        if invocation is None:
            self._is_awake = False
            if self.pumps == pump:
                return False
            self._is_awake = True
            return True
        if now - self._seen_since >= self._seconds_max:
            frame = sys._current_frames().get(self._thread_id)  # noqa: SLF001  # CPython's only way
            if frame is not None and self.pumps == pump:
                self._report(invocation, frame, now - self._seen_since)
        return True

    def _report(self, invocation: OpenInvocation, frame: FrameType, seconds: float) -> None:
        stack = _users_part(frame)
        if not stack:
            return  # It was on its way back.
        place = (stack[-1].filename, stack[-1].lineno or 0)
        if place in self._reported or len(self._reported) >= PLACES_MAX:
            return
        self._reported.add(place)
        logger.warning(
            "%s has blocked the loop for %d ms at %s:%d, and with it every other handler and "
            "caller; give what blocks to ctx.run(), which runs a plain function in a thread\n%s",
            invocation.name,
            round(seconds * 1000),
            *place,
            "".join(stack.format()).rstrip(),
        )


def _users_part(frame: FrameType) -> traceback.StackSummary:
    """The stack from the handler's own code on, outermost first; empty where it is not in there."""
    frames = list(traceback.walk_stack(frame))
    outermost = max(
        (at for at, (each, _) in enumerate(frames) if _is_handlers(each)),
        default=-1,
    )
    stack = traceback.StackSummary.extract(iter(frames[: outermost + 1]), limit=STACK_LINES_MAX)
    stack.reverse()
    return stack


def _is_handlers(frame: FrameType) -> bool:
    """Whether a frame belongs to what a pump runs, and not to who pumps."""
    if is_internal(frame.f_code.co_filename):
        return False
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_name == "_run_ready" and is_internal(frame.f_code.co_filename):
            return True
    return False


def _nothing() -> None:
    """Nobody is to be woken."""
