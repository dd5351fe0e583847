"""The store on disk: RocksDB, with the rule that the first failure is the last.

How it is opened, which is what makes an open store mean something, is in ``rocks_open``,
how rows are read in ``rocks_reading``; what was measured, and why the settings are what they are,
is in ``STORE.md``. These three modules are the only ones that import rocksdict.

Threads: the methods belong to the thread that opened the store, but ``sync`` and ``settle`` may run
in one other thread, ``maintain`` in a third and ``compact`` in a fourth. What they share is written
by one side only.
"""

import ctypes
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Literal, NoReturn

from rocksdict import CompactOptions, WriteBatch

from ..objects.errors import StoreDamagedError, StoreFailedError
from .backup import BackupInfo, back_up, check_target
from .data_directory import DataDirectory, explained_errors
from .disk_space import FREE_BYTES_MIN
from .rocks_open import MIB, let_go, open_database
from .rocks_reading import (
    RocksView,
    Row,
    bounded_cursor,
    forget_cursor,
    read_slice,
    scan_in_slices,
)
from .store import StoreStatistics
from .tide_mark import TideFollower

logger = logging.getLogger(__name__)

Durability = Literal["fsync", "process"]
TideMarkPolicy = Literal["overlapped", "strict"]

# What one compaction writes at most; RocksDB does long ranges in pieces of 25 files of 64 MiB.
_COMPACTION_BYTES_MAX = 25 * 64 * MIB

# What the log spends on a row and on a batch beside their bytes, near enough for a cap.
_ROW_OVERHEAD_BYTES = 8
_BATCH_OVERHEAD_BYTES = 19


