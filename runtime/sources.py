"""Where in the user's code something was asked for; for messages only."""

import asyncio
import os
import sys
from types import CodeType

_PACKAGE = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120  # one string, at import
_INTERNAL = (
    *(os.path.join(_PACKAGE, room) + os.sep for room in ("objects", "journal", "runtime")),  # noqa: PTH118
    os.path.dirname(asyncio.__file__) + os.sep,  # noqa: PTH120
)


class SourceFinder:
    """Finds the innermost frame that is neither Holdfast's nor asyncio's."""

    def __init__(self) -> None:
        """Begin with nothing remembered."""
        # A handler asks from the same few lines again and again.
        self._known: dict[tuple[CodeType, int], str] = {}

    def find(self) -> str:
        """``file.py:12`` of whoever called into Holdfast; empty where that cannot be told."""
        frame = sys._getframe(1)  # noqa: SLF001  # CPython's only way; for messages only
        while frame.f_code.co_filename.startswith(_INTERNAL):
            if frame.f_back is None:
                return ""
            frame = frame.f_back
        place = (frame.f_code, frame.f_lineno)
        text = self._known.get(place)
        if text is None:
            name = os.path.basename(frame.f_code.co_filename)  # noqa: PTH119  # hot
            text = self._known[place] = f"{name}:{frame.f_lineno}"
        return text


def find_raise(error: BaseException) -> str:
    """``file.py:12``, the innermost line of the user's that ``error`` came through, or empty."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if not name.startswith(_INTERNAL):
            place = f"{os.path.basename(name)}:{trace.tb_lineno}"  # noqa: PTH119
        trace = trace.tb_next
    return place
