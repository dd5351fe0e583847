"""Which status a failure has, who is to blame, and whether sending again is safe. One table.

Nothing else in this package chooses a status for a failure. An error of the engine is looked up by
its class, a refusal of the ingress's own by its kind. The body is
``{"code": …, "message": …, "source": …}``, with ``"metadata"`` when the failure has any, and with
``"origin"`` when another invocation than the one that is answered for was the first to fail. The
number there is a status; Holdfast's own code, which names a page, is in the header
``x-holdfast-error``.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from ..objects.errors import (
    ConflictError,
    HoldfastError,
    InvalidArgumentError,
    MailboxFullError,
    NotKeptError,
    NotReadyError,
    RuntimeClosedError,
    StoreFailedError,
    StoreFullError,
    TerminalError,
    UnknownTargetError,
)
from .messages import Response


class Source(StrEnum):
    """Who failed. Sent as ``x-restate-error-source``, so that no client has to guess."""

    INGRESS = "ingress"
    """The request, or the runtime as a whole: no handler failed."""
    INVOCATION = "invocation"
    """The handler; this is its recorded outcome, and it will not change."""


class Retry(Enum):
    """What sending the same request again would do."""

    USELESS = auto()
    """The same answer."""
    SAFE = auto()
    """Nothing happened the first time, so nothing can happen twice."""
    SAME_KEY = auto()
    """It may have been accepted: only the same idempotency key makes a second one harmless."""


class Refusal(Enum):
    """Why the ingress turned a request away by itself. Nothing was journaled."""

    UNAUTHORIZED = auto()
    FORBIDDEN = auto()
    NOT_FOUND = auto()
    METHOD = auto()
    SLOW_BODY = auto()
    TOO_LARGE = auto()
    TARGET_TOO_LONG = auto()
    ENCODED = auto()
    GONE = auto()
    MISDIRECTED = auto()
    BUSY = auto()
    HEAD_TOO_LARGE = auto()
    CROWDED = auto()
    UNREADABLE = auto()


@dataclass(frozen=True, slots=True)
class Problem:
    """One row of the table."""

    status: int
    retry: Retry = Retry.USELESS
    retry_once_submitted: Retry | None = None
    """The same, where the engine had taken the request; ``None``: it makes no difference."""
    retry_after_s: int = 0
    """Sent as ``Retry-After``, but only where sending again is harmless."""


PROBLEMS: dict[type[HoldfastError] | Refusal, Problem] = {
    InvalidArgumentError: Problem(400),
    UnknownTargetError: Problem(404),
    ConflictError: Problem(409),
    NotReadyError: Problem(470, Retry.SAFE),
    NotKeptError: Problem(410),
    MailboxFullError: Problem(429, Retry.SAFE, retry_after_s=1),
    RuntimeClosedError: Problem(503, Retry.SAFE, Retry.SAME_KEY, retry_after_s=5),
    StoreFailedError: Problem(503, Retry.SAFE, Retry.SAME_KEY, retry_after_s=5),
    StoreFullError: Problem(507, Retry.SAFE, retry_after_s=30),
    Refusal.UNAUTHORIZED: Problem(401),
    Refusal.FORBIDDEN: Problem(403),
    Refusal.NOT_FOUND: Problem(404),
    Refusal.METHOD: Problem(405),
    Refusal.SLOW_BODY: Problem(408, Retry.SAFE),
    Refusal.TOO_LARGE: Problem(413),
    Refusal.TARGET_TOO_LONG: Problem(414),
    Refusal.ENCODED: Problem(415),
    Refusal.GONE: Problem(410),
    Refusal.MISDIRECTED: Problem(421),
    Refusal.BUSY: Problem(429, Retry.SAFE, retry_after_s=1),
    Refusal.HEAD_TOO_LARGE: Problem(431),
    Refusal.CROWDED: Problem(503, Retry.SAFE, retry_after_s=1),
    Refusal.UNREADABLE: Problem(500),
}

UNFORESEEN = Problem(500, Retry.SAME_KEY)
"""An exception nobody planned for, which is a bug of Holdfast's."""

