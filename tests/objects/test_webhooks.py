"""How each provider signs: their own published examples, and everything that is nearly one."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from hmac import digest
from typing import Any, cast

import pytest

from holdfast import GitHub, Slack, StandardWebhooks, Stripe
from holdfast.objects.errors import InvalidArgumentError, InvalidDefinitionError
from holdfast.objects.webhook import Delivery, NotSigned, Reply, Webhook

SLASH_COMMAND = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow"
    b"&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner"
    b"&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands"
    b"%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A request as a provider sends it, and what it is verified by."""

    webhook: Webhook
    secret: str
    now_s: float = 0.0
    headers: Mapping[str, str]
    body: bytes
    secrets: tuple[str, ...] = field(default=())

    def receive(self) -> Delivery | Reply | NotSigned:
        texts = self.secrets or (self.secret,)
        read = replace(self.webhook, secret_env=tuple(texts)).read_secrets(
            {text: text for text in texts}
        )
        return self.webhook.receive(self.headers, self.body, read, self.now_s)

    def with_header(self, name: str, value: str) -> "Sent":
        return replace(self, headers={**self.headers, name: value})


STANDARD = Sent(
    webhook=StandardWebhooks(secret_env="S"),
    secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    now_s=1_614_265_330,
    headers={
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    },
    body=b'{"test": 2432232314}',
)
GITHUB = Sent(
    webhook=GitHub(secret_env="S"),
    secret="It's a Secret to Everybody",
    headers={
        "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "x-github-event": "push",
        "x-hub-signature-256": (
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        ),
    },
    body=b"Hello, World!",
)
SLACK = Sent(
    webhook=Slack(secret_env="S"),
    secret="8f742231b10e8888abcd99yyyzzz85a5",
    now_s=1_531_420_618,
    headers={
        "content-type": "application/x-www-form-urlencoded",
        "x-slack-request-timestamp": "1531420618",
        "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    },
    body=SLASH_COMMAND,
)


def sign_stripe(body: bytes, signed_at: int, secret: str = "whsec_of_the_endpoint") -> str:
    signed = b"%d.%b" % (signed_at, body)
    return f"t={signed_at},v1={digest(secret.encode(), signed, 'sha256').hex()},v0=old"


EVENT = b'{"id": "evt_1", "type": "invoice.paid"}'
STRIPE = Sent(
    webhook=Stripe(secret_env="S"),
    secret="whsec_of_the_endpoint",
    now_s=1_700_000_000,
    headers={"stripe-signature": sign_stripe(EVENT, 1_700_000_000)},
    body=EVENT,
)
ALL = {"standard": STANDARD, "github": GITHUB, "slack": SLACK, "stripe": STRIPE}
SIGNATURES = {
    "standard": "webhook-signature",
    "github": "x-hub-signature-256",
    "slack": "x-slack-signature",
    "stripe": "stripe-signature",
}
TIMED = [STANDARD, SLACK, STRIPE]


def slack_event(body: bytes) -> Sent:
    signed = digest(SLACK.secret.encode(), b"v0:1531420618:" + body, "sha256").hex()
    headers = {
        "content-type": "application/json",
        "x-slack-request-timestamp": "1531420618",
        "x-slack-signature": f"v0={signed}",
    }
    return replace(SLACK, headers=headers, body=body)


def github_event(body: bytes, **headers: str) -> Sent:
    signed = digest(GITHUB.secret.encode(), body, "sha256").hex()
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    return replace(GITHUB, headers={"x-hub-signature-256": f"sha256={signed}", **said}, body=body)


def test_the_published_examples_are_verified() -> None:
    assert STANDARD.receive() == Delivery("msg_p5jXN8AQM9LWM0D4loKWxJek", STANDARD.body)
    assert GITHUB.receive() == Delivery("72d3162e-cc78-11e3-81ab-4c9367dc0958", GITHUB.body)
    delivery = SLACK.receive()
    assert isinstance(delivery, Delivery)
    assert delivery.id == "398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"


def test_an_event_of_stripe_is_called_by_the_id_in_it() -> None:
    assert STRIPE.receive() == Delivery("evt_1", EVENT)


NEARLY: dict[str, Callable[[Sent, str], Sent]] = {
    "a longer body": lambda sent, _: replace(sent, body=sent.body + b" "),
    "no body": lambda sent, _: replace(sent, body=b""),
    "no headers": lambda sent, _: replace(sent, headers={}),
    "an empty signature": lambda sent, name: sent.with_header(name, ""),
    "no text": lambda sent, name: sent.with_header(name, "\udcff\udcfe"),
    "no ASCII": lambda sent, name: sent.with_header(name, "ünïcödé"),
    "a changed one": lambda sent, name: sent.with_header(name, _change(sent.headers[name])),
    "no version": lambda sent, name: sent.with_header(name, _strip(sent.headers[name])),
    "another secret": lambda sent, _: replace(sent, secrets=("whsec_AAAAAAAAAAAA",)),
}


def _change(signature: str) -> str:
    """Another one of the same length, where it is most easily overlooked: before its end."""
    end = signature.removesuffix(",v0=old")
    changed = end[:-2] + ("0" if end[-2] != "0" else "1") + end[-1]
    return changed + signature[len(end) :]


def _strip(signature: str) -> str:
    return re.sub(r"(v1,|sha256=|v0=|v1=)", "", signature)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("change", NEARLY.values(), ids=NEARLY)
def test_what_is_nearly_signed_is_not(name: str, change: Callable[[Sent, str], Sent]) -> None:
    assert isinstance(change(ALL[name], SIGNATURES[name]).receive(), NotSigned)


@pytest.mark.parametrize("name", ALL)
def test_while_a_secret_is_replaced_each_counts(name: str) -> None:
    sent = ALL[name]
    both = replace(sent, secrets=("whsec_AAAAAAAAAAAA", sent.secret))
    assert both.receive() == sent.receive()


@pytest.mark.parametrize("sent", TIMED)
@pytest.mark.parametrize(
    ("off_s", "is_good"), [(300, True), (-300, True), (301, False), (-301, False)]
)
def test_a_signature_counts_for_five_minutes_either_way(
    sent: Sent, off_s: int, *, is_good: bool
) -> None:
    received = replace(sent, now_s=sent.now_s + off_s).receive()
    assert isinstance(received, Delivery) is is_good
    if isinstance(received, NotSigned):
        assert "300 seconds" in received.reason


def test_the_tolerance_can_be_chosen() -> None:
    webhook = Stripe(secret_env="S", tolerance=timedelta(hours=1))
    late = replace(STRIPE, webhook=webhook, now_s=STRIPE.now_s + 3600)
    assert isinstance(late.receive(), Delivery)


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (STANDARD, "webhook-timestamp"),
        (SLACK, "x-slack-request-timestamp"),
    ],
)
@pytest.mark.parametrize("time", ["", "now", "-1", "1e9", "٣", "1614265331", "9" * 5000])
def test_another_time_than_was_signed_does_not_count(sent: Sent, name: str, time: str) -> None:
    assert isinstance(sent.with_header(name, time).receive(), NotSigned)


