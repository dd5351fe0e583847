"""Which chunk each element of a long list belongs to, and what has happened to it.

A live list is its chunks' elements, then the *appended* ones that are in no chunk yet. Every
mutation that ``TrackedList`` sees is told as "these positions were replaced by so many others".

C code that takes a list apart from within, as ``heapq`` does, tells nothing. It is noticed by its
traces: another length, another element at the *probes*, which are the first few (the top of a
heap), some in between and the last, or among the appended ones. Once caught, the list is compared
whole from then on. A list that was also changed in its middle by its own methods, and looks like
a heap, is compared whole too: ``queue[3] = job; heapify(queue)``. What stays unseen is C code that
moves elements of a list of the same length around all the probes, and C code that takes mutable
elements out of a list without iterating over it, as the validators of models do.
"""

import operator
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from sys import getrefcount
from typing import Any, Final

from .chunks import Chunk, Piece
from .rows import array_header
from .segments import Segments
from .value_type import ContainerType, NativeList

_ITERATORS_MAX: Final = 64
_PROBES: Final = 16
_UNORDERED: Final = tuple(getattr(base, "__lt__", None) for base in (object, dict))


@dataclass(eq=False, slots=True)
class _Reading:
    """An iterator that was handed out, and where it stood when it was last looked at."""

    iterator: Iterator[Any]
    index: int


