"""What pydantic's users write beside a type, ``Annotated[int, Field(gt=0)]`` or ``PositiveInt``.

msgspec decodes such a type and does not know what stands beside it, so a bound would be there to be
read and nobody would look at it. What msgspec has a word for is said in its words, which changes
nothing else; anything more is pydantic's to decode. Within a dataclass, a TypedDict or a struct
msgspec reads for itself, and there is nobody to say it to: that has to be refused.

Marks are recognised by looking at them, so that nobody who does not use pydantic loads it.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, cast, get_args, get_origin, get_type_hints

import msgspec

from . import pydantic_models

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
    named = _value_of(annotation)
    if named is not annotation:
        said_of_it = in_words_of_msgspec(named)
        return annotation if said_of_it is named else said_of_it
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is None or origin is Literal:
        return annotation
    if origin is Annotated:
        return _with_meta(annotation)
    said = tuple(in_words_of_msgspec(part) for part in parts)
    if all(new is old for new, old in zip(said, parts, strict=True)):
        return annotation
    if origin in {Union, UnionType}:
        union: Any = Union
        return union[said]
    return annotation.copy_with(said) if hasattr(annotation, "copy_with") else origin[said]


def needs_pydantic(annotation: Any) -> bool:
    """Whether only pydantic can decode it: it is said in so many words, or by a class of its."""
    annotation = _value_of(annotation)
    if get_origin(annotation) is Literal:
        return False
    return (
        _is_pydantic_dataclass(annotation)
        or any(_is_constraint(mark) for mark in getattr(annotation, "__metadata__", ()))
        or any(needs_pydantic(part) for part in get_args(annotation)[: _types_in(annotation)])
    )


def find_unchecked(annotation: Any) -> str | None:
    """The field, within a class that msgspec reads, that says something which nobody looks at."""
    return _find_unchecked(annotation, set())


def _find_unchecked(annotation: Any, seen: set[Any]) -> str | None:
    """As said, of classes that are not ``seen``: each once, as each may lead to all others."""
    annotation = _value_of(annotation)
    if get_origin(annotation) is Literal:
        return None
    if isinstance(annotation, type) and not get_args(annotation):
        if annotation in seen:
            return None
        seen.add(annotation)
        for name, hint in _fields_of(annotation):
            if in_words_of_msgspec(hint) is not hint or needs_pydantic(hint):
                return f"{annotation.__qualname__}.{name}"
            found = _find_unchecked(hint, seen)
            if found is not None:
                return found
        return None
    parts = get_args(annotation)[: _types_in(annotation)]
    return next(filter(None, (_find_unchecked(part, seen) for part in parts)), None)


def _value_of(annotation: Any) -> Any:
    """What a ``NewType`` or a type alias stands for; itself for anything else."""
    named = annotation
    while type(named).__name__ in {"NewType", "TypeAliasType"}:
        try:
            named = named.__supertype__ if hasattr(named, "__supertype__") else named.__value__
            if _mentions(named, annotation):
                return annotation  # It is a part of itself.
        except Exception:  # noqa: BLE001  # an alias is evaluated here, and may raise whatever it likes
            return annotation
    return named


def _mentions(annotation: Any, alias: Any) -> bool:
    return annotation is alias or any(_mentions(part, alias) for part in get_args(annotation))


def _types_in(annotation: Any) -> int | None:
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
    if package not in _PACKAGES:
        # It may make a schema of its own for pydantic, and then it says anything.
        return None if hasattr(mark, "__get_pydantic_core_schema__") else {}
    words: dict[str, Any] = {}
    if type(mark).__name__ == "FieldInfo":
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


def _is_pydantic_dataclass(annotation: Any) -> bool:
    return _is_dataclass(annotation) and hasattr(annotation, "__pydantic_validator__")


def _fields_of(cls: type) -> Iterator[tuple[str, Any]]:
    if pydantic_models.is_model(cls) or _is_pydantic_dataclass(cls):
        return
    kind: Any = cls
    marks = ("__struct_fields__", _FIELDS, "__total__", "_fields")
    if not any(hasattr(kind, mark) for mark in marks):
        return
    try:
        hints = get_type_hints(kind, include_extras=True)
    except Exception:  # noqa: BLE001  # an annotation may raise whatever it likes when evaluated
        return
    yield from hints.items()