class RocksStore:
    """A ``Store`` in a data directory. Opening it is the start sequence of ``rocks_open``."""

    def __init__(  # noqa: PLR0913 -- settings of one thing, all but the first by keyword
        self,
        data_dir: str | os.PathLike[str],
        *,
        durability: Durability = "fsync",
        tide_mark: TideMarkPolicy = "overlapped",
        log_bytes_max: int = 24 * MIB,
        log_rows_max: int = 100_000,
        memtable_bytes: int = 64 * MIB,
        block_cache_bytes: int = 64 * MIB,
        ballast_bytes: int = 32 * MIB,
        free_bytes_min: int = FREE_BYTES_MIN,
    ) -> None:
        """Open the store in ``data_dir``, which is made if it does not exist.

        Args:
            data_dir: the directory; nobody else may have it open.
            durability: "process" makes ``sync`` a matter of no fsync: a killed process loses
                nothing, a power cut may lose what was written since the last start or close.
            tide_mark: whether the tide mark is durable before ``sync`` returns ("strict") or by
                the time of the next one ("overlapped").
            log_bytes_max: ``maintain`` moves the log into tables beyond this size, so that a
                start after a kill stays short.
            log_rows_max: as ``log_bytes_max``; a start replays rows, however small.
            memtable_bytes: the size at which RocksDB itself moves the log, on the writing thread.
            block_cache_bytes: memory for blocks of the table files, their indexes and filters.
            ballast_bytes: see ``disk_space``; a start writes as much as the log holds.
            free_bytes_min: with less than this free, ``is_nearly_full`` is true.

        Raises:
            StoreFormatError: not a data directory, or one of a newer format. Untouched.
            StoreLockedError: it is open elsewhere. Untouched.
            StoreDamagedError: it holds less than was acknowledged. The rows are untouched.
            StoreFullError: no space left to open it.
            StoreFailedError: it cannot be opened for another reason, which the message names.
        """
        # Why every method refuses; None while the store works. The first reason stays.
        self._stopped: str | None = None
        self._cause: BaseException | None = None
        self._directory = DataDirectory(
            data_dir,
            ballast_bytes=ballast_bytes,
            free_bytes_min=free_bytes_min,
            on_fork=self._leave_to_parent,
        )
        # A forked child must not even close what it inherited.
        self._is_in_child = False
        self._fsyncs = durability == "fsync"
        self._log_bytes_max = log_bytes_max
        self._log_rows_max = log_rows_max
        # Written by the opening thread only. A batch takes its position once it is written.
        self._position = 0
        # Views that are open. They keep RocksDB itself open, so they are closed before it is.
        self._views: set[RocksView] = set()
        self._rows_written = 0
        self._bytes_written = 0
        # Written under ``_syncing`` only. Invariant: durable position <= position.
        self._syncing = threading.Lock()
        self._durable_position = 0
        self._syncs = 0
        # Written under ``_maintaining`` only: what had been written when the log was last moved.
        self._maintaining = threading.Lock()
        self._moved = (0, 0, 0)
        self._log_moves = 0
        # Held by a compaction, so that the database is not closed under it.
        self._compacting = threading.Lock()
        self._is_closing = False
        # Keeps the tide mark when it is overlapped; None when a sync writes it itself, or nobody.
        self._follower: TideFollower | None = None
        try:
            with explained_errors(self._directory.path):
                self._db = open_database(self._directory, memtable_bytes, block_cache_bytes)
                try:
                    self._directory.ballast.hold()
                    self._is_nearly_full = self._directory.is_nearly_full()
                    if self._fsyncs and tide_mark == "overlapped":
                        self._follower = TideFollower(self._directory.tide)
                except BaseException:
                    let_go(self._directory, self._db)
                    raise
        except BaseException:
            self._directory.close()
            raise

    @property
    def path(self) -> Path:
        """The data directory, with symlinks resolved."""
        return self._directory.path

    @property
    def epoch(self) -> int:
        """How often this directory has been opened, this time included."""
        return self._directory.tide.epoch

    @property
    def is_nearly_full(self) -> bool:
        """Whether new work should be refused for want of disk space; ``maintain`` looks."""
        return self._is_nearly_full

    def get(self, key: bytes) -> bytes | None:
        """See ``Store.get``."""
        if self._stopped is not None:
            raise self._refusal()
        try:
            value: bytes | None = self._db.get(key)
        except Exception as cause:  # noqa: BLE001 -- every failure is final
            self._fail("reading a row", cause)
        return value

    def scan(
        self, start: bytes, end: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """See ``Store.scan``. Holds nothing of RocksDB between two rows."""
        read = partial(self._read_rows, reverse=reverse)
        return scan_in_slices(read, start, end, reverse=reverse)

    def view(self) -> RocksView:
        """See ``Store.view``."""
        if self._stopped is not None:
            raise self._refusal()
        try:
            cursor = self._db.iter()
        except Exception as cause:  # noqa: BLE001 -- every failure is final
            self._fail("making a view", cause)
        view = RocksView(self._directory.path, cursor, self._views.discard)
        self._views.add(view)
        return view

    def write(self, batch: Mapping[bytes, bytes | None]) -> int:
        """See ``Store.write``. Holds the interpreter lock for a few microseconds."""
        if self._stopped is not None:
            raise self._refusal()
        if not batch:
            return self._position
        size = 0
        writes = WriteBatch(raw_mode=True)
        for key, value in batch.items():
            if value is None:
                writes.delete(key)
                size += len(key)
            else:
                writes.put(key, value)
                size += len(key) + len(value)
        try:
            self._db.write(writes)
        except Exception as cause:  # noqa: BLE001 -- every failure is final
            self._fail("writing a batch", cause)
        self._rows_written += len(batch)
        self._bytes_written += size
        self._position += 1
        return self._position

    def sync(self) -> int:
        """See ``Store.sync``. With ``durability="process"`` it returns at once."""
        with self._syncing:
            if self._stopped is not None:
                raise self._refusal()
            # Both are read before the flush begins: what is written while it runs may or may not
            # be part of it.
            position = self._position
            if not self._fsyncs or position == self._durable_position:
                self.settle(aside=True)
                return position
            sequence = self._db.latest_sequence_number()
            self._flush_log(sequence)
            if self._stopped is not None:
                raise self._refusal()
            self._durable_position = position
            return position

    def settle(self, *, aside: bool) -> None:
        """See ``Store.settle``: the tide mark follows, where ``sync`` does not write it itself."""
        if self._follower is not None and not self._is_in_child:
            self._follower.settle(aside=aside)

    def flush_tide_mark(self) -> None:
        """Return once the tide mark covers every sync that has returned.

        Raises:
            StoreFailedError: the tide mark could not be written.
        """
        if self._follower is not None:
            self._follower.flush()

    def maintain(self) -> None:
        """See ``Store.maintain``."""
        with self._maintaining:
            if self._stopped is not None:
                raise self._refusal()
            try:
                self._is_nearly_full = self._directory.is_nearly_full()
                self._check_background_work()
                if self._log_is_long():
                    self._move_log()
            except Exception as cause:  # noqa: BLE001 -- every failure is final
                self._fail("maintaining the files", cause)

    def back_up(self, target: str | os.PathLike[str]) -> BackupInfo:
        """Copy the directory to ``target``, as ``backup.back_up``; for a thread of its own.

        The copy is opened to see that it is whole, and opening replays the log with the
        interpreter lock held: a long log would stop the loop for a quarter of a second. So it is
        moved into a table first, which is done without the lock.

        Raises: as ``backup.back_up``; StoreFailedError also where the store failed, now or before.
        """
        check_target(self.path, target)
        with self._maintaining:
            if self._stopped is not None:
                raise self._refusal()
            try:
                self._move_log()
            except Exception as cause:  # noqa: BLE001 -- every failure is final
                self._fail("moving the log before a backup", cause)
        return back_up(self.path, target)

    def compact(self, start: bytes, end: bytes | None) -> None:
        """See ``Store.compact``."""
        with self._compacting:
            if self._stopped is not None:
                raise self._refusal()
            if self._is_closing or not self._has_room_to_compact():
                return
            options = CompactOptions()
            # RocksDB's own compactions must not wait for this one: a pile of files in level 0
            # puts brakes on whoever writes.
            options.set_exclusive_manual_compaction(False)
            try:
                self._db.compact_range(start, end, options)
            except Exception as cause:  # noqa: BLE001 -- every failure is final
                self._fail("compacting the files", cause)

    def _has_room_to_compact(self) -> bool:
        """Whether what is kept of the tables can be written beside them, so much as one piece is.

        A compaction that runs out of space is a failure of RocksDB's background work, which stops
        the store: too much for what only tidies up.
        """
        tables = self._db.property_int_value("rocksdb.live-sst-files-size") or 0
        needed = min(tables, _COMPACTION_BYTES_MAX)
        if self._directory.has_room_for(needed):
            return True
        logger.info("no room to compact %s, which takes up to %d MiB", self.path, needed // MIB)
        return False

    def approximate_bytes(self) -> int:
        """See ``Store.approximate_bytes``."""
        if self._stopped is not None:
            raise self._refusal()
        tables = self._db.property_int_value("rocksdb.live-sst-files-size") or 0
        return tables + self._log_bytes()

    def statistics(self) -> StoreStatistics:
        """What was done since the store was opened."""
        return StoreStatistics(
            batches_written=self._position,
            rows_written=self._rows_written,
            bytes_written=self._bytes_written,
            syncs=self._syncs,
            log_bytes=self._log_bytes(),
            log_moves=self._log_moves,
        )

    def close(self) -> None:
        """Sync what is left and release the directory. Waits for the other threads' calls.

        Raises:
            StoreFailedError: the last sync failed. The directory is released all the same.
        """
        if self._is_in_child:
            return
        self._is_closing = True
        if self._compacting.locked() and self._stopped is None:
            # It may have minutes to go, and what it has done so far is kept.
            self._db.cancel_all_background(wait=False)
        with self._syncing, self._maintaining, self._compacting:
            if self._stopped is not None:
                self._release()
                return
            try:
                self._flush_log(self._db.latest_sequence_number())
                self.flush_tide_mark()
            except StoreFailedError as error:
                self._cause = self._cause or error
                raise
            finally:
                if self._stopped is None:
                    self._stopped = "the store is closed"
                self._release()

    def _read_rows(
        self, start: bytes, end: bytes | None, rows_max: int, *, reverse: bool
    ) -> tuple[list[Row], bool]:
        if self._stopped is not None:
            raise self._refusal()
        try:
            # No name for the cursor: this frame lives as long as whoever keeps the error.
            return read_slice(
                bounded_cursor(self._db, end), start, end, reverse=reverse, rows_max=rows_max
            )
        except Exception as cause:  # noqa: BLE001 -- every failure is final
            forget_cursor(cause)
            self._fail("scanning rows", cause)

    def _flush_log(self, sequence: int) -> None:
        """Make the log durable, and move the tide mark to a number read before this call.

        Not where the store has stopped meanwhile: nobody is told of that sync either.
        """
        self.settle(aside=True)
        try:
            self._db.flush_wal(True)  # noqa: FBT003 -- rocksdict's signature
            self._syncs += 1
            if self._stopped is not None:
                # A write failed meanwhile, and RocksDB may call a flush good after that.
                return
            if self._follower is None:
                self._directory.tide.record(sequence)
            else:
                self._follower.follow(sequence)
        except Exception as cause:  # noqa: BLE001 -- every failure is final
            self._fail("syncing the log", cause)

    def _check_background_work(self) -> None:
        """A failure in RocksDB's own threads, flushing or compacting, is one like any other."""
        if failures := self._db.property_int_value("rocksdb.background-errors"):
            message = f"RocksDB counts {failures} errors of its background work"
            raise OSError(message)

    def _log_bytes(self) -> int:
        """About the size of the log that a start would replay."""
        position, rows, size = self._moved
        return (
            (self._bytes_written - size)
            + (self._rows_written - rows) * _ROW_OVERHEAD_BYTES
            + (self._position - position) * _BATCH_OVERHEAD_BYTES
        )

    def _log_is_long(self) -> bool:
        return (
            self._log_bytes() > self._log_bytes_max
            or self._rows_written - self._moved[1] > self._log_rows_max
        )

    def _move_log(self) -> None:
        """Write what the log holds into a table file; RocksDB then deletes the log."""
        moved = (self._position, self._rows_written, self._bytes_written)
        self._db.flush(wait=True)
        self._moved = moved
        self._log_moves += 1

    def _fail(self, doing: str, cause: BaseException) -> NoReturn:
        """Stop for good, and say so to whoever asked."""
        message = f"{self._directory.path}: {doing} failed: {cause}"
        is_damage = "Corruption" in str(cause)
        error = StoreDamagedError(message) if is_damage else StoreFailedError(message)
        if self._stopped is None:
            # What is damaged is so after a start, too; whoever asks later must be able to tell.
            self._cause = error if is_damage else cause
            cure = (
                "stop using it and ask `holdfast doctor`" if is_damage else "start again to recover"
            )
            self._stopped = f"{message}. The store has stopped; {cure}"
        raise error from cause

    def _refusal(self) -> StoreFailedError:
        error = StoreFailedError(self._stopped or "the store is closed")
        error.__cause__ = self._cause
        return error

    def _release(self) -> None:
        """Close RocksDB before the lock goes; after a failure its complaints are known."""
        if self._follower is not None:
            self._follower.stop()
        for view in list(self._views):
            view.close()
        try:
            try:
                if self._cause is not None or self._directory.is_nearly_full():
                    # Else what the log holds is written into a table, and where that fails
                    # RocksDB sleeps for a second; whoever must go should be gone by then. The
                    # next start does it, and has the ballast for it.
                    self._db.cancel_all_background(wait=False)
            finally:
                self._db.close()
        except Exception:
            logger.debug("closing RocksDB in %s", self._directory.path, exc_info=True)
        self._directory.close()

    def _leave_to_parent(self) -> None:
        """In a forked child: refuse everything, and never run RocksDB's destructor.

        The destructor waits for background threads that a fork does not copy, so the child could
        not exit; one reference too many keeps it from running.
        """
        self._stopped = "the store belongs to the process that opened it; this is a forked child"
        self._is_in_child = True
        # The locks may be held by threads that exist in the parent only.
        self._syncing = threading.Lock()
        self._maintaining = threading.Lock()
        self._compacting = threading.Lock()
        if (db := getattr(self, "_db", None)) is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(db))
