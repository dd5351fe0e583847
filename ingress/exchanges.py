"""Requests that were whole when they came, from head to answer, without a task of aiohttp's.

Nearly all are: a small body arrives with its head. Nothing of such a request has to be waited for
but what it asks for, which is one future, so what aiohttp does for each request (a task, a stream
to write to, an object of the request and one of the answer, and four rounds of the loop between
them) is left out. What a request may do, and what is counted of it, is as everywhere.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp.http_parser import RawRequestMessage

from ..objects.errors import InvalidArgumentError, RuntimeClosedError
from .bodies import check_single
from .door import Door, Opened
from .messages import Head, Request, Response
from .problems import RefusedError


class InFlight:
    """The requests of one server that have not been answered. Used on one loop only."""

    __slots__ = ("is_closing", "waited_for")

    def __init__(self) -> None:
        """Begin with none, open."""
        # What each of them waits for, or is: cancelled when the server has waited long enough.
        self.waited_for: set[asyncio.Future[Any]] = set()
        # Whether what comes from now on is refused.
        self.is_closing = False


class Exchange:
    """A request that was let in and waits for its answer."""

    __slots__ = ("_door", "_future", "_head", "_in_flight", "_opened", "_tell")

    def __init__(  # noqa: PLR0913, PLR0917 - a request and its surroundings; made in one place
        self,
        door: Door,
        in_flight: InFlight,
        head: Head,
        opened: Opened,
        future: "asyncio.Future[Any]",
        tell: Callable[[Response | None], None],
    ) -> None:
        """Wait for ``future``; the room in the door's bounds that was taken for it is ours."""
        self._door = door
        self._in_flight = in_flight
        self._head = head
        self._opened = opened
        self._future = future
        self._tell = tell
        in_flight.waited_for.add(future)
        future.add_done_callback(self._end)

    def abandon(self) -> None:
        """Stop to wait, because the caller has gone; what was called goes on."""
        if self._future.done():
            return  # ``_end`` is on its way, and nothing can take it back.
        self._future.remove_done_callback(self._end)
        self._leave()
        self._future.cancel()

    def _leave(self) -> None:
        self._in_flight.waited_for.discard(self._future)
        self._door.bounds.leave()

    def _end(self, future: "asyncio.Future[Any]") -> None:
        self._leave()
        if not future.cancelled():
            self._tell(self._door.end(self._opened, future, self._head))
        elif self._in_flight.is_closing:
            self._tell(response_of_close(self._door, self._head.headers, was_submitted=True))
        else:
            self._tell(None)


def begin_exchange(
    door: Door,
    in_flight: InFlight,
    message: RawRequestMessage,
    body: bytes,
    tell: Callable[[Response | None], None],
) -> Exchange | Response:
    """Do what a whole request asks for.

    Gives the answer where there is one at once; else ``tell`` is called with it in a later round of
    the loop, or with ``None`` where there will be none.
    """
    head = Head(message.method, message.path, message.headers)
    opened = door.open(head)
    if isinstance(opened, Response):
        return opened
    try:
        door.bounds.enter()
    except RefusedError as error:
        return door.refuse(error, head)
    try:
        check_single(message)
        future = door.begin(opened, Request(head, body))
    except InvalidArgumentError as error:
        future = door.refuse(error, head)
    if isinstance(future, Response):
        door.bounds.leave()
        return future
    return Exchange(door, in_flight, head, opened, future, tell)


def response_of_close(door: Door, headers: Mapping[str, str], *, was_submitted: bool) -> Response:
    """The answer to a request that comes, or still waits, when the server closes."""
    is_keyed = headers.get("idempotency-key") is not None
    message = "the server is closing"
    if was_submitted:
        message += (
            "; if the call was accepted it goes on, so ask again with the same idempotency key"
        )
    error = RuntimeClosedError(message)
    return door.refusal(error, is_keyed=is_keyed, was_submitted=was_submitted)
