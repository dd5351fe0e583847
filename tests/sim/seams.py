"""Clock, threads and disk of a simulated process, drawn from the seed.

The disk is a ``MemoryStore``, which knows what was synced and can forget the rest; what is added
here is how it fails, how slow it is, where a process dies in the middle of a write, and since which
batch an invocation is there or completed, so that what leaves the process can be checked against
what is durable.
"""

import math
from collections.abc import Callable, Mapping
from copy import copy
from functools import partial
from random import Random
from typing import Any

from holdfast.journal import keys
from holdfast.journal.memory import MemoryStore, MemoryView
from holdfast.journal.store import StoreStatistics

from .universe import Event, Killed, SimLoop, Universe

START_MS = 1_000_000_000_000
_ALARM_SECONDS = 600.0


class WallClock:
    """The time of day of a machine, which an operator or a daemon may set."""

    def __init__(self, universe: Universe) -> None:
        self.universe = universe
        self.offset_ms = 0
        self.highest_ms = START_MS
        """The latest that anyone has read."""
        self.may_jump = False

    def now_ms(self) -> int:
        now = START_MS + self.universe.now_us // 1000 + self.offset_ms
        self.highest_ms = max(self.highest_ms, now)
        return now


class SimClock:
    """A process's ``Clock``."""

    def __init__(self, wall: WallClock, loop: SimLoop) -> None:
        self._wall = wall
        self._loop = loop
        self._universe = wall.universe

    @property
    def alarm_seconds_max(self) -> float:
        return _ALARM_SECONDS if self._wall.may_jump else math.inf

    def now_ms(self) -> int:
        return self._wall.now_ms()

    def monotonic(self) -> float:
        return self._universe.now

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> "_Alarm":
        alarm = _Alarm()
        alarm.event = self._universe.after(delay_s, partial(self._ring, alarm, callback))
        return alarm

    def _ring(self, alarm: "_Alarm", callback: Callable[[], None]) -> None:
        if self._loop.is_alive:
            alarm.handle = self._loop.call_soon(callback)


class _Alarm:
    """One that has come due may still be cancelled, as long as it was not called."""

    def __init__(self) -> None:
        self.event: Event | None = None
        self.handle: Any = None

    def cancel(self) -> None:
        if self.event is not None:
            self.event.cancel()
        if self.handle is not None:
            self.handle.cancel()


class SimThreads:
    """A process's ``Threads``: work begins a while later, and is reported a while after that."""

    def __init__(self, universe: Universe, loop: SimLoop, disk: "SimDisk", random: Random) -> None:
        self._universe = universe
        self._loop = loop
        self._disk = disk
        self._random = random
        # When the one thread of a lane is free again.
        self._free_us: dict[str, int] = {}
        self._is_closed = False

    def run(
        self,
        lane: str,
        function: Callable[[], Any],
        done: Callable[[Any, BaseException | None], None],
        afterwards: Callable[[], None] | None = None,
    ) -> None:
        random, universe = self._random, self._universe
        before_us = 1 + int(random.random() * 100)
        after_us = 1 + int(random.random() * 100)
        if lane == "store":
            # What is written while a sync runs may be covered by it or not.
            took_us = self._disk.draw_sync_us()
            if random.random() < 0.5:
                before_us += took_us
            else:
                after_us += took_us
        if lane != "actions":
            begin_us = max(universe.now_us, self._free_us.get(lane, 0))
            before_us += begin_us - universe.now_us
            self._free_us[lane] = universe.now_us + before_us + after_us
        universe.after_us(before_us, partial(self._work, function, done, afterwards, after_us))

    def post(self, callback: Callable[[], None]) -> None:
        if not self._is_closed:
            self._loop.call_soon(self._call, callback)

    def close(self) -> None:
        self._is_closed = True

    def _work(
        self,
        function: Callable[[], Any],
        done: Callable[[Any, BaseException | None], None],
        afterwards: Callable[[], None] | None,
        after_us: int,
    ) -> None:
        if not self._loop.is_alive:
            return
        result, error = None, None
        self._universe.running = self._loop
        try:
            result = function()
        except Killed:
            return
        except BaseException as raised:  # noqa: BLE001  # handed to `done`, which decides
            error = raised
            # The store refuses from now on, so now is when the slow call ends.
            after_us = 1
        finally:
            self._universe.running = None
        self._universe.after_us(after_us, partial(self._report, partial(done, result, error)))
        if afterwards is not None:
            afterwards()

    def _report(self, callback: Callable[[], None]) -> None:
        if self._loop.is_alive:
            self.post(callback)

    def _call(self, callback: Callable[[], None]) -> None:
        if not self._is_closed:
            callback()


