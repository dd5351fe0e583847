"""The order in which ``asyncio.as_completed`` starts the coroutines it is given.

``as_completed`` makes a set of what it was given and starts the coroutines in the order of that
set, which is the order of their addresses and differs from run to run. A handler's loop starts them
in the order in which the caller gave them: when the first one arrives, all of them are started from
the caller's own list, and those that arrive later find their task made.

Where there is no order to keep, because the caller gave a set or an iterator that is now used up,
the call is refused.
"""

import asyncio
from asyncio import tasks
from collections.abc import Callable, Coroutine, Iterable, Iterator
from types import CodeType, FrameType
from typing import Any, Final, NoReturn

from ..objects.errors import ForbiddenInHandlerError

MakeTask = Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]

# The function that turns one awaitable into a task, and the one that has all of them as a local.
# Their names differ between the Pythons from 3.11 to 3.14.
_ensure_future: Any = getattr(tasks, "_ensure_future", asyncio.ensure_future)
_as_completed: Any = getattr(tasks, "_AsCompletedIterator", None)
ENSURE_FUTURE: Final[CodeType] = _ensure_future.__code__
_AS_COMPLETED: Final[CodeType] = (
    asyncio.as_completed if _as_completed is None else _as_completed.__init__
).__code__
_AWAITABLES: Final = _AS_COMPLETED.co_varnames[0 if _as_completed is None else 1]


def find_as_completed(frame: FrameType) -> FrameType | None:
    """Give the frame of the ``as_completed`` on whose behalf ``ENSURE_FUTURE`` runs, if any."""
    outer = frame.f_back
    # Between the two lie ``ensure_future`` and a set comprehension, each of which may be a frame
    # of its own. A generator of the user's that ``as_completed`` iterates may lie there too.
    while outer is not None and outer.f_code.co_filename == _AS_COMPLETED.co_filename:
        if outer.f_code is _AS_COMPLETED:
            return outer
        outer = outer.f_back
    return None


class StartOrder:
    """The tasks of one call of ``as_completed``, all started in the caller's order."""

    def __init__(self, frame: FrameType, make_task: MakeTask, who: str, line: str) -> None:
        """Start every coroutine the call was given.

        Raises:
            ForbiddenInHandlerError: they have no order. None was started.
        """
        self.frame = frame
        # By the address of what the caller gave; the frame keeps all of it alive.
        self._made: dict[int, asyncio.Task[Any]] = {}
        awaitables = frame.f_locals[_AWAITABLES]
        for awaitable in _in_order(awaitables, who, line):
            is_ready_made = asyncio.iscoroutine(awaitable)
            coroutine = awaitable if is_ready_made else _wait(awaitable)
            self._made[id(awaitable)] = make_task(coroutine)

    def take(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any] | None:
        """Give the task of a coroutine that ``as_completed`` wants started, if there is one."""
        task = self._made.pop(id(coroutine), None)
        if task is None:
            # An awaitable that is no coroutine comes wrapped in one, which is not needed now.
            task = self._made.pop(id(_wrapped(coroutine)), None)
            if task is not None:
                coroutine.close()
        return task

    @property
    def is_finished(self) -> bool:
        """Whether every task was taken."""
        return not self._made


def _in_order(awaitables: Iterable[Any], who: str, line: str) -> Iterator[Any]:
    kind = type(awaitables).__name__
    if iter(awaitables) is awaitables:
        _refuse(f"a {kind}", who, line)
    wanted = [item for item in dict.fromkeys(awaitables) if not asyncio.isfuture(item)]
    if isinstance(awaitables, (set, frozenset)) and len(wanted) > 1:
        for item in wanted:
            if asyncio.iscoroutine(item):
                item.close()
        _refuse(f"a {kind} of coroutines", who, line)
    return iter(wanted)


def _refuse(given: str, who: str, line: str) -> NoReturn:
    message = (
        f"{who}: asyncio.as_completed at {line} was given {given}, and would start them in the "
        f"order of their memory addresses, which differs when the handler is replayed. Give it a "
        f"list: asyncio.as_completed([...])."
    )
    raise ForbiddenInHandlerError(message)


async def _wait(awaitable: Any) -> Any:
    return await awaitable


def _wrapped(coroutine: Any) -> object:
    frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
    return None if frame is None else frame.f_locals.get("awaitable")
