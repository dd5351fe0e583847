"""What stops the loop for everybody: noticed while it does, and reported once per place.

A pump is short unless one callback of it does not come back: a blocking call, or a long
computation. The loop cannot see that, since it is what stands still; so a thread looks at what the
loop is doing, and where it has been in one and the same pump for too long, it logs the stack.

The loop's side is two attributes that are set around each pump. The action of a step that is async
runs on the loop as well, in tasks of its own; while there is any, the whole loop is looked at
(``stuck_loop``). Nothing here knows how the thread sleeps and wakes; see ``seams``.
"""

import sys
import traceback
from collections.abc import Callable, Sequence
from types import FrameType

from .logs import make_logger
from .open_invocation import OpenInvocation
from .sources import is_internal
from .stuck_loop import StuckLoop

logger = make_logger("holdfast.handlers")

PLACES_MAX = 1_000
"""Places that are remembered as reported; beyond it nothing more is reported."""
STACK_LINES_MAX = 20
"""Of a stack, the innermost ones."""


class BlockingWatch:
    """What one loop is doing now, and which places have blocked it so far."""

    def __init__(
        self, thread_id: int, seconds_max: float, post: Callable[[Callable[[], None]], None]
    ) -> None:
        """Watch a loop whose callbacks should take less than ``seconds_max`` each.

        Args:
            thread_id: the loop's thread.
            seconds_max: what is reported takes longer.
            post: has something called on the loop, soon.
        """
        self.invocation: OpenInvocation | None = None
        """Whose handler is being pumped; set by the loop around each pump."""
        self.pumps = 0
        """How many pumps have begun; counted by the loop."""
        self.wake: Callable[[], None] = _nothing
        """Called by the loop where a pump or an action begins and nobody looks."""
        self.actions = 0
        """Async actions that have begun and not ended; counted by the loop."""
        self._loop = StuckLoop(thread_id, post)
        self.is_awake = True
        """Whether somebody looks. The loop counts and then reads this, and calls ``wake_up`` where
        nobody does; ``look`` clears it and then reads the counts: so one of them sees what the
        other did."""
        self._thread_id = thread_id
        self._seconds_max = seconds_max
        # The pump that was under way at the last look, and since when it has been seen.
        self._seen_pump = -1
        self._seen_since = 0.0
        self._reported: set[tuple[str, int]] = set()

    def start(self) -> None:
        """Somebody will look from now on; called on the loop."""
        self._loop.ask()

    def begin(self, invocation: OpenInvocation) -> None:
        """The loop pumps a handler from now on; ``invocation`` is set to ``None`` afterwards."""
        self.invocation = invocation
        self.pumps += 1
        if not self.is_awake:
            self.wake_up()

    def wake_up(self) -> None:
        """A pump or an async action has begun while nobody looks."""
        self.is_awake = True
        self.wake()

    def look(self, now: float) -> bool:
        """See what the loop is doing at ``now`` (seconds of any clock); from any one thread.

        ``False``: nothing has been pumped since the last look and there is no action, so there is
        no need to look soon.
        """
        pump, invocation = self.pumps, self.invocation
        if self.actions:
            self._look_at_loop(now)
        if pump != self._seen_pump:
            self._seen_pump, self._seen_since = pump, now
            return True
        if invocation is None:
            if self.actions:
                return True
            self._loop.rest()
            self.is_awake = False
            if self.pumps == pump and not self.actions:
                return False
            self.is_awake = True
            return True
        if now - self._seen_since >= self._seconds_max:
            frame = sys._current_frames().get(self._thread_id)  # noqa: SLF001  # CPython's only way
            if frame is not None and self.pumps == pump:
                self._report(invocation, frame, now - self._seen_since)
        return True

    def _look_at_loop(self, now: float) -> None:
        found = self._loop.look(now, self._seconds_max)
        if found is None or self.invocation is not None:
            return  # A pump is looked at as such.
        frames, seconds = found
        outermost = max(
            (at for at, each in enumerate(frames) if not is_internal(each.f_code.co_filename)),
            default=-1,
        )
        self._tell("An async function", frames[: outermost + 1], seconds)

    def _report(self, invocation: OpenInvocation, frame: FrameType, seconds: float) -> None:
        frames = [each for each, _ in traceback.walk_stack(frame)]
        outermost = max((at for at, each in enumerate(frames) if _is_handlers(each)), default=-1)
        self._tell(invocation.name, frames[: outermost + 1], seconds)

    def _tell(self, who: str, frames: Sequence[FrameType], seconds: float) -> None:
        """Log that the users' part of a stack, innermost first, blocks; not of what is leaving."""
        lines = ((frame, frame.f_lineno) for frame in frames)
        stack = traceback.StackSummary.extract(lines, limit=STACK_LINES_MAX)
        if not stack:
            return
        stack.reverse()
        place = (stack[-1].filename, stack[-1].lineno or 0)
        if place in self._reported or len(self._reported) >= PLACES_MAX:
            return
        self._reported.add(place)
        logger.warning(
            "%s has blocked the loop for %d ms so far at %s:%d, and with it every other handler "
            "and caller; give what blocks to ctx.run() as a plain function, which runs in a "
            "thread\n%s",
            who,
            round(seconds * 1000),
            *place,
            "".join(stack.format()).rstrip(),
        )


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
