"""The state rows of all objects, and the undo rows that take them back.

Whoever changes a state row does it here, so that three things hold together: a row says which turn
wrote it; a turn with a journal leaves an undo row for each change, which says what was there and
who had written that; and where a row is taken away without an undo row, the object's history mark
says that its past begins with this turn. ``history`` reads the past out of these, and refuses where
they cannot tell.
"""

from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

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
"""Of one field, by part."""


class TurnUndo(Struct):
    """What takes the rows of an object back to the beginning of a turn."""

    rows: dict[str, dict[bytes, bytes | None]] = field(default_factory=dict[str, Any])
    """The rows as they were then, where they differ: by field, then part; ``None``: no row."""
    defaults: dict[str, Rows] = field(default_factory=dict[str, Rows])
    """What the turn reads of a field that is absent, where it has recorded a default."""
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

    def read_row(self, object_: bytes, name: str, part: bytes) -> bytes | None:
        """One row of a field, without its sequence; ``None``: there is none."""
        row = self._commits.get(keys.state(object_, name, part))
        return None if row is None else row[SEQUENCE_BYTES:]

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
            old = undo_rows.decode(row)
            # Undo rows come in command order, and the earliest tells the beginning.
            parts.setdefault(part, old.row)
            if old.default is not None:
                undo.defaults.setdefault(name, {})[part] = old.default
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
            size = self._keep_old(undo_key, commits.get(key), takes_away=row is None)
        elif row is None:
            self._marks.advance(object_, sequence)
        if row is None:
            commits.delete(key)
        else:
            commits.put(key, sequence.to_bytes(SEQUENCE_BYTES, "big") + row)
        return size

    def record_default(
        self, object_: bytes, sequence: int, name: str, rows: Rows, index: int
    ) -> int:
        """Stage what a field's default was, in the undo rows of entry ``index``; gives their bytes.

        Once for a turn and a field, and after the changes that are staged with that entry.
        """
        size = 0
        for part, row in rows.items():
            key = keys.undo(object_, sequence, index, name, part)
            there = self._commits.get(key)
            if there is None:
                stored = self._commits.get(keys.state(object_, name, part))
                there = undo_rows.encode_old(stored, takes_away=False)
                size += len(key) + len(there)
            undo = replace(undo_rows.decode(there), default=row).encode()
            self._commits.put(key, undo)
            size += len(undo) - len(there)
        return size

    def _keep_old(self, undo_key: bytes, stored: bytes | None, *, takes_away: bool) -> int:
        # While the handler waits, its state may be saved more than once before a command: the
        # oldest value is the one to go back to.
        there = self._commits.get(undo_key)
        if there is None:
            undo = undo_rows.encode_old(stored, takes_away=takes_away)
            self._commits.put_new(undo_key, undo)
            return len(undo_key) + len(undo)
        old = undo_rows.decode(there)
        if takes_away and old.writer is not None and not old.takes_away:
            self._commits.put(undo_key, replace(old, takes_away=True).encode())
        return 0