@pytest.mark.parametrize(
    "said",
    [
        "t=,v1=00",
        "t=1700000000",
        "v1=00",
        "t=x,v1=00",
        "t=1700000000,t=1700000000,v1=00",
        sign_stripe(EVENT, 1_700_000_000).replace("v1=", "v0="),
        ",,,=,",
    ],
)
def test_a_malformed_signature_of_stripe_is_none(said: str) -> None:
    assert isinstance(STRIPE.with_header("stripe-signature", said).receive(), NotSigned)


def test_one_of_several_signatures_is_enough() -> None:
    good = STANDARD.headers["webhook-signature"]
    assert isinstance(
        STANDARD.with_header("webhook-signature", f"v1,AAAA v1a,BBBB {good}").receive(), Delivery
    )
    twice = sign_stripe(EVENT, 1_700_000_000).replace(",v1=", ",v1=00,v1=")
    assert isinstance(STRIPE.with_header("stripe-signature", twice).receive(), Delivery)


def test_the_id_of_a_standard_webhook_is_signed_too() -> None:
    assert isinstance(STANDARD.with_header("webhook-id", "msg_other").receive(), NotSigned)


def test_a_ping_of_github_is_answered_and_not_handed_on() -> None:
    assert github_event(b"{}", x_github_event="ping").receive() == Reply(b'{"ok":true}')


def test_an_event_of_github_may_come_as_a_form() -> None:
    form = github_event(
        b"payload=%7B%22a%22%3A1%7D",
        x_github_delivery="d",
        content_type="application/x-www-form-urlencoded",
    )
    assert form.receive() == Delivery("d", b'{"a":1}')


