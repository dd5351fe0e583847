"""What a handler's loop has to know of anyio, which does two things otherwise than asyncio.

Many clients and frameworks are built on it. A cancel scope keeps the scopes within it in a set, and
cancels them in the order of that: the order of their addresses, which no replay repeats. And it
has threads of its own, of which no executor knows, and whose answer could never come to a handler.

anyio is not imported here. What is anyio's is told by the names of its code, so with another
release that names it otherwise everything is as if this were not here.
"""

from types import CodeType, FrameType
from typing import Any, Final
from weakref import WeakKeyDictionary

_find_state: Any = vars(WeakKeyDictionary)["__getitem__"]
FIND_STATE: Final[CodeType] = _find_state.__code__
"""The code in which a scope that is being entered asks for the hash of the task that enters it."""

RUN_IN_THREAD: Final = "run_sync_in_worker_thread"
"""The name of the function in which a future is made for what a thread will say."""

_BACKEND: Final = "anyio._backends._asyncio"
_ordered_kinds: dict[type[Any], type[Any]] = {}


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
    ):
        ordered = _ordered_kinds.get(kind)
        if ordered is None:
            members = {"__slots__": (), "__hash__": _hash_as_its_task, "__module__": __name__}
            ordered = _ordered_kinds[kind] = type(kind.__name__, (kind,), members)
        scope.__class__ = ordered


def is_anyio(frame: FrameType) -> bool:
    """Whether ``frame`` runs code of the part of anyio that is for asyncio."""
    return frame.f_globals.get("__name__") == _BACKEND


def _hash_as_its_task(scope: Any) -> int:
    task = scope._host_task  # noqa: SLF001  # anyio keeps it nowhere else
    return object.__hash__(scope) if task is None else hash(task)
