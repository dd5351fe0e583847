"""SQL over what the runtime holds; see ``ingress.sql`` for the tables.

The answer is JSON, whatever is accepted: there is no Arrow here.
"""

from typing import Any, Final

import msgspec

from ..messages import Response
from .route import Asked, Described, Route


class Query(msgspec.Struct, forbid_unknown_fields=True):
    """The text of one query."""

    query: str


class QueryResult(msgspec.Struct):
    """Its rows; columns that are null are left out."""

    rows: list[dict[str, Any]]


async def _answer_query(asked: Asked, body: Any) -> Response:
    rows = await asked.queries.answer(body.query)
    return Response(200, {"content-type": "application/json"}, rows)


ROUTES: Final = (
    Route(
        method="POST",
        path="/query",
        operation="query",
        tag="introspection",
        summary="Ask with SQL",
        description="Reads the rows of one moment, all of them durable.",
        answer=_answer_query,
        body=Query,
        answers={200: Described("The rows.", QueryResult)},
    ),
)
