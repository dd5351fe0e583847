"""What the journal asks of a store, and what it may rely on.

A store is an ordered map of bytes that changes only by whole batches. It knows nothing of what
the bytes mean. ``rocks`` is the real one, ``memory`` its twin for tests and throwaway runtimes;
both pass ``tests/journal/test_store_contract.py``.

Writing and becoming durable are two things. ``write`` makes a batch visible to every later read
and gives back its position; ``sync`` makes durable all that was written before it began. Whoever
promises something to the outside waits for a ``sync``; see ``runtime/DESIGN.md``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatistics:
    """A moment's view of a store, for metrics and tests."""

    batches_written: int
    rows_written: int
    bytes_written: int
    """Keys and values of all puts and deletes, before any compression."""
    syncs: int
    """fsyncs of the log asked for, the number the benchmarks count."""
    log_bytes: int = 0
    """About what a start would have to replay; 0 for a store without a log."""
    log_moves: int = 0
    """How often the log was moved into tables because it had grown long."""


class StoreView(Protocol):
    """The rows of a store as they were at one moment, for reading only.

    Unlike the store itself it may be read in any one thread at a time, while the store is read and
    written in its own. What it shows was written, not necessarily durable: whoever hands it on to
    the outside waits for a ``sync`` that began after the view was made. It holds on to rows that
    were deleted since, so close it soon.
    """

    def get(self, key: bytes) -> bytes | None:
        """The value at ``key`` at that moment, or ``None``.

        Raises:
            StoreFailedError: the view or its store was closed, or cannot be read.
        """
        ...

    def scan(
        self, start: bytes, end: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """As ``Store.scan``, of that moment.

        Raises:
            StoreDamagedError: a block could not be read; rows already given are right.
            StoreFailedError: the view or its store was closed, or cannot be read.
        """
        ...

    def close(self) -> None:
        """Let go of the moment; a scan that goes on in another thread ends with an error."""
        ...


class Store(Protocol):
    """An ordered map of bytes that changes by whole batches.

    All methods belong to the thread that opened the store, but ``sync`` and ``settle`` may run in
    one other thread at the same time, ``maintain`` in a third and ``compact`` in a fourth. The
    first failure of any of them is the last: from then on every method but ``settle``,
    ``statistics`` and ``close`` raises ``StoreFailedError``. So it is after ``close``, and in a
    forked child.
    """

    @property
    def epoch(self) -> int:
        """How often this directory has been opened, this time included. Durable before use."""
        ...

    @property
    def is_nearly_full(self) -> bool:
        """Whether new work should be refused for want of disk space, as of the last ``maintain``.

        Writing goes on; whoever accepts new work raises ``StoreFullError`` instead.
        """
        ...

    def get(self, key: bytes) -> bytes | None:
        """The value at ``key``, or ``None``.

        Raises:
            StoreFailedError: the store failed, now or before.
        """
        ...

    def scan(
        self, start: bytes, end: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Rows with ``start <= key < end`` in key order (``reverse``: last first).

        ``end`` of ``None`` means: to the last row. What a write does to a scan under way is
        undefined; take what you need before you write.

        Raises:
            StoreDamagedError: the store could not read on; rows already given are right, and the
                scan never ends early in silence.
            StoreFailedError: the store failed, now or before.
        """
        ...

    def view(self) -> StoreView:
        """The rows as they are now, every batch written so far included; see ``StoreView``.

        Closing the store closes its views.

        Raises:
            StoreFailedError: the store failed, now or before.
        """
        ...

    def write(self, batch: Mapping[bytes, bytes | None]) -> int:
        """Apply the whole batch or nothing; ``None`` deletes. An empty batch is none at all.

        When this returns, reads see the batch and a crash of the process keeps it; a power cut
        may lose it until a ``sync`` that began afterwards has returned.

        Returns:
            The position of the batch: positions grow by at least one per batch, from 1 at each
            opening. An empty batch gives the last position again.

        Raises:
            StoreFailedError: the store failed. Whether the batch is there is unknown until the
                next start.
        """
        ...

    def sync(self) -> int:
        """Make durable all that was written before this call began.

        Blocks for one fsync and releases the interpreter lock meanwhile. With nothing new to sync
        it returns at once.

        Returns:
            The highest position that is now durable.

        Raises:
            StoreFailedError: the store failed. What was written since the last sync may or may
                not be there after the next start.
        """
        ...

    def settle(self, *, aside: bool) -> None:
        """Do what a ``sync`` has left over, once whoever waited for it was told.

        To be called in the thread that called ``sync``; where it is not, the next ``sync`` does it.
        It may block for one more fsync, without the interpreter lock, or have that done ``aside``,
        in a thread of the store's own, while the next ``sync`` is under way. It does not raise:
        what fails is told by the next ``sync``.
        """
        ...

    def maintain(self) -> None:
        """Keep the store ready for a quick start and for new work; call it about once a second.

        Bounds what a start after a crash has to replay, and looks how full the disk is. Cheap when
        nothing is to be done. May block for as long as 64 MiB take to write, without the
        interpreter lock; reads, writes and syncs go on meanwhile.

        Raises:
            StoreFailedError: the store failed, now or before.
        """
        ...

    def compact(self, start: bytes, end: bytes | None) -> None:
        """Give back the disk space of rows deleted in ``start <= key < end``.

        Changes nothing that can be read. May block for long, without the interpreter lock; all
        else goes on meanwhile. ``close`` ends it early, and what it has done so far is kept. It
        does nothing where the disk has no room for it: what is kept is written a second time.

        Raises:
            StoreFailedError: the store failed, now or before.
        """
        ...

    def approximate_bytes(self) -> int:
        """About how much the rows take on disk, compressed and with what is not yet compacted.

        Costs microseconds. Deleted rows count until they are compacted away.

        Raises:
            StoreFailedError: the store failed, now or before.
        """
        ...

    def statistics(self) -> StoreStatistics:
        """What was done since the store was opened."""
        ...

    def close(self) -> None:
        """Sync what is left, then release the directory. May be called twice."""
        ...
