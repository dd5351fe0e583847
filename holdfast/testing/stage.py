"""Runtimes that come and go on one store, and clients who do not notice.

A stage starts a runtime, lets clients call it, moves the time as far as anything needs, and has
the process die where its ``Death`` says. The next runtime starts on what survived, and every call
that was not answered is asked again, in the order of the first asking.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from inspect import isawaitable
from typing import Any, Final

from ..journal import keys
from ..journal.memory import MemoryStore
from ..objects.errors import (
    HoldfastError,
    InvalidArgumentError,
    RuntimeClosedError,
    StoreFailedError,
)
from ..objects.identity import InvocationId, Target
from ..runtime.config import RuntimeConfig
from ..runtime.requests import Answer, CallRequest
from ..runtime.testing import ManualClock, come_to_rest
from .clients import Asked, Client
from .dying_store import DyingStore, ProcessDied
from .effects import Witness
from .rows import open_invocations
from .virtual import VirtualRuntime, quietly
from .worlds import World

MOVES_MAX: Final = 100_000
"""Moves of the clock before a play counts as one that never ends."""

LINGER_MS: Final = 3_600_000
"""How long a play goes on after its script is done, for what goes on by itself."""


@dataclass(frozen=True, slots=True)
class Death:
    """Where the process dies and what the disk keeps."""

    at_write: int
    """The number of batches written before."""
    is_applied: bool = False
    """Whether the batch that it dies at is written."""
    is_power_cut: bool = False
    """Whether what was not synced is lost."""
    again_at_write: int | None = None
    """Where the next process dies as well, in the same way."""


class Stage:
    """One run of clients against runtimes that come and go; implements the clients' ``Stage``."""

    def __init__(  # noqa: PLR0913  # how it is set up, each by keyword
        self,
        classes: Iterable[type],
        config: RuntimeConfig | None = None,
        *,
        death: Death | None = None,
        suspends: bool = False,
        write_back_ms: float = math.inf,
        seed: int = 0,
    ) -> None:
        """Set it up; ``play`` starts the first runtime.

        Args:
            classes: the objects and services to serve.
            config: limits and delays.
            death: where the process dies; ``None`` for never.
            suspends: whether every attempt that only waits leaves memory at every rest.
            write_back_ms: after how long a power cut spares what was written and never synced,
                because the system has got around to it.
            seed: where ids come from.
        """
        self.world = World(classes, config, seed=seed)
        self.death = death
        self.suspends = suspends
        self.client = Client(self)
        self.crashes = 0
        self.disks: list[DyingStore] = []
        """What stood in front of the store, for each process."""
        self.lost_writes: list[int] = []
        """How many written batches each crash took along."""
        self.witness = Witness(lambda: self.runtime.health == "ok")
        self._write_back_ms = write_back_ms
        # When which position of the store had been written, at each rest of this process.
        self._written: list[tuple[int, int]] = []
        self._asked: list[Asked] = []
        self._started = asyncio.Event()

    @property
    def clock(self) -> ManualClock:
        """The time."""
        return self.world.clock

    @property
    def runtime(self) -> VirtualRuntime:
        """The runtime of the moment, dead or alive."""
        return self.world.runtime

    @property
    def store(self) -> MemoryStore:
        """What the runtime of the moment writes to."""
        return self.world.store

    async def play(self, script: Callable[[Client], Awaitable[Any]]) -> "asyncio.Task[Any]":
        """Play until ``script`` is done and nothing is left to be done; gives its task, done.

        What goes on without end, such as an object that wakes itself every minute, is watched for
        another hour of virtual time. When nothing can move any more the task may be left undone: it
        waits for what never comes.

        Raises:
            AssertionError: the runtime failed by itself, or there is no end.
        """
        with quietly():
            await self._start()
            task = asyncio.ensure_future(_run(script, self.client))
            end_ms: int | None = None
            for _ in range(MOVES_MAX):
                await self._come_to_rest()
                if task.done():
                    end_ms = end_ms or self.clock.now_ms() + LINGER_MS
                    if not self.has_open() or (self.clock.next_ms() or 0) > end_ms:
                        return task
                # A process that died while it moved is not at its end: the next one goes on.
                if not await self._move(task) and self.runtime.health != "failed":
                    return task
        message = "\n".join(["this never ends", *self.runtime.describe_open()])
        raise AssertionError(message)

    def has_open(self) -> bool:
        """Whether any invocation is not completed."""
        return any(True for _ in open_invocations(self.store))

    def close(self) -> None:
        """Let nothing of the last runtime outlive the play."""
        self.world.close()

    # -- For clients -------------------------------------------------------------------------

    def request(self, request: CallRequest, *, waits: bool) -> "asyncio.Future[Answer]":
        """As the clients' ``Stage.request``."""
        _, handler = self.runtime.registry.get_handler(request.target)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        asked = Asked(request, waits, answer, is_start=handler.is_run)
        self._submit(asked)
        self._asked.append(asked)
        return asked.answer

    async def next_runtime(self, after: VirtualRuntime | None) -> VirtualRuntime:
        """As the clients' ``Stage.next_runtime``."""
        while self.runtime is after or self.runtime.health != "ok":
            self._started.clear()
            await self._started.wait()
        return self.runtime

    # -- For those who look on; a subclass says what it wants to know --------------------------

    def at_rest(self) -> None:
        """Nothing can go on without time passing."""

    def crashed(self) -> None:
        """A process has died; ``store`` is what survived."""

    def answered(self, asked: Asked, answer: Answer) -> None:
        """A client is about to get an answer."""

    def make_disk(self, inner: MemoryStore, die_at: int | None, *, applied: bool) -> DyingStore:
        """What stands in front of the store of the process that starts."""
        return DyingStore(inner, die_at=die_at, applied=applied)

    # -- The run -----------------------------------------------------------------------------

    async def _move(self, task: "asyncio.Task[Any]") -> bool:
        if task.done():
            return await self.runtime.move()
        is_asking = any(asked.waits and not asked.answer.done() for asked in self._asked)
        waits_outside = not (is_asking or self.clock.sleeping_others)
        return await self.runtime.move(until=task.done, waits_outside=waits_outside)

    async def _come_to_rest(self) -> None:
        while True:
            await come_to_rest()
            runtime = self.runtime
            if runtime.health == "failed":
                await self._crash()
                continue
            self._written.append((self.clock.now_ms(), self.store.statistics().batches_written))
            self.witness.rested(self.store)
            self.at_rest()
            if self.suspends:
                before = runtime.statistics().batches_written
                runtime.suspend_idle()
                await come_to_rest()
                if runtime.statistics().batches_written != before:
                    continue
            return

    async def _start(self) -> None:
        death = self.death
        die_at = None
        if death is not None and self.crashes < 2:
            die_at = death.at_write if self.crashes == 0 else death.again_at_write
        is_applied = death is not None and death.is_applied
        disk = self.make_disk(self.store, die_at, applied=is_applied)
        self.disks.append(disk)
        runtime = await self.world.start(store=disk)
        runtime.watch_steps(partial(self.witness.launched, store=disk))
        for asked in self._asked:
            if not asked.answer.done():
                self._submit_again(asked)
        self._started.set()

    async def _crash(self) -> None:
        runtime, death = self.runtime, self.death
        cause = runtime.failure.__cause__ if runtime.failure is not None else None
        if not isinstance(cause, ProcessDied) or death is None:
            message = "the runtime failed by itself"
            raise AssertionError(message) from cause
        self.crashes += 1
        runtime.crash()
        spared = self._written_back()
        written, unsynced = self.store.statistics().batches_written, self.store.unsynced_batches
        lost = min(unsynced, written - spared) if death.is_power_cut else 0
        self.lost_writes.append(lost)
        keeps_written = not death.is_power_cut
        self.world.store = self.store.crash(keep_written=keeps_written, through=spared)
        self._written.clear()
        self.witness.died(self.store)
        self.crashed()
        await come_to_rest()
        await self._start()

    def _written_back(self) -> int:
        """The position of the store that a power cut spares, synced or not."""
        oldest_ms = self.clock.now_ms() - self._write_back_ms
        return max((position for at_ms, position in self._written if at_ms <= oldest_ms), default=0)

    def _submit(self, asked: Asked) -> None:
        runtime = self.runtime
        if runtime.health != "ok":
            return  # Asked again at the next start.
        future = runtime.submit(asked.request, wait=asked.waits)
        future.add_done_callback(partial(self._answered, asked))

    def _submit_again(self, asked: Asked) -> None:
        try:
            if not self._attach(asked):
                self._submit(asked)
        except (StoreFailedError, RuntimeClosedError):
            return  # Dead again; the next one is asked.
        except HoldfastError as error:
            asked.answer.set_exception(error)

    def _attach(self, asked: Asked) -> bool:
        """Ask for the outcome of the workflow that ``asked`` has started, if it has.

        Of several that were not answered it was the first: they were accepted in their order.
        """
        target = asked.request.target
        if asked.is_start and asked.waits and self.runtime.health == "ok":
            row = self.store.get(keys.workflow(target.service, target.key or ""))
            first = next(each for each in self._asked if _is_waiting_for(each, target))
            if row is not None and first is asked:
                future = self.runtime.attach(InvocationId(row))
                future.add_done_callback(partial(self._answered, asked))
                return True
        return False

    def _answered(self, asked: Asked, done: "asyncio.Future[Answer]") -> None:
        error = None if done.cancelled() else done.exception()
        if asked.answer.done() or done.cancelled():
            return
        if isinstance(error, StoreFailedError | RuntimeClosedError):
            return  # Asked again at the next start.
        if error is not None:
            asked.answer.set_exception(error)
            return
        self.answered(asked, done.result())
        asked.answer.set_result(done.result())


def _is_waiting_for(asked: Asked, target: Target) -> bool:
    return asked.waits and not asked.answer.done() and asked.request.target == target


async def _run(script: Callable[[Client], Awaitable[Any]], client: Client) -> Any:
    answer = script(client)
    if not isawaitable(answer):
        message = f"{script!r} gave {answer!r:.80} and nothing to await; is it an `async def`?"
        raise InvalidArgumentError(message)
    return await answer
