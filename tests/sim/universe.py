"""Virtual time, and the event loops of simulated processes that live in it.

One queue holds everything that will happen, in the order of virtual time; ties go to what was
asked for first. A process is a ``SimLoop``: an asyncio loop without a selector, whose rounds are
events of that queue. A round takes a little virtual time, drawn from the seed, so what comes from
outside (a reply, the end of a sync, a timer) falls between any two rounds, as it does in a real
process; and tasks that became ready at the same moment, by replies that the network might as well
have delivered the other way round, are now and then swapped. Callbacks of one owner, and plain
ones, keep their order, which asyncio promises.

A process dies by ``kill``: none of its callbacks is called any more. Whatever it held is kept until
the world is over, so that no ``finally``, no ``__aexit__`` and no finaliser runs, as with SIGKILL.
"""

import asyncio
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from random import Random
from typing import Any, NoReturn, TypeVar, TypeVarTuple, cast

from holdfast.runtime.forbidden import LoopWithoutOutside

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

ROUND_US_MAX = 40
"""A round of a loop takes up to so much."""

SWAP_SHARE = 0.25
"""How often two neighbours of different tasks are swapped."""

_get_loop = events._get_running_loop  # noqa: SLF001  # asyncio offers it to loops
_set_loop = events._set_running_loop  # noqa: SLF001  # asyncio offers it to loops


class Killed(BaseException):
    """Raised where a process dies in the middle of a call; it ends what the process was doing."""


class Universe:
    """The queue of all that will happen, and the time."""

    def __init__(self, seed: str) -> None:
        self.now_us = 0
        self.events = 0
        """How many have happened."""
        self.random = Random(f"{seed}/order")
        self.running: SimLoop | None = None
        """The process whose code runs now."""
        self.graveyard: list[Any] = []
        """What dead processes held."""
        self._queue: list[tuple[int, int, Event]] = []
        self._number = 0

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return self.now_us / 1_000_000

    def after(self, seconds: float, callback: Callable[[], object]) -> "Event":
        """Have ``callback`` called so much later."""
        return self.after_us(max(0, round(seconds * 1_000_000)), callback)

    def after_us(self, delay_us: int, callback: Callable[[], object]) -> "Event":
        """As ``after``, in microseconds."""
        self._number += 1
        event = Event(callback)
        heapq.heappush(self._queue, (self.now_us + delay_us, self._number, event))
        return event

    def step(self) -> bool:
        """Let the next thing happen; ``False``: nothing will any more."""
        while self._queue:
            due_us, _, event = heapq.heappop(self._queue)
            callback = event.callback
            if callback is not None:
                self.now_us = due_us
                self.events += 1
                callback()
                return True
        return False


