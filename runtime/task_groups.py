"""Why a task is cancelled, where a task group does it: because of an error that is no outcome.

A group whose task fails cancels its other tasks, and their code sees ``CancelledError`` as it would
if the invocation had been told to end. But an error that is no outcome ends the attempt, and need
not come again, so a saga must not take anything back for it. ``HandlerTask.cancel`` asks here and
keeps the answer; whatever such a task cancels while it ends, it cancels for the same reason.

asyncio says nowhere who cancels, so this looks at the frames of its task groups. anyio's are told
by the scope that is cancelled, whose first cancellation has noted why (``anyio_parts``).
"""

import asyncio
from types import CodeType, FrameType
from typing import Any, Final

from .anyio_parts import find_scope
from .failures import comes_again
from .forbidden import is_asyncio_file

_ABORT: Final[CodeType] = vars(asyncio.TaskGroup)["_abort"].__code__
_DONE: Final[CodeType] = vars(asyncio.TaskGroup)["_on_task_done"].__code__


def find_ender(task: Any, frame: FrameType | None, cancel: CodeType) -> BaseException | None:
    """The error because of which ``task`` is being cancelled.

    ``None``: it is not a group that does, or the group ends for what every attempt ends it for.

    Args:
        task: one of a handler's.
        frame: that of who cancels it.
        cancel: the code by which a task is cancelled.
    """
    is_told_again = frame is not None and is_asyncio_file(frame.f_code.co_filename)
    while frame is not None:
        if frame.f_code is cancel:
            # A task passes it on to what it awaits.
            ender: BaseException | None = frame.f_locals["self"].ender
            return ender
        if frame.f_code is _ABORT:
            return _find_error(frame, frame.f_back)
        if frame.f_code is _DONE:
            return _find_error(frame, frame)
        scope = find_scope(frame)
        if scope is not None:
            fallen: BaseException | None = task.get_loop().find_fallen(scope)
            return fallen
        if not is_asyncio_file(frame.f_code.co_filename):
            break
        frame = frame.f_back
    loop = asyncio._get_running_loop()  # noqa: SLF001  # in asyncio.__all__
    running = None if loop is None else asyncio.current_task(loop)
    if running is task and is_told_again:
        return getattr(task, "ender", None)
    return ender_of(running)


def find_cause(raised: BaseException | None) -> BaseException | None:
    """Why a group ends for which this was raised, where that need not come again.

    What the running task is itself being cancelled for, if what was raised is not it.
    """
    if raised is not None and not comes_again(raised):
        return raised
    loop = asyncio._get_running_loop()  # noqa: SLF001  # in asyncio.__all__
    return None if loop is None else ender_of(asyncio.current_task(loop))


def _find_error(frame: FrameType, place: FrameType | None) -> BaseException | None:
    """Why the group of ``frame`` ends; ``place`` has what was raised, in a task or in its block."""
    group: Any = frame.f_locals["self"]
    raised = None if place is None else place.f_locals.get("exc")
    for error in (*group._errors, raised):  # noqa: SLF001  # asyncio keeps them nowhere else
        if isinstance(error, BaseException) and not comes_again(error):
            return error
    return ender_of(group._parent_task)  # noqa: SLF001  # as above


def ender_of(task: Any) -> BaseException | None:
    """What ``task`` itself is being cancelled for; what it once was and has survived is over."""
    ender: BaseException | None = getattr(task, "ender", None)
    return ender if ender is not None and task.cancelling() else None
