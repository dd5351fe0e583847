"""What the keys of an object have to be, where a dict's keys are decoded as more than texts.

JSON's keys are texts. One that stands for a number holds the JSON of that number, and JSON Schema
has words for a text that holds JSON: ``contentSchema`` says what of.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Flag
from typing import Any, Final, Union
from uuid import UUID

from msgspec import inspect

Node = dict[str, Any]

WHOLE_NUMBER: Final = "^(0|-?[1-9][0-9]*)$"
"""The pattern of a key that is decoded as a whole number."""
FLAGS_LISTED_MAX: Final = 255
_HOLDS_JSON: Final = {"contentMediaType": "application/json"}
_FORMATS: Final[Mapping[type, str]] = {
    inspect.DateTimeType: "date-time",
    inspect.DateType: "date",
    inspect.TimeType: "time",
    inspect.TimeDeltaType: "duration",
    inspect.UUIDType: "uuid",
    inspect.DecimalType: "decimal",
}
_TYPES: Final[Mapping[str, Any]] = {
    "date-time": datetime,
    "date": date,
    "time": time,
    "duration": timedelta,
    "uuid": UUID,
    "decimal": Decimal,
}
_BOUNDS: Final[Mapping[str, str]] = {
    "gt": "exclusiveMinimum",
    "ge": "minimum",
    "lt": "exclusiveMaximum",
    "le": "maximum",
    "multiple_of": "multipleOf",
}


def names_of(key: inspect.Type) -> Node | None:
    """The schema of a key that is decoded as ``key`` says; ``None``: any text is one."""
    match key:
        case inspect.Metadata():
            return names_of(key.type)
        case inspect.IntType():
            bounds = _bounds_of(key)
            held = {**_HOLDS_JSON, "contentSchema": {"type": "integer", **bounds}}
            return {"pattern": WHOLE_NUMBER} | (held if bounds else {})
        case inspect.FloatType():
            return {**_HOLDS_JSON, "contentSchema": {"type": "number", **_bounds_of(key)}}
        case inspect.EnumType(cls) if issubclass(cls, Flag):
            return _names_of_flags(sum(each.value for each in cls))
        case inspect.EnumType(cls):
            return {"enum": [str(each.value) for each in cls]}
        case inspect.LiteralType(values):
            return {"enum": [str(each) for each in values]}
        case inspect.UnionType(types):
            options = [names_of(each) for each in types if each != inspect.NoneType()]
            return None if None in options else {"anyOf": options}
        case _:
            name = _FORMATS.get(type(key))
            return None if name is None else {"format": name}


def _bounds_of(key: Any) -> Node:
    said = {word: getattr(key, name) for name, word in _BOUNDS.items()}
    return {word: bound for word, bound in said.items() if bound is not None}


def _names_of_flags(all_flags: int) -> Node:
    if all_flags <= FLAGS_LISTED_MAX:
        return {"enum": [str(each) for each in range(all_flags + 1) if each & ~all_flags == 0]}
    held = {"type": "integer", "minimum": 0, "maximum": all_flags}
    return {"pattern": WHOLE_NUMBER, **_HOLDS_JSON, "contentSchema": held}


def type_of_names(node: Mapping[str, Any], read: Callable[[Mapping[str, Any]], Any]) -> Any:
    """The type of keys that fit ``node``, by what ``read`` makes of a schema; ``None``: it is none.

    Raises:
        Exception: as ``read``.
    """
    match node:
        case {"pattern": pattern} if len(node) == 1 and pattern == WHOLE_NUMBER:
            return int
        case {"pattern": pattern, "contentMediaType": _, "contentSchema": held} if (
            len(node) == 3 and pattern == WHOLE_NUMBER and held.get("type") == "integer"
        ):
            return read(held)
        case _ if node and node.keys() <= {"minLength", "maxLength", "pattern"}:
            return read({"type": "string", **node})
        case {"contentMediaType": _, "contentSchema": held} if (
            len(node) == 2 and held.get("type") == "number"
        ):
            return read(held)
        case {"anyOf": options} if len(node) == 1:
            types = tuple(type_of_names(each, read) for each in options)
            return None if None in types else Union[types]  # noqa: UP007  # made, not written
        case {"enum": values} if len(node) == 1 and all(type(each) is str for each in values):
            return read(node)
        case {"format": name} if len(node) == 1:
            return _TYPES.get(name)
        case _:
            return None
