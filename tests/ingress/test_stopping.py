"""A runtime that serves is stopped: who still gets an answer, and which."""

from __future__ import annotations

import asyncio
import gc
import socket
from datetime import timedelta

import pytest

from holdfast import (
    Context,
    MemoryStore,
    Runtime,
    Service,
    StoreFailedError,
    app,
    handler,
)
from holdfast.ingress.server import HttpServer
from tests.ingress.http_caller import connect, post


async def test_whoever_waits_for_a_step_that_ends_within_the_grace_gets_the_outcome(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, done = asyncio.Event(), asyncio.Event()

    async def work() -> str:
        begun.set()
        await done.wait()
        return "ready"

    class Worker(Service):
        @handler
        async def work(self, ctx: Context, what: str) -> str:
            return await ctx.run("work", work)

    # Of a server that is not told how long, the time is over at once.
    close = HttpServer.close

    async def close_soon(server: HttpServer, grace: timedelta = timedelta(0)) -> None:
        await close(server, grace)

    monkeypatch.setattr(HttpServer, "close", close_soon)
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    runtime = Runtime([Worker], store=MemoryStore())
    await runtime.start()
    serving = asyncio.create_task(runtime.serve(port=0, on_listening=listening.set_result))
    async with connect(await listening) as caller:
        caller.writer.write(post("/Worker/work", b'"wood"'))
        await begun.wait()
        stopping = asyncio.create_task(runtime.stop(timedelta(seconds=60)))
        for _ in range(20):  # Whoever would cut the caller off has had the turns to do it.
            await asyncio.sleep(0)
        done.set()
        reply = await caller.read()
    await stopping
    await serving

    assert (reply.status, reply.body) == (200, b'"ready"')


# Where the door closes just before asyncio makes the transport of what it has accepted, it fails an
# assertion of its own, and the socket is closed by the collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("turns", range(12))
async def test_nobody_waits_for_a_connection_that_was_just_made(
    turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "FAILED_GRACE", timedelta(seconds=600))
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    runtime = Runtime([], store=MemoryStore())
    await runtime.start()
    serving = asyncio.create_task(runtime.serve(port=0, on_listening=listening.set_result))
    port = await listening
    # As a full disk does; a stop in good order takes more turns before it closes its doors.
    runtime.crash()
    for _ in range(turns):
        await asyncio.sleep(0)
    with socket.socket() as caller:
        caller.setblocking(False)  # noqa: FBT003  # a value
        caller.connect_ex(("127.0.0.1", port))
        async with asyncio.timeout(60):
            with pytest.raises(StoreFailedError):
                await serving
    await runtime.stop()
    gc.collect()


class Sink(Service):
    @handler
    async def take(self, ctx: Context, number: int) -> int:
        return number


@pytest.mark.parametrize("length", [0, 1], ids=["half a head", "half a body"])
async def test_nobody_is_waited_for_once_the_disk_has_failed(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Runtime, "_closing_grace", timedelta(seconds=600))
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    runtime = Runtime([Sink], store=MemoryStore())
    await runtime.start()
    serving = asyncio.create_task(runtime.serve(port=0, on_listening=listening.set_result))
    async with connect(await listening) as caller:
        # What follows never comes; a request before it says that this one has come.
        half = post("/Sink/take", b"12")[: -1 if length else -10]
        await caller.ask(post("/Sink/take", b"1") + half)
        for _ in range(20):
            await asyncio.sleep(0)
        runtime.crash()
        async with asyncio.timeout(60):
            with pytest.raises(StoreFailedError):
                await serving
    await runtime.stop()
