"""A bad network in front of a real server: what passes through it is cut as a test says.

A ``Wire`` takes connections and passes each request on to the server, but for the requests that a
fate was given to beforehand. So a test has both sides: what the client makes of it, and how often
the handler ran.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto


class Fate(Enum):
    """What becomes of one request."""

    PASSED = auto()
    RESET_BEFORE = auto()
    """The connection is reset before any of it is passed on."""
    RESET_AFTER = auto()
    """It is passed on, and the connection is reset when the answer is there."""
    TRUNCATED = auto()
    """It is passed on, and half of the answer comes back."""
    CLOSED_IDLE = auto()
    """It is passed on and answered, and then the connection is closed without a word of it."""


@dataclass
class Wire:
    """A port that leads to another one."""

    target: int
    fates: list[Fate | bytes] = field(default_factory=list["Fate | bytes"])
    """Of the next requests, in order; bytes are an answer that is given without asking anybody."""
    requests: list[bytes] = field(default_factory=list[bytes])
    """The heads of the requests that came."""
    connections: int = 0
    port: int = 0
    tasks: set["asyncio.Task[None]"] = field(default_factory=set["asyncio.Task[None]"])
    """One for each connection that is open."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._pass_one(reader, writer):
                    pass
        finally:
            self.tasks.discard(task)
            await _close(writer)

    async def _pass_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head, body = await _read_message(reader)
        self.requests.append(head)
        fate = self.fates.pop(0) if self.fates else Fate.PASSED
        if fate is Fate.RESET_BEFORE:
            _reset(writer)
            return False
        if isinstance(fate, bytes):
            writer.write(fate)
            return True
        answer = await self._ask(head + body)
        match fate:
            case Fate.RESET_AFTER:
                _reset(writer)
                return False
            case Fate.TRUNCATED:
                writer.write(answer[:-2])
                await writer.drain()
                return False
            case Fate.CLOSED_IDLE:
                writer.write(answer)
                await writer.drain()
                return False
            case _:
                writer.write(answer)
                return True

    async def _ask(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.target)
        try:
            writer.write(request)
            head, body = await _read_message(reader)
        finally:
            await _close(writer)
        return head + body

    def header(self, name: str) -> list[str | None]:
        """What each request said under ``name``."""
        found: list[str | None] = []
        for head in self.requests:
            lines = head.decode().lower().split("\r\n")[1:]
            given = dict(line.split(": ", 1) for line in lines if ": " in line)
            found.append(given.get(name))
        return found


@asynccontextmanager
async def wire_to(port: int, *fates: Fate | bytes) -> AsyncGenerator[Wire]:
    """A wire that leads to ``port`` on this machine."""
    wire = Wire(port, list(fates))
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        open_ = list(wire.tasks)
        for task in open_:
            task.cancel()
        await asyncio.gather(*open_, return_exceptions=True)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def _read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return head, await reader.readexactly(length)


def _reset(writer: asyncio.StreamWriter) -> None:
    opened: socket.socket = writer.get_extra_info("socket")
    # Nothing is sent any more, and the peer is told by a reset.
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def refusal(status: int, *headers: str, source: str | None = None) -> bytes:
    """An answer that nobody in the runtime has given."""
    lines = [f"HTTP/1.1 {status} No", *headers, "content-type: application/json"]
    if source is not None:
        lines.append(f"x-restate-error-source: {source}")
    body = b'{"code":%d,"message":"not now","source":"ingress"}' % status
    lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body
