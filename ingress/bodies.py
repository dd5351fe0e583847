"""Requests and answers of aiohttp, for a door: what its server and its application both do.

A body is read only once its head has been found in order, within a time, up to a length, and as
long as there is room for it beside all the others that are being received.
"""

import asyncio

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawRequestMessage

from ..objects.errors import InvalidArgumentError
from .door import Door
from .headers import too_large
from .messages import Head, Request, Response
from .problems import Refusal, RefusedError


async def respond_to(door: Door, request: web.BaseRequest, head: Head) -> Response:
    """The answer to a request of aiohttp's, whose head says what ``door`` is asked."""
    if request.version.major != 1:
        # aiohttp takes the lines of HTTP/1.1 for whatever they call themselves.
        message = "malformed HTTP request: it is neither HTTP/1.1 nor HTTP/1.0"
        return door.refuse(InvalidArgumentError(message), head)
    opened = door.open(head)
    if isinstance(opened, Response):
        return opened
    bounds = door.bounds
    try:
        bounds.enter()
    except RefusedError as error:
        return door.refuse(error, head)
    try:
        check_single(request)
        # The body is nobody's here: a caller may wait for days, and his body should not.
        return await door.answer(
            opened,
            Request(head, await _read_body(door, request) if request.body_exists else b""),
        )
    except (RefusedError, InvalidArgumentError) as error:
        return door.refuse(error, head)
    finally:
        bounds.leave()


async def _read_body(door: Door, request: web.BaseRequest) -> bytes:
    """The whole body.

    Raises:
        RefusedError: it is too long, or too slow, or there is no room for it now.
        InvalidArgumentError: it is not framed as HTTP says, or ended early.
    """
    content = request.content
    options = door.options
    try:
        if content.is_eof():  # It came with the head, as small ones do: no timer is needed.
            return content.read_nowait()
        async with asyncio.timeout(options.body_seconds_max):
            if request.headers.get("expect", "").lower() == "100-continue":
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                request.writer.output_size = 0  # That was not yet the answer.
            return await _read_chunks(door, request)
    except TimeoutError:
        message = f"the body was not complete after {options.body_seconds_max:g} seconds"
        raise RefusedError(Refusal.SLOW_BODY, message) from None
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError):
        message = "the body is malformed or ended early"
        raise InvalidArgumentError(message) from None


async def _read_chunks(door: Door, request: web.BaseRequest) -> bytes:
    content = request.content
    chunks: list[bytes] = []
    size = 0
    try:
        while chunk := await content.readany():
            if size + len(chunk) > door.options.body_bytes_max:
                raise too_large(door.options)
            door.bounds.receive(len(chunk))
            size += len(chunk)
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        door.bounds.release(size)


def check_single(request: web.BaseRequest | RawRequestMessage) -> None:
    """Refuse two idempotency keys: whichever were taken, the sender may mean the other.

    Raises:
        InvalidArgumentError: there are two.
    """
    if len(request.headers.getall("idempotency-key", ())) > 1:
        message = "the idempotency-key header is given more than once"
        raise InvalidArgumentError(message)


def to_aiohttp(response: Response) -> web.Response:
    """The same for aiohttp, which would otherwise say who it is and of what version."""
    headers = {**response.headers, "server": "holdfast"}
    return web.Response(status=response.status, headers=headers, body=response.body)
