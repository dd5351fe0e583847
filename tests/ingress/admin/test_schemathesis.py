"""What the documents promise, tried out: whatever they allow is answered as they say, never a 500.

A real server, as the requests come from a library of another's, in another thread.
"""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy
from schemathesis import GenerationMode, checks

from holdfast import Context, Runtime, VirtualObject, handler, shared, state
from holdfast.journal.memory import MemoryStore

EXAMPLES = 4


@dataclass
class Item:
    name: str
    price: int


class Cart(VirtualObject):
    items: list[Item] = state(default_factory=list)

    @handler
    async def add(self, ctx: Context, item: Item) -> int:
        self.items.append(item)
        return len(self.items)

    @handler
    async def rename(self, ctx: Context, position: int, name: str = "") -> None:
        if 0 <= position < len(self.items):
            self.items[position].name = name

    @shared
    async def read(self, ctx: Context) -> list[Item]:
        return self.items


@dataclass(frozen=True)
class Served:
    port: int
    admin_port: int


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    ports: list[int] = []
    listening = threading.Event()
    loop = asyncio.new_event_loop()
    leave = asyncio.Event()

    def announce(port: int) -> None:
        ports.append(port)
        if len(ports) == 2:
            listening.set()

    async def live() -> None:
        async with Runtime([Cart], store=MemoryStore()) as runtime:
            serving = asyncio.ensure_future(
                runtime.serve(
                    port=0, admin_port=0, on_admin_listening=announce, on_listening=announce
                )
            )
            await leave.wait()
            await runtime.stop()
            await serving

    thread = threading.Thread(target=lambda: loop.run_until_complete(live()))
    thread.start()
    try:
        assert listening.wait(30)
        yield Served(port=ports[1], admin_port=ports[0])
    finally:
        loop.call_soon_threadsafe(leave.set)
        thread.join(30)
        loop.close()


CHECKS: Any = [
    checks.not_a_server_error,  # pyright: ignore[reportUnknownMemberType]  # of a generic of theirs
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


def try_out(document: str, base_url: str) -> int:
    """Send what the document allows to each operation, and what it does not; how many there are."""
    count = 0
    schema: Any = schemathesis.openapi.from_url(document)
    for found in schema.get_all_operations():
        operation = found.ok()
        send(operation.as_strategy(GenerationMode.POSITIVE), base_url)
        if operation.body or operation.query:
            send(operation.as_strategy(GenerationMode.NEGATIVE), base_url)
        count += 1
    return count


def send(cases: SearchStrategy[Any], base_url: str) -> None:
    @given(case=cases)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    def try_it(case: Any) -> None:
        response = case.call(base_url=base_url)
        case.validate_response(response, checks=CHECKS)

    try_it()


def test_the_operators_door_keeps_what_its_document_promises(served: Served) -> None:
    base = f"http://127.0.0.1:{served.admin_port}"
    assert try_out(f"{base}/openapi", base) > 25


def test_a_class_keeps_what_its_document_promises(served: Served) -> None:
    document = f"http://127.0.0.1:{served.admin_port}/services/Cart/openapi"
    assert try_out(document, f"http://127.0.0.1:{served.port}") == 6
