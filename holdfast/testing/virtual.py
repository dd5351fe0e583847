"""A runtime on virtual time, for one test: the real engine, whose clock the test moves.

Time stands still until it is told to move. ``finish`` moves it as far as an answer needs; whatever
else wants time waits with it. Plain functions of steps run inline, so a test has no threads.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, TypeVar

from opentelemetry.trace import TracerProvider

from ..app import Runtime
from ..journal.store import Store
from ..objects.errors import InvalidArgumentError, RuntimeClosedError
from ..objects.identity import InvocationId, format_invocation_id, parse_invocation_id
from ..runtime.answers import add_outcome
from ..runtime.config import RuntimeConfig
from ..runtime.core import Core
from ..runtime.requests import Answer
from ..runtime.seams import Threads
from ..runtime.step_plan import Step
from ..runtime.testing import InlineThreads, ManualClock, SeededRandomness, come_to_rest
from .dying_store import ProcessDied
from .journals import Journal, read_journal
from .rows import find_last_of, has_anything_to_do, open_invocations

T = TypeVar("T")

OUTSIDE_SECONDS_MAX: Final = 1.0
"""Real seconds that virtual time stands still for what waits for the real world."""

VIRTUAL_DAYS_MAX: Final = timedelta(days=400)

UNHURRIED: Final = RuntimeConfig(maintenance_ms=600_000)
"""As any runtime, but it looks after itself every ten minutes only: a test may sleep for months."""

_POLL_SECONDS = 0.001
_LAST_LOOK_SECONDS = 0.05
"""Real seconds for a socket or a thread to say something, when nobody is known to wait for one."""
_OPEN_SHOWN_MAX = 5


class VirtualRuntime(Runtime):
    """A ``Runtime`` whose time the test moves, and whose journals and state it can read."""

    _elsewhere = (
        "this runtime runs on another event loop than the test that calls it; let fixtures "
        "and tests share one, by loop_scope or asyncio_default_fixture_loop_scope"
    )

    def __init__(  # noqa: PLR0913  # the seams of one runtime, each by keyword
        self,
        classes: Iterable[type],
        *,
        store: Store,
        clock: ManualClock | None = None,
        config: RuntimeConfig | None = None,
        seed: int = 0,
        threads: Threads | None = None,
        tracer_provider: TracerProvider | None = None,
    ) -> None:
        """Register ``classes``; ``start`` opens it, on the rows that ``store`` holds."""
        self.clock = clock or ManualClock()
        """The time; ``await runtime.clock.advance(seconds)`` moves it."""
        self.store = store
        """Where the rows are."""
        self.own_real_timers = 0
        """How many of the loop's timers belong to the test's own machinery."""
        super().__init__(
            classes,
            store=store,
            config=config or UNHURRIED,
            clock=self.clock,
            randomness=SeededRandomness(seed),
            threads=threads or InlineThreads(),
            tracer_provider=tracer_provider,
        )
        # How many `finish` are under way, which move the time.
        self._finishing = 0
        # Whether real time was waited in vain since anything happened last.
        self._has_waited = False
        self._last_activity: tuple[object, ...] = ()

    @property
    def core(self) -> Core:
        """What it is made of, once it was started."""
        return self._core

    async def finish(self, answer: Awaitable[T], within: timedelta | float = VIRTUAL_DAYS_MAX) -> T:
        """What ``answer`` gives, with as much time passing as it takes.

        Time passes for everything in the runtime: timers, retries and timeouts of others ring in
        their order. What an action does in the real world (a socket, a real sleep) is waited for
        while the virtual time stands still, up to a second.

        Args:
            answer: what is awaited; it is started now.
            within: how far the time may move, a ``timedelta`` or seconds.

        Raises:
            AssertionError: it waits for something that nothing will bring, or for longer than
                ``within``; the message shows what is open. The call is given up; the invocation
                is as it was.
        """
        task = asyncio.ensure_future(answer)
        limit = within if isinstance(within, timedelta) else timedelta(seconds=within)
        end_ms = self.clock.now_ms() + round(limit.total_seconds() * 1000)
        self._finishing += 1
        try:
            while not task.done():
                if not await self.move(until=task.done, end_ms=end_ms) and not task.done():
                    message = "this never ends: nothing is left that could move it"
                    if (self.clock.next_ms() or 0) > end_ms:
                        message = f"this did not end within {limit}"
                    raise AssertionError("\n".join([message, *self.describe_open()]))
            return task.result()
        finally:
            self._finishing -= 1
            task.cancel()

    async def move(
        self,
        *,
        until: Callable[[], bool] = lambda: False,
        end_ms: float = math.inf,
        waits_outside: bool = False,
    ) -> bool:
        """Come to rest, then let what is next happen: something outside, or the next alarm.

        ``False``: nothing will happen by itself any more, or not by ``end_ms``; nor did anything
        outside for a moment.

        Args:
            until: whether all that was wanted has happened.
            end_ms: the last moment to move to.
            waits_outside: whoever asks waits for the world outside, too.
        """
        await come_to_rest()
        if until():
            return True
        is_acting = len(self._attempts.steps) > self.clock.sleeping_actions
        if (is_acting or waits_outside) and await self._wait_outside(until, OUTSIDE_SECONDS_MAX):
            return True
        is_sleeping = self.clock.sleeping_actions or self.clock.sleeping_others
        if is_acting or is_sleeping or has_anything_to_do(self.store):
            return (self.clock.next_ms() or 0) <= end_ms and self.clock.step()
        is_sleeping = _real_timers() > self.own_real_timers
        seconds = OUTSIDE_SECONDS_MAX if is_sleeping else _LAST_LOOK_SECONDS
        return await self._wait_outside(until, seconds)

    async def rest(self) -> None:
        """Return once nothing can go on without time passing, or the world outside."""
        await come_to_rest()

    def journal(self, of: str) -> Journal:
        """The journal of an invocation, as far as it is written.

        Args:
            of: the invocation's id, or whom it called, ``"Cart/sam/add"``: of several the one
                accepted last.

        Raises:
            InvalidArgumentError: nobody has called that, or it is long collected.
            UnknownTargetError: there is no invocation with this id.
        """
        if of.startswith("inv_"):
            return read_journal(self.store, parse_invocation_id(of))
        id_ = find_last_of(self.store, of)
        if id_ is None:
            message = f"nobody has called {of!r}; a journal is named by Class/key/handler or an id"
            raise InvalidArgumentError(message)
        return read_journal(self.store, id_)

    def watch_steps(self, on_launch: Callable[[Step], None]) -> None:
        """Have ``on_launch`` told of each action just before it runs. The runtime has started."""
        self._attempts.steps.on_launch = on_launch

    def attach(self, id_: InvocationId) -> "asyncio.Future[Answer]":
        """The outcome of an invocation that is there, once it has one."""
        core = self.core
        answer = Answer(invocation_id=format_invocation_id(id_))
        outcome = core.lifecycle.outcomes.find(id_)
        if outcome is None:
            return core.answers.with_outcome(id_, answer)
        return core.answers.when_durable(add_outcome(answer, outcome.result or b""))

    def pulse(self) -> object:
        """Another value whenever anything has happened; ``None`` while nobody waits in vain.

        Who waits for a ``finish``, or for an action in the real world, does not wait in vain; nor
        while anybody in the test sleeps in real time, or waits with a timeout.
        """
        is_acting = len(self._attempts.steps) > self.clock.sleeping_actions
        waiting = len(self._answers)
        if not waiting or self._finishing or is_acting or _real_timers():
            return None
        return self, self.clock.monotonic(), self._activity(), waiting

    def fail_waiting(self) -> None:
        """Raise an ``AssertionError`` in every caller who waits for an answer."""
        message = (
            "this does not end while time stands still; `await runtime.finish(...)` moves it as "
            "far as a call needs, `await runtime.clock.advance(seconds)` as far as you say"
        )
        said = "\n".join([message, *self.describe_open()])
        self._answers.refuse_all(AssertionError, said)

    def crash(self) -> None:
        """As ``Engine.crash``, without a word in the log: it is the test that wants it."""
        with quietly():
            super().crash()

    def describe_open(self) -> list[str]:
        """What is not completed and where it stands, for a message."""
        shown = [str(read_journal(self.store, id_)) for id_, _ in open_invocations(self.store)]
        more = len(shown) - _OPEN_SHOWN_MAX
        return [*shown[:_OPEN_SHOWN_MAX], *([f"and {more} more"] if more > 0 else [])]

    async def _wait_outside(self, until: Callable[[], bool], seconds: float) -> bool:
        """Wait in real time until anything happens; ``False``: nothing did, and time may move."""
        before = self._activity()
        if self._has_waited and before == self._last_activity:
            return False
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            await asyncio.sleep(_POLL_SECONDS)
            if until() or self._activity() != before:
                self._has_waited = False
                return True
        self._has_waited = True
        self._last_activity = before
        return False

    def _activity(self) -> tuple[object, ...]:
        steps = self._attempts.steps
        batches = self.store.statistics().batches_written
        return self.health, batches, steps.started_count, len(steps)


def _real_timers() -> int:
    """How many sleep in real time, on a loop that tells."""
    handles: Any = getattr(asyncio.get_running_loop(), "_scheduled", ())
    return sum(not handle.cancelled() for handle in handles)


@contextmanager
def quietly() -> Generator[None, None, None]:
    """A death that a test wanted is no critical failure, and is not logged as one."""
    logger = logging.getLogger("holdfast.runtime")

    def is_no_wanted_death(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, ProcessDied | RuntimeClosedError)

    logger.addFilter(is_no_wanted_death)
    try:
        yield
    finally:
        logger.removeFilter(is_no_wanted_death)


def unhurried(config: RuntimeConfig | None) -> RuntimeConfig:
    """``config``, which looks after itself as ``UNHURRIED`` does unless it says otherwise."""
    if config is None or config.maintenance_ms != RuntimeConfig().maintenance_ms:
        return config or UNHURRIED
    return replace(config, maintenance_ms=UNHURRIED.maintenance_ms)
