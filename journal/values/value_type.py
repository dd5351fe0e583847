"""What the annotation of a state field says about how its value is encoded and watched."""

import datetime as dt
import decimal
import enum
import types
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Protocol, Union, get_args, get_origin


class Serde(Protocol):
    """A type's way to MessagePack and back; ``objects.serde.packed_serde`` makes them."""

    def encode(self, value: Any, /) -> bytes:
        """The bytes of ``value``.

        Raises:
            InvalidArgumentError: it cannot be encoded.
        """
        ...

    def decode(self, data: bytes, /) -> Any:
        """The value that ``data`` holds.

        Raises:
            InvalidArgumentError: ``data`` is malformed or of another type.
        """
        ...


IMMUTABLE_TYPES: Final = frozenset(
    {
        bool,
        bytes,
        complex,
        dt.date,
        dt.datetime,
        dt.time,
        dt.timedelta,
        decimal.Decimal,
        float,
        int,
        str,
        type(None),
        uuid.UUID,
    }
)
"""Exact types whose values cannot change and hold nothing that can."""

NativeList: Final[type[list[Any]]] = list
NativeDict: Final[type[dict[Any, Any]]] = dict
"""What the tracked types are underneath; by these names their methods are called untracked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerType:
    """How a list or dict is encoded when it is cut into chunks.

    Attributes:
        serde: encodes a shorter list or dict of the same elements.
        is_flat: the annotation says that elements, or values, cannot change in place.
        is_shallow: it says that they are lists, dicts or sets of what cannot change in place.
    """

    serde: Serde
    is_flat: bool
    is_shallow: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueType:
    """The annotation of one field, inspected once.

    Attributes:
        whole: encodes and decodes a value in one piece.
        as_list: how a list is cut; ``None`` where the annotation takes no list.
        as_dict: how a dict is cut; ``None`` where the annotation takes no dict.
    """

    whole: Serde
    as_list: ContainerType | None
    as_dict: ContainerType | None


def make_value_type(annotation: Any, make_serde: Callable[[Any], Serde]) -> ValueType:
    """Inspect ``annotation``; ``make_serde`` makes the serde of an annotation.

    ``Any`` may hold lists and dicts. A union with two kinds of list, which only the whole could
    tell apart, is always stored in one piece.
    """
    members = _members(annotation)
    lists = [member for member in members if (get_origin(member) or member) in {list, Any, object}]
    dicts = [member for member in members if (get_origin(member) or member) in {dict, Any, object}]
    return ValueType(
        whole=make_serde(annotation),
        as_list=_container(lists, list, make_serde),
        as_dict=_container(dicts, dict, make_serde),
    )


def is_immutable(annotation: Any) -> bool:
    """Whether values of ``annotation`` can neither change nor hold anything that can."""
    members = _members(annotation)
    if members != [annotation]:
        return all(map(is_immutable, members))
    origin = get_origin(annotation)
    if origin in {tuple, frozenset}:
        return all(part is Ellipsis or is_immutable(part) for part in get_args(annotation))
    return (
        origin is Literal
        or annotation is None
        or annotation in IMMUTABLE_TYPES
        or (isinstance(annotation, type) and issubclass(annotation, enum.Enum))
    )


def _members(annotation: Any) -> list[Any]:
    """The annotation, or the members of a union, without ``Annotated``, ``NewType`` and aliases."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if hasattr(annotation, "__supertype__"):
        return _members(annotation.__supertype__)
    if hasattr(annotation, "__value__"):
        return _members(annotation.__value__)
    if get_origin(annotation) in {Union, types.UnionType}:
        return [member for part in get_args(annotation) for member in _members(part)]
    return [annotation]


def _container(
    members: list[Any], kind: type, make_serde: Callable[[Any], Serde]
) -> ContainerType | None:
    if len(members) != 1:
        return None
    [member] = members
    parts = get_args(member)
    element = parts[-1] if parts else Any
    return ContainerType(
        serde=make_serde(member if parts else kind),
        is_flat=is_immutable(element),
        is_shallow=get_origin(element) in {list, dict, set}
        and all(map(is_immutable, get_args(element))),
    )
