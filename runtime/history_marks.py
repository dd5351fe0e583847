"""From where on an object's past can be read: one row for each object that has lost some of it.

The rows of an object tell their own past: each says who wrote it, and undo rows say what was there
before. Only a row that was taken away says nothing once its undo row is gone, or where there never
was one; so whoever does either moves the object's mark to that turn, in the same batch. The state
as it was before the turn that the mark names is not known.

A mark is forgotten when every completed invocation that is still kept was accepted after it was
set: nobody can name a moment before it any more.
"""

from collections.abc import Callable

from ..journal import keys
from .commits import Commits
from .seams import Clock

SWEEP_MS = 3_600_000
"""Marks are looked through at most this often, a few at a time."""
SWEEP_ROWS = 500
"""Marks looked at in one go."""
MARGIN_MS = 86_400_000
"""How far the clock may go back without a mark being forgotten too early."""

_CLOSED = 2**64 - 1


class HistoryMarks:
    """The history marks of all objects, seen through the pending batch."""

    def __init__(self, commits: Commits, clock: Clock) -> None:
        """Begin with a look through all of them being due."""
        self._commits = commits
        self._clock = clock
        # Where the look through all marks goes on; ``None``: between two of them.
        self._cursor: bytes | None = None
        self._next_sweep_ms = 0
        # Marks set before this can go, as found when the look through all of them began.
        self._forget_before_ms = 0

    def find(self, object_: bytes) -> int:
        """The turn before which the object's past is not known; 0 where nothing was lost."""
        row = self._commits.get(keys.history(object_))
        return 0 if row is None else int.from_bytes(row[:8], "big")

    def advance(self, object_: bytes, sequence: int) -> None:
        """Stage that what turn ``sequence`` took away is not known any more."""
        if sequence > self.find(object_):
            row = keys.u64(sequence) + keys.u64(self._clock.now_ms())
            self._commits.put(keys.history(object_), row)

    def is_closed(self, object_: bytes) -> bool:
        """Whether the rows of the object are being deleted."""
        return says_closed(self._commits.get(keys.history(object_)))

    def sweep(self, find_oldest_ms: Callable[[], int]) -> None:
        """Forget marks that nobody can need; looks at a bounded number, and now and then only.

        ``find_oldest_ms`` tells when the oldest completed invocation that is still kept was
        accepted.
        """
        now_ms = self._clock.now_ms()
        if self._cursor is None:
            if now_ms < self._next_sweep_ms:
                return
            self._cursor = keys.HISTORY
            self._next_sweep_ms = now_ms + SWEEP_MS
            self._forget_before_ms = find_oldest_ms() - MARGIN_MS
        looked_at: list[tuple[bytes, bytes]] = []
        for found in self._commits.scan(self._cursor, keys.after(keys.HISTORY)):
            looked_at.append(found)
            if len(looked_at) == SWEEP_ROWS:
                break
        for key, row in looked_at:
            if int.from_bytes(row[8:], "big") < self._forget_before_ms:
                self._commits.delete(key)
        self._cursor = looked_at[-1][0] + b"\0" if len(looked_at) == SWEEP_ROWS else None


def says_closed(row: bytes | None) -> bool:
    """Whether the history row of an object says that its rows are being deleted."""
    return row is not None and int.from_bytes(row[:8], "big") == _CLOSED


def close_history(commits: Commits, object_: bytes) -> None:
    """Stage that nothing of an object can be read any more, because its rows are being deleted.

    Until the mark itself is deleted, or for ever.
    """
    commits.put(keys.history(object_), keys.u64(_CLOSED) + keys.u64(_CLOSED))
