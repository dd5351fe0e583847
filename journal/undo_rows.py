"""Undo rows: what a state row held before a turn changed it.

    undo row  := old
               | 02 default                        there was no row, and this default was read
               | 05 u32(size) default[size] old    this default was read in the old row's place
    old       := 00                      there was no row
               | 01 row                  a row, and nobody knows which turn wrote it
               | 03 u64(sequence) row    a row, written by this turn
               | 04 u64(sequence) row    the same; what changed it took it away

An undo row takes one row of one object back to before entry ``index`` of a turn. Index 0 is what a
restart put back before its turn began: history, and no way back for a replay of that turn.

Who wrote the old row makes a past with gaps safe to read: where the writer is later than the
moment asked for, a change in between has left no undo row, and the past is not known. A row that
was taken away has no writer any more; so whoever deletes an undo row that says so (``04``, and
``01``, which cannot say) has to move the object's history mark, see ``takes_away``.

A default that a handler reads is kept here, so that a replay of that turn reads the same.
"""

from msgspec import Struct
from msgspec.structs import replace

from ..objects.errors import StoreFormatError

SEQUENCE_BYTES = 8

_ABSENT = 0
_PRESENT = 1
_DEFAULT = 2
_WRITTEN = 3
_TAKEN_AWAY = 4
_DEFAULT_AND_OLD = 5


class UndoRow(Struct, frozen=True):
    """A state row as it was before a change."""

    row: bytes | None
    """Without its sequence; ``None``: there was none."""
    writer: int | None = None
    """The sequence of the turn that wrote it, where there was a row and that is known."""
    takes_away: bool = False
    """Whether the change may have left no row, so that nothing else tells of it."""
    default: bytes | None = None
    """What was read in its place once it was absent."""

    def encode(self) -> bytes:
        """The row's bytes."""
        if self.row is None and self.default is not None:
            return bytes((_DEFAULT,)) + self.default
        old = bytes((_ABSENT,))
        if self.row is not None:
            assert self.writer is not None, "a row that nobody wrote"
            writer = self.writer.to_bytes(SEQUENCE_BYTES, "big")
            old = bytes((_TAKEN_AWAY if self.takes_away else _WRITTEN,)) + writer + self.row
        if self.default is None:
            return old
        return (
            bytes((_DEFAULT_AND_OLD,)) + len(self.default).to_bytes(4, "big") + self.default + old
        )


def encode_old(stored: bytes | None, *, takes_away: bool) -> bytes:
    """The undo row of a state row as it is stored, its sequence first; ``None``: there is none."""
    if stored is None:
        return bytes((_ABSENT,))
    return bytes((_TAKEN_AWAY if takes_away else _WRITTEN,)) + stored


def decode(undo: bytes) -> UndoRow:
    """What an undo row tells.

    Raises:
        StoreFormatError: a later release wrote it.
    """
    tag = undo[0] if undo else None
    if tag in {_WRITTEN, _TAKEN_AWAY}:
        writer = int.from_bytes(undo[1 : 1 + SEQUENCE_BYTES], "big")
        return UndoRow(undo[1 + SEQUENCE_BYTES :], writer, takes_away=tag == _TAKEN_AWAY)
    if tag == _ABSENT:
        return UndoRow(None)
    if tag == _DEFAULT:
        return UndoRow(None, default=undo[1:])
    if tag == _DEFAULT_AND_OLD:
        end = 5 + int.from_bytes(undo[1:5], "big")
        return replace(decode(undo[end:]), default=undo[5:end])
    if tag == _PRESENT:
        return UndoRow(undo[1:], takes_away=True)
    message = f"an undo row begins with {undo[:1].hex() or 'nothing'}; this release reads 00 to 05"
    raise StoreFormatError(message)


def takes_away(undo: bytes) -> bool:
    """Whether the change may have left no row, so that without ``undo`` nothing tells of it."""
    return undo[0] not in {_WRITTEN, _ABSENT, _DEFAULT} and decode(undo).takes_away
