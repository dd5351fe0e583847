"""Where in the user's code something was asked for; for messages only."""

import asyncio
import os
import sys
from collections.abc import Callable
from functools import lru_cache
from types import CodeType, FunctionType, MethodType
from typing import Any

from ..objects.definition import HandlerDefinition
from ..objects.fingerprints import find_code, fingerprint_of

_REMEMBERED_MAX = 4096
"""Places kept; a program that makes its functions as it goes would have ever more of them."""

_PACKAGE = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120  # one string, at import
_INTERNAL = (
    *(os.path.join(_PACKAGE, room) + os.sep for room in ("objects", "journal", "runtime")),  # noqa: PTH118
    os.path.dirname(asyncio.__file__) + os.sep,  # noqa: PTH120
)


@lru_cache(maxsize=4096)  # Of each frame that a command comes through, and files are few.
def is_internal(file: str) -> bool:
    """Whether a file is Holdfast's or asyncio's."""
    return file.startswith(_INTERNAL)


class SourceFinder:
    """Finds where in the user's code something was asked for, and what code that was."""

    def __init__(self) -> None:
        """Begin with nothing remembered."""
        # A handler asks from the same few lines again and again. By the ids of the code and of the
        # handler's function, and the instruction; the objects are kept so that ids stay theirs.
        self._asked: dict[tuple[int, int, int], tuple[str, CodeType, Any]] = {}
        # The place of an action by the id of its code.
        self._actions: dict[int, tuple[str, CodeType]] = {}

    def find(self, handler: HandlerDefinition | None) -> str:
        """``file.py:12#a1b2c3d4``: who called into Holdfast, and the fingerprint of ``handler``.

        That is the innermost frame that is neither Holdfast's nor asyncio's; it may be a function
        that the handler called. Empty where it cannot be told.
        """
        frame = sys._getframe(1)  # noqa: SLF001  # CPython's only way; for messages only
        while is_internal(frame.f_code.co_filename):
            if frame.f_back is None:
                return ""
            frame = frame.f_back
        code = frame.f_code
        # An instruction, for to find its line is what takes the time.
        place = (id(code), frame.f_lasti, id(handler))
        known = self._asked.get(place)
        if known is None:
            text = _write_place(code, frame.f_lineno, handler.fingerprint if handler else "")
            if len(self._asked) >= _REMEMBERED_MAX:
                self._asked.clear()
            known = self._asked[place] = (text, code, handler)
        return known[0]

    def find_action(self, function: Callable[..., Any]) -> str | None:
        """``file.py:34#a1b2c3d4``: where ``function`` is written, and its fingerprint.

        ``None`` where it is not Python's.
        """
        # The two common kinds at once; whatever else there is takes a longer look.
        plain: Any = function.__func__ if type(function) is MethodType else function
        if type(plain) is FunctionType and not hasattr(plain, "__wrapped__"):
            code: CodeType | None = plain.__code__
        else:
            code = find_code(function)
        if code is None:
            return None
        known = self._actions.get(id(code))
        if known is None:
            text = _write_place(code, code.co_firstlineno, fingerprint_of(code))
            if len(self._actions) >= _REMEMBERED_MAX:
                self._actions.clear()
            known = self._actions[id(code)] = (text, code)
        return known[0]


def _write_place(code: CodeType, line: int, fingerprint: str) -> str:
    """The text that ``Issued.source`` describes; its separators stand in no file's name."""
    name = os.path.basename(code.co_filename)  # noqa: PTH119  # it may be no path at all
    name = name.replace(":", "_").replace("#", "_").encode(errors="replace").decode()
    return f"{name}:{line}#{fingerprint}" if fingerprint else f"{name}:{line}"


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
