"""The door of operators: its routes, and refusals in Restate's words.

Who is let in and how large a body may be is ``Door``'s, as for callers.
"""

from dataclasses import dataclass
from typing import Any

from ...objects.errors import HoldfastError
from ..door import Door, Opened
from ..messages import Head, Response
from ..options import HttpOptions
from ..problems import Refusal, RefusedError, judge_error, judge_refusal
from ..sql.queries import Queries
from .port import OperatedEngine
from .refusals import AdminRefusal, response_of_admin_refusal, response_of_judgement
from .route import About, Asked, Route, decode_body, parse_query
from .routes import ROUTES, TABLE

ADMIN_OPTIONS = HttpOptions(requests_max=200, connections_max=200)
"""Operators ask little. Only a state may be long; other bodies have a limit of their route's."""

_OPEN_PATH = "/health"


@dataclass(frozen=True, slots=True)
class Operation:
    """A request of an operator whose head is in order; its body may not have arrived yet."""

    route: Route
    asked: Asked

    async def answer(self, body: bytes) -> Response:
        """Do it; see ``door.Opened``.

        Raises:
            RefusedError: it was refused, and changed nothing.
        """
        route, asked = self.route, self.asked
        if len(body) > route.body_bytes_max:
            raise _too_large(route)
        try:
            decoded: Any = decode_body(route, asked.headers, body)
            return await route.answer(asked, decoded)
        except AdminRefusal as error:
            return response_of_admin_refusal(error)
        except HoldfastError as error:
            may_repeat = route.is_repeatable or "idempotency-key" in asked.headers
            judgement = judge_error(error, is_keyed=may_repeat, was_submitted=True)
            return response_of_judgement(judgement)


class AdminDoor(Door):
    """What operators see and change of one engine."""

    purpose = "see and change everything"
    option_prefix = "admin-"

    def __init__(
        self, engine: OperatedEngine, options: HttpOptions = ADMIN_OPTIONS, *, about: About
    ) -> None:
        """Nothing is opened here."""
        super().__init__(options)
        self._engine = engine
        self._about = about
        self._queries = Queries(engine)

    def refusal(
        self, error: Exception, *, is_keyed: bool = False, was_submitted: bool = False
    ) -> Response:
        """As ``Door.refusal``."""
        if isinstance(error, RefusedError):
            return response_of_judgement(judge_refusal(error))
        judgement = judge_error(error, is_keyed=is_keyed, was_submitted=was_submitted)
        return response_of_judgement(judgement)

    def _route(self, head: Head) -> Opened | Response:
        path, _, query = head.path.partition("?")
        found = TABLE.find(head.method, path)
        # It is a number: ``Door`` has looked.
        if int(head.headers.get("content-length", "0")) > found.route.body_bytes_max:
            raise _too_large(found.route)
        try:
            said = parse_query(query, found.route)
        except AdminRefusal as error:
            return response_of_admin_refusal(error)
        asked = Asked(
            engine=self._engine,
            options=self.options,
            names=found.names,
            query=said,
            headers=head.headers,
            routes=ROUTES,
            about=self._about,
            queries=self._queries,
        )
        return Operation(found.route, asked)

    def _is_open(self, head: Head) -> bool:
        """As ``Door._is_open``: whoever balances load may ask for the health without a token."""
        return head.path.partition("?")[0] == _OPEN_PATH


def _too_large(route: Route) -> RefusedError:
    message = f"the body is longer than {route.body_bytes_max} bytes"
    return RefusedError(Refusal.TOO_LARGE, message)
