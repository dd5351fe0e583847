"""HTTP/1.1 around a door: where it listens, what is in flight, and how it closes.

aiohttp's low-level server is used, without an application or a router: a request costs half as much
(17 000 against 8 000 a second on one core), and the paths here are not a router's. ``connections``
has what aiohttp leaves to whoever uses it, ``bodies`` reads requests.
"""

import asyncio
import os
import resource
import socket
from dataclasses import dataclass
from datetime import timedelta
from errno import EADDRINUSE
from typing import cast

from aiohttp import web

from ..objects.errors import InvalidArgumentError
from .admin.door import AdminDoor
from .admin.port import OperatedEngine
from .admin.route import About
from .binding import check_address
from .bodies import respond_to, to_aiohttp
from .callers import CallersDoor
from .connections import Listener
from .door import Door
from .exchanges import response_of_close
from .messages import Head, Response
from .options import DEFAULT_OPTIONS, HttpOptions
from .port import IngressEngine
from .unix_sockets import UnixSocket, bind_unix_socket

# How often deadlines are looked at, at most; more often where they are due sooner.
_SWEEP_SECONDS = 1.0
# After the grace of ``close``: for answers that are being written.
_GOODBYE = timedelta(seconds=1)
_BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class HttpStatistics:
    """A moment's view of a server, for metrics and tests."""

    connections: int
    connections_max: int
    """What the options say, or less where the process may not open so many files."""
    requests_in_flight: int
    body_bytes: int
    """Of bodies that are being received."""
    answer_bytes: int
    """Of answers that are held because callers do not take them."""


async def serve(
    engine: IngressEngine,
    *,
    host: str = "127.0.0.1",
    port: int | None = 8080,
    unix_path: str | os.PathLike[str] | None = None,
    options: HttpOptions = DEFAULT_OPTIONS,
) -> "HttpServer":
    """Start answering HTTP requests for ``engine``; with port 0 the system chooses one.

    Raises:
        InvalidArgumentError: the address cannot be listened on; nothing was started.
    """
    return await _listen(CallersDoor(engine, options), host, port, unix_path)


async def serve_admin(  # noqa: PLR0913 - where and how, each by keyword
    engine: OperatedEngine,
    *,
    host: str,
    port: int | None,
    unix_path: str | os.PathLike[str] | None = None,
    options: HttpOptions,
    about: About,
) -> "HttpServer":
    """Start answering operators; with port 0 the system chooses one.

    Raises:
        InvalidArgumentError: the address cannot be listened on; nothing was started.
    """
    return await _listen(AdminDoor(engine, options, about=about), host, port, unix_path)


async def _listen(
    door: Door, host: str, port: int | None, unix_path: str | os.PathLike[str] | None
) -> "HttpServer":
    server = HttpServer(door)
    try:
        if port is not None:
            await server.listen(host, port)
        if unix_path is not None:
            await server.listen_unix(unix_path)
    except InvalidArgumentError:
        await server.close()
        raise
    return server


