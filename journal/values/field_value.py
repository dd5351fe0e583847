"""One state field's value: what a handler reads and assigns, and which rows differ for it.

Three ways of noticing, by what the value is:

* one that cannot change (a number, a text) differs only when it was assigned;
* one that is stored whole is encoded and compared each time, once it was handed out: whatever
  changed it in place, and however, is found;
* a list or dict of more than 2 KiB is stored in chunks and handed out as a ``TrackedList`` or
  ``TrackedDict``, and only what was touched is encoded; see ``segments``. It stays in chunks when
  it shrinks, until another value is assigned.

A list or dict that was assigned is that very object for whoever still holds it, so it is compared
whole. Once nobody else does, the next read hands out a tracked one in its place.

This module knows neither what the field belongs to nor where its rows are kept.
"""

from collections.abc import Mapping
from enum import Enum, auto
from sys import getrefcount
from typing import Any, Final

from ...objects.errors import ContextMisuseError, InvalidArgumentError
from .chunks import CHUNK_BYTES_MAX, CHUNK_OVERHEAD_BYTES, Chunk, read_chunks
from .dict_segments import DictSegments
from .list_segments import ListSegments
from .rows import DICT, HEAD_PART, LIST, WHOLE, RowChange, check_head, ordinal_of
from .tracked_dict import TrackedDict
from .tracked_list import TrackedList
from .value_type import IMMUTABLE_TYPES, ContainerType, ValueType

AnySegments = ListSegments | DictSegments

LIVE_BYTES_PER_PACKED_BYTE: Final = 4
"""About how much larger a decoded value is than its MessagePack."""

OBJECT_BYTES: Final = 400
"""About what a ``FieldValue`` takes by itself."""


_PLAIN: Final = frozenset({dict, list})


class _Mark(Enum):
    """What may stand in place of a live value."""

    ABSENT = auto()
    UNREAD = auto()


