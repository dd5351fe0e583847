"""Agents inside a Litestar application.

uvicorn litestar_app:app --port 8000
curl localhost:8000/agents/Greeter/sam/greet --json '"hello"'
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from litestar import Litestar, asgi, get
from litestar.types import Receive, Scope, Send

from holdfast import Context, Runtime, VirtualObject, handler, state


class Greeter(VirtualObject):
    greeted: int = state(0)

    @handler
    async def greet(self, ctx: Context, words: str) -> str:
        self.greeted += 1
        return f"{words}, {ctx.key}, for time {self.greeted}"


runtime = Runtime([Greeter], data_dir="data")
agents_app = runtime.asgi


@asgi("/agents", is_mount=True, copy_scope=True)
async def agents(scope: Scope, receive: Receive, send: Send) -> None:
    await agents_app(scope, receive, send)


@get("/hello/{name:str}")
async def hello(name: str) -> str:
    return await runtime.object(Greeter, name).greet("hello")


@asynccontextmanager
async def lifespan(_: Litestar) -> AsyncGenerator[None, None]:
    async with runtime:
        yield


app = Litestar([agents, hello], lifespan=[lifespan])
