"""Connections that break, servers that are away: what the client makes of it, and what ran."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest

from holdfast import (
    AnswerLostError,
    Client,
    HoldfastError,
    MailboxFullError,
    NotReachedError,
    RetryPolicy,
    Runtime,
    RuntimeClosedError,
)
from holdfast.client.asking import DEFAULT_RETRY
from holdfast.ingress.server import HttpServer
from tests.client.shop import Cart, Order, Patience, open_awakeables
from tests.client.wires import Fate, Wire, refusal, wire_to
from tests.processes import free_port


@asynccontextmanager
async def over(
    server: HttpServer,
    patience: Patience,
    *fates: Fate | bytes,
    retry: RetryPolicy = DEFAULT_RETRY,
) -> AsyncGenerator[tuple[Client, Wire]]:
    """A client whose requests go over a wire with these fates."""
    async with wire_to(server.port, *fates) as wire:
        url = f"http://127.0.0.1:{wire.port}"
        async with Client(url, seams=patience.seams(), retry=retry) as client:
            yield client, wire


LOSSES: list[Fate | bytes] = [
    Fate.RESET_BEFORE,
    Fate.RESET_AFTER,
    Fate.TRUNCATED,
    refusal(502),
    refusal(503),
]


@pytest.mark.parametrize("fate", LOSSES, ids=str)
async def test_a_lost_call_is_made_once_and_answered(
    fate: Fate | bytes, server: HttpServer, patience: Patience, ran: list[str]
) -> None:
    async with over(server, patience, fate, fate) as (client, wire):
        assert await client.object(Cart, "sam").add("tea") == ["tea"]
    assert ran == ["add tea"]
    assert wire.header("idempotency-key") == ["key-1"] * 3
    assert patience.waits == [0.1, 0.2]


@pytest.mark.parametrize("fate", LOSSES, ids=str)
async def test_a_lost_send_is_one_invocation(
    fate: Fate | bytes, server: HttpServer, patience: Patience, runtime: Runtime, ran: list[str]
) -> None:
    async with over(server, patience, fate) as (client, wire):
        id_ = await client.object(Cart, "sam").add.send("tea")
        assert await runtime.invocation(id_).attach() == ["tea"]
    assert ran == ["add tea"]
    assert len(wire.requests) == 2


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_lost_each_call_of_many_runs_once(
    seed: int, server: HttpServer, patience: Patience, ran: list[str]
) -> None:
    kinds: list[Fate | bytes] = [
        *LOSSES,
        Fate.PASSED,
        Fate.CLOSED_IDLE,
        refusal(429, "retry-after: 1"),
    ]
    fates = Random(seed).choices(kinds, k=60)
    async with over(server, patience, *fates) as (client, _):
        carts = [client.object(Cart, f"cart {number % 5}") for number in range(40)]
        calls = [
            cart.add(str(number)) if number % 3 else cart.add.send(str(number))
            for number, cart in enumerate(carts)
        ]
        await asyncio.gather(*calls)
        for number in range(5):
            await client.object(Cart, f"cart {number}").clear()  # Behind whatever was sent.
    assert sorted(ran) == sorted(f"add {number}" for number in range(40))


@pytest.mark.parametrize("mode", ["queue", "interrupt", "steer"])
async def test_a_lost_send_of_any_mode_is_one_invocation(
    mode: str, server: HttpServer, patience: Patience, runtime: Runtime, ran: list[str]
) -> None:
    async with over(server, patience, Fate.RESET_AFTER) as (client, _):
        id_ = await client.object(Cart, "sam", mode=mode).add.send("tea")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        assert await runtime.invocation(id_).attach() == ["tea"]
    assert ran == ["add tea"]


async def test_a_connection_that_was_closed_while_idle_costs_nothing(
    server: HttpServer, patience: Patience, ran: list[str]
) -> None:
    async with over(server, patience, Fate.CLOSED_IDLE, Fate.CLOSED_IDLE) as (client, wire):
        for item in ("tea", "milk", "rum"):
            await client.object(Cart, "sam").add(item)
    assert ran == ["add tea", "add milk", "add rum"]
    assert wire.connections == 3


async def test_connections_are_used_again(server: HttpServer, patience: Patience) -> None:
    async with over(server, patience) as (client, wire):
        for item in ("tea", "milk", "rum"):
            await client.object(Cart, "sam").add(item)
    assert wire.connections == 1


async def test_a_full_mailbox_is_asked_again_when_it_says(
    server: HttpServer, patience: Patience, ran: list[str]
) -> None:
    full = refusal(429, "retry-after: 3", source="ingress")
    async with over(server, patience, full) as (client, _):
        assert await client.object(Cart, "sam").add("tea") == ["tea"]
    assert patience.waits == [3.0]
    assert ran == ["add tea"]


async def test_a_date_in_retry_after_is_waited_for(server: HttpServer, patience: Patience) -> None:
    away = refusal(503, "retry-after: Sat, 31 Jan 2026 12:35:06 GMT")
    async with over(server, patience, away) as (client, _):
        await client.object(Cart, "sam").add("tea")
    assert patience.waits == [10.0]


async def test_a_mailbox_that_stays_full_is_the_error_of_the_runtime(
    server: HttpServer, patience: Patience, ran: list[str]
) -> None:
    full = refusal(429, "retry-after: 25", source="ingress")
    async with over(server, patience, *[full] * 9) as (client, wire):
        with pytest.raises(MailboxFullError, match="not now"):
            await client.object(Cart, "sam").add("tea")
    assert patience.waits == [25.0, 25.0]
    assert len(wire.requests) == 3
    assert ran == []


async def test_a_server_that_asks_for_an_hour_is_not_waited_for(
    server: HttpServer, patience: Patience
) -> None:
    async with over(server, patience, refusal(429, "retry-after: 3600")) as (client, _):
        with pytest.raises(MailboxFullError):
            await client.object(Cart, "sam").add("tea")
    assert patience.waits == []


async def test_a_server_that_stops_and_stays_away_has_accepted_nothing(
    server: HttpServer, patience: Patience
) -> None:
    away = refusal(503, "retry-after: 50", source="ingress")
    key = RetryPolicy(max_attempts=2)
    async with over(server, patience, away, away, retry=key) as (client, _):
        with pytest.raises(RuntimeClosedError):
            await client.workflow(Order, "7").run("tea")


async def test_when_nobody_is_there_nothing_was_accepted(patience: Patience) -> None:
    async with Client(f"http://127.0.0.1:{free_port()}", seams=patience.seams()) as client:
        with pytest.raises(NotReachedError, match="the call of Cart/sam/add was not sent"):
            await client.object(Cart, "sam").add("tea")
    assert 50 < sum(patience.waits) <= 60


async def test_an_answer_that_stays_lost_says_how_to_ask_again(
    server: HttpServer, patience: Patience, ran: list[str]
) -> None:
    retry = RetryPolicy(max_attempts=3)
    away = refusal(503, "retry-after: 1", source="ingress")
    fates = (Fate.RESET_AFTER, Fate.RESET_BEFORE, away)
    async with over(server, patience, *fates, retry=retry) as (client, _):
        with pytest.raises(AnswerLostError, match="idempotency_key='key-1'") as caught:
            await client.object(Cart, "sam").add("tea")
        key = caught.value.idempotency_key
        assert await client.object(Cart, "sam", idempotency_key=key).add("tea") == ["tea"]
    assert ran == ["add tea"]


@pytest.mark.parametrize(
    "then", [refusal(404), refusal(400), b"HTTP/1.1 301 Moved\r\ncontent-length: 0\r\n\r\n"]
)
async def test_a_refusal_after_a_lost_answer_does_not_say_that_nothing_was_accepted(
    then: bytes, server: HttpServer, patience: Patience, ran: list[str]
) -> None:
    async with over(server, patience, Fate.RESET_AFTER, then) as (client, _):
        with pytest.raises(AnswerLostError, match="idempotency_key='key-1'"):
            await client.object(Cart, "sam").add("tea")
    assert ran == ["add tea"]


async def test_a_question_that_nobody_answers_has_lost_nothing(
    server: HttpServer, patience: Patience
) -> None:
    once = RetryPolicy(max_attempts=1)
    # Twice, because aiohttp itself sends a GET again.
    fates = (Fate.RESET_AFTER, Fate.RESET_AFTER)
    async with over(server, patience, *fates, retry=once) as (client, _):
        with pytest.raises(NotReachedError, match="was lost"):
            await client.state(Cart, "sam")


async def test_a_lost_run_that_cannot_be_attached_to_is_lost(
    server: HttpServer, patience: Patience, ran: list[str]
) -> None:
    fates = (Fate.RESET_AFTER, Fate.PASSED, refusal(404))
    async with over(server, patience, *fates) as (client, _):
        with pytest.raises(AnswerLostError, match="find_invocation"):
            await client.workflow(Order, "7").run("tea")
    assert ran == ["run tea"]


async def test_a_lost_run_waits_for_the_outcome_of_its_workflow(
    server: HttpServer, patience: Patience, ran: list[str]
) -> None:
    async with over(server, patience, Fate.RESET_AFTER) as (client, wire):
        assert await client.workflow(Order, "7").run("tea") == "tea: True"
    assert ran == ["run tea"]
    assert wire.header("idempotency-key") == [None, None, None]


async def test_a_lost_send_of_run_gives_the_id_of_the_one_run(
    server: HttpServer, patience: Patience, runtime: Runtime, ran: list[str]
) -> None:
    async with over(server, patience, Fate.RESET_AFTER) as (client, _):
        id_ = await client.workflow(Order, "7").run.send("tea")
        assert await runtime.invocation(id_).attach() == "tea: True"
    assert ran == ["run tea"]


async def test_without_retries_a_call_has_no_key_and_is_sent_once(
    server: HttpServer,
) -> None:
    async with (
        wire_to(server.port, Fate.RESET_BEFORE) as wire,
        Client(f"http://127.0.0.1:{wire.port}", retry=None) as client,
    ):
        with pytest.raises(AnswerLostError, match="asking again may do it twice"):
            await client.object(Cart, "sam").add("tea")
    assert wire.header("idempotency-key") == [None]


async def test_a_call_that_was_waited_for_long_begins_to_count_anew(
    server: HttpServer, patience: Patience
) -> None:
    patience.takes = lambda: 30.0
    async with over(server, patience, *[Fate.RESET_AFTER] * 9) as (client, _):
        await client.object(Cart, "sam").add("tea")
    assert patience.waits == [0.1] * 9


async def test_a_call_that_was_sent_away_after_a_long_wait_begins_to_count_anew(
    server: HttpServer, patience: Patience, ran: list[str]
) -> None:
    patience.takes = lambda: 30.0
    # As a server that stops answers whoever waits.
    stopped = refusal(503, "x-holdfast-error: HF0015", source="ingress")
    async with over(server, patience, *[stopped] * 9) as (client, _):
        await client.object(Cart, "sam").add("tea")
    assert patience.waits == [0.1] * 9
    assert ran == ["add tea"]


async def test_a_body_that_was_not_sent_whole_was_not_accepted(patience: Patience) -> None:
    patience.takes = lambda: 30.0
    came = 0

    async def cut_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        came += 1
        await reader.readexactly(10_000)
        writer.transport.abort()

    port = free_port()
    peer = await asyncio.start_server(cut_off, "127.0.0.1", port)
    async with Client(f"http://127.0.0.1:{port}", seams=patience.seams()) as client:
        cart = client.object(Cart, "sam")
        with pytest.raises(NotReachedError, match="while the request was being sent"):
            await cart.add("x" * 30_000_000)
        assert came < 5  # As when there is nobody: it does not begin to count anew.
        with pytest.raises(NotReachedError, match="while the request was being sent"):
            await client.invocation("inv_" + "1" * 32).signal("go", "x" * 30_000_000)
    peer.close()


@pytest.mark.parametrize("status", [408, 503])
async def test_a_body_that_takes_too_long_to_send_is_not_sent_for_ever(
    status: int, server: HttpServer, patience: Patience, ran: list[str]
) -> None:
    patience.takes = lambda: 30.0
    async with over(server, patience, *[refusal(status, source="ingress")] * 9) as (client, _):
        with pytest.raises(HoldfastError):
            await client.object(Cart, "sam").add("tea")
    assert len(patience.waits) < 5
    assert ran == []


async def test_a_timeout_is_an_error_that_says_the_key_and_stops_nothing(
    server: HttpServer, patience: Patience, runtime: Runtime
) -> None:
    async with over(server, patience) as (client, _):
        with pytest.raises(TimeoutError, match=r"not answered within 0.05 s.*'key-1'") as caught:
            await client.object(Cart, "sam", timeout=0.05).ask()
        assert isinstance(caught.value, AnswerLostError)
        (asked,) = await open_awakeables(runtime)
        await client.resolve_awakeable(asked, "yes")
        key = caught.value.idempotency_key
        assert await client.object(Cart, "sam", idempotency_key=key).ask() == "yes"


async def test_cancelling_a_call_stops_nothing(
    server: HttpServer, patience: Patience, runtime: Runtime
) -> None:
    async with over(server, patience) as (client, _):
        calling = asyncio.ensure_future(client.object(Cart, "sam").ask())
        (asked,) = await open_awakeables(runtime)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        assert await client.resolve_awakeable(asked, "yes")


@pytest.mark.parametrize("verb", ["resolve", "reject"])
async def test_a_lost_completion_of_an_awakeable_is_taken_once(
    verb: str, server: HttpServer, patience: Patience, runtime: Runtime
) -> None:
    async with over(server, patience) as (client, wire):
        await client.object(Cart, "sam").ask.send()
        (asked,) = await open_awakeables(runtime)
        wire.fates.append(Fate.RESET_AFTER)
        complete: Callable[[str, str], Awaitable[bool]] = getattr(client, f"{verb}_awakeable")
        await complete(asked, "yes")
    assert len(wire.requests) == 3


async def test_somebody_else_on_the_port_is_named(server: HttpServer, patience: Patience) -> None:
    other = b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnope"
    async with over(server, patience, other) as (client, _):
        with pytest.raises(NotReachedError, match="look whether this is its URL and port"):
            await client.object(Cart, "sam").add("tea")


@pytest.mark.parametrize("status", [500, 520, 524])
async def test_a_proxy_that_fails_does_not_say_that_nothing_was_accepted(
    status: int, server: HttpServer, patience: Patience
) -> None:
    late = b"HTTP/1.1 %d Late\r\ncontent-type: text/html\r\ncontent-length: 4\r\n\r\nlate"
    async with over(server, patience, *[late % status] * 3) as (client, _):
        with pytest.raises(AnswerLostError, match="idempotency_key='key-1'"):
            await client.object(Cart, "sam").add("tea")
        with pytest.raises(AnswerLostError, match="deliver it twice"):
            await client.invocation("inv_" + "1" * 32).signal("go")
        with pytest.raises(NotReachedError):
            await client.state(Cart, "sam")


_LOGIN_PAGE = (
    b"HTTP/1.1 %d OK\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<html></html>"
)


@pytest.mark.parametrize("status", [200, 202])
async def test_a_login_page_is_never_the_result_of_anything(
    server: HttpServer, patience: Patience, ran: list[str], status: int
) -> None:
    some = "inv_" + "1" * 32

    def asked(client: Client) -> list[Awaitable[object]]:
        one = client.invocation(some)
        return [
            client.call_by_name("Cart", "sam", "look"),
            client.send_by_name("Cart", "sam", "look"),
            client.state("Cart", "sam"),
            client.find_invocation("Order", "42"),
            client.promise(Order, "42", "paid", bool).resolve(value=True),
            one.attach(),
            one.effects(),
            one.signal("go"),
        ]

    async with over(server, patience) as (client, wire):
        for asking in asked(client):
            wire.fates = [_LOGIN_PAGE % status]
            with pytest.raises(NotReachedError, match="look whether this is its URL and port"):
                await asking
    assert not ran


async def test_a_login_page_after_a_lost_answer_does_not_say_that_nothing_was_accepted(
    server: HttpServer, patience: Patience
) -> None:
    async with over(server, patience, Fate.RESET_AFTER, _LOGIN_PAGE % 200) as (client, _):
        with pytest.raises(AnswerLostError, match="ask again with idempotency_key="):
            await client.object(Cart, "sam").add("tea")
