"""A place in a table that no row sorts before, kept across restarts.

A scan from the start of a table crosses the tombstones of everything that was ever deleted there
and is not compacted away: 90 ms for a million. Whoever consumes a table from its front scans from
such a cursor instead, at the first time after a restart as at any other.
"""

from ..journal import keys
from .commits import Commits


class KeptCursor:
    """Where to begin to read one table."""

    def __init__(self, commits: Commits, name: str, table: bytes) -> None:
        """Begin where the cursor was last written down, or at the front of ``table``."""
        self._commits = commits
        self._row = keys.meta(name)
        self._written = commits.get(self._row) or table
        self.position = self._written
        """No row of the table sorts before this. Set it when those before it are deleted."""

    def lower(self, key: bytes) -> None:
        """A row is staged at ``key``: whoever reads the table next is to find it."""
        if key < self.position:
            self.position = key
            if key < self._written:
                self.write_down()

    def write_down(self) -> None:
        """Stage the position for the next start. One that is behind is only slower, never wrong."""
        if self.position != self._written:
            self._written = self.position
            self._commits.put(self._row, self.position)
