"""Callers who wait for a change, by ``?wait=``: how many there may be, and how they end.

One who waits holds a connection and a future, and no invocation. Whoever goes away is forgotten
with his request; when the door closes, all others are answered as if their time were over.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from ..objects.errors import InvalidArgumentError
from .durations import parse_duration
from .problems import Refusal, RefusedError

T = TypeVar("T")

WAIT_SECONDS_MAX = 300
"""Proxies and callers give up a connection that is silent for longer."""


class Waits:
    """The callers of one door who wait. Used on one loop only."""

    def __init__(self, waits_max: int) -> None:
        """Begin with none."""
        self._waits_max = waits_max
        self._waiting: set[asyncio.Future[Any]] = set()
        self._is_over = False

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def wait(self, ask: "Callable[[float], asyncio.Future[T]]", seconds: float) -> T:
        """What ``ask`` gives that is told to wait so long.

        Raises:
            RefusedError: as many wait as may; nothing was asked.
        """
        if seconds <= 0 or self._is_over:
            return await ask(0)
        if len(self._waiting) >= self._waits_max:
            message = (
                f"{len(self._waiting)} callers wait for a change, which is as many as may "
                f"(HttpOptions.waits_max); try again later, or ask without wait"
            )
            raise RefusedError(Refusal.BUSY, message)
        future = ask(seconds)
        self._waiting.add(future)
        try:
            return await future
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._is_over or (task is not None and task.cancelling()):
                raise
        finally:
            self._waiting.discard(future)
        return await ask(0)

    def end(self) -> None:
        """Let nobody wait from now on; whoever does is answered with what there is."""
        self._is_over = True
        for future in list(self._waiting):
            future.cancel()


def parse_wait(text: str | None) -> float:
    """The seconds that ``?wait=`` says; 0 where it is not given.

    Raises:
        InvalidArgumentError: it is no duration, or one above five minutes.
    """
    if text is None:
        return 0
    seconds = parse_duration(text, "wait") / 1000
    if seconds > WAIT_SECONDS_MAX:
        message = (
            f"bad wait query parameter, {text!r:.80} is longer than {WAIT_SECONDS_MAX} seconds; "
            f"ask again when that is over"
        )
        raise InvalidArgumentError(message)
    return seconds
