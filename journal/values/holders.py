"""Whether anybody but the value itself still holds a part of it.

A mutable element that was handed out must be looked at again before every command for as long as
somebody may change it. CPython's reference counts tell when nobody can any more. The evidence is
used in one direction only: what cannot be looked into counts as held, and being held costs time,
never a change.

This module knows no chunks and no rows.
"""

import gc
import sys
from enum import Enum
from sys import getrefcount
from typing import Any, Final

from .value_type import IMMUTABLE_TYPES

_CONTAINERS: Final = frozenset({dict, list, tuple, set, frozenset})
_TRANSPARENT: Final = IMMUTABLE_TYPES | _CONTAINERS
_CAN_TELL: Final = sys.implementation.name == "cpython"


class Holders(Enum):
    """Which of some elements may be reachable from outside the value that contains them."""

    NONE = 0
    SOME = 1
    ALL = 2


def find_holders(found: list[Any], *, is_shallow: bool) -> Holders:
    """Look at elements that are in one container and in ``found``, and nowhere else if unheld.

    Nested containers are looked at level by level, for somebody may hold ``message["parts"]`` and
    not the message; unless ``is_shallow``, which says that there are none.
    """
    is_top = True
    while True:
        seen = set(map(type, found))
        if seen <= IMMUTABLE_TYPES:
            return Holders.NONE
        if not _CAN_TELL or not seen <= _TRANSPARENT:
            return Holders.ALL if is_top and not seen & _TRANSPARENT else Holders.SOME
        if seen.isdisjoint(IMMUTABLE_TYPES):
            containers = found[:]
        else:
            containers = [part for part in found if type(part) not in IMMUTABLE_TYPES]
        if max(map(getrefcount, containers)) > _UNHELD:
            is_all = is_top and min(map(getrefcount, containers)) > _UNHELD
            return Holders.ALL if is_all else Holders.SOME
        if is_shallow:
            return Holders.NONE
        found = gc.get_referents(*containers)
        is_top = False


def _measure_unheld() -> int:
    """The count that ``find_holders`` sees for an element of one container and of ``found``."""
    owner: list[Any] = [[]]
    found = owner[:]
    containers = [part for part in found if type(part) not in IMMUTABLE_TYPES]
    return max(map(getrefcount, containers))


_UNHELD: Final = _measure_unheld() if _CAN_TELL else 0
