"""``@handler`` and ``@shared``: what makes a method callable from elsewhere.

Decorating describes and registers nowhere. What can be seen of a function without its class and
without evaluating an annotation is checked here; the rest is ``definition``'s.
"""

import re
from collections.abc import Callable, Coroutine, Iterable
from datetime import timedelta
from inspect import Parameter, isasyncgenfunction, iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, ParamSpec, TypeVar, overload

from .annotations import describe_name, describe_source
from .errors import InvalidDefinitionError
from .handle import DirectHandle, Handle
from .options import HandlerOptions
from .retry import RetryPolicy
from .webhook import Webhook

if TYPE_CHECKING:
    from .context import Context

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

NAME_PATTERN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
NAME_CHARACTERS_MAX: Final = 128
RESERVED_HANDLER_NAMES: Final = frozenset({"send", "call", "attach", "output"})
"""Words that stand where a handler's name stands in an HTTP path."""


class Handler(Generic[P, R_co]):
    """A method that can be called from elsewhere, as its decorator described it.

    Attributes:
        function: the ``async def`` itself.
        name: what callers say; the method's name unless the decorator gave one.
        attribute: what the class calls it.
        is_shared: whether it runs beside others at the same key, reading only.
        options: what the decorator said about running it.
        source: where it is written, as ``"assistant.py:12"``.
    """

    __slots__ = ("attribute", "function", "is_shared", "name", "options", "source")

    def __init__(
        self,
        function: Callable[..., Coroutine[Any, Any, R_co]],
        *,
        name: str | None,
        is_shared: bool,
        options: HandlerOptions,
    ) -> None:
        """Describe ``function``; ``handler`` and ``shared`` are what users call."""
        self.function = function
        self.is_shared = is_shared
        self.options = options
        self.attribute = function.__name__
        self.name = function.__name__ if name is None else name
        self.source = describe_source(function)

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn what the class calls this handler."""
        if self.name == self.attribute:
            self.name = name
        self.attribute = name

    def __repr__(self) -> str:
        """For messages: the class, the method and where it is written."""
        return f"<handler {describe_name(self.function)} ({self.source})>"

    @overload
    def __get__(self, instance: None, owner: type) -> "Handler[P, R_co]": ...
    @overload
    def __get__(self, instance: object, owner: type) -> Handle[P, R_co]: ...
    def __get__(self, instance: object, owner: type) -> Any:
        """On the class, this handler. Checkers see a proxy's attribute as that of an instance."""
        if instance is None:
            return self
        return DirectHandle[P, R_co](owner.__name__, self.attribute)


@overload
def handler(
    function: "Callable[Concatenate[Any, Context, P], Coroutine[Any, Any, R]]", /
) -> Handler[P, R]: ...
@overload
def handler(
    *,
    name: str | None = None,
    retry: RetryPolicy | None = None,
    idle_ms_max: int | None = None,
    mailbox_invocations_max: int | None = None,
    retention: timedelta | None = None,
    journal_retention: timedelta | None = None,
    idempotency_retention: timedelta | None = None,
    workflow_retention: timedelta | None = None,
    webhook: Webhook | None = None,
    ingress_private: bool | None = None,
    accept: str | None = None,
    content_type: str | None = None,
) -> (
    "Callable[[Callable[Concatenate[Any, Context, P], Coroutine[Any, Any, R]]], Handler[P, R]]"
): ...
def handler(function: Any = None, /, *, name: str | None = None, **options: Any) -> Any:
    """An exclusive handler: at one key, one runs at a time, and it may change the state.

    Use it bare, or with options (see ``HandlerOptions``) and the name that callers use.

    Raises:
        InvalidDefinitionError: the method cannot be a handler.
    """
    return _decorate(function, name, options, is_shared=False)


@overload
def shared(
    function: "Callable[Concatenate[Any, Context, P], Coroutine[Any, Any, R]]", /
) -> Handler[P, R]: ...
@overload
def shared(
    *,
    name: str | None = None,
    retry: RetryPolicy | None = None,
    idle_ms_max: int | None = None,
    mailbox_invocations_max: int | None = None,
    retention: timedelta | None = None,
    journal_retention: timedelta | None = None,
    idempotency_retention: timedelta | None = None,
    workflow_retention: timedelta | None = None,
    webhook: Webhook | None = None,
    ingress_private: bool | None = None,
    accept: str | None = None,
    content_type: str | None = None,
) -> (
    "Callable[[Callable[Concatenate[Any, Context, P], Coroutine[Any, Any, R]]], Handler[P, R]]"
): ...
def shared(function: Any = None, /, *, name: str | None = None, **options: Any) -> Any:
    """A shared handler: it runs beside any other at its key, and only reads the state.

    Use it bare, or with options (see ``HandlerOptions``) and the name that callers use.

    Raises:
        InvalidDefinitionError: the method cannot be a handler.
    """
    return _decorate(function, name, options, is_shared=True)


