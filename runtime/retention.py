"""How long completed invocations are kept, and how they go: a few at a time, oldest first.

Outcome rows sort by the time their invocation was accepted, and most are kept equally long, so one
cursor walks over them from the oldest and stops at the first that is not due. One that its handler
keeps for another time has a row in the expiry table, which is in due order. One that completed
long after it was accepted is found when the cursor starts over, once a minute.

What is kept is bounded in bytes as well: a busy counter must not fill the disk. Beyond the bound
the oldest go before their time. The number of bytes is written down once a round, so a crash makes
it wrong by what completed within that round.

Each round deletes a bounded number of rows, with the rest of the turn's batch.
"""

from ..journal import keys
from ..journal.records import Kept, OutcomeRecord, decode_outcome
from ..objects.errors import HoldfastError
from ..objects.identity import InvocationId
from .config import RuntimeConfig
from .lifecycle import Lifecycle
from .seams import Clock

WALK_MS = 60_000
"""A walk over the outcomes starts at most this often, unless there is too much of them."""

_BYTES = keys.meta("retained bytes")


class Retention:
    """Collects what has been kept long enough, or is too much to keep."""

    def __init__(self, lifecycle: Lifecycle, clock: Clock, config: RuntimeConfig) -> None:
        """Begin at the oldest outcome, with the number of bytes that was last written down."""
        self._lifecycle = lifecycle
        self._commits = lifecycle.commits
        self._clock = clock
        self._config = config
        self._cursor = keys.OUTCOME
        self._walk_at_ms = 0
        self._written_bytes = int.from_bytes(self._commits.get(_BYTES) or b"", "big")
        lifecycle.retained_bytes += self._written_bytes
        self.collected_count = 0
        self.has_more = False

    def collect(self) -> None:
        """One bounded round; ``has_more`` tells whether the next should come soon."""
        now_ms = self._clock.now_ms()
        due = self._due_by_expiry(now_ms)
        is_over = self._lifecycle.retained_bytes > self._config.retained_bytes_max
        if is_over or now_ms >= self._walk_at_ms:
            due += self._due_by_age(now_ms, is_over=is_over)
        for id_, outcome in due:
            self._forget(id_, outcome)
        self.write_down()
        self.has_more = len(due) >= self._config.collect_rows_max

    def write_down(self) -> None:
        """Stage the number of bytes that are kept."""
        retained = max(0, self._lifecycle.retained_bytes)
        if retained != self._written_bytes:
            self._written_bytes = retained
            self._commits.put(_BYTES, retained.to_bytes(8, "big"))

    def _due_by_expiry(self, now_ms: int) -> list[tuple[InvocationId, OutcomeRecord]]:
        due: list[tuple[InvocationId, OutcomeRecord]] = []
        end = keys.EXPIRY + keys.u64(now_ms + 1)
        expired = []
        for key, _ in self._commits.scan(keys.EXPIRY, end):
            expired.append(key)
            if len(expired) >= self._config.collect_rows_max:
                break
        for key in expired:
            self._commits.delete(key)
            id_ = InvocationId(key[9:])
            outcome = self._lifecycle.outcome_of(id_)
            if outcome is not None:
                due.append((id_, outcome))
        return due

    def _due_by_age(
        self, now_ms: int, *, is_over: bool
    ) -> list[tuple[InvocationId, OutcomeRecord]]:
        due: list[tuple[InvocationId, OutcomeRecord]] = []
        seen = 0
        for key, row in self._commits.scan(self._cursor, keys.after(keys.OUTCOME)):
            seen += 1
            outcome = decode_outcome(row)
            if not is_over and self._is_kept_differently(outcome):
                continue
            if is_over or self._expires_ms(outcome) <= now_ms:
                due.append((InvocationId(key[1:]), outcome))
            else:
                break
            if seen >= self._config.collect_rows_max:
                self._cursor = key + b"\0"
                return due
        self._cursor = keys.OUTCOME
        self._walk_at_ms = now_ms + WALK_MS
        return due

    def _is_kept_differently(self, outcome: OutcomeRecord) -> bool:
        try:
            handler = self._lifecycle.registry.get_handler(outcome.target)[1]
        except HoldfastError:
            return False
        return handler.options.retention is not None

    def _expires_ms(self, outcome: OutcomeRecord) -> int:
        return outcome.expires_ms or outcome.completed_ms + self._lifecycle.retention_ms(None)

    def _forget(self, id_: InvocationId, outcome: OutcomeRecord) -> None:
        target = outcome.target
        self.collected_count += 1
        self._delete(keys.outcome(id_), outcome.encode())
        if outcome.idempotency_key is not None:
            key = keys.idempotency(target, outcome.idempotency_key)
            row = self._commits.get(key)
            # The key may have been given to a later invocation since this one expired.
            if row is not None and row.startswith(id_):
                self._commits.delete(key)
        if outcome.kept is Kept.JOURNAL:
            self._delete_range(keys.JOURNAL + id_)
            if target.key is not None:
                object_ = keys.object_key(target.service, target.key)
                self._delete_range(keys.undo_of_turn(object_, outcome.sequence))

    def _delete_range(self, prefix: bytes) -> None:
        for key, row in list(self._commits.scan(*keys.prefix_range(prefix))):
            if prefix[:1] == keys.JOURNAL:
                self._delete(key, row)
            else:
                self._commits.delete(key)

    def _delete(self, key: bytes, row: bytes) -> None:
        self._commits.delete(key)
        self._lifecycle.retained_bytes -= len(key) + len(row)
