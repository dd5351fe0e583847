"""When there is too much for a server: who is told so, and who has to go.

A connection beyond the bound is answered what its head has earned already, or 503.

Answers that callers do not take are held in memory, as large as they are. When they are more than
may be, those go that have not been taken for longest, with their connections: whoever asks now gets
his answer, and the invocations are not touched.
"""

from typing import Protocol

from .door import Door
from .messages import Head, Response
from .problems import Refusal, RefusedError


class Cut(Protocol):
    """A connection, as far as it is needed here."""

    def abort(self) -> None:
        """Cut it off: what was not sent is forgotten."""
        ...


class Unread:
    """The answers of one server that are held because the system takes no more of them."""

    def __init__(self, bytes_max: int) -> None:
        """Begin with none."""
        self._bytes_max = bytes_max
        # How much each was when it was held, the earliest first.
        self._sizes: dict[Cut, int] = {}
        self.bytes = 0

    def add(self, connection: Cut, size: int) -> None:
        """Hold so much for ``connection``; others that have held theirs for longer may have to go.

        One alone is held however large it is.
        """
        self.remove(connection)
        while self._sizes and self.bytes + size > self._bytes_max:
            earliest = next(iter(self._sizes))
            self.remove(earliest)
            earliest.abort()
        self._sizes[connection] = size
        self.bytes += size

    def remove(self, connection: Cut) -> None:
        """Say that the answer was taken, or the connection is lost. Idempotent."""
        self.bytes -= self._sizes.pop(connection, 0)


def answer_crowded(door: Door, head: Head, connections: int) -> Response:
    """The answer on a connection beyond so many that are open and at work."""
    opened = door.open(head)
    if isinstance(opened, Response):
        return opened
    message = (
        f"{connections} connections are open and at work, which is as many as there "
        f"may be (HttpOptions.connections_max); try again soon"
    )
    return door.refuse(RefusedError(Refusal.CROWDED, message), head)
