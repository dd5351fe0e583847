"""Clients that do things to objects at the same time, and write down what they were told, and when.

A request with an idempotency key is sent until it is answered, sometimes twice at once, or again
after the client went away from it: it is one operation all the same, and its time goes from the
first sending to the first answer. One without a key is sent once; if the connection breaks, its
outcome is unknown for ever.
"""

import asyncio
import json
from collections.abc import Callable, Hashable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.histories.operations import Asked, Recorder
from tests.ingress.http_caller import Connection, Reply, connect, get, post

ANSWER_SECONDS = 30.0
"""A server that is up and says nothing for so long has forgotten the request."""

KEYS = 2
"""Objects of each class at a time: few, so that operations overlap."""

OPERATIONS_PER_KEY = 60
"""After so many on average the clients move on to new objects, and histories stay small."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An operation as HTTP."""

    target: str
    asked: Asked
    path: str
    argument: Any


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
        request = self._choose()
        is_keyed = self.random.random() < 0.95 or request.asked[0] == "read"
        await self._do(line, request, is_keyed=is_keyed)

    async def _do(self, line: Line, request: Request, *, is_keyed: bool) -> None:
        self._made += 1
        token = self.doing = f"{self.name}.{self._made}"
        begun = self.recorder.now()
        reply = await (
            self._ask_until_answered(line, request, token)
            if is_keyed
            else line.exchange(_encode(request))
        )
        if reply is None:
            self.count.unknown += 1
            self.recorder.add(request.target, token, request.asked, begun)
        elif reply.status != 200:
            self.complaints.append(f"{token} was answered {reply.status}: {reply.body.decode()}")
        else:
            self.count.answered += 1
            answer = _freeze(json.loads(reply.body) if reply.body else None)
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
        send = post(
            f"{request.path}/send",
            b"" if request.argument is None else json.dumps(request.argument).encode(),
            f"idempotency-key: {token}",
        )
        reply = await self._insist(line, send)
        if reply.status not in {200, 202}:
            return reply
        return await self._insist(line, get(f"/restate/attach/{reply.headers['x-restate-id']}"))

    def _choose(self) -> Request:
        random = self.random
        generation = self.recorder.size // (OPERATIONS_PER_KEY * KEYS * 3)
        key = f"{generation}-{random.randrange(KEYS)}"
        match random.choice(["Register", "Counter", "Log"]):
            case "Register":
                return self._choose_register(key)
            case "Counter":
                return self._choose_counter(key)
            case _:
                return self._choose_log(key)

    def _choose_register(self, key: str) -> Request:
        random = self.random
        value = random.randrange(1, 4)
        match random.choice(["read", "read", "write", "swap", "replace"]):
            case "replace":
                old = random.randrange(4)
                argument = {"old": old, "new": value}
                return _request("Register", key, "replace", (old, value), argument)
            case "read":
                return _request("Register", key, "read", None, None)
            case name:
                return _request("Register", key, name, value, value)

    def _choose_counter(self, key: str) -> Request:
        amount = self.random.randrange(1, 100)
        match self.random.choice(["read", "turn", "add", "add", "detour"]):
            case "read":
                return _request("Counter", key, "read", None, None)
            case "turn":
                return _request("Counter", key, "read", None, None, path="read_in_turn")
            case "detour":
                argument = {"key": key, "amount": amount}
                return _detour("Counter", key, "add", amount, argument)
            case _:
                return _request("Counter", key, "add", amount, amount)

    def _choose_log(self, key: str) -> Request:
        item = f"{self.name}.{self._made}"
        match self.random.choice(["read", "append", "append", "detour"]):
            case "read":
                return _request("Log", key, "read", None, None)
            case "detour":
                return _detour("Log", key, "append", item, {"key": key, "item": item})
            case _:
                return _request("Log", key, "append", item, item)


def _request(  # noqa: PLR0913  # the parts of one
    name: str, key: str, operation: str, value: Any, argument: Any, *, path: str = ""
) -> Request:
    target = f"{name}/{key}"
    return Request(
        target=target,
        asked=(operation, value),
        path=f"/{target}/{path or operation}",
        argument=argument,
    )


def _detour(name: str, key: str, operation: str, value: Any, argument: Any) -> Request:
    """The same by a service that calls the object."""
    return Request(
        target=f"{name}/{key}",
        asked=(operation, value),
        path=f"/Detour/{operation}",
        argument=argument,
    )


def _encode(request: Request, *headers: str) -> bytes:
    body = b"" if request.argument is None else json.dumps(request.argument).encode()
    return post(request.path, body, *headers)


def _freeze(answer: Any) -> Hashable:
    return tuple(answer) if isinstance(answer, list) else answer
