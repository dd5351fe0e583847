"""What must hold of the rows of one object: its mailbox, its state and the way back, its promises.

Each function is given one row, taken apart, and yields a sentence for each thing that is not so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..journal import keys
from ..journal.any_row import check_state_row, describe_object, is_chunk_of
from ..journal.records import InvocationState
from ..journal.undo_rows import UndoRow
from ..journal.values.rows import WHOLE
from ..objects.errors import StoreDamagedError, StoreFormatError
from ..objects.identity import INVOCATION_ID_BYTES, InvocationId
from ..objects.service import RUN
from .history_marks import says_closed
from .state_table import RESTORED_INDEX
from .verify_reading import Reader, hash_of_turn, object_of

Problems = Iterator[str]


def check_turn(read: Reader, object_: bytes, row: bytes) -> Problems:
    """Who holds the turn at an object."""
    id_, place = InvocationId(row[8:]), describe_object(object_)
    record = read.find_invocation(id_)
    read.tally.last_sequence = max(read.tally.last_sequence, int.from_bytes(row[:8], "big"))
    if record is None:
        yield f"the turn at {place} is held by {read.name(id_)}, which is not open"
    elif not record.is_exclusive or object_of(record.target) != object_:
        yield f"the turn at {place} is held by {read.name(id_)}, which does not need it"
    elif record.state not in {InvocationState.BEGUN, InvocationState.PAUSED}:
        yield f"the turn at {place} is held by {read.name(id_)}, which has not begun"


def check_queued(read: Reader, object_: bytes, sequence: int, row: bytes) -> Problems:
    """Someone who waits for the turn, in the inbox or in the lane."""
    id_, place = InvocationId(row[:INVOCATION_ID_BYTES]), describe_object(object_)
    record = read.find_invocation(id_)
    read.tally.last_sequence = max(read.tally.last_sequence, sequence)
    if record is None:
        yield f"{read.name(id_)} is in the mailbox of {place}, and is not open"
    elif record.state is not InvocationState.INBOXED or record.sequence != sequence:
        yield f"{read.name(id_)} is in the mailbox of {place}, and does not wait there"
    elif object_of(record.target) != object_:
        yield f"{read.name(id_)} is in the mailbox of {place}, and waits elsewhere"


@dataclass(slots=True)
class StateCheck:
    """State rows, which come head first, then the chunks of the same field."""

    read: Reader
    head: bytes = b""
    """What the rows of the field under way begin with; empty where it has no head."""
    kind: bytes = b""

    def check(
        self, key: bytes, object_: bytes, name: str, part: bytes, row: tuple[int, bytes]
    ) -> Problems:
        """One row of a field: the turn that wrote it, and what it holds."""
        sequence, value = row
        tally = self.read.tally
        tally.last_sequence = max(tally.last_sequence, sequence)
        what = f"the state {name!r} of {describe_object(object_)}"
        try:
            kind = check_state_row(part, value)
        except (StoreDamagedError, StoreFormatError, ValueError) as error:
            yield f"{what} cannot be read, at part {part.hex() or 'head'}: {error}"
            if not part:
                self.head, self.kind = key, b""
            return
        if kind is not None:
            self.head, self.kind = key, kind
        elif not self.head or key[: len(self.head)] != self.head or len(key) != len(self.head) + 8:
            if not _is_being_deleted(self.read, object_):
                yield f"{what} has a chunk {part.hex()}, and no head"
        elif self.kind == WHOLE:
            yield f"{what} is stored whole, and has a chunk {part.hex()}"
        elif self.kind and not is_chunk_of(self.kind, value):
            yield f"{what} has a chunk {part.hex()} of another kind than its head says"


def check_undo(read: Reader, fields: tuple[Any, ...], undo: UndoRow) -> Problems:
    """What takes a row back to before an entry of a turn: the turn is known, and has that entry."""
    object_, sequence, index, name, part = fields
    read.tally.last_sequence = max(read.tally.last_sequence, sequence)
    what = f"an undo row of {name!r} of {describe_object(object_)}"
    if undo.writer is not None and undo.writer > sequence:
        yield f"{what} is of turn {sequence}, and takes back to a later one, {undo.writer}"
    now = read.find(keys.state(object_, name, part))
    # Where a default was read, nothing need have changed: it was cleared, read, and set again.
    if now is not None and now[0] < sequence and undo.default is None:
        yield f"{what} is of turn {sequence}, and what that has changed it to is lost"
    if hash_of_turn(object_, sequence) in read.tally.turns_with_undo:
        turn = read.rows.get(keys.turn(object_))
        holder = None if turn is None else InvocationId(turn[8:])
        record = None if holder is None else read.find_invocation(holder)
        if holder is None or record is None or record.sequence != sequence:
            return
        if index != RESTORED_INDEX and not read.has(keys.journal(holder, index - 1)):
            yield f"{what} is for entry {index} of {read.name(holder)}, which is not so long"
        return
    if not _is_being_deleted(read, object_):
        yield f"{what} is of turn {sequence}, which there is not"


def check_workflow(read: Reader, object_: bytes, id_: InvocationId) -> Problems:
    """A workflow that was started, until it is forgotten."""
    place, target = describe_object(object_), read.find_target(id_)
    if target is None:
        remains = read.find_remains(id_)
        target = None if remains is None else remains.target
    if target is None:
        yield f"the workflow {place} was started by {read.name(id_)}, which there is not"
    elif object_of(target) != object_ or target.handler != RUN:
        yield f"the workflow {place} was started by {read.name(id_)}, which is another call"


def _is_being_deleted(read: Reader, object_: bytes) -> bool:
    """Whether all of an object goes, in slices: then the first of its rows may be gone."""
    return says_closed(read.rows.get(keys.history(object_)))
