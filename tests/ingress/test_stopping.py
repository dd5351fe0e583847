"""A runtime that serves is stopped: who still gets an answer, and which."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from holdfast import Context, MemoryStore, Runtime, Service, handler
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
