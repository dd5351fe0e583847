"""Connections: how many there may be, who is let go when there are too many, and their deadlines.

aiohttp frames requests. What it leaves to whoever uses it is done here, through methods that its
classes offer to subclasses:

* a head must be complete within a time, and within so many bytes, or the connection is closed;
* an answer must be taken within a time, and while there is room for it (see ``crowding``), or the
  connection is cut off and the answer forgotten;
* a caller that sends requests ahead of their answers is not read from until it is their turn;
* a malformed request is answered in JSON and leaves no traceback in the log;
* a caller that goes away is no longer waited for; what it has called goes on.

Deadlines are looked after once a second, so that a request pays nothing but a look at the clock.

When there are as many connections as there may be, a new one takes the place of the one that is
missed least: the longest idle between two requests, then the one that owes a head for longest. When
all are at work, it may ask one request and is answered 503; when too many of those are open as well
it is closed at once.
"""

from asyncio import AbstractEventLoop, BaseTransport, Future, Task, WriteTransport, wait
from collections import deque
from collections.abc import Awaitable, Callable
from logging import getLogger
from typing import Any, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawRequestMessage
from aiohttp.http_writer import HttpVersion11
from aiohttp.streams import StreamReader

from .bodies import to_aiohttp
from .crowding import Unread, answer_crowded
from .door import Door
from .encoding import encode_response
from .exchanges import Exchange, InFlight, begin_exchange
from .malformed import explain, head_too_large, last_reply
from .messages import Head, Response

# What a refused sender may still send into the void, so that it gets to read why.
_LINGERING_SECONDS = 5.0
# A head may be late by this much before its connection has to make room for another one.
_PATIENCE_SECONDS = 1.0
# Between two looks at all connections for one that could make room, for each of them: a look takes
# half a microsecond for each, so this much keeps it at a twentieth of the time.
_LOOK_SECONDS = 10e-6
# Connections beyond the bound that are told so, and at most a quarter as many as are within it.
TURNED_AWAY_MAX = 256

# An answer to one of another method may have none, or is not the last thing that is sent.
_WITH_BODY = frozenset({"DELETE", "GET", "PATCH", "POST", "PUT"})

_log = getLogger("holdfast.ingress")

