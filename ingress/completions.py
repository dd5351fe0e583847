"""The body of a completion, of an awakeable, a signal or a promise: a value, or why there is none.

resolve   the body is a JSON value (``application/json``); no body means null
reject    the body is the reason: text, or a JSON string (``application/json``)
"""

from collections.abc import Mapping
from typing import Any, Literal

from ..objects.errors import InvalidArgumentError, TerminalError
from ..objects.serde import json_serde
from .headers import check_json, split_content_type

REASON_BYTES_MAX = 64 * 1024
"""A reason is a sentence that is stored, logged and answered."""

Verb = Literal["resolve", "reject"]

_VALUE = json_serde(Any)
_REASON = json_serde(str)


def parse_completion(
    verb: Verb, headers: Mapping[str, str], body: bytes, what: str
) -> bytes | TerminalError:
    """What is completed with: a JSON value, or a failure that says why.

    Args:
        verb: the last part of the path.
        headers: of the request.
        body: of the request.
        what: is completed, for a rejection without a reason.

    Raises:
        InvalidArgumentError: the body is not what the verb takes.
    """
    if verb == "resolve":
        return _parse_value(headers, body)
    return TerminalError(_parse_reason(headers, body) or f"the {what} was rejected")


def _parse_value(headers: Mapping[str, str], body: bytes) -> bytes:
    if not body:
        return b"null"
    check_json(headers)
    # A value that cannot be read must not reach the journal: its handler would fail at it on
    # every attempt.
    _VALUE.decode(body)
    return body


def _parse_reason(headers: Mapping[str, str], body: bytes) -> str:
    if len(body) > REASON_BYTES_MAX:
        message = f"a reason has at most {REASON_BYTES_MAX} bytes, and this one has {len(body)}"
        raise InvalidArgumentError(message)
    media_type, _ = split_content_type(headers.get("content-type") or "text/plain")
    if media_type == "application/json" and body:
        reason: str = _REASON.decode(body)
        return reason
    try:
        return body.decode()
    except UnicodeDecodeError:
        message = "the reason in the body is not UTF-8"
        raise InvalidArgumentError(message) from None
