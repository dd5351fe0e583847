"""The ingress as an ASGI application, to be mounted in somebody else's: no HTTP library.

    app.mount("/agents", runtime.asgi)

What frames requests, bounds heads and closes slow connections is the server around it. Here: the
path below the mount, a body bounded in length and time, and a caller that goes away, who stops
nothing. The application around has to start the runtime; where nobody mounts this, the server's
lifespan starts and stops it.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Final, Protocol
from urllib.parse import quote, unquote

from ..objects.errors import HoldfastError, InvalidArgumentError, RuntimeClosedError
from .callers import CallersDoor
from .door import Door
from .headers import too_large
from .messages import Head, Request, Response
from .options import DEFAULT_OPTIONS, HttpOptions
from .port import IngressEngine
from .problems import Refusal, RefusedError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# What has no body says nothing of its length, or that of what there would be.
_WITHOUT_LENGTH = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
_UNRESERVED = "/-._~!$&'()*+,;=:@"
_SHUTDOWN: Final = "graceful shutdown"
"""In what uvicorn says to the requests that it cancels after its ``timeout_graceful_shutdown``."""


class LifespanEngine(IngressEngine, Protocol):
    """An engine that the lifespan of a server can start and stop."""

    async def start(self) -> None:
        """Go on with what was under way, and take calls."""
        ...

    async def stop(self) -> None:
        """Stop in good order."""
        ...


class AsgiApp:
    """Answers the requests of one runtime. ASGI 3, HTTP and lifespan."""

    def __init__(
        self,
        engine: LifespanEngine,
        options: HttpOptions = DEFAULT_OPTIONS,
        *,
        door: Door | None = None,
    ) -> None:
        """Nothing is started here; ``door`` is another one than that of callers."""
        self._engine = engine
        self._door = door or CallersDoor(engine, options)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection, as ASGI says; each framework has types of its own for these."""
        kind = scope["type"]
        if kind == "http":
            await self._answer(scope, receive, send)
        elif kind == "lifespan":
            await self._live(receive, send)
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1003, "reason": "not here"})
        else:
            message = f"an ASGI server asked for {kind!r}, which is neither http nor lifespan"
            raise ValueError(message)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        door = self._door
        caller = _Caller(receive, door)
        if sum(name.lower() == b"idempotency-key" for name, _ in scope["headers"]) > 1:
            await _reply(send, door.refusal(_two_keys()), scope)
            return
        head = Head(scope["method"].upper(), _path_of(scope), _headers_of(scope))
        try:
            response = await self._respond(head, caller)
        except asyncio.CancelledError as error:
            # Its caller may still be there, and would be told by the server that we have failed.
            # Whoever else cancels, such as a time limit around us, has an answer of its own.
            if _SHUTDOWN in str(error):
                with contextlib.suppress(Exception):
                    await _reply(send, self._answer_to_the_last(head), scope)
            raise
        if response is not None:  # Else it went away, and is owed nothing.
            await _reply(send, response, scope)

    def _answer_to_the_last(self, head: Head) -> Response:
        """What callers hear for whom the server around will not wait any longer."""
        message = (
            "the server stops, so the outcome is not known here; ask again with the same "
            "idempotency key"
        )
        is_keyed = head.headers.get("idempotency-key") is not None
        return self._door.refusal(
            RuntimeClosedError(message), is_keyed=is_keyed, was_submitted=True
        )

    async def _respond(self, head: Head, caller: "_Caller") -> Response | None:
        """The answer, or ``None`` when the caller went away; what it has called goes on."""
        door = self._door
        opened = door.open(head)
        if isinstance(opened, Response):
            return opened
        try:
            door.bounds.enter()
        except RefusedError as error:
            return door.refuse(error, head)
        try:
            body = await caller.read_body()
            if body is None:
                return None  # It had not said yet what it wanted.
            answering = door.answer(opened, Request(head, body))
            del body  # The caller may wait for days.
            return await caller.wait_for(answering)
        except RefusedError as error:
            return door.refuse(error, head)
        finally:
            door.bounds.leave()

    async def _live(self, receive: Receive, send: Send) -> None:
        is_ours = False
        await receive()
        if self._engine.health != "ok":  # One that has been says so when it is started again.
            try:
                await self._engine.start()
            except HoldfastError as error:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            is_ours = True
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if is_ours:
            await self._engine.stop()
        await send({"type": "lifespan.shutdown.complete"})


