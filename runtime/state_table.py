"""The state rows of all objects, and the undo rows that take them back.

Whoever changes a state row does it here, so that three things hold together: a row says which turn
wrote it; a turn with a journal leaves an undo row for each change, which says what was there and
who had written that; and where a row is taken away without an undo row, the object's history mark
says that its past begins with this turn. ``history`` reads the past out of these, and refuses where
they cannot tell.
"""

from dataclasses import dataclass, field
from typing import Any

from ..journal import keys, undo_rows
from ..journal.undo_rows import SEQUENCE_BYTES
from ..journal.values.rows import WHOLE, check_head
from .commits import Commits
from .history_marks import HistoryMarks
from .seams import Clock

HEAD = b""

RESTORED_INDEX = 0
"""The index of undo rows of what a restart put back before its turn: no command is entry 0."""

Rows = dict[bytes, bytes]


@dataclass(slots=True)
class TurnUndo:
    """What takes the rows of an object back to the beginning of a turn."""

    rows: dict[str, dict[bytes, bytes | None]] = field(default_factory=dict[str, Any])
    """The rows as they were then, where they differ: by field, then part; ``None``: no row."""
    defaults: set[str] = field(default_factory=set[str])
    """Fields that were absent then, and whose default the turn has recorded: see ``rows``."""
    stored_bytes: int = 0
    """Of all its rows."""
    indexes: set[int] = field(default_factory=set[int])
    """Where in the journal the turn has stored changes: at commands, and where it waited."""


class StateTable:
    """The state rows of all objects, seen through the pending batch."""

    def __init__(self, commits: Commits, clock: Clock) -> None:
        """A view; it holds nothing."""
        self._commits = commits
        self._marks = HistoryMarks(commits, clock)

    # -- Reading -----------------------------------------------------------------------------

    def read_field(self, object_: bytes, name: str) -> Rows:
        """The rows of a field by part, without the sequence that each is stored with."""
        commits = self._commits
        head = commits.get(keys.state(object_, name, HEAD))
        if head is None:
            return {}
        rows = {HEAD: head[SEQUENCE_BYTES:]}
        if check_head(rows[HEAD]) == WHOLE:
            return rows
        prefix = keys.state(object_, name, HEAD)
        start, end = keys.prefix_range(prefix)
        size = len(prefix)
        for key, row in commits.scan(start, end):
            rows[key[size:]] = row[SEQUENCE_BYTES:]
        return rows

    def names(self, object_: bytes) -> set[str]:
        """The names of all stored fields."""
        names: set[str] = set()
        prefix = keys.STATE + object_
        start, end = keys.prefix_range(prefix)
        while True:
            for key, _ in self._commits.scan(start, end):
                name, stop = keys.split_text(key, len(prefix))
                names.add(name)
                # Skip the chunks of a long value: there may be many thousands.
                start = keys.prefix_range(key[:stop])[1]
                break
            else:
                return names

    def read_undo(self, object_: bytes, sequence: int) -> TurnUndo:
        """All that a turn has stored so far, as the way back."""
        undo = TurnUndo()
        prefix = keys.undo_of_turn(object_, sequence)
        start, end = keys.prefix_range(prefix)
        for key, row in self._commits.scan(start, end):
            undo.stored_bytes += len(key) + len(row)
            index = int.from_bytes(key[len(prefix) : len(prefix) + 4], "big")
            if index == RESTORED_INDEX:
                continue
            undo.indexes.add(index)
            name, stop = keys.split_text(key, len(prefix) + 4)
            parts = undo.rows.setdefault(name, {})
            part = key[stop:]
            # Undo rows come in command order, and the earliest tells the beginning.
            if part not in parts:
                old = undo_rows.decode(row)
                parts[part] = old.row
                if old.is_default:
                    undo.defaults.add(name)
        return undo

    # -- Writing -----------------------------------------------------------------------------

    def write(  # noqa: PLR0913, PLR0917  # a row has these parts, and this is the hot path
        self,
        object_: bytes,
        sequence: int,
        name: str,
        part: bytes,
        row: bytes | None,
        index: int | None,
    ) -> int:
        """Stage one changed row, and what takes it back to before entry ``index``.

        Args:
            object_: whose row.
            sequence: of the turn that changes it, which is the object's latest.
            name: of the field.
            part: of the field's value.
            row: what is there from now on; ``None``: nothing.
            index: where in the turn's journal; ``None``: it has none, and leaves no undo rows.

        Returns:
            The bytes of the undo row, 0 where there is none or it was there.
        """
        commits = self._commits
        key = keys.state(object_, name, part)
        size = 0
        if index is not None:
            undo_key = keys.undo(object_, sequence, index, name, part)
            size = self._keep_old(undo_key, commits.get(key), is_taken_away=row is None)
        elif row is None:
            self._marks.advance(object_, sequence)
        if row is None:
            commits.delete(key)
        else:
            commits.put(key, keys.u64(sequence) + row)
        return size

    def write_default(  # noqa: PLR0913, PLR0917  # as `write`
        self,
        object_: bytes,
        sequence: int,
        name: str,
        part: bytes,
        row: bytes,
        index: int | None,
    ) -> int:
        """Stage one row of a default that was read where nothing was stored; as ``write``.

        The undo row of the head keeps the default, so that a replay reads what was read. The other
        parts need none: without a head the field is absent, whatever they say.
        """
        size = 0
        if part == HEAD and index is not None:
            undo_key = keys.undo(object_, sequence, index, name, part)
            if self._commits.get(undo_key) is None:
                undo = undo_rows.encode_default(row)
                self._commits.put_new(undo_key, undo)
                size = len(undo_key) + len(undo)
        self._commits.put(keys.state(object_, name, part), keys.u64(sequence) + row)
        return size

    def _keep_old(self, undo_key: bytes, stored: bytes | None, *, is_taken_away: bool) -> int:
        # While the handler waits, its state may be saved more than once before a command: the
        # oldest value is the one to go back to.
        there = self._commits.get(undo_key)
        if there is not None:
            if is_taken_away:
                self._commits.put(undo_key, undo_rows.with_takes_away(there))
            return 0
        if stored is None:
            undo = undo_rows.encode_absent()
        else:
            undo = undo_rows.encode_stored(stored, is_taken_away=is_taken_away)
        self._commits.put_new(undo_key, undo)
        return len(undo_key) + len(undo)