class HttpServer:
    """Connections to one door. Made by ``serve``; belongs to the loop it was made on."""

    def __init__(self, door: Door) -> None:
        """Make a server that is still shut; call ``listen`` or ``listen_unix``, or both."""
        self._door = door
        self._options = door.options
        self._flag = f"--{door.option_prefix}"
        self._loop = asyncio.get_running_loop()
        self._listener = Listener(self._handle, door, self._loop)
        self._listener.connections_max = _find_connections_max(door.options)
        # What accepts connections, and the files of those that are at paths.
        self._acceptors: list[asyncio.Server] = []
        self._unix_sockets: list[UnixSocket] = []
        self._in_flight = self._listener.in_flight
        self._sweep_handle: asyncio.TimerHandle | None = None
        # Set by the first ``close``; the others wait for the same one.
        self._closing: asyncio.Task[None] | None = None

    async def listen(self, host: str, port: int) -> None:
        """Start accepting connections.

        Raises:
            InvalidArgumentError: the address cannot be listened on, or strangers could reach it
                and there are no tokens.
        """
        if not isinstance(cast("object", port), int) or not 0 <= port <= 65535:
            message = (
                f"port {port!r:.40} is out of range; choose a whole number up to 65535 with "
                f"{self._flag}port"
            )
            raise InvalidArgumentError(message)
        try:
            await check_address(host, self._options, self._door.purpose, self._flag)
            acceptor = await self._loop.create_server(self._listener, host, port, backlog=_BACKLOG)
        except OSError as error:
            raise _cannot_listen(host, port, error, self._flag) from None
        self._begin(acceptor)

    async def listen_unix(self, path: str | os.PathLike[str]) -> None:
        """Start accepting connections at a path; the file is removed by ``close``.

        Raises:
            InvalidArgumentError: the path is taken or cannot be used; what is there is left alone.
        """
        unix_socket = bind_unix_socket(
            path, self._options.unix_mode, _BACKLOG, flag=f"{self._flag}unix"
        )
        self._unix_sockets.append(unix_socket)
        acceptor = await self._loop.create_unix_server(
            self._listener, sock=unix_socket.socket, backlog=_BACKLOG
        )
        self._begin(acceptor)

    @property
    def port(self) -> int:
        """The port it listens on; 0 where it listens at a path only."""
        for acceptor in self._acceptors:
            for each in acceptor.sockets:
                if each.family != socket.AF_UNIX:
                    return int(each.getsockname()[1])
        return 0

    def statistics(self) -> HttpStatistics:
        """How busy it is."""
        return HttpStatistics(
            connections=len(self._listener.connections),
            connections_max=self._listener.connections_max,
            requests_in_flight=len(self._in_flight.waited_for),
            body_bytes=self._door.bounds.body_bytes,
            answer_bytes=self._listener.unread.bytes,
        )

    async def close(
        self, grace: timedelta = timedelta(seconds=5), goodbye: timedelta = _GOODBYE
    ) -> None:
        """Stop listening, and return when every connection is closed. Idempotent.

        Requests in flight have ``grace`` to be answered and then get a 503; their invocations go
        on. Requests that arrive meanwhile on open connections get a 503 at once. Callers have
        ``goodbye`` to take their last answers.
        """
        if self._closing is None:
            self._in_flight.is_closing = True
            self._closing = self._loop.create_task(self._close(grace, goodbye.total_seconds()))
        await asyncio.shield(self._closing)

    async def _close(self, grace: timedelta, goodbye_seconds: float) -> None:
        if self._sweep_handle is not None:
            self._sweep_handle.cancel()
        for acceptor in self._acceptors:
            acceptor.close()
        for unix_socket in self._unix_sockets:
            unix_socket.remove_file()
        self._door.end_waits()
        waited_for = self._in_flight.waited_for
        if waited_for:
            await asyncio.wait(waited_for, timeout=grace.total_seconds())
        late = set(waited_for)
        for future in late:
            future.cancel()
        if late:
            await asyncio.wait(late, timeout=goodbye_seconds)
        # What has just arrived is answered as well.
        await asyncio.sleep(0)
        self._listener.pre_shutdown()
        await self._listener.shutdown(goodbye_seconds)
        self._listener.abort()

    def _begin(self, acceptor: asyncio.Server) -> None:
        self._acceptors.append(acceptor)
        if self._sweep_handle is None:
            self._schedule_sweep()

    def _sweep(self) -> None:
        self._listener.sweep()
        self._schedule_sweep()

    def _schedule_sweep(self) -> None:
        options = self._options
        soonest = min(options.head_seconds_max, options.answer_seconds_max)
        seconds = min(_SWEEP_SECONDS, soonest / 4)
        self._sweep_handle = self._loop.call_later(seconds, self._sweep)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None, "aiohttp handles each request in a task"
        if self._in_flight.is_closing:
            return self._reply(
                request, response_of_close(self._door, request.headers, was_submitted=False)
            )
        self._in_flight.waited_for.add(task)
        try:
            response = await self._respond(request)
        except asyncio.CancelledError:
            if not self._in_flight.is_closing:
                raise
            task.uncancel()
            response = response_of_close(self._door, request.headers, was_submitted=True)
        finally:
            self._in_flight.waited_for.discard(task)
        return self._reply(request, response)

    async def _respond(self, request: web.BaseRequest) -> Response:
        head = Head(request.method, request.raw_path, request.headers)
        return await respond_to(self._door, request, head)

    def _reply(self, request: web.BaseRequest, response: Response) -> web.Response:
        reply = to_aiohttp(response)
        # Nothing more is answered on a connection whose body was not worth reading to its end.
        if self._in_flight.is_closing or not request.content.is_eof():
            reply.force_close()
        return reply


def _find_connections_max(options: HttpOptions) -> int:
    """As many as the options say, or a third of the files that the process may open.

    Another door may have another third, and the store and the handlers open files as well.
    """
    files_max = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files_max == resource.RLIM_INFINITY:
        return options.connections_max
    return min(options.connections_max, max(1, files_max // 3))


def _cannot_listen(host: str, port: int, error: OSError, flag: str) -> InvalidArgumentError:
    if error.errno == EADDRINUSE:
        message = (
            f"port {port} on {host} is taken by another program; choose another with {flag}port"
        )
    else:
        # The loops wrap what the system says in sentences of their own, except for names.
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror or str(error)
        message = (
            f"cannot listen on {host}, port {port}: {reason}; choose with {flag}host and {flag}port"
        )
    return InvalidArgumentError(message)