def check_name(name: object, kind: str, where: str) -> str:
    """``name``, when it can stand in a path; ``kind`` says of what it is the name.

    Raises:
        InvalidDefinitionError: it is no such text, or begins as Holdfast's own names do.
    """
    if not isinstance(name, str) or not NAME_PATTERN.fullmatch(name):
        message = (
            f"{where}: {name!r:.80} cannot be the name of a {kind}; use letters, digits, '_', '.' "
            f"and '-', beginning with a letter"
        )
        raise InvalidDefinitionError(message)
    if len(name) > NAME_CHARACTERS_MAX:
        message = f"{where}: the name of a {kind} is at most {NAME_CHARACTERS_MAX} characters long"
        raise InvalidDefinitionError(message)
    if name.startswith(("_", "holdfast")):
        message = (
            f"{where}: {name!r} cannot be the name of a {kind}: names that begin with '_' or "
            f"'holdfast' are reserved; give another one with name=..."
        )
        raise InvalidDefinitionError(message)
    return name


def check_handler_name(name: object, where: str) -> str:
    """``name``, when a handler can have it.

    Raises:
        InvalidDefinitionError: as ``check_name``, or it is a word of the HTTP paths.
    """
    checked = check_name(name, "handler", where)
    if checked in RESERVED_HANDLER_NAMES:
        message = (
            f"{where}: {checked!r} cannot be the name of a handler, because it has a meaning of "
            f"its own in HTTP paths; rename the method, or give another name with name=..."
        )
        raise InvalidDefinitionError(message)
    return checked


def unknown_options(where: str, place: str, given: Iterable[str]) -> InvalidDefinitionError:
    """What to raise where ``given`` holds options that ``place``, as a person sees it, has not."""
    known = ("name", *HandlerOptions.__slots__)
    unknown = ", ".join(sorted(set(given) - set(known)))
    message = f"{where}: {place} knows no option {unknown}; there are {', '.join(known)}"
    return InvalidDefinitionError(message)


def _decorate(function: Any, name: str | None, options: dict[str, Any], *, is_shared: bool) -> Any:
    word = "@shared" if is_shared else "@handler"

    def describe(function: Any) -> Handler[..., Any]:
        where = _check_function(function, word)
        if name is not None:
            check_handler_name(name, where)
        try:
            handler_options = HandlerOptions(**options)
        except InvalidDefinitionError as error:
            message = f"{where}: {error.message}"
            raise InvalidDefinitionError(message) from None
        except TypeError:
            raise unknown_options(where, word, options) from None
        return Handler(function, name=name, is_shared=is_shared, options=handler_options)

    return describe if function is None else describe(function)


def _check_function(function: Any, word: str) -> str:
    """Where ``function`` is written, for messages, when it can be a handler.

    Raises:
        InvalidDefinitionError: it cannot; the message says why and what to write instead.
    """
    if isinstance(function, Handler):
        message = f"{function!r} is decorated twice; keep one of @handler and @shared"
        raise InvalidDefinitionError(message)
    if not callable(function) or isinstance(function, type):
        message = (
            f"{word} decorates an `async def` method, but was given {type(function).__name__}: "
            f"{function!r:.80}; options go by keyword, and a handler is no static or class method"
        )
        raise InvalidDefinitionError(message)
    where = f"{describe_name(function)} ({describe_source(function)})"
    if isasyncgenfunction(function):
        message = f"{where}: a handler returns one value, so it must not `yield`; return a list"
        raise InvalidDefinitionError(message)
    if not iscoroutinefunction(function):
        message = f"{where}: a handler must be `async def`"
        raise InvalidDefinitionError(message)
    _check_parameters(function, where)
    return where


def _check_parameters(function: Any, where: str) -> None:
    shape = signature(function)
    parameters = list(shape.parameters.values())
    if len(parameters) < 2 or not _is_context(parameters[1]):  # self and ctx
        message = (
            f"{where}: a handler takes the context after self: "
            f"`async def {function.__name__}(self, ctx: Context, ...)`"
        )
        raise InvalidDefinitionError(message)
    for parameter in parameters[2:]:
        if parameter.kind in {Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD}:
            message = (
                f"{where}: a handler cannot take `{parameter}`; name each parameter, or take one "
                f"list or dict"
            )
            raise InvalidDefinitionError(message)
        if parameter.kind is Parameter.POSITIONAL_ONLY:
            message = (
                f"{where}: parameter {parameter.name!r} is positional-only, but a body names its "
                f"parameters; remove the `/`"
            )
            raise InvalidDefinitionError(message)
        if parameter.name == "delay":
            message = (
                f"{where}: a parameter cannot be called 'delay', because that is what "
                f".send(..., delay=...) takes; call it otherwise, for example 'delay_s'"
            )
            raise InvalidDefinitionError(message)
        if parameter.annotation is Parameter.empty:
            message = (
                f"{where}: parameter {parameter.name!r} has no annotation; the body is checked "
                f"against it, so write `{parameter.name}: <type>` (`Any` takes everything)"
            )
            raise InvalidDefinitionError(message)
    if shape.return_annotation is shape.empty:
        message = f"{where}: there is no return annotation; write `-> <type>:`, or `-> None:`"
        raise InvalidDefinitionError(message)


def _is_context(parameter: Parameter) -> bool:
    """Whether this looks like the context: nothing is evaluated yet, so looks must do."""
    if parameter.kind not in {Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD}:
        return False
    annotation = parameter.annotation
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return parameter.name in {"ctx", "context"} or text.strip("\"'").split(".")[-1] == "Context"
