"""Names to definitions, for one runtime. An instance, never a global."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType

from .definition import HandlerDefinition, ServiceDefinition, define
from .errors import InvalidDefinitionError, UnknownTargetError
from .identity import Target
from .state_edit import EDIT_STATE, make_editor


class Registry:
    """The classes one runtime knows.

    Attributes:
        services: the definitions by name.
    """

    __slots__ = ("_editors", "_own", "services")

    def __init__(self, classes: Iterable[type], own: Iterable[type] = ()) -> None:
        """Define every class.

        Args:
            classes: what the user's runtime serves.
            own: classes of Holdfast's own, whose handlers nobody but the runtime calls.

        Raises:
            InvalidDefinitionError: a class cannot be defined, or two have one name.
        """
        # What edits the state of a class, made when it is first needed.
        self._editors: dict[str, tuple[ServiceDefinition, HandlerDefinition]] = {}
        self._own = {definition.name: definition for definition in map(define, own)}
        services: dict[str, ServiceDefinition] = {}
        for cls in classes:
            definition = define(cls)
            other = services.get(definition.name)
            if other is not None:
                message = (
                    f"{cls.__name__} is registered twice"
                    if other.cls is cls
                    else f"{_full_name(cls)} and {_full_name(other.cls)} are both called "
                    f"{definition.name!r}; give one another name in its header: name=..."
                )
                raise InvalidDefinitionError(message)
            services[definition.name] = definition
        self.services: Mapping[str, ServiceDefinition] = MappingProxyType(services)

    def get_service(self, name: str) -> ServiceDefinition:
        """The class that is called ``name``.

        Raises:
            UnknownTargetError: there is none. The message says what comes near.
        """
        service = self.services.get(name)
        if service is None:
            message = f"there is no {name!r}{_suggest(name, self.services)}"
            raise UnknownTargetError(message)
        return service

    def get_handler(self, target: Target) -> tuple[ServiceDefinition, HandlerDefinition]:
        """Whom ``target`` names.

        Raises:
            UnknownTargetError: no such class or handler, a service with a key, or an object
                without one. The message says what comes near.
        """
        service = self.services.get(target.service) or self.get_service(target.service)
        handler = service.handlers.get(target.handler)
        if handler is None:
            hint = _suggest(target.handler, service.handlers)
            message = f"{target.service} has no handler {target.handler!r}{hint}"
            raise UnknownTargetError(message)
        if service.keyed and target.key is None:
            message = (
                f"{target.service} is a {service.kind}, so a call of it names a key: "
                f"{target.service}/<key>/{target.handler}"
            )
            raise UnknownTargetError(message)
        if not service.keyed and target.key is not None:
            message = (
                f"{target.service} is a service and has no keys, but the call names "
                f"{target.key!r:.80}: use {target.service}/{target.handler}"
            )
            raise UnknownTargetError(message)
        return service, handler

    def get_code(self, target: Target) -> tuple[ServiceDefinition, HandlerDefinition]:
        """What runs a recorded ``target``, Holdfast's own handlers included.

        Raises:
            UnknownTargetError: nothing does. The message says what comes near.
        """
        service, handler = self.find_code(target)
        if service is None or handler is None:
            return self.get_handler(target)
        return service, handler

    def find_code(
        self, target: Target
    ) -> tuple[ServiceDefinition, HandlerDefinition] | tuple[None, None]:
        """What runs ``target``, Holdfast's own classes included; ``None`` twice for nothing."""
        service = self.services.get(target.service) or self._own.get(target.service)
        handler = None if service is None else service.handlers.get(target.handler)
        if handler is None and target.handler == EDIT_STATE and service is not None:
            service, handler = self._get_editor(service)
        if service is None or handler is None or service.keyed != (target.key is not None):
            return None, None
        return service, handler

    def _get_editor(
        self, service: ServiceDefinition
    ) -> tuple[ServiceDefinition, HandlerDefinition] | tuple[None, None]:
        if not service.keyed:
            return None, None
        editor = self._editors.get(service.name)
        if editor is None:
            editor = self._editors[service.name] = make_editor(service)
        return editor


def _full_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _suggest(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'ask'?``, or what there is, or nothing."""
    names = sorted(known)
    lower = {one.lower(): one for one in names}
    near = [lower[match] for match in get_close_matches(name.lower(), lower, n=3)]
    if near:
        return f"; did you mean {' or '.join(repr(one) for one in near)}?"
    if not names:
        return ""
    return f"; there is {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}"
