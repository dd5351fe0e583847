"""From the path of a request to what it names.

    target     := path ["?" query]                   as sent, percent-encoded
    path       := "/" call ["/send"] ["/"]           see ``call_paths``
                | "/restate/call/" call ["/"]
                | "/restate/send/" call ["/"]
                | "/" state ["/"]                 see ``state_paths``
                | named ["/"]                        see ``invocation_paths``
                | awakeable ["/"]                    see ``awakeable_paths``
                | "/restate/health" ["/"]

Calls come first: they are what is asked most, and what follows ``/restate/`` is one look into a
table. A new path is a value of its own in the module of what it names, a line in that table (where
its first word is new) and a case in ``callers``. This module knows no HTTP library and no method.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ..objects.registry import Registry
from .awakeable_paths import AwakeablePath, parse_awakeable
from .call_paths import CallPath, parse_call, parse_versioned_call
from .invocation_paths import (
    LookupPath,
    OutcomePath,
    parse_invocation,
    parse_verb,
    parse_workflow,
)
from .part_paths import PartPath
from .problems import Refusal, RefusedError
from .segments import split_path
from .state_paths import StatePath, parse_state
from .unknown_names import bad_path, did_you_mean, public_services, unknown_service

_SYSTEM = "restate"


@dataclass(frozen=True, slots=True)
class HealthPath:
    """The question how the runtime is."""


Path = CallPath | StatePath | OutcomePath | PartPath | LookupPath | AwakeablePath | HealthPath


def parse_path(path: str, registry: Registry) -> Path:
    """What ``path`` (without its query) names.

    Raises:
        InvalidArgumentError: it is no path of the grammar.
        UnknownTargetError: it names a service or a handler that does not exist.
        RefusedError: it names a page of the system's that does not exist.
    """
    segments = split_path(path)
    if segments is None:
        raise bad_path(path, registry)
    service = registry.services.get(segments[0])
    if service is not None:
        if len(segments) == 2 and service.keyed:
            return parse_state(segments, service)
        return parse_call(segments, service)
    if segments[0] == _SYSTEM:
        return _parse_system(segments, registry)
    if len(segments) < 2:
        raise bad_path(path, registry, did_you_mean(segments[0], public_services(registry)))
    raise unknown_service(segments[0], registry)


def _parse_health(segments: list[str], registry: Registry) -> HealthPath:
    del registry
    if len(segments) != 2:
        raise RefusedError(Refusal.NOT_FOUND, "not found")
    return HealthPath()


# By the word behind "/restate/".
_PARSERS: Final[Mapping[str, Callable[[list[str], Registry], Path]]] = {
    "call": parse_versioned_call,
    "send": parse_versioned_call,
    "attach": parse_verb,
    "output": parse_verb,
    "lookup": parse_verb,
    "invocation": parse_invocation,
    "workflow": parse_workflow,
    "awakeables": parse_awakeable,
    "a": parse_awakeable,
    "health": _parse_health,
}


def _parse_system(segments: list[str], registry: Registry) -> Path:
    parse = _PARSERS.get(segments[1]) if len(segments) > 1 else None
    if parse is None:
        raise RefusedError(Refusal.NOT_FOUND, "not found")
    return parse(segments, registry)
