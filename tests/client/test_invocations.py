"""Invocations that somebody made, found and asked about through a client."""

import asyncio

import pytest

from holdfast import (
    Client,
    InvalidArgumentError,
    NotReadyError,
    Runtime,
    TerminalError,
    UnknownTargetError,
)
from holdfast.ingress.server import HttpServer
from tests.client.shop import Cart, Mailer, Order, Patience, Price, open_awakeables
from tests.client.test_lost_answers import over
from tests.client.wires import Fate, refusal


async def test_attach_waits_for_the_outcome(client: Client, runtime: Runtime) -> None:
    id_ = await client.object(Cart, "sam").ask.send()
    invocation = client.invocation(id_, Cart.ask)
    assert invocation.id == id_
    with pytest.raises(NotReadyError):
        await invocation.output()
    waiting = asyncio.ensure_future(invocation.attach())
    (asked,) = await open_awakeables(runtime)
    await client.resolve_awakeable(asked, "yes")
    assert await waiting == "yes"
    assert await invocation.output() == "yes"


async def test_a_failure_is_attached_to_as_well(client: Client) -> None:
    id_ = await client.object(Cart, "sam").refuse.send(402)
    with pytest.raises(TerminalError, match="sold out") as caught:
        await client.invocation(id_).attach()
    assert caught.value.status_code == 402


async def test_the_handler_says_of_what_type_the_result_is(client: Client) -> None:
    id_ = await client.service(Mailer).price.send("tea")
    assert await client.invocation(id_, Mailer.price).attach() == Price("tea", 3)
    assert await client.invocation(id_).attach() == {"item": "tea", "cents": 3}
    none = await client.object(Cart, "sam").clear.send()
    assert await client.invocation(none).attach() is None


async def test_a_result_that_is_no_json_comes_as_it_is(client: Client) -> None:
    assert await client.call_by_name("Mailer", None, "stamp") == b"\x89\x00"
    assert await client.call_by_name("Mailer", None, "label") == "für sam"
    id_ = await client.service(Mailer).stamp.send()
    assert await client.invocation(id_, Mailer.stamp).attach() == b"\x89\x00"
    assert await client.invocation(id_).attach() == b"\x89\x00"


async def test_an_attachment_whose_connection_is_lost_is_made_again(
    server: HttpServer, patience: Patience, client: Client
) -> None:
    id_ = await client.object(Cart, "sam").add.send("tea")
    fates = (Fate.RESET_BEFORE, Fate.RESET_AFTER, Fate.TRUNCATED, refusal(502))
    async with over(server, patience, *fates) as (other, wire):
        assert await other.invocation(id_).attach() == ["tea"]
    assert len(wire.requests) == 5


async def test_an_unknown_invocation_is_the_runtimes_error(client: Client) -> None:
    with pytest.raises(UnknownTargetError):
        await client.invocation("inv_" + "0" * 32).attach()
    with pytest.raises(InvalidArgumentError, match="an invocation id"):
        client.invocation("awk_7")


async def test_an_invocation_is_found_by_its_workflow_or_its_key(client: Client) -> None:
    run = await client.workflow(Order, "7").run.send("tea")
    found = await client.find_invocation(Order, "7")
    assert found is not None
    assert found.id == run
    add = await client.object(Cart, "sam", idempotency_key="k").add.send("tea")
    for handler in (Cart.add, "add"):
        found = await client.find_invocation("Cart", "sam", handler, idempotency_key="k")
        assert found is not None
        assert found.id == add


async def test_what_is_not_there_is_none_and_what_is_misspelt_an_error(client: Client) -> None:
    assert await client.find_invocation(Order, "8") is None
    assert await client.find_invocation(Cart, "sam", Cart.add, idempotency_key="k") is None
    with pytest.raises(UnknownTargetError, match="lock"):
        await client.find_invocation(Cart, "sam", "lock", idempotency_key="k")
    with pytest.raises(InvalidArgumentError, match="by its idempotency key"):
        await client.find_invocation(Mailer)
