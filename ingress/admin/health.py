"""How the runtime is, and which version it has."""

from http import HTTPStatus
from typing import Any, Final

import msgspec

from ..health import health_of
from ..messages import Response
from .answers import json_response
from .route import Asked, Described, Route


class Health(msgspec.Struct):
    """How it is; new work is welcome where that is ``ok`` or, with a slow disk, ``degraded``."""

    status: str


class Version(msgspec.Struct):
    """Which program this is, and which versions of Restate's admin API it speaks."""

    version: str
    min_admin_api_version: int
    max_admin_api_version: int
    ingress_endpoint: str | None
    features: dict[str, bool]


_API_VERSIONS: Final = (2, 4)


async def _answer_health(asked: Asked, _: Any) -> Response:
    status, word = health_of(asked.engine)
    return json_response(status, Health(word))


async def _answer_version(asked: Asked, _: Any) -> Response:
    least, greatest = _API_VERSIONS
    about = asked.about
    version = Version(about.version, least, greatest, about.find_ingress(), {})
    return json_response(HTTPStatus.OK, version)


ROUTES: Final = (
    Route(
        method="GET",
        path="/health",
        operation="health",
        tag="health",
        summary="How the runtime is",
        description="Needs no token.",
        answer=_answer_health,
        answers={
            200: Described("It takes new work.", Health),
            503: Described("It does not: it stops, or its disk has failed.", Health),
        },
    ),
    Route(
        method="GET",
        path="/version",
        operation="version",
        tag="health",
        summary="Which version this is",
        answer=_answer_version,
        answers={200: Described("The version.", Version)},
    ),
)
