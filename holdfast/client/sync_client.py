"""``SyncClient``: a ``Client`` for programs without asyncio.

Everything is ``Client``'s; here is only that somebody waits for it.
"""

import ssl
from collections.abc import Awaitable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

from ..objects.errors import TerminalError
from ..objects.handler import Handler
from ..objects.proxy import NO_ARGUMENT
from ..objects.retry import RetryPolicy
from ..runtime.state_reads import StateSnapshot
from .asking import DEFAULT_RETRY
from .calls import ClientCallKeywords
from .client import Client
from .loop_thread import LoopThread
from .remote_health import ServerHealth
from .remote_invocation import RemoteInvocation
from .remote_promise import RemotePromise
from .seams import SYSTEM, Seams

T = TypeVar("T")
R = TypeVar("R")


class SyncClient:
    """A server, for programs without asyncio: each verb blocks until it is done.

    What proxies and handles give is awaited by ``wait``, which keeps its type::

        with SyncClient("http://localhost:8080") as client:
            count = client.wait(client.object(Cart, "sam").add("tea"))

    Any number of threads may use one client, also one that runs an event loop, which stands still
    meanwhile: do not wait there for a server of that same loop. The requests are made in a thread
    of the client's own.
    """

    def __init__(  # noqa: PLR0913  # those of Client
        self,
        url: str = "http://localhost:8080",
        *,
        token: str | None = None,
        admin_url: str | None = None,
        admin_token: str | None = None,
        retry: RetryPolicy | None = DEFAULT_RETRY,
        connect_timeout: timedelta | float = 10.0,
        tls: ssl.SSLContext | None = None,
        seams: Seams = SYSTEM,
    ) -> None:
        """As ``Client``.

        Raises:
            InvalidArgumentError: that is no URL.
        """
        self._client = Client(
            url,
            token=token,
            admin_url=admin_url,
            admin_token=admin_token,
            retry=retry,
            connect_timeout=connect_timeout,
            tls=tls,
            seams=seams,
        )
        self._thread = LoopThread()

    def __repr__(self) -> str:
        """For messages: whom it reaches."""
        return f"<Sync{repr(self._client)[1:]}"

    def __enter__(self) -> Self:
        """Give the client; a connection is made when it is needed."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """As ``close``."""
        self.close()

    def close(self) -> None:
        """Close the connections. Whoever waits gets ``RuntimeClosedError``; what runs goes on."""
        self._thread.close(self._client.close)

    def wait(self, asked: Awaitable[T]) -> T:
        """Block until ``asked``, a call through this client, is done, and give its result.

        Raises:
            Exception: whatever awaiting it raises.
            RuntimeClosedError: the client was closed, before or meanwhile.
        """
        return self._thread.wait(asked)

    def object(self, cls: type[T], key: str, **options: Unpack[ClientCallKeywords]) -> T:
        """The typed proxy of one object; what it gives is for ``wait``."""
        return self._client.object(cls, key, **options)

    def workflow(self, cls: type[T], key: str, **options: Unpack[ClientCallKeywords]) -> T:
        """The typed proxy of one workflow; what it gives is for ``wait``."""
        return self._client.workflow(cls, key, **options)

    def service(self, cls: type[T], **options: Unpack[ClientCallKeywords]) -> T:
        """The typed proxy of a service; what it gives is for ``wait``."""
        return self._client.service(cls, **options)

    def call_by_name(
        self,
        service: str,
        key: str | None,
        handler: str,
        argument: Any = NO_ARGUMENT,
        **options: Unpack[ClientCallKeywords],
    ) -> Any:
        """Call a handler without its class, and wait for what it returns."""
        return self.wait(self._client.call_by_name(service, key, handler, argument, **options))

    def send_by_name(
        self,
        service: str,
        key: str | None,
        handler: str,
        argument: Any = NO_ARGUMENT,
        *,
        delay: timedelta | float | None = None,
        **options: Unpack[ClientCallKeywords],
    ) -> str:
        """Send to a handler without its class; gives the invocation's id."""
        return self.wait(
            self._client.send_by_name(service, key, handler, argument, delay=delay, **options)
        )

    def resolve_awakeable(self, awakeable_id: str, value: Any = None) -> bool:
        """As ``Client.resolve_awakeable``."""
        return self.wait(self._client.resolve_awakeable(awakeable_id, value))

    def reject_awakeable(self, awakeable_id: str, reason: str | TerminalError) -> bool:
        """As ``Client.reject_awakeable``."""
        return self.wait(self._client.reject_awakeable(awakeable_id, reason))

    @overload
    def promise(self, cls: type | str, key: str, name: str) -> RemotePromise[Any]: ...
    @overload
    def promise(self, cls: type | str, key: str, name: str, type: type[T]) -> RemotePromise[T]: ...
    @overload
    def promise(self, cls: type | str, key: str, name: str, type: Any) -> RemotePromise[Any]: ...
    def promise(self, cls: type | str, key: str, name: str, type: Any = Any) -> RemotePromise[Any]:  # noqa: A002  # it is the type
        """As ``Client.promise``; what it gives is for ``wait``."""
        return self._client.promise(cls, key, name, type)

    @overload
    def invocation(self, invocation_id: str) -> RemoteInvocation[Any]: ...
    @overload
    def invocation(self, invocation_id: str, handler: Handler[..., R]) -> RemoteInvocation[R]: ...
    def invocation(
        self, invocation_id: str, handler: Handler[..., Any] | None = None
    ) -> RemoteInvocation[Any]:
        """As ``Client.invocation``; what it gives is for ``wait``."""
        if handler is None:
            return self._client.invocation(invocation_id)
        return self._client.invocation(invocation_id, handler)

    def find_invocation(
        self,
        service: type | str,
        key: str | None = None,
        handler: Handler[..., Any] | str = "run",
        *,
        idempotency_key: str | None = None,
    ) -> RemoteInvocation[Any] | None:
        """As ``Client.find_invocation``."""
        return self.wait(
            self._client.find_invocation(service, key, handler, idempotency_key=idempotency_key)
        )

    def state(
        self, cls: type | str, key: str, *, at: str | None = None, entry: int | None = None
    ) -> Mapping[str, Any]:
        """As ``Client.state``."""
        return self.wait(self._client.state(cls, key, at=at, entry=entry))

    def wait_state(
        self,
        cls: type | str,
        key: str,
        *,
        since: str | None = None,
        timeout: timedelta | float | None = None,
    ) -> StateSnapshot:
        """As ``Client.wait_state``."""
        return self.wait(self._client.wait_state(cls, key, since=since, timeout=timeout))

    def set_state(
        self, cls: type | str, key: str, values: Mapping[str, Any], *, version: str | None = None
    ) -> None:
        """As ``Client.set_state``."""
        self.wait(self._client.set_state(cls, key, values, version=version))

    def sql(self, query: str) -> list[dict[str, Any]]:
        """As ``Client.sql``."""
        return self.wait(self._client.sql(query))

    def health(self) -> ServerHealth:
        """As ``Client.health``."""
        return self.wait(self._client.health())
