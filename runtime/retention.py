"""Which completed invocations have been kept long enough, or are too much to keep.

Outcome rows sort by the time their invocation was accepted. Most are kept for one and the same time
and complete soon, so they are due in that order: a walk goes over the table from the oldest on, as
far as anything can be due. One that is due at another time is *listed*: it has a row in the expiry
table, which is in due order. Whoever has a time of its own is listed when it completes, and so is
what is due before its place in the order (a journal that is kept for a shorter time, say); what is
not due when the walk passes it, because it took long, is listed by the walk.

    Invariant: whatever is behind the walk is listed or gone.

So no table is ever read from its front: each has a cursor, which is written down for the next
start.

What is kept is bounded in bytes as well: a busy counter must not fill the disk. Beyond the bound
the oldest go before their time, the listed ones behind the walk first; an outcome whose idempotency
key still counts, or that of a workflow, loses its journal only, because a duplicate must never run
again. The number of bytes is written down with whatever is forgotten, and once a round; so a crash
makes it too small, by what completed within that round, and never too large.

How long is ``keeping``'s, what is deleted ``forgetting``'s, and when a slice is worked off is
``maintenance``'s.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from ..journal import keys
from ..journal.records import Kept, OutcomeRecord, decode_outcome
from ..objects.identity import InvocationId, accepted_ms
from ..objects.service import RUN
from . import workflows
from .budget import Budget, read_slice
from .config import RuntimeConfig
from .early_promises import EarlyPromises
from .forgetting import Forgetting
from .history_marks import HistoryMarks
from .lifecycle import Lifecycle
from .seams import Clock

IN_ORDER_MS = 60_000
"""The walk waits this long for invocations to complete: those that do are due when it comes. So
what is not listed goes that much later than it might."""

NEVER_MS = (1 << 63) - 1
"""Later than anything is due."""

AGAIN_SECONDS_MIN = 60
AGAIN_TIMES = 20
"""Between two passes over all that is listed, to find what may go early: so many times as long as
a pass took, and at least so long."""

_ROWS_PER_SCAN_FIRST = 4
_ROWS_PER_SCAN_MAX = 32


class Retention:
    """Collects what has been kept long enough, or is too much to keep."""

    def __init__(self, lifecycle: Lifecycle, clock: Clock, config: RuntimeConfig) -> None:
        """Go on where the last process was."""
        self._outcomes = lifecycle.outcomes
        self._keeping = lifecycle.outcomes.keeping
        self._walk = lifecycle.outcomes.walk
        self._listed = lifecycle.outcomes.listed
        self._commits = lifecycle.commits
        self._clock = clock
        self._config = config
        self.marks = HistoryMarks(lifecycle.commits, clock)
        self.early_promises = EarlyPromises(lifecycle)
        self.forgetting = Forgetting(lifecycle.commits, lifecycle.outcomes, self.marks)
        # Listed outcomes before this one had nothing to give when there was too much.
        self._relieved = self._listed.position
        # When a pass over all that is listed began, and when the next one may, once it has ended.
        self._began_at = clock.monotonic()
        self._again_at: float | None = None
        self.collected_count = 0
        self.has_more = False
        """Whether the last slice ended for want of budget."""

    def collect(self) -> None:
        """One slice, bounded in rows and time."""
        budget = self.new_budget()
        self.forgetting.clear_remains(budget)
        self._collect_listed(budget)
        self._collect_in_order(budget)
        if self.is_over and not budget.is_spent:
            self._relieve(budget)
        self.has_more = budget.is_spent

    def forget_journal(
        self, id_: InvocationId, outcome: OutcomeRecord, budget: Budget
    ) -> OutcomeRecord:
        """Forget a journal that is kept; gives the outcome that is left, which says so."""
        changed = self.forgetting.forget_journal(id_, outcome, budget)
        self._rewrite(id_, changed, outcome, budget)
        return changed

    def new_budget(self) -> Budget:
        """What one slice may do."""
        config = self._config
        return Budget(
            self._clock, rows_max=config.collect_rows_max, seconds_max=config.collect_seconds_max
        )

    def take_deleted_ranges(self) -> list[tuple[bytes, bytes]]:
        """Where rows were deleted since this was last called."""
        return [(keys.EXPIRY, self._listed.position), *self.forgetting.debris.take_ranges()]

    def write_down(self) -> None:
        """Stage where the walk is, and how many bytes are kept, or deleted and still on disk."""
        self._outcomes.oldest.write_down()
        self._walk.write_down()
        self._listed.write_down()
        self._outcomes.write_down_bytes()
        self.forgetting.debris.write_down()

    # -- What is due -------------------------------------------------------------------------

    def _collect_listed(self, budget: Budget) -> None:
        now_ms = self._clock.now_ms()
        end = keys.EXPIRY + keys.u64(now_ms + 1)
        for key, _ in self._take(self._listed.position, end, budget):
            self._commits.delete(key)
            budget.spend()
            self._listed.position = key + b"\0"
            id_ = InvocationId(key[9:])
            row = self._commits.get(keys.outcome(id_))
            if row is not None:
                self._collect_due(id_, decode_outcome(row), row, now_ms, budget)

    def _collect_in_order(self, budget: Budget) -> None:
        now_ms = self._clock.now_ms()
        margin_ms = self._keeping.default_ms + IN_ORDER_MS
        for key, row in self._take(self._walk.position, keys.after(keys.OUTCOME), budget):
            id_ = InvocationId(key[1:])
            if accepted_ms(id_) + margin_ms > now_ms:
                return
            budget.spend()
            self._walk.position = key + b"\0"
            outcome = decode_outcome(row)
            if not outcome.is_listed:
                self._collect_due(id_, outcome, row, now_ms, budget)

    def _collect_due(
        self, id_: InvocationId, outcome: OutcomeRecord, row: bytes, now_ms: int, budget: Budget
    ) -> None:
        """Forget of one invocation what is due, and list it for what is not."""
        if self._keeping.outcome_until_ms(outcome) <= now_ms:
            self.collected_count += 1
            self.forgetting.forget(id_, outcome, row, budget)
            return
        if outcome.idempotency_key is not None and outcome.expires_ms <= now_ms:
            self.forgetting.forget_key(id_, outcome, budget)
        changed = outcome
        if outcome.kept is Kept.JOURNAL and self._keeping.journal_until_ms(outcome) <= now_ms:
            changed = self.forgetting.forget_journal(id_, outcome, budget)
        self._list(id_, changed, outcome, now_ms, budget)

    def _list(
        self,
        id_: InvocationId,
        changed: OutcomeRecord,
        outcome: OutcomeRecord,
        now_ms: int,
        budget: Budget,
    ) -> None:
        """Write what is left of ``outcome``, and when to look at it again."""
        self._outcomes.list_next(id_, self._keeping.next_due_ms(changed, now_ms))
        budget.spend()
        if not changed.is_listed:
            changed = replace(changed, is_listed=True)
        if changed is not outcome:
            self._rewrite(id_, changed, outcome, budget)

    def _rewrite(
        self, id_: InvocationId, changed: OutcomeRecord, outcome: OutcomeRecord, budget: Budget
    ) -> None:
        new = changed.encode()
        self._outcomes.retained_bytes += len(new) - len(outcome.encode())
        self._commits.put(keys.outcome(id_), new)
        budget.spend()

    # -- What is too much --------------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Whether more is kept than may be."""
        return self._outcomes.retained_bytes > self._config.retained_bytes_max

    def _relieve(self, budget: Budget) -> None:
        """Forget the oldest, listed or not, until what is kept is within its bound."""
        reached_ms = accepted_ms(self._walk.position[1:]) + self._keeping.default_ms
        self._relieve_listed(reached_ms, budget)
        self._relieve_in_order(budget)
        if not budget.is_spent and self.is_over:
            # Nothing is left before the walk; behind it, some are kept for longer than most.
            self._relieve_listed(NEVER_MS, budget)
            self._begin_again(budget)

    def _begin_again(self, budget: Budget) -> None:
        """Look at all that is listed once more, but not all the time.

        What was listed since behind the place that was reached has something to give; where
        nothing has, looking at millions of rows again and again would be work for nothing.
        """
        now = self._clock.monotonic()
        if budget.is_spent or not self.is_over:
            return
        if self._again_at is None:
            self._again_at = now + max(AGAIN_SECONDS_MIN, AGAIN_TIMES * (now - self._began_at))
        elif now >= self._again_at:
            self._relieved, self._began_at, self._again_at = self._listed.position, now, None

    def _relieve_listed(self, until_ms: int, budget: Budget) -> None:
        """Forget listed ones that are due until then, which is about in the order of completion.

        One that is passed here and kept has nothing to give any more; it goes when it is due.
        """
        now_ms = self._clock.now_ms()
        end = keys.EXPIRY + keys.u64(until_ms + 1)
        start = max(self._relieved, self._listed.position)
        for key, _ in self._take(start, end, budget):
            if not self.is_over:
                return
            budget.spend()
            self._relieved = key + b"\0"
            id_ = InvocationId(key[9:])
            row = self._commits.get(keys.outcome(id_))
            if row is None or self._relieve_one(id_, row, now_ms, budget) is None:
                self._commits.delete(key)
                budget.spend()

    def _relieve_in_order(self, budget: Budget) -> None:
        """Walk on, beyond what is due."""
        now_ms = self._clock.now_ms()
        for key, row in self._take(self._walk.position, keys.after(keys.OUTCOME), budget):
            if not self.is_over:
                return
            budget.spend()
            self._walk.position = key + b"\0"
            id_ = InvocationId(key[1:])
            outcome = self._relieve_one(id_, row, now_ms, budget)
            if outcome is not None and not outcome.is_listed:
                self._list(id_, outcome, outcome, now_ms, budget)

    def _relieve_one(
        self, id_: InvocationId, row: bytes, now_ms: int, budget: Budget
    ) -> OutcomeRecord | None:
        """Forget of one invocation what may go early; gives what is left, ``None`` for nothing."""
        outcome = decode_outcome(row)
        still_counts = outcome.expires_ms > now_ms or (
            outcome.target.handler == RUN
            and self._keeping.outcome_until_ms(outcome) > now_ms
            and workflows.is_started_by(self._commits, outcome.target, id_)
        )
        if not still_counts:
            self.collected_count += 1
            self.forgetting.forget(id_, outcome, row, budget)
            return None
        if outcome.kept is not Kept.JOURNAL:
            return outcome
        return self.forget_journal(id_, outcome, budget)

    def _take(self, start: bytes, end: bytes, budget: Budget) -> Iterator[tuple[bytes, bytes]]:
        """Rows of a range for as long as there is budget. They may be changed meanwhile.

        A few at first: with long journals among them, a slice may not come any further.
        """
        size = _ROWS_PER_SCAN_FIRST
        while not budget.is_spent:
            size = min(size * 2, budget.rows, _ROWS_PER_SCAN_MAX)
            rows, is_last = read_slice(self._commits, start, end, size)
            for row in rows:
                if budget.is_spent:
                    return
                yield row
            if is_last:
                return
            start = rows[-1][0] + b"\0"
