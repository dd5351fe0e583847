"""From a request to its answer, whatever carried it.

Two steps, so that a request that is refused for its head is refused before its body is read:
``open_request`` is synchronous and looks at the head only, ``answer_request`` gets the body and may
wait. ``respond`` is both in a row. None of them ever raises, and nothing is journaled for a request
that they refuse. How a request is framed on a connection, and how long it may take to arrive, is
``server``'s.
"""

import json
from logging import getLogger
from typing import assert_never

from ..objects.errors import HoldfastError
from .awakeables import Completion, answer_completion, open_completion
from .browsers import check_browser, find_cors_headers, find_preflight_answer
from .calls import Call, answer_call, open_call
from .headers import check_length, check_not_encoded, too_large
from .messages import Head, Request, Response
from .options import DEFAULT_OPTIONS, HttpOptions
from .paths import AwakeablePath, CallPath, HealthPath, parse_path
from .port import IngressEngine
from .problems import Refusal, RefusedError, response_of_error, response_of_refusal

_log = getLogger("holdfast.ingress")

OpenRequest = Call | Completion


async def respond(
    engine: IngressEngine, request: Request, options: HttpOptions = DEFAULT_OPTIONS
) -> Response:
    """The answer to a whole request."""
    opened = open_request(engine, request.head, options)
    if isinstance(opened, Response):
        return opened
    return await answer_request(engine, opened, request, options)


def open_request(engine: IngressEngine, head: Head, options: HttpOptions) -> OpenRequest | Response:
    """Check a request as far as its head tells, or answer it already."""
    try:
        opened = _open(engine, head, options)
    except Exception as error:  # noqa: BLE001 - a bug must not become the caller's traceback
        opened = _response_of(error, head)
    return _with_cors(opened, head, options) if isinstance(opened, Response) else opened


async def answer_request(
    engine: IngressEngine, opened: OpenRequest, request: Request, options: HttpOptions
) -> Response:
    """Do what an opened request asks for, now that its body is here."""
    try:
        response = await _answer(engine, opened, request.body, options)
    except Exception as error:  # noqa: BLE001 - as in ``open_request``
        response = _response_of(error, request.head)
    return _with_cors(response, request.head, options)


def _open(engine: IngressEngine, head: Head, options: HttpOptions) -> OpenRequest | Response:
    check_browser(head.headers, options)
    preflight = find_preflight_answer(head, options)
    if preflight is not None:
        return preflight
    check_not_encoded(head.headers)
    check_length(head.headers, options)
    raw_path, _, query = head.path.partition("?")
    path = parse_path(raw_path, engine.registry)
    match path:
        case CallPath():
            return open_call(path, query, head, options)
        case AwakeablePath():
            return open_completion(path, head)
        case HealthPath():
            return _answer_health(engine, head)
        case _:
            assert_never(path)


async def _answer(
    engine: IngressEngine, opened: OpenRequest, body: bytes, options: HttpOptions
) -> Response:
    if len(body) > options.body_bytes_max:
        raise too_large(options)
    match opened:
        case Call():
            return await answer_call(engine, opened, body)
        case Completion():
            return await answer_completion(engine, opened, body)
        case _:
            assert_never(opened)


def _answer_health(engine: IngressEngine, head: Head) -> Response:
    if head.method != "GET":
        raise RefusedError(Refusal.METHOD, "method not allowed: takes GET", {"allow": "GET"})
    health = engine.health
    body = {"services": sorted(engine.registry.services), "status": health}
    return Response(
        200 if health == "ok" else 503,
        {"content-type": "application/json"},
        json.dumps(body, separators=(",", ":")).encode(),
    )


def _response_of(error: Exception, head: Head) -> Response:
    if isinstance(error, RefusedError):
        return response_of_refusal(error)
    if not isinstance(error, HoldfastError):
        _log.error("a request failed: %s %.200r", head.method, head.path, exc_info=error)
    is_keyed = head.headers.get("idempotency-key") is not None
    return response_of_error(error, is_keyed=is_keyed, was_submitted=False)


def _with_cors(response: Response, head: Head, options: HttpOptions) -> Response:
    cors = find_cors_headers(head.headers, options)
    if cors is None:
        return response
    return Response(response.status, {**response.headers, **cors}, response.body)
