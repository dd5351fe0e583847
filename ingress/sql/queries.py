"""Queries that come through a door: how many at a time, and how one that is given up ends."""

from typing import Final

from ...runtime.views.rows import Rows
from ..problems import Refusal, RefusedError
from .pace import Pace
from .port import QueryEngine
from .query import QueryLimits, answer_query

QUERIES_MAX: Final = 16
"""Under way at the same time, those that wait for a thread included."""


class Queries:
    """The queries of one door."""

    def __init__(self, engine: QueryEngine, limits: QueryLimits | None = None) -> None:
        """Begin with none."""
        self._engine = engine
        self._limits = limits or QueryLimits()
        self._count = 0

    async def answer(self, text: str) -> bytes:
        """The rows of a query as JSON, ``{"rows": [...]}``; all they show is durable.

        Given up, it ends in its thread at the next row.

        Raises:
            InvalidArgumentError: the text is no query, or it costs too much.
            RefusedError: too many queries are under way.
            RuntimeClosedError, StoreFailedError, StoreDamagedError: the rows cannot be read.
        """
        if self._count >= QUERIES_MAX:
            message = f"{QUERIES_MAX} queries are under way, which is the limit; try again later"
            raise RefusedError(Refusal.BUSY, message)
        is_over = False

        def read(rows: Rows) -> bytes:
            pace = Pace(self._limits.seconds_max, is_stopped=lambda: is_over)
            return answer_query(rows, text, pace, self._limits)

        self._count += 1
        try:
            return await self._engine.look(read)
        finally:
            is_over = True
            self._count -= 1
