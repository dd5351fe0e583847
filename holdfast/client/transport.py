"""Connections to one server, kept and used again. The only module here that knows aiohttp.

Two pools. A request that may be sent twice goes over any connection that is open: where the server
closes that at this moment, the request is sent again. One that may not be sent twice gets a new
connection, so that no idle one can be closed under it, and one that cannot be made is known to have
carried nothing.

There is no deadline for answers, for a call may take days. A peer that is gone without a word is
found by TCP's own keep-alive.
"""

import asyncio
import socket
import ssl
from typing import Any

from aiohttp import (
    BaseConnector,
    ClientConnectorCertificateError,
    ClientConnectorError,
    ClientConnectorSSLError,
    ClientError,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    InvalidURL,
    Payload,
    TCPConnector,
    UnixConnector,
)
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from ..objects.errors import ContextMisuseError, RuntimeClosedError
from ..version import __version__
from .address import Address
from .exchange import Ask, LostError, Reply, UnreachableError

KEEPALIVE_SECONDS = 60.0
"""Shorter than a server keeps an idle connection (75 s), so the client is the one who closes it."""
_PROBE_IDLE_SECONDS = 30
_PROBE_SECONDS = 10
_PROBES = 3
_PIECE_BYTES = 256 * 1024


class Transport:
    """Requests to one server, over connections that are opened at first use."""

    def __init__(
        self,
        address: Address,
        *,
        token: str | None,
        connect_seconds: float,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Nothing is opened here."""
        self.address = address
        self._headers = {"user-agent": f"holdfast-client/{__version__}"}
        if token is not None:
            self._headers["authorization"] = f"Bearer {token}"
        self._timeout = ClientTimeout(total=None, sock_connect=connect_seconds)
        self._connect_seconds = connect_seconds
        self._tls = tls
        # By whether its connections are used again. Both belong to the loop of the first request.
        self._sessions: dict[bool, ClientSession] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

    async def exchange(self, ask: Ask) -> Reply:
        """Send a request once, and read its answer to the end.

        Cancelling it closes the connection, and stops nothing on the server.

        Raises:
            UnreachableError: nothing was sent, or not all of it.
            LostError: it may have arrived, and there is no whole answer.
            RuntimeClosedError: the client was closed.
        """
        session = self._session(may_repeat=ask.may_repeat)
        body = _Body(ask.body) if ask.body else None
        shown = self.address.shown
        try:
            async with session.request(
                ask.method,
                URL(self.address.base + ask.path, encoded=True),
                data=body,
                headers=ask.headers,
                allow_redirects=False,
                skip_auto_headers=("content-type",),
            ) as response:
                answer = await response.read()
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Reply(response.status, headers, answer)
        except (ClientConnectorCertificateError, ClientConnectorSSLError) as error:
            message = f"{shown} is refused by TLS: {error}"
            raise UnreachableError(message, is_final=True) from error
        except ConnectionTimeoutError as error:
            message = f"{shown} did not take a connection within {self._connect_seconds:g} seconds"
            raise UnreachableError(message) from error
        except ClientConnectorError as error:
            message = f"{shown} cannot be reached: {_reason(error)}"
            raise UnreachableError(message) from error
        except InvalidURL as error:
            message = f"{shown} cannot be asked: {error}"
            raise UnreachableError(message, is_final=True) from error
        except (ClientError, OSError) as error:
            message = f"the connection to {shown} was lost ({type(error).__name__})"
            if body is not None and not body.has_left:
                message = f"{message} while the request was being sent"
                raise UnreachableError(message) from error
            raise LostError(message) from error

    async def close(self) -> None:
        """Close all connections. Requests under way end with an error."""
        self._is_closed = True
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    def _session(self, *, may_repeat: bool) -> ClientSession:
        if self._is_closed:
            message = "the client was closed"
            raise RuntimeClosedError(message)
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            message = (
                "this client belongs to another event loop, the one it was first used on; make one "
                "client per loop, use SyncClient from several threads, and in a handler call it in "
                "a step (ctx.run)"
            )
            raise ContextMisuseError(message)
        session = self._sessions.get(may_repeat)
        if session is None:
            session = ClientSession(
                connector=self._connector(is_kept=may_repeat),
                timeout=self._timeout,
                cookie_jar=DummyCookieJar(),
                headers=self._headers,
            )
            self._sessions[may_repeat] = session
        return session

    def _connector(self, *, is_kept: bool) -> BaseConnector:
        # No limit: a hundred calls that wait for days must not keep the next one from being sent.
        kept: dict[str, Any] = {"limit": 0, "force_close": not is_kept}
        if is_kept:
            kept["keepalive_timeout"] = KEEPALIVE_SECONDS
        if self.address.socket is not None:
            return UnixConnector(self.address.socket, **kept)
        return TCPConnector(
            ssl=True if self._tls is None else self._tls, socket_factory=_open_socket, **kept
        )


class _Body(Payload):
    """A body that knows whether it has left: before that no server has all of it, or acts on it."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body, content_type="application/octet-stream")
        self._body = body
        self._size = len(body)
        # Whether the system has taken all of it, but for what it takes before it wants a pause.
        self.has_left = False

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._body.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        body = memoryview(self._body)
        for start in range(0, len(body), _PIECE_BYTES):
            await writer.write(body[start : start + _PIECE_BYTES])
        self.has_left = True


def _open_socket(address: Any) -> socket.socket:
    """A socket that notices when its peer is gone without a word."""
    family, kind, protocol, _, _ = address
    opened = socket.socket(family, kind, protocol)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _PROBE_IDLE_SECONDS),
        ("TCP_KEEPINTVL", _PROBE_SECONDS),
        ("TCP_KEEPCNT", _PROBES),
    ):
        if hasattr(socket, name):  # macOS has other names, and a default that will do.
            opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return opened


def _reason(error: ClientConnectorError) -> str:
    inner = error.os_error
    text = inner.strerror or str(inner)
    # Loops wrap what the system says in sentences of their own.
    return "nobody listens there" if isinstance(inner, ConnectionRefusedError) else text
