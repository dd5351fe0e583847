"""Values to bytes and back, at the handler's edge.

Two encodings, chosen by who reads them. JSON at the doors, where strangers read and write:
arguments, results, awakeables. MessagePack for what only Holdfast reads back: results of steps and
state. Both are made from an annotation, once, and decode by validating against it.

JSON here is strict JSON: no NaN, no infinities, no whole number beyond 64 bits (nothing further
inside could hold it). ``None`` is ``null``, or nothing at all where the annotation is just
``None``; an empty document is ``None`` wherever the annotation allows one. The same value is the
same JSON in every process, sets included.

This module does not know what the bytes are for or where they go.
"""

import contextlib
import json
from asyncio import CancelledError
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

import msgspec

from . import pydantic_models
from .constraints import (
    in_words_of_msgspec,
    is_pydantic_type,
    is_unknown_to_msgspec,
    needs_pydantic,
)
from .errors import InvalidArgumentError, InvalidDefinitionError
from .foreign import (
    from_builtin,
    from_named_builtin,
    to_json_builtin,
    to_named_builtin,
    to_packed_builtin,
    to_sent_builtin,
)
from .nesting import BYTES_MAX, decode_deep
from .pydantic_words import in_words_of_pydantic
from .refusals import describe_type, refuse_document, refuse_value, show
from .set_order import PLAIN, holds_sets, may_hold_sets, order_sets
from .unchecked import find_unchecked
from .unread_names import find_unread, reads_names, say_unread

T = TypeVar("T")

Build = Callable[[Any], "Serde[Any]"]
Hook = Callable[[Any], Any]

RAISED_BY_TYPES: Final = (Exception, CancelledError, GeneratorExit, SystemExit)
"""What a value's own code may raise while it is made or written, as a ``__post_init__`` that parses
with ``argparse``. It ends neither the program nor a decision that it is called in."""


class Serde(Protocol[T]):
    """One type's way to bytes and back."""

    def encode(self, value: T) -> bytes:
        """The bytes of ``value``.

        Raises:
            InvalidArgumentError: it cannot be encoded; the message names the type at fault.
        """
        ...

    def decode(self, data: bytes) -> T:
        """The value that ``data`` holds.

        Raises:
            InvalidArgumentError: ``data`` is malformed or of another type; the message names the
                path, what was expected and what was found.
        """
        ...


def json_serde(annotation: Any) -> Serde[Any]:
    """JSON for values of ``annotation``; ``Any`` takes whatever JSON can say.

    Raises:
        InvalidDefinitionError: no value of this type could ever be decoded.
    """
    return _made_once(_build_json, annotation)


def asked_serde(annotation: Any) -> Serde[Any]:
    """As ``json_serde``, for what comes from strangers: every bound that it says is looked at.

    Raises:
        InvalidDefinitionError: also where a class in it says one that nobody would look at.
    """
    return _made_once(_build_asked, annotation)


def result_serde(annotation: Any) -> Serde[Any]:
    """As ``json_serde``, for what a handler returns and a program reads back as the same type."""
    unread = find_unread(annotation)
    serde = json_serde(annotation)
    return serde if unread is None else _ReadBackSerde(serde, unread)


def check_bounds(annotation: Any) -> None:
    """Refuse a type that says a bound which nobody would look at.

    Raises:
        InvalidDefinitionError: it stands in a class that is read by who does not know it, msgspec
            or pydantic; or no value of this type could ever be decoded.
    """
    by_pydantic = isinstance(json_serde(annotation), _AdaptedSerde)
    unchecked = find_unchecked(annotation, by_pydantic=by_pydantic)
    if unchecked is not None:
        raise InvalidDefinitionError(unchecked)


def packed_serde(annotation: Any) -> Serde[Any]:
    """MessagePack for values of ``annotation``.

    Raises:
        InvalidDefinitionError: no value of this type could ever be decoded.
    """
    return _made_once(_build_packed, annotation)


def is_decoded_by_msgspec(annotation: Any) -> bool:
    """Whether ``annotation`` can be a part of a type that msgspec decodes as a whole."""
    return not isinstance(json_serde(annotation), _AdaptedSerde)


def find_unsupported_type(annotation: Any) -> str | None:
    """The name of a type within ``annotation`` that could not be decoded, if there is one."""
    strange = _find_strange_types(annotation)
    return _describe_strange(strange[0]) if strange else None


