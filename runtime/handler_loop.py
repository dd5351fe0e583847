"""The event loop that an attempt of a handler runs on.

One attempt, one loop. It is an asyncio loop as far as coroutines can tell, with C tasks and C
futures, but it never runs by itself: the attempt *pumps* it, which runs what is ready until nothing
is, and between pumps *delivers* what the journal holds. So everything that happens on it happens in
one order, which depends on the journal and on nothing else:

* What coroutines can ask of it is in ``loop_schedule``: time, timers and order.
* While an error that is no outcome passes from task to task nothing else runs (``errors_first``).
* The garbage collector does not run during a pump, because it would run finalisers, and what those
  do, at another moment in every run.

``close`` ends the attempt: the loop is dead first, so that nothing which then runs can reach the
host, and what is unfinished is ended afterwards (``loop_closing``).

The loop knows no journal, no store and no other loop, and has no clock of its own.
"""

import asyncio
import gc
import os
import sys
from asyncio import events, tasks
from collections.abc import Callable, Coroutine, Hashable
from contextvars import Context
from enum import Enum
from types import CodeType
from typing import Any, TypeVar

from .forbidden import (
    UNKNOWN_LINE,
    explain_other_loop,
    find_line,
    shown,
    stuck_reason,
    walk_suspended,
)
from .loop_closing import AsyncGenerators, close_generator, close_task, forgive_held
from .loop_futures import HandlerTask, ReadyHandle
from .loop_host import DeadHost, LoopHost
from .loop_schedule import SPIN_CALLBACKS_MAX, ScheduleLoop

__all__ = ["SPIN_CALLBACKS_MAX", "HandlerLoop", "LoopHost", "PumpResult"]

T = TypeVar("T")

_CALLBACKS_PER_LOOK = 8
"""Callbacks between two looks at the clock."""
_LINES_MAX = 3
"""Lines that an error names."""

_running_loop = events._get_running_loop  # noqa: SLF001  # asyncio offers it to loops
_set_running_loop = events._set_running_loop  # noqa: SLF001  # asyncio offers it to loops
# Python 3.12 and later.
_swap_task: Callable[[Any, Any], Any] | None = getattr(tasks, "_swap_current_task", None)


class PumpResult(Enum):
    """Why a pump ended."""

    QUIESCENT = "nothing is ready"
    BOUND = "the bound of this pump was reached; the real loop should get its turn"
    SPINNING = "too many callbacks without a delivery: the handler will not stop by itself"


