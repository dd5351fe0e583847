"""An object's past: its state as it was at a moment that somebody names, exact or refused.

A moment is named by an invocation, or by an entry of one's journal. It stands for a point in the
order of the object's changes: a turn, and an index in that turn's journal, before whose changes it
lies. At that point a row is what the first undo row from there on says it was; without one it is
what it is now. Either names the turn that wrote the row, and where that is a later one than the
moment's, a change in between has left no undo row (its turn had no journal, or that was collected),
so the row as it was then is not known. A row that is gone and has no undo row has no writer: the
object's history mark says from where on that is the whole truth.

This module reads. Who writes what it relies on stands in ``state_table``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from ..journal import codec, keys, undo_rows
from ..journal.entry import Cancellation, Completion, Failure
from ..journal.records import InvocationState, Kept, OutcomeRecord
from ..journal.undo_rows import SEQUENCE_BYTES, UndoRow
from ..journal.values import FieldValue
from ..journal.values.rows import WHOLE, check_head
from ..objects.definition import ServiceDefinition
from ..objects.errors import (
    ConflictError,
    InvalidArgumentError,
    NotKeptError,
    UnknownTargetError,
)
from ..objects.identity import InvocationId, Target, format_invocation_id
from .history_marks import HistoryMarks
from .lifecycle import Lifecycle
from .object_state import value_type_of
from .open_invocation import OpenInvocation, journal_length
from .state_table import HEAD, Rows

StoredRows = dict[str, Rows]
"""By field, then part; with or without the sequence that each row is stored with."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Before whatever entry ``index`` of turn ``sequence`` changed, and everything later."""

    sequence: int
    index: int
    name: str
    """For messages."""

    def is_after(self, writer: int | None) -> bool:
        """Whether what turn ``writer`` wrote last was there at this moment.

        Of the moment's own turn all undo rows are there, so what it wrote without leaving one at
        or after ``index`` it wrote before.
        """
        if writer is None:
            return False
        return writer < self.sequence or (writer == self.sequence and self.index > 0)


