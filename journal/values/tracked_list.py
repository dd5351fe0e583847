"""The list a handler holds: a real ``list`` that tells its segments what happens to it.

Every method that changes the list or hands out elements is here; the others are ``list``'s own.
Copies, slices and sums are plain lists. Without segments it is a plain list itself.
"""

import copy
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self, SupportsIndex, overload

from .list_segments import ListSegments
from .value_type import IMMUTABLE_TYPES, NativeList


class TrackedList(list[Any]):
    """A list that notices what is done to it."""

    # ``None`` once the field has another value: then this is nobody's list but its holder's.
    __slots__ = ("segments",)

    def __init__(self, elements: Iterable[Any] = (), /) -> None:
        """Hold ``elements``, as ``list`` does: others make ``type(found)(elements)``.

        ``dataclasses.asdict`` does. Nobody is told what becomes of them unless ``segments`` is set.
        """
        super().__init__(elements)
        self.segments: ListSegments | None = None

    # --- reads that hand out elements ---

    def __iter__(self) -> Iterator[Any]:
        """A native iterator. How far it got is looked at before the next command."""
        iterator = NativeList.__iter__(self)
        segments = self.segments
        if segments is not None and not segments.container.is_flat:
            segments.watch_iterator(iterator, 0)
        return iterator

    def __reversed__(self) -> Iterator[Any]:
        """As ``__iter__``, from the end."""
        iterator = NativeList.__reversed__(self)
        segments = self.segments
        if segments is not None and not segments.container.is_flat:
            segments.watch_iterator(iterator, len(self) - 1)
        return iterator

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Any: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[Any]: ...
    def __getitem__(self, index: SupportsIndex | slice, /) -> Any:
        """One element, or a plain list of some."""
        found = NativeList.__getitem__(self, index)
        segments = self.segments
        if segments is None or type(found) in IMMUTABLE_TYPES:
            return found
        if isinstance(index, slice):
            positions = range(len(self))[index]
            if positions:
                ends = sorted((positions[0], positions[-1]))
                segments.touch_range(ends[0], ends[1] + 1)
        else:
            position = operator.index(index)
            segments.touch(position if position >= 0 else position + len(self))
        return found

    def copy(self) -> list[Any]:
        """A plain list of the same elements."""
        return self[:]

    def __copy__(self) -> list[Any]:
        """A plain list of the same elements."""
        return self[:]

    def __deepcopy__(self, memo: dict[int, Any]) -> list[Any]:
        """A plain list of copies."""
        return copy.deepcopy(NativeList.__getitem__(self, slice(None)), memo)

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> tuple[Any, ...]:
        """Pickle as a plain list."""
        del protocol
        return list, (NativeList.__getitem__(self, slice(None)),)

    def __add__(self, other: list[Any], /) -> list[Any]:
        """A plain list: the sum of two lists is not the field's value."""
        self._hand_out_all()
        return NativeList.__add__(self, other)

    def __radd__(self, other: list[Any], /) -> list[Any]:
        """Called for a plain list in front; ``list`` would take the elements unseen."""
        if not isinstance(other, list):  # pyright: ignore[reportUnnecessaryIsInstance] - any `+`
            return NotImplemented
        self._hand_out_all()
        return NativeList.__add__(other, self)

    def __mul__(self, count: SupportsIndex, /) -> list[Any]:
        """A plain list."""
        self._hand_out_all()
        return NativeList.__mul__(self, count)

    __rmul__ = __mul__

    def _hand_out_all(self) -> None:
        if self.segments is not None:
            self.segments.touch_range(0, len(self))

    # --- changes at the end ---

    def append(self, element: Any, /) -> None:
        """As ``list.append``."""
        NativeList.append(self, element)
        if self.segments is not None:
            self.segments.appended.append(element)

    def extend(self, elements: Iterable[Any], /) -> None:
        """As ``list.extend``."""
        added = list(elements)
        NativeList.extend(self, added)
        if self.segments is not None:
            self.segments.appended.extend(added)

    def __iadd__(self, elements: Iterable[Any], /) -> Self:
        """As ``extend``."""
        self.extend(elements)
        return self

    # --- changes anywhere ---

    def pop(self, index: SupportsIndex = -1, /) -> Any:
        """As ``list.pop``."""
        size = len(self)
        element = NativeList.pop(self, index)
        position = operator.index(index)
        position = position if position >= 0 else position + size
        self._tell(size, position, position + 1)
        return element

    def insert(self, index: SupportsIndex, element: Any, /) -> None:
        """As ``list.insert``."""
        size = len(self)
        position = slice(index, None).indices(size)[0]
        NativeList.insert(self, index, element)
        self._tell(size, position, position, [element])

    def remove(self, element: Any, /) -> None:
        """As ``list.remove``."""
        del self[self.index(element)]

    def clear(self) -> None:
        """As ``list.clear``."""
        size = len(self)
        NativeList.clear(self)
        self._tell(size, 0, size)

    @overload
    def __setitem__(self, index: SupportsIndex, value: Any, /) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: Iterable[Any], /) -> None: ...
    def __setitem__(self, index: SupportsIndex | slice, value: Any, /) -> None:
        """As ``list.__setitem__``."""
        segments = self.segments
        if not isinstance(index, slice):
            NativeList.__setitem__(self, index, value)
            if segments is not None:
                position = operator.index(index)
                segments.replace_one(position if position >= 0 else position + len(self), value)
            return
        size = len(self)
        start, stop, step = index.indices(size)
        elements = list(value)
        NativeList.__setitem__(self, index, elements)
        if step == 1:
            self._tell(size, start, max(start, stop), elements)
        elif segments is not None:
            segments.lose_track()

    def __delitem__(self, index: SupportsIndex | slice, /) -> None:
        """As ``list.__delitem__``."""
        size = len(self)
        NativeList.__delitem__(self, index)
        if not isinstance(index, slice):
            position = operator.index(index)
            position = position if position >= 0 else position + size
            self._tell(size, position, position + 1)
            return
        start, stop, step = index.indices(size)
        if step == 1:
            self._tell(size, start, max(start, stop))
        elif self.segments is not None:
            self.segments.lose_track()

    def __imul__(self, count: SupportsIndex, /) -> Self:
        """As ``list.__imul__``."""
        if self.segments is not None:
            self.segments.lose_track()
        NativeList.__imul__(self, count)
        return self

    def sort(self, *, key: Callable[[Any], Any] | None = None, reverse: bool = False) -> None:
        """As ``list.sort``."""
        if self.segments is not None:
            self.segments.lose_track()
        NativeList.sort(self, key=key, reverse=reverse)

    def reverse(self) -> None:
        """As ``list.reverse``."""
        if self.segments is not None:
            self.segments.lose_track()
        NativeList.reverse(self)

    def _tell(self, size: int, start: int, stop: int, elements: Iterable[Any] = ()) -> None:
        if self.segments is not None:
            self.segments.replace_range(size, start, stop, [*elements])
