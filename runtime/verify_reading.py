"""What the checks of ``verify`` read beside the row they look at, and how they name it."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

from ..journal import keys
from ..journal.any_row import decode_value
from ..journal.records import InvocationRecord, OutcomeRecord, RemainsRecord
from ..objects.errors import StoreDamagedError
from ..objects.identity import InvocationId, Target, format_invocation_id

_KEPT_IN_MEMORY = 4096


class Readable(Protocol):
    """Rows that hold still: a ``StoreView``, or a store that nobody writes to."""

    def get(self, key: bytes) -> bytes | None:
        """The value at ``key``."""
        ...

    def scan(self, start: bytes, end: bytes | None, *, reverse: bool = False) -> Any:
        """The rows of a range, in key order."""
        ...


@dataclass(slots=True)
class Tally:
    """What is found out on the way and compared at the end."""

    turns_with_undo: set[int] = field(default_factory=set[int])
    """Hashes of object and sequence of the turns that may have undo rows."""
    listed_outcomes: int = 0
    expiries_of_listed: int = 0
    last_sequence: int = 0
    """The highest one that any row names."""


@dataclass(frozen=True, slots=True)
class Name:
    """What an invocation or an entry of one is called; looked up when somebody asks.

    Almost no row has a problem, and to find the names of all would be half of the work.
    """

    read: "Reader"
    id: InvocationId
    index: int | None

    def __str__(self) -> str:
        """For messages."""
        target = self.read.find_target(self.id)
        text = format_invocation_id(self.id)
        name = text if target is None else f"{target} ({text})"
        return name if self.index is None else f"entry {self.index} of {name}"


class Reader:
    """Reads rows decoded; one that is absent, or cannot be read, is ``None``.

    A row that cannot be read is a problem of its own, which is told when the row itself comes.
    """

    def __init__(self, rows: Readable) -> None:
        """Read ``rows``, which must not change meanwhile."""
        self.rows = rows
        self.tally = Tally()
        # Neighbours in one table ask for the same few invocations again and again.
        self.find_invocation = lru_cache(_KEPT_IN_MEMORY)(self._find_invocation)
        self.find_outcome = lru_cache(_KEPT_IN_MEMORY)(self._find_outcome)

    def find(self, key: bytes) -> Any:
        """What the row at ``key`` says."""
        row = self.rows.get(key)
        if row is None:
            return None
        try:
            return decode_value(key, row)
        except StoreDamagedError:
            return None

    def has(self, key: bytes) -> bool:
        """Whether there is such a row, whatever it says."""
        return self.rows.get(key) is not None

    def find_remains(self, id_: InvocationId) -> RemainsRecord | None:
        """What is still to be deleted of an invocation."""
        remains: RemainsRecord | None = self.find(keys.remains(id_))
        return remains

    def find_target(self, id_: InvocationId) -> Target | None:
        """Whom an invocation that is open, or completed and kept, calls."""
        found = self.find_invocation(id_) or self.find_outcome(id_)
        return None if found is None else found.target

    def name(self, id_: InvocationId, index: int | None = None) -> "Name":
        """``Assistant/sam/ask (inv_...)``, or the id alone; with ``index``, that entry of it."""
        return Name(self, id_, index)

    def _find_invocation(self, id_: InvocationId) -> InvocationRecord | None:
        record: InvocationRecord | None = self.find(keys.invocation(id_))
        return record

    def _find_outcome(self, id_: InvocationId) -> OutcomeRecord | None:
        record: OutcomeRecord | None = self.find(keys.outcome(id_))
        return record


def hash_of_turn(object_: bytes, sequence: int) -> int:
    """For ``Tally.turns_with_undo``: two turns in 2**64 are taken for one."""
    return hash(keys.undo_of_turn(object_, sequence))


def object_of(target: Target) -> bytes | None:
    """The name inside keys of the object of ``target``; ``None`` for a service."""
    return None if target.key is None else keys.object_key(target.service, target.key)