class History:
    """Reads the past of all objects of a runtime."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        """A view; it holds nothing."""
        self._lifecycle = lifecycle
        self._commits = lifecycle.commits
        self._marks = HistoryMarks(lifecycle.commits, lifecycle.clock)

    # -- Which moment ------------------------------------------------------------------------

    def find_moment(
        self, object_: Target, at: InvocationId | None, entry: int | None
    ) -> Moment | None:
        """The moment that ``at`` and ``entry`` name; ``None`` for now.

        Args:
            object_: whose past it must be; the handler does not matter.
            at: an invocation: as it left the object, or, with ``entry``, on its way.
            entry: just before this entry of its journal was written.

        Raises:
            InvalidArgumentError: the invocation belongs elsewhere or is a shared one, or its
                journal has no such entry.
            UnknownTargetError: there is no such invocation, or it is kept no longer.
            ConflictError: it is not completed, or never began, so it has not left anything.
            NotKeptError: its journal is not kept, so its entries cannot be named.
        """
        if at is None:
            if entry is not None:
                message = f"entry={entry} is an entry of an invocation: say which with at="
                raise InvalidArgumentError(message)
            return None
        outcome = self._lifecycle.outcomes.find(at)
        if outcome is not None:
            self._check_turn(at, outcome.target, object_)
            return self._find_completed(at, outcome, entry)
        invocation = self._lifecycle.find(at)
        if invocation is None:
            message = f"{format_invocation_id(at)} does not exist, or is kept no longer"
            raise UnknownTargetError(message)
        self._check_turn(at, invocation.record.target, object_)
        return self._find_open(invocation, entry)

    def _check_turn(self, at: InvocationId, target: Target, object_: Target) -> None:
        if (target.service, target.key) != (object_.service, object_.key):
            message = (
                f"{format_invocation_id(at)} is {target}, and no invocation of "
                f"{object_.service}/{object_.key}"
            )
            raise InvalidArgumentError(message)
        _, handler = self._lifecycle.registry.get_code(target)
        if handler.shared:
            message = (
                f"{format_invocation_id(at)} is {target}, a shared handler, which changes nothing "
                f"and has no turn; name an invocation of an exclusive handler"
            )
            raise InvalidArgumentError(message)

    def _find_completed(
        self, at: InvocationId, outcome: OutcomeRecord, entry: int | None
    ) -> Moment:
        name = f"{outcome.target} ({format_invocation_id(at)})"
        has_begun = outcome.details is not None and outcome.details.begun_ms
        if isinstance(outcome.result, Failure) and not has_begun:
            message = f"{name} never began, so it has left nothing"
            raise ConflictError(message)
        if entry is None:
            return Moment(outcome.sequence + 1, 0, f"as {name} left it")
        if outcome.kept is not Kept.JOURNAL or self._commits.get(keys.journal(at, 0)) is None:
            message = (
                f"the journal of {name} is not kept, so its entries cannot be named; a call "
                f"without steps leaves none, and others are kept for their retention"
            )
            raise NotKeptError(message)
        length = journal_length(self._commits, at)
        return self._find_entry(at, outcome.sequence, entry, length, name)

    def _find_open(self, invocation: OpenInvocation, entry: int | None) -> Moment:
        record = invocation.record
        if record.state not in {InvocationState.BEGUN, InvocationState.PAUSED}:
            message = f"{invocation.name} has not begun, so it has left nothing"
            raise ConflictError(message)
        if entry is None:
            message = (
                f"{invocation.name} is not completed, so it has not left anything; name an entry "
                f"of it with entry=, or leave out at= for the state as it is now"
            )
            raise ConflictError(message)
        length = invocation.next_index
        if entry == length:
            # What is stored under the index of an entry that is not there was stored at rest.
            return Moment(record.sequence, entry + 1, "now")
        return self._find_entry(invocation.id, record.sequence, entry, length, invocation.name)

    def _find_entry(
        self, at: InvocationId, sequence: int, entry: int, length: int, name: str
    ) -> Moment:
        if not 0 <= entry <= length:
            message = f"entry={entry}: the journal of {name} has {length} entries, from 0 on"
            raise InvalidArgumentError(message)
        row = self._commits.get(keys.journal(at, entry))
        is_delivery = row is not None and isinstance(
            codec.decode_entry(row), Completion | Cancellation
        )
        # A command is stored with what the handler changed before it, under its own index. Under
        # the index of a delivery stands what was stored before it came, while the handler waited.
        return Moment(sequence, entry + is_delivery, f"before entry {entry} of {name}")

    # -- The state then ----------------------------------------------------------------------

    def read_state(self, object_: bytes, moment: Moment | None) -> StoredRows:
        """All rows of an object as they were, without the sequences they were stored with.

        Raises:
            NotKeptError: they are not known.
        """
        if moment is None:
            if self._marks.is_closed(object_):
                message = "the state is being deleted, because it was kept long enough"
                raise NotKeptError(message)
            return {
                name: {part: row[SEQUENCE_BYTES:] for part, row in rows.items()}
                for name, rows in self._read_now(object_).items()
            }
        if self._marks.find(object_) >= moment.sequence:
            _refuse(moment, "something was deleted since")
        now, then = self._read_now(object_), self._read_first_undo(object_, moment)
        found: StoredRows = {}
        for name in now.keys() | then.keys():
            reader = _FieldReader(name, moment, now.get(name, {}), then.get(name, {}))
            rows = reader.read()
            if rows:
                found[name] = rows
        return found

    def _read_now(self, object_: bytes) -> StoredRows:
        """All stored rows, with their sequences."""
        found: StoredRows = {}
        prefix = keys.STATE + object_
        for key, row in self._commits.scan(*keys.prefix_range(prefix)):
            name, stop = keys.split_text(key, len(prefix))
            found.setdefault(name, {})[key[stop:]] = row
        return found

    def _read_first_undo(self, object_: bytes, moment: Moment) -> dict[str, dict[bytes, UndoRow]]:
        """For each row that was changed at or after ``moment``, what the first change replaced."""
        found: dict[str, dict[bytes, UndoRow]] = {}
        for name, part, undo in self._scan_undo(object_, moment):
            parts = found.setdefault(name, {})
            if part not in parts:
                parts[part] = undo_rows.decode(undo)
        return found

    def _scan_undo(self, object_: bytes, moment: Moment) -> Iterator[tuple[str, bytes, bytes]]:
        """The undo rows at and after ``moment`` in order: field, part, row."""
        prefix = keys.UNDO + object_
        start = keys.undo_of_turn(object_, moment.sequence) + keys.u32(moment.index)
        size = len(start)
        for key, row in self._commits.scan(start, keys.prefix_range(prefix)[1]):
            name, stop = keys.split_text(key, size)
            yield name, key[stop:], row


@dataclass(frozen=True, slots=True)
class _FieldReader:
    """The rows of one field as they were at a moment."""

    name: str
    moment: Moment
    now: Rows
    """As they are stored now, with their sequences."""
    then: dict[bytes, UndoRow]
    """What the first change at or after the moment replaced."""

    def read(self) -> Rows:
        head = self._read_part(HEAD)
        if head is None:
            # Without a head the field is absent, whatever its other parts say.
            return {}
        rows = {HEAD: head}
        if check_head(head) != WHOLE:
            for part in sorted(self.now.keys() | self.then.keys()):
                row = self._read_part(part)
                if row is not None:
                    rows[part] = row
        return rows

    def _read_part(self, part: bytes) -> bytes | None:
        old = self.then.get(part)
        if old is None:
            stored = self.now.get(part)
            if stored is None:
                return None
            old = UndoRow(stored[SEQUENCE_BYTES:], int.from_bytes(stored[:SEQUENCE_BYTES], "big"))
        if old.row is not None and not self.moment.is_after(old.writer):
            _refuse(self.moment, f"field {self.name!r} was changed since")
        return old.row


def decode_state(definition: ServiceDefinition, rows: StoredRows) -> dict[str, Any]:
    """The values that ``rows`` hold: of the declared types, and builtins where none is declared.

    Raises:
        InvalidArgumentError: a value is not of the type that is declared now; the message names
            the field.
    """
    values: dict[str, Any] = {}
    for name in sorted(rows):
        field = definition.fields.get(name)
        annotation = Any if field is None else field.annotation
        values[name] = FieldValue(name, value_type_of(annotation), rows[name]).read()
    return values


def _refuse(moment: Moment, reason: str) -> NoReturn:
    message = (
        f"the state {moment.name} is not known any more: {reason}, by an invocation that kept no "
        f"record of what it changed, because it had no steps, or is kept no longer"
    )
    raise NotKeptError(message)
