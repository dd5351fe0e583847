"""A store whose process dies at a chosen write: applied or not, nothing comes after it.

It stands in front of any ``Store`` and counts its writes, so that a test can first learn how many
commits a call takes, and then die at each of them.
"""

from collections.abc import Iterator, Mapping

from ..journal.store import Store, StoreStatistics, StoreView


class ProcessDied(Exception):  # noqa: N818  # it is no error: a test wanted it
    """Raised by the write that a process was to die at."""


class DyingStore:
    """Counts writes, and dies at number ``die_at``; implements ``Store``."""

    def __init__(self, inner: Store, *, die_at: int | None = None, applied: bool = False) -> None:
        """Stand in front of ``inner``.

        Args:
            inner: what is read and written.
            die_at: the number of writes before the one that fails; ``None`` for never.
            applied: whether the batch that it dies at is written all the same.
        """
        self.inner = inner
        self.die_at = die_at
        self.applied = applied
        self.writes = 0
        """Batches written before the death."""
        self.last_batch: Mapping[bytes, bytes | None] = {}
        """The batch that the process died at."""

    @property
    def epoch(self) -> int:
        """As ``Store.epoch``."""
        return self.inner.epoch

    @property
    def is_nearly_full(self) -> bool:
        """As ``Store.is_nearly_full``."""
        return self.inner.is_nearly_full

    def get(self, key: bytes) -> bytes | None:
        """As ``Store.get``."""
        return self.inner.get(key)

    def scan(
        self, start: bytes, end: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """As ``Store.scan``."""
        return self.inner.scan(start, end, reverse=reverse)

    def view(self) -> StoreView:
        """As ``Store.view``."""
        return self.inner.view()

    def write(self, batch: Mapping[bytes, bytes | None]) -> int:
        """As ``Store.write``.

        Raises:
            ProcessDied: this was the write to die at.
        """
        if self.writes == self.die_at:
            self.last_batch = batch
            if self.applied:
                self.inner.write(batch)
            message = "the process died here, as a test asked"
            raise ProcessDied(message)
        self.writes += 1
        return self.inner.write(batch)

    def sync(self) -> int:
        """As ``Store.sync``."""
        return self.inner.sync()

    def settle(self, *, aside: bool) -> None:
        """As ``Store.settle``."""
        self.inner.settle(aside=aside)

    def maintain(self) -> None:
        """As ``Store.maintain``."""
        self.inner.maintain()

    def compact(self, start: bytes, end: bytes | None) -> None:
        """As ``Store.compact``."""
        self.inner.compact(start, end)

    def approximate_bytes(self) -> int:
        """As ``Store.approximate_bytes``."""
        return self.inner.approximate_bytes()

    def statistics(self) -> StoreStatistics:
        """As ``Store.statistics``."""
        return self.inner.statistics()

    def close(self) -> None:
        """As ``Store.close``."""
        self.inner.close()
