"""Resolving and rejecting awakeables from outside.

Both answer 202 with no body, also where the awakeable had been completed before: the first
completion stands, and whoever repeats one after a lost answer must not be told that it failed. One
that nobody completed and that is closed all the same, because its deadline has passed, is a 409.

    resolve   the body is a JSON value (``application/json``); no body means null
    reject    the body is the reason: text, or a JSON string (``application/json``)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..objects.errors import HoldfastError, InvalidArgumentError, TerminalError
from ..objects.serde import json_serde
from .awakeable_paths import AwakeablePath
from .headers import check_json, split_content_type
from .messages import Head, Response
from .port import IngressEngine
from .problems import Refusal, RefusedError, response_of_error

REASON_BYTES_MAX = 64 * 1024
"""A reason is a sentence that is stored, logged and answered."""

_VALUE = json_serde(Any)
_REASON = json_serde(str)


@dataclass(frozen=True, slots=True)
class Completion:
    """A completion whose head is in order."""

    engine: IngressEngine
    path: AwakeablePath
    headers: Mapping[str, str]

    async def answer(self, body: bytes) -> Response:
        """Complete the awakeable and answer; see ``door.Opened``.

        Raises:
            InvalidArgumentError: the body is not what the verb takes.
        """
        outcome: bytes | TerminalError
        if self.path.verb == "resolve":
            outcome = _parse_value(self.headers, body)
        else:
            outcome = TerminalError(_parse_reason(self.headers, body))
        try:
            await self.engine.complete_awakeable(self.path.awakeable, outcome)
        except HoldfastError as error:
            # Its id makes a completion idempotent: the first one stands.
            return response_of_error(error, is_keyed=True, was_submitted=False)
        return Response(202, {}, b"")


def open_completion(engine: IngressEngine, path: AwakeablePath, head: Head) -> Completion:
    """Check the method.

    Raises:
        RefusedError: it is not POST.
    """
    if head.method != "POST":
        raise RefusedError(Refusal.METHOD, "method not allowed: takes POST", {"allow": "POST"})
    return Completion(engine, path, head.headers)


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
        return body.decode() or "the awakeable was rejected"
    except UnicodeDecodeError:
        message = "the reason in the body is not UTF-8"
        raise InvalidArgumentError(message) from None
