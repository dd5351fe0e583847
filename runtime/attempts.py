"""Which attempts are in memory, and which of them runs next.

Attempts run from one queue, never nested and never inside a task: a turn takes them one after the
other, within its bounds in number and time, and the rest waits for the next turn, after the loop
has seen to everyone else. An attempt that only waits leaves memory after its idle time, or earlier
when too many are resident, longest idle first; it comes back by replay.
"""

import gc
from collections import OrderedDict, deque
from collections.abc import Callable

from ..journal.values import FieldValue
from ..objects.identity import InvocationId
from .attempt import Attempt, AttemptParts
from .blocking import BlockingWatch
from .config import RuntimeConfig
from .interrupts import has_arrived
from .lifecycle import Lifecycle
from .mere_reads import ReadAttempt
from .open_invocation import OpenInvocation
from .seams import Clock, Threads
from .sources import SourceFinder
from .state_table import StateTable
from .steps import Steps
from .tracing import Tracing
from .waits import refuse_deadlock


class Attempts:
    """All resident attempts; implements ``Host``, ``AttemptHost`` and the steps' ``Owner``."""

    def __init__(  # noqa: PLR0913  # the parts of one runtime, each by keyword, at one place
        self,
        *,
        lifecycle: Lifecycle,
        clock: Clock,
        threads: Threads,
        config: RuntimeConfig,
        tracing: Tracing,
        watch: BlockingWatch,
        request_turn: Callable[[], None],
    ) -> None:
        """Begin with none."""
        self._lifecycle = lifecycle
        self._clock = clock
        self._config = config
        self._resident_max = config.resident_attempts_max
        self._request_turn = request_turn
        self.steps = Steps(
            lifecycle=lifecycle,
            clock=clock,
            threads=threads,
            tracing=tracing,
            watch=watch,
            owner=self,
        )
        self._parts = AttemptParts(
            lifecycle=lifecycle,
            clock=clock,
            config=config,
            steps=self.steps,
            table=StateTable(lifecycle.commits, clock),
            host=self,
            sources=SourceFinder(),
            tracing=tracing,
            watch=watch,
        )
        self._resident: dict[InvocationId, Attempt] = {}
        self._ready: deque[Attempt] = deque()
        # Invocations whose attempt begins when there is room, in order. An id each, for a flood of
        # calls must not fill the memory; all else is in their rows.
        self._late: dict[InvocationId, None] = {}
        self._is_beginning_late = False
        # Attempts that wait for others only, longest idle first.
        self._idle: OrderedDict[Attempt, None] = OrderedDict()
        # Live values by object, least lately used first, and their estimated size together.
        self._values: OrderedDict[bytes, tuple[dict[str, FieldValue], int]] = OrderedDict()
        self._values_bytes = 0
        self.is_pumping = False
        """Whether handler code is running right now."""
        self.started_count = 0
        self.suspended_count = 0

    def __len__(self) -> int:
        """How many attempts are resident."""
        return len(self._resident)

    @property
    def has_ready(self) -> bool:
        """Whether an attempt waits to be run."""
        return bool(self._ready or self._late)

    @property
    def ready_count(self) -> int:
        """How many attempts wait to be run, or to begin when there is room."""
        return len(self._ready) + len(self._late)

    @property
    def is_full(self) -> bool:
        """Whether another attempt would have to wait for room, as rows."""
        return bool(self._late or (self._ready and len(self._resident) >= self._resident_max))

    def run_turn(self) -> None:
        """Run what is ready, within the bounds of one turn."""
        ready = self._ready
        if self._late:
            # One whether there is room or not, however much is ready again and again.
            self._begin_late()
        if not ready:
            return
        now = self._clock.monotonic()
        deadline = now + self._config.turn_seconds_max
        self.is_pumping = True
        # A call leaves no cycles, so the collector would look at what is young again and again
        # for nothing. It runs between turns; a turn is short.
        is_collecting = gc.isenabled()
        gc.disable()
        try:
            for _ in range(self._config.turn_pumps_max):
                if self._late and (not ready or len(self._resident) < self._resident_max):
                    self._begin_late()
                if not ready:
                    break
                attempt = ready.popleft()
                attempt.is_queued = False
                attempt.advance(now)
                if not ready and not self._late:
                    break
                now = self._clock.monotonic()
                if now > deadline:
                    break
        finally:
            self.is_pumping = False
            if is_collecting:
                gc.enable()

    def suspend_idle(self) -> None:
        """Let those leave memory that have waited longer than their idle time."""
        now = self._clock.monotonic()
        for attempt in list(self._idle):
            handler = attempt.invocation.handler
            own = None if handler is None else handler.options.idle_ms_max
            idle_ms_max = self._config.idle_ms_max if own is None else own
            if attempt.idle_since is not None and (now - attempt.idle_since) * 1000 >= idle_ms_max:
                self._suspend(attempt)

    def suspend_all(self) -> None:
        """Let everyone leave memory who can, however lately they began to wait."""
        for attempt in list(self._idle):
            self._suspend(attempt)

    def drop(self, invocation: OpenInvocation) -> bool:
        """End the attempt of an invocation, if it has one, without an outcome.

        ``True``: a cancellation came while it ran, and its handler has not seen it.
        """
        attempt = self._resident.get(invocation.id)
        if attempt is None:
            # Whether one that waits for room has seen it nobody knows; at worst it looks again.
            details = invocation.record.details
            return invocation.id in self._late and details is not None and details.is_canceled
        was_told_to_end = attempt.was_told_to_end
        attempt.drop()
        return was_told_to_end

    def abandon(self, invocation: OpenInvocation) -> None:
        """End the attempt of an invocation that is killed, and wait for none of its actions."""
        self.drop(invocation)
        self.steps.abandon(invocation.id)

    def drop_all(self) -> None:
        """End every attempt without an outcome; each begins again by replay at the next start."""
        for attempt in list(self._resident.values()):
            attempt.drop()
        self._ready.clear()
        self._late.clear()

    # -- Host --------------------------------------------------------------------------------

    def start(self, invocation: OpenInvocation) -> bool:
        """As ``Host.start``."""
        # Where nothing is ready, what fills the memory may wait for this one: then it begins.
        may_be_full = self._late or len(self._resident) >= self._resident_max
        if may_be_full and not self._is_beginning_late and self.is_full:
            self._late[invocation.id] = None
            self._request_turn()
            return False
        assert invocation.id not in self._resident, "two attempts of one invocation"
        kind = ReadAttempt if invocation.is_mere_read else Attempt
        attempt = kind(invocation, self._parts)
        invocation.attempt = attempt
        self._resident[invocation.id] = attempt
        self.started_count += 1
        self.ready(attempt)
        return True

    def step_due(self, invocation: OpenInvocation, index: int) -> None:
        """As ``Host.step_due``."""
        attempt = self._resident.get(invocation.id)
        if attempt is not None:
            attempt.step_due(index)

    def has_arrived(self, id_: InvocationId) -> None:
        """As ``Host.has_arrived``."""
        invocation = self._lifecycle.find(id_)
        assert invocation is not None, "a completed invocation has taken its place"
        has_arrived(self._lifecycle, id_)
        # Whoever has attached to it may hold the turn that it waits for from now on.
        refuse_deadlock(self._lifecycle, invocation)

    # -- AttemptHost -------------------------------------------------------------------------

    def ready(self, attempt: Attempt) -> None:
        """As ``AttemptHost.ready``."""
        if attempt.is_queued or attempt.is_dead:
            return  # Whoever is queued or dead is not idle.
        self._idle.pop(attempt, None)
        attempt.is_queued = True
        self._ready.append(attempt)
        self._request_turn()

    def idle(self, attempt: Attempt) -> None:
        """As ``AttemptHost.idle``."""
        if attempt.is_queued or attempt.is_dead:
            return
        attempt.idle_since = self._clock.monotonic()
        self._idle[attempt] = None
        while len(self._resident) > self._resident_max and self._idle:
            self._suspend(next(iter(self._idle)))

    def replay(self, attempt: Attempt) -> None:
        """As ``AttemptHost.replay``."""
        attempt.drop()
        if not self.start(attempt.invocation):
            self._lifecycle.suspended(attempt.invocation)

    def left(self, attempt: Attempt) -> None:
        """As ``AttemptHost.left``."""
        self._idle.pop(attempt, None)
        self._resident.pop(attempt.invocation.id, None)

    def take_values(self, object_: bytes) -> dict[str, FieldValue] | None:
        """As ``AttemptHost.take_values``."""
        entry = self._values.pop(object_, None)
        if entry is None:
            return None
        self._values_bytes -= entry[1]
        return entry[0]

    def keep_values(self, object_: bytes, values: dict[str, FieldValue]) -> None:
        """As ``AttemptHost.keep_values``."""
        size = len(object_) + 256
        for value in values.values():
            size += value.memory_bytes()
        if size > self._config.state_cache_bytes:
            return
        self._values[object_] = (values, size)
        self._values_bytes += size
        while self._values_bytes > self._config.state_cache_bytes:
            self._values_bytes -= self._values.popitem(last=False)[1][1]

    # -- Owner of steps ----------------------------------------------------------------------

    def steps_changed(self, invocation_id: InvocationId) -> None:
        """As ``Owner.steps_changed``."""
        attempt = self._resident.get(invocation_id)
        if attempt is not None:
            self.ready(attempt)

    def pause(self, invocation: OpenInvocation, reason: str) -> None:
        """As ``Owner.pause``."""
        was_told_to_end = self.drop(invocation)
        self._lifecycle.pause(invocation, reason)
        if was_told_to_end:
            self._lifecycle.resume(invocation)

    def _begin_late(self) -> None:
        """Begin the first of those that had to wait and are still to begin."""
        self._is_beginning_late = True
        try:
            count = len(self._resident)
            while self._late and len(self._resident) == count:
                id_ = next(iter(self._late))
                del self._late[id_]
                invocation = self._lifecycle.find(id_)
                if invocation is not None:
                    self._lifecycle.wake(invocation)
        finally:
            self._is_beginning_late = False

    def _suspend(self, attempt: Attempt) -> None:
        assert not attempt.is_queued, "suspended with something left to do"
        self.suspended_count += 1
        attempt.drop()
        self._lifecycle.suspended(attempt.invocation)
