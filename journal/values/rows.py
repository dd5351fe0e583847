"""The bytes of a state field's rows.

    rows      := (00-byte part: head) (8-byte part: chunk)*
    part      := nothing, for the head | u64(ordinal), big-endian, for a chunk
    head      := version kind packed?
    version   := 01
    kind      := 00 whole: ``packed`` follows, the value as MessagePack; there are no chunks
               | 01 list:  the elements are in the chunks, in the order of their ordinals
               | 02 dict:  so are the entries, in the order they were inserted
    chunk     := MessagePack array of elements (list) | MessagePack map of entries (dict)

A field without a head row is absent. Ordinals order chunks and mean nothing else: they are no
indexes, so that a chunk in front may change without touching those behind it. The first is 2**62
and neighbours are 2**20 apart, which leaves room in front and between.

A chunk's *body* is its row without the array or map header. MessagePack writes an element the
same wherever it stands, so the bodies of neighbours joined are the body of the joined elements:
many chunks are compared or decoded by one call.
"""

from typing import Final

from msgspec import Struct

from ...objects.errors import StoreDamagedError, StoreFormatError

HEAD_PART: Final = b""
VERSION: Final = 1
WHOLE: Final = b"\x01\x00"
LIST: Final = b"\x01\x01"
DICT: Final = b"\x01\x02"

FIRST_ORDINAL: Final = 2**62
ORDINAL_STRIDE: Final = 2**20


class RowChange(Struct, frozen=True):
    """One row that differs. ``None`` means that there is no such row."""

    part: bytes
    old: bytes | None
    new: bytes | None


def part_of(ordinal: int) -> bytes:
    """The part that names the chunk with this ordinal."""
    return ordinal.to_bytes(8, "big")


def ordinal_of(part: bytes) -> int:
    """The ordinal of the chunk that ``part`` names."""
    return int.from_bytes(part, "big")


def check_head(head: bytes) -> bytes:
    """The first two bytes of a head row: ``WHOLE``, ``LIST`` or ``DICT``.

    Raises:
        StoreFormatError: a newer release wrote it.
    """
    tag = head[:2]
    if tag not in {WHOLE, LIST, DICT}:
        message = (
            f"a state field's head row begins with {tag.hex(' ')}, and this release reads only"
            f" version {VERSION:02x}, kinds 00 to 02; open the directory with the release that"
            " wrote it"
        )
        raise StoreFormatError(message)
    return tag


def array_header(count: int) -> bytes:
    """What MessagePack puts before an array of ``count`` elements."""
    if count < 16:
        return bytes((0x90 | count,))
    return b"\xdc" + count.to_bytes(2, "big") if count < 65536 else b"\xdd" + count.to_bytes(4)


def map_header(count: int) -> bytes:
    """What MessagePack puts before a map of ``count`` entries."""
    if count < 16:
        return bytes((0x80 | count,))
    return b"\xde" + count.to_bytes(2, "big") if count < 65536 else b"\xdf" + count.to_bytes(4)


def split(row: bytes) -> tuple[int, bytes]:
    """How many elements or entries an array or map holds, and its body.

    Raises:
        StoreDamagedError: it is neither.
    """
    first = row[0] if row else 0xC1  # a byte that MessagePack never uses
    if 0x80 <= first < 0xA0:
        return first & 0x0F, row[1:]
    if first in {0xDC, 0xDE}:
        return int.from_bytes(row[1:3], "big"), row[3:]
    if first in {0xDD, 0xDF}:
        return int.from_bytes(row[1:5], "big"), row[5:]
    message = f"a chunk row of a state field should be an array or a map, but begins {row[:8]!r}"
    raise StoreDamagedError(message)
