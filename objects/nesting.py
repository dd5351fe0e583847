"""Deep documents, read so that whoever reads them again has room for it.

Python bounds how deeply calls may be nested, and a decoder that descends into a document counts as
calls. What a stranger sends could so be readable at the door, where little is on the stack, and
unreadable for the handler that has kept it, in every attempt again. So a document that may be deep
is decoded as if a good part of the stack were in use.
"""

import sys
from collections.abc import Callable
from typing import Any, Final

BRACKETS_MAX: Final = 400
"""With no more than so many opened no document is deep."""

BYTES_MAX: Final = 2 * BRACKETS_MAX
"""Nor is one of so few bytes: each bracket is closed."""

_FRAMES: Final = 200
"""Calls below a decoder of deep documents, at least: more than handlers use where they read."""

_frame = sys._getframe  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # inspect is slow


def decode_deep(decode: Callable[[bytes], Any], data: bytes) -> Any:
    """What ``decode`` makes of the JSON ``data``, which is longer than ``BYTES_MAX``.

    Raises:
        RecursionError: it is nested too deeply.
        Exception: whatever ``decode`` raises.
    """
    if data.count(b"[") + data.count(b"{") <= BRACKETS_MAX:
        return decode(data)
    return _decode_below(_FRAMES - _measure_stack(), decode, data)


def _measure_stack() -> int:
    """How many calls are under way, as far as it matters."""
    frame, depth = _frame(0).f_back, 0
    while frame is not None and depth < _FRAMES:
        frame, depth = frame.f_back, depth + 1
    return depth


def _decode_below(frames: int, decode: Callable[[bytes], Any], data: bytes) -> Any:
    if frames <= 0:
        return decode(data)
    # Called by a C function, or later Pythons would not count it as a decoder's calls.
    return next(map(_decode_below, (frames - 1,), (decode,), (data,)))
