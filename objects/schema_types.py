"""From a JSON Schema to a type that decodes what fits it and nothing else, where there is one.

A schema is a slow judge: three megabytes take the library that reads schemas eight seconds, in
which nothing else happens. Nearly all were made of types, and say no more than a type does; then
decoding as a type like it is as good an answer, some two hundred times as fast.

Only what is understood to the last word becomes a type, with its bounds and its pattern. A set, a
multiple, a word that is not known here: then there is none, and the library has to say.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, Union
from uuid import UUID

import msgspec

from .key_schemas import type_of_names
from .unions import is_mixed_up

Node = Mapping[str, Any]

_PLAIN: Final[Mapping[str, Any]] = {
    "boolean": bool,
    "integer": int,
    "number": float,
    "string": str,
    "null": None,
    "array": list[Any],
    "object": dict[str, Any],
}
_FORMATS: Final[Mapping[str, Any]] = {
    "date-time": datetime,
    "date": date,
    "time": time,
    "duration": timedelta,
    "uuid": UUID,
}
ZONES: Final = {True: r"([Zz]|[+-]\d\d:?\d\d)$", False: r"^([^Tt ]*[Tt ])?[^Zz+-]*$"}
"""The patterns of a time that has to have a zone, or to have none."""
_NUMBERS: Final = {
    "minimum": "ge",
    "exclusiveMinimum": "gt",
    "maximum": "le",
    "exclusiveMaximum": "lt",
}
_BOUNDS: Final[Mapping[str, Mapping[str, str]]] = {
    "integer": _NUMBERS,
    "number": _NUMBERS,
    "string": {"minLength": "min_length", "maxLength": "max_length", "pattern": "pattern"},
    "array": {"minItems": "min_length", "maxItems": "max_length"},
}
"""What msgspec calls the bounds of a value, by the type that has them."""
_SAYS_NOTHING: Final = frozenset({"title", "description", "default", "examples", "$defs"})


class _NoTypeError(Exception):
    """It says something that no type does. Never leaves this module."""


@lru_cache(maxsize=256)
def find_decoder(schema: bytes) -> "msgspec.json.Decoder[Any] | None":
    """Decodes the JSON values that fit ``schema``, and no others; ``None``: it is not known how."""
    try:
        whole = msgspec.json.decode(schema)
        return msgspec.json.Decoder(_Reader(whole.get("$defs", {})).read(whole))
    except (_NoTypeError, msgspec.DecodeError, AttributeError, KeyError, TypeError, ValueError):
        return None  # Also of some types that there are, as of a union of two kinds of objects.
    except (re.error, OverflowError):
        return None  # A pattern that is none; a bound beyond what msgspec compares with.


class _Reader:
    """Makes types of the parts of one schema."""

    def __init__(self, definitions: Node) -> None:
        self._definitions = definitions
        # Those around the part that is read; and those that were read, as each may be met often.
        self._open: list[str] = []
        self._known: dict[str, Any] = {}
        self._readers: dict[frozenset[str], Callable[[Node], Any]] = {
            frozenset(): lambda _: Any,
            frozenset({"$ref"}): self._definition,
            frozenset({"enum"}): self._one_of,
            frozenset({"anyOf"}): self._any_of,
            frozenset({"type"}): self._plain,
            frozenset({"type", "format"}): self._formatted,
            frozenset({"type", "items"}): self._array,
            frozenset({"type", "additionalProperties"}): self._map,
            frozenset({"type", "additionalProperties", "propertyNames"}): self._map,
            frozenset({"type", "properties"}): self._object,
            frozenset({"type", "properties", "required"}): self._object,
        }

    def read(self, node: Node) -> Any:
        """The type that says what ``node`` does.

        Raises:
            _NoTypeError: there is none.
            AttributeError, KeyError, TypeError, ValueError: it is no schema as they are made.
        """
        words = frozenset(node) - _SAYS_NOTHING
        kind = node.get("type")
        bounds = _BOUNDS.get(kind, {}) if isinstance(kind, str) else {}
        said: dict[str, Any] = {bounds[word]: node[word] for word in words & bounds.keys()}
        reader = self._readers.get(words.difference(bounds))
        if "format" in words and said:
            zones = [zone for zone, pattern in ZONES.items() if said == {"pattern": pattern}]
            said = {"tz": zones[0]} if zones else {}
        if reader is None or (not said and words & bounds.keys()):
            raise _NoTypeError
        type_ = reader(node)
        if isinstance(said.get("pattern"), str):
            said["pattern"] = _to_python(said["pattern"])
        return Annotated[type_, msgspec.Meta(**said)] if said else type_

    def _definition(self, node: Node) -> Any:
        name = node["$ref"].removeprefix("#/$defs/")
        if name in self._open:
            raise _NoTypeError  # It is a part of itself.
        if name not in self._known:
            self._open.append(name)
            self._known[name] = self.read(self._definitions[name])
            self._open.pop()
        return self._known[name]

    def _one_of(self, node: Node) -> Any:
        values: list[object] = node["enum"]
        if not all(type(each) in {str, int, type(None)} for each in values):
            raise _NoTypeError
        return Literal[tuple(values)]

    def _any_of(self, node: Node) -> Any:
        types = [self.read(each) for each in node["anyOf"]]
        if is_mixed_up(types):
            raise _NoTypeError
        return _union(types)

    def _plain(self, node: Node) -> Any:
        return _PLAIN[node["type"]]

    def _formatted(self, node: Node) -> Any:
        _check_kind(node, "string")
        return _FORMATS[node["format"]]

    def _array(self, node: Node) -> Any:
        _check_kind(node, "array")
        return list.__class_getitem__(self.read(node["items"]))

    def _map(self, node: Node) -> Any:
        _check_kind(node, "object")
        names = str
        if "propertyNames" in node:
            names = type_of_names(node["propertyNames"], self.read)
            if names is None:
                raise _NoTypeError
        return dict.__class_getitem__((names, self.read(node["additionalProperties"])))

    def _object(self, node: Node) -> Any:
        _check_kind(node, "object")
        properties: Node = node["properties"]
        required = frozenset(node.get("required", ()))
        if not required <= properties.keys():
            raise _NoTypeError
        fields: list[Any] = []
        for number, (name, each) in enumerate(properties.items()):
            type_ = self.read(each)
            if name in required:
                fields.append((f"f{number}", type_))
            else:
                fields.append((f"f{number}", _union([type_, msgspec.UnsetType]), msgspec.UNSET))
        names = {f"f{number}": name for number, name in enumerate(properties)}
        return msgspec.defstruct("Object", fields, rename=names, kw_only=True)


def _to_python(pattern: str) -> str:
    """The same in Python, whose ``$`` at the end lets a line break pass."""
    is_end = pattern.endswith("$") and not pattern.endswith("\\$") and "(?" not in pattern
    return pattern[:-1] + r"\Z" if is_end else pattern


def _union(types: Iterable[Any]) -> Any:
    return Union[tuple(types)]  # noqa: UP007  # made, not written


def _check_kind(node: Node, kind: str) -> None:
    if node["type"] != kind:
        raise _NoTypeError
