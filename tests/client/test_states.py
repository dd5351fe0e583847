"""States of objects read through a client, and waited for."""

import asyncio
import math
from datetime import timedelta
from typing import Any

import pytest

from holdfast import (
    Client,
    InvalidArgumentError,
    NotKeptError,
    NotReachedError,
    Runtime,
    UnknownTargetError,
)
from holdfast.ingress.server import HttpServer
from tests.client.shop import Cart, Mailer, Owner, Patience, Pet
from tests.client.test_lost_answers import over
from tests.client.wires import Fate


async def test_a_state_has_the_types_that_its_class_declares(
    client: Client, runtime: Runtime
) -> None:
    await client.object(Owner, "a/b").adopt("Rex")
    read = await client.state(Owner, "a/b")
    assert read == {"pets": [Pet("Rex", {"new"})], "last": "Rex"}
    assert read == await runtime.state(Owner, "a/b")
    assert await client.state("Owner", "a/b") == {
        "pets": [{"name": "Rex", "tags": ["new"]}],
        "last": "Rex",
    }
    assert await client.state(Owner, "nobody") == {}


async def test_a_past_state_is_read_by_the_invocation_that_left_it(client: Client) -> None:
    ids = [await client.object(Cart, "sam").add.send(item) for item in ("tea", "milk")]
    await client.invocation(ids[1]).attach()
    assert await client.state(Cart, "sam", at=ids[1]) == {"items": ["tea", "milk"]}
    with pytest.raises(NotKeptError):
        await client.state(Cart, "sam", at=ids[0])


async def test_waiting_answers_when_the_state_is_another_one(
    client: Client, runtime: Runtime
) -> None:
    seen = await client.wait_state(Cart, "sam")
    assert seen.values == {}
    waiting = asyncio.ensure_future(client.wait_state(Cart, "sam", since=seen.tag))
    await runtime.object(Cart, "sam").add("tea")
    changed = await waiting
    assert changed.values == {"items": ["tea"]}
    assert changed.tag == (await runtime.wait_state(Cart, "sam")).tag


async def test_waiting_ends_after_its_time_with_the_state_as_it_was(
    client: Client, patience: Patience
) -> None:
    seen = await client.wait_state(Cart, "sam")
    patience.takes = lambda: 1.0
    same = await client.wait_state(Cart, "sam", since=seen.tag, timeout=timedelta(milliseconds=20))
    assert same == seen


async def test_waiting_takes_seconds_as_every_other_timeout_does(
    client: Client, runtime: Runtime, patience: Patience
) -> None:
    seen = await runtime.wait_state(Cart, "sam")
    assert await runtime.wait_state(Cart, "sam", since=seen.tag, timeout=0.001) == seen
    patience.takes = lambda: 1.0
    assert await client.wait_state(Cart, "sam", since=seen.tag, timeout=0.02) == seen
    odd: Any = "1s"
    for each in (client, runtime):
        with pytest.raises(InvalidArgumentError, match="the timeout of wait_state is a timedelta"):
            await each.wait_state(Cart, "sam", since=seen.tag, timeout=odd)
        with pytest.raises(InvalidArgumentError, match="nan seconds is no duration"):
            await each.wait_state(Cart, "sam", since=seen.tag, timeout=math.nan)


@pytest.mark.parametrize("since", ["", '"x"', "x\ny", "für"])
async def test_what_is_no_tag_is_no_state_that_there_is(
    client: Client, runtime: Runtime, since: str
) -> None:
    seen = await runtime.wait_state(Cart, "sam", since=since)
    assert await client.wait_state(Cart, "sam", since=since) == seen


async def test_a_snapshot_in_the_place_of_its_tag_is_refused(
    client: Client, runtime: Runtime
) -> None:
    odd: list[Any] = [await runtime.wait_state(Cart, "sam"), 5, b"x"]
    for each in (client, runtime):
        for since in odd:
            with pytest.raises(InvalidArgumentError, match=r"as in since=seen\.tag, but this is"):
                await each.wait_state(Cart, "sam", since=since)


async def test_a_lost_wait_goes_on(server: HttpServer, patience: Patience, client: Client) -> None:
    await client.object(Cart, "sam").add("tea")
    async with over(server, patience, Fate.RESET_AFTER, Fate.RESET_BEFORE) as (other, _):
        seen = await other.wait_state(Cart, "sam", since="other")
    assert seen.values == {"items": ["tea"]}


async def test_what_has_no_state_is_refused(client: Client) -> None:
    with pytest.raises(InvalidArgumentError, match="no keys"):
        await client.state(Mailer, "sam")
    with pytest.raises(UnknownTargetError, match="Carts"):
        await client.state("Carts", "sam")
    with pytest.raises(InvalidArgumentError):
        await client.state(Cart, "")
    with pytest.raises(InvalidArgumentError, match="invocation id"):
        await client.state(Cart, "sam", at="yesterday")


async def test_a_page_of_somebody_else_that_has_a_tag_is_no_state(
    server: HttpServer, patience: Patience
) -> None:
    """As the pages of most web servers have; the decoder's own error said nothing of a server."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 13\r\netag: "
    page = head + b'"5f3c"\r\n\r\n<html></html>'
    async with over(server, patience, *[page] * 2) as (client, _):
        with pytest.raises(NotReachedError, match="look whether this is its URL and port"):
            await client.state(Cart, "sam")
        with pytest.raises(NotReachedError, match="look whether this is its URL and port"):
            await client.wait_state(Cart, "sam")