class SimDisk:
    """A process's ``Store``."""

    def __init__(self, memory: MemoryStore, loop: SimLoop, random: Random) -> None:
        self.memory = memory
        self.get = memory.get
        self.scan = memory.scan
        self.is_slow = False
        """Whether a sync takes up to seconds."""
        self.dies_at_write: bool | None = None
        """Die at the next write, before it (false) or after it (true)."""
        self.has_dropped = False
        """A sync failed, and the system may have dropped what it was to write."""
        self.has_failed = False
        """It has raised an error: nothing may be acknowledged any more."""
        self.on_failed: Callable[[], None] | None = None
        """Told of its first error."""
        self.durable = 0
        self.written = 0
        self._loop = loop
        self._random = random
        # The batch that an invocation's row, its outcome and its disappearance came with.
        self._opened: dict[bytes, int] = {}
        self._closed: dict[bytes, int] = {}

    @property
    def epoch(self) -> int:
        return self.memory.epoch

    @property
    def is_nearly_full(self) -> bool:
        return self.memory.is_nearly_full

    def view(self) -> MemoryView:
        return self.memory.view()

    def write(self, batch: Mapping[bytes, bytes | None]) -> int:
        if not self._loop.is_alive:
            raise Killed
        dies = self.dies_at_write
        if dies is False:
            self._loop.die()
        opened = [
            key[1:]
            for key, value in batch.items()
            if key[:1] == keys.INVOCATION and value is not None and self.get(key) is None
        ]
        try:
            position = self.memory.write(batch)
        except Exception:
            self._fail()
            raise
        self.written = position
        for id_ in opened:
            self._opened[id_] = position
        for key, value in batch.items():
            if value is None and key[:1] == keys.INVOCATION:
                self._closed[key[1:]] = position
        if dies is True:
            self._loop.die()
        return position

    def sync(self) -> int:
        try:
            self.durable = self.memory.sync()
        except Exception:
            self.has_dropped = True
            self._fail()
            raise
        return self.durable

    def settle(self, *, aside: bool) -> None:
        self.memory.settle(aside=aside)

    def maintain(self) -> None:
        self.memory.maintain()

    def compact(self, start: bytes, end: bytes | None) -> None:
        self.memory.compact(start, end)

    def approximate_bytes(self) -> int:
        return self.memory.approximate_bytes()

    def statistics(self) -> StoreStatistics:
        return self.memory.statistics()

    def close(self) -> None:
        self.memory.close()

    def _fail(self) -> None:
        if not self.has_failed:
            self.has_failed = True
            if self.on_failed is not None:
                self.on_failed()

    # -- For the world -------------------------------------------------------------------------

    def draw_sync_us(self) -> int:
        random = self._random
        if self.is_slow:
            return int(random.random() * 2_000_000)
        if random.random() < 0.02:
            return 50_000 + int(random.random() * 300_000)
        return 100 + int(random.random() * 2000)

    def is_acceptance_durable(self, id_: bytes) -> bool:
        """Whether the row of an invocation was durable at some time."""
        position = self._opened.get(id_)
        return position is None or position <= self.durable

    def is_completion_durable(self, id_: bytes) -> bool:
        """Whether an invocation is completed, or gone, for good."""
        position = self._closed.get(id_)
        if position is None:
            # Past its own door, which is shut once it has failed: what was durable is still told.
            rows = self.memory._rows  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            return keys.INVOCATION + id_ not in rows
        return position <= self.durable

    def copy(self, random: Random) -> MemoryStore:
        """A backup: what is durable, and some of what was written since."""
        through = self.durable + int(random.random() * (self.written - self.durable + 1))
        return copy(self.memory).crash(keep_written=False, through=through)

    def crash(self, *, is_power_cut: bool) -> tuple[MemoryStore, int]:
        """What the next process finds, and how many written batches were lost."""
        if self.has_dropped or is_power_cut:
            unsynced = self.written - self.durable
            through = self.durable + int(self._random.random() * (unsynced + 1))
            survivor = self.memory.crash(keep_written=False, through=through)
            return survivor, max(0, self.written - through)
        return self.memory.crash(keep_written=True), 0