class Event:
    """Something that will happen unless it is cancelled."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """It will not happen."""
        self.callback = None


class SimLoop(LoopWithoutOutside):
    """The event loop of one process."""

    def __init__(self, universe: Universe, name: str, complain: Callable[[str], None]) -> None:
        """Begin with nothing to do; ``complain`` is told of errors that nobody has caught."""
        self.universe = universe
        self.name = name
        self.is_alive = True
        self.on_killed: Callable[[], None] | None = None
        """Told when the process dies in the middle of a call."""
        self._complain = complain
        self._ready: deque[asyncio.Handle] = deque()
        self._is_scheduled = False

    def kill(self) -> None:
        """Die: nothing of this process happens any more."""
        if self.is_alive:
            self.is_alive = False
            self.universe.graveyard.append(self)

    def die(self) -> NoReturn:
        """Die in the middle of a call, which never returns."""
        self.kill()
        if self.on_killed is not None:
            self.universe.after_us(0, self.on_killed)
        raise Killed

    # -- What asyncio asks of a loop ----------------------------------------------------------

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context or copy_context())
        self._ready.append(handle)
        if not self._is_scheduled:
            self._schedule()
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context or copy_context())
        self.universe.after(when - self.time(), lambda: self._is_due(handle))
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def time(self) -> float:
        return self.universe.now

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Any,
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> "asyncio.Task[Any]":
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self.universe.running is self

    def is_closed(self) -> bool:
        return not self.is_alive

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self.is_alive:
            self._complain(f"{context.get('message')}: {context.get('exception')!r}")

    def forbid(self, method: str, what: str) -> NoReturn:
        message = f"a simulated process called {method}, which reaches {what}"
        raise AssertionError(message)

    def run_forever(self) -> NoReturn:
        self.forbid("run_forever", "the universe that runs it")

    def run_until_complete(self, future: Any) -> NoReturn:
        self.forbid("run_until_complete", "the universe that runs it")

    def stop(self) -> NoReturn:
        self.forbid("stop", "the universe that runs it")

    def close(self) -> NoReturn:
        self.forbid("close", "the universe that runs it")

    async def shutdown_asyncgens(self) -> NoReturn:
        self.forbid("shutdown_asyncgens", "the universe that runs it")

    def set_debug(self, enabled: bool) -> None:  # noqa: FBT001  # asyncio's signature
        pass

    def set_task_factory(self, factory: Any) -> NoReturn:
        self.forbid("set_task_factory", "all of the simulation")

    def get_task_factory(self) -> None:
        return None

    def set_exception_handler(self, handler: Any) -> NoReturn:
        self.forbid("set_exception_handler", "all of the simulation")

    def get_exception_handler(self) -> None:
        return None

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Nothing: a cancelled timer is passed over when its time comes."""

    # -- Driven by the universe ----------------------------------------------------------------

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """A task of this process, made from outside of it."""
        return asyncio.Task(coroutine, loop=self, context=Context())

    def _schedule(self) -> None:
        self._is_scheduled = True
        universe = self.universe
        universe.after_us(1 + int(universe.random.random() * ROUND_US_MAX), self._round)

    def _is_due(self, handle: asyncio.TimerHandle) -> None:
        if self.is_alive and not handle.cancelled():
            self._ready.append(handle)
            if not self._is_scheduled:
                self._schedule()

    def _round(self) -> None:
        """Run what was ready when the round began, as asyncio does."""
        if not self.is_alive:
            return
        self._is_scheduled = False
        ready = self._ready
        count = len(ready)
        if count > 1:
            self._swap(count)
        universe = self.universe
        outer = _get_loop()
        universe.running = self
        _set_loop(self)
        try:
            for _ in range(count):
                handle: Any = ready.popleft()
                if not handle._cancelled:  # noqa: SLF001  # a loop runs its handles
                    try:
                        handle._context.run(handle._callback, *handle._args)  # noqa: SLF001  # as above
                    except Exception as error:  # noqa: BLE001  # reported; the loop goes on as asyncio's
                        self.call_exception_handler({"message": "a callback", "exception": error})
                    except Killed:
                        pass
                if not self.is_alive:
                    # It was killed by what it did; this handle is kept like all the rest.
                    universe.graveyard.append(handle)
                    return
        finally:
            _set_loop(outer)
            universe.running = None
        if ready and not self._is_scheduled:
            self._schedule()

    def _swap(self, count: int) -> None:
        random = self.universe.random
        if random.random() >= SWAP_SHARE:
            return
        ready = self._ready
        at = int(random.random() * (count - 1))
        first, second = _find_task(ready[at]), _find_task(ready[at + 1])
        if first is not None and second is not None and first is not second:
            ready[at], ready[at + 1] = ready[at + 1], ready[at]


def _find_task(handle: asyncio.Handle) -> Any:
    """The task that a handle wakes up; ``None`` where it is a plain callback."""
    callback: Any = handle._callback  # type: ignore[attr-defined]  # noqa: SLF001  # asyncio's own
    owner = getattr(callback, "__self__", None)
    return cast("Any", owner) if isinstance(owner, asyncio.Task) else None
