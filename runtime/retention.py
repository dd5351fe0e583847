"""How long completed invocations are kept, and how they go: a few at a time, oldest first.

Outcome rows sort by the time their invocation was accepted. One that completed soon after, and is
kept as long as most, goes when its place in that order has come: one cursor walks from the oldest
and stops where nothing can be due yet. One that its handler keeps for another time, or that took
long to complete, is *listed*: it has a row in the expiry table, which is in due order.

What is kept is bounded in bytes as well: a busy counter must not fill the disk. Beyond the bound
the oldest go before their time; an outcome whose idempotency key still counts, or that of a
workflow, loses its journal only, because a duplicate must never run again. The number of bytes is
written down once a round, so a crash makes it wrong by what completed within that round.

Each round deletes a bounded number of rows, with the rest of the turn's batch; a long journal goes
in several, its outcome last.
"""

from dataclasses import replace

from ..journal import keys
from ..journal.records import Kept, OutcomeRecord, decode_outcome
from ..journal.undo_rows import takes_away
from ..objects.identity import InvocationId, accepted_ms
from ..objects.service import RUN
from . import workflows
from .config import RuntimeConfig
from .history_marks import HistoryMarks
from .lifecycle import Lifecycle
from .seams import Clock

WALK_MS = 60_000
"""A walk over the outcomes starts at most this often, unless there is too much of them."""

_BYTES = keys.meta("retained bytes")


class Retention:
    """Collects what has been kept long enough, or is too much to keep."""

    def __init__(self, lifecycle: Lifecycle, clock: Clock, config: RuntimeConfig) -> None:
        """Begin at the oldest outcome, with the number of bytes that was last written down."""
        self._outcomes = lifecycle.outcomes
        self._commits = lifecycle.commits
        self._clock = clock
        self._config = config
        self._marks = HistoryMarks(lifecycle.commits, clock)
        self._cursor = keys.OUTCOME
        self._walk_at_ms = 0
        self._written_bytes = int.from_bytes(self._commits.get(_BYTES) or b"", "big")
        lifecycle.outcomes.retained_bytes += self._written_bytes
        # Rows that this round may still delete or look at.
        self._budget = 0
        self.collected_count = 0
        self.has_more = False

    def collect(self) -> None:
        """One bounded round; ``has_more`` tells whether the next should come soon."""
        now_ms = self._clock.now_ms()
        self._budget = self._config.collect_rows_max
        self._collect_listed(now_ms)
        if self._is_over() or now_ms >= self._walk_at_ms:
            self._collect_in_order(now_ms)
        self.has_more = self._budget <= 0
        self._marks.sweep()
        self.write_down()

    def write_down(self) -> None:
        """Stage the number of bytes that are kept."""
        retained = self._outcomes.retained_bytes = max(0, self._outcomes.retained_bytes)
        if retained != self._written_bytes:
            self._written_bytes = retained
            self._commits.put(_BYTES, retained.to_bytes(8, "big"))

    def _is_over(self) -> bool:
        return self._outcomes.retained_bytes > self._config.retained_bytes_max

    def _collect_listed(self, now_ms: int) -> None:
        for key, _ in self._take(keys.EXPIRY, keys.EXPIRY + keys.u64(now_ms + 1)):
            id_ = InvocationId(key[9:])
            outcome = self._outcomes.find(id_)
            if outcome is not None and not self._forget(id_, outcome):
                return
            self._commits.delete(key)

    def _collect_in_order(self, now_ms: int) -> None:
        retention_ms = self._outcomes.retention_ms(None)
        for key, row in self._take(self._cursor, keys.after(keys.OUTCOME)):
            id_ = InvocationId(key[1:])
            if not self._is_over() and accepted_ms(id_) + retention_ms > now_ms:
                break
            # Where the next round goes on, should this one end within this invocation.
            self._cursor = key
            self._budget -= 1
            if not self._collect_one(id_, decode_outcome(row), now_ms, retention_ms):
                return
            self._cursor = key + b"\0"
        if self._budget > 0:
            self._cursor = keys.OUTCOME
            self._walk_at_ms = now_ms + WALK_MS

    def _collect_one(
        self, id_: InvocationId, outcome: OutcomeRecord, now_ms: int, retention_ms: int
    ) -> bool:
        """Do what is due with one outcome; ``False``: the rest has to wait a round."""
        expires_ms = outcome.expires_ms or outcome.completed_ms + retention_ms
        if self._is_over():
            still_counts = outcome.expires_ms > now_ms or (
                (outcome.is_listed or expires_ms > now_ms)
                and workflows.is_started_by(self._commits, outcome.target, id_)
            )
            if still_counts:
                return self._forget_journal(id_, outcome)
            return self._forget(id_, outcome)
        if outcome.is_listed or expires_ms > now_ms:
            return True
        return self._forget(id_, outcome)

    def _forget(self, id_: InvocationId, outcome: OutcomeRecord) -> bool:
        """Delete all that is kept of an invocation; ``False``: the rest has to wait a round."""
        if not self._delete_journal(id_, outcome) or not self._forget_workflow(id_, outcome):
            return False
        self.collected_count += 1
        self._delete(keys.outcome(id_), outcome.encode())
        if outcome.idempotency_key is not None:
            key = keys.idempotency(outcome.target, outcome.idempotency_key)
            row = self._commits.get(key)
            # The key may have been given to a later invocation since this one expired.
            if row is not None and row.startswith(id_):
                self._commits.delete(key)
        return True

    def _forget_workflow(self, id_: InvocationId, outcome: OutcomeRecord) -> bool:
        """Delete what was kept for a workflow beside its ``run``, where that is what this is."""
        if outcome.target.handler != RUN:
            return True
        self._budget -= workflows.forget(self._commits, outcome.target, id_, self._budget)
        return self._budget > 0

    def _forget_journal(self, id_: InvocationId, outcome: OutcomeRecord) -> bool:
        """Keep the outcome alone; ``False``: the rest has to wait a round."""
        if outcome.kept is Kept.OUTCOME:
            return True
        if not self._delete_journal(id_, outcome):
            return False
        self._commits.put(keys.outcome(id_), replace(outcome, kept=Kept.OUTCOME).encode())
        return True

    def _delete_journal(self, id_: InvocationId, outcome: OutcomeRecord) -> bool:
        if outcome.kept is not Kept.JOURNAL:
            return True
        # The journal goes first: while its first entry is there, so are all undo rows.
        for key, row in self._take(*keys.prefix_range(keys.JOURNAL + id_)):
            self._delete(key, row)
        if self._budget > 0 and outcome.target.key is not None:
            object_ = keys.object_key(outcome.target.service, outcome.target.key)
            self._delete_undo(object_, outcome.sequence)
        return self._budget > 0

    def _delete_undo(self, object_: bytes, sequence: int) -> None:
        rows = self._take(*keys.prefix_range(keys.undo_of_turn(object_, sequence)))
        if any(takes_away(row) for _, row in rows):
            self._marks.advance(object_, sequence)
        for key, row in rows:
            self._delete(key, row)

    def _take(self, start: bytes, end: bytes) -> list[tuple[bytes, bytes]]:
        """The first rows of a range, no more than the round may delete."""
        rows: list[tuple[bytes, bytes]] = []
        if self._budget <= 0:
            return rows
        for row in self._commits.scan(start, end):
            rows.append(row)
            if len(rows) >= self._budget:
                break
        return rows

    def _delete(self, key: bytes, row: bytes) -> None:
        self._commits.delete(key)
        self._budget -= 1
        self._outcomes.retained_bytes -= len(key) + len(row)
