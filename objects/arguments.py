"""A handler's parameters as the body of a call, and back.

    parameters    body
    none          empty
    one           the JSON value of that parameter; empty where it has a default or may be None;
                  the parameter itself, where the handler accepts a type that is not JSON
    several       a JSON object of them by name, without those left to their defaults

Which of the three it is depends on how many parameters the handler declares, not on how many have
no default, so a caller can tell from the signature.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter, Signature
from typing import Any, Final, Protocol

import msgspec

from . import pydantic_models
from .errors import InvalidArgumentError
from .refusals import show
from .serde import Serde, is_decoded_by_msgspec, json_serde
from .unread_names import find_unread, say_unread

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and keyword arguments, ready for the call."""


class ArgumentCodec(Protocol):
    """One handler's way from arguments to a body and back."""

    def decode(self, data: bytes) -> Arguments:
        """The arguments that a body holds.

        Raises:
            InvalidArgumentError: the body does not fit the parameters.
        """
        ...

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The body for these arguments.

        Raises:
            InvalidArgumentError: they do not fit the parameters, or cannot be encoded.
        """
        ...


@dataclass(frozen=True, slots=True)
class ArgumentParameter:
    """One parameter with its resolved type; ``parameter.annotation`` is what was written."""

    parameter: Parameter
    annotation: Any

    @property
    def name(self) -> str:
        """The parameter's name."""
        return self.parameter.name

    @property
    def has_default(self) -> bool:
        """Whether a caller may leave it out."""
        return self.parameter.default is not Parameter.empty


def make_argument_codec(
    handler: str, parameters: Sequence[ArgumentParameter], raw: Serde[Any] | None = None
) -> ArgumentCodec:
    """The codec for a handler (named for messages) with these parameters.

    Args:
        handler: its name.
        parameters: what it takes.
        raw: for its one parameter, where the body is not JSON.

    Raises:
        InvalidDefinitionError: a type that no value can be decoded as.
    """
    codec = _make_codec(handler, parameters, raw)
    unread = next(filter(None, (find_unread(one.annotation) for one in parameters)), None)
    if unread is not None:
        codec = _ReadBack(codec, unread)
    if any(pydantic_models.may_hide_secrets(one.annotation) for one in parameters):
        return _WithSecrets(codec)
    return codec


def _make_codec(
    handler: str, parameters: Sequence[ArgumentParameter], raw: Serde[Any] | None
) -> ArgumentCodec:
    match parameters:
        case []:
            return _NoArgument()
        case [parameter]:
            return _OneArgument(parameter, raw or json_serde(parameter.annotation))
        case _:
            return _NamedArguments(handler, parameters)


class _WithSecrets:
    """A handler whose arguments may hold secrets, which must not arrive as asterisks."""

    __slots__ = ("_codec",)

    def __init__(self, codec: ArgumentCodec) -> None:
        self._codec = codec

    def decode(self, data: bytes) -> Arguments:
        return self._codec.decode(data)

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        data = self._codec.encode(args, kwargs)
        pydantic_models.check_not_hidden(data)
        return data


class _ReadBack:
    """A handler that reads a field of an argument by another name than that is written by."""

    __slots__ = ("_codec", "_unread")

    def __init__(self, codec: ArgumentCodec, unread: str) -> None:
        self._codec = codec
        self._unread = unread

    def decode(self, data: bytes) -> Arguments:
        return self._codec.decode(data)

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        data = self._codec.encode(args, kwargs)
        try:
            read_args, read_kwargs = self._codec.decode(data)
        except InvalidArgumentError:
            return data  # Whoever decodes it says why not.
        if self._codec.encode(read_args, read_kwargs) != data:
            raise InvalidArgumentError(say_unread(self._unread))
        return data


class _NoArgument:
    """A handler without parameters: the body is empty."""

    __slots__ = ()

    def decode(self, data: bytes) -> Arguments:
        if data and not data.isspace():
            message = f"it takes no argument, so the body must be empty, but it is {data[:40]!r}"
            raise InvalidArgumentError(message)
        return (), {}

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        if args or kwargs:
            message = f"it takes no argument, but was given {len(args) + len(kwargs)}"
            raise InvalidArgumentError(message)
        return b""


