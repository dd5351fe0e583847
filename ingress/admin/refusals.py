"""How the operators' door says no: ``{"message": …, "restate_code": null}``, as Restate says it.

``AdminRefusal`` is what operators are refused with a status of Restate's that says more than the
error of the engine: one table in ``problems`` for all errors cannot tell "too early" from "too
late". Everything else is judged there.
"""

from collections.abc import Mapping
from typing import Final, NoReturn

from ...objects.errors import (
    ConflictError,
    HoldfastError,
    InvalidArgumentError,
    NotKeptError,
    UnknownTargetError,
)
from ..messages import Response
from ..problems import CODE_HEADER, Judgement
from .answers import json_response

_ERRORS: Final[Mapping[int, type[HoldfastError]]] = {
    400: InvalidArgumentError,
    404: UnknownTargetError,
    409: ConflictError,
    410: NotKeptError,
    422: ConflictError,
    425: ConflictError,
}
"""Whose page says more, by the status of a refusal."""


class AdminRefusal(Exception):  # noqa: N818 - it is a refusal, as those of the callers' door are
    """An operator is refused. Nothing was changed. Never leaves this package."""

    def __init__(self, status: int, message: str, kind: type[HoldfastError] | None = None) -> None:
        """Say which status, and why; ``kind`` where the status alone says another error."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind or _ERRORS.get(status)


def response_of_admin_refusal(error: AdminRefusal) -> Response:
    """The answer to an operator that was refused."""
    kind = error.kind
    return _response(error.status, error.message, {} if kind is None else {CODE_HEADER: kind.code})


def response_of_judgement(judgement: Judgement) -> Response:
    """The answer to whatever the table of problems has judged."""
    return _response(judgement.status, judgement.message, judgement.headers)


def refuse_service(name: str) -> NoReturn:
    """There is no such class here.

    Raises:
        AdminRefusal: always.
    """
    raise AdminRefusal(404, f"The requested service '{name:.200}' does not exist")


def refuse_field(name: str, reason: str) -> NoReturn:
    """A part of the path or of the body is not what it has to be.

    Raises:
        AdminRefusal: always.
    """
    raise AdminRefusal(400, f"The request field '{name}' is invalid. Reason: {reason}")


def refuse_parameter(name: str, reason: str) -> NoReturn:
    """The same for the query.

    Raises:
        AdminRefusal: always.
    """
    raise AdminRefusal(400, f"The query parameter '{name:.80}' is invalid. Reason: {reason}")


def _response(status: int, message: str, headers: Mapping[str, str]) -> Response:
    return json_response(status, {"message": message, "restate_code": None}, headers)
