"""A view as a store: for code that asks for a store and must not change one."""

from collections.abc import Iterator, Mapping
from typing import NoReturn

from ..objects.errors import StoreFailedError
from .store import StoreStatistics, StoreView


class ViewStore:
    """Reads a view, and refuses whatever else a ``Store`` is asked for."""

    epoch = 0
    is_nearly_full = False

    def __init__(self, rows: StoreView) -> None:
        """Show ``rows``; whoever gave them closes them."""
        self._rows = rows

    def get(self, key: bytes) -> bytes | None:
        """As ``Store.get``."""
        return self._rows.get(key)

    def scan(
        self, start: bytes, end: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """As ``Store.scan``."""
        return self._rows.scan(start, end, reverse=reverse)

    def view(self) -> StoreView:
        """The view itself."""
        return self._rows

    def write(self, batch: Mapping[bytes, bytes | None]) -> NoReturn:  # noqa: ARG002  # a store's
        """Refuse."""
        raise _refusal()

    def sync(self) -> NoReturn:
        """Refuse."""
        raise _refusal()

    def settle(self, *, aside: bool) -> NoReturn:  # noqa: ARG002  # a store's
        """Refuse."""
        raise _refusal()

    def maintain(self) -> NoReturn:
        """Refuse."""
        raise _refusal()

    def compact(self, start: bytes, end: bytes | None) -> NoReturn:  # noqa: ARG002  # a store's
        """Refuse."""
        raise _refusal()

    def approximate_bytes(self) -> int:
        """Not known."""
        return 0

    def statistics(self) -> StoreStatistics:
        """Nothing was done."""
        return StoreStatistics(batches_written=0, rows_written=0, bytes_written=0, syncs=0)

    def close(self) -> None:
        """Do nothing."""


def _refusal() -> StoreFailedError:
    return StoreFailedError("a view is for reading only")
