"""How a query shares one interpreter with the calls: it works a little and rests a little.

Only one thread runs Python at a time, and one that does not wait keeps the others waiting for as
long as the interpreter lets it. So a query waits on its own account, after each
half millisecond.
"""

import time
from collections.abc import Callable
from typing import Final

from ...objects.errors import InvalidArgumentError

WORK_SECONDS: Final = 0.0005
REST_SECONDS: Final = 0.0005
_TICKS_PER_LOOK: Final = 8
"""Rows between two looks at the clock."""


class QueryStoppedError(Exception):
    """Nobody waits for the answer any more. Never leaves the query's thread."""


class Pace:
    """The time of one query. Belongs to its thread."""

    def __init__(
        self,
        seconds_max: float,
        *,
        rests: bool = True,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Begin now.

        Args:
            seconds_max: how long it may take, its rests included.
            rests: whether there is anybody to leave time to.
            is_stopped: whether nobody wants the answer any more; asked from the query's thread.
        """
        self._is_stopped = is_stopped
        self._seconds_max = seconds_max
        self._rests = rests
        self._end = time.monotonic() + seconds_max
        self._rested = time.monotonic()
        self._ticks = 0

    def tick(self) -> None:
        """Look at the time, once in a while; called for each row, and raises as ``look``."""
        self._ticks += 1
        if self._ticks % _TICKS_PER_LOOK == 0:
            self.look()

    def look(self) -> None:
        """Look at the time now, because what comes next may take long; raises as ``tick``.

        Raises:
            InvalidArgumentError: the time is over.
            QueryStoppedError: nobody waits for it.
        """
        if self._is_stopped():
            raise QueryStoppedError
        now = time.monotonic()
        if now > self._end:
            message = (
                f"the query took more than {self._seconds_max:g} seconds; name an id, or a service "
                f"and a key, or take fewer rows with LIMIT"
            )
            raise InvalidArgumentError(message)
        if self._rests and now - self._rested > WORK_SECONDS:
            time.sleep(REST_SECONDS)
            self._rested = time.monotonic()
