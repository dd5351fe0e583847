"""From the path of a request to what it names.

    target     := path ["?" query]                   as sent, percent-encoded
    path       := "/" object "/" key "/" handler ["/send"] ["/"]
                | "/" service "/" handler ["/send"] ["/"]
                | "/restate/health" ["/"]
                | "/restate/awakeables/" id "/" ("resolve" | "reject") ["/"]

The raw path is split at its slashes first and each segment is then percent-decoded, once, to
strict UTF-8. So ``a%2Fb`` is one key, ``%25ff`` is the key ``%ff``, and no two spellings of
different keys meet. Refused: a ``%`` without two hex digits, bytes that are not UTF-8, NUL, an
empty key, a key over 512 bytes, a raw ``#``, an absolute URL.

Whether a second segment is a key is decided by what the first one names, never by counting alone.
This module knows no HTTP library and no method.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal
from urllib.parse import parse_qsl

from ..objects.call_options import Mode, check_mode
from ..objects.definition import HandlerDefinition, ServiceDefinition
from ..objects.errors import InvalidArgumentError, UnknownTargetError
from ..objects.identity import AwakeableId, Target, check_key, parse_awakeable_id
from ..objects.registry import Registry
from .problems import Refusal, RefusedError

_SYSTEM = "restate"
_NAMES_MAX = 20
"""A message lists no more names than this."""
_HEX_DIGITS = "0123456789abcdefABCDEF"
# A table, because ``int(text, 16)`` and ``bytes.fromhex`` also take signs, underscores and blanks.
_BYTES = {
    f"{high}{low}".encode(): bytes([int(high + low, 16)])
    for high in _HEX_DIGITS
    for low in _HEX_DIGITS
}


@dataclass(frozen=True, slots=True)
class CallPath:
    """A call or a send of a handler that exists."""

    target: Target
    handler: HandlerDefinition
    is_send: bool


@dataclass(frozen=True, slots=True)
class AwakeablePath:
    """The completion of an awakeable, which may not exist."""

    awakeable: AwakeableId
    verb: Literal["resolve", "reject"]


@dataclass(frozen=True, slots=True)
class HealthPath:
    """The question how the runtime is."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a call or a send says behind its path."""

    delay: str | None = None
    """As it was written; for sends only."""
    mode: Mode = "queue"
    """What it does to the turn under way at its key."""


NO_QUERY = Query()
_PARAMETERS = ("delay", "mode")

Path = CallPath | AwakeablePath | HealthPath


def parse_path(path: str, registry: Registry) -> Path:
    """What ``path`` (without its query) names.

    Raises:
        InvalidArgumentError: it is no path of the grammar.
        UnknownTargetError: it names a service or a handler that does not exist.
        RefusedError: it names a page of the system's that does not exist.
    """
    segments = _split(path, registry)
    if segments[0] == _SYSTEM:
        return _parse_system(segments)
    service = registry.services.get(segments[0])
    if service is None:
        if len(segments) < 2:
            raise _bad_path(path, registry, _did_you_mean(segments[0], registry.services))
        raise _unknown_service(segments[0], registry)
    return _parse_call(segments, service)


def parse_query(query: str) -> Query:
    """What the query parameters say.

    Raises:
        InvalidArgumentError: one is given twice, there is another one (whoever misspells a delay
            must not have it run at once), or there is no such mode.
    """
    given: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, errors="replace"):
        if name not in _PARAMETERS:
            known = "; there are 'delay', for sends, and 'mode'"
            hint = _did_you_mean(name, _PARAMETERS) or known
            message = f"unknown query parameter {name!r:.80}{hint}"
            raise InvalidArgumentError(message)
        if name in given:
            message = f"bad {name} query parameter, it is given more than once"
            raise InvalidArgumentError(message)
        given[name] = value
    return Query(given.get("delay"), check_mode(given.get("mode", "queue")))


def _parse_call(segments: list[str], service: ServiceDefinition) -> CallPath:
    handler_at = 2 if service.keyed else 1
    is_send = len(segments) == handler_at + 2 and segments[-1] == "send"
    if len(segments) != handler_at + (2 if is_send else 1):
        raise _misshapen(service)
    name = segments[handler_at]
    handler = service.handlers.get(name)
    if handler is None:
        raise _unknown_handler(name, service)
    key = _parse_key(segments[1]) if service.keyed else None
    return CallPath(Target(service.name, key, name), handler, is_send)


