"""The cancellation that ``asyncio.wait_for`` of Python 3.11 swallows, raised all the same.

Cancelled when what it waits for is done, it gives the result, and its task goes on as if nothing
had happened. That may be as good, but not where a group cancels the task because of an error that
is no outcome (``errors_first``): what the task asks for then would be in the journal, and the next
attempt asks for something else. So what it waits for raises the cancellation instead of a result.

Later versions of Python need nothing of this, and have nothing of what is looked for here.
"""

import asyncio
import contextlib
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Final

from .forbidden import walk_awaits
from .loop_futures import HandlerFuture, HandlerGathering, HandlerTask

_WAIT_FOR: Final[CodeType] = asyncio.wait_for.__code__
_frame: Callable[[int], FrameType] = sys._getframe  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # inspect is slow


class _Withholding:
    """A future whose result is not for the ``wait_for`` in which a task fell."""

    __slots__ = ()

    def result(self) -> Any:
        """As ``Future.result``."""
        asking = _frame(1)
        if asking.f_code is _WAIT_FOR:
            _raise_swallowed(asking)
        future: Any = super()
        return future.result()


class _Future(_Withholding, HandlerFuture[Any]):
    __slots__ = ()


class _Task(_Withholding, HandlerTask[Any]):
    __slots__ = ()


class _Gathering(_Withholding, HandlerGathering):
    __slots__ = ()


_WITHHOLDING: Final[dict[type, type]] = {
    HandlerFuture: _Future,
    HandlerTask: _Task,
    HandlerGathering: _Gathering,
}


def let_it_hear(task: Any) -> None:
    """The next cancellation of ``task``, one of a handler's, is raised wherever it waits."""
    for each in walk_awaits(task.get_coro()):
        frame: FrameType | None = getattr(each, "cr_frame", None)
        if frame is None or frame.f_code is not _WAIT_FOR:
            continue
        # None where it waits without a limit, and in later versions.
        task.fell_in = frame.f_locals.get("waiter")
        awaited: Any = frame.f_locals.get("fut")
        if task.fell_in is not None and type(awaited) in _WITHHOLDING:
            with contextlib.suppress(TypeError):  # As where a gathering is adopted.
                awaited.__class__ = _WITHHOLDING[type(awaited)]


def _raise_swallowed(asking: FrameType) -> None:
    fell_in: object = getattr(asyncio.current_task(), "fell_in", None)
    swallowed = sys.exc_info()[1]
    if fell_in is not None and fell_in is asking.f_locals.get("waiter") and swallowed is not None:
        raise swallowed
