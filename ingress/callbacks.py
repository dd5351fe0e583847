"""URLs that are told the outcome of an invocation: a service of Holdfast's own that makes POSTs.

The runtime sends to it in the batch that completes the invocation, so each URL is told at least
once, and a receiver tells a repetition by its id. It is an ordinary service: its one step is the
POST, retried by policy, and an attempt that a crash cut off is made again.

    POST url
    content-type: application/json
    webhook-id: inv_...            the invocation this is about: the same at every attempt
    idempotency-key: inv_...       the same, for receivers that know this name
    webhook-timestamp: 1769862896  seconds since 1970, of this attempt

    {"invocation_id": "inv_...", ...}         see ``objects.callback.Completed``

A status from 200 to 299 means that it was taken. 410 means that nobody wants to hear of it: that is
the end. Anything else is tried again, a redirect too: whoever was named is told, and nobody else.
The names are those of Standard Webhooks; nothing of the answer is read but its head.
"""

import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from urllib.parse import urlsplit

from aiohttp import (
    ClientError,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    InvalidURL,
    TCPConnector,
)
from aiohttp.abc import AbstractResolver, ResolveResult

from ..objects.context import Context
from ..objects.errors import RetryableError, TerminalError
from ..objects.handler import handler
from ..objects.service import Service
from ..runtime.callbacks import DELIVER
from ..runtime.config import RuntimeConfig
from .callback_slots import CallbackSlots
from .name_lookups import look_up

_GONE = 410


Send = Callable[[str, Mapping[str, str], bytes, timedelta], Awaitable[tuple[int, str | None]]]
"""Makes one POST, within so long; gives the status of the answer and its ``retry-after``. Raises
``TimeoutError``, ``ClientError``, ``OSError`` or ``ValueError`` where there is no answer."""


async def send_post(
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    timeout: timedelta,  # noqa: ASYNC109  # the client's own
) -> tuple[int, str | None]:
    """As ``Send``, over the network."""
    seconds = ClientTimeout(total=timeout.total_seconds())
    connector = TCPConnector(resolver=_Resolver())
    async with (
        ClientSession(connector=connector, timeout=seconds, cookie_jar=DummyCookieJar()) as session,
        session.post(url, data=body, headers=headers, allow_redirects=False) as response,
    ):
        # Of what else it says nothing is read: it may have no end.
        answer = response.status, response.headers.get("retry-after")
        response.close()
    return answer


class _Resolver(AbstractResolver):
    """Tells where hosts are, without having one wait for another."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            ResolveResult(
                hostname=host,
                host=each.host,
                port=each.port,
                family=each.family,
                proto=each.protocol,
                flags=numeric,
            )
            for each in await look_up(host, port, family)
        ]

    async def close(self) -> None:
        """Nothing is kept."""


def make_callbacks(config: RuntimeConfig, send: Send = send_post) -> type[Service]:
    """The class that tells URLs, for one runtime: how many at a time is counted in it."""
    slots = CallbackSlots(config.callbacks_max, config.callback_timeout)

    async def post(url: str, id_: str, body: str) -> None:
        host = urlsplit(url).netloc.lower()
        await slots.tell(host, lambda: _post(send, url, id_, body, config.callback_timeout))

    class Callbacks(Service, name=DELIVER.service):
        """Tells URLs the outcomes of invocations."""

        @handler
        async def deliver(self, ctx: Context, url: str, id: str, body: str) -> None:  # noqa: A002
            """POST ``body`` to ``url`` until it is taken, or nobody wants it any more."""
            try:
                await ctx.step(retry=config.callback_retry).run("post", post, url, id, body)
            except TerminalError as error:
                message = f"{_shown(url)} will not be told the outcome of {id}: {error.message}"
                ctx.log.error("%s", message)  # noqa: TRY400  # no line of ours is to blame
                raise TerminalError(message, status_code=502) from error

    return Callbacks


async def _post(send: Send, url: str, id_: str, body: str, timeout: timedelta) -> None:  # noqa: ASYNC109
    """Tell ``url`` once.

    Raises:
        RetryableError: it could not be reached, or did not take what it was told.
        TerminalError: it says that it never will.
    """
    headers = {
        "content-type": "application/json",
        "user-agent": "holdfast",
        "webhook-id": id_,
        "idempotency-key": id_,
        "webhook-timestamp": str(int(time.time())),
    }
    try:
        status, retry_after = await send(url, headers, body.encode(), timeout)
    except TimeoutError:
        message = f"{_shown(url)} did not answer within {timeout}"
        raise RetryableError(message) from None
    except (ClientError, OSError, ValueError) as error:
        message = f"{_shown(url)} could not be told: {_reason(error)}"
        raise RetryableError(message) from None
    _check(status, retry_after, url)


def _check(status: int, retry_after: str | None, url: str) -> None:
    if 200 <= status < 300:
        return
    message = f"{_shown(url)} answered {status}"
    if status == _GONE:
        message = f"{message}: nobody wants to hear it any more"
        raise TerminalError(message, status_code=_GONE)
    if 300 <= status < 400:
        message = f"{message}, a redirect, and only who was named is told"
    raise RetryableError(message, retry_after=retry_after)


def _reason(error: Exception) -> str:
    """What went wrong, without the URL, which some errors of aiohttp's quote."""
    name = type(error).__name__
    match error:
        case ClientResponseError():
            return f"{name}: its answer is no HTTP: {' '.join(error.message.split()):.200}"
        case InvalidURL():
            return f"{name}: it is no URL that can be called"
        case _:
            return f"{name}: {error}"


def _shown(url: str) -> str:
    """A URL for logs and messages, without what may be a secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}/..."
