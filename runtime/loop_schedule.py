"""What coroutines, tasks and futures see of a handler's loop: asyncio's interface to it.

Whatever is scheduled ends up in one queue of ready callbacks; ``handler_loop`` runs it. Time is the
host's, a timer is a command of the host, what asyncio keeps in sets is ordered by numbers rather
than addresses (``loop_futures``, ``start_order``), and every other way outside is closed
(``forbidden``).

Nothing gets in from outside either: while the loop is not pumped, only the attempt may schedule on
it. Whoever else tries, by waking a semaphore that two handlers share, gets an error.

On a dead loop every call is accepted and does nothing. Raising would be no kinder: a clean-up that
catches everything and tries again would never give the thread back, while one that awaits a future
of a dead loop does.
"""

import asyncio
import sys
from asyncio import events
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Hashable, Sequence
from contextvars import Context, copy_context
from types import FrameType
from typing import Any, Final, NoReturn, TypeVar, TypeVarTuple
from zlib import crc32

from .anyio_parts import RUN_IN_THREAD, is_anyio
from .cancelled_scopes import CancelledScopes
from .errors_first import NOTE_END, ErrorsFirst, is_passing
from .forbidden import (
    HandlerStack,
    LoopWithoutOutside,
    outside_error,
    shared_error,
    shown,
    thread_error,
    used_outside_error,
    woken_error,
)
from .loop_closing import AsyncGenerators
from .loop_futures import (
    GATHERING_INIT,
    SHIELD,
    DurableTimerHandle,
    HandlerFuture,
    HandlerTask,
    ReadyHandle,
    adopt_gathering,
    mark_shielded,
)
from .loop_host import LoopHost
from .start_order import ENSURE_FUTURE, StartOrder, find_as_completed

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
ExceptionHandler = Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object]

SPIN_CALLBACKS_MAX: Final = 1_000_000
"""How many callbacks a handler may run without anything being delivered to it."""

_TASKS_KEPT: Final = 64
_WRAP_FUTURE: Final = asyncio.wrap_future.__code__
_running_loop = events._get_running_loop  # noqa: SLF001  # asyncio offers it to loops
_frame = sys._getframe  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # inspect is slow


