"""Heartbeats: how an action says that it is alive, and how far it has come.

A heartbeat may come from any thread and for every token of a model's answer, so it costs two
attributes. The timer of the silence is not set anew each time: when it rings it looks when the
action was heard last, and goes on for what is left. What the action said is written when it was
last written long enough ago; several that follow each other closely become one row.

The row joins the batch of the turn and waits for no sync. A killed process loses what was said
since the last write, a power cut also what no sync has covered since.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from weakref import ref

from .seams import Clock, Threads
from .step_plan import Step

_SOON_SECONDS = 0.001
"""A clock of microseconds may ring this much too early."""


class Heartbeats:
    """Hears the actions of one runtime. All but ``beat`` belongs to the loop's thread."""

    def __init__(
        self, clock: Clock, threads: Threads, write_ms: int, write: Callable[[Step], None]
    ) -> None:
        """Have ``write`` keep what an action says, at most once in ``write_ms``."""
        self._clock = clock
        self._threads = threads
        self._write_seconds = write_ms / 1000
        self._write = write

    def begin(self, step: Step, silent: Callable[[Step], None]) -> None:
        """The action of ``step`` begins: call ``silent`` once it is silent for too long."""
        limit = step.plan.options.heartbeat_timeout
        if limit is not None:
            step.heard_at = self._clock.monotonic()
            self._listen(step, limit.total_seconds(), silent)

    def beat(self, beating: "ref[Step]", details: bytes | None) -> None:
        """The action says that it is alive, and with ``details`` how far it has come.

        The action's context holds this, and the step holds the action's task: were it not a weak
        reference, each step would be left to the garbage collector.

        Raises:
            asyncio.CancelledError: nobody wants the result any more. A task is cancelled for
                that; a thread has no other way to learn it.
        """
        step = beating()
        if step is None:
            return  # The action has ended; what says so is what it has left running.
        step.heard_at = self._clock.monotonic()
        if step.task is None and (step.is_cancelled or step.timed_out):
            message = f"step {step.plan.name!r} was told to end"
            raise asyncio.CancelledError(message)
        if details is None:
            return
        # In this order: whoever takes the mark away reads the details afterwards.
        step.details = details
        if not step.has_news:
            step.has_news = True
            self._threads.post(partial(self._tell, step))

    def finish(self, step: Step) -> None:
        """The action has ended."""
        if step.silence_alarm is not None:
            step.silence_alarm.cancel()
        if step.news_alarm is not None:
            step.news_alarm.cancel()
        step.silence_alarm = step.news_alarm = None
        # What runs next for the same step, after a `verify` for one, has news of its own.
        step.has_news = False

    def _listen(self, step: Step, seconds: float, silent: Callable[[Step], None]) -> None:
        step.silence_alarm = self._clock.call_later(seconds, partial(self._look, step, silent))

    def _look(self, step: Step, silent: Callable[[Step], None]) -> None:
        limit = step.plan.options.heartbeat_timeout
        assert limit is not None, "listened to an action that may be silent"
        left = step.heard_at + limit.total_seconds() - self._clock.monotonic()
        if left > _SOON_SECONDS:
            self._listen(step, left, silent)
        else:
            silent(step)

    def _tell(self, step: Step) -> None:
        left = step.told_at + self._write_seconds - self._clock.monotonic()
        if left > _SOON_SECONDS:
            step.news_alarm = self._clock.call_later(left, partial(self._tell_now, step))
        else:
            self._tell_now(step)

    def _tell_now(self, step: Step) -> None:
        step.has_news = False
        step.told_at = self._clock.monotonic()
        self._write(step)