def _describe_strange(cls: type) -> str:
    where = ", in a class that is none of pydantic's," if is_pydantic_type(cls) else ""
    return describe_type(cls) + where


def _find_strange_types(annotation: Any) -> list[type]:
    """The types within ``annotation`` that neither msgspec nor pydantic knows."""
    strange: list[type] = []
    if is_unknown_to_msgspec(annotation):
        return strange  # It is pydantic's as a whole.

    def note(cls: type) -> dict[str, object]:
        if cls is not object and not pydantic_models.is_model(cls):
            strange.append(cls)
        return {"type": "object"}

    # Whether it can be decoded is asked of the decoder; not everything that can has a schema.
    with contextlib.suppress(TypeError):
        msgspec.json.schema_components((annotation,), schema_hook=note)
    return strange


_OF_JSON: Final[tuple[Any, ...]] = ("", 0, 0.0, True, [], {})
"""A value of each type that JSON is decoded as."""


def _is_ever_decoded(cls: type) -> bool:
    """Whether anything that JSON says is a ``cls``, which msgspec does not know."""
    try:
        return any(isinstance(value, cls) for value in _OF_JSON)
    except TypeError:  # A protocol that cannot be asked; decoding could not ask it either.
        return False


_encode_json = msgspec.json.Encoder(enc_hook=to_json_builtin).encode
_encode_sent = msgspec.json.Encoder(enc_hook=to_sent_builtin).encode
_encode_packed = msgspec.msgpack.Encoder(enc_hook=to_packed_builtin).encode
_encode_named = msgspec.msgpack.Encoder(enc_hook=to_named_builtin).encode
_check_numbers = msgspec.msgpack.Encoder(enc_hook=to_json_builtin).encode
"""Encode to nobody: it may hold secrets, and raises what a number beyond 64 bits does."""
_decode_any_packed = msgspec.msgpack.Decoder().decode
_decode_any_json = msgspec.json.Decoder().decode
_check_floats = json.JSONEncoder(allow_nan=False, check_circular=False).encode

# What MessagePack has words of its own for, or msgspec writes in it otherwise than in JSON.
_PACKED_AS_THEY_ARE = (bytes, bytearray, memoryview, datetime, date, time, timedelta, UUID, Decimal)

# To search for nineteen zeros in what this makes of a document is some twenty times as fast as a
# pattern for nineteen digits, which stops the loop for a second where a document is long.
_DIGITS_AS_ZEROS = bytes(0x30 if 0x30 <= each <= 0x39 else 1 for each in range(256))
_LONG = 19
_LONG_NUMBER = b"0" * _LONG


def _may_hold_long_number(data: bytes) -> bool:
    """Whether nineteen digits follow each other, which may be a number beyond 64 bits."""
    return _LONG_NUMBER in data.translate(_DIGITS_AS_ZEROS)


def _refuse_unless_strict_json(value: Any, data: bytes) -> None:
    """Refuse what msgspec would write or read although JSON's other readers would not agree.

    The two searches cost next to nothing; only a document that holds a ``null``, which may have
    been a NaN, or nineteen digits in a row, which may be a number beyond 64 bits, is looked at.
    """
    if value is not None and b"null" in data:
        builtins = msgspec.to_builtins(value, str_keys=True, enc_hook=to_json_builtin)
        _check_floats(builtins)
    if len(data) >= _LONG and _may_hold_long_number(data):
        _check_numbers(value)


def _with_sets_in_order(data: bytes, value: Any, builtins: Any) -> bytes:
    """``data``, the JSON of ``value`` and of ``builtins``, with sets in an order of their own.

    Sets are JSON lists, so only a document with a ``[`` can hold one.
    """
    if not holds_sets(value):
        return data
    if builtins is value:
        builtins = msgspec.to_builtins(value, str_keys=True, enc_hook=to_json_builtin)
    return _encode_json(order_sets(builtins, value, _encode_json))


def _write_packed(value: Any, builtins: Any, to_builtin: Hook = to_packed_builtin) -> bytes:
    """MessagePack of ``value``, which is to become ``builtins``, with sets in such an order."""
    encode = _encode_named if to_builtin is to_named_builtin else _encode_packed
    data = encode(builtins)
    if holds_sets(value):
        if builtins is value:
            builtins = msgspec.to_builtins(
                value, builtin_types=_PACKED_AS_THEY_ARE, enc_hook=to_builtin
            )
        data = _encode_packed(order_sets(builtins, value, _encode_packed))
    return data


