"""Agents inside a FastAPI application.

uvicorn fastapi_app:app --port 8000
curl localhost:8000/agents/Greeter/sam/greet --json '"hello"'
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from holdfast import Context, Runtime, VirtualObject, handler, state


class Greeter(VirtualObject):
    greeted: int = state(0)

    @handler
    async def greet(self, ctx: Context, words: str) -> str:
        self.greeted += 1
        return f"{words}, {ctx.key}, for time {self.greeted}"


runtime = Runtime([Greeter], data_dir="data")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
    async with runtime:
        yield


app = FastAPI(lifespan=lifespan)
app.mount("/agents", runtime.asgi)


@app.get("/hello/{name}")
async def hello(name: str) -> str:
    return await runtime.object(Greeter, name).greet("hello")