def _parse_key(key: str) -> str:
    if "\0" in key:
        message = "bad path, a key must not hold NUL"
        raise InvalidArgumentError(message)
    return check_key(key)


def _parse_system(segments: list[str]) -> Path:
    match segments[1:]:
        case ["health"]:
            return HealthPath()
        case ["awakeables", text, "resolve" | "reject" as verb]:
            try:
                awakeable = parse_awakeable_id(text)
            except InvalidArgumentError as error:
                message = f"bad awakeable id {text!r:.80}: {error.message}"
                raise InvalidArgumentError(message) from None
            return AwakeablePath(awakeable, verb)
        case _:
            raise RefusedError(Refusal.NOT_FOUND, "not found")


def _split(path: str, registry: Registry) -> list[str]:
    if not path.startswith("/") or "#" in path:
        raise _bad_path(path, registry)
    if path.endswith("/") and path != "/":
        path = path[:-1]
    segments = path[1:].split("/")
    if "%" in path or not path.isascii():
        return [_decode(segment) for segment in segments]
    return segments


def _decode(segment: str) -> str:
    """Percent-decode one segment, once.

    Raises:
        InvalidArgumentError: what comes out is not UTF-8, or a ``%`` is not followed by two hex
            digits.
    """
    try:
        # A transport hands on raw bytes that are not UTF-8 as lone surrogates.
        plain, *escapes = segment.encode("utf-8", "surrogateescape").split(b"%")
        decoded = plain + b"".join(_BYTES[escape[:2]] + escape[2:] for escape in escapes)
        return decoded.decode("utf-8")
    except KeyError as error:
        found = "%" + error.args[0].decode("utf-8", "replace")
        message = f"bad path, cannot decode {segment!r:.80}: {found!r} is no percent-encoded byte"
    except UnicodeError as error:
        reason = error.reason if isinstance(error, UnicodeDecodeError) else "not valid Unicode"
        message = f"bad path, cannot decode {segment!r:.80}: it is not UTF-8 ({reason})"
    raise InvalidArgumentError(message)


def _bad_path(path: str, registry: Registry, hint: str = "") -> InvalidArgumentError:
    message = (
        f"bad path: {path:.80}; expected /{{object}}/{{key}}/{{handler}} or "
        f"/{{service}}/{{handler}}; {_served(registry)}{hint}"
    )
    return InvalidArgumentError(message)


def _misshapen(service: ServiceDefinition) -> InvalidArgumentError:
    shape = f"/{service.name}/{{key}}/{{handler}}"
    noun = "a workflow" if service.kind == "workflow" else "an object"
    kind = f"{noun}, so its key stands between its name and the handler"
    if not service.keyed:
        shape = f"/{service.name}/{{handler}}"
        kind = "a service, so it has no key"
    message = (
        f"bad path: {service.name} is {kind}: {shape} or {shape}/send; "
        f"its handlers are {_list_names(service.handlers)}"
    )
    return InvalidArgumentError(message)


def _unknown_service(name: str, registry: Registry) -> UnknownTargetError:
    hint = _did_you_mean(name, registry.services)
    return UnknownTargetError(f"service {name!r:.80} not found; {_served(registry)}{hint}")


def _unknown_handler(name: str, service: ServiceDefinition) -> UnknownTargetError:
    message = (
        f"{service.name} has no handler {name!r:.80}; its handlers are "
        f"{_list_names(service.handlers)}{_did_you_mean(name, service.handlers)}"
    )
    return UnknownTargetError(message)


def _served(registry: Registry) -> str:
    services = registry.services.values()
    named = [f"{each.name} ({each.kind.removeprefix('virtual ')})" for each in services]
    return f"served here: {_list_names(named)}"


def _list_names(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = ", ..." if len(ordered) > _NAMES_MAX else ""
    return (", ".join(ordered[:_NAMES_MAX]) or "none") + more


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    lowered = {candidate.lower(): candidate for candidate in known}
    # Cut, because comparing costs the product of the lengths and the name comes from anyone.
    near = get_close_matches(name[:80].lower(), lowered, n=1)
    return f"; did you mean {lowered[near[0]]!r}?" if near else ""
