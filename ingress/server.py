"""HTTP/1.1 around a door: connections, deadlines, bodies.

aiohttp's low-level server is used, without an application or a router: a request costs half as much
(17 000 against 8 000 a second on one core), and the paths here are not a router's. What aiohttp
leaves to whoever uses it is done here:

* a head must be complete within ten seconds and a body within thirty, or the connection is closed;
* a malformed request is answered with 400 in JSON and leaves no traceback in the log;
* bodies are not decompressed, and none is read that will be refused for its head;
* an answer does not say which software and versions sent it;
* a caller that goes away stops nothing: its invocation goes on.
"""

import asyncio
import os
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from errno import EADDRINUSE
from logging import getLogger
from typing import Any, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from ..objects.errors import InvalidArgumentError, RuntimeClosedError
from .binding import check_address
from .callers import CallersDoor
from .door import Door
from .headers import too_large
from .messages import Head, Request, Response
from .options import DEFAULT_OPTIONS, HttpOptions
from .port import IngressEngine
from .problems import Refusal, RefusedError

# How often overdue heads are looked for, at most; more often where they are due sooner.
_SWEEP_SECONDS = 1.0
# What a refused sender may still send into the void, so that it gets to read why.
_LINGERING_SECONDS = 5.0
# After the grace of ``close``: for answers that are being written.
_GOODBYE_SECONDS = 1.0
_BACKLOG = 1024

_log = getLogger("holdfast.ingress")


@dataclass(frozen=True, slots=True)
class HttpStatistics:
    """A moment's view of a server, for metrics and tests."""

    connections: int
    requests_in_flight: int


async def serve(
    engine: IngressEngine,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    options: HttpOptions = DEFAULT_OPTIONS,
) -> "HttpServer":
    """Start answering HTTP requests for ``engine``; with port 0 the system chooses one.

    Raises:
        InvalidArgumentError: the address cannot be listened on; nothing was started.
    """
    server = HttpServer(CallersDoor(engine, options))
    await server.listen(host, port)
    return server


class HttpServer:
    """Connections to one door. Made by ``serve``; belongs to the loop it was made on."""

    def __init__(self, door: Door) -> None:
        """Make a server that is still shut; call ``listen`` once."""
        self._door = door
        self._options = door.options
        self._loop = asyncio.get_running_loop()
        self._listener = _Listener(self._handle, door, self._loop)
        self._runner = web.ServerRunner(self._listener, shutdown_timeout=_GOODBYE_SECONDS)
        # The tasks of requests that have not been answered.
        self._in_flight: set[asyncio.Task[Any]] = set()
        self._sweep_handle: asyncio.TimerHandle | None = None
        # Set by the first ``close``; the others wait for the same one.
        self._closing: asyncio.Task[None] | None = None

    async def listen(self, host: str, port: int) -> None:
        """Start accepting connections.

        Raises:
            InvalidArgumentError: the address cannot be listened on, or strangers could reach it
                and there are no tokens.
        """
        if not 0 <= port <= 65535:
            message = f"port {port} is out of range; choose one up to 65535 with --port"
            raise InvalidArgumentError(message)
        try:
            await check_address(host, self._options, self._door.purpose)
        except OSError as error:
            raise _cannot_listen(host, port, error) from None
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port, backlog=_BACKLOG).start()
        except OSError as error:
            await self._runner.cleanup()
            raise _cannot_listen(host, port, error) from None
        self._schedule_sweep()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._runner.addresses[0][1])

    def statistics(self) -> HttpStatistics:
        """How busy it is."""
        return HttpStatistics(len(self._listener.connections), len(self._in_flight))

    async def close(self, grace: timedelta = timedelta(seconds=5)) -> None:
        """Stop listening, and return when every connection is closed. Idempotent.

        Requests in flight have ``grace`` to be answered and then get a 503; their invocations go
        on. Requests that arrive meanwhile on open connections get a 503 at once.
        """
        if self._closing is None:
            self._closing = self._loop.create_task(self._close(grace))
        await asyncio.shield(self._closing)

    async def _close(self, grace: timedelta) -> None:
        if self._sweep_handle is not None:
            self._sweep_handle.cancel()
        for site in self._runner.sites:
            await site.stop()
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=grace.total_seconds())
        late = set(self._in_flight)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=_GOODBYE_SECONDS)
        await self._runner.cleanup()

    def _is_closing(self) -> bool:
        return self._closing is not None

    def _sweep(self) -> None:
        now_s = self._loop.time()
        for connection in self._listener.connections:
            assert isinstance(connection, _Connection), "not one of our connections"
            if connection.is_late(now_s):
                connection.force_close()
        self._schedule_sweep()

    def _schedule_sweep(self) -> None:
        seconds = min(_SWEEP_SECONDS, self._options.head_seconds_max / 4)
        self._sweep_handle = self._loop.call_later(seconds, self._sweep)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None, "aiohttp handles each request in a task"
        if self._is_closing():
            return self._reply(request, self._response_of_close(request, was_submitted=False))
        self._in_flight.add(task)
        try:
            response = await self._respond(request)
        except asyncio.CancelledError:
            if not self._is_closing():
                raise
            task.uncancel()
            response = self._response_of_close(request, was_submitted=True)
        finally:
            self._in_flight.discard(task)
        return self._reply(request, response)

    async def _respond(self, request: web.BaseRequest) -> Response:
        head = Head(request.method, request.raw_path, request.headers)
        return await respond_to(self._door, request, head)

    def _response_of_close(self, request: web.BaseRequest, *, was_submitted: bool) -> Response:
        is_keyed = request.headers.get("idempotency-key") is not None
        message = "the server is closing"
        if was_submitted:
            message += (
                "; if the call was accepted it goes on, so ask again with the same idempotency key"
            )
        error = RuntimeClosedError(message)
        return self._door.refusal(error, is_keyed=is_keyed, was_submitted=was_submitted)

    def _reply(self, request: web.BaseRequest, response: Response) -> web.Response:
        reply = to_aiohttp(response)
        # Nothing more is answered on a connection whose body was not worth reading to its end.
        if self._is_closing() or not request.content.is_eof():
            reply.force_close()
        return reply