class _Caller:
    """Whoever sent one request."""

    def __init__(self, receive: Receive, door: Door) -> None:
        self._receive = receive
        self._options = door.options
        self._bounds = door.bounds

    async def read_body(self) -> bytes | None:
        """The whole body; ``None`` when the caller went away in the middle of it.

        Raises:
            RefusedError: it is too long, or too slow, or there is no room for it now.
        """
        chunks: list[bytes] = []
        size = 0
        held = 0
        try:
            async with asyncio.timeout(self._options.body_seconds_max):
                while True:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        return None
                    chunk = message.get("body", b"")
                    size += len(chunk)
                    if size > self._options.body_bytes_max:
                        raise too_large(self._options)
                    chunks.append(chunk)
                    if not message.get("more_body", False):
                        return b"".join(chunks)
                    self._bounds.receive(size - held)
                    held = size
        except TimeoutError:
            seconds = self._options.body_seconds_max
            late = f"the body was not complete after {seconds:g} seconds"
            raise RefusedError(Refusal.SLOW_BODY, late) from None
        finally:
            self._bounds.release(held)

    async def wait_for(self, answering: Awaitable[Response]) -> Response | None:
        """The answer, or ``None`` when the caller goes away before it is there."""
        answer = asyncio.ensure_future(answering)
        gone = asyncio.ensure_future(self._wait_gone())
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
            return answer.result() if answer.done() else None
        finally:
            answer.cancel()
            gone.cancel()

    async def _wait_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _two_keys() -> InvalidArgumentError:
    """Whichever were taken, the sender may mean the other."""
    return InvalidArgumentError("the idempotency-key header is given more than once")


async def _reply(send: Send, response: Response, scope: Scope) -> None:
    headers = [
        (name.encode("latin-1"), value.encode("latin-1", "replace"))
        for name, value in response.headers.items()
    ]
    if response.body or response.status not in _WITHOUT_LENGTH:
        headers.append((b"content-length", str(len(response.body)).encode()))
    body = b"" if scope["method"] == "HEAD" else response.body
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _headers_of(scope: Scope) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        # Where a name comes twice the first counts, as on a connection of our own.
        headers.setdefault(name.decode("latin-1").lower(), value.decode("utf-8", "surrogateescape"))
    return headers


def _path_of(scope: Scope) -> str:
    """The path below the mount, percent-encoded as it was sent, with the query.

    The server says the whole path as it was sent; the application around says, decoded, either the
    whole path and how much of it is the mount's, or what is below. What is below is looked for at
    the end of what was sent, since only there an encoded slash is told from one that divides.
    """
    path: str = scope["path"]
    mount = scope.get("root_path", "").rstrip("/")
    if mount and (path == mount or path.startswith(mount + "/")):
        path = path.removeprefix(mount)
    path = "/" + path.removeprefix("/")
    below = _find_as_sent(path, scope.get("raw_path") or b"")
    query = scope.get("query_string", b"").decode("latin-1")
    return f"{below}?{query}" if query else below


def _find_as_sent(path: str, raw: bytes) -> str:
    """The end of ``raw`` that is ``path`` once decoded; where there is none, ``path`` encoded."""
    sent = raw.partition(b"?")[0].decode("latin-1")
    # Many servers put this character in place of bytes that are no UTF-8, and so make one key of
    # several; what was sent is refused for them.
    errors = "replace" if "\ufffd" in path else "surrogateescape"
    _, *segments = sent.split("/")
    decoded = [unquote(segment, errors=errors) for segment in segments]
    whole, wanted = ("/" + "/".join(decoded)).rstrip("/"), path.rstrip("/")
    # Each is looked at once: of a path with thousands of slashes, whoever may send it, to compare
    # each end would take seconds.
    begins_at = len(whole) - len(wanted) if whole.endswith(wanted) else -1
    position = 0
    for index, segment in enumerate(decoded):
        if position == begins_at or (not wanted and position > begins_at):
            return "/" + "/".join(segments[index:])
        position += 1 + len(segment)
    return quote(path, safe=_UNRESERVED, errors="surrogateescape")
