"""A runtime behind a real server, and a client in front of it."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from holdfast import Client, MemoryStore, Runtime
from holdfast.ingress.server import HttpServer, serve
from tests.client import shop
from tests.client.shop import Patience


@pytest.fixture(autouse=True)
def ran() -> list[str]:
    """What the handlers have done in this test."""
    shop.ran.clear()
    return shop.ran


@pytest.fixture
def patience() -> Patience:
    return Patience()


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    async with Runtime(shop.CLASSES, store=MemoryStore()) as runtime:
        yield runtime


@pytest.fixture
async def server(runtime: Runtime) -> AsyncIterator[HttpServer]:
    server = await serve(runtime, port=0)
    yield server
    await server.close(timedelta(0))


@pytest.fixture
async def client(server: HttpServer, patience: Patience) -> AsyncIterator[Client]:
    async with Client(f"http://127.0.0.1:{server.port}", seams=patience.seams()) as client:
        yield client
