"""Clients that do things to objects at the same time, and write down what they were told, and when.

A request with an idempotency key is sent until it is answered, sometimes twice at once, or again
after the client went away from it: it is one operation all the same, and its time goes from the
first sending to the first answer. One without a key is sent once; if the connection breaks, its
outcome is unknown for ever.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random

from tests.histories.operations import Recorder, freeze
from tests.histories.requests import Request, choose, free
from tests.ingress.http_caller import Connection, Reply, connect, get, post

ANSWER_SECONDS = 30.0
"""A server that is up and says nothing for so long has forgotten the request."""


@dataclass(slots=True)
class Count:
    """What happened to requests of all clients."""

    answered: int = 0
    unknown: int = 0
    repeated: int = 0
    """Sendings of one that a broken connection had swallowed."""
    doubled: int = 0
    """Sent twice at once."""
    left: int = 0
    """Sent, and the client went away."""
    canceled: int = 0
    """Interrupted by another one, and so without effect."""


class Line:
    """A connection to the server, opened again whenever it breaks."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stack = AsyncExitStack()
        self._connection: Connection | None = None

    async def exchange(self, data: bytes) -> Reply | None:
        """The answer; ``None`` when the connection broke, or the server was about to stop."""
        try:
            if self._connection is None:
                self._connection = await self._stack.enter_async_context(connect(self._port))
            reply = await asyncio.wait_for(self._connection.ask(data), ANSWER_SECONDS)
        except (ConnectionError, EOFError):
            await self.close()
            return None
        except BaseException:
            await self.close()
            raise
        return None if reply.status == 503 else reply

    async def close(self) -> None:
        self._connection = None
        await self._stack.aclose()


@dataclass(slots=True)
class Client:
    """Makes one request after the other."""

    name: str
    port: int
    random: Random
    recorder: Recorder
    count: Count
    doing: str = ""
    """The token of what it waits for."""
    complaints: list[str] = field(default_factory=list[str])
    """Answers that no server should give."""
    _made: int = 0

    async def run(self, is_over: Callable[[], bool]) -> None:
        """Work until it is over and what can be answered is."""
        line = Line(self.port)
        try:
            while not is_over():
                await self._work(line)
                await asyncio.sleep(self.random.random() * 0.02)
        finally:
            await line.close()

    async def read_all(self) -> None:
        """Read every object that anybody has used."""
        line = Line(self.port)
        try:
            for target in list(self.recorder.histories):
                request = Request(
                    target=target, asked=("read", None), path=f"/{target}/read", argument=None
                )
                await self._do(line, request, is_keyed=True)
        finally:
            await line.close()

    async def _work(self, line: Line) -> None:
        request = choose(self.random, self.recorder, self._next_token())
        if not request.is_freed:
            await self._do(line, request, is_keyed=self.random.random() < 0.95)
            return
        other = Line(self.port)
        waiting = asyncio.create_task(self._do(other, request, is_keyed=True))
        try:
            seconds = 0.03
            while not waiting.done():
                await asyncio.sleep(self.random.random() * seconds)
                # Less and less often, or nobody ever comes to be interrupted.
                seconds = min(seconds * 1.5, 0.5)
                await self._do(line, free(self.random, request, self._next_token()), is_keyed=True)
            await waiting
        finally:
            waiting.cancel()
            await other.close()

    def _next_token(self) -> str:
        """The token of the next request."""
        return f"{self.name}.{self._made + 1}"

    async def _do(self, line: Line, request: Request, *, is_keyed: bool) -> None:
        token = self.doing = self._next_token()
        self._made += 1
        is_keyed |= request.asked[0] == "read"
        begun = self.recorder.now()
        reply = await (
            self._ask_until_answered(line, request, token)
            if is_keyed
            else line.exchange(_encode(request))
        )
        if reply is None:
            self.count.unknown += 1
            self.recorder.add(request.target, token, request.asked, begun)
        elif reply.status == 409 and request.may_be_canceled:
            self.count.canceled += 1
        elif reply.status != 200:
            self.complaints.append(f"{token} was answered {reply.status}: {reply.body.decode()}")
        else:
            self.count.answered += 1
            answer = freeze(json.loads(reply.body) if reply.body else None)
            self.recorder.add(request.target, token, request.asked, begun, answer)

    async def _ask_until_answered(self, line: Line, request: Request, token: str) -> Reply:
        # A read has no key: a repeated one may see something newer, within its time.
        is_read = request.asked[0] == "read"
        data = _encode(request, *([] if is_read else [f"idempotency-key: {token}"]))
        chance = 1.0 if is_read else self.random.random()
        if chance < 0.05:
            await self._leave(data)
        elif chance < 0.12:
            return await self._ask_twice(line, data, token)
        elif chance < 0.2 and (reply := await self._send_and_attach(line, request, token)):
            return reply
        return await self._insist(line, data)

    async def _insist(self, line: Line, data: bytes) -> Reply:
        while (reply := await line.exchange(data)) is None:
            self.count.repeated += 1
            await asyncio.sleep(0.02)
        return reply

    async def _leave(self, data: bytes) -> None:
        """Send it, and go away before there is an answer."""
        try:
            async with connect(self.port) as connection:
                connection.writer.write(data)
                await connection.writer.drain()
                self.count.left += 1
        except OSError:
            return  # Nobody was there.

    async def _ask_twice(self, line: Line, data: bytes, token: str) -> Reply:
        """Send it on two connections at once; both answers must be one."""
        self.count.doubled += 1
        other = Line(self.port)
        try:
            tasks = [
                asyncio.create_task(self._insist(line, data)),
                asyncio.create_task(self._insist(other, data)),
            ]
            first, second = await asyncio.gather(*tasks)
        finally:
            await other.close()
        if (first.status, first.body) != (second.status, second.body):
            self.complaints.append(f"{token} was answered {first.body!r} and {second.body!r}")
        return first

    async def _send_and_attach(self, line: Line, request: Request, token: str) -> Reply | None:
        """Send it, then ask for the outcome by its id; ``None`` if it was answered at once."""
        mode = f"?mode={request.mode}" if request.mode else ""
        send = post(
            f"{request.path}/send{mode}",
            b"" if request.argument is None else json.dumps(request.argument).encode(),
            f"idempotency-key: {token}",
        )
        reply = await self._insist(line, send)
        if reply.status not in {200, 202}:
            return reply
        return await self._insist(line, get(f"/restate/attach/{reply.headers['x-restate-id']}"))


def _encode(request: Request, *headers: str) -> bytes:
    body = b"" if request.argument is None else json.dumps(request.argument).encode()
    mode = f"?mode={request.mode}" if request.mode else ""
    return post(f"{request.path}{mode}", body, *headers)
