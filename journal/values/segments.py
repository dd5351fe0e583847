"""How a long list or dict is cut into chunks, and which of them differ from their rows.

``Segments`` remembers, for one live value, the chunks as they are stored and what may have
happened to the value since: chunks *changed* by a mutation that was seen, chunks *touched* because
a mutable element of theirs was handed out, and whether the value has gone *astray*, so that
nothing is known and all of it is compared. ``plan`` finds what differs and changes nothing that is
remembered of the rows, so that a value that cannot be encoded leaves everything as it was;
``commit`` then makes the plan the new baseline.

    untouched chunk        costs nothing
    touched chunk          encoded and compared; neighbours in one call
    changed chunk          encoded and written, cut in two when it has grown
    new entries at the end encoded into chunks of their own
    astray                 everything is encoded; chunks at the front and at the back that are
                           as stored keep their rows, what lies between is written anew

After each commit a chunk that was touched or written stays touched for as long as somebody may
hold an element of it; see ``holders``. ``list_segments`` and ``dict_segments`` know where the
entries of a chunk are.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar

from .chunks import (
    CHUNK_BYTES,
    CHUNK_BYTES_MAX,
    Chunk,
    Piece,
    Replacement,
    choose_ordinals,
    get_body,
    get_ordinal,
    get_stored,
    merge,
)
from .holders import Holders, find_holders
from .rows import RowChange, part_of, split
from .value_type import ContainerType

Container = TypeVar("Container", list[Any], dict[Any, Any])


class Segments(ABC, Generic[Container]):
    """The stored chunks of one list or dict, and what may differ from them."""

    __slots__ = (
        "all_touched",
        "astray",
        "body_bytes",
        "changed",
        "chunks",
        "container",
        "rewritten",
        "touched",
    )

    def __init__(self, container: ContainerType, chunks: list[Chunk]) -> None:
        """Take over stored chunks, in the order of their ordinals."""
        self.container = container
        self.chunks = chunks
        self.body_bytes = sum(len(chunk.body) for chunk in chunks)
        # Nothing is known about how the live value lies over the chunks.
        self.astray = True
        # Chunks whose live entries are no longer those of the row, by a mutation that was seen.
        self.changed: set[Chunk] = set()
        # Chunks of which somebody may have changed an element in place.
        self.touched: set[Chunk] = set()
        # All chunks are touched, whatever ``touched`` says.
        self.all_touched = False
        # Chunks written since the live value was last as a decoder would make it.
        self.rewritten: set[Chunk] = set()

    # --- what a list and a dict do differently ---

    @staticmethod
    @abstractmethod
    def header(count: int) -> bytes:
        """What stands before a body of ``count`` entries."""

    @abstractmethod
    def cover(self, live: Container) -> None:
        """Lay the chunks over ``live``, which holds exactly what they hold."""

    @abstractmethod
    def notice_reads(self) -> None:
        """Touch what iterators have handed out since the last call."""

    @abstractmethod
    def is_as_seen(self, live: Container) -> bool:
        """Whether ``live`` is what the mutations that were seen have left."""

    @abstractmethod
    def all_entries(self, live: Container) -> Sequence[Any]:
        """Every entry, in order."""

    @abstractmethod
    def entries(self, live: Container, low: int, high: int) -> Sequence[Any]:
        """The entries of the chunks ``low <= index < high``, in order."""

    @abstractmethod
    def new_entries(self, live: Container) -> Sequence[Any]:
        """The entries at the end that are in no chunk yet."""

    @abstractmethod
    def collect(self, entries: Sequence[Any]) -> Container:
        """A container of these entries alone."""

    @abstractmethod
    def held_parts(self, entries: Sequence[Any]) -> list[Any]:
        """What of the entries could be changed in place."""

    @abstractmethod
    def lay(self, low: int, old: list[Chunk], new: list[Chunk], pieces: list[Piece]) -> None:
        """Note that the chunks ``old``, from index ``low`` on, are now ``new``."""

    @abstractmethod
    def end_new_entries(self, live: Container) -> None:
        """Note that no entry is without a chunk any more."""

    @abstractmethod
    def note_as_stored(self, live: Container) -> None:
        """Keep what it takes to see later that C code has changed ``live``."""

    @abstractmethod
    def put_decoded(self, live: Container, index: int, decoded: Container) -> bool:
        """Replace the entries of one chunk by equal ones; ``False`` where that cannot be done."""

    # --- rows ---

    def row(self, chunk: Chunk) -> bytes:
        """The bytes of the chunk's row."""
        return self.header(chunk.stored) + chunk.body

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """The part and the bytes of every chunk's row, in order."""
        return ((part_of(chunk.ordinal), self.row(chunk)) for chunk in self.chunks)

    def packed(self) -> bytes:
        """The stored value in one piece."""
        count = sum(map(get_stored, self.chunks))
        return self.header(count) + b"".join(map(get_body, self.chunks))

    # --- what is noticed while the value is in use ---

    def lose_track(self) -> None:
        """Compare everything next time."""
        self.astray = True

    def index_of(self, chunk: Chunk) -> int:
        """Where a chunk is among the chunks."""
        return bisect_left(self.chunks, chunk.ordinal, key=get_ordinal)

    def _indexes(self, chunks: set[Chunk]) -> list[int]:
        """Where these chunks are, in order."""
        if not chunks:
            return []
        # An action in a thread may read the value just now: the copy is made in one step, and a
        # chunk it touched that is no longer there may stand for a neighbour or for nothing.
        found = set(map(self.index_of, list(chunks)))
        found.discard(len(self.chunks))
        return sorted(found)

    # --- plan ---

    def plan(self, live: Container) -> list[Replacement]:
        """What differs from the rows. Costs what was touched or changed.

        Raises:
            InvalidArgumentError: an entry cannot be encoded. Nothing was forgotten.
        """
        self.notice_reads()
        if not self.astray and not self.is_as_seen(live):
            self.lose_track()
        if self.astray:
            return self._plan_all(live)
        plan: list[Replacement] = []
        changed = self._indexes(self.changed)
        for index in changed:
            self._compare(live, index, plan)
        if self.all_touched or self.touched:
            for low, high in self._touched_runs(changed):
                if not self._are_stored(low, high, self.entries(live, low, high)):
                    for index in range(low, high):
                        self._compare(live, index, plan)
            plan.sort(key=attrgetter("low"))
        if added := self.new_entries(live):
            end = len(self.chunks)
            plan.append(Replacement(end, end, self._cut(added)))
        return plan

    def _plan_all(self, live: Container) -> list[Replacement]:
        """Keep the chunks at the front and at the back that are as stored; replace the rest."""
        entries = self.all_entries(live)
        chunks = self.chunks
        stored = sum(map(get_stored, chunks))
        if stored == len(entries) and self._are_stored(0, len(chunks), entries):
            return []
        low, start = 0, 0
        while low < len(chunks) and self._is_stored(chunks[low], entries, start):
            start += chunks[low].stored
            low += 1
        high, end = len(chunks), len(entries)
        while high > low:
            chunk = chunks[high - 1]
            if end - chunk.stored < start or not self._is_stored(
                chunk, entries, end - chunk.stored
            ):
                break
            high -= 1
            end -= chunk.stored
        if low == high and start == end:
            return []
        if low == high < len(chunks):
            # There may be no ordinal between two neighbours, so one of them lends its own.
            end += chunks[high].stored
            high += 1
        return [Replacement(low, high, self._cut(entries[start:end]))]

    def _are_stored(self, low: int, high: int, entries: Sequence[Any]) -> bool:
        """Whether chunks in a row hold exactly these entries. One call encodes all of them."""
        header = self.header(len(entries))
        stored = b"".join([header, *map(get_body, self.chunks[low:high])])
        return self.container.serde.encode(self.collect(entries)) == stored

    def _is_stored(self, chunk: Chunk, entries: Sequence[Any], start: int) -> bool:
        part = entries[start : start + chunk.stored]
        return len(part) == chunk.stored and self._encode(part) == chunk.body

    def _compare(self, live: Container, index: int, plan: list[Replacement]) -> None:
        chunk = self.chunks[index]
        pieces = self._cut(self.entries(live, index, index + 1))
        if (
            len(pieces) != 1
            or pieces[0].body != chunk.body
            or len(pieces[0].entries) != chunk.stored
        ):
            plan.append(Replacement(index, index + 1, pieces))

    def _touched_runs(self, changed: list[int]) -> Iterator[tuple[int, int]]:
        """Ranges of neighbours that are touched and not changed."""
        if self.all_touched:
            low = 0
            for index in [*changed, len(self.chunks)]:
                if low < index:
                    yield low, index
                low = index + 1
            return
        low = high = -1
        for index in self._indexes(self.touched - self.changed):
            if index != high:
                if low < high:
                    yield low, high
                low = index
            high = index + 1
        if low < high:
            yield low, high

    def _encode(self, entries: Sequence[Any]) -> bytes:
        return split(self.container.serde.encode(self.collect(entries)))[1]

    def _cut(self, entries: Sequence[Any]) -> list[Piece]:
        """Pieces of about ``CHUNK_BYTES``, or one where all of it fits one chunk."""
        if not entries:
            return []
        body = self._encode(entries)
        if len(body) <= CHUNK_BYTES_MAX or len(entries) == 1:
            return [Piece(entries, body)]
        count = max(1, len(entries) * CHUNK_BYTES // len(body))
        parts = (entries[start : start + count] for start in range(0, len(entries), count))
        return [Piece(part, self._encode(part)) for part in parts]

    # --- commit ---

    def commit(self, live: Container, plan: list[Replacement]) -> list[RowChange]:
        """Make ``plan`` the baseline and give the rows that it changes. Uses ``plan`` up."""
        if not (plan or self.astray or self.changed or self.touched or self.all_touched):
            return []
        changes: dict[int, RowChange] = {}
        fresh: set[Chunk] = set()
        while plan:
            # From the back, so that indexes stay right; and none is kept, for the entries in it
            # would count as held.
            self._replace(plan.pop(), changes, fresh)
        if self.astray:
            self.cover(live)
            self.astray = False
            self.all_touched = True
        self.end_new_entries(live)
        # What was replaced by something that is encoded the same is as new as what differs.
        fresh |= self.changed
        self.changed.clear()
        self.rewritten |= fresh
        self._watch(live, fresh)
        self.note_as_stored(live)
        return [change for change in changes.values() if change.old != change.new]

    def _replace(
        self, replacement: Replacement, changes: dict[int, RowChange], fresh: set[Chunk]
    ) -> None:
        low, high = replacement.low, replacement.high
        old = self.chunks[low:high]
        ordinals = choose_ordinals(self.chunks, low, high, len(replacement.pieces))
        pieces = merge(replacement.pieces, len(ordinals))
        new = [
            Chunk(ordinal, piece.body, len(piece.entries), len(piece.entries))
            for ordinal, piece in zip(ordinals, pieces, strict=True)
        ]
        for chunk in old:
            part = part_of(chunk.ordinal)
            changes[chunk.ordinal] = RowChange(part, self.row(chunk), None)
            self.body_bytes -= len(chunk.body)
        for chunk in new:
            was = changes.get(chunk.ordinal)
            part = part_of(chunk.ordinal)
            changes[chunk.ordinal] = RowChange(part, was.old if was else None, self.row(chunk))
            self.body_bytes += len(chunk.body)
        self.chunks[low:high] = new
        self.lay(low, old, new, pieces)
        for known in (self.touched, self.changed, self.rewritten):
            known.difference_update(old)
        fresh.update(new)

    # --- who may still change what ---

    def _watch(self, live: Container, fresh: set[Chunk]) -> None:
        """Keep as touched only the chunks with an element that somebody may hold."""
        if self.container.is_flat:
            self.touched.clear()
            self.all_touched = False
        elif self.all_touched:
            held = self._find_held(live, range(len(self.chunks)))
            self.all_touched = len(held) == len(self.chunks) > 0
            self.touched = set() if self.all_touched else {self.chunks[index] for index in held}
        elif fresh or self.touched:
            indexes = self._indexes(self.touched | fresh)
            self.touched = {self.chunks[index] for index in self._find_held(live, indexes)}

    def _find_held(self, live: Container, indexes: Sequence[int]) -> Sequence[int]:
        if not indexes:
            return ()
        low, high = indexes[0], indexes[-1] + 1
        if high - low == len(indexes):
            parts = self.held_parts(self.entries(live, low, high))
        else:
            parts = [
                part
                for index in indexes
                for part in self.held_parts(self.entries(live, index, index + 1))
            ]
        holders = find_holders(parts, is_shallow=self.container.is_shallow)
        if holders is Holders.NONE:
            return ()
        if holders is Holders.ALL or len(indexes) == 1:
            return indexes
        del parts  # it would count as a holder
        step = -(-len(indexes) // 16)
        return [
            held
            for start in range(0, len(indexes), step)
            for held in self._find_held(live, indexes[start : start + step])
        ]

    # --- the next attempt ---

    def refresh(self, live: Container) -> bool:
        """Make ``live`` what a decoder would make of the rows, where that costs little.

        Nothing may differ from the rows, and nobody else may hold ``live``. Entries that were
        written since, or that somebody may hold, are replaced by decoded ones.

        Returns:
            ``False`` when ``live`` is better thrown away.
        """
        stale = self.touched | self.rewritten
        if self.astray or self.all_touched or len(stale) * 2 > len(self.chunks) + 1:
            return False
        for chunk in stale:
            decoded = self.container.serde.decode(self.row(chunk))
            if not self.put_decoded(live, self.index_of(chunk), decoded):
                return False
        self.forget_use()
        self.note_as_stored(live)
        return True

    def forget_use(self) -> None:
        """Forget what was handed out; the live value has no other holder or was thrown away."""
        self.touched.clear()
        self.rewritten.clear()
        self.changed.clear()
        self.all_touched = False
