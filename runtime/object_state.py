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
from functools import lru_cache
from typing import Any

from ..journal.entry import Reads
from ..journal.replay import ReplayCursor
from ..journal.values import FieldValue, RowChange, ValueType, make_value_type
from ..objects.errors import ContextMisuseError, InvalidArgumentError, TerminalError
from ..objects.fields import FIELD_NAME_CHARACTERS_MAX, StateField
from ..objects.serde import packed_serde
from .stack_room import check_room
from .state_table import HEAD, Rows, StateTable, TurnUndo
from .state_tags import hash_rows

_NAMES = ""
"""Among what a shared handler read: the names, as parts without rows. No field is called this."""
_DEFAULT = "\0" * FIELD_NAME_CHARACTERS_MAX  # Before the name of a field, and too long for one.

_NOTHING_UNDONE = TurnUndo()
"""Of every turn that has stored nothing yet; nobody changes it."""


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
        self._undo = table.read_undo(object_, sequence) if is_replaying else _NOTHING_UNDONE
        self._values = {} if cached is None else cached
        # Values that were read, set or cleared in this turn; only these can have changed.
        self._touched: dict[str, FieldValue] = {}
        self.undo_bytes = self._undo.stored_bytes
        """Of all undo rows of the turn."""
        # Changes that values have told of and that could not be staged, for want of another one.
        self._unsaved: list[tuple[str, RowChange]] = []
        # Defaults read where nothing was stored, which are stored with the next command.
        self._defaults: dict[str, list[RowChange]] = {}
        # What an absent field reads, made once in a turn. Undo rows keep it from the next command
        # on, or from when it is stored, so that a replay reads what was read and no new default.
        self._default_rows: dict[str, Rows] = dict(self._undo.defaults)
        self._unrecorded: set[str] = set()
        # What a replay takes for stored, by field and part, until it is over; ``None``: it is.
        self._replayed: dict[tuple[str, bytes], bytes | None] | None = {} if is_replaying else None

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
        """The live value; where nothing is stored the default, recorded, or ``None``."""
        value = self._touched.get(field.name) or self._touch(field)
        if not value.is_present:
            if not field.has_default:
                return None
            self._set_default(field, value)
        return value.get()

    def set(self, field: StateField[Any], new: Any) -> None:
        """Replace the value.

        Raises:
            InvalidArgumentError: the new value is not of the field's type. One that can change in
                place is not looked at: it may be of another type by the time it is stored.
        """
        if field.is_immutable:
            serde = field.serde
            try:
                serde.decode(serde.encode(new))
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
                if parts[HEAD] is not None:
                    names.add(name)
        for name, value in self._touched.items():
            names.discard(name)
            if value.is_present:
                names.add(name)
        return sorted(names)

    def tag(self) -> str:
        """The tag of what was stored when the turn began."""
        stored = self._table.names(self._object) | self._undo.rows.keys()
        rows = {name: self._table.read_field(self._object, name) for name in stored}
        for name, parts in self._undo.rows.items():
            for part, old in parts.items():
                if old is None:
                    rows[name].pop(part, None)
                else:
                    rows[name][part] = old
        return hash_rows({name: parts for name, parts in rows.items() if parts})

    def save(self, index: int) -> None:
        """Stage all that changed, so that it is stored with command ``index`` and undone with it.

        Raises:
            TerminalError: a value cannot be stored; the values stored before stay.
        """
        if not self._touched and self._replayed is None:
            return  # Nothing was read, set or cleared, and no replay has anything to compare.
        changes = self._collect()
        check_room()
        self._unsaved = []
        if self._replayed is not None:
            self._reconcile(self._replayed, index)
        for name in list(self._defaults):
            self._store_default(name, index)
        for name, change in changes:
            self._write(name, change, index)
        for name in list(self._unrecorded):
            self._record_default(name, index)

    def save_waiting(self, index: int) -> None:
        """Stage all that changed, for others to see while the handler waits.

        Whether a handler came to wait is not recorded, so what it sees must not depend on it: a
        default that was only read is left to the next command, and a replay calls
        ``settle_waiting`` at the same point.

        Raises:
            TerminalError: a value cannot be stored; the values stored before stay.
        """
        if not self._touched and self._replayed is None:
            return
        changes = self._collect()
        self._unsaved = []
        if self._replayed is not None:
            self._reconcile(self._replayed, index)
        for name, change in changes:
            if name in self._defaults:
                self._store_default(name, index)
            self._write(name, change, index)
        for name in {name for name, _ in changes}:
            self._record_default(name, index)

    def save_last(self, index: int | None) -> None:
        """Stage all that changed with the outcome; ``index`` is ``None`` if there is no journal.

        A default that was only read is not stored: without a further command nothing depends
        on it.
        """
        if not self._touched and self._replayed is None:
            return
        changes = self._collect()
        if self._replayed is not None and index is not None:
            self._reconcile(self._replayed, index)
        for name, change in changes:
            if name in self._defaults:
                self._store_default(name, index)
            self._write(name, change, index)
        for name in self._defaults:
            # Its baseline says that the default is stored, which it is not.
            self._values.pop(name, None)

    def settle_waiting(self) -> None:
        """An earlier attempt waited here, and what changed before is in the rows already.

        Without this, a replay would find what has changed since the command before, and the rows
        that the wait stored would stay where the value no longer has them.
        """
        changes = self._collect()
        for name in {name for name, _ in changes}:
            self._take_for_stored(name, self._defaults.pop(name, []))
        for name, change in changes:
            self._take_for_stored(name, [change])
        self._unsaved = []

    def check(self) -> None:
        """Find what has changed, before a command is looked for in the journal, or given up.

        Raises:
            TerminalError: a value cannot be stored. ``save`` has said so in the same place before,
                so the journal holds whatever was asked for instead.
        """
        if self._touched:
            self._collect()

    def settle(self) -> None:
        """A recorded command was issued again: what changed before it is in the rows already.

        ``check`` has found it.
        """
        for name, defaults in self._defaults.items():
            self._take_for_stored(name, defaults)
        for name, change in self._unsaved:
            self._take_for_stored(name, [change])
        self._unsaved = []
        self._defaults.clear()

    def _take_for_stored(self, name: str, changes: list[RowChange]) -> None:
        if self._replayed is not None:
            for change in changes:
                self._replayed[name, change.part] = change.new

    def _reconcile(self, expected: dict[tuple[str, bytes], bytes | None], index: int) -> None:
        """Store what a replay has come to where the rows hold something else.

        They do where the code is not what it was, or an id in the state is not: a restart has
        awakeables of its own.
        """
        self._replayed = None
        for name, parts in self._undo.rows.items():
            for part, row in parts.items():
                expected.setdefault((name, part), row)
        for (name, part), row in expected.items():
            if self._table.read_row(self._object, name, part) != row:
                self.undo_bytes += self._table.write(
                    self._object, self._sequence, name, part, row, index
                )

    def _collect(self) -> list[tuple[str, RowChange]]:
        """All changes that are not staged yet; the caller stages them and empties ``_unsaved``.

        A value tells of a change once. When another one cannot be stored, what was told before
        is kept for the next time.
        """
        for name, value in self._touched.items():
            for change in _changes(value):
                self._unsaved.append((name, change))
        return self._unsaved

    def _write(self, name: str, change: RowChange, index: int | None) -> None:
        self.undo_bytes += self._table.write(
            self._object, self._sequence, name, change.part, change.new, index
        )

    def _set_default(self, field: StateField[Any], value: FieldValue) -> None:
        """Have an absent field read its default, a new copy of it each time."""
        name = field.name
        rows = self._default_rows.get(name)
        if rows is None:
            value.set_default(field.make_default())
        else:
            value.set_default(FieldValue(name, value_type_of(field.annotation), rows).read())
        changes = _changes(value)
        if rows is None:
            self._default_rows[name] = value.dump()
            self._unrecorded.add(name)
        if name in self._defaults or any(change.old is not None for change in changes):
            # The handler has just cleared what was there: a change like any other.
            self._unsaved += [(name, change) for change in changes]
        else:
            self._defaults[name] = changes

    def _store_default(self, name: str, index: int | None) -> None:
        for change in self._defaults.pop(name):
            self._write(name, change, index)

    def _record_default(self, name: str, index: int) -> None:
        if name in self._unrecorded:
            self._unrecorded.discard(name)
            self.undo_bytes += self._table.record_default(
                self._object, self._sequence, name, self._default_rows[name], index
            )

    def _touch(self, field: StateField[Any]) -> FieldValue:
        name = field.name
        value = self._touched.get(name)
        if value is None:
            value = self._values.get(name)
            if value is None or (
                # Asked for by name, it may be asked for as another type than in the turn before.
                value.made_for is not field and not value.is_of(value_type_of(field.annotation))
            ):
                rows = self._table.read_field(self._object, name)
                for part, old in self._undo.rows.get(name, {}).items():
                    if old is None:
                        rows.pop(part, None)
                    else:
                        rows[part] = old
                if name in self._undo.rows:
                    rows = dict(sorted(rows.items()))
                value = FieldValue(name, value_type_of(field.annotation), rows)
                value.made_for = field
                self._values[name] = value
            self._touched[name] = value
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
        # Read since the last command, so that the next may depend on it; by the deliveries before.
        self._reads: dict[int, dict[str, Rows]] = {}
        # What was read as absent since the last delivery: a default is journaled apart from that.
        self._absent: set[str] = set()

    def get(self, field: StateField[Any]) -> Any:
        """A private copy of the value at the last delivery."""
        name = field.name
        self._follow()
        value = self._values.get(name)
        if value is None:
            rows = self._find_recorded(name)
            if rows is None and name not in self._absent:
                rows = self._read_field(name) or (_dump_default(field) if field.has_default else {})
                self._keep(name, rows)
            if not rows:
                self._absent.add(name)
                if not field.has_default:
                    return None
                rows = self._find_recorded(name := _DEFAULT + name)
                if rows is None:
                    self._keep(name, rows := _dump_default(field))
            value = FieldValue(field.name, value_type_of(field.annotation), rows, frozen=True)
            self._values[field.name] = value
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

    def check(self) -> None:
        """As ``check_unchanged``."""
        self.check_unchanged()

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
            self._absent.clear()

    def _read_field(self, name: str) -> Rows:
        if self._held is None:
            return self._table.read_field(self._object, name)
        return self._held.get(name, {})

    def _find_recorded(self, name: str) -> Mapping[bytes, bytes] | None:
        recorded = self._cursor.reads.get(self._deliveries)
        return None if recorded is None else recorded.fields.get(name)

    def _keep(self, name: str, rows: Mapping[bytes, bytes]) -> None:
        self._reads.setdefault(self._deliveries, {})[name] = dict(rows)


def _dump_default(field: StateField[Any]) -> Rows:
    default = FieldValue(field.name, value_type_of(field.annotation), {})
    default.set_default(field.make_default())
    _changes(default)
    return default.dump()


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

    def check(self) -> None:
        """Nothing changes."""

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
