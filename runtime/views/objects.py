"""Objects as rows tell of them: state, whose turn it is, who waits for it, promises."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from ...journal import keys
from ...journal.entry import Failure
from ...journal.records import decode_promise
from ...journal.undo_rows import SEQUENCE_BYTES
from ...journal.values import FieldValue
from ...objects.errors import InvalidArgumentError
from ...objects.identity import INVOCATION_ID_BYTES, InvocationId
from ...objects.serde import json_serde
from ..history_marks import says_closed
from ..object_state import value_type_of
from .rows import Rows, object_prefix, split_object

_ANY = value_type_of(Any)


class FieldView:
    """One field of an object's state, as it was stored last."""

    def __init__(
        self, rows: Rows, service: str, key: str, name: str, parts: dict[bytes, bytes]
    ) -> None:
        """Decode nothing yet."""
        self._rows = rows
        self._parts = parts
        self.service = service
        self.key = key
        self.name = name

    @cached_property
    def json(self) -> bytes | None:
        """The value as JSON; ``None`` where JSON cannot say it."""
        definition = self._rows.registry.services.get(self.service)
        field = None if definition is None else definition.fields.get(self.name)
        if field is not None:
            try:
                value = FieldValue(self.name, value_type_of(field.annotation), self._parts).read()
                return json_serde(field.annotation).encode(value) or b"null"
            except InvalidArgumentError:
                pass  # The class declares another type by now; as builtins it can be shown.
        try:
            value = FieldValue(self.name, _ANY, self._parts).read()
            return json_serde(Any).encode(value) or b"null"
        except InvalidArgumentError:
            return None


class _Gone:
    """Which objects are forgotten, and their last rows not deleted yet; remembers one."""

    def __init__(self, rows: Rows) -> None:
        """Know of none."""
        self._rows = rows
        self._object = b""
        self._is_gone = False

    def has(self, object_: bytes) -> bool:
        """Whether nothing is to be shown of an object."""
        if object_ != self._object:
            self._object = object_
            self._is_gone = says_closed(self._rows.view.get(keys.history(object_)))
        return self._is_gone


def scan_state(
    rows: Rows, service: str | None = None, key: str | None = None
) -> Iterator[FieldView]:
    """The fields of an object, of all objects of a class, or of all."""

    def field_of(row: tuple[bytes, bytes]) -> bytes:
        return row[0][: keys.split_text(row[0], split_object(row[0])[2])[1]]

    gone = _Gone(rows)
    for prefix, parts in groupby(rows.scan(object_prefix(keys.STATE, service, key)), field_of):
        of_service, of_key, at = split_object(prefix)
        if gone.has(prefix[1:at]):
            continue
        stored = {name[len(prefix) :]: row[SEQUENCE_BYTES:] for name, row in parts}
        yield FieldView(rows, of_service, of_key, keys.split_text(prefix, at)[0], stored)


@dataclass(frozen=True, slots=True)
class TurnView:
    """Who holds the turn at an object."""

    service: str
    key: str
    invocation_id: InvocationId


def scan_turns(
    rows: Rows, service: str | None = None, key: str | None = None
) -> Iterator[TurnView]:
    """The turns that are held at an object, at all objects of a class, or at all."""
    for name, row in rows.scan(object_prefix(keys.TURN, service, key)):
        of_service, of_key, _ = split_object(name)
        yield TurnView(of_service, of_key, InvocationId(row[8:]))


@dataclass(frozen=True, slots=True)
class WaitingView:
    """Who waits for the turn at an object."""

    service: str
    key: str
    sequence: int
    """Those with lower numbers go first; an interrupt goes before all that only wait."""
    invocation_id: InvocationId
    mode: str
    """``queue``, ``interrupt`` or ``steer``."""


def scan_inbox(
    rows: Rows, service: str | None = None, key: str | None = None
) -> Iterator[WaitingView]:
    """Who waits at an object, at all objects of a class, or at all; interrupts first."""
    for table in (keys.LANE, keys.INBOX):
        for name, row in rows.scan(object_prefix(table, service, key)):
            of_service, of_key, at = split_object(name)
            is_message = len(row) > INVOCATION_ID_BYTES
            mode = "interrupt" if table == keys.LANE else "steer" if is_message else "queue"
            yield WaitingView(
                of_service,
                of_key,
                int.from_bytes(name[at:], "big"),
                InvocationId(row[:INVOCATION_ID_BYTES]),
                mode,
            )


@dataclass(frozen=True, slots=True)
class PromiseView:
    """A promise of a workflow that is completed, or that somebody awaits."""

    service: str
    key: str
    name: str
    completed_ms: int | None = None
    result: bytes | Failure | None = None
    """JSON, or why it was rejected; ``None`` while it is open."""


def scan_promises(
    rows: Rows, service: str | None = None, key: str | None = None
) -> Iterator[PromiseView]:
    """The promises of a workflow, of all of a class, or of all: completed ones, then open ones."""
    gone = _Gone(rows)
    for name, row in rows.scan(object_prefix(keys.PROMISE, service, key)):
        of_service, of_key, at = split_object(name)
        if gone.has(name[1:at]):
            continue
        record = decode_promise(row)
        promise = keys.split_text(name, at)[0]
        yield PromiseView(of_service, of_key, promise, record.completed_ms, record.result)
    last = None
    for name, _ in rows.scan(object_prefix(keys.PROMISED, service, key)):
        of_service, of_key, at = split_object(name)
        promise, end = keys.split_text(name, at)
        if name[:end] != last:
            last = name[:end]
            yield PromiseView(of_service, of_key, promise)
