"""Undo rows: what a state row held before a turn changed it.

    old row   := 00                      there was no row
               | 01 row                  a row, and nobody knows which turn wrote it
               | 02 row                  there was no row, and the handler read this default
               | 03 u64(sequence) row    a row, written by this turn
               | 04 u64(sequence) row    the same; what changed it took it away

An undo row takes one row of one object back to before entry ``index`` of a turn. Index 0 is what a
restart put back before its turn began: history, and no way back for a replay of that turn.

Who wrote the old row makes a past with gaps safe to read: where the writer is later than the
moment asked for, a change in between has left no undo row, and the past is not known. A row that
was taken away has no writer any more; so whoever deletes an undo row that says so (``04``, and
``01``, which cannot say) has to move the object's history mark, see ``takes_away``.
"""

from dataclasses import dataclass

from ..objects.errors import StoreFormatError

SEQUENCE_BYTES = 8

_ABSENT = 0
_PRESENT = 1
_DEFAULT = 2
_WRITTEN = 3
_TAKEN_AWAY = 4


@dataclass(frozen=True, slots=True)
class OldRow:
    """A state row as it was before a change."""

    row: bytes | None
    """Without its sequence; ``None``: there was none. A default that was read is a row here."""
    writer: int | None = None
    """The sequence of the turn that wrote it, where that is known."""
    is_default: bool = False
    """There was no row, and ``row`` is the default that the handler read in its place."""

    @property
    def stored(self) -> bytes | None:
        """The row that was stored, without its sequence."""
        return None if self.is_default else self.row


def encode_absent() -> bytes:
    """There was no row."""
    return bytes((_ABSENT,))


def encode_default(row: bytes) -> bytes:
    """There was no row, and this one's value was read as the default."""
    return bytes((_DEFAULT,)) + row


def encode_stored(stored: bytes, *, is_taken_away: bool) -> bytes:
    """A state row as it is stored, its sequence first."""
    return bytes((_TAKEN_AWAY if is_taken_away else _WRITTEN,)) + stored


def decode(undo: bytes) -> OldRow:
    """The old row that ``undo`` tells.

    Raises:
        StoreFormatError: a later release wrote it.
    """
    tag = undo[0] if undo else None
    if tag in {_WRITTEN, _TAKEN_AWAY}:
        writer = int.from_bytes(undo[1 : 1 + SEQUENCE_BYTES], "big")
        return OldRow(undo[1 + SEQUENCE_BYTES :], writer)
    if tag == _ABSENT:
        return OldRow(None)
    if tag == _DEFAULT:
        return OldRow(undo[1:], is_default=True)
    if tag == _PRESENT:
        return OldRow(undo[1:])
    message = f"an undo row begins with {undo[:1].hex() or 'nothing'}; this release reads 00 to 04"
    raise StoreFormatError(message)


def takes_away(undo: bytes) -> bool:
    """Whether the change may have left no row, so that without ``undo`` nothing tells of it."""
    return undo[:1] in {bytes((_TAKEN_AWAY,)), bytes((_PRESENT,))}


def with_takes_away(undo: bytes) -> bytes:
    """``undo``, once a second change under the same index has taken the row away."""
    return bytes((_TAKEN_AWAY,)) + undo[1:] if undo[0] == _WRITTEN else undo
