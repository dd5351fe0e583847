"""Webhooks over HTTP: what a signature opens, and that nothing is recorded without one."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from hmac import new as hmac
from typing import Any

import pytest

from holdfast import (
    Context,
    GitHub,
    InvalidArgumentError,
    InvalidDefinitionError,
    RuntimeConfig,
    Service,
    Slack,
    Stripe,
    TerminalError,
    VirtualObject,
    Workflow,
    handler,
    state,
)
from holdfast.ingress.callers import CallersDoor
from holdfast.ingress.messages import Head, Request, Response
from holdfast.ingress.options import DEFAULT_OPTIONS, HttpOptions
from holdfast.objects.definition import define
from tests.ingress.fake_engine import error_of
from tests.runtime.worlds import World

SECRET = "whsec_of_the_endpoint"
NEXT_SECRET = "whsec_of_the_endpoint_to_come"
TOKEN = "a-token-of-enough-characters"
WITH_TOKEN = HttpOptions(tokens=[TOKEN])


class Account(VirtualObject):
    paid: int = state(0)

    @handler
    async def pay(self, ctx: Context, amount: int) -> int:
        self.paid += amount
        return self.paid


class Hooks(Service):
    @handler(webhook=Stripe(secret_env=("TEST_STRIPE_NEXT", "TEST_STRIPE")))
    async def stripe(self, ctx: Context, event: dict[str, Any]) -> int:
        if "customer" not in event:
            message = "nobody paid"
            raise TerminalError(message, status_code=422)
        return await ctx.object(Account, event["customer"]).pay(event["amount"])

    @handler(webhook=GitHub(secret_env="TEST_STRIPE"))
    async def github(self, ctx: Context, event: Any) -> dict[str, str]:
        return dict(ctx.headers)

    @handler(webhook=Slack(secret=lambda: SECRET))
    async def slack(self, ctx: Context, event: dict[str, str]) -> dict[str, str]:
        return {"text": f"you said {event.get('text', '')}"}

    @handler
    async def plain(self, ctx: Context, event: dict[str, Any]) -> str:
        return "plain"


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_STRIPE", SECRET)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World([Account, Hooks])
    await world.start()
    yield world
    world.close()


@dataclass(frozen=True)
class Caller:
    """Somebody who sends requests to what runs now in a world."""

    world: World
    options: HttpOptions = DEFAULT_OPTIONS

    async def send(
        self, path: str, body: bytes, headers: Mapping[str, str], method: str = "POST"
    ) -> Response:
        door = CallersDoor(self.world.runtime, self.options)
        return await door.respond(Request(Head(method, path, headers), body))

    async def send_event(
        self, event: object, path: str = "/Hooks/stripe", secret: str = SECRET, **headers: str
    ) -> Response:
        body = json.dumps(event).encode()
        signed_at = self.world.clock.now_ms() // 1000
        digest = hmac(secret.encode(), b"%d.%b" % (signed_at, body), sha256).hexdigest()
        said = {
            "content-type": "application/json; charset=utf-8",
            "stripe-signature": f"t={signed_at},v1={digest}",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return await self.send(path, body, said)

    async def send_to_github(self, body: bytes, **headers: str) -> Response:
        digest = hmac(SECRET.encode(), body, sha256).hexdigest()
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        signed = {"content-type": "application/json", "x-hub-signature-256": f"sha256={digest}"}
        return await self.send("/Hooks/github", body, {**signed, **said})

    async def send_to_slack(self, body: bytes, path: str, kind: str) -> Response:
        signed_at = self.world.clock.now_ms() // 1000
        digest = hmac(SECRET.encode(), b"v0:%d:%b" % (signed_at, body), sha256).hexdigest()
        headers = {
            "content-type": kind,
            "x-slack-request-timestamp": str(signed_at),
            "x-slack-signature": f"v0={digest}",
        }
        return await self.send(path, body, headers)


EVENT = {"id": "evt_1", "customer": "sam", "amount": 5}


async def test_a_signed_event_is_handled_without_a_token(world: World) -> None:
    response = await Caller(world, WITH_TOKEN).send_event(EVENT)
    assert (response.status, response.body) == (200, b"5")


async def test_an_event_that_is_sent_again_gets_the_first_answer_also_after_a_crash(
    world: World,
) -> None:
    caller = Caller(world)
    first = await caller.send_event(EVENT)
    again = await caller.send_event(EVENT)
    await world.restart()
    after = await caller.send_event({**EVENT, "retry": True})

    assert first.body == again.body == after.body == b"5"
    assert first.headers["x-restate-id"] == after.headers["x-restate-id"]
    other = await caller.send_event({**EVENT, "id": "evt_2"})
    assert other.body == b"10"


async def test_an_event_of_which_more_is_said_the_second_time_is_the_same_in_a_strict_runtime(
    world: World,
) -> None:
    """Stripe counts in an event who has not taken it yet; refused, it would send it for days."""
    await world.crash()
    world.config = RuntimeConfig(idempotency_strict=True)
    await world.start()
    caller = Caller(world)
    first = await caller.send_event({**EVENT, "pending_webhooks": 2})
    again = await caller.send_event({**EVENT, "pending_webhooks": 1})

    assert (again.status, again.body) == (first.status, first.body) == (200, b"5")
    assert again.headers["x-holdfast-idempotency"] == "other-body"


async def test_a_send_is_answered_once_it_is_accepted(world: World) -> None:
    caller = Caller(world)
    response = await caller.send_event(EVENT, "/Hooks/stripe/send")
    again = await caller.send_event(EVENT, "/Hooks/stripe/send")

    assert [json.loads(each.body)["status"] for each in (response, again)] == [
        "Accepted",
        "PreviouslyAccepted",
    ]
    assert response.status == 202


async def test_both_secrets_count_while_one_replaces_the_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_STRIPE_NEXT", NEXT_SECRET)
    caller = Caller(world)
    assert (await caller.send_event(EVENT)).status == 200
    assert (await caller.send_event({**EVENT, "id": "evt_2"}, secret=NEXT_SECRET)).status == 200
    assert (await caller.send_event(EVENT, secret="whsec_of_a_stranger")).status == 401


@pytest.mark.parametrize("options", [DEFAULT_OPTIONS, WITH_TOKEN], ids=["open", "with tokens"])
@pytest.mark.parametrize("path", ["/Hooks/stripe", "/Hooks/stripe/send"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"stripe-signature": ""},
        {"stripe-signature": "t=1,v1=00"},
        {"authorization": f"Bearer {TOKEN}"},
        {"idempotency-key": "evt_1"},
    ],
)
async def test_an_event_that_is_not_signed_is_refused_and_leaves_no_trace(
    world: World, options: HttpOptions, path: str, headers: dict[str, str]
) -> None:
    before = world.runtime.statistics()
    body = json.dumps(EVENT).encode()
    said = {"content-type": "application/json", **headers}

    response = await Caller(world, options).send(path, body, said)

    assert response.status == 401
    assert "www-authenticate" in response.headers
    assert SECRET not in str(error_of(response.body))
    after = world.runtime.statistics()
    assert (after.invocations_accepted, after.rows_written) == (
        before.invocations_accepted,
        before.rows_written,
    )


async def test_an_event_that_was_caught_and_is_sent_again_later_is_refused(world: World) -> None:
    body = json.dumps(EVENT).encode()
    signed_at = world.clock.now_ms() // 1000
    digest = hmac(SECRET.encode(), b"%d.%b" % (signed_at, body), sha256).hexdigest()
    headers = {"stripe-signature": f"t={signed_at},v1={digest}"}
    await world.clock.advance(360)

    response = await Caller(world).send("/Hooks/stripe", body, headers)

    assert response.status == 401
    assert world.runtime.statistics().invocations_accepted == 0


async def test_a_signature_opens_its_own_handler_only(world: World) -> None:
    caller = Caller(world, WITH_TOKEN)
    assert (await caller.send_event(EVENT, "/Hooks/plain")).status == 401
    assert (await caller.send_event(EVENT, "/Account/sam/pay")).status == 401
    assert (await caller.send_event(EVENT, "/Hooks/github")).status == 401


async def test_a_webhook_is_posted(world: World) -> None:
    response = await Caller(world).send("/Hooks/stripe", b"", {}, method="GET")
    assert response.status == 405


async def test_an_event_that_does_not_fit_is_refused_and_leaves_no_trace(world: World) -> None:
    response = await Caller(world).send_event([1, 2])
    assert response.status == 400
    assert world.runtime.statistics().invocations_accepted == 0


async def test_an_outcome_that_failed_is_the_answer_to_each_delivery_of_it(world: World) -> None:
    caller = Caller(world)
    first = await caller.send_event({"id": "evt_3"})
    again = await caller.send_event({"id": "evt_3"})
    assert (first.status, again.status) == (422, 422)
    assert world.runtime.statistics().invocations_accepted == 1


async def test_the_handler_sees_what_happened_and_no_signature(world: World) -> None:
    response = await Caller(world).send_to_github(
        b'{"action":"opened"}', x_github_event="issues", x_github_delivery="d-1", cookie="c=secret"
    )
    seen = json.loads(response.body)
    assert (seen["x-github-event"], seen["x-github-delivery"]) == ("issues", "d-1")
    assert not any("signature" in name or name == "cookie" for name in seen)


async def test_a_ping_of_github_is_answered_without_an_invocation(world: World) -> None:
    response = await Caller(world).send_to_github(b'{"zen":"..."}', x_github_event="ping")
    assert response.status == 200
    assert world.runtime.statistics().invocations_accepted == 0


async def test_the_challenge_of_slack_is_answered_without_an_invocation(world: World) -> None:
    body = b'{"type":"url_verification","challenge":"3eZbrw1aB"}'
    response = await Caller(world).send_to_slack(body, "/Hooks/slack", "application/json")
    assert (response.status, json.loads(response.body)) == (200, {"challenge": "3eZbrw1aB"})
    assert world.runtime.statistics().invocations_accepted == 0


async def test_a_slash_command_is_answered_with_what_the_handler_says(world: World) -> None:
    form = "application/x-www-form-urlencoded"
    caller = Caller(world)
    called = await caller.send_to_slack(b"text=hi&trigger_id=1", "/Hooks/slack", form)
    sent = await caller.send_to_slack(b"text=hi&trigger_id=2", "/Hooks/slack/send", form)

    assert json.loads(called.body) == {"text": "you said hi"}
    assert (sent.status, sent.body) == (200, b"")
    assert world.runtime.statistics().invocations_accepted == 2


async def test_a_call_from_the_same_process_needs_no_signature(world: World) -> None:
    assert await world.runtime.service(Hooks).stripe(EVENT) == 5


async def test_a_door_does_not_open_without_the_secret(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEST_STRIPE")
    with pytest.raises(InvalidArgumentError, match="TEST_STRIPE_NEXT or TEST_STRIPE"):
        CallersDoor(world.runtime)


def test_a_definition_does_not_show_the_secret() -> None:
    definition = define(Hooks)
    assert SECRET not in repr(definition)
    assert "TEST_STRIPE" in repr(definition.handlers["stripe"].options)


class Several(Service):
    @handler(webhook=GitHub(secret_env="X"))
    async def take(self, ctx: Context, first: int, second: int) -> None: ...


class Nothing(Service):
    @handler(webhook=GitHub(secret_env="X"))
    async def take(self, ctx: Context) -> None: ...


class Hidden(Service):
    @handler(webhook=GitHub(secret_env="X"), ingress_private=True)
    async def take(self, ctx: Context, event: Any) -> None: ...


class Flow(Workflow):
    @handler(webhook=GitHub(secret_env="X"))
    async def run(self, ctx: Context, event: Any) -> None: ...


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (Several, "one parameter"),
        (Nothing, "one parameter"),
        (Flow, "let a Service take"),
        (Hidden, "come over HTTP"),
    ],
)
def test_a_handler_that_could_not_take_an_event_is_refused(cls: type, said: str) -> None:
    with pytest.raises(InvalidDefinitionError, match=said):
        define(cls)


def test_a_webhook_is_one() -> None:
    with pytest.raises(InvalidDefinitionError, match="webhook must be a Webhook"):

        class Wrong(Service):  # pyright: ignore[reportUnusedClass]  # it is not made
            @handler(webhook="STRIPE_SECRET")  # type: ignore[call-overload, untyped-decorator]
            async def take(self, ctx: Context, event: Any) -> None: ...
