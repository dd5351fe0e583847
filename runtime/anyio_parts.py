"""What a handler's loop has to know of anyio, which does some things otherwise than asyncio.

Many clients and frameworks are built on it, and three of its ways differ.

* A cancel scope keeps the scopes within it in a set, and cancels them in the order of that: the
  order of their addresses, which no replay repeats. On a handler's loop a scope hashes as its task.
* It cancels again, in every round of the loop, whoever is still within it. A handler that goes on
  there for a while, as a saga does, would never come to rest. After some rounds the next one waits
  for something to be delivered.
* It has threads of its own, of which no executor knows, and whose answer could never come.

And its task groups cancel for the reasons that asyncio's do; see ``task_groups``.

anyio is not imported here. What is anyio's is told by the names of its code, so with another
release that names it otherwise everything is as if this were not here.
"""

import contextlib
import sys
from asyncio import events
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Final
from weakref import WeakKeyDictionary

_find_state: Any = vars(WeakKeyDictionary)["__getitem__"]
FIND_STATE: Final[CodeType] = _find_state.__code__
"""The code in which a scope that is being entered asks for the hash of the task that enters it."""

RUN_IN_THREAD: Final = "run_sync_in_worker_thread"
"""The name of the function in which a future is made for what a thread will say."""

_BACKEND: Final = "anyio._backends._asyncio"
_LIMITS: Final = "anyio._core._tasks"
_DELIVER: Final = "_deliver_cancellation"
_NEEDED: Final = ("_host_task", "_cancel_handle", _DELIVER)
_running_loop = events._get_running_loop  # noqa: SLF001  # asyncio offers it to loops
_frame: Callable[[int], FrameType] = sys._getframe  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # inspect is slow
_kinds: dict[type[Any], type[Any]] = {}


def adopt_scope(entering: FrameType | None) -> None:
    """Give a cancel scope the hash of the task that is just entering it.

    Of the scopes right within another one each was entered by another task, so no two are alike.

    Args:
        entering: the frame that looks up the state of a task; any will do.
    """
    if entering is None or not is_anyio(entering):
        return
    scope: Any = entering.f_locals.get("self")
    kind: Any = type(scope)  # pyright: ignore[reportUnknownVariableType]
    if (
        entering.f_code.co_name == "__enter__"
        and kind.__name__ == "CancelScope"
        and kind.__module__ == _BACKEND
        and all(hasattr(scope, name) for name in _NEEDED)
    ):
        ours = _kinds.get(kind)
        if ours is None:
            ours = _kinds[kind] = _make_kind(kind)
        with contextlib.suppress(TypeError):  # Where its instances cannot be taken over.
            scope.__class__ = ours


def is_anyio(frame: FrameType) -> bool:
    """Whether ``frame`` runs code of the part of anyio that is for asyncio."""
    return frame.f_globals.get("__name__") == _BACKEND


def ends_a_limit(frame: FrameType) -> bool:
    """Whether what was raised in ``frame`` is the end of a time limit of anyio's."""
    return frame.f_globals.get("__name__") == _LIMITS


def is_over(scope: Any) -> bool:
    """Whether nobody is within a scope any more that ``adopt_scope`` was given."""
    return scope._host_task is None  # noqa: SLF001  # anyio says it nowhere else


def find_scope(frame: FrameType) -> Any:
    """The scope because of which anyio cancels a task in ``frame``; ``None``: it does not."""
    if frame.f_code.co_name == _DELIVER and is_anyio(frame):
        return frame.f_locals.get("origin")
    return None


def _make_kind(kind: Any) -> type[Any]:
    class HandlerCancelScope(kind):  # type: ignore[misc]
        """A cancel scope on a handler's loop; nothing may be added, for it takes over instances."""

        __slots__ = ()

        def __hash__(self) -> int:
            task = self._host_task
            return object.__hash__(self) if task is None else hash(task)

        def _deliver_cancellation(self, origin: Any) -> bool:
            loop: Any = _running_loop()
            parent: Any = super()
            if origin is not self or not hasattr(loop, "hold_back"):
                return bool(parent._deliver_cancellation(origin))  # noqa: SLF001  # its own parent
            canceling = _frame(1)
            if is_anyio(canceling):  # Else it is only told again.
                loop.note_fallen(self, _find_raised(canceling.f_back))
            must_go_on = bool(parent._deliver_cancellation(origin))  # noqa: SLF001  # as above
            if must_go_on:
                loop.hold_back(self, self._cancel_handle)
            return must_go_on

    return HandlerCancelScope


def _find_raised(frame: FrameType | None) -> BaseException | None:
    """What a task of a group has raised, or its block, because of which the group is cancelled."""
    if frame is None or not is_anyio(frame):
        return None
    raised = frame.f_locals.get("exc" if frame.f_code.co_name == "task_done" else "exc_val")
    return raised if isinstance(raised, BaseException) else None
