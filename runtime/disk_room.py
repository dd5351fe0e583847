"""Whether there is disk space for new work: what is refused without it, and who is told.

The store says whether there is. New work is refused at each door by ``check_room``; what runs goes
on, because it may be what frees the space. Whoever operates it reads in the log when that begins
and ends.
"""

from typing import Final

from ..journal.disk_space import FREE_BYTES_MIN
from ..journal.store import Store
from ..objects.errors import StoreFullError
from .logs import make_logger

logger = make_logger("holdfast.runtime")

NEARLY_FULL: Final = (
    f"the disk is nearly full (less than {FREE_BYTES_MIN >> 20} MiB are free where the data "
    f"directory is)"
)


def check_room(store: Store) -> None:
    """See that new work finds room.

    Raises:
        StoreFullError: there is too little disk space.
    """
    if store.is_nearly_full:
        raise refusal()


def refusal() -> StoreFullError:
    """What new work is told."""
    return StoreFullError(f"{NEARLY_FULL}, so no new work is accepted; free some space")


class RoomLog:
    """Says once when the room is gone, and once when it is back."""

    def __init__(self, store: Store) -> None:
        """Begin with a disk that has room."""
        self._store = store
        self._was_full = False

    def look(self) -> None:
        """Say what has changed since the last look."""
        is_full = self._store.is_nearly_full
        if is_full == self._was_full:
            return
        self._was_full = is_full
        if is_full:
            logger.warning(
                "%s: new work is refused (507) until some space is free; what runs goes on, and "
                "reads are answered",
                NEARLY_FULL,
            )
        else:
            logger.warning("the disk has room again: new work is accepted")