class _Listener(web.Server):
    """aiohttp's server, but its connections are ours."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        door: Door,
        loop: AbstractEventLoop,
    ) -> None:
        super().__init__(handler, request_factory=self._open_request, loop=loop)
        self._door = door
        self._own_loop = loop

    def __call__(self) -> "_Connection":
        return _Connection(self, self._door, self._own_loop)

    def _open_request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        cast("_Connection", protocol).head_arrived()
        return web.BaseRequest(message, payload, protocol, writer, task, self._own_loop)


class _Connection(web.RequestHandler):
    """aiohttp's connection, with a deadline for heads, and quiet about what strangers send.

    aiohttp closes a connection that is idle between two requests, but not one that sends a head a
    byte at a time.
    """

    __slots__ = ("clock", "door", "head_since_s", "is_busy")

    def __init__(self, listener: _Listener, door: Door, loop: AbstractEventLoop) -> None:
        super().__init__(
            listener,
            loop=loop,
            keepalive_timeout=door.options.keepalive_seconds,
            logger=_log,
            lingering_time=_LINGERING_SECONDS,
            auto_decompress=False,
        )
        self.clock = loop.time
        self.door = door
        # From the end of a head until its answer is written.
        self.is_busy = False
        # When the head that is now awaited began; a fresh connection owes one at once.
        # Invariant: ``None`` while busy, and while an answered connection is silent.
        self.head_since_s: float | None = loop.time()

    def data_received(self, data: bytes) -> None:
        if self.head_since_s is None and not self.is_busy:
            self.head_since_s = self.clock()
        super().data_received(data)

    def head_arrived(self) -> None:
        """Say that a whole head is here, and that its request is being handled from now on."""
        self.is_busy = True
        self.head_since_s = None

    def is_late(self, now_s: float) -> bool:
        """Whether a head is overdue."""
        if self.head_since_s is None:
            return False
        return now_s - self.head_since_s > self.door.options.head_seconds_max

    def log_access(self, *_args: Any, **_kw: Any) -> None:
        """Note that an answer is written, which is when aiohttp calls this. Nothing is logged."""
        self.is_busy = False

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log a traceback, unless it only says what a stranger sent."""
        strangers = (web.RequestPayloadError, HttpProcessingError, ConnectionError)
        if not isinstance(kw.get("exc_info"), strangers):
            super().log_exception(*args, **kw)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what aiohttp could not parse, or could not get an answer to."""
        if request.writer.output_size > 0:
            broken = "an answer was begun already"
            raise ConnectionError(broken)
        error: Exception
        if isinstance(exc, HttpProcessingError):
            # The further lines quote the request.
            detail = (message or "").strip().partition("\n")[0].rstrip(":")
            error = InvalidArgumentError(f"malformed HTTP request: {detail:.200}")
        else:
            self.log_exception("a request failed with status %s", status, exc_info=exc)
            error = RuntimeError("unforeseen")
        reply = to_aiohttp(self.door.refusal(error))
        reply.force_close()
        return reply


async def respond_to(door: Door, request: web.BaseRequest, head: Head) -> Response:
    """The answer to a request of aiohttp's, whose head says what ``door`` is asked."""
    opened = door.open(head)
    if isinstance(opened, Response):
        return opened
    try:
        _check_single(request)
        body = await _read_body(request, door.options) if request.body_exists else b""
    except (RefusedError, InvalidArgumentError) as error:
        return door.refusal(error)
    return await door.answer(opened, Request(head, body))


async def _read_body(request: web.BaseRequest, options: HttpOptions) -> bytes:
    """The whole body.

    Raises:
        RefusedError: it is too long, or too slow.
        InvalidArgumentError: it is not framed as HTTP says, or ended early.
    """
    content = request.content
    try:
        if content.is_eof():  # It came with the head, as small ones do: no timer is needed.
            return content.read_nowait()
        async with asyncio.timeout(options.body_seconds_max):
            if request.headers.get("expect", "").lower() == "100-continue":
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                request.writer.output_size = 0  # That was not yet the answer.
            body = bytearray()
            while chunk := await content.readany():
                body += chunk
                if len(body) > options.body_bytes_max:
                    raise too_large(options)
            return bytes(body)
    except TimeoutError:
        message = f"the body was not complete after {options.body_seconds_max:g} seconds"
        raise RefusedError(Refusal.SLOW_BODY, message) from None
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError):
        message = "the body is malformed or ended early"
        raise InvalidArgumentError(message) from None


def _check_single(request: web.BaseRequest) -> None:
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


def _cannot_listen(host: str, port: int, error: OSError) -> InvalidArgumentError:
    if error.errno == EADDRINUSE:
        message = f"port {port} on {host} is taken by another program; choose another with --port"
    else:
        # The loops wrap what the system says in sentences of their own, except for names.
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror or str(error)
        message = f"cannot listen on {host}, port {port}: {reason}; choose with --host and --port"
    return InvalidArgumentError(message)
