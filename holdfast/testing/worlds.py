"""A world for one test: rows that survive, a clock, and the runtimes that come and go on them.

A crash drops the runtime as a killed process would: nothing of it writes any more, and the next one
starts from what the store holds. In memory a power cut is possible too, which loses what was
written and not yet synced.
"""

import asyncio
import os
from collections.abc import Awaitable, Iterable
from datetime import timedelta
from typing import TypeVar

from opentelemetry.trace import TracerProvider

from ..journal.memory import MemoryStore
from ..journal.rocks import RocksStore
from ..journal.store import Store
from ..objects.errors import InvalidArgumentError
from ..runtime.config import RuntimeConfig
from ..runtime.testing import ManualClock, come_to_rest, settle
from .virtual import UNHURRIED, VIRTUAL_DAYS_MAX, VirtualRuntime

T = TypeVar("T")

_LOOK_SECONDS = 0.1
_STILL_LOOKS_MAX = 20


class World:
    """One store and one clock, and the runtimes that came and went on them."""

    def __init__(
        self,
        classes: Iterable[type],
        config: RuntimeConfig | None = None,
        *,
        data_dir: str | os.PathLike[str] | None = None,
        seed: int = 0,
    ) -> None:
        """Begin with an empty store and without a runtime; ``start`` makes one.

        Args:
            classes: the objects and services to serve.
            config: limits and delays of every runtime; without one, those that suit tests: months
                of virtual time are cheap.
            data_dir: keep the rows in RocksDB in this directory, instead of in memory.
            seed: where ids come from; another one gives other ids.
        """
        if isinstance(classes, type):
            message = f"it takes a list of classes: [{classes.__name__}]"
            raise InvalidArgumentError(message)
        self.classes = list(classes)
        self.config = config or UNHURRIED
        self.clock = ManualClock()
        self.tracer_provider: TracerProvider | None = None
        self.runtime: VirtualRuntime
        """The last one started."""
        self._store: Store = MemoryStore()
        self._data_dir = data_dir
        self._seed = 1000 * seed

    @property
    def store(self) -> MemoryStore:
        """The rows, in memory; what a test asks the disk to do, it asks here."""
        if not isinstance(self._store, MemoryStore):
            message = "the rows of this world are on disk"
            raise InvalidArgumentError(message)
        return self._store

    @store.setter
    def store(self, store: MemoryStore) -> None:
        self._store = store

    async def start(self, *, store: Store | None = None) -> VirtualRuntime:
        """Start a runtime on what the store holds, or on ``store``, which stands in front of it."""
        self._seed += 1
        if self._data_dir is not None:
            self._store = RocksStore(os.fspath(self._data_dir), durability="process")
        self.runtime = VirtualRuntime(
            self.classes,
            store=store or self._store,
            config=self.config,
            clock=self.clock,
            seed=self._seed,
            tracer_provider=self.tracer_provider,
        )
        await self.runtime.start()
        return self.runtime

    async def crash(self, *, keep_written: bool = True) -> None:
        """Drop the runtime as SIGKILL would; without the written tail, as a power cut would.

        Raises:
            InvalidArgumentError: a power cut of a world on disk.
        """
        if isinstance(self._store, MemoryStore):
            survivor = self._store.crash(keep_written=keep_written)
            self._store.fail_next_write()
            self.runtime.crash()
            self._store = survivor
        elif keep_written:
            self.runtime.crash()
            self._store.close()
        else:
            message = "a power cut needs a world in memory: a real disk cannot be asked to forget"
            raise InvalidArgumentError(message)
        await settle()

    async def restart(self, *, keep_written: bool = True) -> VirtualRuntime:
        """Crash, then start again."""
        await self.crash(keep_written=keep_written)
        return await self.start()

    async def watch(self) -> None:
        """For ever: fail callers who wait for time to pass while nobody makes it pass.

        Time stands still in a test, so a call that only time could answer would hang it. After two
        real seconds in which nothing has happened, whoever waits gets an ``AssertionError``.
        """
        still = 0
        last: object = None
        while True:
            self.runtime.own_real_timers = 1
            await asyncio.sleep(_LOOK_SECONDS)
            now = self.runtime.pulse()
            still = still + 1 if now is not None and now == last else 0
            last = now
            if still == _STILL_LOOKS_MAX:
                self.runtime.fail_waiting()
                still = 0

    async def rest(self) -> None:
        """Return once nothing can go on without time passing, or the world outside."""
        await come_to_rest()

    def close(self) -> None:
        """Let nothing of the last runtime outlive the test."""
        if hasattr(self, "runtime"):
            self.runtime.crash()
            if self._data_dir is not None:
                self._store.close()

    async def finish(self, answer: Awaitable[T], within: timedelta | float = VIRTUAL_DAYS_MAX) -> T:
        """As ``VirtualRuntime.finish``, of the runtime that runs now."""
        return await self.runtime.finish(answer, within)
