"""Which chunk each entry of a long dict belongs to, and what has happened to it.

A live dict is its chunks' entries in order, then the *new* ones that are in no chunk yet: a dict
keeps the place of a key it has and puts a new key last, and so do the chunks.

C code that changes a dict from within is noticed when it leaves another number of entries.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from .chunks import Chunk, Piece
from .rows import map_header
from .segments import Segments
from .value_type import IMMUTABLE_TYPES, ContainerType, NativeDict


class DictSegments(Segments[dict[Any, Any]]):
    """The stored chunks of one dict, and what may differ from them."""

    __slots__ = ("keys", "new_keys", "owners")

    def __init__(self, container: ContainerType, chunks: list[Chunk]) -> None:
        """Take over stored chunks; ``cover`` lays them over a live dict."""
        super().__init__(container, chunks)
        # Invariant: ``owners[key] is chunk`` exactly when ``key in keys[chunk]``. The keys of a
        # chunk are in the order of its entries.
        self.owners: dict[Any, Chunk] = {}
        self.keys: dict[Chunk, dict[Any, None]] = {}
        # Keys in no chunk yet, in the order they came.
        self.new_keys: dict[Any, None] = {}

    # --- told by TrackedDict ---

    def touch(self, key: Any) -> None:
        """A mutable value was handed out."""
        if not self.astray and not self.all_touched:
            owner = self.owners.get(key)
            if owner is not None:
                self.touched.add(owner)

    def touch_all(self) -> None:
        """Every value was handed out."""
        if not self.astray and not self.container.is_flat:
            self.all_touched = True

    def note_set(self, key: Any) -> None:
        """The key has another value, or is new."""
        if self.astray:
            return
        owner = self.owners.get(key)
        if owner is None:
            self.new_keys[key] = None
        else:
            self.changed.add(owner)

    def note_removed(self, key: Any) -> None:
        """The key is no more."""
        if self.astray:
            return
        owner = self.owners.pop(key, None)
        if owner is None:
            self.new_keys.pop(key, None)
        else:
            del self.keys[owner][key]
            owner.length -= 1
            self.changed.add(owner)

    # --- what Segments asks ---

    header = staticmethod(map_header)

    def cover(self, live: dict[Any, Any]) -> None:
        """Lay the chunks over ``live``, which holds exactly what they hold."""
        self.owners.clear()
        self.keys.clear()
        keys = NativeDict.__iter__(live)
        for chunk in self.chunks:
            chunk.length = chunk.stored
            self._own(chunk, islice(keys, chunk.stored))
        self.astray = False
        self.end_new_entries(live)

    def _own(self, chunk: Chunk, keys: Iterable[Any]) -> None:
        self.keys[chunk] = own = NativeDict.fromkeys(keys)
        for key in own:
            self.owners[key] = chunk

    def notice_reads(self) -> None:
        """Nothing to do: an iterator over a dict's values touches each as it goes."""

    def is_as_seen(self, live: dict[Any, Any]) -> bool:
        """Whether ``live`` has as many entries as the mutations that were seen have left."""
        return len(live) == len(self.owners) + len(self.new_keys)

    def all_entries(self, live: dict[Any, Any]) -> Sequence[Any]:
        """Every entry as a pair."""
        return list(NativeDict.items(live))

    def entries(self, live: dict[Any, Any], low: int, high: int) -> Sequence[Any]:
        """The entries of some chunks as pairs."""
        get = NativeDict.__getitem__
        keys = self.keys
        return [(key, get(live, key)) for chunk in self.chunks[low:high] for key in keys[chunk]]

    def new_entries(self, live: dict[Any, Any]) -> Sequence[Any]:
        """The entries whose keys are new, as pairs."""
        get = NativeDict.__getitem__
        return [(key, get(live, key)) for key in self.new_keys]

    def collect(self, entries: Sequence[Any]) -> dict[Any, Any]:
        """A dict of these pairs."""
        return dict(entries)

    def held_parts(self, entries: Sequence[Any]) -> list[Any]:
        """The values."""
        return [value for _, value in entries]

    def lay(self, low: int, old: list[Chunk], new: list[Chunk], pieces: list[Piece]) -> None:
        """Let ``new`` own the keys of ``pieces``."""
        del low
        for chunk in old:
            self.keys.pop(chunk, None)
        for chunk, piece in zip(new, pieces, strict=True):
            self._own(chunk, (key for key, _ in piece.entries))

    def end_new_entries(self, live: dict[Any, Any]) -> None:
        """Note that every key has its chunk."""
        del live
        self.new_keys.clear()

    def note_as_stored(self, live: dict[Any, Any]) -> None:
        """Nothing more than is known: the keys."""

    def put_decoded(self, live: dict[Any, Any], index: int, decoded: dict[Any, Any]) -> bool:
        """Replace the values of one chunk by equal ones, where the keys are what they seem."""
        if not set(map(type, self.keys[self.chunks[index]])) <= IMMUTABLE_TYPES:
            return False
        for key, value in decoded.items():
            NativeDict.__setitem__(live, key, value)
        return True

    def forget_use(self) -> None:
        """Forget what was handed out."""
        super().forget_use()
        self.new_keys.clear()
