"""Actions that go on although they were told to end: they swallow their cancellation.

Nothing can stop one but the end of its process. A stop does not wait for it, but says where it is,
because what it does from then on is nobody's: the directory may be open elsewhere.
"""

import asyncio
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any, Final

from .logs import make_logger

_ASYNCIO: Final = str(PurePath(asyncio.__file__).parent)

logger = make_logger("holdfast.steps")


def tell_stubborn(tasks: "Iterable[asyncio.Task[Any]]") -> None:
    """Log where each of ``tasks`` is."""
    for task in tasks:
        logger.error(
            "a step goes on at %s although it was told to end, and the runtime stops without it; "
            "let CancelledError pass there (`except Exception` does, `except:` does not)",
            _find_place(task),
        )


def _find_place(task: "asyncio.Task[Any]") -> str:
    """The line at which ``task`` waits, as ``agent.py:12``: the innermost that is not asyncio's."""
    place = "an unknown place"
    awaited: Any = task.get_coro()
    while (frame := getattr(awaited, "cr_frame", None)) is not None:
        if not frame.f_code.co_filename.startswith(_ASYNCIO):
            place = f"{PurePath(frame.f_code.co_filename).name}:{frame.f_lineno}"
        awaited = getattr(awaited, "cr_await", None)
    return place