_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Listener(web.Server):
    """aiohttp's server, but its connections are ours, and bounded."""

    def __init__(self, handler: _Handler, door: Door, loop: AbstractEventLoop) -> None:
        """Make one without connections; ``handler`` answers the requests of those to come."""
        super().__init__(
            handler, request_factory=self._open_request, handler_cancellation=True, loop=loop
        )
        self.door = door
        self.in_flight = InFlight()
        self.clock = loop.time
        self.connections_max = door.options.connections_max
        # Those within the bound, in the order in which they came.
        self.admitted: dict[Connection, None] = {}
        # Those beyond it, which are answered 503.
        self.turned_away: set[Connection] = set()
        self.unread = Unread(door.options.answers_bytes_max)
        # Whom to let go of next, found at the last look; some have become busy or left since then.
        self._spare: deque[Connection] = deque()
        self._looked_s = 0.0
        self._own_loop = loop

    def __call__(self) -> "Connection":
        """What the loop calls for each connection that it accepts."""
        return Connection(self, self.door, self._own_loop)

    def admit(self, connection: "Connection") -> bool:
        """Count a new connection; ``False``: there is no room for it."""
        if len(self.admitted) >= self.connections_max and not self._make_room():
            return False
        self.admitted[connection] = None
        return True

    def forget(self, connection: "Connection") -> None:
        """Stop counting a connection, wherever it was counted."""
        self.admitted.pop(connection, None)
        self.turned_away.discard(connection)
        self.unread.remove(connection)

    def sweep(self) -> None:
        """Close the connections that are too late with something."""
        now_s = self.clock()
        for connection in [*self.admitted, *self.turned_away]:
            connection.check_deadlines(now_s)

    def abort(self) -> None:
        """Close what is still open, whatever it has not been sent."""
        for connection in [*self.admitted, *self.turned_away]:
            connection.abort()

    async def answer_crowded(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer on a connection beyond the bound."""
        head = Head(request.method, request.raw_path, request.headers)
        reply = to_aiohttp(answer_crowded(self.door, head, len(self.admitted)))
        reply.force_close()
        return reply

    def _make_room(self) -> bool:
        now_s = self.clock()
        if not self._spare and now_s - self._looked_s >= _LOOK_SECONDS * len(self.admitted):
            self._looked_s = now_s
            ranked = [(each.spare_since(now_s), each) for each in self.admitted]
            found = [(rank, each) for rank, each in ranked if rank is not None]
            found.sort(key=lambda pair: pair[0])
            self._spare.extend(each for _, each in found)
        while self._spare:
            connection = self._spare.popleft()
            if connection in self.admitted and connection.spare_since(now_s) is not None:
                self.forget(connection)
                connection.force_close()
                return True
        return False

    def _open_request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: "Task[None]",
    ) -> web.BaseRequest:
        cast("Connection", protocol).head_arrived(payload)
        return web.BaseRequest(message, payload, protocol, writer, task, self._own_loop)


class Connection(web.RequestHandler):
    """aiohttp's connection, with the deadlines and bounds that it lacks."""

    __slots__ = (
        "ahead_bytes",
        "clock",
        "door",
        "early",
        "exchange",
        "head_seconds_max",
        "head_since_s",
        "idle_since_s",
        "is_busy",
        "is_held",
        "is_unwritten",
        "link",
        "listener",
        "own_waiter",
        "payload",
        "taken",
        "unread_since_s",
    )

    def __init__(self, listener: Listener, door: Door, loop: AbstractEventLoop) -> None:
        """Make one that is not connected yet."""
        options = door.options
        super().__init__(
            listener,
            loop=loop,
            keepalive_timeout=options.keepalive_seconds,
            logger=_log,
            lingering_time=_LINGERING_SECONDS,
            auto_decompress=False,
            max_line_size=options.target_bytes_max,
            max_field_size=options.head_bytes_max,
            max_headers=options.headers_max,
        )
        self.listener = listener
        self.clock = loop.time
        self.door = door
        # aiohttp forgets its own once it has asked it to close, which may take for ever.
        self.link: WriteTransport | None = None
        self.head_seconds_max = options.head_seconds_max
        # From the end of a head until its answer is written.
        self.is_busy = False
        # The body of the request that is being answered; ``None`` where that was whole.
        self.payload: StreamReader | None = None
        # Since when there has been nothing to do; looked at only while that is so.
        self.idle_since_s = 0.0
        # When the head that is now awaited began; a fresh connection owes one at once.
        # Invariant: ``None`` while busy, and while an answered connection is silent.
        self.head_since_s: float | None = loop.time()
        # What has arrived of heads and requests that it is not yet the turn of.
        self.ahead_bytes = 0
        # Whether nothing is read until it is.
        self.is_held = False
        # The request that is being answered without aiohttp's task.
        self.exchange: Exchange | None = None
        # What that task waits for. Invariant: ``None`` but from the begin of an exchange until its
        # answer is written; meanwhile aiohttp's own place for it is empty.
        self.own_waiter: Future[None] | None = None
        # Whether the answer of an exchange is more than the system takes now.
        self.is_unwritten = False
        # At the close: done when that answer is taken, or the connection is lost.
        self.taken: Future[None] | None = None
        # What has come before aiohttp's task waits for it; looked at in the next round of the loop.
        self.early = b""
        # Since when the system has not taken all that was written; seen by the sweep only.
        self.unread_since_s: float | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Begin, if there is room; else refuse one request, or close at once."""
        # uvloop's transports are no subclasses of asyncio's.
        self.link = link = cast("WriteTransport", transport)
        listener = self.listener
        if not listener.admit(self):
            told_max = max(1, min(TURNED_AWAY_MAX, listener.connections_max // 4))
            if len(listener.turned_away) >= told_max:
                self.close()
                link.abort()
                return
            listener.turned_away.add(self)
            self.head_seconds_max = min(self.head_seconds_max, _PATIENCE_SECONDS)
            self._request_handler = listener.answer_crowded
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give the room back."""
        self.listener.forget(self)
        self.link = None
        self.early = b""
        if self.exchange is not None:
            self.exchange.abandon()
            self.exchange = None
        if self.taken is not None and not self.taken.done():
            self.taken.set_result(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Hand bytes to aiohttp's parser, as many as may be here before their turn."""
        if self.early:
            self.early += data
        elif self._waiter is None and not self.is_busy and data and self._owes_head():
            # It is about to wait, and would take this up itself, at its price, and so the next one.
            self.early = data
            self._loop.call_soon(self._receive_early)
        else:
            self._receive(data)

    def _receive(self, data: bytes) -> None:
        # Else it is of a body, which whoever reads it counts, or throws away.
        is_ahead = self._owes_head()
        if is_ahead:
            self.ahead_bytes += len(data)
            if self.head_since_s is None and not self.is_busy:
                self.head_since_s = self.clock()
        # aiohttp wakes its task for whatever has arrived, but for nearly all there is no need.
        waiter, self._waiter = self._waiter, None
        super().data_received(data)
        if waiter is not None:
            self._waiter = waiter
            self._take_up()
        if is_ahead and self.ahead_bytes > self.door.options.head_bytes_max:
            self._hold()

    def head_arrived(self, payload: StreamReader | None) -> None:
        """Say that a whole head is here, and that its request is being handled from now on.

        ``payload`` is where its body arrives; ``None``: it is here as well.
        """
        self.is_busy = True
        self.payload = None if payload is None or payload.is_eof() else payload
        self.head_since_s = None
        if not self._messages:
            self.ahead_bytes = 0
            if self.is_held:
                self._go_on()

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's
        """Read on, where that was stopped: aiohttp asks for it with every body that is taken."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def pause_writing(self) -> None:
        """Count what is held for the caller."""
        super().pause_writing()
        if self.link is not None:
            self.listener.unread.add(self, self.link.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Go on to the next request once an answer was taken."""
        super().resume_writing()
        self.listener.unread.remove(self)
        if self.is_unwritten:
            self.is_unwritten = False
            self._written()
            if self.taken is not None:
                self.taken.set_result(None)
            if self._close:
                # Not here: asyncio's transport looks itself at what is to happen now.
                self._loop.call_soon(self._leave)
            else:
                self._take_up()

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109 - aiohttp's
        """As aiohttp's, which knows nothing of an answer that is not written by its task."""
        if self.is_unwritten and self.link is not None:
            self.taken = self._loop.create_future()
            # Resume when there is nothing left of it, for what is left is cut off.
            self.link.set_write_buffer_limits(0)
            await wait([self.taken], timeout=timeout)
        self.close()  # Its task may have begun to wait only after it was told to close.
        await super().shutdown(timeout)

    def spare_since(self, now_s: float) -> tuple[bool, float] | None:
        """Since when nobody would miss this connection much, in the order of missing less."""
        if self.is_busy or self._messages or self.early or self.link is None:
            return None
        if self.link.get_write_buffer_size():
            return None  # Its last answer is not taken yet; it is not forgotten before it is.
        if self.head_since_s is None:
            return (False, self.idle_since_s)
        late = now_s - self.head_since_s > _PATIENCE_SECONDS
        return (True, self.head_since_s) if late else None

    def check_deadlines(self, now_s: float) -> None:
        """Close the connection if a head is overdue, cut it off if an answer is not taken."""
        link = self.link
        if link is None:
            return
        if link.get_write_buffer_size() == 0:
            self.unread_since_s = None
        elif self.unread_since_s is None:
            self.unread_since_s = now_s
        elif now_s - self.unread_since_s > self.door.options.answer_seconds_max:
            self.abort()
            return
        if self.head_since_s is not None and now_s - self.head_since_s > self.head_seconds_max:
            self.force_close()

    def abort(self) -> None:
        """Cut the connection off: what was not sent is forgotten."""
        self.force_close()
        if self.link is not None:
            self.link.abort()

    def log_access(self, *_args: Any, **_kw: Any) -> None:
        """Note that an answer is written, which is when aiohttp calls this. Nothing is logged."""
        self.is_busy = False
        self.idle_since_s = self.clock()
        self.unread_since_s = None
        if self.payload is not None and self.payload.is_eof() and self._parser is not None:
            # The parser counts it since its body was whole, and aiohttp took it before that.
            self.payload = None
            self._parser.message_consumed()
            self._loop.call_soon(self._receive, b"")  # What it held back for want of room.
        if self.is_held:
            self._hold()

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
        if isinstance(exc, HttpProcessingError):
            return last_reply(self.door.refusal(explain(exc, message or "", self.door.options)))
        self.log_exception("a request failed with status %s", status, exc_info=exc)
        return last_reply(self.door.refusal(RuntimeError("unforeseen")))

    def _hold(self) -> None:
        """Read no further until what has arrived was answered, or refuse a head that has no end."""
        if self.is_busy or self._messages:
            self.is_held = True
            self._pause_transport_reading()
        elif self.link is not None and not self._close and not self._force_close:
            refusal = self.door.refusal(head_too_large(self.door.options))
            self.link.write(encode_response(refusal, closes=True))
            # Not at once: it may still be sending, and would be told nothing but a reset.
            self.link.write_eof()
            self.close()
            self._loop.call_later(_LINGERING_SECONDS, self.abort)

    def _owes_head(self) -> bool:
        """Whether what comes now is of a head, and not of the body of what is being answered."""
        return self.payload is None or self.payload.is_eof()

    def _receive_early(self) -> None:
        if self.early:
            data, self.early = self.early, b""
            self._receive(data)

    def _take_up(self) -> None:
        """Handle what has arrived, one request after the other, while none is being answered."""
        while self._messages and self._waiter is not None and not self._waiter.done():
            message, payload = self._messages[0]
            if isinstance(message, RawRequestMessage) and self._is_whole(message, payload):
                self._messages.popleft()
                self.own_waiter, self._waiter = self._waiter, None
                self._begin(message, payload)
            else:
                self._waiter.set_result(None)

    def _is_whole(self, message: RawRequestMessage, payload: StreamReader) -> bool:
        """Whether a request can be answered without a task, and its connection goes on after it."""
        return (
            payload.is_eof()
            and message.method in _WITH_BODY
            and message.version == HttpVersion11
            and not message.should_close
            and not message.upgrade
            # Else to take the body is to read on, and more requests would arrive meanwhile.
            and not self._reading_paused
            and not self._close
            and not self._force_close
            and not self.listener.in_flight.is_closing
            # Else it is beyond the bound.
            and self._request_handler == self.listener.request_handler
        )

    def _begin(self, message: RawRequestMessage, payload: StreamReader) -> None:
        assert self._parser is not None, "a connection that is lost takes nothing up"
        self._parser.message_consumed()
        self.head_arrived(None)
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()
        begun = begin_exchange(
            self.door, self.listener.in_flight, message, payload.read_nowait(), self._end
        )
        if isinstance(begun, Response):
            self._write(begun)
        else:
            self.exchange = begun

    def _end(self, response: Response | None) -> None:
        self.exchange = None
        self._write(response)
        self._take_up()

    def _write(self, response: Response | None) -> None:
        """Answer the request of an exchange; ``None``: that cannot be, so there is no other one."""
        link = self.link
        if link is None or self._force_close:
            return
        closes = self._close or self.listener.in_flight.is_closing
        try:
            answer = None if response is None else encode_response(response, closes=closes)
        except ValueError as error:
            self.log_exception("an answer cannot be sent", exc_info=error)
            answer = None
        if answer is None:
            self.force_close()
            return
        link.write(answer)
        if closes:
            self.close()  # First: nothing is said any more of what has come behind it.
            link.set_write_buffer_limits(0)  # As in ``shutdown``.
        if self._paused:
            self.is_unwritten = True
        else:
            self._written()
            if closes:
                self._leave()

    def _leave(self) -> None:
        """End the connection, whose last answer was taken."""
        self.close()
        if self.link is not None:
            self.link.close()

    def _written(self) -> None:
        """Be as aiohttp's task is between two requests."""
        self._waiter, self.own_waiter = self.own_waiter, None
        self.log_access()
        self._next_keepalive_close_time = self.idle_since_s + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(
                self._next_keepalive_close_time, self._process_keepalive
            )

    def _go_on(self) -> None:
        self.is_held = False
        # aiohttp has reasons of its own to wait.
        if not self._reading_paused and not self._buffer_paused:
            self._resume_transport_reading()