def _write_packed_whole(value: Any) -> bytes:
    return _encode_packed(value) if type(value) in PLAIN else _write_packed(value, value)


def _write_named(value: Any) -> bytes:
    return _write_packed(value, value, to_named_builtin)


# --- the serdes ---


class _JsonSerde:
    """JSON of one annotation, by msgspec."""

    __slots__ = ("_decode", "_expected", "_takes_none")

    _write = staticmethod(_encode_json)

    def __init__(self, annotation: Any) -> None:
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(
            annotation, dec_hook=from_builtin
        ).decode
        self._expected = describe_type(annotation)
        self._takes_none = _decodes_to_none(self._decode)

    def encode(self, value: Any) -> bytes:
        try:
            data = self._write(value)
            if b"[" in data:
                data = _with_sets_in_order(data, value, value)
            _refuse_unless_strict_json(value, data)
        except RAISED_BY_TYPES as error:
            raise refuse_value(value, error) from error
        return data

    def decode(self, data: bytes) -> Any:
        if not data and self._takes_none:
            return None
        try:
            is_long = len(data) > BYTES_MAX
            value = decode_deep(self._decode, data) if is_long else self._decode(data)
            if len(data) >= _LONG and _may_hold_long_number(data):
                _check_numbers(value)
        except RAISED_BY_TYPES as error:
            raise refuse_document(data, error, self._expected) from error
        return value


class _SentSerde(_JsonSerde):
    """JSON of whatever a handler, or a program, is to read: nothing in it may be hidden."""

    __slots__ = ()

    _write = staticmethod(_encode_sent)


class _NoneJsonSerde:
    """JSON of a handler that returns nothing: no bytes at all."""

    __slots__ = ()

    def encode(self, value: Any) -> bytes:
        if value is not None:
            message = f"expected None, as annotated, but found {describe_type(type(value))}"
            raise InvalidArgumentError(message)
        return b""

    def decode(self, data: bytes) -> None:
        if data.strip() not in {b"", b"null"}:
            message = f"expected nothing or null, found {show(data)}"
            raise InvalidArgumentError(message)


class _PackedSerde:
    """MessagePack of one annotation, by msgspec."""

    __slots__ = ("_decode", "_encode", "_expected")

    def __init__(self, annotation: Any) -> None:
        self._encode: Callable[[Any], bytes] = (
            _write_packed_whole if may_hold_sets(annotation) else _encode_packed
        )
        if find_unread(annotation):
            self._encode = _write_named
        self._decode: Callable[[bytes], Any] = msgspec.msgpack.Decoder(
            annotation, dec_hook=from_named_builtin
        ).decode
        self._expected = describe_type(annotation)

    def encode(self, value: Any) -> bytes:
        try:
            return self._encode(value)
        except RAISED_BY_TYPES as error:
            raise refuse_value(value, error) from error

    def decode(self, data: bytes) -> Any:
        try:
            return self._decode(data)
        except RAISED_BY_TYPES as error:
            raise refuse_document(data, error, self._expected) from error


class _AdaptedSerde:
    """An annotation that only pydantic understands, such as a union of two models."""

    __slots__ = (
        "_by_alias",
        "_expected",
        "_is_packed",
        "_may_hide",
        "_read",
        "_takes_none",
        "_write",
    )

    def __init__(self, annotation: Any, *, is_packed: bool, is_base64: bool = False) -> None:
        adapter = pydantic_models.make_adapter(annotation, is_base64=is_base64)
        self._write = adapter.dump_python
        read: Any = adapter.validate_json
        by_names = is_packed and find_unread(annotation) is not None and reads_names(read)
        self._by_alias = not by_names
        self._read = partial(read, by_alias=True, by_name=True) if by_names else read
        self._expected = describe_type(annotation)
        self._is_packed = is_packed
        self._may_hide = pydantic_models.may_hide_secrets(annotation)
        self._takes_none = not is_packed and _decodes_to_none(self._read)

    def encode(self, value: Any) -> bytes:
        try:
            builtins = self._dump(value)
            if self._is_packed:
                if self._may_hide:
                    pydantic_models.check_not_hidden(builtins)
                return _write_packed(value, builtins)
            data = _with_sets_in_order(_encode_json(builtins), value, builtins)
            _refuse_unless_strict_json(builtins, data)
        except RAISED_BY_TYPES as error:
            raise refuse_value(value, error) from error
        return data

    def decode(self, data: bytes) -> Any:
        if not data and self._takes_none:
            return None
        try:
            if self._is_packed:
                data = pydantic_models.to_json(_decode_any_packed(data))
                return pydantic_models.validate(self._read, data)
            decode_deep(_decode_any_json, data)  # pydantic takes NaN, infinities and 1e999.
            value = pydantic_models.validate(self._read, data)
            if len(data) >= _LONG and _may_hold_long_number(data):
                _check_numbers(self._dump(value))
        except RAISED_BY_TYPES as error:
            raise refuse_document(data, error, self._expected) from error
        return value

    def _dump(self, value: Any) -> Any:
        return self._write(value, mode="json", by_alias=self._by_alias, round_trip=self._is_packed)


