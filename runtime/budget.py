"""How much one slice of background work may do, in rows and in time."""

from .commits import Commits
from .seams import Clock

SPENDINGS_PER_LOOK = 16
"""Rows between two looks at the clock."""

BYTES_PER_READ = 1 << 20
"""Rows may be large, and what is read at once is held in memory."""


class Budget:
    """What is left of one slice. It is asked before a row is touched, and told after it was."""

    __slots__ = ("_clock", "_deadline", "_is_late", "_until_look", "rows")

    def __init__(self, clock: Clock, *, rows_max: int, seconds_max: float) -> None:
        """Begin now."""
        self._clock = clock
        self._deadline = clock.monotonic() + seconds_max
        self._until_look = SPENDINGS_PER_LOOK
        self._is_late = False
        self.rows = rows_max
        """Rows that may still be touched, time allowing."""

    @property
    def is_spent(self) -> bool:
        """Whether the rest has to wait for the next slice."""
        return self._is_late or self.rows <= 0

    def spend(self, rows: int = 1) -> None:
        """Rows were read, written or deleted."""
        self.rows -= rows
        self._until_look -= rows
        if self._until_look <= 0:
            self._until_look = SPENDINGS_PER_LOOK
            self._is_late = self._clock.monotonic() > self._deadline


def read_slice(
    commits: Commits, start: bytes, end: bytes, rows_max: int
) -> tuple[list[tuple[bytes, bytes]], bool]:
    """The first rows of a range, and whether they are surely all of it. They may be changed now."""
    rows: list[tuple[bytes, bytes]] = []
    read_bytes = 0
    for row in commits.scan(start, end):
        rows.append(row)
        read_bytes += len(row[1])
        # Without a look at the next one: the store would read a portion for it.
        if len(rows) == rows_max or read_bytes > BYTES_PER_READ:
            return rows, False
    return rows, True
