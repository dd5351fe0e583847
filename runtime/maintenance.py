"""Background work of a runtime, and when it is done: in rounds, slices and threads.

A *round* comes about once a second: idle attempts leave memory, cursors are written down, what was
written before the last round and nobody waits for is made durable, and the store looks after its
files in a thread. Retention works in *slices* of about a millisecond. While there is more to
collect, a slice follows the other; between two of them everybody else has their turn, for a while
that grows with what the slice took as long as anybody has something to do, and more so while they
have too much to do. So a backlog of any size goes away at a steady pace, and a call waits for one
slice at most.

What was deleted takes disk space until it is compacted. That happens in a thread of its own, once
enough was deleted for the reading and writing to pay.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..journal.store import Store
from .core import Core
from .disk_room import RoomLog
from .seams import Alarm, Threads

PAUSE_RATIO_MIN, PAUSE_RATIO_MAX = 4, 20
"""A slice that took 1 ms is followed by 4 ms for others while any attempt begins, and by up to 20
while they have more to do than there is time for. What is due can wait for a calmer hour; what is
beyond the bound in bytes cannot."""

LATE_SECONDS = 0.002
"""A slice that begins so late says that others have more to do than there is time for."""

COMPACT_BYTES_MIN = 32 << 20
COMPACT_SHARE = 0.25
"""Compaction pays once so many bytes were deleted, and so much of what the store holds."""

COMPACT_BACKLOG = 4
"""... and while more is being deleted, once it is so many times that: it will be due again soon."""


class Maintenance:
    """The rounds and slices of one runtime. Belongs to the loop's thread."""

    def __init__(
        self,
        core: Core,
        threads: Threads,
        fail: Callable[[BaseException], None],
    ) -> None:
        """Wait for ``open``; ``fail`` is told of what the store cannot do."""
        self._core = core
        self._attempts = core.attempts
        self._store = core.store
        self._room = RoomLog(core.store)
        self._retention = core.retention
        self._threads = threads
        self._fail = fail
        self._is_open = False
        self._round: Alarm | None = None
        self._slice: Alarm | None = None
        # Attempts begun until the last slice; more of them since means that others are at work.
        self._attempts_before = 0
        # When the next slice is due, and how much longer than a slice the pause before it is.
        self._slice_at = 0.0
        self._pause_ratio = float(PAUSE_RATIO_MIN)
        self._is_maintaining = False
        self._is_compacting = False

    def open(self) -> None:
        """Begin with the first round in a second."""
        self._is_open = True
        self._room.look()
        self._schedule_round()

    def close(self) -> None:
        """Begin nothing more; what is under way in threads ends by itself."""
        self._is_open = False
        for alarm in (self._round, self._slice):
            if alarm is not None:
                alarm.cancel()

    def _schedule_round(self) -> None:
        seconds = self._core.config.maintenance_ms / 1000
        self._round = self._core.clock.call_later(seconds, self._do_round)

    def _do_round(self) -> None:
        commits = self._core.commits
        commits.guard(self._attempts.suspend_idle)
        if self._slice is None:
            self._do_slice()
        commits.guard(self._sweep_marks)
        commits.guard(self.write_down)
        if commits.has_failed or not self._is_open:
            return
        commits.sync_old()
        if not self._is_maintaining:
            self._is_maintaining = True
            self._threads.run("maintenance", self._store.maintain, self._maintained)
        self._schedule_round()

    def _sweep_marks(self) -> None:
        self._retention.marks.sweep(self._core.lifecycle.outcomes.oldest_ms)
        self._retention.early_promises.sweep()

    def write_down(self) -> None:
        """Stage where the next start is to go on; a graceful stop does it as well."""
        self._retention.write_down()
        self._core.lifecycle.timers.cursor.write_down()

    def _do_slice(self) -> None:
        """Collect for a moment, and again after a pause when that was not all."""
        self._slice = None
        clock, commits = self._core.clock, self._core.commits
        began = clock.monotonic()
        commits.guard(self._retention.collect)
        if commits.has_failed or not self._is_open:
            return
        if self._retention.has_more:
            now = clock.monotonic()
            pause = (now - began) * self._choose_ratio(began)
            self._slice_at = now + pause
            self._slice = clock.call_later(pause, self._do_slice)
        else:
            self._slice_at = 0.0
        self._compact()

    def _choose_ratio(self, began: float) -> float:
        """How many times as long as the slice that began then the others' time is to be."""
        started_count = self._attempts.started_count
        is_busy = started_count != self._attempts_before
        self._attempts_before = started_count
        if not is_busy:
            return 0
        if self._retention.is_over:
            return PAUSE_RATIO_MIN
        is_late = self._slice_at > 0 and began - self._slice_at > LATE_SECONDS
        ratio = self._pause_ratio * (2 if is_late else 0.5)
        self._pause_ratio = min(max(ratio, PAUSE_RATIO_MIN), PAUSE_RATIO_MAX)
        return self._pause_ratio

    def _maintained(self, _: Any, error: BaseException | None) -> None:
        self._is_maintaining = False
        self._room.look()
        self._check(error)

    def _compact(self) -> None:
        """Give disk space back, when enough was deleted."""
        fresh_bytes = self._retention.forgetting.debris.fresh_bytes
        if self._is_compacting or fresh_bytes < COMPACT_BYTES_MIN:
            return
        enough = max(COMPACT_BYTES_MIN, self._store.approximate_bytes() * COMPACT_SHARE)
        if fresh_bytes < (enough * COMPACT_BACKLOG if self._retention.has_more else enough):
            return
        self._is_compacting = True
        work = partial(_compact, self._store, self._retention.take_deleted_ranges())
        # The last deletes are staged, and a compaction that is faster than they are finds nothing.
        self._core.commits.when_durable(
            partial(self._threads.run, "compaction", work, self._compacted)
        )

    def _compacted(self, _: Any, error: BaseException | None) -> None:
        self._is_compacting = False
        if error is None and self._is_open:  # A stop cuts it short.
            self._retention.forgetting.debris.is_gone()
        self._check(error)

    def _check(self, error: BaseException | None) -> None:
        if error is not None and self._is_open:
            self._core.commits.has_failed = True
            self._fail(error)


def _compact(store: Store, ranges: Sequence[tuple[bytes, bytes]]) -> None:
    for start, end in ranges:
        store.compact(start, end)
