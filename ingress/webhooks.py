"""Webhooks: signatures are verified here, before anything of a request is believed or recorded.

A handler that says whose webhooks it takes is called over HTTP only by what that provider has
signed, with or without a token: the signature is the credential. What the provider calls the
delivery becomes the idempotency key, so a delivery that is repeated gets the first one's answer.
A test of the URL, such as GitHub's ping, is answered without an invocation.

Calls from the same process need no signature: they never come by here.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from logging import getLogger

from msgspec.structs import replace

from ..objects.errors import InvalidArgumentError
from ..objects.registry import Registry
from ..objects.webhook import NotSigned, Reply, Webhook
from .call_paths import CallPath
from .calls import Call, open_call
from .headers import passed_headers
from .messages import Head, Response
from .options import HttpOptions
from .port import IngressEngine
from .problems import Refusal, RefusedError

Secrets = Mapping[tuple[str, str], tuple[bytes, ...]]
"""By service and handler."""

_CHALLENGE = {"www-authenticate": 'Signature realm="webhook"'}

_log = getLogger("holdfast.ingress")


def read_secrets(registry: Registry) -> Secrets:
    """The secrets of all handlers that take webhooks, as they are now.

    Raises:
        InvalidArgumentError: one of them has none.
    """
    found: dict[tuple[str, str], tuple[bytes, ...]] = {}
    for service in registry.services.values():
        for handler in service.handlers.values():
            webhook = handler.options.webhook
            if webhook is None:
                continue
            try:
                found[service.name, handler.name] = webhook.read_secrets(os.environ)
            except InvalidArgumentError as error:
                message = f"{service.name}/{handler.name} takes webhooks. {error.message}"
                raise InvalidArgumentError(message) from None
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """A request to a handler that takes webhooks; nobody knows yet who has sent it."""

    call: Call
    webhook: Webhook
    headers: Mapping[str, str]
    secrets: tuple[bytes, ...]

    async def answer(self, body: bytes) -> Response:
        """Verify the signature, then make the call and answer it; see ``door.Opened``.

        Raises:
            RefusedError: nobody who knows a secret has sent it just now.
        """
        call = self.call
        now_s = call.engine.now_ms() / 1000
        received = self.webhook.receive(self.headers, body, self.secrets, now_s)
        if isinstance(received, NotSigned):
            target = call.path.target
            _log.debug("a webhook for %s/%s: %s", target.service, target.handler, received.reason)
            message = f"unauthorized: this takes signed webhooks only: {received.reason}"
            raise RefusedError(Refusal.UNAUTHORIZED, message, _CHALLENGE)
        if isinstance(received, Reply):
            kind = {"content-type": "application/json"} if received.body else {}
            return Response(200, kind, received.body)
        call = replace(call, idempotency_key=received.id)
        response = await call.answer(received.argument)
        if self.webhook.wants_empty_ok and call.path.is_send and response.status == 202:
            return Response(200, {"x-restate-id": response.headers["x-restate-id"]}, b"")
        return response


def open_webhook(  # noqa: PLR0913, PLR0917 - as `open_call`, and what it is verified by
    engine: IngressEngine,
    path: CallPath,
    query: str,
    head: Head,
    options: HttpOptions,
    secrets: Secrets,
) -> Delivered:
    """Check all of a webhook but its body, and so all but its signature.

    Raises:
        RefusedError: the method is not POST.
        InvalidArgumentError: the query does not fit.
    """
    webhook = path.handler.options.webhook
    assert webhook is not None, "a handler that takes no webhooks"
    # Of a provider's headers the handler sees the usual ones and those of the scheme, and of the
    # rest none counts: the id is the key, and the body is JSON whatever it was sent as.
    plain = Head(head.method, head.path, {"content-type": "application/json"})
    call = open_call(engine, path, query, plain, options)
    passed = passed_headers(head.headers, options, webhook.recorded_headers)
    return Delivered(
        call=replace(call, headers=passed),
        webhook=webhook,
        headers=head.headers,
        secrets=secrets[path.target.service, path.target.handler],
    )
