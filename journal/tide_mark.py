"""How far the sea has come: the sequence number below which nothing may be missing.

RocksDB recovers to a point in time: where a log is damaged it stops, and opens without a word.
That is right after a power cut and wrong after anything else, and RocksDB cannot tell the two
apart. The tide mark can. It is a small file that holds the last sequence number known to be on
disk, so a start that recovers less is refused. It also counts how often the directory was opened.

This module knows no RocksDB. The caller's rule: a sequence number is recorded only if it was read
*before* a successful sync of the log began.

The file ``holdfast.tide``, integers little-endian:

    file := slot, zeros to 4096 bytes, slot, zeros to 8192 bytes
    slot := "HFTIDE01" generation:u64 sequence:u64 epoch:u64 crc32:u32

The checksum covers what stands before it. A new mark goes over the older slot, in place, and the
slot with the highest generation counts; so a write that is torn by a power cut leaves the mark
before it, and no epoch that it may have counted is given out again. The file never changes its
size, so a durable write has no metadata to write.
"""

import os
import queue
import struct
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ..objects.errors import StoreDamagedError, StoreFailedError
from .named_errors import naming

TIDE_FILE = "holdfast.tide"
_SLOT = struct.Struct("<8sQQQ")
_CHECKSUM = struct.Struct("<I")
_MAGIC = b"HFTIDE01"
_SLOT_STRIDE = 4096
_SLOTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One slot of the file."""

    generation: int
    sequence: int
    epoch: int


def read_tide_mark(path: Path) -> Mark:
    """The mark at ``path``, whoever is writing to it.

    Raises:
        StoreDamagedError: the file is missing, or neither slot is whole.
    """
    try:
        with naming(path):
            content = path.read_bytes()
    except FileNotFoundError:
        raise _missing(path) from None
    return _newest_whole(path, content)[0]


class TideMark:
    """The open tide mark of one data directory. One thread at a time may record."""

    def __init__(self, path: Path) -> None:
        """Read the mark at ``path``.

        Raises:
            StoreDamagedError: the file is missing, or neither slot is whole.
        """
        self._path = path
        try:
            # A write that is durable when it returns is one system call in place of two.
            self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_DSYNC)
        except FileNotFoundError:
            raise _missing(path) from None
        try:
            with naming(path):
                content = os.pread(self._file, _SLOT_STRIDE * _SLOTS, 0)
            self._mark, self._slot = _newest_whole(path, content)
        except BaseException:
            os.close(self._file)
            raise

    @property
    def sequence(self) -> int:
        """Everything up to this sequence number is on disk."""
        return self._mark.sequence

    @property
    def epoch(self) -> int:
        """How often the directory has been opened."""
        return self._mark.epoch

    def record(self, sequence: int, *, epoch: int | None = None) -> None:
        """Make a new mark durable; it never goes back.

        Raises:
            OSError: the disk refused. The mark before this one still stands.
        """
        mark = Mark(
            generation=self._mark.generation + 1,
            sequence=max(sequence, self._mark.sequence),
            epoch=self._mark.epoch if epoch is None else epoch,
        )
        slot = (self._slot + 1) % _SLOTS
        with naming(self._path):
            os.pwrite(self._file, _encode(mark), slot * _SLOT_STRIDE)
        self._mark, self._slot = mark, slot

    def close(self) -> None:
        """Close the file. May be called twice."""
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)


class TideFollower:
    """Keeps a tide mark behind the syncs of the log, off their path.

    ``follow`` only notes how far the log is durable and returns; ``settle`` records that, here, or
    aside in a daemon thread while the next sync is under way. To wake a thread takes longer than
    to write to a fast disk, and less than to a slow one. ``follow`` waits for the note before, so
    the mark is at most one sync behind.
    """

    def __init__(
        self, mark: TideMark, start_thread: Callable[[Callable[[], None]], None] | None = None
    ) -> None:
        """Follow into ``mark``. ``start_thread`` is for tests that want to decide when."""
        self._mark = mark
        self._target = mark.sequence
        # Whether nobody has recorded the target yet, or was told to.
        self._is_left_over = False
        # A number wakes the thread, None ends it. A SimpleQueue waits without the interpreter lock.
        self._wake_ups: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        # Only one thread records; ``flush`` may do it in place of the thread.
        self._recording = threading.Lock()
        # The first failure is the last: the mark would otherwise lag without anybody knowing.
        self.failure: Exception | None = None
        (start_thread or _start_daemon)(self._run)

    def follow(self, sequence: int) -> None:
        """Note that the log is durable up to ``sequence``.

        What was noted before is recorded when this returns: here, if it is not yet. Otherwise the
        thread could fall behind by as many syncs as one slow write takes, and damage to all of
        those could pass for an end that was never acknowledged.

        Raises:
            Exception: what recording an earlier mark failed with. Nothing was noted.
        """
        self._record()
        if self.failure is not None:
            raise self.failure
        self._target = sequence
        self._is_left_over = True

    def settle(self, *, aside: bool) -> None:
        """Record what was noted last, or have it recorded; a failure is told by ``follow``."""
        if not self._is_left_over:
            return
        self._is_left_over = False
        if aside:
            self._wake_ups.put(self._target)
        else:
            self._record()

    def flush(self) -> None:
        """Return once all that was noted is recorded, recording it here if need be.

        Raises:
            StoreFailedError: the mark could not be written, now or before.
        """
        self._record()
        if self.failure is not None:
            message = f"the tide mark could not be written: {self.failure}"
            raise StoreFailedError(message) from self.failure

    def stop(self) -> None:
        """End the thread once it has done what it is doing. Records nothing more."""
        with self._recording:
            self._target = self._mark.sequence
        self._wake_ups.put(None)

    def _run(self) -> None:
        while self._wake_ups.get() is not None:
            self._record()

    def _record(self) -> None:
        with self._recording:
            target = self._target
            if self.failure is not None or target <= self._mark.sequence:
                return
            try:
                self._mark.record(target)
            except Exception as failure:  # noqa: BLE001 -- whatever it is, the next sync tells
                self.failure = failure


def create_tide_mark(path: Path) -> None:
    """Make the mark of a new data directory, whole or not at all."""
    first = _encode(Mark(generation=1, sequence=0, epoch=0))
    _put_in_place(path, first.ljust(_SLOT_STRIDE * _SLOTS, b"\0"))


def own_tide_mark(path: Path) -> bool:
    """Give the mark at ``path`` a file of its own, if another directory has it under a second name.

    So it is after ``cp -al``, and what is written here in place would be written there too: the
    other directory would be held to rows that it never had. True if the name is still to be made
    durable, before anything is recorded.
    """
    with naming(path):
        if not path.exists() or path.stat().st_nlink == 1:
            return False
        _put_in_place(path, path.read_bytes())
    return True


def _put_in_place(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    temporary = path.with_name(path.name + ".new")
    with naming(temporary), temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _encode(mark: Mark) -> bytes:
    body = _SLOT.pack(_MAGIC, mark.generation, mark.sequence, mark.epoch)
    return body + _CHECKSUM.pack(zlib.crc32(body))


def _decode(slot: bytes) -> Mark | None:
    if len(slot) < _SLOT.size + _CHECKSUM.size:
        return None
    body = slot[: _SLOT.size]
    (checksum,) = _CHECKSUM.unpack_from(slot, _SLOT.size)
    magic, generation, sequence, epoch = _SLOT.unpack(body)
    if magic != _MAGIC or checksum != zlib.crc32(body):
        return None
    return Mark(generation=generation, sequence=sequence, epoch=epoch)


def _newest_whole(path: Path, content: bytes) -> tuple[Mark, int]:
    """The mark that counts and the slot it stands in.

    Where the other slot is damaged it may have held a mark that counted one epoch more, and numbers
    of that epoch were given out; so that epoch is taken to be the last.
    """
    found: tuple[Mark, int] | None = None
    slots = [content[slot * _SLOT_STRIDE : (slot + 1) * _SLOT_STRIDE] for slot in range(_SLOTS)]
    marks = [_decode(slot) for slot in slots]
    for slot, mark in enumerate(marks):
        if mark is not None and (found is None or mark.generation > found[0].generation):
            found = mark, slot
    if found is None:
        message = f"{path} is damaged: neither of its two slots has a valid checksum"
        raise StoreDamagedError(message)
    mark, slot = found
    other = (slot + 1) % _SLOTS
    # The second slot of a new file is empty until the second mark is written.
    if marks[other] is None and (mark.generation > 1 or any(slots[other])):
        return replace(mark, epoch=mark.epoch + 1), slot
    return found


def _missing(path: Path) -> StoreDamagedError:
    message = f"{path} is missing, so nothing says how much the data directory must hold"
    return StoreDamagedError(message)


def _start_daemon(run: Callable[[], None]) -> None:
    threading.Thread(target=run, name="holdfast-tide-mark", daemon=True).start()
