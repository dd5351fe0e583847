"""What stands beside a type by ``msgspec.Meta``, in pydantic's words.

pydantic decodes a type as a whole as soon as one part of it needs that, and passes over what only
msgspec knows. So the bounds of the other parts are said again before it is asked. They may come
from its own users: what msgspec could say was put into its words first (see ``constraints``).
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from importlib import import_module
from typing import Annotated, Any, Final, Literal, get_args, get_origin

import msgspec

from .constraints import value_of, with_parts

_SAME_WORDS: Final = (
    *("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length"),
    *("title", "description", "examples"),
)
_BOUNDS: Final = (
    *("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern", "tz"),
)


def in_words_of_pydantic(annotation: Any) -> Any:
    """``annotation`` without any ``msgspec.Meta``, or itself; may import pydantic."""
    named = value_of(annotation)
    if named is not annotation:
        said_of_it = in_words_of_pydantic(named)
        return annotation if said_of_it is named else said_of_it
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is None or origin is Literal:
        return annotation
    if origin is not Annotated:
        return with_parts(annotation, tuple(in_words_of_pydantic(part) for part in parts))
    base = in_words_of_pydantic(annotation.__origin__)
    marks: tuple[Any, ...] = annotation.__metadata__
    if base is annotation.__origin__ and not any(isinstance(m, msgspec.Meta) for m in marks):
        return annotation
    annotated: Any = Annotated
    return annotated[(base, *(said for mark in marks for said in _words_of(mark)))]


def is_bound(mark: object) -> bool:
    """Whether it is a ``msgspec.Meta`` that says more than what is for people."""
    return isinstance(mark, msgspec.Meta) and any(
        getattr(mark, name) is not None for name in _BOUNDS
    )


def _words_of(mark: Any) -> Iterator[Any]:
    if not isinstance(mark, msgspec.Meta):
        yield mark
        return
    pydantic: Any = import_module("pydantic")
    words = {name: getattr(mark, name) for name in _SAME_WORDS if getattr(mark, name) is not None}
    if mark.pattern is not None:
        words["pattern"] = re.compile(mark.pattern)  # Python's, as msgspec reads it.
    if mark.extra_json_schema is not None:
        words["json_schema_extra"] = mark.extra_json_schema
    if words:
        yield pydantic.Field(**words)
    if mark.tz is not None:
        yield pydantic.AfterValidator(_zone_check(has_zone=mark.tz))


def _zone_check(*, has_zone: bool) -> Callable[[datetime], datetime]:
    def check(moment: datetime) -> datetime:
        if (moment.tzinfo is not None) is not has_zone:
            message = f"expected a time {'with' if has_zone else 'without'} a time zone"
            raise ValueError(message)
        return moment

    return check
