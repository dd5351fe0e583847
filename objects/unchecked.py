"""Bounds that would be there to be read, and that nobody would look at.

A class is read as a whole by msgspec or by pydantic, and either passes over what only the other one
knows. There is nobody to say it to, so it has to be refused where it is declared.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from . import pydantic_models
from .constraints import (
    in_words_of_msgspec,
    is_pydantic_dataclass,
    needs_pydantic,
    types_in,
    value_of,
)
from .pydantic_words import is_bound

_HAS_FIELDS = (
    *("__struct_fields__", "__dataclass_fields__", "__attrs_attrs__"),
    *("__total__", "_fields"),
)
"""What structs, dataclasses and attrs classes, and TypedDicts and NamedTuples can be told by."""


def find_unchecked(annotation: Any, *, by_pydantic: bool) -> str | None:
    """Which field says something that nobody looks at, and the cure, for a message.

    Args:
        annotation: what is decoded.
        by_pydantic: whether pydantic decodes it as a whole; else msgspec does, except for models.
    """
    return _find(annotation, set(), by_pydantic=by_pydantic)


def _find(annotation: Any, seen: set[Any], *, by_pydantic: bool) -> str | None:
    """As said, of classes that are not ``seen``: each once, as each may lead to all others."""
    annotation = value_of(annotation)
    origin = get_origin(annotation)
    if origin is Literal:
        return None
    cls: Any = annotation if origin is None else origin
    if isinstance(cls, type) and (cls, by_pydantic) not in seen:
        seen.add((cls, by_pydantic))
        found = _find_in_class(cls, seen, by_pydantic=by_pydantic)
        if found is not None:
            return found
    parts = get_args(annotation)[: types_in(annotation)]
    found_in = (_find(part, seen, by_pydantic=by_pydantic) for part in parts)
    return next(filter(None, found_in), None)


def _find_in_class(cls: type, seen: set[Any], *, by_pydantic: bool) -> str | None:
    is_model = pydantic_models.is_model(cls) or is_pydantic_dataclass(cls)
    by_pydantic = by_pydantic or is_model
    for name, hint in fields_of(cls):
        where = f"{cls.__qualname__}.{name}"
        if by_pydantic and _has_bound(hint):
            cure = "say it" if is_model else "derive that from pydantic.BaseModel, and say it"
            return (
                f"{where} says by msgspec.Meta(...) what pydantic, which reads its class, does not "
                f"look at; {cure} by pydantic.Field(...)"
            )
        if not by_pydantic and (in_words_of_msgspec(hint) is not hint or needs_pydantic(hint)):
            return (
                f"{where} says what only pydantic looks at, and its class is none of pydantic's; "
                f"derive that from pydantic.BaseModel, or say it by msgspec.Meta(...)"
            )
        found = _find(hint, seen, by_pydantic=by_pydantic)
        if found is not None:
            return found
    return None


def _has_bound(annotation: Any) -> bool:
    annotation = value_of(annotation)
    if get_origin(annotation) is Literal:
        return False
    return any(map(is_bound, getattr(annotation, "__metadata__", ()))) or any(
        map(_has_bound, get_args(annotation)[: types_in(annotation)])
    )


def fields_of(cls: type) -> Iterator[tuple[str, Any]]:
    """The fields of a class of those kinds, with their types and what stands beside these."""
    kind: Any = cls
    if pydantic_models.is_model(cls):
        annotated: Any = Annotated
        for name, field in getattr(kind, "model_fields", {}).items():
            yield name, annotated[(field.annotation, *field.metadata, None)]
        return
    if not any(hasattr(kind, mark) for mark in _HAS_FIELDS):
        return
    try:
        hints = get_type_hints(kind, include_extras=True)
    except Exception:  # noqa: BLE001  # an annotation may raise whatever it likes when evaluated
        return
    yield from hints.items()
