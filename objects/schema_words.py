"""The library that judges by schemas, as strict as decoding.

It is JSON Schema's, for which ``1.0`` is a whole number, formats are for people, and 0.3 is no
multiple of 0.1. Loading it takes some fifty milliseconds.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from importlib import import_module
from typing import Any, Final, cast
from uuid import UUID

import msgspec

_FORMATS: Final[Mapping[str, Any]] = {
    "date-time": datetime,
    "date": date,
    "time": time,
    "duration": timedelta,
    "uuid": UUID,
    "decimal": Decimal,
}
"""Formats that are checked, and the type that a text of the format is decoded as."""
TOLERANCE: Final = "x-tolerance"
"""How far from a multiple a number may be, as a part of it; pydantic's way with floats."""
PARTS_PER_PART: Final = 1e-9

Check = Callable[[Any, Any, Any, Any], Iterable[Any]]


@lru_cache(maxsize=1)
def load_library() -> tuple[Callable[[Any], Any], Callable[[Iterable[Any]], Any]]:
    """What makes a validator of a schema, and what finds the error to name; imports jsonschema."""
    jsonschema: Any = import_module("jsonschema")
    referencing: Any = import_module("referencing.jsonschema")
    base = jsonschema.Draft202012Validator
    error: Any = jsonschema.exceptions.ValidationError
    checks = {
        "enum": _strict_enum(base.VALIDATORS["enum"], error),
        "const": _strict_const(base.VALIDATORS["const"], error),
        "multipleOf": _tolerant_multiple(base.VALIDATORS["multipleOf"]),
        "contentSchema": _held_json(error),
    }
    whole = base.TYPE_CHECKER.redefine("integer", _is_whole)
    validator = jsonschema.validators.extend(base, validators=checks, type_checker=whole)
    formats = jsonschema.FormatChecker(formats=())
    for name, decoded in _FORMATS.items():
        formats.checks(name, raises=msgspec.ValidationError)(_checker_of(decoded))

    def make(schema: Any) -> Any:
        # No registry but an empty one: a schema must not make this process fetch another one.
        return validator(schema, registry=referencing.EMPTY_REGISTRY, format_checker=formats)

    return make, jsonschema.exceptions.best_match


def _is_whole(_checker: Any, instance: object) -> bool:
    return isinstance(instance, int) and not isinstance(instance, bool)


def _checker_of(decoded: Any) -> Callable[[object], bool]:
    def check(instance: object) -> bool:
        if isinstance(instance, str):
            msgspec.convert(instance, decoded)
        return True

    return check


def _strict_enum(library: Check, error: Any) -> Check:
    def check(validator: Any, values: Any, instance: Any, schema: Any) -> Iterable[Any]:
        if type(instance) is float and not any(
            type(each) is float and each == instance for each in values
        ):
            yield error(f"{instance!r} is not one of {values!r}")
        else:
            yield from library(validator, values, instance, schema)

    return check


def _strict_const(library: Check, error: Any) -> Check:
    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterable[Any]:
        if type(instance) is float and type(value) is not float:
            yield error(f"{value!r} was expected")
        else:
            yield from library(validator, value, instance, schema)

    return check


def _tolerant_multiple(library: Check) -> Check:
    def check(validator: Any, of: Any, instance: Any, schema: Any) -> Iterable[Any]:
        if TOLERANCE in schema and isinstance(instance, int | float):
            left = abs(instance % of)
            room = abs(instance) * schema[TOLERANCE]
            if left <= room or abs(left - of) <= room:
                return
        yield from library(validator, of, instance, schema)

    return check


def _held_json(error: Any) -> Check:
    def check(validator: Any, held: Any, instance: Any, schema: Any) -> Iterable[Any]:
        if not isinstance(instance, str) or schema.get("contentMediaType") != "application/json":
            return
        try:
            value = msgspec.json.decode(instance)
        except msgspec.DecodeError:
            yield error(f"{instance!r} is no {held.get('type', 'JSON')}")
            return
        yield from validator.descend(value, held)

    return check


def tolerate(schema: Any) -> None:
    """Say how far from a multiple a number may be, wherever a schema of pydantic's asks for one."""
    if isinstance(schema, dict):
        node = cast("dict[str, Any]", schema)
        if isinstance(node.get("multipleOf"), float):
            node[TOLERANCE] = PARTS_PER_PART
        for each in node.values():
            tolerate(each)
    elif isinstance(schema, list):
        for each in cast("list[object]", schema):
            tolerate(each)
