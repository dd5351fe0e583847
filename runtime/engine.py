"""The runtime without HTTP: assembled from its parts, started, stopped, and called from outside.

Everything in here is outside of handlers: what comes in is checked and handed to ``Lifecycle`` as
a decision, and what goes out waits at the gate. One loop runs all of it; a *turn* is what happens
between two writes to the store.
"""

import asyncio
import os
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Literal, Self

from opentelemetry.trace import TracerProvider

from ..journal.backup import BackupInfo
from ..journal.rocks import RocksStore
from ..journal.store import Store
from ..objects.durations import to_duration
from ..objects.errors import (
    ContextMisuseError,
    ForbiddenInHandlerError,
    InvalidArgumentError,
    RuntimeClosedError,
    StoreFailedError,
)
from ..objects.registry import Registry
from .admission import Admission
from .answers import Answers
from .attempts import Attempts
from .blocking import BlockingWatch
from .commits import Commits
from .config import RuntimeConfig
from .core import Core
from .failures import describe
from .for_doors import ForDoors
from .given import check_given
from .handler_loop import HandlerLoop
from .lifecycle import Lifecycle
from .logs import make_logger
from .maintenance import Maintenance
from .outside import Health, Outside
from .own_loop import ELSEWHERE, refuse_beside
from .recovery import Recovery
from .requests import RuntimeStatistics
from .retention import Retention
from .seams import (
    Clock,
    Randomness,
    SystemClock,
    SystemRandomness,
    SystemThreads,
    SystemWatch,
    Threads,
    this_thread,
)
from .slow_syncs import SlowSyncs
from .state_reads import StateReads
from .stubborn import tell_stubborn
from .tracing import Tracing
from .views.looking import Looks
from .watches import Watches

logger = make_logger("holdfast.runtime")

_CUT_OFF_SECONDS = 1.0
_LAST_TURNS_MAX = 100


