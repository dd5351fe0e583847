"""The runtime a user constructs: the engine, and HTTP in front of it when asked.

This module owns how long a server lives beside its runtime, and nothing else. It does not know
what a request looks like (``ingress`` does) or what a call does (``runtime`` does); it is the one
place above both.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING

from .ingress.admin.door import ADMIN_OPTIONS, AdminDoor
from .ingress.admin.route import About
from .ingress.aiohttp_app import make_app
from .ingress.asgi import AsgiApp
from .ingress.callbacks import make_callbacks
from .ingress.options import DEFAULT_OPTIONS, HttpOptions
from .ingress.server import HttpServer, serve_admin
from .ingress.server import serve as serve_http
from .objects.durations import to_duration
from .objects.errors import StoreFailedError
from .runtime.engine import Engine
from .version import __version__

if TYPE_CHECKING:
    from aiohttp.web import Application


DEFAULT_PORT = 8080
"""Restate's, so that its users' curl lines work."""

CLOSING_GRACE = timedelta(seconds=5)
"""What a server that closes leaves its callers at least; more where running steps have more."""

FAILED_GRACE = timedelta(seconds=0.1)
"""What it leaves them where the disk has failed, and as much again for answers on their way."""


class Runtime(Engine):
    """Objects and services of one data directory, for calls from this process and over HTTP.

    ``async with Runtime([Assistant], data_dir="data") as runtime:`` opens the directory, goes on
    with what was under way, and stops gracefully at the end of the block. Only one runtime can
    have a directory open; two runtimes on two directories share nothing.
    """

    # How long the servers of this runtime wait for answers when they close.
    _closing_grace = CLOSING_GRACE

    def _own_classes(self) -> Sequence[type]:
        return (make_callbacks(self.config),)

    async def serve(  # noqa: PLR0913 - where and how, each by keyword
        self,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        unix_path: str | PathLike[str] | None = None,
        options: HttpOptions = DEFAULT_OPTIONS,
        admin_host: str = "127.0.0.1",
        admin_port: int | None = None,
        admin_unix_path: str | PathLike[str] | None = None,
        admin_options: HttpOptions = ADMIN_OPTIONS,
        on_admin_listening: Callable[[int], None] | None = None,
        on_listening: Callable[[int], None] | None = None,
    ) -> None:
        """Serve HTTP until the runtime is stopped, or this call is cancelled.

        Cancelling closes the server and leaves the runtime running.

        Args:
            host: the address to listen on. Anything but loopback needs ``options.tokens``, or
                ``options.allow_anonymous``, and then whoever can reach it can call every handler.
            port: the port, or 0 for any free one. Unless said it is 8080, and none at all where
                there is a ``unix_path``.
            unix_path: a unix socket to listen on, alone or beside the port. It is made with
                ``options.unix_mode``, and removed when the server closes; that of a server which
                has died is replaced.
            options: limits, tokens, and which hosts and browsers are let in.
            admin_host: the address to listen on for operators; as ``host``.
            admin_port: the port for operators, or 0 for any free one; none unless said. Whoever can
                reach it can see and change everything.
            admin_unix_path: as ``unix_path``, for operators.
            admin_options: as ``options``, for operators.
            on_admin_listening: called once with the port for operators, before ``on_listening``.
            on_listening: called once with the port (0 where there is none), when connections are
                accepted, those of operators too.

        Raises:
            InvalidArgumentError: an address cannot be listened on, or strangers could reach it
                and there are no tokens; nothing was started.
            StoreFailedError: the disk failed while serving. The server was closed.
            ContextMisuseError: called from another loop or thread than the runtime's.
        """
        self._check_loop()
        if port is None and unix_path is None:
            port = DEFAULT_PORT
        urls: list[str] = []
        servers: list[HttpServer] = []
        stopping = asyncio.ensure_future(self._stopping.wait())
        failing = asyncio.ensure_future(self.wait_failed())
        try:
            # Operators first: a call that was let in would be cut off again where theirs is taken.
            if admin_port is not None or admin_unix_path is not None:
                about = About(__version__, lambda: next(iter(urls), None))
                admin = await serve_admin(
                    self,
                    host=admin_host,
                    port=admin_port,
                    unix_path=admin_unix_path,
                    options=admin_options,
                    about=about,
                )
                servers.append(admin)
                self._servers.add(admin)
            server = await serve_http(
                self, host=host, port=port, unix_path=unix_path, options=options
            )
            servers.append(server)
            self._servers.add(server)
            if server.port:
                urls.append(f"{make_url(host, server.port)}/")
            if on_admin_listening is not None and admin_port is not None:
                on_admin_listening(servers[0].port)
            if on_listening is not None:
                on_listening(server.port)
            await asyncio.wait({stopping, failing}, return_when=asyncio.FIRST_COMPLETED)
            if failing.done():
                raise failing.result()
        finally:
            stopping.cancel()
            failing.cancel()
            if self.failure is not None:
                # Whoever waited was told, and the process should be gone within a second.
                await asyncio.gather(*(each.close(FAILED_GRACE, FAILED_GRACE) for each in servers))
            for each in reversed(servers):
                await each.close(self._closing_grace)
                self._servers.discard(each)

    async def stop(self, grace: timedelta | float | None = None) -> None:
        """As ``Engine.stop``; ``serve`` returns as well, once its server is closed.

        The server takes no further connections. Callers who wait have ``grace`` too, so whoever
        waits for a step that ends in time gets the outcome; what they ask meanwhile is a 503.
        """
        self._check_loop()
        given = self.config.stop_grace if grace is None else to_duration(grace, "the grace of stop")
        self._closing_grace = max(CLOSING_GRACE, given)
        self._stopping.set()
        # It answers whoever still waits at its end, and a server closes once all are answered.
        await super().stop(given)
        for server in list(self._servers):
            await server.close()

    @property
    def asgi(self) -> AsgiApp:
        """This runtime as an ASGI application: ``app.mount("/agents", runtime.asgi)``.

        The program around it enters ``async with runtime:`` in its lifespan; a server that runs
        this and nothing else needs not. For other limits and hosts, see ``asgi_app``.
        """
        return self.asgi_app()

    def asgi_app(self, options: HttpOptions = DEFAULT_OPTIONS) -> AsgiApp:
        """As ``asgi``, with limits, hosts and origins of your own."""
        return AsgiApp(self, options)

    def admin_asgi_app(self, options: HttpOptions = ADMIN_OPTIONS) -> AsgiApp:
        """The operators' door as an ASGI application: mount it where only operators can come.

        Hosts, origins and tokens of ``options`` count here as well. See ``docs/admin.md``.
        """
        about = About(__version__, lambda: None)
        return AsgiApp(self, door=AdminDoor(self, options, about=about))

    def app(self, options: HttpOptions = DEFAULT_OPTIONS) -> "Application":
        """This runtime as an aiohttp application: ``app.add_subapp("/agents", runtime.app())``.

        It starts and stops with the application, unless it was started before.
        """
        return make_app(self, options)

    @property
    def failure(self) -> StoreFailedError | None:
        """Why the store failed and this runtime stopped working; ``None`` while all is well.

        It stays after ``stop``, which may itself have met the failure.
        """
        return self._failure

    @cached_property
    def _stopping(self) -> asyncio.Event:
        """Set once and for ever: a runtime that was stopped is not started again."""
        return asyncio.Event()

    @cached_property
    def _servers(self) -> set[HttpServer]:
        """The servers that ``serve`` opened and has not closed yet."""
        return set()


def make_url(host: str, port: int) -> str:
    """``http://…`` of a server that listens there; for all addresses, this machine's."""
    name = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host)  # noqa: S104 - compared
    if name is None:
        name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}"
