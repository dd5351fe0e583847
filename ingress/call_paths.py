"""Paths of calls and sends, and what their queries say.

    call       := object "/" key "/" handler | service "/" handler
    query      := ["delay=" duration] ["mode=" ("queue" | "interrupt" | "steer")]

Whether a second segment is a key is decided by what the first one names, never by counting alone.
"""

from msgspec import Struct

from ..objects.call_options import Mode, check_mode
from ..objects.definition import HandlerDefinition, ServiceDefinition
from ..objects.errors import InvalidArgumentError
from ..objects.identity import Target, check_key
from ..objects.registry import Registry
from .queries import parse_parameters
from .unknown_names import misshapen, unknown_handler, unknown_service


class CallPath(Struct, frozen=True):
    """A call or a send of a handler that exists."""

    target: Target
    handler: HandlerDefinition
    is_send: bool


class Query(Struct, frozen=True):
    """What a call or a send says behind its path."""

    delay: str | None = None
    """As it was written; for sends only."""
    mode: Mode = "queue"
    """What it does to the turn under way at its key."""


NO_QUERY = Query()
NOT_PUBLIC = "the invoked service is not public"
"""All that is said of a class or handler that is not for HTTP."""


def parse_call(segments: list[str], service: ServiceDefinition) -> CallPath:
    """What a path below the name of ``service`` calls; with ``send`` behind it, it is a send.

    Raises:
        InvalidArgumentError: it has no path of the grammar.
        UnknownTargetError: there is no such handler.
    """
    handler_at = 2 if service.keyed else 1
    is_send = len(segments) == handler_at + 2 and segments[-1] == "send"
    return _parse(segments[:-1] if is_send else segments, service, is_send=is_send)


def parse_versioned_call(segments: list[str], registry: Registry) -> CallPath:
    """What ``/restate/call/...`` or ``/restate/send/...`` calls; raises as ``parse_call``."""
    verb, below = segments[1], segments[2:]
    service = find_service(below, registry)
    return _parse(below, service, is_send=verb == "send")


def find_service(segments: list[str], registry: Registry) -> ServiceDefinition:
    """The class that the first of ``segments`` names.

    Raises:
        UnknownTargetError: there is none.
    """
    name = segments[0] if segments else ""
    service = registry.services.get(name)
    if service is None:
        raise unknown_service(name, registry)
    return service


def parse_query(query: str) -> Query:
    """What the query parameters say.

    Raises:
        InvalidArgumentError: one is given twice, there is another one (whoever misspells a delay
            must not have it run at once), or there is no such mode.
    """
    given = parse_parameters(query, ("delay", "mode"), "there are 'delay', for sends, and 'mode'")
    return Query(given.get("delay"), check_mode(given.get("mode", "queue")))


def parse_key(key: str) -> str:
    """``key``, which stands in a path and is decoded.

    Raises:
        InvalidArgumentError: it cannot be one.
    """
    if "\0" in key:
        message = "bad path, a key must not hold NUL"
        raise InvalidArgumentError(message)
    return check_key(key)


def parse_target(segments: list[str], service: ServiceDefinition) -> Target:
    """The handler that the name of ``service``, a key where it has one, and a name say.

    Raises:
        InvalidArgumentError: these are too many, or too few, the key cannot be one, or the handler
            is not for HTTP.
        UnknownTargetError: there is no such handler.
    """
    parsed = _parse(segments, service, is_send=False)
    if parsed.handler.options.ingress_private:
        raise InvalidArgumentError(NOT_PUBLIC)
    return parsed.target


def _parse(segments: list[str], service: ServiceDefinition, *, is_send: bool) -> CallPath:
    handler_at = 2 if service.keyed else 1
    if len(segments) != handler_at + 1:
        raise misshapen(service)
    name = segments[handler_at]
    handler = service.handlers.get(name)
    if handler is None:
        raise unknown_handler(name, service)
    key = parse_key(segments[1]) if service.keyed else None
    return CallPath(Target(service.name, key, name), handler, is_send)
