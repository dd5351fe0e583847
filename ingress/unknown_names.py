"""Refusals of paths that name nothing: they say what there is, and what comes near.

What is not for HTTP is not named.
"""

from collections.abc import Iterable
from difflib import get_close_matches

from ..objects.definition import ServiceDefinition
from ..objects.errors import InvalidArgumentError, UnknownTargetError
from ..objects.registry import Registry

_NAMES_MAX = 20
"""A message lists no more names than this."""


def bad_path(path: str, registry: Registry, hint: str = "") -> InvalidArgumentError:
    """It is no path at all."""
    message = (
        f"bad path: {path:.80}; expected /{{object}}/{{key}}/{{handler}} or "
        f"/{{service}}/{{handler}}; {_served(registry)}{hint}"
    )
    return InvalidArgumentError(message)


def misshapen(service: ServiceDefinition) -> InvalidArgumentError:
    """It has too many or too few parts for what it names."""
    shape = f"/{service.name}/{{key}}/{{handler}}"
    noun = "a workflow" if service.kind == "workflow" else "an object"
    kind = f"{noun}, so its key stands between its name and the handler"
    if not service.keyed:
        shape = f"/{service.name}/{{handler}}"
        kind = "a service, so it has no key"
    message = (
        f"bad path: {service.name} is {kind}: {shape} or {shape}/send; "
        f"its handlers are {_list_names(_public_handlers(service))}"
    )
    return InvalidArgumentError(message)


def unknown_service(name: str, registry: Registry) -> UnknownTargetError:
    """There is no such class here."""
    hint = did_you_mean(name, public_services(registry))
    message = (
        f"service {name!r:.80} not found, make sure to register the service before calling it; "
        f"{_served(registry)}{hint}"
    )
    return UnknownTargetError(message)


def unknown_handler(name: str, service: ServiceDefinition) -> UnknownTargetError:
    """The class has no such handler."""
    handlers = _public_handlers(service)
    message = (
        f"the service {service.name!r} exists, but the handler {name!r:.80} was not found; its "
        f"handlers are {_list_names(handlers)}{did_you_mean(name, handlers)}"
    )
    return UnknownTargetError(message)


def public_services(registry: Registry) -> dict[str, ServiceDefinition]:
    """The classes by name that strangers may be told of."""
    services = registry.services.items()
    return {name: each for name, each in services if _public_handlers(each)}


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question that names the nearest of ``known``; nothing where none is near."""
    lowered = {candidate.lower(): candidate for candidate in known}
    # Cut, because comparing costs the product of the lengths and the name comes from anyone.
    near = get_close_matches(name[:80].lower(), lowered, n=1)
    return f"; did you mean {lowered[near[0]]!r}?" if near else ""


def _served(registry: Registry) -> str:
    services = public_services(registry).values()
    named = [f"{each.name} ({each.kind.removeprefix('virtual ')})" for each in services]
    return f"served here: {_list_names(named)}"


def _list_names(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = ", ..." if len(ordered) > _NAMES_MAX else ""
    return (", ".join(ordered[:_NAMES_MAX]) or "none") + more


def _public_handlers(service: ServiceDefinition) -> list[str]:
    handlers = service.handlers.items()
    return [name for name, handler in handlers if not handler.options.ingress_private]