class Engine(Outside, ForDoors):
    """Runs objects and services from one data directory, in one process, on one loop.

    Use it as ``async with Engine(...)``: entering starts it, leaving stops it.
    """

    def __init__(  # noqa: PLR0913  # each by keyword; those after `config` are for tests
        self,
        classes: Iterable[type],
        *,
        data_dir: str | os.PathLike[str] | None = None,
        durability: Literal["fsync", "process"] = "fsync",
        config: RuntimeConfig | None = None,
        store: Store | None = None,
        clock: Clock | None = None,
        randomness: Randomness | None = None,
        threads: Threads | None = None,
        tracer_provider: TracerProvider | None = None,
    ) -> None:
        """Register ``classes``; nothing is opened before ``start``.

        Args:
            classes: the objects and services to run.
            data_dir: the directory that holds everything; made if it is missing.
            durability: ``"fsync"`` survives a power cut; ``"process"`` only a killed process.
            config: limits and delays.
            store: instead of ``data_dir``, an open store; it is closed by ``stop``.
            clock: where the time comes from.
            randomness: where ids come from.
            threads: what runs that would stop the loop.
            tracer_provider: who gets OpenTelemetry spans of attempts and steps; without one,
                whoever the program has set up globally when the runtime is made.

        Raises:
            InvalidDefinitionError: a class cannot be what it is declared to be.
            InvalidArgumentError: neither ``data_dir`` nor ``store`` is given, or both.
        """
        check_given(classes, data_dir=data_dir, store=store, durability=durability, config=config)
        self.config = config or RuntimeConfig()
        self.registry = Registry(classes, self._own_classes())
        self.health: Health = "new"
        self._data_dir = data_dir
        self._durability: Literal["fsync", "process"] = durability
        self._given_store = store
        self._clock = clock or SystemClock()
        self._slow_syncs = SlowSyncs(self._clock)
        self._randomness = randomness or SystemRandomness()
        self._threads = threads or SystemThreads()
        self._tracing = Tracing(tracer_provider)
        self._failure: StoreFailedError | None = None
        self._failed = asyncio.Event()
        self._turn_requested = False
        self._watch_thread: SystemWatch | None = None
        # Made by `start`.
        self._loop: asyncio.AbstractEventLoop
        self._store: Store
        self._commits: Commits
        self._lifecycle: Lifecycle
        self._attempts: Attempts
        self._retention: Retention
        self._recovery: Recovery | None = None
        self._maintenance: Maintenance
        self._answers: Answers
        self._admission: Admission
        self._core: Core

    _elsewhere = ELSEWHERE

    def _own_classes(self) -> Sequence[type]:
        """Classes of Holdfast's own that are served beside the user's; called once, early."""
        return ()

    # -- Life --------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        await self.stop()

    async def start(self) -> None:
        """Open the store, accept what fell due meanwhile, and take up what was live.

        Raises:
            StoreLockedError, StoreFormatError, StoreDamagedError, StoreFullError,
            StoreFailedError: the directory cannot be opened; nothing was changed in it.
            RuntimeClosedError: it was started before.
        """
        if self.health != "new":
            message = "a runtime is started once; make a new one"
            raise RuntimeClosedError(message)
        self._loop = asyncio.get_running_loop()
        self._store = self._given_store or RocksStore(
            os.fspath(self._data_dir or ""),
            durability=self._durability,
            tide_mark=self.config.tide_mark,
        )
        try:
            self._begin()
        except BaseException:
            self.health = "failed"
            self._store.close()
            raise

    def _begin(self) -> None:
        """Make the parts, and decide what the downtime left to decide."""
        self._commits = Commits(
            self._store,
            self._threads,
            sync_inline=self._given_store is None and self._durability == "process",
            slow_syncs=self._slow_syncs,
            request_turn=self._request_turn,
            fail=self._fail,
        )
        self._lifecycle = Lifecycle(
            commits=self._commits,
            registry=self.registry,
            clock=self._clock,
            randomness=self._randomness,
            config=self.config,
            epoch=self._store.epoch,
        )
        self._attempts = Attempts(
            lifecycle=self._lifecycle,
            clock=self._clock,
            threads=self._threads,
            config=self.config,
            tracing=self._tracing,
            watch=self._make_watch(),
            request_turn=self._request_turn,
        )
        self._lifecycle.connect(self._attempts)
        self._retention = Retention(self._lifecycle, self._clock, self.config)
        self._answers = Answers(self._loop, self._commits, self._lifecycle.outcomes)
        watches = Watches(self._loop, self._commits, self._answers, self._clock)
        self._core = Core(
            registry=self.registry,
            lifecycle=self._lifecycle,
            attempts=self._attempts,
            commits=self._commits,
            answers=self._answers,
            watches=watches,
            states=StateReads(self._loop, self._lifecycle, watches, self._answers),
            clock=self._clock,
            config=self.config,
            store=self._store,
            threads=self._threads,
            looks=Looks(),
            retention=self._retention,
            check_open=self._check_open,
        )
        self._maintenance = Maintenance(self._core, self._threads, self._fail)
        self._admission = Admission(self._core)
        self.health = "ok"
        # What fell due during the downtime takes its place before anything new can.
        while self._lifecycle.timers.fire_due():
            self._commits.write()
        self._recovery = Recovery(self._lifecycle)
        self._recover()
        self._request_turn()
        self._lifecycle.timers.open()
        self._maintenance.open()

    async def stop(self, grace: timedelta | float | None = None) -> None:
        """Stop in good order: nothing accepted is lost, and what runs goes on at the next start.

        New calls are refused, no new action starts, and running ones get ``grace`` to end so that
        their results are recorded; a number is seconds. Callers that still wait get
        ``RuntimeClosedError``. May be called again, also after the store failed; returns when
        everything is closed.

        Raises:
            ContextMisuseError: called from another loop or thread; nothing was stopped.
            InvalidArgumentError: ``grace`` is no duration; nothing was stopped.
        """
        self._check_loop()
        given = self.config.stop_grace if grace is None else to_duration(grace, "the grace of stop")
        if self.health in {"new", "stopped"}:
            self.health = "stopped"
            return
        if self.health != "failed":
            self.health = "stopping"
            self._maintenance.close()
            await self._wind_down(given)
        self.health = "stopped"
        self._close_threads()
        self._store.close()

    async def backup(self, target: str | os.PathLike[str]) -> BackupInfo:
        """Copy the data directory to ``target``, a new directory, while everything goes on.

        The copy holds all that was accepted or answered before this call, and is durable when it
        returns. A runtime that starts on it goes on from there, so actions and calls outside that
        came later than the copy are done again. Cancelled, the copying goes on all the same.

        Raises:
            InvalidArgumentError: the rows of this runtime are not in a directory; or the target
                exists, its parent does not, or it is inside the data directory.
            StoreLockedError: another backup to this target is under way.
            StoreFullError, StoreFailedError, StoreDamagedError: it cannot be made, and the message
                says why; there is no target then, and this runtime goes on.
            RuntimeClosedError: the runtime is not open, or it stopped meanwhile.
        """
        self._check_open()
        store = self._store
        if not isinstance(store, RocksStore):
            message = "a backup is of a data directory, and the rows of this runtime are in none"
            raise InvalidArgumentError(message)
        await self._answers.when_durable(None)
        told, tell = self._answers.when_told(_do_nothing)
        work = partial(store.back_up, target)
        self._threads.run("backup", work, lambda info, error: tell(error or info))
        info: BackupInfo = await told
        return info

    def crash(self) -> None:
        """Drop everything at once and write nothing more, as if the process had been killed.

        For tests: callers get ``StoreFailedError``, and the store is left as it is, open.
        """
        self._commits.has_failed = True
        self._fail(RuntimeClosedError("the runtime was made to crash"))
        self._attempts.drop_all()
        self._close_threads()

    def _make_watch(self) -> BlockingWatch:
        """Who notices that a handler blocks; in a world of a test, where time stands, nobody."""
        seconds_max = self.config.blocking_ms_max / 1000
        watch = BlockingWatch(this_thread(), seconds_max, self._threads.post)
        if seconds_max and isinstance(self._threads, SystemThreads):
            self._watch_thread = SystemWatch(watch.look, seconds_max / 4)
            watch.wake = self._watch_thread.wake
            watch.start()
        return watch

    def _close_threads(self) -> None:
        self._threads.close()
        if self._watch_thread is not None:
            self._watch_thread.close()

    async def wait_failed(self) -> StoreFailedError:
        """Return the reason once the store has failed and the runtime has stopped working."""
        await self._failed.wait()
        assert self._failure is not None, "failed without a reason"
        return self._failure

    # -- Looks from outside ------------------------------------------------------------------

    def suspend_idle(self) -> None:
        """Let every attempt leave memory that only waits; it comes back by replay.

        Raises:
            RuntimeClosedError: the runtime was not started.
            ContextMisuseError: called from another loop or thread.
        """
        self._started_core()
        self._check_loop()
        self._attempts.suspend_all()

    @property
    def is_disk_slow(self) -> bool:
        """Whether an fsync takes a tenth of a second or more, now or a moment ago.

        Nothing is lost by it and nothing is acknowledged early, but everybody waits. A server's
        health says ``degraded`` then.
        """
        return self._slow_syncs.is_slow

    @property
    def is_disk_full(self) -> bool:
        """Whether new work is refused for want of disk space."""
        return self.health == "ok" and self._store.is_nearly_full

    def statistics(self) -> RuntimeStatistics:
        """A moment's view; raises ``RuntimeClosedError`` where the runtime was not started."""
        self._started_core()
        store = self._store.statistics()
        return RuntimeStatistics(
            invocations_accepted=self._lifecycle.accepted_count,
            invocations_completed=self._lifecycle.completed_count,
            invocations_collected=self._retention.collected_count,
            retained_bytes=self._lifecycle.outcomes.retained_bytes,
            attempts_started=self._attempts.started_count,
            attempts_resident=len(self._attempts),
            attempts_suspended=self._attempts.suspended_count,
            actions_started=self._attempts.steps.started_count,
            objects_busy=len(self._lifecycle.mailboxes),
            batches_written=store.batches_written,
            rows_written=store.rows_written,
            bytes_written=store.bytes_written,
            syncs=store.syncs,
        )

    def _check_loop(self) -> None:
        if self.health not in {"new", "stopped"}:
            refuse_beside(self._loop, self._elsewhere)

    def _check_open(self) -> None:
        if self.health != "ok":
            if self._failure is not None:
                raise StoreFailedError(self._failure.message)
            message = f"the runtime accepts nothing: it is {self.health}"
            if self.health == "new":
                message += ", and is started by `async with runtime:` or `await runtime.start()`"
            raise RuntimeClosedError(message)
        loop = asyncio._get_running_loop()  # noqa: SLF001  # in asyncio.__all__
        if loop is not self._loop and not isinstance(loop, HandlerLoop):
            # From here on rows are staged, which only the thread of the loop may do.
            raise ContextMisuseError(self._elsewhere)
        if self._attempts.is_pumping:
            message = (
                "a handler called the runtime directly; inside a handler use ctx.object(...), "
                "ctx.service(...), ctx.call(...) or ctx.send(...)"
            )
            raise ForbiddenInHandlerError(message)

    # -- Turns -------------------------------------------------------------------------------

    def _request_turn(self) -> None:
        if not self._turn_requested:
            self._turn_requested = True
            self._loop.call_soon(self._turn)

    def _recover(self) -> None:
        """Take up the next few of what was live at the start; nobody, once a stop has begun."""
        assert self._recovery is not None, "recovered without a recovery"
        if self.health != "ok" or not self._recovery.go_on(self._attempts.ready_count):
            self._recovery = None

    def _turn(self) -> None:
        """Run what is ready, then write all that was decided since the last turn."""
        if self.health in {"failed", "stopped"}:
            return
        if self._recovery is not None:
            self._commits.guard(self._recover)
        self._commits.guard(self._attempts.run_turn)
        # What is staged from here on, by effects of the write, belongs to the next turn.
        self._turn_requested = False
        self._commits.write()
        if self._attempts.has_ready or self._recovery is not None:
            self._request_turn()

    # -- Ends --------------------------------------------------------------------------------

    async def _wind_down(self, grace: timedelta) -> None:
        steps, timers = self._attempts.steps, self._lifecycle.timers
        steps.stop_starting()
        timers.close()
        idle = asyncio.ensure_future(self._wait_idle())
        alarm = self._clock.call_later(grace.total_seconds(), partial(_cancel, idle))
        await asyncio.wait([idle])
        alarm.cancel()
        tasks = steps.cut_off()
        if self.health == "stopping":
            self._attempts.drop_all()
            self._maintenance.write_down()
            durable = self._answers.when_durable(None)
            self._commits.write()
            await asyncio.wait([durable])
            # Looked at, so that asyncio does not complain; `_fail` has said it.
            durable.exception()
        if tasks:
            _, stubborn = await asyncio.wait(tasks, timeout=_CUT_OFF_SECONDS)
            tell_stubborn(stubborn)
        message = (
            "the runtime has stopped; what was accepted goes on at the next start, so ask again "
            "with the same idempotency key"
        )
        self._answers.refuse_all(RuntimeClosedError, message)

    async def _wait_idle(self) -> None:
        """Return once no action runs and the handlers have seen the results of the last ones."""
        for _ in range(_LAST_TURNS_MAX):
            # Again after each turn: a handler may have asked for another step, and whoever cuts
            # that off before it is known not to start would leave its outcome unknown.
            await self._attempts.steps.wait_idle()
            if not self._turn_requested or self.health != "stopping":
                return
            await self._yield()

    def _fail(self, error: BaseException) -> None:
        """The store failed, or the runtime itself: acknowledge nothing any more."""
        if self._failure is not None:
            return
        message = (
            f"the store failed ({describe(error)}), so the outcome of what was under way is "
            f"unknown until the next start; retry with the same idempotency key"
        )
        logger.critical("%s", message, exc_info=error)
        self.health = "failed"
        self._failure = StoreFailedError(message)
        self._failure.__cause__ = error
        self._lifecycle.timers.close()
        self._maintenance.close()
        self._attempts.steps.cut_off()
        self._answers.refuse_all(StoreFailedError, message)
        self._failed.set()
        # Not here: this may be inside the attempt that made the failing decision.
        self._loop.call_soon(self._attempts.drop_all)

    def _yield(self) -> "asyncio.Future[None]":
        """Awaited, it gives the loop one round."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._loop.call_soon(_set_done, future)
        return future


def _do_nothing() -> None:
    """Whoever stops to wait for a backup gets none of it."""


def _cancel(future: "asyncio.Future[None]") -> None:
    future.cancel()


def _set_done(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
