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

from collections.abc import Iterable, Mapping
from enum import Flag
from functools import lru_cache
from typing import Any, Final, cast

import msgspec
from msgspec import inspect

from . import pydantic_models
from .constraints import in_words_of_msgspec, needs_pydantic
from .key_schemas import FLAGS_LISTED_MAX, names_of
from .schema_types import ZONES, find_decoder
from .schema_words import load_library, tolerate

_PLAIN: Final = frozenset(
    {b'{"type":"boolean"}', b'{"type":"integer"}', b'{"type":"number"}', b'{"type":"string"}'}
)
"""Schemas that say no more than a type."""
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
    load_library()


def _best_problem(schema: Any, instance: Any) -> Any:
    make, best_match = load_library()
    return best_match(make(schema).iter_errors(instance))


# --- making one ---


@lru_cache(maxsize=256)
def _make_schema_once(annotation: Any) -> bytes | None:
    return _make_schema(annotation)


def _make_schema(annotation: Any) -> bytes | None:
    annotation = in_words_of_msgspec(annotation)
    made = _SchemaWithModels()
    schema: Node | None
    try:
        schema = made.make(annotation)
        _add_formats(schema, inspect.type_info(annotation), schema.get("$defs", {}), set())
    except Exception:  # noqa: BLE001  # not everything that can be decoded has a schema
        schema = None
    if schema is None or needs_pydantic(annotation):
        schema = pydantic_models.find_schema(annotation) or schema
        tolerate(schema)
    return None if schema is None else msgspec.json.encode(schema)


class _SchemaWithModels:
    """A schema by msgspec, with those of the models in it, which it does not know, by pydantic."""

    def __init__(self) -> None:
        # What the schemas of models refer to, by name.
        self._definitions: Node = {}

    def make(self, annotation: Any) -> Node:
        schema = msgspec.json.schema(annotation, schema_hook=self._describe)
        own: Node = schema.setdefault("$defs", {})
        for name, definition in self._definitions.items():
            if own.setdefault(name, definition) != definition:
                message = f"two types are called {name}"
                raise TypeError(message)
        if not own:
            del schema["$defs"]
        return schema

    def _describe(self, cls: type) -> Node:
        """Anything fits what nobody knows."""
        found = pydantic_models.find_schema(cls) if pydantic_models.is_model(cls) else None
        if found is None:
            return {"title": cls.__name__}
        tolerate(found)
        for name, definition in found.pop("$defs", {}).items():
            if self._definitions.setdefault(name, definition) != definition:
                message = f"two types are called {name}"
                raise TypeError(message)
        return found


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
        case inspect.DateTimeType(tz):
            _add_moment(node, "date-time", tz)
        case inspect.TimeType(tz):
            _add_moment(node, "time", tz)
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


def _add_names(node: Node, key: Any) -> None:
    names = names_of(key)
    if names is not None:
        node.setdefault("propertyNames", names)


def _add_moment(node: Node, name: str, tz: bool | None) -> None:  # noqa: FBT001  # as msgspec says it
    node.setdefault("format", name)
    if tz is not None:
        node["pattern"] = ZONES[tz]


def _allow_together(node: Node, all_flags: int) -> None:
    """Say of a flag that any of its values together are one, too, and none of them as well."""
    node.pop("enum", None)
    if all_flags <= FLAGS_LISTED_MAX:
        node["enum"] = [each for each in range(all_flags + 1) if each & ~all_flags == 0]
    else:
        node.update(type="integer", minimum=0, maximum=all_flags)


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
