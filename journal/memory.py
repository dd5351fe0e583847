"""The store without a disk: the twin of ``rocks`` for tests and throwaway runtimes.

It passes the same contract, and it can do what a disk cannot be asked for: ``crash`` gives the
store that the next start would find, after a killed process or after a power cut, and
``fail_next_write`` and ``fail_next_sync`` make the disk refuse.
"""

import threading
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator, Mapping

from ..objects.errors import StoreFailedError
from .store import StoreStatistics

_SCAN_ROWS = 64


class MemoryStore:
    """A ``Store`` whose rows live and die with it."""

    def __init__(self, rows: Mapping[bytes, bytes] | None = None, *, epoch: int = 1) -> None:
        """Open a store that holds ``rows``, as durable."""
        self._rows: dict[bytes, bytes] = dict(rows or {})
        # Invariant: the keys of ``_rows``, sorted.
        self._keys: list[bytes] = sorted(self._rows)
        self._epoch = epoch
        # Settable, so that a test can fill the disk.
        self.is_nearly_full = False
        self._position = 0
        self._rows_written = 0
        self._bytes_written = 0
        self._syncing = threading.Lock()
        self._durable_position = 0
        self._syncs = 0
        # For each batch not yet durable, its position and the rows as they were before it. The
        # writer appends on the right, a sync takes from the left.
        self._undo: deque[tuple[int, dict[bytes, bytes | None]]] = deque()
        # Why every method refuses; None while the store works.
        self._stopped: str | None = None
        # What the next write and sync do instead: None works, True does it and then fails.
        self._failing_write: bool | None = None
        self._failing_sync: bool | None = None

    @property
    def epoch(self) -> int:
        """One more with each ``crash``."""
        return self._epoch

    @property
    def unsynced_batches(self) -> int:
        """How many written batches a power cut would take along."""
        return self._position - self._durable_position

    def get(self, key: bytes) -> bytes | None:
        """See ``Store.get``."""
        self._check()
        return self._rows.get(key)

    def scan(
        self, start: bytes, end: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """See ``Store.scan``."""
        while True:
            self._check()
            low = bisect_left(self._keys, start)
            high = len(self._keys) if end is None else bisect_left(self._keys, end)
            if low >= high:
                return
            if reverse:
                keys = self._keys[max(low, high - _SCAN_ROWS) : high]
                end = keys[0]
                keys.reverse()
            else:
                keys = self._keys[low : min(high, low + _SCAN_ROWS)]
                start = keys[-1] + b"\0"
            yield from [(key, self._rows[key]) for key in keys]

    def view(self) -> "MemoryView":
        """See ``Store.view``. Here it is a copy."""
        self._check()
        return MemoryView(MemoryStore(self._rows))

    def write(self, batch: Mapping[bytes, bytes | None]) -> int:
        """See ``Store.write``."""
        self._check()
        if not batch:
            return self._position
        if self._failing_write is not None:
            if self._failing_write:
                self._apply(batch)
            self._stopped = "writing a batch failed, as a test asked"
            raise StoreFailedError(self._stopped)
        self._apply(batch)
        return self._position

    def sync(self) -> int:
        """See ``Store.sync``."""
        with self._syncing:
            self._check()
            position = self._position
            if position == self._durable_position:
                return position
            failing = self._failing_sync
            if failing is not False:
                while self._undo and self._undo[0][0] <= position:
                    self._undo.popleft()
            if failing is not None:
                self._stopped = "syncing failed, as a test asked"
                raise StoreFailedError(self._stopped)
            self._syncs += 1
            self._durable_position = position
            return position

    def settle(self, *, aside: bool) -> None:
        """See ``Store.settle``. Nothing is left over."""

    def maintain(self) -> None:
        """See ``Store.maintain``. There is nothing to do."""
        self._check()

    def compact(self, start: bytes, end: bytes | None) -> None:  # noqa: ARG002 -- the contract's
        """See ``Store.compact``. There is nothing to do."""
        self._check()

    def approximate_bytes(self) -> int:
        """See ``Store.approximate_bytes``. Here it is exact, and costs a walk over all rows."""
        self._check()
        return sum(len(key) + len(value) for key, value in self._rows.items())

    def statistics(self) -> StoreStatistics:
        """What was done since the store was opened."""
        return StoreStatistics(
            batches_written=self._position,
            rows_written=self._rows_written,
            bytes_written=self._bytes_written,
            syncs=self._syncs,
        )

    def close(self) -> None:
        """See ``Store.close``."""
        if self._stopped is None:
            try:
                self.sync()
            finally:
                self._stopped = self._stopped or "the store is closed"

    def crash(self, *, keep_written: bool, through: int = 0) -> "MemoryStore":
        """Take the process away, and give the store that the next start opens.

        Args:
            keep_written: true for a killed process, which loses nothing that was written; false
                for a power cut, which loses what was not synced.
            through: the position up to which a power cut spares unsynced batches as well: a disk
                may have got around to them.
        """
        rows = dict(self._rows)
        if not keep_written:
            for position, before in reversed(self._undo):
                if position <= through:
                    break
                for key, value in before.items():
                    if value is None:
                        rows.pop(key, None)
                    else:
                        rows[key] = value
        self._stopped = "the process of this store has crashed"
        return MemoryStore(rows, epoch=self._epoch + 1)

    def fail_next_write(self, *, applied: bool = False) -> None:
        """Let the next write fail for good, with its batch ``applied`` all the same or not."""
        self._failing_write = applied

    def fail_next_sync(self, *, durable: bool = False) -> None:
        """Let the next sync fail for good, with all written ``durable`` all the same or not."""
        self._failing_sync = durable

    def _check(self) -> None:
        if self._stopped is not None:
            raise StoreFailedError(self._stopped)

    def _apply(self, batch: Mapping[bytes, bytes | None]) -> None:
        before: dict[bytes, bytes | None] = {}
        for key, value in batch.items():
            old = self._rows.get(key)
            before[key] = old
            if value is None:
                self._bytes_written += len(key)
                if old is not None:
                    del self._rows[key]
                    del self._keys[bisect_left(self._keys, key)]
            else:
                self._bytes_written += len(key) + len(value)
                self._rows[key] = value
                if old is None:
                    insort(self._keys, key)
        self._rows_written += len(batch)
        self._undo.append((self._position + 1, before))
        self._position += 1


class MemoryView:
    """A ``StoreView`` of a ``MemoryStore``, which it has no tie to any more."""

    def __init__(self, copy: MemoryStore) -> None:
        """Show what ``copy`` holds."""
        self._copy = copy

    def get(self, key: bytes) -> bytes | None:
        """See ``StoreView.get``."""
        return self._copy.get(key)

    def scan(
        self, start: bytes, end: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """See ``StoreView.scan``."""
        return self._copy.scan(start, end, reverse=reverse)

    def close(self) -> None:
        """See ``StoreView.close``."""
        self._copy.close()
