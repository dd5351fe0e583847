"""pydantic models at the edge of a handler, for those who have pydantic installed.

A model is recognised by looking at its class, so that nobody who does not use pydantic loads it.
This module knows pydantic's second major version and nothing of journals, handlers or HTTP.
"""

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol, TypeGuard

import msgspec


class Model(Protocol):
    """What a pydantic model's class can do, as far as it is used here."""

    @classmethod
    def model_validate_json(cls, json_data: bytes | str) -> Any:
        """An instance made from JSON."""
        ...

    def model_dump(self, *, mode: str, by_alias: bool, round_trip: bool) -> Any:
        """The instance as builtins."""
        ...


class Adapter(Protocol):
    """pydantic's ``TypeAdapter``: validation of any annotation, also one that is no model."""

    def validate_json(self, data: bytes | str, /) -> Any:
        """A value made from JSON."""
        ...

    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema of what is validated."""
        ...

    def dump_python(self, value: Any, /, *, mode: str, by_alias: bool, round_trip: bool) -> Any:
        """The value as builtins."""
        ...


def is_model(annotation: object) -> TypeGuard[type[Model]]:
    """Whether ``annotation`` is a class of pydantic models."""
    return isinstance(annotation, type) and all(
        hasattr(annotation, name)
        for name in ("__pydantic_validator__", "model_validate_json", "model_dump")
    )


def is_root_model(annotation: object) -> bool:
    """Whether it is one whose instances are dumped as their one field, ``root``."""
    return getattr(annotation, "__pydantic_root_model__", False) is True


def name_fields(model: type[Model]) -> list[tuple[str, str]]:
    """What a dump by alias calls the fields of ``model``, and Python."""
    fields: Mapping[str, Any] = getattr(model, "model_fields", {})
    return [(each.serialization_alias or each.alias or name, name) for name, each in fields.items()]


def make_adapter(annotation: Any) -> Adapter:
    """A ``TypeAdapter`` for ``annotation``; imports pydantic."""
    adapter: Adapter = import_module("pydantic").TypeAdapter(annotation)
    return adapter


def find_schema(annotation: Any) -> dict[str, Any] | None:
    """The JSON Schema of ``annotation``, or ``None``: pydantic can make none of it."""
    try:
        return make_adapter(annotation).json_schema()
    except Exception:  # noqa: BLE001  # no pydantic, or a type that has no schema there
        return None


def to_json(value: object) -> bytes:
    """Builtins as JSON for a validator: unlike strict JSON, NaN and infinities are kept."""
    try:
        # msgspec is ten times faster, and writes ``null`` for the floats that JSON has no word for.
        data = msgspec.json.encode(value)
    except TypeError:
        data = b"null"
    return json.dumps(msgspec.to_builtins(value)).encode() if b"null" in data else data


def describe_failure(error: Exception) -> list[tuple[str, str]] | None:
    """``(path, problem)`` for each field a pydantic ``ValidationError`` names.

    ``None`` for any other exception. A path is written as msgspec writes it, without the ``$``:
    ``.items[0].price``.
    """
    list_errors = getattr(error, "errors", None)
    if list_errors is None or type(error).__name__ != "ValidationError":
        return None
    return [
        (
            "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in one["loc"]),
            f"{one['msg'][:1].lower()}{one['msg'][1:]}, found {found_type(one.get('input'))}",
        )
        for one in list_errors(include_url=False)
    ]


def found_type(value: object) -> str:
    """What kind of JSON value this is, in msgspec's words."""
    name = type(value).__name__
    return {"dict": "object", "list": "array", "NoneType": "null"}.get(name, name)
