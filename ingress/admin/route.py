"""One thing that operators can ask for: what serves it, and what the OpenAPI document says of it.

Both are made from the same value, so that nothing is served that is not described, nor described
that is not served.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

import msgspec

from ...objects.errors import InvalidArgumentError
from ..headers import check_json
from ..messages import Response
from ..options import HttpOptions
from ..sql.queries import Queries
from .port import OperatedEngine
from .refusals import AdminRefusal, refuse_parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request of an operator whose head is in order.

    Attributes:
        engine: whom it is about.
        options: of the door.
        names: the parts of the path that the route leaves open, decoded.
        query: the parameters that the route knows, decoded.
        headers: of the request.
        routes: all that the door has, for the document about them.
        about: the program and where else it is served.
        queries: those that are under way.
    """

    engine: OperatedEngine
    options: HttpOptions
    names: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    routes: "Sequence[Route]"
    about: "About"
    queries: Queries


@dataclass(frozen=True, slots=True)
class About:
    """What only the program around the door knows.

    Attributes:
        version: the release.
        find_ingress: where callers are served, as a URL; ``None``: nowhere that is known.
    """

    version: str
    find_ingress: Callable[[], str | None]


@dataclass(frozen=True, slots=True)
class Described:
    """One answer for the document: what it means, and the type of its JSON where it has a body."""

    meaning: str
    type: Any = None


@dataclass(frozen=True, slots=True)
class QueryParameter:
    """A parameter of the query; ``schema`` is its JSON Schema."""

    name: str
    meaning: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What is served at one path with one method.

    Attributes:
        method: in capitals.
        path: with the names of what it leaves open: ``/services/{service}``.
        operation: the name of the operation, for programs that are made from the document.
        tag: the heading it stands under.
        summary: one line.
        description: more than that, where there is more.
        answer: does it.
        query: the parameters it knows; any other is refused.
        body: the type of its body; ``None``: it looks at none.
        answers: by status; what every route may answer is not repeated.
        body_bytes_max: a longer body is refused with 413.
        is_repeatable: whether asking again, when nobody knows how it ended, does no harm.
    """

    method: str
    path: str
    operation: str
    tag: str
    summary: str
    description: str = ""
    answer: Callable[[Asked, Any], Awaitable[Response]]
    query: tuple[QueryParameter, ...] = ()
    body: Any = None
    answers: Mapping[int, Described] = field(default_factory=dict[int, Described])
    body_bytes_max: int = 1024 * 1024
    is_repeatable: bool = True


def parse_query(query: str, route: Route) -> dict[str, str]:
    """The parameters of a query.

    Raises:
        AdminRefusal: one is unknown, given twice or no UTF-8. A misspelled ``from`` must not become
            a restart from the beginning.
    """
    known = {parameter.name for parameter in route.query}
    found: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        raw_name, _, raw_value = part.partition("=")
        try:
            name = unquote_plus(raw_name, errors="strict")
            value = unquote_plus(raw_value, errors="strict")
            value.encode()
        except UnicodeError:
            refuse_parameter(repr(raw_name)[1:-1], "it is not UTF-8")
        if name not in known:
            there_is = f"known are {', '.join(sorted(known))}" if known else "none is known here"
            refuse_parameter(name, there_is)
        if name in found:
            refuse_parameter(name, "it is given more than once")
        found[name] = value
    return found


def decode_body(route: Route, headers: Mapping[str, str], body: bytes) -> Any:
    """The body as what the route takes.

    Raises:
        InvalidArgumentError: it is no such JSON, or not said to be JSON.
    """
    if route.body is None:
        return None
    if not body:
        message = f"Empty body not allowed: {route.method} {route.path} takes JSON"
        raise InvalidArgumentError(message)
    check_json(headers)
    try:
        return msgspec.json.decode(body, type=route.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AdminRefusal(400, f"The request body is invalid. Reason: {error}") from None
    except RecursionError:
        raise AdminRefusal(400, "The request body is invalid. Reason: nested too deeply") from None
