"""A world that a test drives: time that moves when told to, chance from a seed, no threads.

These stand behind the seams of ``seams``; the runtime that runs on them is the real one.
"""

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from ..objects.step_info import current_step

SETTLE_ROUNDS = 50
"""Rounds of the loop after each alarm: more than any chain of callbacks needs."""

CALM_ROUNDS = 2
"""Rounds of the loop in which nothing was ready, after which it rests."""

REST_ROUNDS_MAX = 100_000
"""Rounds of the loop before it counts as one that never comes to rest."""


class ManualAlarm:
    """A call that a ``ManualClock`` makes when its time has come."""

    def __init__(self, callback: Callable[[], None]) -> None:
        """Wait."""
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """As ``Alarm.cancel``."""
        self.callback = None


class ManualClock:
    """A clock that stands still until ``advance`` or ``step`` moves it."""

    alarm_seconds_max = math.inf
    """It only moves when told to, and then rings what is due: there is no jump to look for."""

    def __init__(self, now_ms: int = 1_000_000_000_000) -> None:
        """Begin at ``now_ms``, milliseconds since 1970."""
        self._now_us = now_ms * 1000
        self._start_us = self._now_us
        self._alarms: list[tuple[int, int, ManualAlarm]] = []
        self._number = itertools.count()
        self.sleeping_actions = 0
        """How many actions of steps wait in ``sleep``."""
        self.sleeping_others = 0
        """How many others do: clients that a test plays."""

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

    def next_ms(self) -> int | None:
        """When the next alarm is due; ``None`` when none is set."""
        while self._alarms and self._alarms[0][2].callback is None:
            heapq.heappop(self._alarms)
        return -(-self._alarms[0][0] // 1000) if self._alarms else None

    def step(self) -> bool:
        """Move to the next alarm and ring it; ``False`` when none is set."""
        while self._alarms:
            due_us, _, alarm = heapq.heappop(self._alarms)
            if alarm.callback is not None:
                self._now_us = max(self._now_us, due_us)
                alarm.callback()
                return True
        return False

    async def sleep(self, seconds: float) -> None:
        """Wait until this clock has moved that far: for clients and actions that a test plays.

        A handler sleeps by ``asyncio.sleep``, which is durable there.
        """
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        is_action = current_step.get(None) is not None
        alarm = self.call_later(seconds, partial(_wake, woken))
        self.sleeping_actions += is_action
        self.sleeping_others += not is_action
        try:
            await woken
        finally:
            alarm.cancel()
            self.sleeping_actions -= is_action
            self.sleeping_others -= not is_action

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
        # Somebody else may have moved it further meanwhile, and it never goes back.
        self._now_us = max(self._now_us, end_us)


async def settle() -> None:
    """Let the loop run until nothing that is under way can go on by itself.

    Where the loop tells what is ready, as asyncio's own does, that is seen and ends it early; a
    day's alarms would otherwise be a day of empty rounds.
    """
    ready: Any = getattr(asyncio.get_running_loop(), "_ready", None)
    calm = 0
    for _ in range(SETTLE_ROUNDS):
        await asyncio.sleep(0)
        calm = calm + 1 if ready is not None and not ready else 0
        if calm == CALM_ROUNDS:
            return


async def come_to_rest() -> None:
    """Let the loop run until only a clock, or the world outside, can move anything.

    Exact where the loop tells what is ready, as asyncio's own does; elsewhere as ``settle``.

    Raises:
        AssertionError: something keeps the loop busy without end.
    """
    ready: Any = getattr(asyncio.get_running_loop(), "_ready", None)
    if ready is None:
        await settle()
        return
    calm = 0
    for _ in range(REST_ROUNDS_MAX):
        await asyncio.sleep(0)
        calm = 0 if ready else calm + 1
        if calm == CALM_ROUNDS:
            return
    message = f"the loop never came to rest: {REST_ROUNDS_MAX} rounds, and always something to do"
    raise AssertionError(message)


def _wake(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


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
        afterwards: Callable[[], None] | None = None,
    ) -> None:
        """As ``Threads.run``."""
        del lane
        result, error = None, None
        try:
            result = function()
        except KeyboardInterrupt:
            raise  # It is for whoever runs the tests.
        except BaseException as raised:  # noqa: BLE001  # `done` decides
            error = raised
        self.post(partial(done, result, error))
        if afterwards is not None:
            afterwards()

    def post(self, callback: Callable[[], None]) -> None:
        """As ``Threads.post``."""
        asyncio.get_running_loop().call_soon(self._call, callback)

    def close(self) -> None:
        """As ``Threads.close``."""
        self._is_closed = True

    def _call(self, callback: Callable[[], None]) -> None:
        if not self._is_closed:
            callback()
