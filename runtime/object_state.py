"""An object's state as one attempt sees it: which rows it starts from, and what it changed.

An exclusive attempt sees the stored rows; when it replays, it sees them as they were when its turn
began, which the undo rows of the turn tell, so reads need no journal. Every change is noticed
before the next command and at the end, and staged with it, each row with the undo row that takes
it back.

A shared attempt sees the rows as they are at each delivery. Once it issues a command, what it has
read is journaled, for nothing holds the object still until a replay.

The values themselves (what changed in place, how a long list becomes rows) belong to
``journal.values``; this module knows objects, turns and rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ..journal import keys
from ..journal.entry import Reads
from ..journal.replay import ReplayCursor
from ..journal.values import FieldValue, RowChange, ValueType, make_value_type
from ..journal.values.rows import WHOLE, check_head
from ..objects.errors import ContextMisuseError, InvalidArgumentError, TerminalError
from ..objects.fields import StateField
from ..objects.serde import packed_serde
from .commits import Commits

SEQUENCE_BYTES = 8
HEAD = b""

_NAMES = ""
"""Among what a shared handler read: the names, as parts without rows. No field is called this."""

_ABSENT = b"\x00"
_PRESENT = b"\x01"
_DEFAULT = b"\x02"

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

    def __init__(self, commits: Commits) -> None:
        """A view; it holds nothing."""
        self._commits = commits

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

    def write(self, object_: bytes, sequence: int, name: str, change: RowChange) -> None:
        """Stage one changed row."""
        key = keys.state(object_, name, change.part)
        if change.new is None:
            self._commits.delete(key)
        else:
            self._commits.put(key, keys.u64(sequence) + change.new)

    def write_undo(
        self, object_: bytes, sequence: int, index: int, name: str, change: RowChange
    ) -> int:
        """Stage what takes a changed row back to before command ``index``; gives its bytes."""
        key = keys.undo(object_, sequence, index, name, change.part)
        return self._put_oldest(key, _ABSENT if change.old is None else _PRESENT + change.old)

    def write_undo_default(
        self, object_: bytes, sequence: int, index: int, name: str, head: bytes
    ) -> int:
        """Stage that a field was absent before command ``index``, and read as this default."""
        key = keys.undo(object_, sequence, index, name, HEAD)
        return self._put_oldest(key, _DEFAULT + head)

    def _put_oldest(self, key: bytes, row: bytes) -> int:
        # While the handler waits, its state may be saved more than once before a command: the
        # oldest value is the one to go back to.
        if self._commits.get(key) is not None:
            return 0
        self._commits.put_new(key, row)
        return len(key) + len(row)

    def read_undo(self, object_: bytes, sequence: int) -> TurnUndo:
        """All that a turn has stored so far, as the way back."""
        undo = TurnUndo()
        prefix = keys.undo_of_turn(object_, sequence)
        start, end = keys.prefix_range(prefix)
        for key, row in self._commits.scan(start, end):
            undo.stored_bytes += len(key) + len(row)
            name, stop = keys.split_text(key, len(prefix) + 4)
            undo.indexes.add(int.from_bytes(key[len(prefix) : len(prefix) + 4], "big"))
            parts = undo.rows.setdefault(name, {})
            part = key[stop:]
            # Undo rows come in command order, and the earliest tells the beginning.
            if part not in parts:
                parts[part] = None if row[:1] == _ABSENT else row[1:]
                if row[:1] == _DEFAULT:
                    undo.defaults.add(name)
        return undo


class ExclusiveState:
    """The state of the object whose turn an attempt holds."""

    def __init__(
        self,
        table: StateTable,
        object_: bytes,
        sequence: int,
        *,
        cached: dict[str, FieldValue] | None,
        is_replaying: bool,
    ) -> None:
        """Begin at the state as the turn found it.

        Args:
            table: where the rows are.
            object_: the object's name inside keys.
            sequence: of the turn.
            cached: live values that the last turn left behind, or ``None``.
            is_replaying: the journal holds commands, so rows may have been changed since.
        """
        self._table = table
        self._object = object_
        self._sequence = sequence
        self._undo = table.read_undo(object_, sequence) if is_replaying else TurnUndo()
        self._values = {} if cached is None else cached
        # Values that were read, set or cleared in this turn; only these can have changed.
        self._touched: dict[str, FieldValue] = {}
        self.undo_bytes = self._undo.stored_bytes
        """Of all undo rows of the turn."""
        # Changes that values have told of and that could not be staged, for want of another one.
        self._unsaved: list[tuple[str, RowChange]] = []
        # Defaults read where nothing was stored. They are recorded with the next command, and
        # their undo row keeps the default, so that a replay reads what was read and no new one.
        self._defaults: dict[str, list[RowChange]] = {}

    @property
    def stored_at(self) -> set[int]:
        """Where in the journal earlier attempts of this turn have stored changes."""
        return self._undo.indexes

    def values_for_next_turn(self) -> dict[str, FieldValue]:
        """All live values, once everything in them is staged; this state is of no use then."""
        for value in self._touched.values():
            value.reuse()
        return self._values

    def get(self, field: StateField[Any]) -> Any:
        """The live value; the default, recorded, where nothing is stored."""
        value = self._touch(field)
        if not value.is_present:
            value.set_default(field.make_default())
            self._defaults[field.name] = _changes(value)
        return value.get()

    def set(self, field: StateField[Any], new: Any) -> None:
        """Replace the value.

        Raises:
            InvalidArgumentError: the new value is not of the field's type. One that can change in
                place is not looked at: it may be of another type by the time it is stored.
        """
        if field.is_immutable:
            try:
                field.serde.decode(field.serde.encode(new))
            except InvalidArgumentError as error:
                message = f"state field {field.name!r} was given {new!r:.80}: {error.message}"
                raise InvalidArgumentError(message) from None
        self._touch(field).set(new)

    def clear(self, field: StateField[Any]) -> None:
        """Forget the value."""
        self._touch(field).clear()

    def names(self) -> list[str]:
        """The names that have a value now, sorted; a default has one from its first read on."""
        names = self._table.names(self._object)
        for name, parts in self._undo.rows.items():
            if HEAD in parts:
                names.discard(name)
                if parts[HEAD] is not None and name not in self._undo.defaults:
                    names.add(name)
        for name, value in self._touched.items():
            names.discard(name)
            if value.is_present:
                names.add(name)
        return sorted(names)

    def save(self, index: int) -> None:
        """Stage all that changed, so that it is stored with command ``index`` and undone with it.

        Raises:
            TerminalError: a value cannot be stored; the values stored before stay.
        """
        changes = self._collect()
        self._unsaved = []
        for name in list(self._defaults):
            self._store_default(name, index)
        for name, change in changes:
            self.undo_bytes += self._table.write_undo(
                self._object, self._sequence, index, name, change
            )
            self._table.write(self._object, self._sequence, name, change)

    def save_waiting(self, index: int) -> None:
        """Stage all that changed, for others to see while the handler waits.

        Whether a handler came to wait is not recorded, so what it sees must not depend on it: a
        default that was only read is left to the next command, and a replay calls
        ``settle_waiting`` at the same point.

        Raises:
            TerminalError: a value cannot be stored; the values stored before stay.
        """
        changes = self._collect()
        self._unsaved = []
        for name, change in changes:
            self._store_default(name, index)
            self.undo_bytes += self._table.write_undo(
                self._object, self._sequence, index, name, change
            )
            self._table.write(self._object, self._sequence, name, change)

    def save_last(self, index: int | None) -> None:
        """Stage all that changed with the outcome; ``index`` is ``None`` if there is no journal.

        A default that was only read is not stored: without a further command nothing depends
        on it.
        """
        for name, change in self._collect():
            self._store_default(name, index)
            if index is not None:
                self.undo_bytes += self._table.write_undo(
                    self._object, self._sequence, index, name, change
                )
            self._table.write(self._object, self._sequence, name, change)
        for name in self._defaults:
            # Its baseline says that the default is stored, which it is not.
            self._values.pop(name, None)

    def settle_waiting(self) -> None:
        """An earlier attempt waited here, and what changed before is in the rows already.

        Without this, a replay would find what has changed since the command before, and the rows
        that the wait stored would stay where the value no longer has them.
        """
        for name, _ in self._collect():
            self._defaults.pop(name, None)
        self._unsaved = []

    def settle(self) -> None:
        """A recorded command was issued again: what changed before it is in the rows already."""
        self._collect()
        self._unsaved = []
        self._defaults.clear()

    def _collect(self) -> list[tuple[str, RowChange]]:
        """All changes that are not staged yet; the caller stages them and empties ``_unsaved``.

        A value tells of a change once. When another one cannot be stored, what was told before
        is kept for the next time.
        """
        for name, value in self._touched.items():
            self._unsaved += [(name, change) for change in _changes(value)]
        return self._unsaved

    def _store_default(self, name: str, index: int | None) -> None:
        for change in self._defaults.pop(name, ()):
            if change.part == HEAD and index is not None:
                assert change.new is not None, "a default without a value"
                self.undo_bytes += self._table.write_undo_default(
                    self._object, self._sequence, index, name, change.new
                )
            self._table.write(self._object, self._sequence, name, change)

    def _touch(self, field: StateField[Any]) -> FieldValue:
        name = field.name
        value = self._touched.get(name)
        if value is None:
            value = self._values.get(name)
            if value is None:
                rows = self._table.read_field(self._object, name)
                for part, old in self._undo.rows.get(name, {}).items():
                    if old is None:
                        rows.pop(part, None)
                    else:
                        rows[part] = old
                if name in self._undo.rows:
                    rows = dict(sorted(rows.items()))
                value = FieldValue(name, value_type_of(field.annotation), rows)
                self._values[name] = value
            self._touched[name] = value
            if name in self._undo.defaults:
                # The command that recorded it is still to be issued again.
                self._defaults[name] = []
        return value


class SharedState:
    """The state of an object as a shared attempt reads it between two deliveries."""

    def __init__(self, table: StateTable, object_: bytes, cursor: ReplayCursor) -> None:
        """Nothing is read before it is asked for."""
        self._table = table
        self._object = object_
        self._cursor = cursor
        self._deliveries = cursor.deliveries
        self._values: dict[str, FieldValue] = {}
        self._names: list[str] | None = None
        # All fields as they were when others ran in the middle of a delivery; ``None``: none did.
        self._held: dict[str, Rows] | None = None
        # What was read since the last command, by the number of deliveries before; the next
        # command may depend on all of it.
        self._reads: dict[int, dict[str, Rows]] = {}

    def get(self, field: StateField[Any]) -> Any:
        """A private copy of the value at the last delivery."""
        name = field.name
        self._follow()
        value = self._values.get(name)
        if value is None:
            rows = self._find_recorded(name)
            if rows is None:
                rows = self._read_field(name)
                if not rows:
                    default = FieldValue(name, value_type_of(field.annotation), {})
                    default.set_default(field.make_default())
                    _changes(default)
                    rows = default.dump()
                self._keep(name, rows)
            value = FieldValue(name, value_type_of(field.annotation), rows, frozen=True)
            self._values[name] = value
        return value.get()

    def set(self, field: StateField[Any], new: Any) -> None:  # noqa: ARG002  # same port
        """Refuse: shared handlers read only."""
        raise _read_only(field.name)

    def clear(self, field: StateField[Any]) -> None:
        """Refuse: shared handlers read only."""
        raise _read_only(field.name)

    def names(self) -> list[str]:
        """The stored names at the last delivery, sorted."""
        self._follow()
        if self._names is None:
            rows = self._find_recorded(_NAMES)
            if rows is None:
                stored = self._table.names(self._object) if self._held is None else self._held
                rows = {name.encode(): b"" for name in stored}
                self._keep(_NAMES, rows)
            self._names = sorted(name.decode() for name in rows)
        return list(self._names)

    def hold(self) -> None:
        """Keep what has not been read as it is now, until the next delivery."""
        self._follow()
        if self._held is None:
            self._held = {
                name: self._table.read_field(self._object, name)
                for name in self._table.names(self._object)
            }

    def take_reads(self) -> list[Reads]:
        """What has to be journaled before a command that may depend on it."""
        self.check_unchanged()
        taken, self._reads = self._reads, {}
        return [Reads(deliveries, fields) for deliveries, fields in taken.items()]

    def check_unchanged(self) -> None:
        """Refuse a value that was changed in place.

        Raises:
            ContextMisuseError: a shared handler changed its copy; nothing was stored.
        """
        for value in self._values.values():
            _changes(value)

    def _follow(self) -> None:
        if self._deliveries != self._cursor.deliveries:
            self.check_unchanged()
            self._deliveries = self._cursor.deliveries
            self._values.clear()
            self._names = None
            self._held = None

    def _read_field(self, name: str) -> Rows:
        if self._held is None:
            return self._table.read_field(self._object, name)
        return self._held.get(name, {})

    def _find_recorded(self, name: str) -> Mapping[bytes, bytes] | None:
        recorded = self._cursor.reads.get(self._deliveries)
        return None if recorded is None else recorded.fields.get(name)

    def _keep(self, name: str, rows: Mapping[bytes, bytes]) -> None:
        self._reads.setdefault(self._deliveries, {})[name] = dict(rows)


class NoState:
    """What a service has instead of state."""

    def get(self, field: StateField[Any]) -> Any:
        """Refuse."""
        raise self._refusal(field.name)

    def set(self, field: StateField[Any], new: Any) -> None:  # noqa: ARG002  # same port
        """Refuse."""
        raise self._refusal(field.name)

    def clear(self, field: StateField[Any]) -> None:
        """Refuse."""
        raise self._refusal(field.name)

    def names(self) -> list[str]:
        """None."""
        return []

    @staticmethod
    def _refusal(name: str) -> ContextMisuseError:
        message = f"a service has no state, so {name!r} has no place; use a VirtualObject"
        return ContextMisuseError(message)


def value_type_of(annotation: Any) -> ValueType:
    """How values of ``annotation`` are stored."""
    try:
        return _value_type_of(annotation)
    except TypeError:  # An annotation that cannot be hashed is inspected each time.
        return make_value_type(annotation, packed_serde)


@lru_cache(maxsize=1024)
def _value_type_of(annotation: Any) -> ValueType:
    return make_value_type(annotation, packed_serde)


def _changes(value: FieldValue) -> list[RowChange]:
    try:
        return value.changes()
    except InvalidArgumentError as error:
        raise TerminalError(error.message, type_name="InvalidArgumentError") from error


def _read_only(name: str) -> ContextMisuseError:
    message = (
        f"state field {name!r} was changed in a shared handler, which only reads; "
        f"make the handler exclusive with @handler"
    )
    return ContextMisuseError(message)