class _ReadBackSerde:
    """JSON of a type that does not read itself as it is written; see ``unread_names``."""

    __slots__ = ("_serde", "_unread")

    def __init__(self, serde: Serde[Any], unread: str) -> None:
        self._serde = serde
        self._unread = unread

    def encode(self, value: Any) -> bytes:
        return self._serde.encode(value)

    def decode(self, data: bytes) -> Any:
        value = self._serde.decode(data)
        if self._serde.encode(value) != data:
            raise InvalidArgumentError(say_unread(self._unread))
        return value


def _build_asked(annotation: Any) -> Serde[Any]:
    check_bounds(annotation)
    return json_serde(annotation)


def _build_json(annotation: Any) -> Serde[Any]:
    if annotation is None or annotation is type(None):
        return _NoneJsonSerde()
    annotation = in_words_of_msgspec(annotation)
    if needs_pydantic(annotation):
        return _by_pydantic(annotation)
    try:
        serde = _JsonSerde(annotation)
    except Exception as error:  # noqa: BLE001 - becomes a definition error unless pydantic helps
        return _adapt(annotation, error, is_packed=False)
    for strange in _find_strange_types(annotation):
        if not _is_ever_decoded(strange):
            message = (
                f"no value can be decoded as {_describe_strange(strange)}; use builtins, "
                f"dataclasses, TypedDict, msgspec or pydantic types"
            )
            raise InvalidDefinitionError(message)
    return serde


def _by_pydantic(annotation: Any, *, is_packed: bool = False) -> Serde[Any]:
    try:
        said = annotation if is_packed else in_words_of_pydantic(annotation)
        return _AdaptedSerde(said, is_packed=is_packed, is_base64=True)
    except Exception as error:
        message = f"no value can be decoded as {describe_type(annotation)}: {error}"
        raise InvalidDefinitionError(message) from error


def _build_packed(annotation: Any) -> Serde[Any]:
    if is_unknown_to_msgspec(annotation):
        return _by_pydantic(annotation, is_packed=True)
    try:
        return _PackedSerde(annotation)
    except Exception as error:  # noqa: BLE001 - as for JSON
        return _adapt(annotation, error, is_packed=True)


def _adapt(annotation: Any, error: Exception, *, is_packed: bool) -> Serde[Any]:
    """Ask pydantic about what msgspec does not do, when there is a model in it."""
    if _mentions_model(annotation):
        said = annotation if is_packed else in_words_of_pydantic(annotation)
        return _AdaptedSerde(said, is_packed=is_packed)
    message = f"no value can be decoded as {describe_type(annotation)}: {error}"
    raise InvalidDefinitionError(message) from error


def _mentions_model(annotation: Any) -> bool:
    parts = getattr(annotation, "__args__", ())
    return pydantic_models.is_model(annotation) or any(_mentions_model(part) for part in parts)


def _made_once(build: Build, annotation: Any) -> Serde[Any]:
    try:
        hash(annotation)
    except TypeError:
        return build(annotation)
    return _remembered(build, annotation)


@lru_cache(maxsize=1024)
def _remembered(build: Build, annotation: Any) -> Serde[Any]:
    return build(annotation)


def _decodes_to_none(decode: Callable[[bytes], Any]) -> bool:
    try:
        return decode(b"null") is None
    except Exception:  # noqa: BLE001 - a user's own validation may raise whatever it likes
        return False


SENT_JSON: Final[Serde[Any]] = _SentSerde(Any)
"""For values that are sent to somebody who has no annotation of them here."""
