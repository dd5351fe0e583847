"""How Stripe, GitHub, Slack and all who follow Standard Webhooks sign what they send.

    StandardWebhooks  webhook-signature: "v1,<base64>" ...   over  id "." timestamp "." body
    Stripe            stripe-signature: t=<time>,v1=<hex>... over  time "." body
    GitHub            x-hub-signature-256: sha256=<hex>      over  body
    Slack             x-slack-signature: v0=<hex>            over  "v0:" timestamp ":" body

All are HMAC-SHA256 over the body as it was received, so nothing is parsed before it is known who
has sent it. Each signature is compared with what each secret gives, in constant time. GitHub's is
of the body alone, without a time, the id or the name of the event: whoever has caught a delivery
can send it again, under another id.

Where a provider gives no id, the hash of what was signed is one: the same again is the same.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from hmac import digest as hmac_digest
from typing import Any, ClassVar, Final, cast
from urllib.parse import parse_qsl

import msgspec

from .errors import InvalidArgumentError
from .webhook import (
    DELIVERY_ID_BYTES_MAX,
    Delivery,
    NotSigned,
    Reply,
    TimedWebhook,
    Webhook,
)

_TIME: Final = re.compile(r"[0-9]{1,12}")
_FORM: Final = "application/x-www-form-urlencoded"
_NO_MATCH: Final = NotSigned("no signature of it fits")


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardWebhooks(TimedWebhook):
    """Webhooks as standardwebhooks.com says; the secret begins with ``whsec_``."""

    recorded_headers: ClassVar[frozenset[str]] = frozenset({"webhook-id", "webhook-timestamp"})

    def receive(
        self, headers: Mapping[str, str], body: bytes, secrets: tuple[bytes, ...], now_s: float
    ) -> Delivery | Reply | NotSigned:
        """As ``Webhook.receive``; the delivery is called what ``webhook-id`` says."""
        id_ = headers.get("webhook-id", "")
        signed_at = headers.get("webhook-timestamp", "")
        said = headers.get("webhook-signature", "").split()
        signatures = [each[3:] for each in said if each.startswith("v1,")]
        if not id_ or _TIME.fullmatch(signed_at) is None or not signatures:
            return NotSigned("webhook-id, webhook-timestamp or webhook-signature is missing")
        signed = b"%b.%b.%b" % (_bytes(id_), signed_at.encode(), body)
        expected = [b64encode(_sign(secret, signed)) for secret in secrets]
        if not _matches(signatures, expected):
            return _NO_MATCH
        return self._find_lateness(signed_at, now_s) or Delivery(_id_of(id_, signed), body)

    def _decode_secret(self, secret: str, place: str) -> bytes:
        try:
            return b64decode(secret.removeprefix("whsec_"), validate=True)
        except Base64Error:
            message = (
                f"StandardWebhooks: the secret in {place} is not `whsec_` and base64; keys that "
                f"begin otherwise, such as public ones, are of another scheme"
            )
            raise InvalidArgumentError(message) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stripe(TimedWebhook):
    """Webhooks of Stripe; the secret of the endpoint, which begins with ``whsec_``, is text."""

    def receive(
        self, headers: Mapping[str, str], body: bytes, secrets: tuple[bytes, ...], now_s: float
    ) -> Delivery | Reply | NotSigned:
        """As ``Webhook.receive``; the delivery is called what the event's ``id`` says."""
        items = [
            item.partition("=")[::2] for item in headers.get("stripe-signature", "").split(",")
        ]
        times = [value for name, value in items if name.strip() == "t"]
        signatures = [value.strip() for name, value in items if name.strip() == "v1"]
        if len(times) != 1 or _TIME.fullmatch(times[0]) is None or not signatures:
            return NotSigned("stripe-signature is missing or malformed")
        signed = b"%b.%b" % (times[0].encode(), body)
        if not _matches(signatures, [_sign(each, signed).hex().encode() for each in secrets]):
            return _NO_MATCH
        return self._find_lateness(times[0], now_s) or Delivery(
            _id_of(_field(_parse(body), "id"), body), body
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHub(Webhook):
    """Webhooks of GitHub. What has happened is in ``ctx.headers["x-github-event"]``.

    That header and the id are not signed: a body that was caught on the way can come again as
    another delivery, or as that of another event. Where that matters, look at what the body says.
    """

    recorded_headers: ClassVar[frozenset[str]] = frozenset(
        {"x-github-event", "x-github-delivery", "x-github-hook-id"}
    )

    def receive(
        self, headers: Mapping[str, str], body: bytes, secrets: tuple[bytes, ...], now_s: float
    ) -> Delivery | Reply | NotSigned:
        """As ``Webhook.receive``; the delivery is called what ``x-github-delivery`` says."""
        del now_s
        signature = headers.get("x-hub-signature-256", "")
        if not signature:
            return NotSigned("x-hub-signature-256 is missing")
        expected = [b"sha256=" + _sign(secret, body).hex().encode() for secret in secrets]
        if not _matches([signature], expected):
            return _NO_MATCH
        if headers.get("x-github-event") == "ping":
            return Reply(b'{"ok":true}')
        form = _find_form(headers, body)
        argument = body if form is None else form.get("payload", "null").encode()
        return Delivery(_id_of(headers.get("x-github-delivery", ""), body), argument)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slack(TimedWebhook):
    """Events, slash commands and interactions of Slack, by the signing secret of the app.

    What comes as a form is handed on as a JSON object of its fields; where one of them is
    ``payload``, as the JSON in that. ``token``, which was there before signatures were, is left
    out: it is a secret, and what is handed on is recorded.
    """

    recorded_headers: ClassVar[frozenset[str]] = frozenset(
        {"x-slack-retry-num", "x-slack-retry-reason"}
    )
    wants_empty_ok: ClassVar[bool] = True

    def receive(
        self, headers: Mapping[str, str], body: bytes, secrets: tuple[bytes, ...], now_s: float
    ) -> Delivery | Reply | NotSigned:
        """As ``Webhook.receive``; called by the ``event_id``, or a form by its ``trigger_id``."""
        signed_at = headers.get("x-slack-request-timestamp", "")
        signature = headers.get("x-slack-signature", "")
        if _TIME.fullmatch(signed_at) is None or not signature:
            return NotSigned("x-slack-request-timestamp or x-slack-signature is missing")
        signed = b"v0:%b:%b" % (signed_at.encode(), body)
        expected = [b"v0=" + _sign(secret, signed).hex().encode() for secret in secrets]
        if not _matches([signature], expected):
            return _NO_MATCH
        late = self._find_lateness(signed_at, now_s)
        if late is not None:
            return late
        form = _find_form(headers, body)
        if form is None:
            event = _parse(body)
            if _field(event, "type") == "url_verification":
                return Reply(msgspec.json.encode({"challenge": _field(event, "challenge")}))
            argument = _without_token(event, body)
            return Delivery(_id_of(_field(event, "event_id"), signed), argument)
        if form.get("ssl_check") == "1":
            return Reply(b"")
        sent = form["payload"].encode() if "payload" in form else msgspec.json.encode(form)
        event = _parse(sent)
        argument = _without_token(event, sent)
        return Delivery(_id_of(_field(event, "trigger_id"), signed), argument)


def _sign(secret: bytes, signed: bytes) -> bytes:
    return hmac_digest(secret, signed, "sha256")


def _matches(signatures: Iterable[str], expected: Iterable[bytes]) -> bool:
    """Whether one of ``signatures`` is one of ``expected``, by comparing each with each."""
    has_matched = False
    candidates = [_bytes(each) for each in signatures]
    for each in expected:
        for candidate in candidates:
            has_matched |= compare_digest(candidate, each)
    return has_matched


def _bytes(text: str) -> bytes:
    """The bytes of a header; those that are no UTF-8 arrive as lone surrogates."""
    return text.encode("utf-8", "surrogatepass")


def _id_of(said: str, signed: bytes) -> str:
    """The name of a delivery: what the provider says, where that can be an idempotency key."""
    try:
        size = len(said.encode())
    except UnicodeEncodeError:
        size = 0
    if 0 < size <= DELIVERY_ID_BYTES_MAX:
        return said
    return f"sha256:{sha256(signed).hexdigest()}"


def _parse(body: bytes) -> Any:
    """The JSON in ``body``; ``None`` for anything else, which the handler's own check refuses."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _field(event: Any, name: str) -> str:
    """A text of the event; empty where there is none."""
    value = event.get(name) if isinstance(event, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return value if isinstance(value, str) else ""


def _without_token(event: Any, sent: bytes) -> bytes:
    """``sent``, which is ``event`` as JSON, without its ``token``."""
    if not isinstance(event, dict) or "token" not in event:
        return sent
    fields = cast("dict[str, Any]", event)
    return msgspec.json.encode({name: fields[name] for name in fields if name != "token"})


def _find_form(headers: Mapping[str, str], body: bytes) -> dict[str, str] | None:
    """The fields of a form; ``None`` where it is none."""
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != _FORM:
        return None
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
