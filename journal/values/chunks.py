"""Chunks of a long value: how they are cut, merged and put in order.

This module knows neither the live value nor what happened to it; see ``segments`` for that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

from .rows import FIRST_ORDINAL, ORDINAL_STRIDE, split

CHUNK_BYTES: Final = 1024
"""The size of chunks that are cut at one time."""

CHUNK_BYTES_MAX: Final = 2048
"""A chunk of more bytes is cut, unless it holds one entry only."""

CHUNK_OVERHEAD_BYTES: Final = 160
"""About what a chunk takes in memory beside its body."""


@dataclass(eq=False, slots=True)
class Chunk:
    """One chunk as it is stored, and how many entries of the live value it now stands for."""

    ordinal: int
    body: bytes
    # Entries in the row.
    stored: int
    # Entries of the live value; differs from ``stored`` only while the chunk is changed.
    length: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Entries that will be one chunk."""

    entries: Sequence[Any]
    body: bytes


@dataclass(frozen=True, slots=True)
class Replacement:
    """The chunks ``low <= index < high`` become these pieces."""

    low: int
    high: int
    pieces: list[Piece]


get_body: Final[Callable[[Chunk | Piece], bytes]] = attrgetter("body")
get_ordinal: Final[Callable[[Chunk], int]] = attrgetter("ordinal")
get_stored: Final[Callable[[Chunk], int]] = attrgetter("stored")


def choose_ordinals(chunks: list[Chunk], low: int, high: int, count: int) -> list[int]:
    """Ordinals for ``count`` chunks in place of ``low`` to ``high``; fewer if none are left.

    At least one, for nothing is ever put between two neighbours without replacing one of them.
    """
    own = [chunk.ordinal for chunk in chunks[low:high]]
    missing = count - len(own)
    if missing <= 0:
        return own[:count]
    if high == len(chunks):
        if not own and not low:
            own, missing = [FIRST_ORDINAL], missing - 1
        last = own[-1] if own else chunks[low - 1].ordinal
        return own + [last + ORDINAL_STRIDE * (step + 1) for step in range(missing)]
    if low == 0:
        return [own[0] - ORDINAL_STRIDE * step for step in range(missing, 0, -1)] + own
    room = chunks[high].ordinal - own[-1]
    step = max(1, room // (missing + 1))
    return own + list(range(own[-1] + step, own[-1] + room, step))[:missing]


def merge(pieces: list[Piece], count: int) -> list[Piece]:
    """The same entries in at most ``count`` pieces; the last takes what is left over."""
    if len(pieces) <= count:
        return pieces
    rest = pieces[count - 1 :]
    entries = [entry for piece in rest for entry in piece.entries]
    return [*pieces[: count - 1], Piece(entries, b"".join(map(get_body, rest)))]


def read_chunks(rows: Sequence[tuple[int, bytes]]) -> list[Chunk]:
    """Chunks from ``(ordinal, row)`` pairs in order."""
    chunks: list[Chunk] = []
    for ordinal, row in rows:
        count, body = split(row)
        chunks.append(Chunk(ordinal, body, count, count))
    return chunks
