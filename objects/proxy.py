"""Reaching an object or a service: typed by its class, or by name for those without the class.

``object_proxy`` gives something that checkers take for an instance of the class and that knows
nothing but how to make handles. It holds no state and no connection, and costs nothing to make.
"""

from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, Final, TypeVar, cast

from .call_options import PLAIN, CallOptions
from .definition import HandlerDefinition, ServiceDefinition, define
from .errors import InvalidArgumentError
from .handle import Handle
from .identity import Target, check_key, exact
from .media import sent_as
from .serde import SENT_JSON, Serde, json_serde
from .syscalls import Caller

T = TypeVar("T")


class _NoArgument:
    """Marks a call by name without an argument; ``None`` is JSON's null."""

    def __repr__(self) -> str:
        """For signatures in documentation."""
        return "NO_ARGUMENT"


NO_ARGUMENT: Final = _NoArgument()
_any_json: Final = json_serde(Any)


def object_proxy(caller: Caller, cls: type[T], key: str, options: CallOptions = PLAIN) -> T:
    """The object of class ``cls`` at ``key``, as far as ``caller`` can reach it.

    Raises:
        InvalidArgumentError: the key cannot name an object, or ``cls`` is no virtual object.
        InvalidDefinitionError: ``cls`` is no class of handlers.
    """
    definition = define(cls)
    if definition.kind != "virtual object":
        raise _is_other_kind(definition)
    return cast("T", Proxy(caller, definition, check_key(key), options))


def workflow_proxy(caller: Caller, cls: type[T], key: str, options: CallOptions = PLAIN) -> T:
    """The workflow of class ``cls`` at ``key``, as far as ``caller`` can reach it.

    Raises:
        InvalidArgumentError: the key cannot name a workflow, or ``cls`` is none.
        InvalidDefinitionError: ``cls`` is no class of handlers.
    """
    return cast("T", Proxy(caller, define_workflow(cls), check_key(key), options))


def define_workflow(cls: type) -> ServiceDefinition:
    """The definition of ``cls``, which is a workflow.

    Raises:
        InvalidArgumentError: it is none.
        InvalidDefinitionError: ``cls`` is no class of handlers.
    """
    definition = define(cls)
    if definition.kind != "workflow":
        raise _is_other_kind(definition)
    return definition


def service_proxy(caller: Caller, cls: type[T], options: CallOptions = PLAIN) -> T:
    """The service of class ``cls``, as far as ``caller`` can reach it.

    Raises:
        InvalidArgumentError: ``cls`` is a virtual object or a workflow.
        InvalidDefinitionError: ``cls`` is no class of handlers.
    """
    definition = define(cls)
    if definition.keyed:
        raise _is_other_kind(definition)
    return cast("T", Proxy(caller, definition, None, options))


def _is_other_kind(definition: ServiceDefinition) -> InvalidArgumentError:
    cls = definition.cls.__name__
    cure = {
        "virtual object": f"use object({cls}, key)",
        "workflow": f"use workflow({cls}, key)",
        "service": f"has no keys; use service({cls})",
    }[definition.kind]
    joint = " and " if definition.kind == "service" else "; "
    return InvalidArgumentError(f"{definition.name} is a {definition.kind}{joint}{cure}")


def call_by_name(  # noqa: PLR0913 - a target is three names, and callers write them out
    caller: Caller,
    service: str,
    key: str | None,
    handler: str,
    argument: object = NO_ARGUMENT,
    *,
    options: CallOptions = PLAIN,
) -> Awaitable[Any]:
    """Call a handler by name; ``key`` is ``None`` for a service.

    ``argument`` is what JSON can say: the parameter itself where the handler has one, a dict of
    them where it has several. The result is whatever its JSON says.

    Raises:
        InvalidArgumentError: a name is no text, the key no key, or the argument cannot be encoded.
    """
    target = _make_target(service, key, handler)
    known = caller.find_handler(target)
    if known is None or not (known.takes_raw or known.returns_raw):
        return caller.call(target, _encode(argument), _any_json, options)
    result = known.result if known.returns_raw else _any_json
    return caller.call(target, *_encode_for(known, argument, result, options))


