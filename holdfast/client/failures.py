"""From an answer that says no to the exception that the runtime itself would have raised.

The header ``x-holdfast-error`` says which class it was. Where there is none, because the server
turned the request away before the runtime saw it, the status does. Refusals of operators' requests
are ``{"message": …}``, those of callers' ``{"code": …, "message": …, "source": …}``.
"""

import json
from http import HTTPStatus
from typing import Any, Final, cast

from ..objects.errors import (
    AccessDeniedError,
    AnswerLostError,
    AwakeableExpiredError,
    CanceledError,
    ConflictError,
    DeadlockError,
    HoldfastError,
    InvalidArgumentError,
    MailboxFullError,
    NotKeptError,
    NotReachedError,
    NotReadyError,
    OutcomeUnknownError,
    RuntimeClosedError,
    StepFailedError,
    StoreFailedError,
    StoreFullError,
    TerminalError,
    UnknownTargetError,
)
from ..objects.identity import Origin, Target
from ..objects.media import is_json
from .exchange import Ask, Reply

ERROR_SOURCE: Final = "x-restate-error-source"
ERROR_CODE: Final = "x-holdfast-error"
ERROR_TYPE: Final = "x-holdfast-error-type"
INVOCATION_ID: Final = "x-restate-id"

_OUTCOMES: Final = {
    cls.code: cls
    for cls in (
        TerminalError,
        StepFailedError,
        OutcomeUnknownError,
        DeadlockError,
        CanceledError,
        AwakeableExpiredError,
    )
}
_REFUSALS: Final[dict[str, type[HoldfastError]]] = {
    cls.code: cls
    for cls in (
        InvalidArgumentError,
        UnknownTargetError,
        MailboxFullError,
        ConflictError,
        RuntimeClosedError,
        NotReadyError,
        NotKeptError,
        StoreFailedError,
        StoreFullError,
    )
}
_BY_STATUS: Final[dict[int, type[HoldfastError]]] = {
    401: AccessDeniedError,
    403: AccessDeniedError,
    421: AccessDeniedError,
    404: UnknownTargetError,
    409: ConflictError,
    410: NotKeptError,
    425: ConflictError,
    429: MailboxFullError,
    470: NotReadyError,
    503: RuntimeClosedError,
    507: StoreFullError,
}
"""Any other status of 400 to 499 is an argument that does not fit."""
_NOT_THERE: Final = frozenset({400, 404, 405})
"""With which a port of the other kind may answer a path that it does not know."""
_KEY_REFUSED: Final = "cannot use the idempotency key with workflow handlers"
"""What a refusal begins with of a call that takes no key; Restate says the same."""


def is_outcome(reply: Reply) -> bool:
    """Whether the answer is the recorded outcome of an invocation, whatever its status."""
    return reply.headers.get(ERROR_SOURCE) == "invocation"


def is_key_refused(reply: Reply) -> bool:
    """Whether the server has refused a call for its idempotency key, as the ``run`` of a workflow.

    It must say so itself: what an object's ``run`` ends with may be a 400 as well, and is final.
    """
    if reply.status != HTTPStatus.BAD_REQUEST or reply.headers.get(ERROR_SOURCE) != "ingress":
        return False
    return str(_parse(reply.body).get("message")).startswith(_KEY_REFUSED)


def is_stranger(ask: Ask, reply: Reply) -> bool:
    """Whether what looks like success comes from somebody else than a Holdfast server.

    A page that asks to log in is a 200 as well, and must not become the result of a call.
    """
    if not 200 <= reply.status < 300:
        return False
    if ask.mark is not None:
        return ask.mark not in reply.headers
    return bool(reply.body) and not is_json(reply.headers.get("content-type", "").lower())


def stranger_error(ask: Ask, reply: Reply, server: str) -> NotReachedError:
    """The error of an answer that no Holdfast server gives."""
    return NotReachedError(
        f"{server} answered {ask.what} with status {reply.status}, and not as a Holdfast "
        f"server does; look whether this is its URL and port"
    )


def lost_error(ask: Ask, why: str) -> AnswerLostError:
    """The error of a request that may have been taken, and has no answer."""
    message = f"{why}. Whether it was accepted is not known"
    if ask.idempotency_key is not None:
        message = f"{message}; ask again with idempotency_key={ask.idempotency_key!r}"
    elif ask.hint:
        message = f"{message}; {ask.hint}"
    return AnswerLostError(message, idempotency_key=ask.idempotency_key)


def error_of(ask: Ask, reply: Reply, server: str, target: Target | None = None) -> HoldfastError:
    """The exception that an answer stands for, whose status is not what success looks like.

    Args:
        ask: what was asked.
        reply: the answer.
        server: its URL, for messages.
        target: whom a call reached, where that is known; a failure that says nothing else began
            there.
    """
    body = _parse(reply.body)
    message = body.get("message")
    if not isinstance(message, str):
        stranger = stranger_error(ask, reply, server)
        # A proxy says so of what it has passed on as well, as when the answer was late.
        is_lost = reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not ask.is_question
        return lost_error(ask, stranger.message) if is_lost else stranger
    if reply.status in _NOT_THERE and ask.is_operators != ("restate_code" in body):
        ports = ("operators", "calls") if "restate_code" in body else ("calls", "operators")
        return NotReachedError(
            f"{server} is the port for {ports[0]}, and {ask.what} is for that for {ports[1]}"
        )
    if is_outcome(reply):
        return _outcome_of(reply, body, message, target)
    code = reply.headers.get(ERROR_CODE, "")
    known = _REFUSALS.get(code) or _BY_STATUS.get(reply.status)
    if known is AccessDeniedError:
        # Each port has tokens of its own.
        port = "operators" if ask.is_operators else "calls"
        return known(f"{server} (the port for {port}): {message}")
    if known is not None:
        return known(message)
    if 400 <= reply.status < 500:
        return InvalidArgumentError(message)
    return AnswerLostError(
        f"{ask.what} failed in the server with status {reply.status}: {message}",
        idempotency_key=ask.idempotency_key,
    )


def _outcome_of(
    reply: Reply, body: dict[str, Any], message: str, target: Target | None
) -> TerminalError:
    code = body.get("code")
    metadata = body.get("metadata")
    cls = _OUTCOMES.get(reply.headers.get(ERROR_CODE, ""), TerminalError)
    return cls(
        message,
        status_code=code if isinstance(code, int) else reply.status,
        metadata=cast("dict[str, str]", metadata) if isinstance(metadata, dict) else None,
        type_name=reply.headers.get(ERROR_TYPE),
        origin=_origin_of(body.get("origin"), reply, target),
    )


def _origin_of(said: Any, reply: Reply, target: Target | None) -> Origin | None:
    if isinstance(said, dict):
        named = cast("dict[str, Any]", said)
        return Origin(parse_target(str(named.get("target"))), str(named.get("invocationId")))
    id_ = reply.headers.get(INVOCATION_ID)
    return None if target is None or id_ is None else Origin(target, id_)


def parse_target(text: str) -> Target:
    """The target that ``str`` has written: only a key can hold slashes."""
    service, _, rest = text.partition("/")
    key, slash, handler = rest.rpartition("/")
    return Target(service, key if slash else None, handler)


def _parse(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    return cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {}
