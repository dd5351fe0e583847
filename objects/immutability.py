"""Which types have values that cannot be changed in place.

Such a value needs no copy when it is handed out and no second look afterwards. In doubt the answer
is no: a wrong no costs a little time, a wrong yes loses somebody's data.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NewType,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)
from uuid import UUID

import msgspec

SCALARS: Final = frozenset(
    {int, str, bytes, bool, float, NoneType, Decimal, datetime, date, time, timedelta, UUID}
)
"""Types whose every value is immutable."""


def is_immutable_type(annotation: Any, seen: frozenset[Any] = frozenset()) -> bool:
    """Whether no value of ``annotation`` can be changed in place.

    ``seen`` holds the classes being asked about; a class that contains itself is not immutable.
    """
    if annotation is None:
        return True
    if isinstance(annotation, NewType):
        return is_immutable_type(annotation.__supertype__, seen)
    origin = get_origin(annotation)
    if origin is Annotated:
        return is_immutable_type(get_args(annotation)[0], seen)
    if origin is Literal:
        return True
    if origin in {Union, UnionType, tuple, frozenset}:
        parts = get_args(annotation)
        return all(part is Ellipsis or is_immutable_type(part, seen) for part in parts)
    if not isinstance(annotation, type):
        return False
    cls: type[Any] = annotation
    if cls in SCALARS or issubclass(cls, Enum):
        return True
    if cls in seen or not _is_frozen(cls):
        return False
    fields = _field_types(cls)
    inside = seen | {cls}
    return fields is not None and all(is_immutable_type(t, inside) for t in fields.values())


def is_immutable_value(value: object) -> bool:
    """Whether this value cannot be changed in place, as far as its class tells."""
    cls = type(value)
    if cls in SCALARS or isinstance(value, Enum):
        return True
    if isinstance(value, tuple | frozenset):
        return all(is_immutable_value(item) for item in cast("Iterable[object]", value))
    if not _is_frozen(cls):
        return False
    names: Iterable[str] = getattr(cls, "__struct_fields__", ()) or cls.__dict__.get(
        "__dataclass_fields__", ()
    )
    return all(is_immutable_value(getattr(value, name, None)) for name in names)


def _is_frozen(cls: type) -> bool:
    if dataclasses.is_dataclass(cls):
        return bool(cls.__dataclass_params__.frozen)  # type: ignore[attr-defined]
    return issubclass(cls, msgspec.Struct) and cls.__struct_config__.frozen


def _field_types(cls: type) -> Mapping[str, Any] | None:
    try:
        return get_type_hints(cls, include_extras=True)
    except Exception:  # noqa: BLE001 - an annotation may raise whatever it likes when evaluated
        return None
