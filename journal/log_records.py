"""Where a log file of RocksDB is damaged: its records, read with their checksums.

``log_files`` reads the same records fast and without checksums, because RocksDB checks those
itself, and then tells less than a person needs: that something is wrong, not where it begins nor
whether it is only the end that is torn. This module is for the person. It is slow, two seconds for
a log as long as they get, and it reads the manifest as well, which has the same format.

    record := crc:u32 length:u16 kind:u8 bytes[length]        see ``log_files`` for the rest
    crc    := the CRC-32C of kind and bytes, turned right by 15 bits, plus 0xa282ead8

It knows no file and changes nothing.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_BLOCK_BYTES = 32_768
_HEAD = struct.Struct("<IHB")
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = 0xA282EAD8


@dataclass(frozen=True, slots=True, kw_only=True)
class LogShape:
    """What one log file is made of, as its checksums tell."""

    size_bytes: int
    whole_bytes: int
    """Up to here every record is whole. A record that is begun and not ended does not count."""
    records: int
    """How many whole ones there are up to there."""
    records_behind: int
    """How many records behind the first damage have a valid checksum, parts of one each counted."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing but padding follows the last whole record."""
        return self.whole_bytes == self.size_bytes

    @property
    def is_torn(self) -> bool:
        """Whether only its end is damaged, as by a write that a power cut interrupted."""
        return not self.is_whole and self.records_behind == 0


def read_shape(content: bytes) -> LogShape:
    """Read a log or a manifest to the end, with all checksums."""
    whole = position = records = 0
    is_begun = False
    while (part := _read_part(content, position)) is not None:
        kind, position = part
        if kind in {_WHOLE, _FIRST} and is_begun:
            # The writer died in the middle of a record and a later one went on behind it; readers
            # step over that, and so does this.
            is_begun = False
        if kind in {_MIDDLE, _LAST} and not is_begun:
            break
        is_begun = kind in {_FIRST, _MIDDLE}
        if not is_begun:
            whole = position
            records += 1
    behind = 0 if position >= len(content) else sum(1 for _ in _valid_parts(content, position))
    size = len(content)
    if not any(content[whole:]) and size - whole < min(7, _room(whole)):
        # The padding of a block.
        whole = size
    return LogShape(size_bytes=size, whole_bytes=whole, records=records, records_behind=behind)


def _read_part(content: bytes, position: int) -> tuple[int, int] | None:
    """The kind of the record or part that begins at ``position``, and its end."""
    room = _room(position)
    if room < 7:
        position += room
        room = _BLOCK_BYTES
    if position + 7 > len(content):
        return None
    crc, length, kind = _HEAD.unpack_from(content, position)
    end = position + 7 + length
    if not _WHOLE <= kind <= _LAST or 7 + length > room or end > len(content):
        return None
    if crc != _masked_crc(content, position + 6, end):
        return None
    return kind, end


def _valid_parts(content: bytes, position: int) -> Iterator[int]:
    """Where valid records begin behind a damage.

    The length of a damaged record may be what is damaged, so every byte may begin the next one.
    """
    while position + 7 <= len(content):
        part = _read_part(content, position)
        if part is None:
            position += 1
        else:
            yield position
            position = part[1]


def _room(position: int) -> int:
    """How many bytes the block has left."""
    return _BLOCK_BYTES - position % _BLOCK_BYTES


def _make_table() -> tuple[int, ...]:
    table: list[int] = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_TABLE = _make_table()


def _masked_crc(content: bytes, start: int, end: int) -> int:
    table = _TABLE
    crc = 0xFFFFFFFF
    for byte in memoryview(content)[start:end]:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF
