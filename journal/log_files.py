"""Is the write-ahead log in one piece? Asked from outside, before RocksDB opens it.

RocksDB replays its log files one after another and stops at the first damage, but it does not see
that a whole end of one file is missing when the next file goes on: a power cut may lose the
unsynced tail of one log and keep the head of the next. What it would recover then has a hole. Every
batch carries its first sequence number and its count, so the hole can be seen from outside.

This module reads only what it needs for that, and no checksums: RocksDB checks those itself.

    log    := block*                         each 32,768 bytes, the last may be shorter
    block  := record* padding                fewer than 7 bytes left are padding
    record := crc:u32 length:u16 kind:u8 bytes[length]
    kind   := 1 whole | 2 first part | 3 middle part | 4 last part
    batch  := sequence:u64 count:u32 ...     the content of a whole record, or of its parts

The manifest is a log file of the same blocks whose records are lists of tagged varints. Two of its
facts matter: the oldest log still needed (older ones may be half deleted, and to count them as
loss would be wrong; a repair that ignored this once destroyed good data) and the last sequence
number that the table files hold, where the logs must go on.
"""

import contextlib
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..objects.errors import StoreDamagedError
from .format import sync_directory
from .named_errors import naming

_BLOCK_BYTES = 32_768
_RECORD_HEAD = struct.Struct("<4xHB")
_BATCH_HEAD = struct.Struct("<QI")
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4

# The tags of a manifest record. Those with a varint, and those with a length and bytes, can be
# skipped; RocksDB writes them first, so reading stops at any other without missing anything.
_TAG_LOG_NUMBER, _TAG_LAST_SEQUENCE, _TAG_MIN_LOG_NUMBER = 2, 4, 10
_VARINT_TAGS = frozenset({2, 3, 4, 9, 10, 203})
_BYTES_TAGS = frozenset({1})
_SAFE_TO_IGNORE = 1 << 13

_Unpack = Callable[..., tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """Where the log breaks off and goes on too late."""

    path: Path
    """The first file with batches behind the hole."""
    offset: int
    """Everything from here on in ``path``, and every later file, lies behind the hole."""
    expected: int
    found: int

    def __str__(self) -> str:
        """For messages: what was found where."""
        return (
            f"{self.path} goes on at offset {self.offset} with sequence number {self.found} "
            f"where {self.expected} was to follow"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogReport:
    """What the log of one closed database holds."""

    last_sequence: int
    """The last sequence number before any hole, tables included."""
    ends_in: Path
    """The file in which the unbroken part of the log ends; a pattern if there is no log at all."""
    hole: Hole | None
    later_files: tuple[Path, ...]
    """The files after the one with the hole, oldest first."""


def inspect_logs(directory: Path) -> LogReport:
    """Follow the log of the RocksDB in ``directory``, which must not be open for writing.

    Raises:
        StoreDamagedError: the manifest cannot be found or makes no sense. Nothing was touched.
    """
    manifest = manifest_path(directory)
    oldest_needed, table_sequence = _read_manifest(manifest)
    expected = table_sequence + 1
    logs = [path for number, path in _log_paths(directory) if number >= oldest_needed]
    # An open database has a log, whatever its number is; where none is left, that is what is lost.
    ends_in = logs[0] if logs else directory / "*.log"
    for index, path in enumerate(logs):
        follower = _Follower(expected)
        with naming(path):
            log = path.read_bytes()
        follower.follow(log)
        if follower.expected > expected:
            ends_in = path
        expected = follower.expected
        if follower.hole is not None:
            offset, found = follower.hole
            return LogReport(
                last_sequence=expected - 1,
                ends_in=ends_in,
                hole=Hole(path=path, offset=offset, expected=expected, found=found),
                later_files=tuple(logs[index + 1 :]),
            )
    return LogReport(last_sequence=expected - 1, ends_in=ends_in, hole=None, later_files=())


def find_needed_logs(directory: Path) -> list[Path]:
    """The logs that a start would replay, oldest first.

    Raises:
        StoreDamagedError: the manifest cannot be found.
    """
    oldest_needed, _ = _read_manifest(manifest_path(directory))
    return [path for number, path in _log_paths(directory) if number >= oldest_needed]


def find_manifest(directory: Path) -> tuple[Path, int] | None:
    """The manifest and its length; whoever writes to the database only appends to it.

    While both are what they were, no table and no log that it needs was deleted. ``None``: at this
    moment there is none that can be read.
    """
    with contextlib.suppress(OSError, StoreDamagedError):
        path = manifest_path(directory)
        return path, path.stat().st_size
    return None


def cut_at_hole(report: LogReport) -> None:
    """Remove what lies behind the hole, newest first, so that a crash in between leaves a hole.

    The caller has made sure that nothing behind it was ever acknowledged.
    """
    hole = report.hole
    assert hole is not None, "asked to cut a log that has no hole"
    for path in reversed(report.later_files):
        path.unlink()
    with naming(hole.path), hole.path.open("r+b") as file:
        file.truncate(hole.offset)
        os.fsync(file.fileno())
    sync_directory(hole.path.parent)


class _Follower:
    """Follows the sequence numbers through one file."""

    def __init__(self, expected: int) -> None:
        # The sequence number that the next batch must not exceed.
        self.expected = expected
        # Where the batch that exceeded it begins to be missing, and that batch's number.
        self.hole: tuple[int, int] | None = None
        # The end of the last batch that followed on.
        self._unbroken = 0

    def follow(self, log: bytes) -> None:
        """Read to the end of ``log`` or to the first hole.

        A record that makes no sense is the end of what RocksDB replays, or something it steps
        over to the next block; so the reading goes on there and judges only what it finds.
        """
        size = len(log)
        record_head: _Unpack = _RECORD_HEAD.unpack_from
        batch_head: _Unpack = _BATCH_HEAD.unpack_from
        head: bytes | None = None
        position = 0
        while position + 7 <= size:
            room = _BLOCK_BYTES - position % _BLOCK_BYTES
            if room < 7:
                position += room
                continue
            length, kind = record_head(log, position)
            end = position + 7 + length
            if 7 + length > room or end > size or not _WHOLE <= kind <= _LAST:
                head = None
                position += room
                continue
            if kind == _WHOLE:
                head = None
                if length >= 12 and not self._take(batch_head(log, position + 7), end):
                    return
            elif kind == _FIRST:
                head = log[position + 7 : min(end, position + 19)]
            elif head is not None:
                head += log[position + 7 : min(end, position + 19)]
                if kind == _LAST:
                    if len(head) >= 12 and not self._take(batch_head(head), end):
                        return
                    head = None
            position = end

    def _take(self, batch: tuple[int, int], end: int) -> bool:
        """Follow on to a batch; ``False`` at a hole."""
        sequence, count = batch
        if sequence > self.expected:
            self.hole = (self._unbroken, sequence)
            return False
        self.expected = max(self.expected, sequence + count)
        self._unbroken = end
        return True


def _log_paths(directory: Path) -> list[tuple[int, Path]]:
    logs = [(path.stem, path) for path in directory.glob("*.log")]
    return sorted((int(stem), path) for stem, path in logs if stem.isdecimal())


def manifest_path(directory: Path) -> Path:
    """The manifest that counts in the RocksDB in ``directory``, which may be open for writing.

    Raises:
        StoreDamagedError: nothing names one.
    """
    current = directory / "CURRENT"
    try:
        with naming(current):
            name = current.read_bytes().decode("ascii", "replace")
    except FileNotFoundError:
        message = f"{current} is missing"
        raise StoreDamagedError(message) from None
    # RocksDB refuses one without the line break, or with anything after it.
    number = name.removeprefix("MANIFEST-").removesuffix("\n")
    if name != f"MANIFEST-{number}\n" or not number.isdecimal():
        message = f"{current} should name a manifest; it holds {name[:80]!r}"
        raise StoreDamagedError(message)
    return directory / name[:-1]


def _read_manifest(path: Path) -> tuple[int, int]:
    """The number of the oldest log still needed, and the last sequence number in the tables."""
    try:
        with naming(path):
            content = path.read_bytes()
    except FileNotFoundError:
        message = f"{path} is missing, and CURRENT names it"
        raise StoreDamagedError(message) from None
    oldest_needed = last_sequence = 0
    for record in _records(content):
        for tag, value in _leading_fields(record):
            if tag in {_TAG_LOG_NUMBER, _TAG_MIN_LOG_NUMBER}:
                oldest_needed = max(oldest_needed, value)
            elif tag == _TAG_LAST_SEQUENCE:
                last_sequence = max(last_sequence, value)
    return oldest_needed, last_sequence


def _records(content: bytes) -> Iterator[bytes]:
    """The whole records of a file, up to the first that is not whole."""
    parts: list[bytes] = []
    position = 0
    while position + 7 <= len(content):
        room = _BLOCK_BYTES - position % _BLOCK_BYTES
        if room < 7:
            position += room
            continue
        length, kind = _RECORD_HEAD.unpack_from(content, position)
        end = position + 7 + length
        if not _WHOLE <= kind <= _LAST or end > len(content):
            return
        if kind in {_WHOLE, _FIRST}:
            parts.clear()
        parts.append(content[position + 7 : end])
        if kind in {_WHOLE, _LAST}:
            yield b"".join(parts)
            parts.clear()
        position = end


def _leading_fields(record: bytes) -> Iterator[tuple[int, int]]:
    """The tagged numbers a manifest record begins with."""
    position = 0
    with contextlib.suppress(IndexError):
        while position < len(record):
            tag, position = _varint(record, position)
            if tag in _VARINT_TAGS:
                value, position = _varint(record, position)
                yield tag, value
            elif tag in _BYTES_TAGS or tag & _SAFE_TO_IGNORE:
                length, position = _varint(record, position)
                position += length
            else:
                return


def _varint(content: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
