"""pydantic models at the edge of a handler, for those who have pydantic installed.

A model is recognised by looking at its class, so that nobody who does not use pydantic loads it.
This module knows pydantic's second major version and nothing of journals, handlers or HTTP.
"""

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any, Final, NewType, Protocol, TypeGuard, TypeVar

import msgspec

from .errors import InvalidArgumentError
from .pydantic_words import in_words_of_pydantic

T = TypeVar("T")

_LISTED_MAX: Final = 1_000
"""Mistakes of a document that are looked at one by one at all."""
_NAMED_MAX: Final = 20
"""Those that are named."""
_MESSAGE_CHARACTERS_MAX: Final = 300
"""Of each; it may quote the document."""
_SERIALIZERS: Final = frozenset({"PlainSerializer", "WrapSerializer"})
_HIDDEN: Final = "*" * 10
"""What pydantic writes for a secret, however long it is."""


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
    """What a dump calls the fields of ``model``, by alias or not, and Python.

    Not those that are left out, or that a serializer of the user's writes.
    """
    fields: Mapping[str, Any] = getattr(model, "model_fields", {})
    written = _written_by_users(model)
    called = [
        (each.serialization_alias or each.alias or name, name)
        for name, each in fields.items()
        if not each.exclude
        and written.isdisjoint({name, "*"})
        and not any(type(mark).__name__ in _SERIALIZERS for mark in each.metadata)
    ]
    aliases = {alias for alias, _ in called}
    return called + [(name, name) for _, name in called if name not in aliases]


def name_computed(model: type[Model]) -> list[tuple[str, str, Any]]:
    """As ``name_fields``, of the fields that are computed for a dump, with their types."""
    fields: Mapping[str, Any] = getattr(model, "__pydantic_computed_fields__", {})
    written = _written_by_users(model)
    return [
        (each.alias or name, name, each.return_type)
        for name, each in fields.items()
        if written.isdisjoint({name, "*"})
        and not any(
            type(mark).__name__ in _SERIALIZERS
            for mark in getattr(each.return_type, "__metadata__", ())
        )
    ]


def _written_by_users(model: type[Model]) -> set[str]:
    """The fields that serializers of the model's write, or ``*``."""
    decorators: Any = getattr(model, "__pydantic_decorators__", None)
    if getattr(decorators, "model_serializers", None):
        return {"*"}
    serializers: Mapping[str, Any] = getattr(decorators, "field_serializers", {})
    return {name for each in serializers.values() for name in each.info.fields}


def make_adapter(annotation: Any, *, is_base64: bool = False) -> Adapter:
    """A ``TypeAdapter`` for ``annotation``; imports pydantic.

    With ``is_base64`` bytes are so written and read, as msgspec does, but for those of a class that
    pydantic lets say for itself what they are.
    """
    make: Callable[..., Adapter] = import_module("pydantic").TypeAdapter
    if not is_base64:
        return make(annotation)
    # By another name, as it takes no settings beside a dataclass, though it would heed them.
    make_name: Any = NewType
    named = make_name("named", annotation)
    return make(named, config={"ser_json_bytes": "base64", "val_json_bytes": "base64"})


def find_schema(annotation: Any) -> dict[str, Any] | None:
    """The JSON Schema of ``annotation``, or ``None``: pydantic can make none of it."""
    try:
        return make_adapter(in_words_of_pydantic(annotation)).json_schema()
    except Exception:  # noqa: BLE001  # no pydantic, or a type that has no schema there
        return None


def may_hide_secrets(annotation: Any) -> bool:
    """Whether pydantic may write a part of such a value as asterisks, a ``SecretStr`` for one."""
    if getattr(annotation, "__module__", "") == "pydantic.types":
        return "Secret" in getattr(annotation, "__name__", "")
    return "Secret" in str(getattr(annotation, "__pydantic_core_schema__", "")) or any(
        may_hide_secrets(part) for part in getattr(annotation, "__args__", ())
    )


@lru_cache(maxsize=256)
def may_class_hide_secrets(cls: type) -> bool:
    """As ``may_hide_secrets``, of a class that is asked about again and again."""
    return may_hide_secrets(cls)


def check_not_hidden(builtins: object) -> None:
    """Refuse what pydantic has written as asterisks: nobody could read it back.

    Raises:
        InvalidArgumentError: something in it is hidden.
    """
    if _HIDDEN in repr(builtins):
        message = (
            "it holds a secret, which pydantic writes as asterisks; pass what leads to it, or have "
            "a field_serializer of its model write it"
        )
        raise InvalidArgumentError(message)


def to_json(value: object) -> bytes:
    """Builtins as JSON for a validator: unlike strict JSON, NaN and infinities are kept."""
    try:
        # msgspec is ten times faster, and writes ``null`` for the floats that JSON has no word for.
        data = msgspec.json.encode(value)
    except TypeError:
        data = b"null"
    return json.dumps(msgspec.to_builtins(value)).encode() if b"null" in data else data


class UnfitError(ValueError):
    """A document is no such model. Unlike pydantic's error, whose text names all that is wrong."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        """``fields`` are pairs of a path, as msgspec writes it without the ``$``, and a problem."""
        super().__init__(f"{len(fields)} of its fields do not fit")
        self.fields = fields


def validate(read: Callable[[bytes], T], document: bytes) -> T:
    """What a model or an adapter makes of a document with ``read``.

    Raises:
        UnfitError: it does not fit.
    """
    try:
        return read(document)
    except ValueError as error:
        fields = _describe_failure(error)
        if fields is None:
            raise
        raise UnfitError(fields) from error


def _describe_failure(error: ValueError) -> list[tuple[str, str]] | None:
    """``(path, problem)`` for each field a pydantic ``ValidationError`` names.

    ``None`` for any other exception.
    """
    list_errors = getattr(error, "errors", None)
    if list_errors is None or type(error).__name__ != "ValidationError":
        return None
    count: int = getattr(error, "error_count", lambda: 0)()
    if count > _LISTED_MAX:
        # To list a million takes seconds and a gigabyte, and whoever has sent it is anybody.
        return [("", f"{count:,} values in it do not fit, which are too many to name")]
    named = [_describe(one) for one in list_errors(include_url=False)[:_NAMED_MAX]]
    if count > _NAMED_MAX:
        named.append(("", f"{count - _NAMED_MAX:,} more values in it do not fit"))
    return named


def _describe(one: dict[str, Any]) -> tuple[str, str]:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part:.80}" for part in one["loc"])
    message = one["msg"][:_MESSAGE_CHARACTERS_MAX]
    problem = f"{message[:1].lower()}{message[1:]}, found {found_type(one.get('input'))}"
    return path, problem


def found_type(value: object) -> str:
    """What kind of JSON value this is, in msgspec's words."""
    name = type(value).__name__
    return {"dict": "object", "list": "array", "NoneType": "null"}.get(name, name)
