"""A world that a test drives: time that moves when told to, chance from a seed, no threads.

These stand behind the seams of ``seams``; the runtime that runs on them is the real one.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from random import Random
from typing import Any

SETTLE_ROUNDS = 50
"""Rounds of the loop after each alarm: more than any chain of callbacks needs."""


class ManualAlarm:
    """A call that a ``ManualClock`` makes when its time has come."""

    def __init__(self, callback: Callable[[], None]) -> None:
        """Wait."""
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """As ``Alarm.cancel``."""
        self.callback = None


class ManualClock:
    """A clock that stands still until ``advance`` moves it."""

    def __init__(self, now_ms: int = 1_000_000_000_000) -> None:
        """Begin at ``now_ms``, milliseconds since 1970."""
        self._now_us = now_ms * 1000
        self._start_us = self._now_us
        self._alarms: list[tuple[int, int, ManualAlarm]] = []
        self._number = itertools.count()

    def now_ms(self) -> int:
        """As ``Clock.now_ms``."""
        return self._now_us // 1000

    def monotonic(self) -> float:
        """As ``Clock.monotonic``."""
        return (self._now_us - self._start_us) / 1_000_000

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> ManualAlarm:
        """As ``Clock.call_later``."""
        alarm = ManualAlarm(callback)
        due_us = self._now_us + max(0, round(delay_s * 1_000_000))
        heapq.heappush(self._alarms, (due_us, next(self._number), alarm))
        return alarm

    def jump(self, seconds: float) -> None:
        """Move the time without calling anything: what a process sees that was not running."""
        self._now_us += round(seconds * 1_000_000)

    async def advance(self, seconds: float) -> None:
        """Move the time, calling what falls due in order, each after the one before has settled."""
        await settle()
        end_us = self._now_us + round(seconds * 1_000_000)
        while self._alarms and self._alarms[0][0] <= end_us:
            due_us, _, alarm = heapq.heappop(self._alarms)
            if alarm.callback is not None:
                self._now_us = max(self._now_us, due_us)
                alarm.callback()
                await settle()
        self._now_us = end_us


async def settle() -> None:
    """Let the loop run until nothing that is under way can go on by itself."""
    for _ in range(SETTLE_ROUNDS):
        await asyncio.sleep(0)


class SeededRandomness:
    """The same bytes for the same seed."""

    def __init__(self, seed: int = 0) -> None:
        """Begin at the seed's first byte."""
        self._random = Random(seed)  # noqa: S311  # repeatable is the point

    def token(self, size: int) -> bytes:
        """As ``Randomness.token``."""
        return self._random.randbytes(size)


class InlineThreads:
    """Runs thread work at once, on the loop, and reports it in the loop's next round."""

    def __init__(self) -> None:
        """Begin open."""
        self._is_closed = False

    def run(
        self,
        lane: str,
        function: Callable[[], Any],
        done: Callable[[Any, BaseException | None], None],
    ) -> None:
        """As ``Threads.run``."""
        del lane
        result, error = None, None
        try:
            result = function()
        except Exception as raised:  # noqa: BLE001  # handed to `done`, which decides
            error = raised
        asyncio.get_running_loop().call_soon(self._report, done, result, error)

    def close(self) -> None:
        """As ``Threads.close``."""
        self._is_closed = True

    def _report(
        self,
        done: Callable[[Any, BaseException | None], None],
        result: Any,
        error: BaseException | None,
    ) -> None:
        if not self._is_closed:
            done(result, error)
