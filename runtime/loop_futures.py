"""The futures, tasks and handles of a handler's loop.

They are asyncio's own C types. What is added is a hash that does not change between runs: asyncio
iterates sets of tasks and futures in places (what ``asyncio.wait`` found done, the order in which a
task group aborts), and such a set is ordered by its members' hashes, which are addresses unless
somebody says otherwise. Here they are numbers taken from the loop, so a replay in another process
walks every set in the same order.

A future made as ``asyncio.Future()`` rather than ``loop.create_future()``, and a task made as
``asyncio.Task(...)``, keep their address: nothing can be put in front of a C type.

This module knows no host and no queue.
"""

import asyncio
import contextlib
import sys
from asyncio import tasks
from collections.abc import Callable, Coroutine, Hashable, Sequence
from contextvars import Context
from types import CodeType, FrameType
from typing import Any, Final, Protocol, TypeVar, cast

from .anyio_parts import FIND_STATE, adopt_scope
from .task_groups import find_ender

T = TypeVar("T")

_frame: Callable[[int], FrameType | None] = sys._getframe  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # inspect is slow


_BEGUN: Final = (
    "a task is made of a coroutine, and this has begun by itself, as what ctx.run(...), a call or "
    "ctx.sleep(...) gives: await it as it is, or give it to asyncio.gather(), wait() or wait_for()"
)


class OwnLoop(Protocol):
    """The part of a loop that what belongs to it asks."""

    def take_number(self) -> int:
        """Give a number that no other object of the loop has."""
        ...

    def let_fall(self, task: "HandlerTask[Any]") -> None:
        """Have ``task`` hear of the error because of which it is cancelled before others run."""
        ...


class HandlerFuture(asyncio.Future[T]):
    """A future of a handler's loop; it takes its number when somebody first asks for its hash."""

    __slots__ = ("is_shielded", "number")

    number: int
    is_shielded: bool
    """Set, to true, once ``asyncio.shield`` was given it."""

    def __hash__(self) -> int:
        """Hash by the number, so that sets are ordered alike in every run."""
        try:
            return self.number
        except AttributeError:
            return _number(self)


class HandlerTask(asyncio.Task[T]):
    """A task of a handler's loop.

    Attributes:
        ender: the error because of which a task group has cancelled it last; see ``task_groups``.
        fell_in: set in where it waited then; see ``swallowed``.
    """

    __slots__ = ("ender", "fell_in", "number")

    fell_in: object

    def __init__(  # noqa: D107  # its arguments say it
        self,
        coroutine: Coroutine[Any, Any, T],
        number: int,
        *,
        loop: asyncio.AbstractEventLoop,
        name: str,
        context: Context,
        **options: Any,
    ) -> None:
        # First: asyncio puts the task in a set of its own while it makes it.
        self.number = number
        self.ender: BaseException | None = None
        try:
            super().__init__(coroutine, loop=loop, name=name, context=context, **options)
        except TypeError:
            if isinstance(cast("object", coroutine), asyncio.Future):
                raise TypeError(_BEGUN) from None
            raise

    def cancel(self, msg: Any | None = None) -> bool:
        """As ``Task.cancel``; notes why, where a task group does it."""
        self.ender = find_ender(self, _frame(1), _CANCEL)
        if self.ender is not None:
            cast("OwnLoop", self.get_loop()).let_fall(self)
        return super().cancel(msg)

    def __hash__(self) -> int:
        """Hash by the number, so that sets are ordered alike in every run."""
        asking = _frame(1)
        if asking is not None and asking.f_code is FIND_STATE:
            adopt_scope(asking.f_back)
        return self.number


_cancel: Any = vars(HandlerTask)["cancel"]
_CANCEL: CodeType = _cancel.__code__

# What gather() returns is made inside asyncio, as a class of its own.
_Gathering: Any = vars(tasks)["_GatheringFuture"]
_gathering_init: Any = _Gathering.__init__
GATHERING_INIT: CodeType = _gathering_init.__code__


class HandlerGathering(_Gathering):  # type: ignore[misc]
    """What ``asyncio.gather`` returns on a handler's loop."""

    def __hash__(self) -> int:
        """Hash by the number, so that sets are ordered alike in every run."""
        try:
            number: int = self.number
        except AttributeError:
            number = _number(self)
        return number


def adopt_gathering(future: Any) -> None:
    """Give the future that ``asyncio.gather`` is just making the hash of this loop."""
    with contextlib.suppress(TypeError):
        # A Python whose classes are laid out otherwise refuses; the address is then its hash.
        future.__class__ = HandlerGathering


SHIELD: CodeType = asyncio.shield.__code__
"""The code that makes the outer future of a shield."""


def mark_shielded(inner: Any) -> None:
    """Note that ``asyncio.shield`` was given ``inner``; in a gathering, all that it gathers."""
    if isinstance(inner, HandlerFuture):
        inner.is_shielded = True
    elif isinstance(inner, _Gathering):
        for child in inner._children:  # noqa: SLF001  # asyncio keeps them nowhere else
            mark_shielded(child)


def is_shielded(future: Any) -> bool:
    """Whether ``asyncio.shield`` was given ``future``."""
    return getattr(future, "is_shielded", False)


def _number(future: Any) -> int:
    source: OwnLoop = future.get_loop()
    number = source.take_number()
    future.number = number
    return number


class ReadyHandle(asyncio.Handle):
    """A callback in the ready queue.

    It keeps its own four fields: the constructor of ``asyncio.Handle`` costs as much as all the
    rest of ``call_soon``.
    """

    __slots__ = ("args", "callback", "context", "is_cancelled")

    def __init__(  # noqa: D107  # its arguments say it
        self, callback: Callable[..., object], args: Sequence[Any], context: Context
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.is_cancelled = False

    def cancel(self) -> None:
        """Take the callback back, if it has not run."""
        self.is_cancelled = True
        self.callback = _nothing
        self.args = ()

    def cancelled(self) -> bool:
        """Whether ``cancel`` was called."""
        return self.is_cancelled

    def get_context(self) -> Context:
        """Give the context the callback runs in."""
        return self.context

    def __repr__(self) -> str:
        """Name the callback."""
        return f"<ReadyHandle {'cancelled' if self.is_cancelled else repr(self.callback)}>"


class DurableTimerHandle(asyncio.TimerHandle):
    """What ``call_later`` and ``call_at`` give back.

    Attributes:
        ready: what enters the ready queue when the timer fires.
        timer: the host's timer, until it fired or was cancelled; ``None``: the host has none.
    """

    __slots__ = ("ready", "timer")

    def __init__(  # noqa: D107  # its arguments say it
        self,
        when: float,
        callback: Callable[..., object],
        args: Sequence[Any],
        loop: asyncio.AbstractEventLoop,
        context: Context,
    ) -> None:
        super().__init__(when, callback, args, loop, context)
        self.ready = ReadyHandle(callback, args, context)
        self.timer: Hashable = None

    def cancel(self) -> None:
        """Take the callback back, and the timer if it has not fired."""
        self.ready.cancel()
        super().cancel()


def _nothing() -> None:
    """Stand in for a callback that was taken back."""
