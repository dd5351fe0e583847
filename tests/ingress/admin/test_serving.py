"""Two ports of one runtime: both listen or neither, and both end with it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from holdfast import Context, InvalidArgumentError, Runtime, VirtualObject, handler
from holdfast.journal.memory import MemoryStore


class Counter(VirtualObject):
    @handler
    async def add(self, ctx: Context, amount: int) -> int:
        return amount


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    async with Runtime([Counter], store=MemoryStore()) as runtime:
        yield runtime


async def get(port: int, path: str) -> Any:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}") as response,
    ):
        return await response.json()


def is_free(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) != 0


async def test_the_port_for_operators_is_known_before_that_for_callers(runtime: Runtime) -> None:
    told: list[tuple[str, int]] = []
    listening = asyncio.Event()

    def callers(port: int) -> None:
        told.append(("callers", port))
        listening.set()

    serving = asyncio.create_task(
        runtime.serve(
            port=0,
            admin_port=0,
            on_listening=callers,
            on_admin_listening=lambda port: told.append(("operators", port)),
        )
    )
    await listening.wait()
    (first, admin_port), (second, port) = told
    assert (first, second) == ("operators", "callers")
    assert await get(admin_port, "/health") == {"status": "ok"}
    version = await get(admin_port, "/version")
    assert version["ingress_endpoint"] == f"http://127.0.0.1:{port}/"
    serving.cancel()
    await asyncio.wait({serving})
    assert is_free(port)
    assert is_free(admin_port)
    assert await runtime.object(Counter, "a").add(1) == 1


async def test_no_operators_are_served_unless_that_is_said(runtime: Runtime) -> None:
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    told: list[int] = []
    serving = asyncio.create_task(
        runtime.serve(port=0, on_listening=listening.set_result, on_admin_listening=told.append)
    )
    await listening
    assert told == []
    await runtime.stop()
    await serving


@pytest.mark.parametrize("taken_by", ["port", "admin_port"])
async def test_where_one_port_is_taken_the_other_is_not_opened(
    runtime: Runtime, taken_by: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        free = other.getsockname()[1]
        other.close()
        ports = {"port": free, "admin_port": free, taken_by: taken.getsockname()[1]}
        flag = "--" + taken_by.replace("_", "-")
        with pytest.raises(InvalidArgumentError, match=f"choose another with {flag}$"):
            await runtime.serve(**ports)
        assert is_free(free)


async def test_the_door_is_mounted_as_an_application(runtime: Runtime) -> None:
    sent: list[dict[str, Any]] = []
    arriving = [{"type": "http.request", "body": b""}]

    async def receive() -> dict[str, Any]:
        if not arriving:
            await asyncio.Event().wait()
        return arriving.pop()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/ops/services/Counter",
        "raw_path": b"/ops/services/Counter",
        "root_path": "/ops",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
    }
    await runtime.admin_asgi_app()(scope, receive, send)
    assert sent[0]["status"] == 200
    assert json.loads(sent[1]["body"])["name"] == "Counter"
