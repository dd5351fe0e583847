"""A runtime in a world that the test drives, and that it can crash and start again.

The store is the in-memory twin, time stands still until told to move, and threads run inline. A
crash drops the runtime as a killed process would: nothing of it writes any more, and the next one
starts from what the store holds.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from holdfast.journal.memory import MemoryStore
from holdfast.runtime.config import RuntimeConfig
from holdfast.runtime.engine import Engine
from holdfast.runtime.testing import InlineThreads, ManualClock, SeededRandomness, settle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Iterator, Mapping

    from opentelemetry.trace import TracerProvider

    from holdfast.journal.store import Store, StoreStatistics


class World:
    """One store and one clock, and the runtimes that came and went on them."""

    def __init__(self, classes: Iterable[type], config: RuntimeConfig | None = None) -> None:
        self.classes = list(classes)
        self.config = config or RuntimeConfig()
        self.clock = ManualClock()
        self.store = MemoryStore()
        self.runtime: Engine
        self.tracer_provider: TracerProvider | None = None
        self._seed = 0

    async def start(self, *, store: Store | None = None) -> Engine:
        """Start a runtime on what the store holds."""
        self._seed += 1
        self.runtime = Engine(
            self.classes,
            store=store or self.store,
            config=self.config,
            clock=self.clock,
            randomness=SeededRandomness(self._seed),
            threads=InlineThreads(),
            tracer_provider=self.tracer_provider,
        )
        await self.runtime.start()
        return self.runtime

    async def crash(self, *, keep_written: bool = True) -> None:
        """Drop the runtime as SIGKILL (or, without the written tail, a power cut) would."""
        survivor = self.store.crash(keep_written=keep_written)
        self.store.fail_next_write()
        self.runtime.crash()
        self.store = survivor
        await settle()

    async def restart(self, *, keep_written: bool = True) -> Engine:
        """Crash, then start again."""
        await self.crash(keep_written=keep_written)
        return await self.start()

    def close(self) -> None:
        """Let nothing of the last runtime outlive the test."""
        if hasattr(self, "runtime"):
            self.runtime.crash()

    async def finish(self, answer: Awaitable[Any], seconds: float = 3600) -> Any:
        """What ``answer`` gives, with as much time passing as it takes, up to ``seconds``."""
        task = asyncio.ensure_future(answer)
        await settle()
        for _ in range(int(seconds)):
            if task.done():
                break
            await self.clock.advance(1)
        assert task.done(), "no answer in time"
        return task.result()


class CountingStore:
    """A store that stops the world at the n-th write: applied or not, nothing comes after it."""

    def __init__(self, inner: MemoryStore, *, die_at: int | None, applied: bool) -> None:
        self.inner = inner
        self.die_at = die_at
        self.applied = applied
        self.writes = 0

    @property
    def epoch(self) -> int:
        return self.inner.epoch

    @property
    def is_nearly_full(self) -> bool:
        return self.inner.is_nearly_full

    def get(self, key: bytes) -> bytes | None:
        return self.inner.get(key)

    def scan(
        self, start: bytes, end: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        return self.inner.scan(start, end, reverse=reverse)

    def write(self, batch: Mapping[bytes, bytes | None]) -> int:
        if self.writes == self.die_at:
            if self.applied:
                self.inner.write(batch)
            message = "the process died here"
            raise RuntimeError(message)
        self.writes += 1
        return self.inner.write(batch)

    def sync(self) -> int:
        return self.inner.sync()

    def maintain(self) -> None:
        self.inner.maintain()

    def compact(self, start: bytes, end: bytes | None) -> None:
        self.inner.compact(start, end)

    def approximate_bytes(self) -> int:
        return self.inner.approximate_bytes()

    def statistics(self) -> StoreStatistics:
        return self.inner.statistics()

    def close(self) -> None:
        self.inner.close()