def send_by_name(  # noqa: PLR0913 - a target is three names, and callers write them out
    caller: Caller,
    service: str,
    key: str | None,
    handler: str,
    argument: object = NO_ARGUMENT,
    *,
    delay: timedelta | float | None = None,
    options: CallOptions = PLAIN,
) -> Awaitable[str]:
    """Have a handler called once by name, after ``delay``; gives the invocation's text id.

    Raises:
        InvalidArgumentError: as ``call_by_name``, or the delay is no duration.
    """
    target = _make_target(service, key, handler)
    known = caller.find_handler(target)
    options = options.with_delay(delay)
    if known is None or not known.takes_raw:
        return caller.send(target, _encode(argument), options)
    data, _, options = _encode_for(known, argument, _any_json, options)
    return caller.send(target, data, options)


class Proxy:
    """Stands for an instance that lives in a runtime: its attributes are handles."""

    __slots__ = (
        "_holdfast_caller",
        "_holdfast_definition",
        "_holdfast_key",
        "_holdfast_options",
    )

    def __init__(
        self,
        caller: Caller,
        definition: ServiceDefinition,
        key: str | None,
        options: CallOptions,
    ) -> None:
        """``object_proxy`` and its like make these."""
        self._holdfast_caller = caller
        self._holdfast_definition = definition
        self._holdfast_key = key
        self._holdfast_options = options

    def __repr__(self) -> str:
        """For messages: whom this reaches."""
        key = "" if self._holdfast_key is None else f"/{self._holdfast_key}"
        return f"<{self._holdfast_definition.name}{key}>"

    def __dir__(self) -> list[str]:
        """The handlers."""
        return sorted(self._holdfast_definition.attributes)

    def __getattr__(self, name: str) -> Handle[..., Any]:
        """The handler that the class calls ``name``.

        Raises:
            AttributeError: there is none; the message says which there are.
        """
        definition = self._holdfast_definition
        handler = definition.attributes.get(name)
        if handler is None:
            raise AttributeError(_no_such_handler(definition, name))
        target = Target(definition.name, self._holdfast_key, handler.name)
        options = self._holdfast_options
        if handler.takes_raw:
            options = replace(options, content_type=sent_as(handler.accept))
        return Handle(
            self._holdfast_caller, target, handler.encode_argument, handler.result, options
        )


def _no_such_handler(definition: ServiceDefinition, name: str) -> str:
    cls = definition.cls.__name__
    if any(field.attribute == name for field in definition.fields.values()):
        return f"{cls}.{name} is state, which only the object's own handlers reach; add a handler"
    near = get_close_matches(name, definition.attributes, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{cls} has no handler {name!r}{hint} (it has {', '.join(definition.attributes)})"


def _make_target(service: object, key: object, handler: object) -> Target:
    if not isinstance(service, str) or not isinstance(handler, str):
        message = (
            f"a call by name takes a service, a key (None for a service) and a handler, but was "
            f"given {service!r:.40}, {key!r:.40} and {handler!r:.40}"
        )
        raise InvalidArgumentError(message)
    return Target(exact(service), None if key is None else check_key(key), exact(handler))


def _encode(argument: object) -> bytes:
    return b"" if argument is NO_ARGUMENT else SENT_JSON.encode(argument)


def _encode_for(
    handler: HandlerDefinition, argument: object, result: Serde[Any], options: CallOptions
) -> tuple[bytes, Serde[Any], CallOptions]:
    """What a call by name is made with, where the callee takes or gives no JSON."""
    if not handler.takes_raw:
        return _encode(argument), result, options
    options = replace(options, content_type=sent_as(handler.accept))
    args = () if argument is NO_ARGUMENT else (argument,)
    return handler.encode_argument(args, {}), result, options