class ScheduleLoop(ErrorsFirst, CancelledScopes, LoopWithoutOutside):
    """The part of a handler's loop that is asyncio's interface."""

    # Fields that few attempts ever ask for begin here: an invocation that awaits nothing costs
    # about as much as its fields.

    # The handler's own task, from ``start`` on.
    _main: asyncio.Task[Any] | None = None
    # Whether the attempt itself is scheduling something between two pumps.
    _is_delivering = False
    # Callbacks since the last delivery.
    _callbacks = 0
    # Beyond this many, finished tasks are looked for and forgotten.
    _tasks_kept_max = _TASKS_KEPT
    # The call of ``as_completed`` whose coroutines are being started.
    _start_order: StartOrder | None = None
    # The handler's own exception handler.
    _exception_handler: ExceptionHandler | None = None

    def __init__(
        self,
        host: LoopHost,
        *,
        source_files: Sequence[str] = (),
        hash_seed: int | None = None,
        spin_callbacks_max: int = SPIN_CALLBACKS_MAX,
    ) -> None:
        """Make a loop with nothing on it.

        Args:
            host: the attempt.
            source_files: files whose lines errors may name although they are in an installed
                package; those of the handler's class.
            hash_seed: where the numbers begin that tasks and futures hash by. It must be alike in
                every attempt of an invocation, and should differ between invocations: asyncio has
                a set of all tasks. Made from ``host.describe()`` when not given.
            spin_callbacks_max: after how many callbacks without a delivery a handler counts as
                spinning.
        """
        self._host = host
        self._source_files = source_files
        self._spin_callbacks_max = spin_callbacks_max
        # Set first of all when the attempt ends, and never taken back.
        self._is_closed = False
        # ``None`` until an async generator begins.
        self._generators: AsyncGenerators | None = None
        self.ready: deque[ReadyHandle] = deque()
        """What a pump would run, in order."""
        # Timers that have not fired, by what the host calls them.
        self._timers: dict[Hashable, DurableTimerHandle] = {}
        # Invariant: every task that is not done is here, in order of creation. asyncio itself
        # holds tasks weakly, and a collected task would be an await that never ends.
        self._tasks: list[tuple[asyncio.Task[Any], Context]] = []
        # The hash given last; the name of a task is the distance from the first.
        seed = crc32(host.describe().encode()) if hash_seed is None else hash_seed
        self._first_number = self._number = (seed & 0xFFFF_FFFF) << 16

    def __repr__(self) -> str:
        """Name the handler."""
        return f"<loop of {self.name}>"

    # -- Scheduling: what tasks, futures and handlers call -----------------------------------

    def call_soon(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """As ``AbstractEventLoop.call_soon``.

        Raises:
            ForbiddenInHandlerError: the loop is not being pumped; nothing was scheduled.
        """
        if self._is_closed or (_running_loop() is not self and not self._is_delivering):
            self._check_may_schedule()
            return ReadyHandle(_nothing, (), Context())
        handle = ReadyHandle(callback, args, copy_context() if context is None else context)
        if callback is not NOTE_END:
            self.ready.append(handle)
        elif is_passing(args):
            self.let_pass()
        return handle

    def call_soon_threadsafe(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """As ``call_soon``: from any other thread it is refused."""
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """As ``AbstractEventLoop.call_later``; the timer is durable."""
        return self.call_at(self._host.now() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """As ``AbstractEventLoop.call_at``; the timer is durable.

        What is due already becomes ready at once. A timer at infinity is none: it never fires.

        Raises:
            ForbiddenInHandlerError: the loop is not being pumped; there is no timer.
            ValueError: ``when`` is not a number.
        """
        handle = DurableTimerHandle(
            when, callback, args, self, copy_context() if context is None else context
        )
        if self._is_closed or _running_loop() is not self:
            self._check_may_schedule()
        elif when <= self._host.now():
            self.ready.append(handle.ready)
        elif when != when:  # noqa: PLR0124  # NaN, which would be a timer that cannot be ordered
            message = f"a timer cannot be set for {when}"
            raise ValueError(message)
        elif when != float("inf"):
            handle.timer = timer = self._host.set_timer(when)
            self._timers[timer] = handle
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        assert isinstance(handle, DurableTimerHandle), "a timer of another loop was cancelled here"
        timer = handle.timer
        if timer is None or self._is_closed:
            return
        if _running_loop() is not self:
            self._check_may_schedule()
        handle.timer = None
        del self._timers[timer]
        self._host.cancel_timer(timer)

    def time(self) -> float:
        """Give the handler's time, in seconds since 1970: mostly that of the last delivery."""
        return self._host.now()

    def create_future(self) -> asyncio.Future[Any]:
        """Make a future whose hash is alike in every run.

        Raises:
            ForbiddenInHandlerError: ``asyncio.wrap_future`` was given what a thread will say.
        """
        caller = _frame(1)
        if caller.f_code is SHIELD:
            # Where it was made is all that tells, later, that what it guards was to be left alone.
            mark_shielded(caller.f_locals["inner"])
        elif caller.f_code is _WRAP_FUTURE:
            # Where the thread is done already the answer would come, and on a replay perhaps not.
            self.forbid("wrap_future", "a thread")
        return HandlerFuture(loop=self)

    def create_task(
        self,
        coro: Any,
        *,
        name: str | None = None,
        context: Context | None = None,
        **options: Any,
    ) -> asyncio.Task[Any]:
        """Make a task whose hash and default name are alike in every run.

        Raises:
            ForbiddenInHandlerError: the loop is not being pumped, or ``asyncio.as_completed`` was
                given coroutines without an order. The coroutine was closed.
        """
        caller = _frame(1)
        if caller.f_code is ENSURE_FUTURE:
            frame = find_as_completed(caller)
            if frame is not None and not self._is_closed:
                task = self._take_started(frame, coro)
                if task is not None:
                    return task
        return self._make_task(coro, name, copy_context() if context is None else context, options)

    def take_number(self) -> int:
        """Give the next number that something of this loop hashes by."""
        self._number = number = self._number + 1
        return number

    def _make_task(
        self,
        coroutine: Coroutine[Any, Any, T],
        name: str | None,
        context: Context,
        options: dict[str, Any] | None = None,
    ) -> HandlerTask[T]:
        if self._is_closed or (_running_loop() is not self and not self._is_delivering):
            self._check_may_schedule(coroutine)
            coroutine.close()
            options = None
        self._number = number = self._number + 1
        if name is None:
            name = f"Task-{number - self._first_number}"
        task = HandlerTask(
            coroutine, number, loop=self, name=name, context=context, **options or {}
        )
        if self._is_closed:
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001
            return task
        if self._main is not None:
            task.add_done_callback(NOTE_END, context=context)
        tasks = self._tasks
        tasks.append((task, context))
        if len(tasks) > self._tasks_kept_max:
            self._tasks = [entry for entry in tasks if not entry[0].done()]
            self._tasks_kept_max = 2 * len(self._tasks) + _TASKS_KEPT
        return task

    def _take_started(
        self, frame: FrameType, coroutine: Coroutine[Any, Any, Any]
    ) -> asyncio.Task[Any] | None:
        order = self._start_order
        if order is None or order.frame is not frame:
            line = self.look(frame).line
            order = StartOrder(frame, self._make_started, self.name, line)
        task = order.take(coroutine)
        self._start_order = None if order.is_finished else order
        return task

    def _make_started(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return self._make_task(coroutine, None, copy_context())

    # -- Errors ------------------------------------------------------------------------------

    def forbid(self, method: str, what: str) -> NoReturn:
        """Refuse the call of ``method``, which reaches ``what``."""
        if _running_loop() is not self:
            # The line is a step's, for whom what the other error says to do is done.
            stack = HandlerStack(_frame(1), None, self._source_files)
            raise used_outside_error(self.name, stack, method)
        raise outside_error(self.name, self.look(_frame(1)), method, what)

    @property
    def name(self) -> str:
        """The handler and the invocation, for messages."""
        return self._host.describe()

    def look(self, frame: FrameType) -> HandlerStack:
        """Look at where the handler is, from ``frame`` outwards."""
        main = None if self._main is None else self._main.get_coro()
        return HandlerStack(frame, main, self._source_files)

    def _check_may_schedule(self, coroutine: Coroutine[Any, Any, Any] | None = None) -> None:
        """Raise unless the loop is dead and what calls is its own clean-up, or nobody's code."""
        running = _running_loop()
        if self._is_closed and (running is self or not isinstance(running, ScheduleLoop)):
            return
        if coroutine is not None:
            coroutine.close()
        if isinstance(running, ScheduleLoop):
            error = shared_error(running.name, self.name, running.look(_frame(1)))
        else:
            error = woken_error(self.name, HandlerStack(_frame(1), None, self._source_files))
        # What was woken is lost to the handler it belongs to, which would wait in silence.
        self._host.report("something of this handler was woken from outside of it", error)
        raise error

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Tell the handler's own exception handler what went wrong in the background, or log it."""
        if self._is_closed:
            return
        handler = self._exception_handler
        if handler is None or _running_loop() is not self:
            # Objects that are collected between pumps report as well; no user code runs for those.
            self.default_exception_handler(context)
            return
        try:
            handler(self, context)
        except Exception as error:  # noqa: BLE001  # the user's handler; asyncio logs it as well
            self._host.report("the exception handler failed", error)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Log what went wrong in the background. It changes nothing else."""
        about = context.get("task") or context.get("future")
        message = context.get("message") or "an error in the background"
        self._host.report(
            message if about is None else f"{message}: {shown(about, repr)}",
            context.get("exception"),
        )

    def set_exception_handler(self, handler: ExceptionHandler | None) -> None:
        """Let a function of the handler hear what goes wrong in the background."""
        self._exception_handler = handler

    def get_exception_handler(self) -> ExceptionHandler | None:
        """Give what ``set_exception_handler`` was given."""
        return self._exception_handler

    # -- The rest of asyncio's interface -----------------------------------------------------

    def get_debug(self) -> bool:
        """Give ``False``: asyncio's debug mode is not for handlers.

        A future asks while it is being made, and this is the only moment at which the one that
        ``asyncio.gather`` returns can be given a hash of this loop.

        Raises:
            ForbiddenInHandlerError: it is for what a thread of anyio's would say.
        """
        frame = _frame(1)
        if frame.f_code is GATHERING_INIT:
            adopt_gathering(frame.f_locals["self"])
        elif frame.f_code.co_name == RUN_IN_THREAD and is_anyio(frame):
            raise thread_error(self.name, self.look(frame))
        return False

    def set_debug(self, enabled: bool) -> None:  # noqa: FBT001  # asyncio's signature
        """Do nothing: asyncio's debug mode is not for handlers."""

    def is_running(self) -> bool:
        """Whether the loop is being pumped."""
        return _running_loop() is self

    def is_closed(self) -> bool:
        """Whether the attempt is over."""
        return self._is_closed

    def set_task_factory(self, factory: Any) -> None:
        """Refuse every factory: its tasks would hash by their addresses."""
        if factory is not None:
            self.forbid("set_task_factory", "how tasks are made")

    def get_task_factory(self) -> None:
        """Give ``None``: there is never one."""

    def run_forever(self) -> NoReturn:
        """Refuse: the loop is run by its attempt."""
        self.forbid("run_forever", "the loop the handler runs on")

    def run_until_complete(self, future: Any) -> NoReturn:
        """Refuse: the loop is run by its attempt."""
        if asyncio.iscoroutine(future):
            future.close()
        self.forbid("run_until_complete", "the loop the handler runs on")

    def stop(self) -> NoReturn:
        """Refuse: the loop is run by its attempt."""
        self.forbid("stop", "the loop the handler runs on")

    async def shutdown_asyncgens(self) -> None:
        """End the async generators that are unfinished."""
        if self._generators is not None:
            await self._end_generators(self._generators)

    async def _end_generators(self, generators: AsyncGenerators) -> None:
        for generator in generators.take_unfinished():
            try:
                await generator.aclose()
            except Exception as error:  # noqa: BLE001  # the user's clean-up; the others follow
                self._host.report("an async generator failed while it was ended", error)

    def _generator_began(self, generator: AsyncGenerator[Any, Any]) -> None:
        if self._generators is None:
            self._generators = AsyncGenerators()
        self._generators.add(generator)

    def _generator_dropped(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Nobody holds a generator that is unfinished; whoever drops it gives it to us."""
        if self._generators is None:
            return
        if self._is_closed or _running_loop() is not self:
            # Collected, or dropped by what is being closed: it waits for the end like the others.
            self._generators.keep(generator)
        else:
            # The handler let go of it: in every run at this point, as nothing is collected now.
            self._generators.discard(generator)
            self.call_soon(self._end_generator, generator)

    def _end_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        self.create_task(generator.aclose())


def _nothing() -> None:
    """Stand in for a callback that is never run."""
