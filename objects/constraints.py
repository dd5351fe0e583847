"""What pydantic's users write beside a type, ``Annotated[int, Field(gt=0)]`` or ``PositiveInt``.

msgspec decodes such a type and does not know what stands beside it, so a bound would be there to be
read and nobody would look at it. What msgspec has a word for is said in its words, which changes
nothing else; anything more is pydantic's to decode. Within a dataclass, a TypedDict or a struct
msgspec reads for itself, and there is nobody to say it to: that has to be refused.

Marks are recognised by looking at them, so that nobody who does not use pydantic loads it.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import UnionType
from typing import (
    Annotated,
    Any,
    Final,
    ForwardRef,
    Literal,
    NewType,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
)

import msgspec
from msgspec import inspect

from .unions import is_mixed_up

_WORDS: Final = frozenset({"gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length"})
"""What msgspec says by the same words, and means the same.

A pattern it does not: with Python's a ``$`` lets a line break pass, some of pydantic's cannot be
said, and a stranger's text can take hours.
"""
_SAY_NOTHING: Final = frozenset({"strict", "documentation", "unit"})
"""msgspec takes no 5 for a text anyway, and the others are for people."""
_FIELDS: Final = "__dataclass_fields__"
_PACKAGES: Final = frozenset({"annotated_types", "pydantic", "pydantic_core"})


def in_words_of_msgspec(annotation: Any) -> Any:
    """``annotation`` with a ``msgspec.Meta`` for whatever one can say; itself where nothing can."""
    named = value_of(annotation)
    if named is not annotation:
        said_of_it = in_words_of_msgspec(named)
        return annotation if said_of_it is named else said_of_it
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is None or origin is Literal:
        return annotation
    if origin is Annotated:
        return _with_meta(annotation)
    said = with_parts(annotation, tuple(in_words_of_msgspec(part) for part in parts))
    if origin in {Union, UnionType} and said is not annotation:
        return annotation if is_mixed_up([value_of(part) for part in get_args(said)]) else said
    return said


def with_parts(annotation: Any, parts: tuple[Any, ...]) -> Any:
    """``annotation`` with these arguments; itself where they are its own."""
    if all(new is old for new, old in zip(parts, get_args(annotation), strict=True)):
        return annotation
    origin: Any = get_origin(annotation)
    if origin in {Union, UnionType}:
        union: Any = Union
        return union[parts]
    return annotation.copy_with(parts) if hasattr(annotation, "copy_with") else origin[parts]


def needs_pydantic(annotation: Any) -> bool:
    """Whether only pydantic can decode it: it is said in so many words, or by a class of its."""
    annotation = value_of(annotation)
    if get_origin(annotation) is Literal:
        return False
    return (
        is_pydantic_dataclass(annotation)
        or is_pydantic_type(annotation)
        or _alias_of(annotation) is not None
        or any(_is_constraint(mark) for mark in getattr(annotation, "__metadata__", ()))
        or any(needs_pydantic(part) for part in get_args(annotation)[: types_in(annotation)])
    )


def is_unknown_to_msgspec(annotation: Any) -> bool:
    """Whether there is a type in it that only pydantic knows at all.

    That is one of its own, or an alias that leads to itself, as JSON's own type does.
    """
    annotation = value_of(annotation)
    if get_origin(annotation) is Literal:
        return False
    parts = get_args(annotation)[: types_in(annotation)]
    return (
        _alias_of(annotation) is not None
        or is_pydantic_type(annotation)
        or any(map(is_unknown_to_msgspec, parts))
    )


def value_of(annotation: Any) -> Any:
    """What a ``NewType`` or a type alias stands for; itself for anything else.

    Also for an alias that leads to itself, as to replace it by what it says would never end.
    """
    named = annotation
    while (said := _said_by_name(named)) is not named:
        if _leads_to(said, _alias_of(named), set()):
            return named
        named = said
    return named


def _said_by_name(named: Any) -> Any:
    """What a name was given to; itself where it is none."""
    try:
        if isinstance(named, NewType):
            return named.__supertype__
        alias = _alias_of(named)
        if alias is None:
            return named
        said: Any = alias.__value__
        if isinstance(said, str | ForwardRef):
            return named  # Only who knows its module can say.
        if alias is named:
            return said
        given = dict(zip(alias.__type_params__, get_args(named), strict=True))
        if isinstance(said, TypeVar):
            return given[said]
        wanted = getattr(said, "__parameters__", ())
        return said[tuple(given[each] for each in wanted)] if wanted else said
    except Exception:  # noqa: BLE001  # an alias is evaluated here, and may raise whatever it likes
        return named


def _alias_of(named: Any) -> Any:
    """The type alias that it is, or is made from by brackets."""
    for each in (named, get_origin(named)):
        if type(each).__name__ == "TypeAliasType":
            return each
    return None


def _leads_to(annotation: Any, alias: Any, seen: set[int]) -> bool:
    """Whether an alias is a part of what it says, by way of whatever other ones."""
    if alias is None or get_origin(annotation) is Literal:
        return False
    if isinstance(annotation, str | ForwardRef):
        return True  # A name that was not looked up, most likely its own.
    found = _alias_of(annotation)
    if found is alias:
        return True
    if found is not None and id(found) in seen:
        return False
    seen.add(id(found))
    said = _said_by_name(annotation)
    parts = get_args(annotation)[: types_in(annotation)] if said is annotation else (said,)
    return any(_leads_to(part, alias, seen) for part in parts)


def types_in(annotation: Any) -> int | None:
    """How many of its arguments are types, as a slice's end: what else is annotated is a mark."""
    return 1 if get_origin(annotation) is Annotated else None


