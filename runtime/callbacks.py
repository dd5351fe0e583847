"""Telling somebody the outcome of an invocation: the call that is accepted with its completion.

A handler is called; a URL is handed to the service of Holdfast's own that makes POSTs, where a
runtime has one. Either is an ordinary invocation, accepted in the batch that completes the other
one: it exists exactly when the outcome does. It has no callback itself.

What could not be told is refused at the door. Should the class be gone by the time there is
something to tell, the call is accepted all the same, and waits for the class to be back.
"""

from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from ..journal.entry import Failure
from ..objects.callback import check_url, encode_completed
from ..objects.definition import HandlerDefinition, ServiceDefinition
from ..objects.errors import InvalidArgumentError, TerminalError
from ..objects.identity import InvocationId, Target, format_invocation_id
from ..objects.registry import Registry
from .failures import error_of
from .open_invocation import OpenInvocation, Result, object_key
from .raw_results import as_json
from .seams import Clock

DELIVER: Final = Target("holdfast.Callbacks", None, "deliver")
"""Who tells URLs, in a runtime that has HTTP. Its argument: ``url``, ``id`` and ``body``."""

RecordedCallback = str | list[str | None]
"""A URL, or service, key and handler; as in ``InvocationDetails.callback``."""

_NOBODY: Final = Target("Example", "key", "handler")
_EXAMPLES: Final = tuple(
    encode_completed("inv_" + "0" * 32, _NOBODY, outcome, 0)
    for outcome in (b"null", TerminalError("", status_code=500))
)


class Acceptance(Protocol):
    """``Lifecycle``, as far as it is needed here."""

    registry: Registry
    clock: Clock

    def accept(  # noqa: PLR0913  # as it is there
        self,
        target: Target,
        argument: bytes,
        *,
        service: ServiceDefinition | None,
        handler: HandlerDefinition | None,
        headers: Mapping[str, str],
        object_: bytes | None,
    ) -> InvocationId:
        """A new invocation."""
        ...


def record_callback(registry: Registry, callback: Target | str | None) -> RecordedCallback | None:
    """``callback`` as it is recorded, once it is certain that it can be told.

    Raises:
        UnknownTargetError: there is no such handler.
        InvalidArgumentError: the handler does not take a ``Completed``; it is a workflow's ``run``;
            or it is a text that is no URL, or a URL that nobody here can call.
    """
    if callback is None:
        return None
    if isinstance(callback, str):
        check_url(callback)
        if registry.find_code(DELIVER)[1] is None:
            message = (
                "this runtime has no HTTP and cannot call a URL; use holdfast.Runtime, or a "
                "handler as the callback"
            )
            raise InvalidArgumentError(message)
        return callback
    _, handler = registry.get_handler(callback)
    if handler.is_run:
        message = (
            f"{callback} runs once per key, so it cannot be a callback; let a handler of an object "
            f"start it"
        )
        raise InvalidArgumentError(message)
    try:
        for example in _EXAMPLES:
            handler.decode_argument(example)
    except InvalidArgumentError as error:
        message = (
            f"{callback} cannot be a callback, because it does not take what one is told: declare "
            f"it as `async def {handler.attribute}(self, ctx: Context, completed: Completed)` "
            f"({error.message})"
        )
        raise InvalidArgumentError(message) from None
    return [callback.service, callback.key, callback.handler]


def call_back(
    lifecycle: Acceptance, invocation: OpenInvocation, callback: RecordedCallback, result: Result
) -> None:
    """Accept the call that tells ``callback`` how ``invocation`` ends in this decision."""
    id_ = format_invocation_id(invocation.id)
    told = as_json(invocation.handler, result)
    outcome = error_of(told) if isinstance(told, Failure) else told
    details = invocation.record.details
    made_from = None if details is None else details.restarted_from
    completed = encode_completed(
        id_,
        invocation.record.target,
        outcome,
        lifecycle.clock.now_ms(),
        None if made_from is None else format_invocation_id(InvocationId(made_from)),
    )
    if isinstance(callback, str):
        target = DELIVER
        # As text: what is posted is then the same to the byte at every attempt.
        argument = msgspec.json.encode({"url": callback, "id": id_, "body": completed.decode()})
    else:
        service_name, key, handler_name = callback
        assert service_name is not None, "a callback without a service"
        assert handler_name is not None, "a callback without a handler"
        target, argument = Target(service_name, key, handler_name), completed
    service, handler = lifecycle.registry.find_code(target)
    lifecycle.accept(
        target, argument, service=service, handler=handler, headers={}, object_=object_key(target)
    )
