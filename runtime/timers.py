"""When something is due. Rows in due order; memory holds one cursor and one alarm.

The table is read from a kept cursor, because a scan from its beginning would cross the tombstones
of every timer that ever fired. The cursor is lowered when an earlier timer arrives. What a due
timer does is not known here.

Due times are wall clock. The alarm never sleeps longer than the clock says, so that one that jumps
forward is noticed; one that jumps back only makes timers wait until it is their time again.
"""

from collections.abc import Callable

from msgspec.structs import replace

from ..journal import keys
from ..journal.records import InvocationState, TimerKind, decode_step
from ..objects.identity import InvocationId
from .commits import Commits
from .kept_cursor import KeptCursor
from .open_invocation import OpenInvocation
from .seams import Alarm, Clock

FIRE_SLICE = 256
"""Timers fired in one go before the turn's batch is written."""

RETRY_INDEX = 0xFFFF_FFFF
"""The index of an invocation's retry timer, which no command can have."""

FOREVER_MS = 1 << 62
"""No timer is due later, however large the number that asks for one; rows could not hold it."""

Fire = Callable[[TimerKind, InvocationId, int], None]


class Timers:
    """All timers of one runtime."""

    def __init__(self, commits: Commits, clock: Clock, fire: Fire) -> None:
        """Nothing fires before ``fire_due`` was called once."""
        self._commits = commits
        self._clock = clock
        self._fire = fire
        self.cursor = KeptCursor(commits, "timers", keys.TIMER)
        self._alarm: Alarm | None = None
        self._alarm_ms = 0
        self._is_open = False

    def open(self) -> None:
        """Arm the alarm from now on."""
        self._is_open = True
        self._arm(self._clock.now_ms())

    def close(self) -> None:
        """Fire nothing any more; the rows stay."""
        self._is_open = False
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def add(self, due_ms: int, invocation_id: InvocationId, index: int, kind: TimerKind) -> None:
        """Set a timer that survives restarts."""
        key = keys.timer(due_ms, invocation_id, index)
        self._commits.put_new(key, kind.encode())
        self.cursor.lower(key)
        if self._is_open and (self._alarm is None or due_ms < self._alarm_ms):
            self._arm(due_ms)

    def remove(self, due_ms: int, invocation_id: InvocationId, index: int) -> None:
        """Take back a timer that has not fired."""
        self._commits.delete(keys.timer(due_ms, invocation_id, index))

    def fire_due(self) -> bool:
        """Fire up to ``FIRE_SLICE`` timers that are due, in due order; ``True`` if more may be."""
        now_ms = self._clock.now_ms()
        due: list[tuple[bytes, TimerKind]] = []
        next_key: bytes | None = None
        for key, row in self._commits.scan(self.cursor.position, keys.after(keys.TIMER)):
            if len(due) == FIRE_SLICE or int.from_bytes(key[1:9], "big") > now_ms:
                next_key = key
                break
            due.append((key, TimerKind(row[0])))
        # Lowered by `add` when firing sets an earlier timer.
        self.cursor.position = keys.after(keys.TIMER) if next_key is None else next_key
        for key, kind in due:
            self._commits.delete(key)
            self._fire(kind, InvocationId(key[9:25]), int.from_bytes(key[25:29], "big"))
        if self._is_open:
            self._rearm()
        return len(due) == FIRE_SLICE

    def _rearm(self) -> None:
        for key, _ in self._commits.scan(self.cursor.position, keys.after(keys.TIMER)):
            self._arm(int.from_bytes(key[1:9], "big"))
            return

    def _arm(self, due_ms: int) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_ms = due_ms
        delay_s = (due_ms - self._clock.now_ms()) / 1000
        delay_s = min(max(delay_s, 0.0), self._clock.alarm_seconds_max)
        self._alarm = self._clock.call_later(delay_s, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._commits.guard(self._ring_due)

    def _ring_due(self) -> None:
        self.fire_due()


def forget_due(timers: Timers, invocation: OpenInvocation) -> None:
    """Take back the timer of a delayed send, or of the next attempt, if there is one."""
    record = invocation.record
    if record.next_attempt_ms:
        is_scheduled = record.state is InvocationState.SCHEDULED
        index = 0 if is_scheduled else RETRY_INDEX
        timers.remove(record.next_attempt_ms, invocation.id, index)
        record.next_attempt_ms = 0


def make_step_due(commits: Commits, id_: InvocationId, index: int) -> None:
    """A step's timer is gone, so nothing may find it early, even if the clock goes back."""
    key = keys.step(id_, index)
    row = commits.get(key)
    if row is not None:
        commits.put(key, replace(decode_step(row), next_attempt_ms=0))