class HandlerLoop(ScheduleLoop):
    """An event loop that is run by pumping it, in an order that depends on its deliveries alone.

    Everything is called on one thread.
    """

    # -- Driven by the attempt ---------------------------------------------------------------

    def start(
        self, coroutine: Coroutine[Any, Any, T], context: Context | None = None
    ) -> HandlerTask[T]:
        """Make the handler's own task. It runs in ``context``, or in a fresh one."""
        assert self._main is None, "a handler's loop was started twice"
        self._is_delivering = True
        try:
            main = self._make_task(coroutine, None, Context() if context is None else context)
        finally:
            self._is_delivering = False
        self._main = main
        return main

    def deliver(
        self,
        future: asyncio.Future[Any],
        result: Any = None,
        *,
        exception: BaseException | None = None,
    ) -> None:
        """Resolve a future from outside of a pump. One that is done already stays as it is."""
        if self._is_closed:
            return
        self._callbacks = 0
        if self._rounds:
            self.release_scopes()
        if future.done():
            return
        self._is_delivering = True
        try:
            if exception is None:
                future.set_result(result)
            else:
                future.set_exception(exception)
        finally:
            self._is_delivering = False

    def fire_timer(self, timer: Hashable) -> None:
        """Make the callback of a timer ready. A timer that was cancelled is ignored."""
        self._callbacks = 0
        if self._rounds:
            self.release_scopes()
        handle = self._timers.pop(timer, None)
        if handle is not None:
            handle.timer = None
            self.ready.append(handle.ready)

    def interrupt(self, message: str | None = None) -> bool:
        """Cancel the handler's own task, as the next thing that happens.

        ``True``: it is the one that runs now, so it will notice when it awaits next. When it has
        ended, what it left behind is cancelled instead, and again if it was before.
        """
        main = self._main
        if main is None or self._is_closed:
            return False
        if main.done():
            self.cancel_remaining()
            return False
        self._callbacks = 0
        if self._rounds:
            self.release_scopes()
        if _running_loop() is self and asyncio.current_task() is main:
            main.cancel(message)
            return True
        self.ready.append(ReadyHandle(main.cancel, (message,), Context()))
        return False

    def cancel_remaining(self) -> None:
        """Let the next pump cancel every task but the handler's own, in order of creation.

        It is called once the handler's own task has ended. When the tasks have ended too, the async
        generators that were left unfinished are ended, in the order in which they began.
        ``has_tasks`` tells when all of it is done. A task may catch the cancellation and go on for
        as long as it likes; the attempt decides whether to wait, and ``close`` ends the wait.
        """
        if not self._is_closed:
            self._callbacks = 0
            if self._rounds:
                self.release_scopes()
            self.ready.append(ReadyHandle(self._cancel_remaining, (), Context()))

    @property
    def has_remains(self) -> bool:
        """Whether ``cancel_remaining`` would find anything to end."""
        return self._generators is not None or self.has_tasks

    @property
    def has_tasks(self) -> bool:
        """Whether any task besides the handler's own has not ended."""
        main = self._main
        if len(self._tasks) == 1 and self._tasks[0][0] is main:
            return False  # As in most handlers.
        self._tasks = [entry for entry in self._tasks if not entry[0].done()]
        return any(task is not main for task, _ in self._tasks)

    @property
    def is_quiescent(self) -> bool:
        """Whether nothing happens before the next delivery."""
        return not self.ready

    @property
    def spinning_at(self) -> str:
        """The user's line, as ``file:line``, of what is ready to run next."""
        for handle in self.ready:
            owner: Any = getattr(handle.callback, "__self__", None)
            if hasattr(owner, "get_coro"):
                line = find_line(walk_suspended(owner.get_coro()), self._source_files)
            else:
                line = _find_definition(handle.callback)
            if line is not None:
                return line
        return UNKNOWN_LINE

    @property
    def waits_in_vain(self) -> str:
        """That nothing can go on, in words, with the user's lines on which the first few wait."""
        tasks = [task for task, _ in self._tasks if not task.done()]
        found = (find_line(walk_suspended(t.get_coro()), self._source_files) for t in tasks)
        lines = list(dict.fromkeys(line for line in found if line is not None))
        return stuck_reason(lines[:_LINES_MAX] or [UNKNOWN_LINE])

    @property
    def waits_at(self) -> str:
        """The user's line, as ``file.py:12``, on which the handler's own task waits; or empty."""
        if self._main is None or self._main.done():
            return ""
        line = find_line(walk_suspended(self._main.get_coro()), self._source_files)
        return "" if line is None else os.path.basename(line)  # noqa: PTH119  # no path: it has a line

    def pump(self, callbacks_max: int, deadline: float, clock: Callable[[], float]) -> PumpResult:
        """Run what is ready, and what becomes ready by it, until nothing is or a bound is reached.

        The loop is the running one meanwhile; afterwards the one that was running before is again.
        Exceptions of handlers, ``KeyboardInterrupt`` and ``SystemExit`` included, stay in their
        tasks; those of plain callbacks are reported.

        Args:
            callbacks_max: how many callbacks may run.
            deadline: until when; a few callbacks run all the same, and one that has begun is
                never interrupted.
            clock: any clock in seconds, and the deadline's.
        """
        assert not self._is_closed, "a closed loop was pumped"
        outer = _running_loop()
        assert not isinstance(outer, HandlerLoop), "a loop was pumped from inside another's pump"
        if not self.ready:
            return PumpResult.QUIESCENT
        # From 3.14 on there is one current task per thread: ours could not be entered.
        assert outer is None or asyncio.current_task(outer) is None, "a loop was pumped by a task"
        hooks = sys.get_asyncgen_hooks()
        is_collecting = gc.isenabled()
        gc.disable()
        _set_running_loop(self)
        sys.set_asyncgen_hooks(self._generator_began, self._generator_dropped)
        try:
            return self._run_ready(callbacks_max, deadline, clock)
        finally:
            sys.set_asyncgen_hooks(*hooks)
            _set_running_loop(outer)
            if is_collecting:
                gc.enable()

    def close(self) -> None:
        """End the attempt. Whatever is unfinished is ended; nothing reaches the host but reports.

        The user's clean-up runs: ``finally`` and ``__aexit__`` see ``GeneratorExit``, in tasks in
        order of creation, then in async generators. Background failures that nobody looked at are
        reported, those of the handler's own task and of futures are not; nor are those that a
        handler which still waits can look at later. A second call does nothing.

        Raises:
            ForbiddenInHandlerError: the handler itself called this. It had no effect.
        """
        if self._is_closed:
            return
        if _running_loop() is self:
            self.forbid("close", "the loop the handler runs on")
        self._is_closed = True
        if self._main is not None and not self._main.done():
            forgive_held(self._tasks)
        self.ready.clear()
        self._aside = None
        self._timers.clear()
        host, self._host = self._host, DeadHost(self._host)
        has_unfinished = self._generators is not None
        for task, _ in self._tasks:
            has_unfinished = has_unfinished or not task.done()
        if has_unfinished:
            self._end_unfinished(host)
        for task, _ in self._tasks:
            if task._log_traceback:  # noqa: SLF001  # exception() may be what was never called
                task._log_traceback = False  # noqa: SLF001
                if task is not self._main:
                    host.report(f"a background task failed: {shown(task, repr)}", task.exception())
        self._tasks.clear()
        if self._rounds or self._fallen:
            self.forget_scopes()
        self._main = self._start_order = self._exception_handler = self._generators = None

    def explain(self, error: BaseException) -> BaseException:
        """Give the error to record for what a handler raised.

        It is the error itself, unless it is asyncio's way of saying that the handler used something
        which belongs to another loop.
        """
        return explain_other_loop(self.name, error, self._source_files) or error

    # -- The pump ----------------------------------------------------------------------------

    def _run_ready(
        self, callbacks_max: int, deadline: float, clock: Callable[[], float]
    ) -> PumpResult:
        ready = self.ready
        take = ready.popleft
        count = 0
        handle: ReadyHandle | None
        while ready:
            handle = take()
            try:
                handle.context.run(handle.callback, *handle.args)
            except BaseException as error:  # noqa: BLE001  # reported; the loop goes on as asyncio's
                self._callback_failed(handle, error)
            count += 1
            if self._aside is not None and self._has_passed(self._aside):
                self._aside = None
            if count >= callbacks_max or (not count % _CALLBACKS_PER_LOOK and clock() >= deadline):
                break
        # The traceback of an error leads here in some Pythons, and would hold the task that has it.
        handle = None
        self._callbacks += count
        if not ready:
            self._effort = 0
            return PumpResult.QUIESCENT
        if self._callbacks >= self._spin_callbacks_max:
            return PumpResult.SPINNING
        return PumpResult.BOUND

    def _callback_failed(self, handle: ReadyHandle, error: BaseException) -> None:
        owner = getattr(handle.callback, "__self__", None)
        if isinstance(owner, asyncio.Task) and isinstance(error, (KeyboardInterrupt, SystemExit)):
            # A task keeps these and raises them through its loop as well, to end the program. Here
            # that would end every other handler, so whoever awaits the task decides.
            return
        self.call_exception_handler(
            {"message": f"a callback failed: {shown(handle.callback, repr)}", "exception": error}
        )

    def _cancel_remaining(self) -> None:
        for task, _ in list(self._tasks):
            if task is not self._main and not task.done():
                task.cancel()
        if self._generators is not None and self._generators.has_unfinished:
            self.create_task(self._end_generators_last(self._generators))

    async def _end_generators_last(self, generators: AsyncGenerators) -> None:
        me = asyncio.current_task()
        others = [task for task, _ in self._tasks if task is not me and not task.done()]
        if others:
            await asyncio.wait(others)
        await self._end_generators(generators)

    def _end_unfinished(self, host: LoopHost) -> None:
        outer = _running_loop()
        hooks = sys.get_asyncgen_hooks()
        # A task of the program may be what closes us; from 3.14 on, ours could not be entered.
        closer = None if outer is None or _swap_task is None else asyncio.current_task(outer)
        if closer is not None and _swap_task is not None:
            _swap_task(outer, None)  # 3.12 refuses it where there is no task.
        _set_running_loop(self)
        sys.set_asyncgen_hooks(self._generator_began, self._generator_dropped)
        try:
            for task, context in self._tasks:
                if not task.done():
                    close_task(task, context, host.report)
            if self._generators is not None:
                for generator in self._generators.take_unfinished():
                    close_generator(generator, host.report)
        finally:
            sys.set_asyncgen_hooks(*hooks)
            _set_running_loop(outer)
            if closer is not None and _swap_task is not None:
                _swap_task(outer, closer)


def _find_definition(function: Any) -> str | None:
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if isinstance(code, CodeType) else None
