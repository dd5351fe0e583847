# pyright: strict
"""What type checkers must say about code that uses a client; see ``test_typing``.

As ``tests/objects/typing_sample.py``: a line with two ``ignore`` comments is wrong, one comment for
each checker, and every other line is right. This file is never run.
"""

from collections.abc import Awaitable, Mapping
from datetime import timedelta
from typing import Any, assert_type

from holdfast import (
    AnyClient,
    Client,
    Context,
    Runtime,
    Service,
    SyncClient,
    VirtualObject,
    Workflow,
    handler,
)


class Assistant(VirtualObject):
    @handler
    async def ask(self, ctx: Context, question: str, times: int = 1) -> str:
        return question * times


class Order(Workflow):
    @handler
    async def run(self, ctx: Context, item: str) -> int:
        return len(item)


class Mailer(Service):
    @handler
    async def deliver(self, ctx: Context, to: str) -> None: ...


async def remote(client: Client, hour: timedelta) -> None:
    assistant = client.object(Assistant, "sam", idempotency_key="k", timeout=5)
    assert_type(assistant, Assistant)
    assert_type(await assistant.ask("why?", times=2), str)
    assert_type(assistant.ask("why?"), Awaitable[str])
    assert_type(await assistant.ask.send("why?", delay=hour), str)
    assert_type(await client.workflow(Order, "7").run("tea"), int)
    await client.service(Mailer, timeout=hour).deliver("sam")
    assert_type(await client.call_by_name("Mailer", None, "deliver", "sam"), Any)
    assert_type(await client.send_by_name("Mailer", None, "deliver", "sam", delay=hour), str)
    assert_type(await client.resolve_awakeable("awk_", 5), bool)
    assert_type(await client.invocation("inv_", Assistant.ask).attach(), str)
    assert_type(await client.promise(Order, "7", "paid", bool).peek(), bool | None)
    assert_type(await client.sql("SELECT 1"), list[dict[str, Any]])
    await assistant.ask(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.object(Assistant, 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.service(Mailer, callback="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.object(Assistant, "sam", mode="oops")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Client("http://localhost", "token")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def blocking(client: SyncClient) -> None:
    assert_type(client.wait(client.object(Assistant, "sam").ask("why?")), str)
    assert_type(client.wait(client.workflow(Order, "7").run.send("tea")), str)
    assert_type(client.send_by_name("Mailer", None, "deliver", "sam"), str)
    assert_type(client.health().is_ok, bool)
    client.wait(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def either(some: AnyClient) -> None:
    assistant = some.object(Assistant, "sam", idempotency_key="k", mode="interrupt")
    assert_type(await assistant.ask("why?"), str)
    assert_type(await some.workflow(Order, "7").run.send("tea"), str)
    assert_type(await some.reject_awakeable("awk_", "no"), bool)
    assert_type(await some.invocation("inv_", Assistant.ask).attach(), str)
    assert_type(await some.invocation("inv_").output(), Any)
    assert_type(await some.promise(Order, "7", "paid", bool).wait(), bool)
    assert_type(await some.state(Assistant, "sam"), Mapping[str, Any])
    assert_type((await some.wait_state(Assistant, "sam", since="x")).tag, str)
    found = await some.find_invocation(Order, "7")
    if found is not None:
        assert_type(await found.attach(), Any)
    await some.promise(Order, "7", "paid", bool).resolve("yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    some.object(Assistant, "sam", timeout=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def both_are_one(runtime: Runtime, client: Client, sync: SyncClient) -> None:
    await either(runtime)
    await either(client)
    await either(sync)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
