"""Where a door without tokens may listen."""

import asyncio
import logging
import socket

import pytest

from holdfast.ingress.binding import check_address
from holdfast.ingress.options import DEFAULT_OPTIONS, HttpOptions
from holdfast.ingress.server import serve
from holdfast.objects.errors import InvalidArgumentError
from tests.ingress.fake_engine import FakeEngine
from tests.ingress.http_caller import connect, get

WITH_TOKEN = HttpOptions(tokens=["a-token-of-enough-characters"])
ANONYMOUS = HttpOptions(allow_anonymous=True)
LOOPBACK = ["127.0.0.1", "127.3.2.1", "::1", "localhost", "::ffff:127.0.0.1"]
ELSEWHERE = ["0.0.0.0", "::", "", "192.0.2.7", "2001:db8::1", "169.254.1.1", "::ffff:192.0.2.7"]  # noqa: S104 - what is refused


@pytest.mark.parametrize("host", LOOPBACK)
async def test_loopback_needs_no_token(host: str, caplog: pytest.LogCaptureFixture) -> None:
    await check_address(host, DEFAULT_OPTIONS, "call")
    await check_address(host, ANONYMOUS, "call")
    assert caplog.records == []


@pytest.mark.parametrize("host", ELSEWHERE)
async def test_an_address_that_strangers_reach_needs_a_token(host: str) -> None:
    with pytest.raises(InvalidArgumentError, match="without tokens: whoever could reach it might"):
        await check_address(host, DEFAULT_OPTIONS, "call")
    await check_address(host, WITH_TOKEN, "call")


@pytest.mark.parametrize("host", ELSEWHERE)
async def test_strangers_are_let_in_when_that_is_said_and_it_is_logged(
    host: str, caplog: pytest.LogCaptureFixture
) -> None:
    await check_address(host, ANONYMOUS, "call every handler")

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "anyone who can reach" in record.getMessage()


@pytest.mark.parametrize(
    "others", [["192.0.2.7"], ["127.0.0.1", "192.0.2.7"], ["::1", "2001:db8::1"]]
)
async def test_a_name_is_what_it_resolves_to_and_all_of_it(
    others: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(*_: object, **__: object) -> list[object]:
        await asyncio.sleep(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 0)) for each in others]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    with pytest.raises(InvalidArgumentError, match="will not listen on agents"):
        await check_address("agents", DEFAULT_OPTIONS, "call")


async def test_a_server_without_tokens_does_not_begin_to_listen_where_strangers_are() -> None:
    with pytest.raises(InvalidArgumentError, match="call every handler"):
        await serve(FakeEngine(), host="0.0.0.0", port=0)  # noqa: S104 - what is refused


async def test_a_server_with_tokens_listens_anywhere_and_asks_for_one() -> None:
    server = await serve(FakeEngine(), host="0.0.0.0", port=0, options=WITH_TOKEN)  # noqa: S104 - on purpose
    try:
        async with connect(server.port) as caller:
            assert (await caller.ask(get("/Counter/sam/get"))).status == 401
    finally:
        await server.close()