CODE_HEADER = "x-holdfast-error"
_TYPE_HEADER = "x-holdfast-error-type"
_UNFORESEEN_MESSAGE = "internal error; the outcome is unknown, and the log of the server says more"
_NO_KEY_WARNING = "This request had no idempotency key, so sending it again may do it twice."


class RefusedError(Exception):
    """The ingress turns this request away. Never leaves the ingress; nothing was journaled."""

    def __init__(
        self, refusal: Refusal, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        """Say why, and with which further headers."""
        super().__init__(message)
        self.refusal = refusal
        self.message = message
        self.headers: Mapping[str, str] = headers or {}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the table says about one refusal, for whichever door words it."""

    status: int
    message: str
    headers: Mapping[str, str]


def response_of_refusal(error: RefusedError) -> Response:
    """The answer to a request that the ingress turned away."""
    return _response_of(judge_refusal(error))


def judge_refusal(error: RefusedError) -> Judgement:
    """Look up why the ingress turned a request away."""
    problem = PROBLEMS[error.refusal]
    headers = error.headers
    if problem.retry_after_s:
        headers = {**headers, "retry-after": str(problem.retry_after_s)}
    return Judgement(problem.status, error.message, headers)


def response_of_error(error: Exception, *, is_keyed: bool, was_submitted: bool) -> Response:
    """The answer to a request that the engine refused, or could not finish.

    Args:
        error: what the engine raised.
        is_keyed: whether the request had an idempotency key.
        was_submitted: whether the engine had taken the request before it failed.
    """
    return _response_of(judge_error(error, is_keyed=is_keyed, was_submitted=was_submitted))


def judge_error(error: Exception, *, is_keyed: bool, was_submitted: bool) -> Judgement:
    """Look up why the engine refused a request, or could not finish it; as above."""
    problem = _find_problem(error)
    retry = problem.retry
    if was_submitted and problem.retry_once_submitted is not None:
        retry = problem.retry_once_submitted
    message = error.message if isinstance(error, HoldfastError) else _UNFORESEEN_MESSAGE
    headers = {CODE_HEADER: error.code} if isinstance(error, HoldfastError) else {}
    if retry is Retry.SAME_KEY and not is_keyed:
        message = f"{message.rstrip('.')}. {_NO_KEY_WARNING}"
    elif problem.retry_after_s:
        headers["retry-after"] = str(problem.retry_after_s)
    return Judgement(problem.status, message, headers)


def response_of_outcome(failure: TerminalError, headers: Mapping[str, str]) -> Response:
    """The answer of an invocation that failed for good. Its code stays in the body as it is."""
    is_status = 400 <= failure.status_code <= 599
    body: dict[str, object] = {"code": failure.status_code, "message": failure.message}
    if failure.metadata:
        body["metadata"] = failure.metadata
    body["source"] = Source.INVOCATION
    origin = failure.origin
    if origin is not None and origin.invocation_id != headers.get("x-restate-id"):
        body["origin"] = {"target": str(origin.target), "invocationId": origin.invocation_id}
    return Response(
        status=failure.status_code if is_status else 500,
        headers={
            **headers,
            **_failure_headers(Source.INVOCATION),
            **_type_header(failure),
            CODE_HEADER: failure.code,
        },
        body=_encode(body),
    )


def _type_header(failure: TerminalError) -> dict[str, str]:
    """What the exception was called, where its code does not say that already."""
    name = failure.type_name
    is_told = name == type(failure).__name__ or not name.isascii() or not name.isidentifier()
    return {} if is_told else {_TYPE_HEADER: name}


def _find_problem(error: Exception) -> Problem:
    for cls in type(error).__mro__:
        problem = PROBLEMS.get(cls)
        if problem is not None:
            return problem
    return UNFORESEEN


def _response_of(judgement: Judgement) -> Response:
    source = Source.INGRESS
    body = {"code": judgement.status, "message": judgement.message, "source": source}
    headers = {**judgement.headers, **_failure_headers(source)}
    return Response(status=judgement.status, headers=headers, body=_encode(body))


def _failure_headers(source: Source) -> dict[str, str]:
    return {"content-type": "application/json", "x-restate-error-source": source.value}


def _encode(body: Mapping[str, object]) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        # A message may quote half a surrogate pair, which UTF-8 cannot say and an escape can.
        return json.dumps(body, separators=(",", ":")).encode("ascii")