class ListSegments(Segments[list[Any]]):
    """The stored chunks of one list, and what may differ from them."""

    __slots__ = (
        "appended",
        "base",
        "covered",
        "is_rearranged",
        "probes",
        "readings",
        "starts",
        "worked_on_by_c",
    )

    def __init__(self, container: ContainerType, chunks: list[Chunk]) -> None:
        """Take over stored chunks; ``cover`` lays them over a live list."""
        super().__init__(container, chunks)
        # Invariant: chunk ``i`` stands for the elements from index ``starts[i] - base`` on. What
        # happens in front moves ``base`` and not every start.
        self.starts: list[int] = []
        self.base = 0
        # How many elements belong to chunks.
        self.covered = 0
        # The elements behind those, as far as they were seen to come.
        self.appended: list[Any] = []
        # The covered elements that are looked at for traces of C code; ``None`` when a mutation
        # that was seen has moved them.
        self.probes: list[Any] | None = None
        # A mutation that was seen took place in the middle.
        self.is_rearranged = False
        # Iterators that may still be in use.
        self.readings: list[_Reading] = []
        # C code was once caught changing this list, so it is compared whole from then on.
        self.worked_on_by_c = False

    # --- told by TrackedList ---

    def touch(self, index: int) -> None:
        """A mutable element was handed out."""
        if not self.astray and not self.all_touched and index < self.covered:
            self.touched.add(self.chunks[self._find(index)])

    def touch_range(self, start: int, stop: int) -> None:
        """The elements from ``start`` to before ``stop`` were handed out."""
        stop = min(stop, self.covered)
        if self.astray or self.all_touched or self.container.is_flat or start >= stop:
            return
        low, high = self._find(start), self._find(stop - 1) + 1
        if (high - low) * 2 > len(self.chunks):
            self.all_touched = True
        else:
            self.touched.update(self.chunks[low:high])

    def watch_iterator(self, iterator: Iterator[Any], index: int) -> None:
        """A native iterator that will next give the element at ``index`` was handed out."""
        if len(self.readings) >= _ITERATORS_MAX:
            self.notice_reads()
        self.readings.append(_Reading(iterator, index))

    def replace_one(self, index: int, element: Any) -> None:
        """The element at ``index`` was replaced."""
        if self.astray:
            return
        if index >= self.covered:
            self.appended[index - self.covered] = element
            return
        self.changed.add(self.chunks[self._find(index)])
        self.probes = None
        self.is_rearranged = True

    def replace_range(self, size: int, start: int, stop: int, elements: Sequence[Any]) -> None:
        """Of ``size`` elements, those from ``start`` to before ``stop`` are about to be replaced.

        ``elements`` will stand in their place.
        """
        if self.astray:
            return
        self.notice_reads()
        is_expected = size == self.covered + len(self.appended)
        if not is_expected or self.readings:
            # C code changed the length; or an iterator's index means something else from now on.
            self.worked_on_by_c |= not is_expected
            self.lose_track()
            return
        covered = self.covered
        if start >= covered:
            self.appended[start - covered : stop - covered] = elements
            return
        if stop > covered:
            del self.appended[: stop - covered]
            stop = covered
        self.probes = None
        # A queue is taken from at one end.
        self.is_rearranged |= start > 0 and stop < covered
        self._replace_covered(start, stop, len(elements))

    def _replace_covered(self, start: int, stop: int, count: int) -> None:
        low = index = self._find(start)
        offset = start + self.base - self.starts[low]
        missing = stop - start
        while missing:
            chunk = self.chunks[index]
            taken = min(chunk.length - offset, missing)
            if taken:
                chunk.length -= taken
                self.changed.add(chunk)
            missing -= taken
            offset = 0
            index += 1
        if count:
            self.chunks[low].length += count
            self.changed.add(self.chunks[low])
        growth = count - (stop - start)
        self.covered += growth
        if start == 0:
            self.base -= growth
            self._set_starts(0, max(index, low + 1), self.base)
        else:
            self._set_starts(low, len(self.chunks) if growth else index, self.starts[low])

    def _set_starts(self, low: int, high: int, start: int) -> None:
        lengths = [chunk.length for chunk in self.chunks[low:high]]
        self.starts[low:high] = list(accumulate(lengths, initial=start))[:-1]

    def _find(self, index: int) -> int:
        return bisect_right(self.starts, index + self.base) - 1

    # --- what Segments asks ---

    header = staticmethod(array_header)

    def cover(self, live: list[Any]) -> None:
        """Lay the chunks over ``live``, which holds exactly what they hold."""
        for chunk in self.chunks:
            chunk.length = chunk.stored
        self.base = 0
        self._set_starts(0, len(self.chunks), 0)
        del self.starts[len(self.chunks) :]
        self.covered = len(live)
        self.astray = False
        self.end_new_entries(live)
        self.note_as_stored(live)

    def notice_reads(self) -> None:
        """Touch what iterators have handed out since the last call."""
        if not self.readings:
            return
        readings, self.readings = self.readings, []
        while readings:
            reading = readings.pop()
            if self._notice(reading):
                self.readings.append(reading)

    def _notice(self, reading: _Reading) -> bool:
        """Touch what one iterator has handed out; whether it may hand out more."""
        state: tuple[Any, ...] = reading.iterator.__reduce__()  # type: ignore[assignment]
        if len(state) < 3:  # exhausted
            backwards = type(reading.iterator) is _ReverseIterator
            low, high = (0, reading.index + 1) if backwards else (reading.index, self.covered)
            self.touch_range(low, high)
            return False
        index = state[2]
        low, high = sorted((reading.index, index))
        if low != high:
            self.touch_range(max(low, 0), high + 1)
        reading.index = index
        return getrefcount(reading.iterator) > _UNHELD_ITERATOR

    def is_as_seen(self, live: list[Any]) -> bool:
        """Whether ``live`` is what the mutations that were seen have left."""
        covered = self.covered
        appended = NativeList.__getitem__(live, slice(covered, None))
        if (
            len(live) != covered + len(self.appended)
            or not all(map(operator.is_, appended, self.appended))
            or not (self.probes is None or all(map(operator.is_, self._probe(live), self.probes)))
        ):
            self.worked_on_by_c = True
        if self.is_rearranged and not self.worked_on_by_c and _looks_like_heap(live):
            self.all_touched = True
        return not self.worked_on_by_c

    def _probe(self, live: list[Any]) -> list[Any]:
        covered = self.covered
        get = NativeList.__getitem__
        some = get(live, slice(covered - 1, None, -(covered // _PROBES + 1))) if covered else []
        return get(live, slice(0, min(_PROBES, covered))) + some

    def all_entries(self, live: list[Any]) -> Sequence[Any]:
        """Every element."""
        return NativeList.__getitem__(live, slice(None))

    def entries(self, live: list[Any], low: int, high: int) -> Sequence[Any]:
        """The elements of some chunks."""
        start = self.starts[low] - self.base
        last = high - 1
        stop = self.starts[last] - self.base + self.chunks[last].length
        return NativeList.__getitem__(live, slice(start, stop))

    def new_entries(self, live: list[Any]) -> Sequence[Any]:
        """The elements behind those of the last chunk."""
        return NativeList.__getitem__(live, slice(self.covered, None)) if self.appended else ()

    def collect(self, entries: Sequence[Any]) -> list[Any]:
        """The elements, as the list they are."""
        return entries if isinstance(entries, list) else list(entries)

    def held_parts(self, entries: Sequence[Any]) -> list[Any]:
        """The elements."""
        return self.collect(entries)

    def lay(self, low: int, old: list[Chunk], new: list[Chunk], pieces: list[Piece]) -> None:
        """Let ``new`` stand for the elements that ``old`` stood for, or for the appended ones."""
        del pieces
        if not self.astray:
            start = self.starts[low] if low < len(self.starts) else self.base + self.covered
            lengths = (chunk.length for chunk in new)
            self.starts[low : low + len(old)] = list(accumulate(lengths, initial=start))[:-1]

    def end_new_entries(self, live: list[Any]) -> None:
        """Note that no element is without a chunk any more."""
        self.appended.clear()
        self.covered = len(live)
        self.is_rearranged = False
        self.probes = None  # they would count as held

    def note_as_stored(self, live: list[Any]) -> None:
        """Remember the elements at the probes."""
        self.probes = self._probe(live)

    def put_decoded(self, live: list[Any], index: int, decoded: list[Any]) -> bool:
        """Replace the elements of one chunk by equal ones."""
        start = self.starts[index] - self.base
        NativeList.__setitem__(live, slice(start, start + len(decoded)), decoded)
        return True

    def refresh(self, live: list[Any]) -> bool:
        """As ``Segments.refresh``; a list that C code works on is thrown away."""
        return not self.readings and not self.worked_on_by_c and super().refresh(live)

    def forget_use(self) -> None:
        """Forget what was handed out."""
        super().forget_use()
        self.readings.clear()
        self.appended.clear()
        self.worked_on_by_c = False


_ReverseIterator: Final[type[Any]] = type(reversed([0]))


def _looks_like_heap(live: list[Any]) -> bool:
    """Whether ``heapq`` may have worked on ``live``. Lists in order look so too."""
    sample = NativeList.__getitem__(live, slice(0, _PROBES))
    if not sample:
        return False
    first: object = sample[0]
    if getattr(type(first), "__lt__", None) in _UNORDERED:
        return False
    pairs = [(sample[(index - 1) // 2], sample[index]) for index in range(1, len(sample))]
    try:
        return not any(child < parent for parent, child in pairs) or not any(
            parent < child for parent, child in pairs
        )
    except Exception:  # noqa: BLE001 - a user's own comparison may raise whatever it likes
        return True


def _measure_unheld_iterator() -> int:
    reading = _Reading(iter([0]), 0)
    return getrefcount(reading.iterator)


_UNHELD_ITERATOR: Final = _measure_unheld_iterator()