def test_the_challenge_of_slack_is_answered_only_where_it_is_signed() -> None:
    challenge = slack_event(b'{"type":"url_verification","challenge":"3eZbrw1aB"}')
    assert challenge.receive() == Reply(b'{"challenge":"3eZbrw1aB"}')
    forged = challenge.with_header("x-slack-signature", "v0=00")
    assert isinstance(forged.receive(), NotSigned)


def test_an_event_of_slack_is_called_by_its_id() -> None:
    event = slack_event(b'{"type":"event_callback","event_id":"Ev08"}')
    assert event.receive() == Delivery("Ev08", event.body)


def test_a_form_of_slack_is_handed_on_as_json() -> None:
    command = SLACK.receive()
    assert isinstance(command, Delivery)
    assert b'"command":"/webhook-collect"' in command.argument

    body = b"payload=%7B%22trigger_id%22%3A%22t1%22%7D"
    interaction = slack_event(body).with_header("content-type", "application/x-www-form-urlencoded")
    assert interaction.receive() == Delivery("t1", b'{"trigger_id":"t1"}')


def test_the_token_of_slack_is_not_handed_on() -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    interaction = slack_event(b"payload=%7B%22token%22:%22xyzz0%22,%22trigger_id%22:%22t%22%7D")
    for sent in (
        SLACK,
        slack_event(b'{"token":"xyzz0","event_id":"e","event":{"token":"kept"}}'),
        replace(interaction, headers={**interaction.headers, **form}),
    ):
        delivery = sent.receive()
        assert isinstance(delivery, Delivery)
        assert b"xyzz0" not in delivery.argument
        assert not delivery.id.startswith("sha256")
    assert (
        b"kept"
        in cast(
            "Delivery", slack_event(b'{"token":"xyzz0","event":{"token":"kept"}}').receive()
        ).argument
    )


def test_the_same_again_has_the_same_id_also_where_the_provider_gives_none() -> None:
    nameless = [
        replace(STRIPE, body=body, headers={"stripe-signature": sign_stripe(body, 1_700_000_000)})
        for body in (
            b"[]",
            b"[]",
            b"[1]",
            b"not json",
            b'{"id":7}',
            b'{"id":"' + b"x" * 2000 + b'"}',
            b"[" * 100_000,
            b'{"id":"\xff"}',
        )
    ]
    ids = [cast("Delivery", sent.receive()).id for sent in nameless]
    assert ids[0] == ids[1] == f"sha256:{sha256(b'[]').hexdigest()}"
    assert len(set(ids)) == 7


@pytest.mark.parametrize(
    ("kind", "environment", "said"),
    [
        (Stripe, {}, "there is no secret in STRIPE_SECRET"),
        (Stripe, {"STRIPE_SECRET": ""}, "there is no secret"),
        (Stripe, {"STRIPE_SECRET": "  \n"}, "fewer than 8 characters"),
        (GitHub, {"STRIPE_SECRET": "hunter2"}, "fewer than 8 characters"),
        (StandardWebhooks, {"STRIPE_SECRET": "whpk_!!!notbase64"}, "not `whsec_` and base64"),
    ],
)
def test_a_secret_that_is_none_is_refused_and_not_shown(
    kind: type[Webhook], environment: dict[str, str], said: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=said) as refused:
        kind(secret_env="STRIPE_SECRET").read_secrets(environment)
    for secret in environment.values():
        assert not secret.strip() or secret not in refused.value.message


def test_a_secret_may_be_given_by_a_function_and_is_read_when_asked_for() -> None:
    secrets = ["one-secret-of-many"]
    webhook = GitHub(secret=lambda: secrets)
    secrets.append("another-secret-of-many")
    assert webhook.read_secrets({}) == (b"one-secret-of-many", b"another-secret-of-many")
    assert GitHub(secret_env=("A", "B")).read_secrets({"B": " of-the-second\n"}) == (
        b"of-the-second",
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "say where the secret is"),
        ({"secret_env": "A", "secret": str}, "say where the secret is"),
        ({"secret": "the-secret-itself"}, "takes a function"),
        ({"secret_env": "A", "tolerance": timedelta(0)}, "must be above 0"),
    ],
)
def test_a_webhook_that_names_no_secret_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidDefinitionError, match=said) as refused:
        Stripe(**options)
    assert "the-secret-itself" not in refused.value.message
