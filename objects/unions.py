"""Unions in which msgspec would hold what one member says against the values of another.

It knows a union by the kinds of JSON values that its members are written as, and what is said of
a kind it says of the whole union: ``Annotated[int, Meta(lt=0)] | Annotated[int, Meta(gt=0)]`` takes
no number at all, and ``Literal[0] | Annotated[int, Meta(gt=0)]`` no zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import combinations
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, cast, get_args, get_origin
from uuid import UUID

_NONE: Final[frozenset[str]] = frozenset()
_TEXT: Final = frozenset({"text"})
_NUMBER: Final = frozenset({"number"})
_TRUTH: Final = frozenset({"truth"})
_NOTHING: Final = frozenset({"nothing"})
_LISTS: Final = frozenset({"list"})
_OBJECTS: Final = frozenset({"object"})
_ANYTHING: Final = _TEXT | _NUMBER | _TRUTH | _NOTHING | _LISTS | _OBJECTS
_KINDS: Final[Mapping[Any, frozenset[str]]] = {
    **dict.fromkeys((str, bytes, date, datetime, time, timedelta, UUID), _TEXT),
    **dict.fromkeys((int, float), _NUMBER),
    **dict.fromkeys((list, tuple, set, frozenset), _LISTS),
    **dict.fromkeys((None, type(None)), _NOTHING),
    Decimal: _TEXT | _NUMBER,
    bool: _TRUTH,
    dict: _OBJECTS,
}
_CLASSES: Final = ("__struct_fields__", "__total__", "_fields", "model_validate_json")
"""What a class has whose values are objects, or lists of what they hold."""


def is_mixed_up(members: Sequence[Any]) -> bool:
    """Whether ``members`` say something of values that another one of them may be written as."""
    return any(
        (_says_more(one) or _says_more(other)) and not _kinds_of(one).isdisjoint(_kinds_of(other))
        for one, other in combinations(members, 2)
    )


def _says_more(member: Any) -> bool:
    """Whether it says more than of which type it is."""
    if get_origin(member) in {Union, UnionType}:
        return any(_says_more(each) for each in get_args(member))
    return get_origin(member) in {Annotated, Literal}


def _kinds_of(member: Any) -> frozenset[str]:
    """What kinds of JSON values are a ``member``; all of them where that is not known."""
    while get_origin(member) is Annotated:
        member = member.__origin__
    origin = get_origin(member) or member
    if origin is Literal:
        return _kinds_of_values(get_args(member))
    if origin in {Union, UnionType}:
        return _NONE.union(*map(_kinds_of, get_args(member)))
    known = _KINDS.get(origin)
    if known is not None or not isinstance(origin, type):
        return known or _ANYTHING
    kind = cast("type[object]", origin)
    if issubclass(kind, Enum):
        return _kinds_of_values([each.value for each in kind])
    is_class = is_dataclass(kind) or any(hasattr(kind, name) for name in _CLASSES)
    return _OBJECTS | _LISTS if is_class else _ANYTHING


def _kinds_of_values(values: Sequence[Any]) -> frozenset[str]:
    kinds = [cast("type[object]", type(each)) for each in values]
    return _NONE.union(*(_KINDS.get(kind, _ANYTHING) for kind in kinds))
