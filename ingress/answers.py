"""What a call, a send and a question for an outcome are answered, as HTTP.

    x-restate-id             the invocation
    idempotency-expires      where its outcome was there already: until when it is
    x-holdfast-idempotency   "other-body", where the key came with another body before

A failed outcome is ``problems``'.
"""

import json

from ..objects.errors import TerminalError
from ..objects.media import is_json
from ..objects.moments import moment_of
from ..runtime.requests import Answer
from .messages import Response
from .problems import response_of_outcome

_JSON = {"content-type": "application/json"}


def response_of_answer(answer: Answer, content_type: str) -> Response:
    """The outcome, whose result is of this type."""
    headers = headers_of(answer)
    outcome = answer.outcome
    if isinstance(outcome, TerminalError):
        return response_of_outcome(outcome, headers)
    assert outcome is not None, "answered without an outcome"
    # Where there is no JSON there is no value; where there are no bytes, there are none.
    if outcome or not is_json(content_type):
        headers["content-type"] = content_type
    return Response(200, headers, outcome)


def response_of_send(answer: Answer) -> Response:
    """The acceptance."""
    body = {"invocationId": answer.invocation_id}
    if answer.execution_time_ms is not None:
        body["executionTime"] = format_time(answer.execution_time_ms)
    body["status"] = "PreviouslyAccepted" if answer.is_duplicate else "Accepted"
    return Response(202, {**headers_of(answer), **_JSON}, _encode(body))


def response_of_lookup(invocation_id: str) -> Response:
    """The id that was looked up."""
    return Response(200, _JSON, _encode({"invocationId": invocation_id}))


def format_time(time_ms: int) -> str:
    """A time in milliseconds since 1970 as ``2026-01-31T12:34:56.789000000Z``."""
    moment = moment_of(time_ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}000000Z"


def headers_of(answer: Answer) -> dict[str, str]:
    """Which invocation it is, and what is to be known of that."""
    headers = {"x-restate-id": answer.invocation_id}
    if answer.is_other_body:
        headers["x-holdfast-idempotency"] = "other-body"
    if answer.expires_ms is not None:
        moment = moment_of(answer.expires_ms)
        headers["idempotency-expires"] = moment.isoformat(timespec="milliseconds")
    return headers


def _encode(body: dict[str, str]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
