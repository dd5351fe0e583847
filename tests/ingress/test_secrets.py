"""Secrets are put in everywhere they can come in, and then looked for everywhere they could be."""

import hmac
import json
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast import Context, GitHub, InvalidArgumentError, Service, Stripe, VirtualObject, handler
from holdfast.ingress.callers import CallersDoor
from holdfast.ingress.messages import Head
from holdfast.ingress.options import HttpOptions
from holdfast.ingress.server import HttpServer, serve
from holdfast.ingress.sql.database import TABLES
from holdfast.journal import keys
from holdfast.journal.records import decode_link_keys
from holdfast.objects.definition import define
from holdfast.testing.worlds import World
from tests.ingress.admin.operator import operate
from tests.ingress.http_caller import connect, get, post

TOKEN = "canary-token-0123456789"
WRONG_TOKEN = "canary-wrong-token-0123456789"
ADMIN_TOKEN = "canary-admin-token-0123456789"
COOKIE = "canary-cookie"
API_KEY = "canary-api-key"
HOOK_SECRET = "whsec_canary_of_the_endpoint"
FUNCTION_SECRET = "canary-given-by-a-function"
PUBLIC = "seen-by-everybody"
"""No secret: it shows that what is looked for would be found."""

CANARIES = (TOKEN, WRONG_TOKEN, ADMIN_TOKEN, COOKIE, API_KEY, HOOK_SECRET, FUNCTION_SECRET)
OPTIONS = HttpOptions(tokens=[TOKEN])


class Expense(VirtualObject):
    @handler
    async def ask(self, ctx: Context, euros: int) -> dict[str, str]:
        """Log and return all that a handler is told of a request."""
        ctx.log.warning("headers: %s", dict(ctx.headers))
        if euros < 0:
            message = f"headers: {dict(ctx.headers)}"
            raise ValueError(message)
        if euros > 100:
            await ctx.awakeable(message=dict(ctx.headers))
        return dict(ctx.headers)


class Hooks(Service):
    @handler(webhook=Stripe(secret_env="CANARY_SECRET"))
    async def stripe(self, ctx: Context, event: dict[str, Any]) -> dict[str, str]:
        ctx.log.warning("headers: %s", dict(ctx.headers))
        return dict(ctx.headers)

    @handler(webhook=GitHub(secret=lambda: FUNCTION_SECRET))
    async def github(self, ctx: Context, event: dict[str, Any]) -> dict[str, str]:
        return dict(ctx.headers)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setenv("CANARY_SECRET", HOOK_SECRET)
    world = World([Expense, Hooks], data_dir=tmp_path / "data")
    await world.start()
    yield world
    world.close()


@pytest.fixture
async def server(world: World) -> AsyncIterator[HttpServer]:
    server = await serve(world.runtime, port=0, options=OPTIONS)
    yield server
    await server.close(timedelta(0))


CARRIED = (
    f"Authorization: Bearer {TOKEN}",
    f"Cookie: session={COOKIE}",
    f"X-Api-Key: {API_KEY}",
    f"User-Agent: {PUBLIC}",
)
STRANGERS = (f"Authorization: Bearer {WRONG_TOKEN}", *CARRIED[1:])


def sign(body: bytes, now_s: int) -> str:
    signed = hmac.new(HOOK_SECRET.encode(), b"%d.%b" % (now_s, body), "sha256").hexdigest()
    return f"t={now_s},v1={signed}"


def requests(now_s: int) -> Iterator[bytes]:
    """All kinds of requests, with secrets wherever one may be."""
    event = b'{"id":"evt_1"}'
    signature = f"Stripe-Signature: {sign(event, now_s)}"
    for carried in (CARRIED, STRANGERS):
        yield post("/Expense/sam/ask", b"5", *carried)
        yield post("/Expense/sam/ask", b'"five"', *carried)
        yield post("/Expense/sam/ask", b"{", *carried)
        yield post("/Expense/sam/ask/send", b"-1", *carried)
        yield post("/Expense/bob/ask/send", b"101", *carried)
        yield post("/Expense/sam/nothing", b"5", *carried)
        yield post("/Nothing", b"5", *carried)
        yield post("/Expense/sam/ask?token=1", b"5", *carried)
        yield post("/Expense/sam/ask", b"5", *carried, "Content-Encoding: gzip")
        yield post("/Expense/sam/ask", b"5", *carried, "Origin: https://evil.example")
        yield post("/Hooks/stripe", event, *carried, signature)
        yield post("/Hooks/stripe", event, *carried, signature.replace("v1=", "v1=00"))
        yield post("/Hooks/github", event, *carried, "X-Hub-Signature-256: sha256=00")
        yield get("/restate/health")