def _with_meta(annotation: Any) -> Any:
    base = in_words_of_msgspec(annotation.__origin__)
    marks: tuple[Any, ...] = annotation.__metadata__
    words: dict[str, Any] = {}
    for mark in marks:
        said = _words_of(mark)
        if said is None:
            return annotation
        words |= said
    if "multiple_of" in words and base is not int:
        return annotation  # Of floats, 0.3 is a multiple of 0.1 for pydantic, as people mean it.
    if not words:
        return annotation if base is annotation.__origin__ else _annotated(base, marks)
    others = [mark for mark in marks if not _words_of(mark)]
    try:
        said_so = _annotated(base, [*others, msgspec.Meta(**words)])
        msgspec.json.Decoder(said_so, dec_hook=_decode_nothing)
    except (TypeError, ValueError):
        return annotation  # A bound of a Decimal or of a date, or one that is no number.
    return said_so


def _annotated(base: Any, marks: Iterable[Any]) -> Any:
    annotated: Any = Annotated
    return annotated[(base, *marks)]


def _decode_nothing(_type: type, value: Any) -> Any:
    return value


def _is_constraint(mark: Any) -> bool:
    return _words_of(mark) != {}


def _words_of(mark: Any) -> dict[str, Any] | None:
    """What a mark says, in msgspec's words; ``None``: more than those."""
    package = type(mark).__module__.partition(".")[0]
    is_field = package in _PACKAGES and type(mark).__name__ == "FieldInfo"
    if not is_field and (package not in _PACKAGES or not _said_by(mark)):
        # It may make a schema of its own for pydantic, and then it says anything.
        return None if hasattr(mark, "__get_pydantic_core_schema__") else {}
    words: dict[str, Any] = {}
    if is_field:
        for each in mark.metadata:
            said = _words_of(each)
            if said is None:
                return None
            words |= said
        return words
    for name, value in _said_by(mark).items():
        if value is None or name in _SAY_NOTHING:
            continue
        if name not in _WORDS:
            return None
        words[name] = value
    return words


def _said_by(mark: Any) -> Mapping[str, Any]:
    names = getattr(mark, _FIELDS, None)
    if names is None:
        return cast("Mapping[str, Any]", getattr(mark, "__dict__", {}))
    return {name: getattr(mark, name, None) for name in names}


def _is_dataclass(annotation: Any) -> bool:
    return isinstance(annotation, type) and hasattr(cast("object", annotation), _FIELDS)


def is_pydantic_type(annotation: Any) -> bool:
    """Whether it is a class that says to pydantic what it is, such as ``HttpUrl``, and no model."""
    return (
        isinstance(annotation, type)
        and hasattr(cast("object", annotation), "__get_pydantic_core_schema__")
        and _is_foreign(annotation)
    )


@lru_cache(maxsize=256)
def _is_foreign(cls: Any) -> bool:
    if hasattr(cls, "__pydantic_validator__"):
        return False  # A model, whose values are met one by one.
    try:
        return isinstance(inspect.type_info(cls), inspect.CustomType)
    except Exception:  # noqa: BLE001  # a stranger's class
        return False


def is_pydantic_dataclass(annotation: Any) -> bool:
    """Whether it is a class that pydantic reads and writes, though no model."""
    return _is_dataclass(annotation) and hasattr(annotation, "__pydantic_validator__")
