"""Fields of pydantic models that are read by another name than they are written by.

pydantic's users give a field one name for what comes in and another one for what goes out. What is
stored comes in again, where the field would be missing, or be its default without a word. So state
and steps keep such a model by its fields' own names. JSON at the doors is what callers see, and
stays as they said; a program that would read back something else from it is told.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from inspect import signature
from typing import Any, Final, Literal, get_args, get_origin

from . import pydantic_models
from .constraints import is_pydantic_dataclass, types_in, value_of
from .unchecked import fields_of

_BY_ALIAS: Final = "validate_by_alias"
_BY_NAME: Final = ("validate_by_name", "populate_by_name")


def find_unread(annotation: Any) -> str | None:
    """What is written by a name that it is not read by, for a message; ``None``: nothing is."""
    return _find(annotation, set())


def say_unread(unread: str) -> str:
    """What a program is told that would read something else than was written."""
    return (
        f"{unread}, so a program would read another value than was written; give it one alias for "
        f"both, or a validation_alias=AliasChoices(...) that takes both names"
    )


@lru_cache(maxsize=256)
def is_kept_by_names(model: type) -> bool:
    """Whether a model is stored by the own names of its fields; an older pydantic cannot."""
    read: Any = getattr(model, "model_validate_json", None)
    return find_unread(model) is not None and reads_names(read)


def reads_names(read: Callable[..., Any]) -> bool:
    """Whether pydantic is new enough to be told to."""
    return "by_name" in signature(read).parameters


def _find(annotation: Any, seen: set[Any]) -> str | None:
    annotation = value_of(annotation)
    origin = get_origin(annotation)
    if origin is Literal:
        return None
    cls: Any = annotation if origin is None else origin
    if isinstance(cls, type) and cls not in seen:
        seen.add(cls)
        found = _find_in_class(cls, seen)
        if found is not None:
            return found
    parts = get_args(annotation)[: types_in(annotation)]
    return next(filter(None, (_find(part, seen) for part in parts)), None)


def _find_in_class(cls: type, seen: set[Any]) -> str | None:
    for name, written, read in _names_of(cls):
        if written not in read:
            names = " or ".join(map(repr, sorted(read))) or "a path"
            return f"{cls.__qualname__}.{name} is written as {written!r} and read as {names}"
    return next(filter(None, (_find(hint, seen) for _, hint in fields_of(cls))), None)


def _names_of(cls: Any) -> Iterator[tuple[str, str, set[str]]]:
    """Each field of a model with what a dump by alias calls it and what it is read by."""
    if pydantic_models.is_model(cls):
        fields: Mapping[str, Any] = getattr(cls, "model_fields", {})
        config: Mapping[str, Any] = getattr(cls, "model_config", {})
        decorators: Any = getattr(cls, "__pydantic_decorators__", None)
        if getattr(decorators, "model_serializers", None):
            return
    elif is_pydantic_dataclass(cls):
        fields, config = cls.__pydantic_fields__, cls.__pydantic_config__
    else:
        return
    for name, field in fields.items():
        if not field.exclude:
            read = set(_aliases_of(field.validation_alias or field.alias or name))
            if not config.get(_BY_ALIAS, True):
                read = {name}
            elif any(config.get(each) for each in _BY_NAME):
                read.add(name)
            yield name, field.serialization_alias or field.alias or name, read


def _aliases_of(alias: Any) -> Iterator[str]:
    """The names at the top of a document that this leads to the value of a field by."""
    for each in getattr(alias, "choices", (alias,)):
        if isinstance(each, str):
            yield each
        elif len(each.path) == 1:
            yield each.path[0]