class FieldValue:
    """One field's live value as one attempt sees it.

    It may serve one attempt after the other, with ``reuse`` in between, for as long as nobody else
    writes the rows. An attempt that ends without committing takes its ``FieldValue`` with it.
    """

    __slots__ = (
        "_chunks",
        "_has_left",
        "_head",
        "_is_as_decoded",
        "_is_assigned",
        "_is_frozen",
        "_live",
        "_rows",
        "_segments",
        "_type",
        "made_for",
        "name",
    )

    def __init__(
        self,
        name: str,
        value_type: ValueType,
        rows: Mapping[bytes, bytes],
        *,
        frozen: bool = False,
    ) -> None:
        """Stand for the field ``name``; ``rows`` are looked at only when they are needed.

        Args:
            name: the field's name, for messages.
            value_type: how its values are encoded and watched.
            rows: its rows by part.
            frozen: changing the value, by assignment or in place, is an error.
        """
        self.name = name
        self.made_for: object = None
        """Whoever made it may say here what for; nothing is done with it."""
        self._type = value_type
        self._is_frozen = frozen
        # The rows as they were given; ``None`` once they are in ``_head`` and ``_chunks``.
        self._rows: Mapping[bytes, bytes] | None = rows
        # The head row as of the last ``changes``; ``None`` is absent.
        self._head: bytes | None = None
        # The stored chunks as of the last ``changes``; ``None`` when the value is stored whole.
        self._chunks: AnySegments | None = None
        self._live: Any = _Mark.UNREAD
        # What the live value tells of itself, when it is a tracked one of ours. Invariant: these
        # are ``_chunks``, or the value is stored whole as yet and they have no chunks.
        self._segments: AnySegments | None = None
        # The live value may differ from the rows: it was assigned, or handed out and can change.
        self._has_left = False
        # It was assigned since the last ``changes``.
        self._is_assigned = False
        # Nothing was assigned since the live value was decoded.
        self._is_as_decoded = False

    # --- the handler's side ---

    def is_of(self, value_type: ValueType) -> bool:
        """Whether its values are encoded and watched as this says."""
        return self._type is value_type

    @property
    def is_present(self) -> bool:
        """Whether the field has a value."""
        if self._live is _Mark.UNREAD:
            return (HEAD_PART in self._rows) if self._rows is not None else self._head is not None
        return self._live is not _Mark.ABSENT

    def get(self) -> Any:
        """The live value: the same object until another is assigned.

        Raises:
            KeyError: the field is absent.
            InvalidArgumentError: its rows do not fit the annotation; the message names the field.
            StoreFormatError: a newer release wrote them.
        """
        # No local name for the live value here: it would count as a holder.
        if type(self._live) in IMMUTABLE_TYPES:
            return self._live
        if self._live is _Mark.UNREAD:
            self._live = self._decode()
        if self._live is _Mark.ABSENT:
            raise KeyError(self.name)
        if type(self._live) not in IMMUTABLE_TYPES:
            self._has_left = True
            if type(self._live) in _PLAIN and getrefcount(self._live) <= _UNHELD:
                self._live = self._tracked(self._live)
        return self._live

    def read(self) -> Any:
        """What the rows hold, in plain values that are nobody's but the caller's.

        Raises: as ``get``.
        """
        self._load()
        if self._head is None:
            raise KeyError(self.name)
        return self._decode_rows(self._head)

    def set(self, value: Any) -> None:
        """Replace the value.

        Raises:
            ContextMisuseError: the field is frozen; nothing has changed.
        """
        if self._is_frozen:
            raise self._refusal()
        if value is not self._live:
            self._release()
            self._live = value
            self._is_assigned = True
            self._is_as_decoded = False
        self._has_left = True

    def set_default(self, value: Any) -> None:
        """As ``set``, for a value that nobody else holds, such as what a factory has just made."""
        self.set(value)
        self._live = self._tracked(value)

    def clear(self) -> None:
        """Make the field absent.

        Raises:
            ContextMisuseError: the field is frozen; nothing has changed.
        """
        self.set(_Mark.ABSENT)

    # --- the engine's side ---

    def changes(self) -> list[RowChange]:
        """What differs from the rows as of the last call; from now on, that is in the rows.

        Each part is named at most once. A live value stays the same object, and what is done to
        it later is noticed the next time.

        Raises:
            InvalidArgumentError: the value cannot be encoded; the message names the field. The
                rows are taken to be as before, and the next call compares again.
            ContextMisuseError: the field is frozen and its value was changed. The next ``get``
                gives a new copy of what is stored.
        """
        if not self._has_left:
            return []
        self._load()
        if self._is_frozen:
            return self._check_frozen()
        try:
            changes = self._find_changes()
        except InvalidArgumentError as error:
            raise self._named(error) from error
        self._is_assigned = False
        self._has_left = self._live is not _Mark.ABSENT and type(self._live) not in IMMUTABLE_TYPES
        return changes

    def dump(self) -> dict[bytes, bytes]:
        """All rows as of the last ``changes``, by part and in order."""
        self._load()
        if self._head is None:
            return {}
        rows = {HEAD_PART: self._head}
        if self._chunks is not None:
            rows.update(self._chunks.rows())
        return rows

    def memory_bytes(self) -> int:
        """About how much memory this takes. Costs the same for every value."""
        if self._rows is not None:
            return OBJECT_BYTES
        packed_bytes = len(self._head or b"")
        overhead = 0
        if self._chunks is not None:
            packed_bytes += self._chunks.body_bytes
            overhead = len(self._chunks.chunks) * CHUNK_OVERHEAD_BYTES
        is_decoded = self._live is not _Mark.UNREAD
        return (
            OBJECT_BYTES + overhead + packed_bytes * (1 + is_decoded * LIVE_BYTES_PER_PACKED_BYTE)
        )

    def reuse(self) -> None:
        """Serve the next attempt, which sees what it would have seen had it decoded the rows.

        Call it after the last ``changes`` of the attempt before, and only if that committed. A
        long list or dict stays decoded except for what was written or is still held by somebody.
        """
        if self._chunks is not None and self._segments is self._chunks:
            self._chunks.notice_reads()
            is_unheld = getrefcount(self._live) <= _UNHELD
            is_kept = self._is_as_decoded and is_unheld and self._chunks.refresh(self._live)
        else:
            is_kept = self._is_as_decoded and type(self._live) in IMMUTABLE_TYPES
        if not is_kept:
            self._release()
            self._live = _Mark.UNREAD
        self._has_left = self._is_assigned = False

    # --- rows to value ---

    def _load(self) -> None:
        """Take the rows over, when that has not been done."""
        rows = self._rows
        if rows is None:
            return
        head = rows.get(HEAD_PART)
        kind = WHOLE if head is None else check_head(head)
        if kind != WHOLE:
            parts = sorted((ordinal_of(part), row) for part, row in rows.items() if part)
            self._chunks = self._make_segments(kind, read_chunks(parts))
        self._head = head
        self._rows = None

    def _decode(self) -> Any:
        self._load()
        if self._head is None:
            return _Mark.ABSENT
        value = self._decode_rows(self._head)
        self._is_as_decoded = True
        if type(value) in IMMUTABLE_TYPES:
            return value
        value = self._tracked(value)
        if self._segments is not None and self._segments is self._chunks:
            self._segments.cover(value)
        return value

    def _decode_rows(self, head: bytes) -> Any:
        packed = head[2:] if self._chunks is None else self._chunks.packed()
        try:
            return self._type.whole.decode(packed)
        except InvalidArgumentError as error:
            raise self._named(error) from error

    # --- tracked lists and dicts ---

    def _kind_of(self, value: Any) -> bytes:
        """How a long value of this type is stored."""
        if isinstance(value, list) and self._type.as_list is not None:
            return LIST
        if isinstance(value, dict) and self._type.as_dict is not None:
            return DICT
        return WHOLE

    def _make_segments(self, kind: bytes, chunks: list[Chunk]) -> AnySegments:
        if kind == LIST:
            return ListSegments(self._type.as_list or self._in_one_piece(), chunks)
        return DictSegments(self._type.as_dict or self._in_one_piece(), chunks)

    def _in_one_piece(self) -> ContainerType:
        """For rows of a kind that the annotation no longer takes: they are read, never written."""
        return ContainerType(serde=self._type.whole, is_flat=False, is_shallow=False)

    def _tracked(self, value: Any) -> Any:
        """A tracked list or dict in place of a plain one that nobody else holds."""
        kind = self._kind_of(value)
        tracked: Any = value
        if type(value) in _PLAIN and kind != WHOLE:
            tracked = TrackedList(value) if kind == LIST else TrackedDict(value)
        self._attach(tracked)
        return tracked

    def _attach(self, value: Any) -> None:
        """Let a tracked value without segments tell ours what becomes of it."""
        if type(value) not in {TrackedList, TrackedDict} or value.segments is not None:
            return
        kind = self._kind_of(value)
        if kind == WHOLE:
            return
        stored = self._chunks if self._head == kind else None
        self._segments = stored or self._make_segments(kind, [])
        self._segments.lose_track()
        value.segments = self._segments

    def _release(self) -> None:
        """Leave the live value to whoever holds it."""
        if self._segments is not None:
            self._live.segments = None
            self._segments = None
        if self._chunks is not None:
            self._chunks.forget_use()
            self._chunks.lose_track()

    # --- value to rows ---

    def _find_changes(self) -> list[RowChange]:
        live = self._live
        if type(live) in IMMUTABLE_TYPES and self._chunks is None:
            # Most values are; what follows comes to the same in many more steps.
            old, self._head = self._head, WHOLE + self._type.whole.encode(live)
            return [] if old == self._head else [RowChange(HEAD_PART, old, self._head)]
        if live is _Mark.ABSENT:
            return self._store(None, None, [])
        self._attach(live)
        kind = self._kind_of(live)
        if self._is_assigned or kind == WHOLE or self._head != kind:
            packed = self._type.whole.encode(live)
            if kind == WHOLE or len(packed) <= CHUNK_BYTES_MAX:
                return self._store(WHOLE + packed, None, [])
        segments: Any = self._segments or self._chunks
        if segments is None or (self._segments is None and self._head != kind):
            segments = self._make_segments(kind, [])
        if self._segments is None:
            segments.lose_track()
        plan = segments.plan(live)
        return self._store(kind, segments, segments.commit(live, plan))

    def _store(
        self, head: bytes | None, chunks: AnySegments | None, changes: list[RowChange]
    ) -> list[RowChange]:
        """Make this head and these chunks the baseline; what other chunks there were vanish."""
        if head == self._head and chunks is self._chunks:
            return changes
        found = {change.part: change for change in changes}
        if head != self._head:
            found[HEAD_PART] = RowChange(HEAD_PART, self._head, head)
        if self._chunks is not None and self._chunks is not chunks:
            for part, row in self._chunks.rows():
                change = found.get(part)
                found[part] = RowChange(part, row, change.new if change else None)
            if self._segments is self._chunks:
                self._segments = None
                self._live.segments = None
        self._head = head
        self._chunks = chunks
        self._attach(self._live)
        return [change for change in found.values() if change.old != change.new]

    def _check_frozen(self) -> list[RowChange]:
        before = self.dump()
        try:
            # A set has no order of its own, and a class may have gained a field: then what was
            # only read is encoded otherwise than it is stored, and so is a second copy.
            is_changed = bool(self._find_changes()) and self._differs_from(before)
        except InvalidArgumentError as error:
            self._restart(before)
            raise self._refusal() from error
        if is_changed:
            self._restart(before)
            raise self._refusal()
        return []

    def _differs_from(self, rows: dict[bytes, bytes]) -> bool:
        copy = FieldValue(self.name, self._type, rows).get()
        return self._type.whole.encode(copy) != self._type.whole.encode(self._live)

    def _restart(self, rows: dict[bytes, bytes]) -> None:
        """Stand for these rows as if nothing had been read."""
        self._release()
        self._live = _Mark.UNREAD
        self._rows, self._head, self._chunks = rows, None, None
        self._has_left = False

    def _refusal(self) -> ContextMisuseError:
        message = (
            f"the state field {self.name!r} was changed by a shared handler, which may only read;"
            " declare the handler with @handler to change state, or change a copy"
        )
        return ContextMisuseError(message)

    def _named(self, error: InvalidArgumentError) -> InvalidArgumentError:
        return InvalidArgumentError(f"state field {self.name!r}: {error.message}")


class _Probe:
    """Holds a value the way ``FieldValue`` does."""

    __slots__ = ("_live",)

    def __init__(self) -> None:
        self._live: list[Any] = []

    def count_holders(self) -> int:
        return getrefcount(self._live)


_UNHELD: Final = _Probe().count_holders()
