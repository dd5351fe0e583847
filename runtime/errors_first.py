"""Errors go first: while one that is no outcome passes from task to task, nothing else runs.

Unless the handler catches it the error ends the attempt, and in the next one it need not come
again. What other tasks asked for meanwhile would be in the journal, in a place where the next
attempt asks for something else, and would stop a handler whose code is right. So the tasks that are
ready when one ends with such an error, or when a task group cancels one because of it, are set
aside until those who wait for the error have heard of it, and those who wait for them. A task that
is cancelled because of it is one of them: its group waits for its end. Then the attempt is over, or
what was set aside has its turn.

asyncio promises no order among tasks that are ready at once.
"""

import asyncio
from collections import deque
from types import CodeType
from typing import Any, Final, cast

from .failures import comes_again
from .loop_futures import SHIELD, HandlerTask, ReadyHandle
from .swallowed import let_it_hear

EFFORT_MAX: Final = 100_000
"""How many callbacks are run, or looked at, before others between two deliveries. Then all have
their turn: a handler may have caught the error and look again and again whether others are done, or
have thousands of tasks that fail at once."""

_SHIELD_HEARS: Final = frozenset(each for each in SHIELD.co_consts if isinstance(each, CodeType))
"""What a shield is told by, of what it shields and of itself."""


def _note_end(task: asyncio.Task[Any]) -> None:
    raise AssertionError(task)


NOTE_END: Final[Any] = _note_end
"""The first callback of a task. It is never called: when a task schedules it the task has just
ended, and the loop looks at how."""


def is_passing(args: Any) -> bool:
    """Whether the task that has just ended, the only one of ``args``, raised what is no outcome."""
    error = args[0]._exception  # noqa: SLF001  # exception() would count as somebody's look at it
    return error is not None and not comes_again(error)


class SetAside:
    """Tasks that are ready, of one loop, and wait until an error has passed."""

    __slots__ = ("_handles", "_ready")

    def __init__(self, ready: deque[ReadyHandle]) -> None:
        """Take the tasks out of ``ready``, the queue of the loop."""
        self._ready = ready
        self._handles = [handle for handle in ready if _can_wait(handle)]
        others = [handle for handle in ready if not _can_wait(handle)]
        ready.clear()
        ready.extend(others)

    def go_on(self) -> bool:
        """The queue is empty: put those back whom the error concerns; ``False``: there are none."""
        handles = self._handles
        concerned = [handle for handle in handles if _is_concerned(handle)]
        if concerned:
            self._handles = [handle for handle in handles if not _is_concerned(handle)]
            self._ready.extend(concerned)
        return bool(concerned)

    def give_back(self) -> None:
        """Put all of them back."""
        self._ready.extend(self._handles)


class ErrorsFirst:
    """The part of a loop that lets errors pass."""

    ready: deque[ReadyHandle]

    # What waits while an error passes; ``None``: nothing does.
    _aside: SetAside | None = None
    # What errors that pass have cost since the last delivery.
    _effort = 0
    _effort_max = EFFORT_MAX

    def let_pass(self) -> None:
        """Whoever is told next of an error that is no outcome runs before what is ready."""
        if self._aside is None and self.ready and self._effort < self._effort_max:
            self._effort += len(self.ready)
            self._aside = SetAside(self.ready)

    def let_fall(self, task: HandlerTask[Any]) -> None:
        """``task``, which is cancelled because of such an error, hears of it before others run."""
        self.let_pass()
        if self._effort_max:
            let_it_hear(task)

    def let_nothing_pass(self) -> None:
        """Run what is ready in its turn, whatever errors are raised."""
        self._effort_max = 0

    def _has_passed(self, aside: SetAside) -> bool:
        """A callback has run while ``aside`` waits: put back what is to wait no longer."""
        self._effort += 1
        if self._effort < self._effort_max and (self.ready or aside.go_on()):
            return False
        aside.give_back()
        return True

    def drop_ready(self) -> None:
        """The attempt fails, so nothing of it runs any more."""
        self.ready.clear()
        self._aside = None


def _find_task(handle: ReadyHandle) -> Any:
    owner: Any = getattr(handle.callback, "__self__", None)
    return cast("Any", owner) if isinstance(owner, HandlerTask) else None


def _can_wait(handle: ReadyHandle) -> bool:
    """Whether no error needs ``handle`` to pass.

    What a shield hears of a task that had ended before is for whoever waits for the shield, who
    would go on; where the error concerns them they are cancelled without it. A group may need to
    hear of each of its tasks.
    """
    code = getattr(handle.callback, "__code__", None)
    return _find_task(handle) is not None or code in _SHIELD_HEARS


def _is_concerned(handle: ReadyHandle) -> bool:
    task = _find_task(handle)
    return task is not None and task.ender is not None and bool(task.cancelling())
