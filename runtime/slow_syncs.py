"""Whether the disk is slow: it loses nothing, but everybody waits, and somebody should know."""

from typing import Final

from .seams import Clock

SLOW_SECONDS: Final = 0.1
"""A sync that takes this long makes the disk a slow one; usual are 0.2 to 5 ms."""

LONG_SECONDS: Final = 0.001
"""A sync that takes this long takes longer than to wake a thread that does something meanwhile."""

REMEMBERED_SECONDS: Final = 5.0
"""How long it counts as slow after the last such sync."""


class SlowSyncs:
    """Looks at how long each sync takes."""

    def __init__(self, clock: Clock) -> None:
        """Begin with a fast disk."""
        self._clock = clock
        # When the sync under way began; None while there is none.
        self._began: float | None = None
        self._slow_until = float("-inf")
        self.was_long = False
        """Whether the last sync took long for a call, if not for a person."""

    def begin(self) -> None:
        """A sync begins."""
        self._began = self._clock.monotonic()

    def end(self) -> None:
        """It has ended; called in the thread in which it ran."""
        began, self._began = self._began, None
        now = self._clock.monotonic()
        took = 0.0 if began is None else now - began
        self.was_long = took >= LONG_SECONDS
        if took >= SLOW_SECONDS:
            self._slow_until = now + REMEMBERED_SECONDS

    @property
    def is_slow(self) -> bool:
        """Whether a sync under way, or one a moment ago, took long."""
        now, began = self._clock.monotonic(), self._began
        is_waiting = began is not None and now - began >= SLOW_SECONDS
        return is_waiting or now < self._slow_until
