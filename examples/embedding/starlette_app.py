"""Agents inside a Starlette application.

uvicorn starlette_app:app --port 8000
curl localhost:8000/agents/Greeter/sam/greet --json '"hello"'
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from holdfast import Context, Runtime, VirtualObject, handler, state


class Greeter(VirtualObject):
    greeted: int = state(0)

    @handler
    async def greet(self, ctx: Context, words: str) -> str:
        self.greeted += 1
        return f"{words}, {ctx.key}, for time {self.greeted}"


runtime = Runtime([Greeter], data_dir="data")


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncGenerator[None, None]:
    async with runtime:
        yield


async def hello(request: Request) -> PlainTextResponse:
    greeter = runtime.object(Greeter, request.path_params["name"])
    return PlainTextResponse(await greeter.greet("hello"))


app = Starlette(
    lifespan=lifespan, routes=[Route("/hello/{name}", hello), Mount("/agents", runtime.asgi)]
)
