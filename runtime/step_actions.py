"""Running the action of a step: on the loop or in a thread, until it has really ended.

This module knows what runs and how it is told to end. What an end means, and what is written down
about it, is decided in ``steps``.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from types import FunctionType, MethodType
from typing import Any
from weakref import ref

from ..objects.identity import format_invocation_id
from ..objects.step_info import StepInfo, current_step, decode_details
from ..objects.syscalls import Action, Intent
from .blocking import BlockingWatch
from .odd_values import is_awaitable
from .seams import Clock, Threads
from .step_heartbeats import Heartbeats
from .step_plan import Step
from .tracing import Tracing

Ended = Callable[[Step, Any, BaseException | None], None]


class Actions:
    """Runs actions, each once, and tells of each how it ended."""

    def __init__(  # noqa: PLR0913  # its surroundings, each by keyword
        self,
        *,
        clock: Clock,
        threads: Threads,
        tracing: Tracing,
        heartbeats: Heartbeats,
        watch: BlockingWatch,
        ended: Ended,
    ) -> None:
        """``ended`` is called with each action's step, and with its result or its exception."""
        self._clock = clock
        self._threads = threads
        self._tracing = tracing
        self._heartbeats = heartbeats
        self._watch = watch
        self._ended = ended

    def run(self, step: Step) -> None:
        """Begin the action of ``step``, or its ``verify`` where the step is being verified."""
        plan = step.plan
        details = None if step.details is None else decode_details(step.details)
        info = StepInfo(
            name=plan.name,
            attempt=step.attempt,
            idempotency_key=step.idempotency_key,
            invocation_id=format_invocation_id(step.invocation_id),
            details=details,
            beat=partial(self._heartbeats.beat, ref(step)),
        )
        plan.context.run(current_step.set, info)
        if self._tracing.is_on:
            step.span = self._tracing.begin_step(
                plan.name, step.attempt, step.idempotency_key, plan.span, plan.context
            )
        action = plan.action
        if step.is_verifying:
            assert callable(plan.options.on_unknown), "nothing to verify with"
            intent = Intent(
                name=plan.name,
                idempotency_key=step.idempotency_key,
                attempt=step.attempt,
                details=details,
            )
            action = Action(plan.options.on_unknown, (intent,), {})
        self._call(step, partial(action.function, *action.args, **action.kwargs))

    def finish(self, step: Step, error: BaseException | None) -> None:
        """The action has ended: nothing more will be done to it."""
        if step.alarm is not None:
            step.alarm.cancel()
        if step.silence_alarm is not None or step.news_alarm is not None:
            self._heartbeats.finish(step)
        if step.span is not None:
            self._tracing.end(step.span, error)

    def _call(self, step: Step, function: Callable[[], Any]) -> None:
        """Call ``function`` on the loop when it is async, else in a thread."""
        if not _is_async(function):
            self._threads.run(
                "actions",
                partial(self._call_in_thread, step, function),
                partial(self._returned, step),
            )
            return
        options = step.plan.options
        if options.timeout is not None or options.heartbeat_timeout is not None:
            self._set_alarms(step)
        try:
            coroutine = step.plan.context.run(function)
        except Exception as error:  # noqa: BLE001  # arguments that do not fit the function
            self._ended(step, None, error)
        else:
            self._await(step, coroutine)

    def _call_in_thread(self, step: Step, function: Callable[[], Any]) -> Any:
        if step.is_cancelled:
            # Nobody wants it any more, and it has only now come to a thread.
            raise asyncio.CancelledError
        options = step.plan.options
        if options.timeout is not None or options.heartbeat_timeout is not None:
            # From here, and not from when it began to wait for a thread.
            self._threads.post(partial(self._set_alarms, step))
        return step.plan.context.run(function)

    def _set_alarms(self, step: Step) -> None:
        limit = step.plan.options.timeout
        if limit is not None:
            reason = f"it did not end within {limit}"
            step.alarm = self._clock.call_later(
                limit.total_seconds(), partial(_time_out, step, reason)
            )
        self._heartbeats.begin(step, _be_silent)

    def _await(self, step: Step, awaitable: Awaitable[Any]) -> None:
        loop = asyncio.get_running_loop()
        watch = self._watch
        watch.actions += 1
        if not watch.is_awake:
            watch.wake_up()
        step.task = loop.create_task(_wait(awaitable), context=step.plan.context)
        step.task.add_done_callback(partial(self._task_done, step, awaitable))
        if step.is_cancelled or step.timed_out:
            step.task.cancel()

    def _returned(self, step: Step, result: Any, error: BaseException | None) -> None:
        # A plain function may give an awaitable, ``lambda: client.get(url)`` for one.
        if error is None and is_awaitable(result):
            self._await(step, result)
        else:
            self._ended(step, result, error)

    def _task_done(self, step: Step, awaitable: Awaitable[Any], task: "asyncio.Task[Any]") -> None:
        self._watch.actions -= 1
        if task.cancelled():
            if inspect.iscoroutine(awaitable):
                # If it has not begun, Python would complain that it was never awaited.
                awaitable.close()
            self._ended(step, None, asyncio.CancelledError())
        else:
            error = task.exception()
            self._ended(step, task.result() if error is None else None, error)


def tell_to_end(step: Step) -> None:
    """Nobody wants the result any more: cancel the action; it ends when it pleases."""
    step.is_cancelled = True
    if step.task is not None:
        step.task.cancel()


def _be_silent(step: Step) -> None:
    _time_out(step, f"it was silent for {step.plan.options.heartbeat_timeout}")


def _time_out(step: Step, reason: str) -> None:
    step.timed_out = step.timed_out or reason
    if step.task is not None:
        step.task.cancel()


def _is_async(function: Callable[..., Any]) -> bool:
    while isinstance(function, partial):
        function = function.func
    plain: Any = function.__func__ if type(function) is MethodType else function
    if type(plain) is FunctionType and plain.__code__.co_flags & inspect.CO_COROUTINE:
        return True  # The common kind; whatever else there is takes a longer look.
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  # an object whose __call__ is async
    )


async def _wait(awaitable: Awaitable[Any]) -> Any:
    try:
        return await awaitable
    except SystemExit as error:
        # Left alone it would end the loop that all other agents run on.
        message = f"the action called sys.exit({error.code!r})"
        raise RuntimeError(message) from error
