"""Any row taken apart: the fields of its key, what its value says, and a name for messages.

Whoever looks at all rows of a store (``holdfast verify``) knows none of them beforehand. The shapes
here are the table of tables in ``keys``, once more, for reading.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from ..objects.errors import HoldfastError, StoreDamagedError
from ..objects.identity import INVOCATION_ID_BYTES, InvocationId, format_invocation_id
from . import codec, keys, records, undo_rows
from .values.rows import DICT, LIST, WHOLE, check_head

_TEXT, _OBJECT, _ID, _U32, _U64, _REST = range(6)

_SHAPES: Final[Mapping[bytes, tuple[int, ...]]] = {
    keys.INVOCATION: (_ID,),
    keys.OUTCOME: (_ID,),
    keys.JOURNAL: (_ID, _U32),
    keys.LIVE: (_ID,),
    keys.TURN: (_OBJECT,),
    keys.INBOX: (_OBJECT, _U64),
    keys.LANE: (_OBJECT, _U64),
    keys.STATE: (_OBJECT, _TEXT, _REST),
    keys.UNDO: (_OBJECT, _U64, _U32, _TEXT, _REST),
    keys.TIMER: (_U64, _ID, _U32),
    keys.IDEMPOTENCY: (_TEXT, _TEXT, _TEXT, _TEXT),
    keys.AWAKEABLE: (_ID, _U32),
    keys.WAITING: (_ID,),
    keys.STEP: (_ID, _U32),
    keys.EXPIRY: (_U64, _ID),
    keys.PROMISE: (_OBJECT, _TEXT),
    keys.PROMISED: (_OBJECT, _TEXT, _ID, _U32),
    keys.SIGNAL: (_ID, _TEXT, _U64),
    keys.SIGNALLED: (_ID, _TEXT, _U32),
    keys.MESSAGE: (_ID, _U32),
    keys.ATTACHED: (_ID, _ID, _U32),
    keys.WORKFLOW: (_OBJECT,),
    keys.HISTORY: (_OBJECT,),
    keys.REISSUE: (_ID, _U32),
    keys.REMAINS: (_ID,),
    keys.META: (_TEXT,),
}

_NAMES: Final = {
    value: name.lower()
    for name, value in vars(keys).items()
    if name.isupper() and isinstance(value, bytes) and value in _SHAPES
}

_SIZES: Final = {_ID: INVOCATION_ID_BYTES, _U32: 4, _U64: 8}
# What decoding bytes may raise that are not what the encoder writes.
_UNREADABLE: Final = (HoldfastError, ValueError, TypeError, LookupError, AttributeError)


def split_key(key: bytes) -> tuple[Any, ...]:
    """The fields of a key behind its table: ids and objects as bytes, texts, numbers.

    Raises:
        StoreDamagedError: no table has such a key.
    """
    shape = _SHAPES.get(key[:1])
    if shape is None:
        message = f"row {key.hex()} is of no table that this release knows"
        raise StoreDamagedError(message)
    fields: list[Any] = []
    start = 1
    try:
        for kind in shape:
            field, start = _split_field(key, start, kind)
            fields.append(field)
    except _UNREADABLE:
        start = -1
    if start != len(key):
        message = (
            f"row {key.hex()} of table {_NAMES[key[:1]]} has no name that the table could give"
        )
        raise StoreDamagedError(message)
    return tuple(fields)


def decode_value(key: bytes, row: bytes) -> Any:
    """What the value of a row says, as its owner would read it; bytes where that is all.

    Raises:
        StoreDamagedError: its owner could not read it.
    """
    try:
        return _DECODERS.get(key[:1], bytes)(row)
    except _UNREADABLE as error:
        message = f"{describe_key(key)} cannot be read: {error or type(error).__name__}"
        raise StoreDamagedError(message) from error


def check_state_row(part: bytes, row: bytes) -> bytes | None:
    """The kind of a head row of a field, without its sequence; ``None``: it is a chunk.

    Raises:
        StoreDamagedError, StoreFormatError: it is neither.
    """
    if not part:
        kind = check_head(row)
        if kind == WHOLE:
            codec.check_packed(row[len(WHOLE) :])
        elif len(row) != len(kind):
            message = "a head row with chunks holds more than its kind"
            raise StoreDamagedError(message)
        return kind
    if len(part) != 8:
        message = f"the name of its part has {len(part)} bytes and not 8"
        raise StoreDamagedError(message)
    codec.check_packed(row)
    return None


def is_chunk_of(kind: bytes, row: bytes) -> bool:
    """Whether a chunk, without its sequence, belongs to a value whose head is of ``kind``."""
    first = row[0]
    if kind == LIST:
        return 0x90 <= first < 0xA0 or first in {0xDC, 0xDD}
    return kind == DICT and (0x80 <= first < 0x90 or first in {0xDE, 0xDF})


def describe_key(key: bytes) -> str:
    """A row by its name: ``the timer row 1700000000000 inv_... 3``."""
    try:
        fields = split_key(key)
    except StoreDamagedError:
        return f"the row {key.hex()}"
    shape = _SHAPES[key[:1]]
    parts = [_describe(field, kind) for field, kind in zip(fields, shape, strict=True)]
    return f"the {_NAMES[key[:1]]} row {' '.join(part for part in parts if part)}"


def describe_object(object_: bytes) -> str:
    """``Assistant/sam``."""
    service, stop = keys.split_text(object_, 0)
    return f"{service}/{keys.split_text(object_, stop)[0]}"


def _split_field(key: bytes, start: int, kind: int) -> tuple[Any, int]:
    if kind == _REST:
        return key[start:], len(key)
    if kind == _TEXT:
        return keys.split_text(key, start)
    if kind == _OBJECT:
        _, stop = keys.split_text(key, start)
        _, stop = keys.split_text(key, stop)
        return key[start:stop], stop
    stop = start + _SIZES[kind]
    if stop > len(key):
        raise ValueError
    if kind == _ID:
        return InvocationId(key[start:stop]), stop
    return int.from_bytes(key[start:stop], "big"), stop


def _describe(field: Any, kind: int) -> str:
    if kind == _ID:
        return format_invocation_id(field)
    if kind == _OBJECT:
        return describe_object(field)
    return field.hex() if kind == _REST else repr(field)


def _sized(*sizes: int) -> Callable[[bytes], bytes]:
    def check(row: bytes) -> bytes:
        if len(row) not in sizes:
            message = f"it holds {len(row)} bytes, where {sizes[0]} belong"
            raise StoreDamagedError(message)
        return row

    return check


def _ids(row: bytes) -> list[InvocationId]:
    if not row or len(row) % INVOCATION_ID_BYTES:
        message = f"it holds {len(row)} bytes, and ids have {INVOCATION_ID_BYTES}"
        raise StoreDamagedError(message)
    size = INVOCATION_ID_BYTES
    return [InvocationId(row[start : start + size]) for start in range(0, len(row), size)]


def _decode_state(row: bytes) -> tuple[int, bytes]:
    if len(row) <= undo_rows.SEQUENCE_BYTES:
        message = f"it holds {len(row)} bytes"
        raise StoreDamagedError(message)
    size = undo_rows.SEQUENCE_BYTES
    return int.from_bytes(row[:size], "big"), row[size:]


_DECODERS: Final[Mapping[bytes, Callable[[bytes], Any]]] = {
    keys.INVOCATION: records.decode_invocation,
    keys.OUTCOME: records.decode_outcome,
    keys.JOURNAL: codec.decode_entry,
    keys.LIVE: _sized(0),
    keys.TURN: _sized(8 + INVOCATION_ID_BYTES),
    keys.INBOX: _sized(INVOCATION_ID_BYTES, INVOCATION_ID_BYTES + 1),
    keys.LANE: _sized(INVOCATION_ID_BYTES),
    keys.STATE: _decode_state,
    keys.UNDO: undo_rows.decode,
    keys.TIMER: lambda row: records.TimerKind(_sized(1)(row)[0]),
    keys.IDEMPOTENCY: _sized(2 * INVOCATION_ID_BYTES),
    keys.AWAKEABLE: records.decode_awakeable,
    keys.WAITING: _ids,
    keys.STEP: records.decode_step,
    keys.EXPIRY: _sized(0),
    keys.PROMISE: records.decode_promise,
    keys.PROMISED: _sized(0),
    keys.SIGNAL: records.decode_signal,
    keys.SIGNALLED: _sized(0, 8),
    keys.MESSAGE: _sized(0),
    keys.ATTACHED: _sized(0),
    keys.WORKFLOW: _sized(INVOCATION_ID_BYTES),
    keys.HISTORY: _sized(16),
    keys.REISSUE: _sized(0),
    keys.REMAINS: records.decode_remains,
}
