"""Signals, promises and effects through a client."""

import asyncio

import pytest

from holdfast import (
    AnswerLostError,
    Client,
    ConflictError,
    InvalidArgumentError,
    NotKeptError,
    Runtime,
    TerminalError,
    UnknownTargetError,
)
from holdfast.ingress.server import HttpServer
from tests.client.shop import Cart, Order, Patience
from tests.client.test_lost_answers import over
from tests.client.wires import Fate


async def test_a_signal_reaches_the_handler_that_awaits_it(client: Client) -> None:
    id_ = await client.object(Cart, "sam").hear.send()
    invocation = client.invocation(id_, Cart.hear)
    await invocation.signal("wörd / 1", {"said": "hi"})
    assert await invocation.attach() == {"said": "hi"}
    id_ = await client.object(Cart, "sam").hear.send()
    await client.invocation(id_).reject_signal("wörd / 1", TerminalError("hush"))
    with pytest.raises(TerminalError, match="hush"):
        await client.invocation(id_).attach()
    with pytest.raises(UnknownTargetError):
        await client.invocation(id_).signal("wörd / 1")
    with pytest.raises(InvalidArgumentError, match="the name of a signal"):
        await client.invocation(id_).signal("")


@pytest.mark.parametrize("fate", [Fate.RESET_BEFORE, Fate.RESET_AFTER])
async def test_a_signal_that_may_have_arrived_is_not_sent_again(
    fate: Fate, server: HttpServer, patience: Patience, client: Client
) -> None:
    id_ = await client.object(Cart, "sam").hear.send()
    async with over(server, patience, fate) as (other, wire):
        with pytest.raises(AnswerLostError, match="sending it again may deliver it twice"):
            await other.invocation(id_).signal("wörd / 1", "hi")
    assert len(wire.requests) == 1


async def test_a_signal_is_not_lost_to_a_connection_that_was_idle(
    server: HttpServer, patience: Patience
) -> None:
    async with over(server, patience, Fate.CLOSED_IDLE) as (client, _):
        id_ = await client.object(Cart, "sam").hear.send()
        await client.invocation(id_).signal("wörd / 1", "hi")
        assert await client.invocation(id_).attach() == "hi"


async def test_a_promise_is_peeked_at_waited_for_and_completed_once(client: Client) -> None:
    running = asyncio.ensure_future(client.workflow(Order, "7/8").run("dear"))
    paid = client.promise(Order, "7/8", "paid", bool)
    assert await paid.peek() is None
    waiting = asyncio.ensure_future(paid.wait())
    await paid.resolve(value=True)
    assert await waiting is True
    assert await paid.peek() is True
    assert await running == "dear: True"
    with pytest.raises(ConflictError):
        await paid.resolve(value=False)


async def test_a_promise_may_be_named_without_the_class(client: Client) -> None:
    await client.promise("Order", "9", "paid", bool).resolve(value=True)
    assert await client.promise(Order, "9", "paid", bool).peek() is True
    with pytest.raises(InvalidArgumentError, match="Cart is no workflow"):
        await client.promise("Cart", "9", "paid").peek()
    with pytest.raises(UnknownTargetError, match="Orders"):
        await client.promise("Orders", "9", "paid").peek()


async def test_a_rejected_promise_raises_for_all(client: Client) -> None:
    paid = client.promise(Order, "9", "paid", bool)
    await paid.reject("no money")
    with pytest.raises(TerminalError, match="no money"):
        await paid.peek()
    with pytest.raises(TerminalError, match="no money"):
        await paid.wait()
    with pytest.raises(TerminalError, match="no money"):
        await client.workflow(Order, "9").run("dear")


@pytest.mark.parametrize("verb", ["resolve", "reject"])
async def test_a_lost_completion_of_a_promise_is_its_own_and_no_conflict(
    verb: str, server: HttpServer, patience: Patience
) -> None:
    async with over(server, patience, Fate.RESET_AFTER) as (client, wire):
        note = client.promise(Order, "7", "note", str)
        await getattr(note, verb)("yes")
        assert len(wire.requests) == 3
        with pytest.raises(ConflictError):
            await getattr(note, verb)("yes")


@pytest.mark.parametrize("first", ["resolve", "reject"])
@pytest.mark.parametrize("verb", ["resolve", "reject"])
async def test_a_lost_completion_after_somebody_elses_is_a_conflict(
    first: str, verb: str, server: HttpServer, patience: Patience, client: Client
) -> None:
    await getattr(client.promise(Order, "7", "note", str), first)("no")
    await client.promise(Order, "8", "note", int).resolve(7)
    async with over(server, patience, Fate.RESET_AFTER) as (other, _):
        with pytest.raises(ConflictError):
            await getattr(other.promise(Order, "7", "note", str), verb)("yes")
    async with over(server, patience, Fate.RESET_AFTER) as (other, _):
        with pytest.raises(ConflictError):
            await getattr(other.promise(Order, "8", "note", str), verb)("7")


async def test_a_value_of_another_type_is_refused_here(client: Client) -> None:
    with pytest.raises(InvalidArgumentError):
        await client.promise(Order, "7", "paid", bool).resolve("yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidArgumentError, match="is a virtual object"):
        client.promise(Cart, "7", "paid")


async def test_effects_are_those_of_the_runtime(client: Client, runtime: Runtime) -> None:
    id_ = await client.object(Cart, "sam").spill.send()
    with pytest.raises(TerminalError):
        await client.invocation(id_).attach()
    told = await client.invocation(id_).effects()
    assert told == await runtime.invocation(id_).effects()
    assert [(each.name, each.status) for each in told] == [("spill", "failed")]
    with pytest.raises(InvalidArgumentError):
        await client.invocation(id_).effects(limit=5_000)
    plain = await client.object(Cart, "joe").add.send("tea")
    await client.invocation(plain).attach()
    with pytest.raises(NotKeptError):
        await client.invocation(plain).effects()
