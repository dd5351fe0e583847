"""The id of an invocation that is known by its workflow, or by an idempotency key."""

from typing import Any, Final

import msgspec

from ..objects.definition import define
from ..objects.errors import InvalidArgumentError, UnknownTargetError
from ..objects.handler import Handler
from ..objects.identity import check_key
from .asking import Asker
from .calls import JSON
from .exchange import Ask

_FOUND: Final = msgspec.json.Decoder(dict[str, Any])
_NONE: Final = "invocation not found"
"""What an answer begins with where names are known, and such an invocation is not."""


async def look_up(
    asker: Asker,
    service: type | str,
    key: str | None,
    handler: Handler[..., Any] | str,
    idempotency_key: str | None,
) -> str | None:
    """The id, or ``None``: there is no such invocation; raises as ``Client.find_invocation``."""
    name = service if isinstance(service, str) else define(service).name
    if key is not None:
        key = check_key(key)
    handler_name = handler if isinstance(handler, str) else handler.name
    if idempotency_key is not None:
        body = {
            "target": "idempotentInvocation",
            "service": name,
            "handler": handler_name,
            "idempotencyKey": idempotency_key,
            **({} if key is None else {"key": key}),
        }
    elif key is not None:
        body = {"target": "workflow", "workflowName": name, "workflowKey": key}
    else:
        message = (
            f"{name} is found by its key only where it is a workflow; a call of any other handler "
            f"is found by its idempotency key: "
            f"find_invocation({name}, key, handler, idempotency_key=...)"
        )
        raise InvalidArgumentError(message)
    ask = Ask(
        method="POST",
        path="/restate/lookup",
        is_question=True,
        what=f"the search for a call of {name}",
        body=msgspec.json.encode(body),
        headers=JSON,
    )
    try:
        return await asker.read(ask, lambda body: str(_FOUND.decode(body)["invocationId"]))
    except UnknownTargetError as error:
        if error.message.startswith(_NONE):
            return None
        raise
