"""Values that msgspec does not know: how they become builtins, and come back.

They are pydantic's models, and subclasses of builtins. msgspec calls the hooks here for each.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import msgspec

from . import pydantic_models
from .refusals import UnsupportedTypeError, describe_type
from .unread_names import is_kept_by_names

_EXACT: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (bytes, bytes),
)


def to_json_builtin(value: Any) -> Any:
    """As callers see it."""
    if type(value) is msgspec.Raw:  # An encoder takes it as it is.
        return msgspec.json.decode(value)
    return _dump(value) if _is_model(value) else _to_exact(value)


def to_sent_builtin(value: Any) -> Any:
    """As ``to_json_builtin``, where it will be read back.

    Raises:
        InvalidArgumentError: pydantic hides a part of it.
    """
    return _not_hidden(value, to_json_builtin(value))


def to_packed_builtin(value: Any) -> Any:
    """For MessagePack, whoever will read it, and as what.

    Raises:
        InvalidArgumentError: as ``to_sent_builtin``.
    """
    return _pack(value, by_names=False)


def to_named_builtin(value: Any) -> Any:
    """For MessagePack that ``from_named_builtin`` will read.

    Raises:
        InvalidArgumentError: as ``to_sent_builtin``.
    """
    cls = cast("type[object]", type(value))
    return _pack(value, by_names=pydantic_models.is_model(cls) and is_kept_by_names(cls))


def from_builtin(annotation: type, value: Any) -> Any:
    """An ``annotation``, as it was sent or written.

    Raises:
        ValueError: it is none.
    """
    if pydantic_models.is_model(annotation):
        return _validate(annotation.model_validate_json, value)
    if isinstance(value, annotation):
        return value
    message = f"Expected `{describe_type(annotation)}`, got `{type(value).__name__}`"
    raise ValueError(message)


def from_named_builtin(annotation: type, value: Any) -> Any:
    """An ``annotation`` that was kept by the names of its fields, or, by an earlier release, not.

    Raises:
        ValueError: it is none.
    """
    if pydantic_models.is_model(annotation) and is_kept_by_names(annotation):
        read: Any = annotation.model_validate_json
        return _validate(partial(read, by_alias=True, by_name=True), value)
    return from_builtin(annotation, value)


def _pack(value: Any, *, by_names: bool) -> Any:
    if type(value) is msgspec.Raw:
        return msgspec.msgpack.decode(value)
    if not _is_model(value):
        return _to_exact(value)
    return _not_hidden(value, _dump(value, by_alias=not by_names, round_trip=True))


def _is_model(value: Any) -> bool:
    return pydantic_models.is_model(cast("type[object]", type(value)))


def _dump(model: Any, *, by_alias: bool = True, round_trip: bool = False) -> Any:
    return model.model_dump(mode="json", by_alias=by_alias, round_trip=round_trip)


def _not_hidden(value: Any, dumped: Any) -> Any:
    cls = cast("type[object]", type(value))
    if pydantic_models.is_model(cls) and pydantic_models.may_class_hide_secrets(cls):
        pydantic_models.check_not_hidden(dumped)
    return dumped


def _to_exact(value: Any) -> Any:
    cls = cast("type[object]", type(value))
    for base, to_exact in _EXACT:
        if issubclass(cls, base):
            return to_exact(value)
    raise UnsupportedTypeError(describe_type(cls))


def _validate(read: Callable[[bytes], Any], value: Any) -> Any:
    return pydantic_models.validate(read, pydantic_models.to_json(value))
