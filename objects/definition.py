"""A class, inspected once: everything a runtime needs to know of it to run its handlers.

Here the annotations are evaluated, so this happens when a class is registered or first called, not
when it is written. This module does not know how a handler is run.
"""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from inspect import getdoc, signature
from types import MappingProxyType
from typing import Any, Final, Literal

from .annotations import describe_name, resolve_annotation, underlying_function
from .arguments import ArgumentCodec, ArgumentParameter, Arguments, make_argument_codec
from .constraints import in_words_of_msgspec, needs_pydantic
from .errors import InvalidArgumentError, InvalidDefinitionError
from .fields import SYSCALLS_ATTRIBUTE, StateField
from .fingerprints import find_code, fingerprint_of
from .handler import Handler
from .media import JSON, is_json, raw_serde, to_json
from .options import HandlerOptions
from .serde import Serde, check_bounds, find_unsupported_type, result_serde
from .service import (
    RUN,
    Declaration,
    Declared,
    Service,
    VirtualObject,
    Workflow,
    check_has_run,
    check_service_name,
)
from .syscalls import Syscalls

Kind = Literal["virtual object", "workflow", "service"]

_DEFINITION_ATTRIBUTE: Final = "_holdfast_definition"


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerDefinition:
    """One handler of a class.

    Attributes:
        service: the name of the class, as callers say it.
        name: the name of the handler, as callers say it.
        attribute: what the class calls it.
        shared: whether it runs beside others at its key, reading only.
        is_run: whether it is the one of a workflow that executes once per key.
        function: call it with an instance, a context and what ``decode_argument`` gives.
        options: the handler's options over those of its class.
        parameters: what it takes after the context, with resolved types.
        returns: the resolved type of what it returns.
        result: JSON of what it returns.
        argument: the parameters as a body; use the two methods, whose errors name the handler.
        source: where it is written, as ``"assistant.py:12"``.
        documentation: its docstring, or ``None``.
        accept: the content type of a body, perhaps with ``*``.
        content_type: that of what it returns.
        takes_raw: whether the body is the parameter itself, byte for byte, and no JSON of it.
        returns_raw: whether what is recorded is the result itself, and no JSON of it.
    """

    service: str
    name: str
    attribute: str
    shared: bool
    is_run: bool
    function: Callable[..., Coroutine[Any, Any, Any]]
    options: HandlerOptions
    parameters: tuple[ArgumentParameter, ...]
    returns: Any
    result: Serde[Any]
    argument: ArgumentCodec
    source: str
    documentation: str | None
    accept: str = JSON
    content_type: str = JSON
    takes_raw: bool = False
    returns_raw: bool = False

    @property
    def fingerprint(self) -> str:
        """Eight hex digits that tell its code from other code; empty where there is none to see."""
        code = find_code(self.function)
        return "" if code is None else fingerprint_of(code)

    @property
    def takes_input(self) -> bool:
        """Whether it has a parameter besides the context."""
        return bool(self.parameters)

    def decode_argument(self, data: bytes) -> Arguments:
        """The arguments that the body of a call holds.

        Raises:
            InvalidArgumentError: the body does not fit; the message names handler and field.
        """
        try:
            return self.argument.decode(data)
        except InvalidArgumentError as error:
            raise self._named(error) from error.__cause__

    def encode_argument(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The body of a call with these arguments.

        Raises:
            InvalidArgumentError: they do not fit the parameters, or cannot be encoded.
        """
        try:
            return self.argument.encode(args, kwargs)
        except InvalidArgumentError as error:
            raise self._named(error) from error.__cause__

    def result_as_json(self, result: bytes) -> bytes:
        """A result of it, as recorded, as JSON: base64 of bytes, and a text as it is."""
        return to_json(result, self.returns) if self.returns_raw else result

    def _named(self, error: InvalidArgumentError) -> InvalidArgumentError:
        return InvalidArgumentError(f"{self.service}/{self.name}: {error.message}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDefinition:
    """One class of handlers.

    Attributes:
        name: what callers say.
        kind: what its class derives from.
        keyed: whether it has a key: a virtual object or a workflow.
        cls: the class.
        handlers: by the name that callers say.
        attributes: the same handlers by the name that the class uses.
        fields: state fields by the name of the stored value; empty for a service.
        is_private: whether the class as a whole is not for HTTP; a handler may say otherwise.
    """

    name: str
    kind: Kind
    keyed: bool
    cls: type[Declared]
    handlers: Mapping[str, HandlerDefinition]
    attributes: Mapping[str, HandlerDefinition]
    fields: Mapping[str, StateField[Any]]
    is_private: bool = False

    def new_instance(self, syscalls: Syscalls) -> Any:
        """An instance of the class bound to ``syscalls``, for one attempt."""
        instance = self.cls.__new__(self.cls)
        object.__setattr__(instance, SYSCALLS_ATTRIBUTE, syscalls)
        # After binding, so that an ``__init__`` of the user's may read state.
        instance.__init__()  # type: ignore[misc]  # takes no arguments: _check_init saw to it
        object.__setattr__(instance, "_holdfast_is_made", True)
        return instance


def define(cls: Any) -> ServiceDefinition:
    """The definition of ``cls``, made at the first call and kept with the class.

    Raises:
        InvalidDefinitionError: ``cls`` is no class of handlers, has none, or an annotation of it
            cannot be resolved or decoded.
    """
    if not isinstance(cls, type):
        message = f"expected a class, but found {type(cls).__name__}: {cls!r:.80}; pass the class"
        raise InvalidDefinitionError(message)
    kept: ServiceDefinition | None = vars(cls).get(_DEFINITION_ATTRIBUTE)
    if kept is None:
        kept = _inspect(cls)
        # On the class and not in a table of ours: it lives as long as the class does.
        setattr(cls, _DEFINITION_ATTRIBUTE, kept)
    return kept


def _inspect(cls: type) -> ServiceDefinition:
    where = describe_name(cls)
    if not issubclass(cls, Declared) or cls in {Declared, VirtualObject, Workflow, Service}:
        message = (
            f"{where} is no class of handlers; derive a class from VirtualObject, Workflow or "
            f"Service"
        )
        raise InvalidDefinitionError(message)
    declaration = cls.holdfast_declaration
    check_service_name(declaration.name, where, cls)
    if not declaration.members.handlers:
        message = f"{where} has no handler; decorate an `async def` with @handler or @shared"
        raise InvalidDefinitionError(message)
    kind = _kind_of(cls)
    if kind == "workflow":
        check_has_run(declaration.members, where)
    for field in declaration.members.fields.values():
        field.resolve()
    attributes = {
        attribute: _inspect_handler(cls, declaration, handler)
        for attribute, handler in declaration.members.handlers.items()
    }
    return ServiceDefinition(
        name=declaration.name,
        kind=kind,
        keyed=kind != "service",
        cls=cls,
        handlers=MappingProxyType({one.name: one for one in attributes.values()}),
        attributes=MappingProxyType(attributes),
        fields=MappingProxyType({one.name: one for one in declaration.members.fields.values()}),
        is_private=declaration.options.ingress_private is True,
    )


def _kind_of(cls: type[Declared]) -> Kind:
    if issubclass(cls, Service):
        return "service"
    return "workflow" if issubclass(cls, Workflow) else "virtual object"


def _inspect_handler(
    cls: type, declaration: Declaration, handler: Handler[..., Any]
) -> HandlerDefinition:
    where = f"{describe_name(cls)}.{handler.attribute} ({handler.source})"
    shape = signature(handler.function)
    parameters = tuple(
        ArgumentParameter(
            parameter,
            _resolve(cls, handler, parameter.annotation, f"{where}: parameter {parameter.name!r}"),
        )
        for parameter in list(shape.parameters.values())[2:]
    )
    returns = _resolve(cls, handler, shape.return_annotation, f"{where}: the result")
    options = handler.options.merged(declaration.options)
    accept, content_type = options.accept or JSON, options.content_type or JSON
    try:
        for parameter in parameters:
            check_bounds(parameter.annotation)
        raw = None if is_json(accept) else _raw_argument(accept, parameters)
        argument = make_argument_codec(handler.name, parameters, raw)
        returns_raw = not is_json(content_type)
        result = (
            raw_serde(content_type, returns, "the result") if returns_raw else result_serde(returns)
        )
    except InvalidDefinitionError as error:
        message = f"{where}: {error.message}"
        raise InvalidDefinitionError(message) from error.__cause__
    is_run = handler.name == RUN and issubclass(cls, Workflow)
    if options.webhook is not None:
        if options.ingress_private:
            message = f"{where}: webhooks come over HTTP; leave ingress_private out"
            raise InvalidDefinitionError(message)
        _check_webhook(parameters, where, is_run=is_run, is_raw=raw is not None)
    return HandlerDefinition(
        service=declaration.name,
        name=handler.name,
        attribute=handler.attribute,
        shared=handler.is_shared,
        is_run=is_run,
        function=handler.function,
        options=options,
        parameters=parameters,
        returns=returns,
        result=result,
        argument=argument,
        source=handler.source,
        documentation=getdoc(handler.function),
        accept=accept,
        content_type=content_type,
        takes_raw=raw is not None,
        returns_raw=returns_raw,
    )


def _raw_argument(accept: str, parameters: tuple[ArgumentParameter, ...]) -> Serde[Any]:
    if len(parameters) != 1:
        message = (
            f"accept={accept!r} is no JSON, and so the whole body is one value, but there are "
            f"{len(parameters)} parameters; take one, as bytes"
        )
        raise InvalidDefinitionError(message)
    (parameter,) = parameters
    serde = raw_serde(accept, parameter.annotation, f"parameter {parameter.name!r}")
    default = parameter.parameter.default
    if parameter.has_default and (default or not isinstance(default, bytes | str)):
        message = (
            f"parameter {parameter.name!r} has a default, and an empty body is an empty value "
            f"where it is not JSON; leave the default out"
        )
        raise InvalidDefinitionError(message)
    return serde


def _check_webhook(
    parameters: tuple[ArgumentParameter, ...], where: str, *, is_run: bool, is_raw: bool
) -> None:
    if is_raw:
        message = f"{where}: a webhook is handed on as JSON; leave accept out"
        raise InvalidDefinitionError(message)
    if is_run:
        message = (
            f"{where}: a webhook's id is an idempotency key, and {RUN!r} of a Workflow takes none; "
            f"let a Service take the webhook and send to the workflow"
        )
        raise InvalidDefinitionError(message)
    if len(parameters) != 1:
        message = (
            f"{where}: a handler that takes webhooks has one parameter, the event, for example "
            f"`event: dict[str, Any]`"
        )
        raise InvalidDefinitionError(message)


def _resolve(cls: type, handler: Handler[..., Any], raw: Any, where: str) -> Any:
    module_names = getattr(underlying_function(handler.function), "__globals__", {})
    try:
        annotation = resolve_annotation(raw, module_names, vars(cls))
    except Exception as error:
        message = (
            f"{where}: the annotation {raw!r} cannot be resolved ({error}); import the type in "
            f"its module, outside of `if TYPE_CHECKING`"
        )
        raise InvalidDefinitionError(message) from error
    annotation = in_words_of_msgspec(annotation)
    unsupported = None if needs_pydantic(annotation) else find_unsupported_type(annotation)
    if unsupported is not None:
        message = (
            f"{where}: {unsupported} cannot be sent; use builtins, dataclasses, TypedDict, "
            f"msgspec or pydantic types"
        )
        raise InvalidDefinitionError(message)
    return annotation
