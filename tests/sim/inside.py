"""Calls by the program that the runtime is embedded in, without HTTP.

They take the same way as requests of clients, so that they are lost, doubled, cancelled and asked
again in the same way, and what comes of them is looked at when it leaves; only what the door would
do is done by hand.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from holdfast import (
    HoldfastError,
    MailboxFullError,
    Runtime,
    RuntimeClosedError,
    StoreFailedError,
    StoreFullError,
    TerminalError,
)
from holdfast.ingress.messages import Response

from .actors import DESK, Cell, Desk, Order

if TYPE_CHECKING:
    from holdfast.objects.call_options import OutsideCallKeywords

_STATUSES: Final[dict[type[HoldfastError], int]] = {
    MailboxFullError: 429,
    RuntimeClosedError: 503,
    StoreFailedError: 503,
    StoreFullError: 507,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """A call of a cell."""

    key: str
    order: Order
    is_send: bool
    delay_ms: int = 0
    mode: Any = "queue"
    idempotency_key: str = ""
    told: str = ""
    """Who is told how it ended: the desk, a URL, or nobody."""


async def respond(runtime: Runtime, call: Inside) -> Response:
    """What a client would be answered."""
    try:
        return await _call(runtime, call)
    except TerminalError as error:
        return Response(error.status_code, {"x-restate-error-source": "invocation"}, b"")
    except HoldfastError as error:
        return Response(_STATUSES.get(type(error), 404), {}, error.code.encode())


async def _call(runtime: Runtime, call: Inside) -> Response:
    options: OutsideCallKeywords = {"mode": call.mode}
    if call.idempotency_key:
        options["idempotency_key"] = call.idempotency_key
    if call.told:
        desk = runtime.object(Desk, DESK).told
        options["callback"] = desk if call.told == DESK else call.told
    cell = runtime.object(Cell, call.key, **options)
    if call.is_send:
        id_ = await cell.run.send(call.order, delay=timedelta(milliseconds=call.delay_ms))
        return Response(202, {"x-restate-id": id_}, b"")
    result = await cell.run(call.order)
    headers: dict[str, str] = {}
    if call.idempotency_key:
        found = await runtime.find_invocation(
            Cell, call.key, Cell.run, idempotency_key=call.idempotency_key
        )
        # It may be forgotten by now.
        headers = {} if found is None else {"x-restate-id": found.id}
    return Response(200, headers, msgspec.json.encode(result))
