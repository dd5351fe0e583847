"""The dict a handler holds: a real ``dict`` that tells its segments what happens to it.

Every method that changes the dict or hands out values is here; the others are ``dict``'s own.
Copies and unions are plain dicts. Without segments it is a plain dict itself.
"""

import copy
from collections.abc import ItemsView, Iterator, ValuesView
from typing import Any, Final, Self, SupportsIndex

from .dict_segments import DictSegments
from .value_type import IMMUTABLE_TYPES, NativeDict

_MISSING: Final = object()


class TrackedDict(dict[Any, Any]):
    """A dict that notices what is done to it."""

    # ``None`` once the field has another value: then this is nobody's dict but its holder's.
    __slots__ = ("segments",)

    def __init__(self, *entries: Any, **named: Any) -> None:
        """Hold ``entries``, as ``dict`` does: others make ``type(found)(entries)``.

        ``dataclasses.asdict`` does. Nobody is told what becomes of them unless ``segments`` is set.
        """
        self.segments: DictSegments | None = None
        super().__init__(*entries, **named)

    # --- reads that hand out values ---

    def __getitem__(self, key: Any, /) -> Any:
        """As ``dict.__getitem__``."""
        value = NativeDict.__getitem__(self, key)
        if self.segments is not None and type(value) not in IMMUTABLE_TYPES:
            self.segments.touch(key)
        return value

    def get(self, key: Any, default: Any = None, /) -> Any:
        """As ``dict.get``."""
        value = NativeDict.get(self, key, default)
        if self.segments is not None and type(value) not in IMMUTABLE_TYPES:
            self.segments.touch(key)
        return value

    def __iter__(self) -> Iterator[Any]:
        """As ``dict.__iter__``.

        Defined so that ``dict(self)`` and ``{**self}`` ask ``__getitem__`` for each value: they
        take them unseen from a subclass that leaves iteration as it is.
        """
        return NativeDict.__iter__(self)

    def values(self) -> Any:
        """A view of the values that notices which were handed out."""
        if self.segments is None or self.segments.container.is_flat:
            return NativeDict.values(self)
        return _Values(self)

    def items(self) -> Any:
        """A view of the entries that notices which values were handed out."""
        if self.segments is None or self.segments.container.is_flat:
            return NativeDict.items(self)
        return _Items(self)

    def copy(self) -> dict[Any, Any]:
        """A plain dict of the same entries."""
        self.hand_out_all()
        return NativeDict.copy(self)

    def hand_out_all(self) -> None:
        """Note that every value is about to be handed out, which is cheaper than one by one."""
        if self.segments is not None:
            self.segments.touch_all()

    def __copy__(self) -> dict[Any, Any]:
        """A plain dict of the same entries."""
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[Any, Any]:
        """A plain dict of copies."""
        return copy.deepcopy(NativeDict.copy(self), memo)

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> tuple[Any, ...]:
        """Pickle as a plain dict."""
        del protocol
        return dict, (NativeDict.copy(self),)

    def __or__(self, other: Any, /) -> Any:
        """A plain dict: the union is not the field's value."""
        return NativeDict.__or__(self.copy(), other)

    def __ror__(self, other: Any, /) -> Any:
        """A plain dict."""
        return NativeDict.__ror__(self.copy(), other)

    # --- changes ---

    def __setitem__(self, key: Any, value: Any, /) -> None:
        """As ``dict.__setitem__``."""
        NativeDict.__setitem__(self, key, value)
        if self.segments is not None:
            self.segments.note_set(key)

    def __delitem__(self, key: Any, /) -> None:
        """As ``dict.__delitem__``."""
        NativeDict.__delitem__(self, key)
        if self.segments is not None:
            self.segments.note_removed(key)

    def setdefault(self, key: Any, default: Any = None, /) -> Any:
        """As ``dict.setdefault``."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: Any, default: Any = _MISSING, /) -> Any:
        """As ``dict.pop``."""
        if key in self:
            value = NativeDict.pop(self, key)
            if self.segments is not None:
                self.segments.note_removed(key)
            return value
        if default is _MISSING:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[Any, Any]:
        """As ``dict.popitem``."""
        key, value = NativeDict.popitem(self)
        if self.segments is not None:
            self.segments.note_removed(key)
        return key, value

    def clear(self) -> None:
        """As ``dict.clear``."""
        if self.segments is not None:
            self.segments.lose_track()
        NativeDict.clear(self)

    def update(self, *others: Any, **entries: Any) -> None:
        """As ``dict.update``."""
        # A plain dict first: it refuses what ``update`` refuses before anything has changed.
        for key, value in dict(*others, **entries).items():
            self[key] = value

    def __ior__(self, other: Any, /) -> Self:
        """As ``update``."""
        self.update(other)
        return self


class _Values(ValuesView[Any]):
    """The values of a ``TrackedDict``.

    Each is also asked for by its key: an iteration may go on after the rows were compared.
    """

    def __init__(self, entries: TrackedDict) -> None:
        super().__init__(entries)
        self._entries = entries

    def __iter__(self) -> Iterator[Any]:
        self._entries.hand_out_all()
        for key in self._entries:
            yield self._entries[key]

    def __reversed__(self) -> Iterator[Any]:
        return (self._entries[key] for key in reversed(self._entries))


class _Items(ItemsView[Any, Any]):
    """The entries of a ``TrackedDict``; as ``_Values``."""

    def __init__(self, entries: TrackedDict) -> None:
        super().__init__(entries)
        self._entries = entries

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        self._entries.hand_out_all()
        for key in self._entries:
            yield key, self._entries[key]

    def __reversed__(self) -> Iterator[tuple[Any, Any]]:
        return ((key, self._entries[key]) for key in reversed(self._entries))
