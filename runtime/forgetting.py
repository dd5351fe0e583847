"""Deleting what is kept of a completed invocation, long journals a slice at a time.

What is forgotten cannot be found from that moment on: the row that leads to it (the outcome, or
what the outcome says of a journal) changes in the first batch. Nobody ever reads half a journal.
Rows that are left then are *remains*: a row of their own says whose they are, and it goes last, so
a crash in between leaves nothing behind that nobody would look for.

Who is forgotten when is ``retention``'s and ``purging``'s.
"""

from collections import deque

from msgspec.structs import replace

from ..journal import keys
from ..journal.records import (
    Kept,
    OutcomeDetails,
    OutcomeRecord,
    RemainsRecord,
    decode_remains,
)
from ..journal.undo_rows import takes_away
from ..objects.identity import InvocationId
from ..objects.service import RUN
from . import workflows
from .budget import Budget, read_slice
from .commits import Commits
from .debris import Debris
from .history_marks import HistoryMarks
from .outcomes import Outcomes

_ROWS_PER_SCAN = 256
_ENTRIES_PER_LOOK = 64


class Forgetting:
    """Deletes rows of completed invocations, and counts them."""

    def __init__(self, commits: Commits, outcomes: Outcomes, marks: HistoryMarks) -> None:
        """Begin with the remains that the last process left."""
        self._commits = commits
        self._outcomes = outcomes
        self._marks = marks
        self._remains = deque(
            (InvocationId(key[1:]), decode_remains(row))
            for key, row in commits.scan(*keys.prefix_range(keys.REMAINS))
        )
        # How many entries of the first of them are deleted.
        self._deleted_entries = 0
        self.debris = Debris(commits)

    @property
    def has_remains(self) -> bool:
        """Whether rows wait to be deleted of what is forgotten already."""
        return bool(self._remains)

    def forget(self, id_: InvocationId, outcome: OutcomeRecord, row: bytes, budget: Budget) -> None:
        """Forget all of an invocation; ``row`` is that of its outcome."""
        key = keys.outcome(id_)
        self.debris.reach(id_)
        self._commits.delete(key)
        self._count(len(key) + len(row))
        budget.spend()
        self.forget_key(id_, outcome, budget)
        if outcome.kept is Kept.JOURNAL or outcome.target.handler == RUN:
            self._leave(id_, outcome, budget, is_whole=True)

    def forget_journal(
        self, id_: InvocationId, outcome: OutcomeRecord, budget: Budget
    ) -> OutcomeRecord:
        """Forget a journal that is kept, and its turn's past; gives what the outcome is to say."""
        self._leave(id_, outcome, budget, is_whole=False)
        details = outcome.details
        if details is not None:
            details = replace(
                details, journal_expires_ms=0, entries=0, stored_bytes=0, has_no_undo=False
            )
        return replace(outcome, kept=Kept.OUTCOME, details=details)

    def forget_key(self, id_: InvocationId, outcome: OutcomeRecord, budget: Budget) -> None:
        """Let a call with this idempotency key be a new one."""
        if outcome.idempotency_key is None:
            return
        key = keys.idempotency(outcome.target, outcome.idempotency_key)
        row = self._commits.get(key)
        # The key may have been given to a later invocation since it ceased to count.
        if row is not None and row.startswith(id_):
            self._commits.delete(key)
            self.debris.add(len(key) + len(row))
            budget.spend()

    def clear_remains(self, budget: Budget) -> None:
        """Go on deleting what was forgotten before."""
        while self._remains and not budget.is_spent:
            id_, remains = self._remains[0]
            if not self._delete_remains(id_, remains, budget):
                return
            self._remains.popleft()
            self._deleted_entries = 0
            self._commits.delete(keys.remains(id_))

    def _leave(
        self, id_: InvocationId, outcome: OutcomeRecord, budget: Budget, *, is_whole: bool
    ) -> None:
        self.debris.reach(id_)
        target, details = outcome.target, outcome.details or OutcomeDetails()
        may_have_undo = target.key is not None and not details.has_no_undo
        entries = details.entries
        if outcome.kept is Kept.JOURNAL and entries == 0:
            entries = self._find_length(id_)
        remains = RemainsRecord(target, outcome.sequence, entries, may_have_undo, is_whole=is_whole)
        row = self._commits.get(keys.remains(id_)) if self._remains else None
        if row is not None:
            remains = self._add_to(id_, remains, decode_remains(row))
        self._count(details.stored_bytes)
        # Whatever was being cleared goes on after this one, from its beginning: an entry that is
        # deleted twice is no harm.
        self._deleted_entries = 0
        if self._delete_remains(id_, remains, budget):
            self._deleted_entries = 0
            if row is not None:
                self._commits.delete(keys.remains(id_))
        else:
            self._commits.put(keys.remains(id_), remains)
            self._remains.appendleft((id_, remains))
            if is_whole and target.handler == RUN:
                workflows.close(self._commits, target, id_)

    def _add_to(
        self, id_: InvocationId, remains: RemainsRecord, before: RemainsRecord
    ) -> RemainsRecord:
        """``remains`` of one whose journal is being deleted already, with what is left of that."""
        self._remains = deque(each for each in self._remains if each[0] != id_)
        return RemainsRecord(
            remains.target,
            remains.sequence,
            max(remains.entries, before.entries),
            remains.may_have_undo or before.may_have_undo,
            is_whole=remains.is_whole or before.is_whole,
        )

    def _delete_remains(self, id_: InvocationId, remains: RemainsRecord, budget: Budget) -> bool:
        """Delete what nothing leads to any more; ``False``: some is left, for want of budget."""
        target = remains.target
        # The journal goes first: while its first entry is there, so are all undo rows.
        if not self._delete_journal(id_, remains.entries, budget):
            return False
        if remains.may_have_undo and target.key is not None:
            object_ = keys.object_key(target.service, target.key)
            if not self._delete_undo(object_, remains.sequence, budget):
                return False
        if not remains.is_whole or target.handler != RUN:
            return True
        if budget.is_spent:
            return False
        rows_max = budget.rows
        count, size = workflows.forget(self._commits, target, id_, rows_max)
        if count:
            self.debris.reach_workflows()
            self.debris.add(size)
        budget.spend(count)
        return count < rows_max

    def _delete_journal(self, id_: InvocationId, entries: int, budget: Budget) -> bool:
        """Delete so many entries without reading one of them, which may be large."""
        delete = self._commits.delete
        while (first := self._deleted_entries) < entries:
            if budget.is_spent:
                return False
            until = min(entries, first + budget.rows, first + _ENTRIES_PER_LOOK)
            for index in range(first, until):
                delete(keys.journal(id_, index))
            self._deleted_entries = until
            budget.spend(until - first)
        return True

    def _delete_undo(self, object_: bytes, sequence: int, budget: Budget) -> bool:
        start, end = keys.prefix_range(keys.undo_of_turn(object_, sequence))
        while not budget.is_spent:
            size = min(budget.rows, _ROWS_PER_SCAN)
            rows, is_last = read_slice(self._commits, start, end, size)
            if any(takes_away(row) for _, row in rows):
                self._marks.advance(object_, sequence)
            for key, _ in rows:
                self._commits.delete(key)
                budget.spend()
            if is_last:
                return True
            start = rows[-1][0] + b"\0"
        return False

    def _find_length(self, id_: InvocationId) -> int:
        start, end = keys.prefix_range(keys.JOURNAL + id_)
        for key, _ in self._commits.scan(start, end, reverse=True):
            return int.from_bytes(key[-4:], "big") + 1
        return 0

    def _count(self, size: int) -> None:
        self.debris.add(size)
        self._outcomes.retained_bytes -= size
        self._outcomes.write_down_bytes()
