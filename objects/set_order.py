"""Sets written as lists whose order is that of their elements, in every process.

A set of texts is walked in another order in every process. What a handler hands to a call is
compared on replay with what it handed over before the crash, and a state that was only read with
what is stored. So the elements are sorted: whole numbers as such, and others by the bytes of each,
as they need not be comparable otherwise.
"""

import gc
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextvars import ContextVar
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, Final, cast
from uuid import UUID

from msgspec import inspect

from . import pydantic_models

PLAIN: Final[frozenset[type]] = frozenset(
    {str, int, float, bool, bytes, type(None), date, datetime, time, timedelta, Decimal, UUID}
)
_MAY_BE_SETS: Final = (
    inspect.SetType,
    inspect.FrozenSetType,
    inspect.AnyType,
    inspect.CustomType,
    inspect.RawType,
)
_LISTS: Final[tuple[Any, ...]] = (list, tuple, set, frozenset)
_keys_of: Final[Callable[[Any], Collection[Any]]] = vars(dict)["keys"]
_values_of: Final[Callable[[Any], Collection[Any]]] = vars(dict)["values"]
_CONTAINERS: Final[frozenset[type]] = frozenset({list, dict, tuple, set, frozenset})

ARE_NUMBERS_AS_WALKED: Final[ContextVar[bool]] = ContextVar("ARE_NUMBERS_AS_WALKED", default=False)
"""Whether sets of numbers are left in the order they are walked in, which is the same in every
process: what early releases have recorded."""
_NUMBERS: Final[frozenset[type]] = frozenset({int, float, bool})


def may_hold_sets(annotation: Any) -> bool:
    """Whether a value of ``annotation`` can have a set in it."""
    try:
        waiting: list[Any] = [inspect.type_info(annotation)]
    except Exception:  # noqa: BLE001  # a type that msgspec does not know, or a stranger's code
        return True
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if isinstance(each, inspect.Field):
            each = each.type
        if isinstance(each, _MAY_BE_SETS):
            return True
        if isinstance(each, inspect.Type) and id(each) not in seen:  # A type may hold itself.
            seen.add(id(each))
            for name in each.__struct_fields__:
                part: Any = getattr(each, name)
                waiting += part if isinstance(part, tuple) else (part,)
    return False


def holds_sets(value: Any) -> bool:
    """Whether there is a set in ``value``, anywhere, that can be walked in more than one order.

    ``value`` must be known not to contain itself, but for what a model does not write of itself.
    """
    level: list[Any] = [value]
    # By their ids, objects with fields and all that was met behind the first of them; held, or
    # another one might get the same id.
    seen: dict[int, Any] = {}
    while True:
        kinds: set[Any] = set(map(type, level)) - PLAIN
        if not kinds:
            return False
        found, level = level, []
        # Level by level and kind by kind, mostly in C: it is all looked at, and may be long.
        for kind in kinds:
            these: list[Any] = [each for each in found if type(each) is kind]
            if _is_unordered(kind, these):
                return True
            names = () if kind in _CONTAINERS else _name_fields(kind)
            if names or seen:
                new = {id(each): each for each in these if id(each) not in seen}
                seen |= new
                these = list(new.values())
            if kind in _CONTAINERS:
                level += gc.get_referents(*these)
            elif issubclass(kind, (dict, list, tuple, set, frozenset)):
                for each in these:
                    level += _parts(each)
            for _, name in names:
                level += [getattr(each, name, None) for each in these]


def _is_unordered(kind: Any, these: list[Any]) -> bool:
    """Whether some of them, all of one kind, are sets of several, or may compute such."""
    if issubclass(kind, (set, frozenset)):
        return any(len(each) > 1 for each in these)
    return pydantic_models.is_model(kind) and bool(_computes_sets(kind))


def order_sets(builtins: Any, value: Any, encode: Callable[[Any], bytes]) -> Any:
    """``builtins``, which ``value`` has become in the order it was walked in, with sets in theirs.

    What has become something else, by a serializer of its own, stays as that has made it.
    """
    kind = cast("type[object]", type(value))
    if pydantic_models.is_root_model(kind):
        return order_sets(builtins, value.root, encode)
    made = cast("type[object]", type(builtins))
    if made is dict and issubclass(kind, dict):
        keys = list(map(partial(_order_key, encode=encode), builtins, _keys_of(value)))
        if len(keys) != len(value):
            return builtins  # Two keys have become one.
        pairs = zip(builtins.values(), _values_of(value), strict=True)
        return dict(zip(keys, [order_sets(*pair, encode) for pair in pairs], strict=True))
    if made is dict:
        named = _find_names(kind)
        return {
            name: order_sets(each, getattr(value, named[name], None), encode)
            if name in named
            else each
            for name, each in builtins.items()
        }
    if made in {list, tuple}:
        parts = list(_parts(value))
        if _is_tagged_list(kind):
            parts.insert(0, None)
        if len(parts) != len(builtins):
            return builtins
        found = [order_sets(*pair, encode) for pair in zip(builtins, parts, strict=True)]
        return _sort(found, encode) if issubclass(kind, (set, frozenset)) else found
    return builtins


def _order_key(key: Any, value: Any, *, encode: Callable[[Any], bytes]) -> Any:
    """As ``order_sets``, of what is a key, and stays one."""
    return _to_tuple(order_sets(key, value, encode)) if type(key) is tuple else key


def _to_tuple(key: Any) -> Any:
    return tuple(map(_to_tuple, key)) if type(key) in {list, tuple} else key


def _is_tagged_list(kind: Any) -> bool:
    """Whether it is a struct that is written as a list, behind its tag."""
    config = getattr(kind, "__struct_config__", None)
    return config is not None and config.array_like and config.tag is not None


def _sort(elements: list[Any], encode: Callable[[Any], bytes]) -> list[Any]:
    kinds = {*map(type, elements)}
    if kinds <= _NUMBERS and ARE_NUMBERS_AS_WALKED.get():
        return elements
    if kinds == {int}:
        return sorted(elements)  # As small ones are walked anyway.
    return sorted(elements, key=encode)


def _parts(value: Any) -> Iterable[Any]:
    """What ``value`` holds, past what a subclass may have put in front."""
    kind = cast("type[object]", type(value))
    if issubclass(kind, dict):
        return [*_keys_of(value), *_values_of(value)]
    for base in _LISTS:
        if issubclass(kind, base):
            return list(base.__iter__(value))
    return [getattr(value, name, None) for name in _find_names(kind).values()]


def _find_names(kind: type) -> Mapping[str, str]:
    return dict(_name_fields(kind))


@lru_cache(maxsize=1024)
def _name_fields(kind: type) -> Sequence[tuple[str, str]]:
    """What JSON calls the fields of a dataclass, a struct, an attrs class or a model, and Python.

    None of any other.
    """
    if pydantic_models.is_model(kind):
        return [*pydantic_models.name_fields(kind), *_computes_sets(kind)]
    names: Sequence[str] = getattr(kind, "__struct_fields__", ())
    called: Sequence[str] = getattr(kind, "__struct_encode_fields__", names)
    if not names:
        names = called = list(getattr(kind, "__dataclass_fields__", ()))
    if not names:
        names = called = [each.name for each in getattr(kind, "__attrs_attrs__", ())]
    return list(zip(called, names, strict=True))


@lru_cache(maxsize=1024)
def _computes_sets(model: type[pydantic_models.Model]) -> Sequence[tuple[str, str]]:
    """What a dump calls those computed fields that may have a set in them, and Python."""
    computed = pydantic_models.name_computed(model)
    return [(called, name) for called, name, type_ in computed if may_hold_sets(type_)]
