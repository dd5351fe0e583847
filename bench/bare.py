"""The baseline: what aiohttp alone does with the same requests. A program; prints its address.

One process, uvloop, an application with a router, no access log. It reads a JSON body and answers
it. It promises nothing to anybody.
"""

import asyncio

import uvloop
from aiohttp import web


async def _answer(request: web.Request) -> web.Response:
    return web.json_response(await request.json())


async def _serve() -> None:
    application = web.Application()
    application.router.add_post("/{object}/{key}/{handler}", _answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    print(f"bare aiohttp on http://127.0.0.1:{runner.addresses[0][1]}, no data", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop_runner:
        loop_runner.run(_serve())