class _OneArgument:
    """A handler with one parameter: the body is that parameter."""

    __slots__ = ("_has_default", "_is_keyword_only", "_name", "_serde", "_signature")

    def __init__(self, parameter: ArgumentParameter, serde: Serde[Any]) -> None:
        self._name = parameter.name
        self._serde = serde
        self._has_default = parameter.has_default
        self._is_keyword_only = parameter.parameter.kind is Parameter.KEYWORD_ONLY
        self._signature = Signature([parameter.parameter])

    def decode(self, data: bytes) -> Arguments:
        if not data and self._has_default:
            return (), {}
        try:
            value = self._serde.decode(data)
        except InvalidArgumentError as error:
            expected = f"the parameter {self._name!r}"
            raise _misfit(expected, data, error) from error.__cause__
        return ((), {self._name: value}) if self._is_keyword_only else ((value,), {})

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        if len(args) == 1 and not kwargs and not self._is_keyword_only:
            return self._serde.encode(args[0])
        bound = _bind(self._signature, args, kwargs)
        return self._serde.encode(bound[self._name]) if bound else b""


class _Absent:
    """Marks a parameter that the body left to its default."""


_ABSENT: Final = _Absent()


class _NamedArguments:
    """A handler with several parameters: the body is a JSON object of them."""

    __slots__ = ("_adapted", "_decode", "_encode", "_names", "_signature")

    def __init__(self, handler: str, parameters: Sequence[ArgumentParameter]) -> None:
        self._names = tuple(parameter.name for parameter in parameters)
        # Parameters whose type msgspec leaves to pydantic stay bytes until their own serde decodes.
        self._adapted = {
            parameter.name: json_serde(parameter.annotation)
            for parameter in parameters
            if not is_decoded_by_msgspec(parameter.annotation)
        }
        body = msgspec.defstruct(
            handler,
            [self._describe(parameter) for parameter in parameters],
            kw_only=True,
            forbid_unknown_fields=True,
            omit_defaults=True,
        )
        self._decode = json_serde(body).decode
        self._encode = json_serde(dict[str, Any]).encode
        self._signature = Signature([parameter.parameter for parameter in parameters])

    def _describe(self, parameter: ArgumentParameter) -> tuple[str, Any, Any]:
        annotation = msgspec.Raw if parameter.name in self._adapted else parameter.annotation
        default: Any = _ABSENT if parameter.has_default else msgspec.NODEFAULT
        return parameter.name, annotation, msgspec.field(default=default)

    def decode(self, data: bytes) -> Arguments:
        try:
            body = self._decode(data)
        except InvalidArgumentError as error:
            expected = f"a JSON object of {', '.join(self._names)}"
            raise _misfit(expected, data, error) from error.__cause__
        given = {
            name: value for name in self._names if (value := getattr(body, name)) is not _ABSENT
        }
        for name in self._adapted.keys() & given.keys():
            given[name] = self._decode_adapted(name, bytes(given[name]))
        return (), given

    def _decode_adapted(self, name: str, data: bytes) -> Any:
        try:
            return self._adapted[name].decode(data)
        except InvalidArgumentError as error:
            message = f"{name!r} does not fit: {error.message}"
            raise InvalidArgumentError(message) from error.__cause__

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        bound = _bind(self._signature, args, kwargs)
        adapted = {
            # As its own serde will read it: pydantic may write another document than msgspec.
            name: msgspec.Raw(self._adapted[name].encode(bound[name]))
            for name in self._adapted.keys() & bound.keys()
        }
        return self._encode({**bound, **adapted})


def _misfit(expected: str, data: bytes, error: InvalidArgumentError) -> InvalidArgumentError:
    """What a caller is told of a body that is no JSON, or not ``expected``."""
    match error.__cause__:
        case msgspec.DecodeError() as cause if data and type(cause) is msgspec.DecodeError:
            message = f"the body is to be {expected}, and {show(data)} is not JSON: {cause}"
        case _:
            found = error.message if data else "it is empty"
            message = f"the body, which is {expected}, does not fit: {found}"
    return InvalidArgumentError(message)


def _bind(
    signature: Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Mapping[str, Any]:
    try:
        return signature.bind(*args, **kwargs).arguments
    except TypeError as error:
        message = f"its parameters are {signature}, which do not fit this call: {error}"
        raise InvalidArgumentError(message) from None
