"""JSON Schemas of types, and whether a JSON value fits one.

A schema travels with a question that somebody outside answers, perhaps weeks later and while no
code that knows the type is in memory. So what does not fit is found by the schema alone, and it is
at least as strict as decoding: a number that must be whole is written as one, and texts that stand
for times, dates and the like are looked at.

What fits is seen by decoding, where a schema says no more than a type (see ``schema_types``). What
does not is put into words by the ``jsonschema`` library, which also judges where it says more. That
is slow, and loading it takes some fifty milliseconds: ``load_checker`` is there, to be called in a
thread while nobody has answered yet.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Flag
from functools import lru_cache
from importlib import import_module
from typing import Any, Final, cast
from uuid import UUID

import msgspec
from msgspec import inspect

from . import pydantic_models
from .constraints import in_words_of_msgspec, needs_pydantic
from .schema_types import WHOLE_NUMBER, find_decoder

_FORMATS: Final[Mapping[str, Any]] = {
    "date-time": datetime,
    "date": date,
    "time": time,
    "duration": timedelta,
    "uuid": UUID,
    "decimal": Decimal,
}
"""Formats that are checked, and the type that a text of the format is decoded as."""
_PLAIN: Final = frozenset(
    {b'{"type":"boolean"}', b'{"type":"integer"}', b'{"type":"number"}', b'{"type":"string"}'}
)
"""Schemas that say no more than a type."""
FLAGS_LISTED_MAX: Final = 255
PROBLEM_CHARACTERS_MAX: Final = 400
WORDED_BYTES_MAX: Final = 4096
"""Of a longer value it is said in fewer words why it does not fit: to find better ones takes some
ten microseconds for each byte, and nothing else happens meanwhile."""

Node = dict[str, Any]


def schema_of(annotation: Any) -> bytes | None:
    """The JSON Schema of ``annotation`` as JSON.

    ``None`` where every value fits, or none can be made of it: then decoding has the last word.
    """
    if annotation is Any or annotation is object:
        return None
    try:
        hash(annotation)
    except TypeError:
        return _make_schema(annotation)
    return _make_schema_once(annotation)


def find_problem(schema: bytes, value: bytes) -> str | None:
    """Where and why a JSON value does not fit a schema; ``None``: it does."""
    problem: str | None = None
    try:
        decoder = find_decoder(schema)
        problem = None if decoder is None else _try(decoder, value)
        if decoder is not None and (problem is None or len(value) > WORDED_BYTES_MAX):
            return problem
        instance = msgspec.json.decode(value)
        error = _best_problem(msgspec.json.decode(schema), instance)
    except msgspec.DecodeError as error:
        return f"it is no JSON: {error}"
    except RecursionError:
        return "it is nested too deeply"
    except Exception:  # noqa: BLE001  # a pattern or a reference of the user's own that says nothing
        return problem  # Decoding has the last word.
    if error is None:
        return problem
    message: str = error.message
    if error.validator == "type":
        wanted = error.validator_value
        expected = wanted if isinstance(wanted, str) else " or ".join(wanted)
        message = f"expected {expected}, found {pydantic_models.found_type(error.instance)}"
    return f"at {error.json_path}: {_cut(message)}"


def _try(decoder: "msgspec.json.Decoder[Any]", value: bytes) -> str | None:
    """Why ``value`` cannot be decoded; raises as decoding what is no JSON or nested too deeply."""
    try:
        decoder.decode(value)
    except msgspec.ValidationError as error:
        said, _, path = str(error).partition(" - at ")
        path = path.removeprefix("`key` in ")
        return f"at {path.strip('`') or '$'}: {_cut(said)}"
    return None


def _cut(message: str) -> str:
    if len(message) <= PROBLEM_CHARACTERS_MAX:
        return message
    return f"{message[:PROBLEM_CHARACTERS_MAX]} ..."


def is_plain(schema: bytes) -> bool:
    """Whether a value is seen to fit the schema without ``load_checker``."""
    return schema in _PLAIN


def load_checker() -> None:
    """Make ready for ``find_problem``; from any thread, and once is enough."""
    _load_checker()


def _best_problem(schema: Any, instance: Any) -> Any:
    make, best_match = _load_checker()
    return best_match(make(schema).iter_errors(instance))


@lru_cache(maxsize=1)
def _load_checker() -> tuple[Callable[[Any], Any], Callable[[Iterable[Any]], Any]]:
    """What makes a validator of a schema, and what finds the error to name; imports jsonschema."""
    jsonschema: Any = import_module("jsonschema")
    referencing: Any = import_module("referencing.jsonschema")
    base = jsonschema.Draft202012Validator
    whole = base.TYPE_CHECKER.redefine("integer", _is_whole)
    validator = jsonschema.validators.extend(base, type_checker=whole)
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


# --- making one ---


@lru_cache(maxsize=256)
def _make_schema_once(annotation: Any) -> bytes | None:
    return _make_schema(annotation)


def _make_schema(annotation: Any) -> bytes | None:
    annotation = in_words_of_msgspec(annotation)
    has_model = needs_pydantic(annotation)

    def describe(cls: type) -> dict[str, Any]:
        # Types that msgspec does not know: pydantic describes its own, anything fits the others.
        nonlocal has_model
        has_model = has_model or pydantic_models.is_model(cls)
        return {"title": cls.__name__}

    schema: Node | None
    try:
        schema = msgspec.json.schema(annotation, schema_hook=describe)
        _add_formats(schema, inspect.type_info(annotation), schema.get("$defs", {}), set())
    except Exception:  # noqa: BLE001  # not everything that can be decoded has a schema
        schema, has_model = None, True
    if has_model:
        described = pydantic_models.find_schema(annotation)
        schema = schema if described is None else described
    return None if schema is None else msgspec.json.encode(schema)


def _add_formats(node: Node, info: Any, defs: Mapping[str, Node], seen: set[str]) -> None:
    """Say of texts that are times what msgspec decodes them as; it leaves out those without zone.

    Walks the schema beside the description of the type that it was made from. What the two do not
    say in the same shape is left as it is.
    """
    if "$ref" in node:
        name = cast("str", node["$ref"]).rpartition("/")[2]
        if name in seen or name not in defs:
            return
        seen.add(name)
        node = defs[name]
    match info:
        case inspect.Metadata():
            _add_formats(node, info.type, defs, seen)
        case inspect.DateTimeType():
            node.setdefault("format", "date-time")
        case inspect.TimeType():
            node.setdefault("format", "time")
        case inspect.EnumType(cls) if issubclass(cls, Flag):
            _allow_together(node, sum(each.value for each in cls))
        case inspect.DictType() if isinstance(node.get("additionalProperties"), dict):
            _add_names(node, info.key_type)
            _add_formats(node["additionalProperties"], info.value_type, defs, seen)
        case inspect.UnionType():
            _add_formats_of_optional(node, info, defs, seen)
        case _:
            for part, type_ in _parts(node, info):
                _add_formats(part, type_, defs, seen)


def _allow_together(node: Node, all_flags: int) -> None:
    """Say of a flag that any of its values together are one, too, and none of them as well."""
    node.pop("enum", None)
    if all_flags <= FLAGS_LISTED_MAX:
        node["enum"] = [each for each in range(all_flags + 1) if each & ~all_flags == 0]
    else:
        node.update(type="integer", minimum=0, maximum=all_flags)


def _add_names(node: Node, key: Any) -> None:
    """Say of the keys of an object what msgspec decodes them as; it says that of texts only."""
    names: Node | None
    match key:
        case inspect.IntType():
            names = {"pattern": WHOLE_NUMBER}
        case inspect.EnumType(cls) if not issubclass(cls, Flag):
            names = {"enum": [str(each.value) for each in cls]}
        case inspect.LiteralType(values):
            names = {"enum": [str(each) for each in values]}
        case inspect.DateTimeType():
            names = {"format": "date-time"}
        case inspect.DateType():
            names = {"format": "date"}
        case inspect.UUIDType():
            names = {"format": "uuid"}
        case _:
            return
    node.setdefault("propertyNames", names)


def _parts(node: Node, info: Any) -> Iterable[tuple[Node, Any]]:
    """The schemas of the fields or items of a value, with their types."""
    if isinstance(node.get("items"), dict) and hasattr(info, "item_type"):
        return [(node["items"], info.item_type)]
    if "prefixItems" in node and hasattr(info, "item_types"):
        return list(zip(node["prefixItems"], info.item_types, strict=False))
    properties = cast("Mapping[str, Node]", node.get("properties", {}))
    return [
        (properties[field.encode_name], field.type)
        for field in getattr(info, "fields", ())
        if field.encode_name in properties
    ]


def _add_formats_of_optional(
    node: Node, info: inspect.UnionType, defs: Mapping[str, Node], seen: set[str]
) -> None:
    types = [each for each in info.types if not isinstance(each, inspect.NoneType)]
    options = [each for each in node.get("anyOf", ()) if each != {"type": "null"}]
    if len(types) == len(options) == 1:
        _add_formats(options[0], types[0], defs, seen)
