"""The keys of a large batch in order, for decisions that read as many ranges as they write.

To kill an invocation with the thousands that it has called is one decision: it scans a few ranges
for each of them, and adds a few rows. To look through the whole batch for every range would make it
the square of their number.
"""

from bisect import bisect_left, insort
from typing import Any

KEYS_MIN = 256
"""Fewer are looked through."""

_INSERTED_MAX = 64
"""So many new keys are put in their places; more are sorted in with all the others."""


class PendingKeys:
    """The keys of one dictionary, to which rows are added while it is looked at."""

    __slots__ = ("_known", "_ordered", "_rows")

    def __init__(self, rows: dict[bytes, Any]) -> None:
        """Begin with none of ``rows`` looked at; what is then deleted there, ``forget`` is told."""
        self._rows = rows
        # Those looked at so far. Invariant: in ``rows`` they come before all others.
        self._known: set[bytes] = set()
        self._ordered: list[bytes] = []

    def between(self, start: bytes, end: bytes) -> list[bytes]:
        """Keys with ``start <= key < end``, in order."""
        self._look()
        ordered = self._ordered
        return ordered[bisect_left(ordered, start) : bisect_left(ordered, end)]

    def forget(self, key: bytes) -> None:
        """The row of ``key`` was deleted."""
        if key in self._known:
            self._known.discard(key)
            del self._ordered[bisect_left(self._ordered, key)]

    def _look(self) -> None:
        known, ordered = self._known, self._ordered
        if len(known) == len(self._rows):
            return
        new: list[bytes] = []
        for key in reversed(self._rows):
            if key in known:
                break
            new.append(key)
        known.update(new)
        if len(new) > _INSERTED_MAX:
            ordered.extend(new)
            ordered.sort()
        else:
            for key in new:
                insort(ordered, key)
