"""Bearer tokens: who comes in, and that a refusal tells nothing."""

import dataclasses
import json
from collections.abc import Mapping

import pytest

from holdfast.ingress.access import Tokens
from holdfast.ingress.callers import CallersDoor
from holdfast.ingress.messages import Head, Request, Response
from holdfast.ingress.options import HttpOptions, tokens_of
from holdfast.objects.errors import InvalidArgumentError
from tests.ingress.fake_engine import FakeEngine

FIRST = "a-first-token-0123456789"
SECOND = "a-second-token-0123456789"
OPTIONS = HttpOptions(
    tokens=[FIRST, SECOND], origins=frozenset({"https://app.example.com"}), body_bytes_max=100
)
JSON = {"content-type": "application/json"}


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


async def ask(
    engine: FakeEngine,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Response:
    request = Request(Head(method, path, headers or {}), body)
    return await CallersDoor(engine, OPTIONS).respond(request)


def bearing(token: str, scheme: str = "Bearer") -> dict[str, str]:
    return {**JSON, "authorization": f"{scheme} {token}"}


@pytest.mark.parametrize("token", [FIRST, SECOND])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_each_of_the_tokens_lets_in(engine: FakeEngine, token: str, scheme: str) -> None:
    response = await ask(engine, "POST", "/Counter/sam/add", bearing(token, scheme), b"5")
    assert (response.status, response.body) == (200, b"5")


STRANGERS: dict[str, dict[str, str]] = {
    "nothing": {},
    "an empty header": {"authorization": ""},
    "no token": {"authorization": "Bearer"},
    "an empty token": {"authorization": "Bearer "},
    "the start of one": {"authorization": f"Bearer {FIRST[:-1]}"},
    "one and more": {"authorization": f"Bearer {FIRST}x"},
    "both": {"authorization": f"Bearer {FIRST}, Bearer {SECOND}"},
    "another case": {"authorization": f"Bearer {FIRST.upper()}"},
    "another scheme": {"authorization": f"Basic {FIRST}"},
    "no scheme": {"authorization": FIRST},
    "bytes that are no text": {"authorization": "Bearer \udcff\udcfe" + FIRST},
    "another header": {"x-authorization": f"Bearer {FIRST}"},
    "a cookie": {"cookie": f"authorization=Bearer {FIRST}"},
}


@pytest.mark.parametrize("carrying", STRANGERS.values(), ids=STRANGERS)
async def test_a_stranger_is_refused_and_leaves_no_trace(
    engine: FakeEngine, carrying: dict[str, str]
) -> None:
    response = await ask(engine, "POST", "/Counter/sam/add", {**JSON, **carrying}, b"5")

    assert response.status == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert FIRST not in response.body.decode()
    assert engine.accepted == []


ASKED: dict[str, tuple[str, str, dict[str, str], bytes]] = {
    "a handler": ("POST", "/Counter/sam/add", JSON, b"5"),
    "no such class": ("POST", "/Nothing/sam/add", JSON, b"5"),
    "no such handler": ("POST", "/Counter/sam/nothing", JSON, b"5"),
    "a malformed path": ("GET", "/%zz", {}, b""),
    "a malformed body": ("POST", "/Counter/sam/add", JSON, b"{"),
    "another method": ("DELETE", "/Counter/sam/add", {}, b""),
    "a body that is too long": ("POST", "/Counter/sam/add", {"content-length": "999"}, b""),
    "a compressed body": ("POST", "/Counter/sam/add", {"content-encoding": "gzip"}, b""),
    "another host": ("GET", "/Counter/sam/get", {"host": "evil.example"}, b""),
    "a page of another site": ("GET", "/Counter/sam/get", {"origin": "https://evil.example"}, b""),
    "no such awakeable": ("POST", "/restate/awakeables/awk_00/resolve", {}, b""),
    "another method of the health": ("POST", "/nothing/at/all/here", {}, b""),
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
async def test_a_stranger_learns_nothing_from_what_is_asked(
    engine: FakeEngine, asked: tuple[str, str, dict[str, str], bytes]
) -> None:
    method, path, headers, body = asked
    plain = await ask(engine, "POST", "/Counter/sam/add", JSON, b"5")

    response = await ask(engine, method, path, headers, body)

    assert (response.status, response.body) == (401, plain.body)
    without_cors = {**response.headers}
    without_cors.pop("access-control-allow-origin", None)
    assert without_cors == plain.headers


async def test_the_health_is_open_but_does_not_say_what_there_is(engine: FakeEngine) -> None:
    strangers = await ask(engine, "GET", "/restate/health")
    known = await ask(engine, "GET", "/restate/health", bearing(FIRST))

    assert (strangers.status, json.loads(strangers.body)) == (200, {"status": "ok"})
    assert json.loads(known.body)["services"] == ["Counter", "Mailer"]


async def test_a_preflight_is_answered_without_the_token_and_lets_it_be_sent(
    engine: FakeEngine,
) -> None:
    asking = {
        "origin": "https://app.example.com",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }

    response = await ask(engine, "OPTIONS", "/Counter/sam/add", asking)

    assert response.status == 200
    assert "authorization" in response.headers["access-control-allow-headers"]


async def test_a_page_that_is_let_in_can_read_that_it_needs_a_token(engine: FakeEngine) -> None:
    headers = {**JSON, "origin": "https://app.example.com"}
    response = await ask(engine, "POST", "/Counter/sam/add", headers, b"5")

    assert response.status == 401
    assert response.headers["access-control-allow-origin"] == "https://app.example.com"


async def test_a_page_of_another_site_is_kept_out_although_it_has_a_token(
    engine: FakeEngine,
) -> None:
    headers = {**bearing(FIRST), "origin": "https://evil.example"}
    response = await ask(engine, "POST", "/Counter/sam/add", headers, b"5")
    assert response.status == 403


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        ([FIRST, "short"], "token 2 has 5 characters"),
        (["with a blank in it somewhere"], "token 1 cannot be sent"),
        (["with,a,comma,in,it,somewhere"], "token 1 cannot be sent"),
        (["ünïcödé-ünïcödé-ünïcödé"], "token 1 cannot be sent"),
        (["x" * 1025], "token 1 cannot be sent"),
        ([7], "token 1 is no text"),
        (FIRST, "a list"),
    ],
)
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused_and_not_shown(
    tokens: list[str], said: str
) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        HttpOptions(tokens=tokens)
    assert said in refused.value.message
    for token in tokens:
        assert str(token) not in refused.value.message or len(str(token)) == 1


def test_options_do_not_show_their_tokens() -> None:
    options = HttpOptions(tokens=[FIRST, SECOND])
    changed = dataclasses.replace(options, hosts=frozenset({"example.com"}))

    for shown in (repr(options), repr(options.tokens), str(dataclasses.asdict(options))):
        assert FIRST not in shown
    assert repr(Tokens([FIRST, FIRST, SECOND])) == "<2 tokens>"
    assert tokens_of(changed).admit(bearing(FIRST))


def test_a_door_without_tokens_asks_for_none() -> None:
    assert not Tokens()
    assert CallersDoor(FakeEngine()).is_known(Head("GET", "/", {}))
