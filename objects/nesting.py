"""How deeply a document may be nested, so that whoever reads it again has room for it.

Python bounds how deeply calls may be nested. Up to 3.11 a decoder that descends into a document
counts as calls, so what a stranger sends could be readable at the door, where little is on the
stack, and unreadable for the handler that has kept it, in every attempt again. Later Pythons let
decoders descend some ten times deeper than the functions that go through what was decoded. So a
document is measured before it is decoded, and a good part of the stack is left to others.
"""

import sys
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any, Final

BRACKETS_MAX: Final = 400
"""With no more than so many opened no document is deep."""

BYTES_MAX: Final = 2 * BRACKETS_MAX
"""Nor is one of so few bytes: each bracket is closed."""

_FRAMES: Final = 200
"""Calls around a decoder, and below whoever walks through what it made: more than are used."""

_DEPTH_MAX: Final = 4_000
"""However many calls a program allows: decoders of later Pythons have bounds of their own."""

_SLICE: Final = 256
"""Brackets that are counted together; they are looked at one by one where they could be deep."""

_PIECE: Final = 1 << 16

_BUT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b'"[]{}')
_STEPS: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def decode_deep(decode: Callable[[bytes], Any], data: bytes) -> Any:
    """What ``decode`` makes of the JSON ``data``, which is longer than ``BYTES_MAX``.

    Raises:
        RecursionError: it is nested too deeply.
        Exception: whatever ``decode`` raises.
    """
    if data.count(b"[") + data.count(b"{") > BRACKETS_MAX:
        depth_max = min(sys.getrecursionlimit() - _FRAMES, _DEPTH_MAX)
        if any(depth > depth_max for depth in _measure(_brackets_of(data), depth_max)):
            message = f"the document is nested more than {depth_max} deep"
            raise RecursionError(message)
    return decode(data)


def _brackets_of(data: bytes) -> bytes:
    """Its brackets but those in texts. Of what is no JSON it may be anything."""
    if b"\\" in data:
        # From left to right, so that a backslash that is left over is one that begins an escape.
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Two quotes with nothing between them: a text, or what is between two, either with no brackets.
    data = data.translate(None, _BUT_BRACKETS).replace(b'""', b"")
    return data if b'"' not in data else b"".join(_leave_texts_out(data))


def _leave_texts_out(data: bytes) -> Iterator[bytes]:
    within = 0
    for begin in range(0, len(data), _PIECE):  # Each part is an object many times its size.
        parts = data[begin : begin + _PIECE].split(b'"')
        yield from parts[within::2]
        within = (within + len(parts) + 1) % 2


def _measure(brackets: bytes, depth_max: int) -> Iterator[int]:
    """The greatest depth of each slice, or a bound of it that is not beyond ``depth_max``."""
    depth = 0
    for begin in range(0, len(brackets), _SLICE):
        part = brackets[begin : begin + _SLICE]
        opened = part.count(b"[") + part.count(b"{")
        bound = depth + opened
        if bound > depth_max:
            bound = max(accumulate(map(_STEPS.__getitem__, part), initial=depth))
        yield bound
        depth += 2 * opened - len(part)