def everything_in(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


async def read_tables(world: World) -> str:
    """Every row that SQL shows, and what else operators are told."""
    headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
    options = HttpOptions(tokens=[ADMIN_TOKEN])
    told: list[Any] = [
        (await operate(world.runtime, "GET", "/openapi", headers=headers, options=options)).body
    ]
    for table in TABLES:
        query = {"query": f"SELECT * FROM {table.name}"}  # noqa: S608 - a name of ours
        found = await operate(
            world.runtime, "POST", "/query", query, headers=headers, options=options
        )
        assert found.status == 200, found.body
        told.append(found.body)
    return json.dumps(told)


async def test_no_secret_of_a_request_is_kept_logged_or_told(
    world: World, server: HttpServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told = ""
    now_s = world.clock.now_ms() // 1000
    statuses: list[int] = []
    for request in requests(now_s):
        async with connect(server.port) as caller:
            reply = await caller.ask(request)
        statuses.append(reply.status)
        told += f"{reply.status} {reply.headers} {reply.body.decode()}\n"
    await world.rest()
    described = [
        repr(await world.runtime.invocation(each).describe())
        for each in (await world.runtime.object(Expense, "sam").ask.send(1),)
    ]
    tables = await read_tables(world)
    await world.rest()
    found = {
        "answers": told,
        "logs": "\n".join([caplog.text, *(str(vars(record)) for record in caplog.records)]),
        "SQL": tables,
        "descriptions": "\n".join(described),
        "rows": everything_in(tmp_path / "data").decode("latin-1"),
        "reprs": repr((OPTIONS, define(Hooks), define(Expense), world.runtime.registry)),
    }

    # It was all taken, or refused, as it was meant to be; and what may be seen is.
    assert {200, 202, 400, 401, 403, 404, 415} <= set(statuses)
    for place in ("answers", "logs", "SQL", "rows"):
        assert PUBLIC in found[place], place
    signature = sign(b'{"id":"evt_1"}', now_s).partition("v1=")[2]
    for place, text in found.items():
        for canary in (*CANARIES, signature):
            assert canary not in text, f"{canary} in {place}"


async def test_the_key_of_links_is_in_the_data_directory_and_nowhere_else(
    world: World, server: HttpServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    awakeable = "awk_" + "0" * 40
    link = await world.runtime.awakeable_link(awakeable, expires_in=60)
    row = world.runtime.core.store.get(keys.meta("link keys"))
    assert row is not None
    (key,) = decode_link_keys(row)
    told = ""
    async with connect(server.port) as caller:
        for request in (get(link), post(link), get(link + "x"), get(link.replace("awk_", "x"))):
            reply = await caller.ask(request)
            told += f"{reply.status} {reply.headers} {reply.body.decode()}\n"

    assert key.key in everything_in(tmp_path / "data")
    places = (told, caplog.text, await read_tables(world), repr(key), repr(world.runtime))
    for text in places:
        for shown in (key.key.hex(), repr(key.key), key.key.decode("latin-1")):
            assert shown not in text
        assert link.partition("signature=")[2] not in text


async def test_a_bug_does_not_log_the_signature_of_a_link(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = await world.runtime.awakeable_link("awk_" + "0" * 40, expires_in=60)

    def break_down(*_: object) -> bool:
        message = "a bug"
        raise ZeroDivisionError(message)

    monkeypatch.setattr(world.runtime, "verify_link", break_down)
    answer = CallersDoor(world.runtime).open(Head("GET", link, {}))

    assert getattr(answer, "status", None) == 500
    assert "a bug" in caplog.text
    assert link.partition("signature=")[2] not in caplog.text


@pytest.mark.parametrize("name", ["Authorization", "cookie", "X-Api-Key", "x-session-id"])
def test_a_header_that_carries_a_secret_cannot_be_recorded(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="carries a secret"):
        HttpOptions(headers=frozenset({name}))
