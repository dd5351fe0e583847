"""Outcomes: what is written down when an invocation completes, and who is told.

What is kept, and how it goes, belong together: see ``retention`` for the second half.
"""

from collections.abc import Callable
from functools import partial

from ..journal import keys
from ..journal.entry import Failure
from ..journal.records import (
    InvocationDetails,
    InvocationRecord,
    Kept,
    OutcomeDetails,
    OutcomeRecord,
    decode_outcome,
)
from ..objects.identity import InvocationId, accepted_ms, printable
from .commits import Commits
from .config import RuntimeConfig
from .failures import describe_outcome
from .keeping import Keeping
from .kept_cursor import KeptCursor
from .logs import make_logger
from .open_invocation import OpenInvocation, Result
from .seams import Clock

logger = make_logger("holdfast.invocations")


_BYTES = keys.meta("retained bytes")


class Outcomes:
    """The outcomes of completed invocations, and those outside who await one."""

    def __init__(self, commits: Commits, clock: Clock, config: RuntimeConfig) -> None:
        """Begin with nobody waiting; the rows in the store are the truth."""
        self._commits = commits
        self._clock = clock
        self._config = config
        # Those who await an outcome from outside, by invocation.
        self._waiters: dict[InvocationId, list[Callable[[Result], None]]] = {}
        self.keeping = Keeping(config)
        # Where retention is in the tables of outcomes and of their expiry.
        self.walk = KeptCursor(commits, "outcomes walked", keys.OUTCOME)
        self.listed = KeptCursor(commits, "outcomes listed", keys.EXPIRY)
        self.oldest = KeptCursor(commits, "outcomes", keys.OUTCOME)
        self._written_bytes = int.from_bytes(commits.get(_BYTES) or b"", "big")
        # Bytes of completed invocations, for the bound on what is kept.
        self.retained_bytes = self._written_bytes

    def keep(self, invocation: OpenInvocation, result: Result) -> None:
        """Write down the outcome of an invocation that completes now, and what is kept with it."""
        id_, record = invocation.id, invocation.record
        has_journal = invocation.next_index > 1 or invocation.keeps_journal
        has_journal = has_journal or isinstance(result, Failure)  # So that it can be restarted.
        key, handler = record.idempotency_key, invocation.handler
        is_forgotten = invocation.is_mere_read and invocation.next_index == 1
        if is_forgotten or not has_journal:
            self._commits.delete(keys.journal(id_, 0))
        if is_forgotten:
            return
        is_kept = (
            key is not None
            or has_journal
            or isinstance(result, Failure)
            or len(result) <= self._config.unsteps_result_bytes_max
            or (handler is not None and handler.is_run)
        )
        completed_ms, times = self._clock.now_ms(), self.keeping.times(handler)
        until_ms = due_ms = completed_ms + times.outcome_ms
        expires_ms, details = 0, None
        if key is not None:
            expires_ms = completed_ms + times.idempotency_ms
            until_ms = max(until_ms, expires_ms)
            due_ms = min(until_ms, expires_ms)
        journal_ms = completed_ms + times.journal_ms
        goes_early = has_journal and journal_ms < until_ms
        if goes_early:
            due_ms = min(due_ms, journal_ms)
        if has_journal or times.is_own or _is_restart(record):
            details = _details_of(
                invocation,
                has_journal=has_journal,
                journal_expires_ms=journal_ms if goes_early else 0,
                kept_until_ms=completed_ms + times.outcome_ms if times.is_own else 0,
            )
        outcome_key = keys.outcome(id_)
        # The table of outcomes is in order of acceptance; see `Retention` for what follows.
        is_listed = (
            times.is_own
            or due_ms < completed_ms + self.keeping.default_ms
            or outcome_key < self.walk.position
        )
        row = OutcomeRecord(
            target=record.target,
            sequence=record.sequence,
            completed_ms=completed_ms,
            kept=Kept.JOURNAL if has_journal else Kept.OUTCOME,
            result=result if is_kept else None,
            is_listed=is_listed,
            idempotency_key=key,
            expires_ms=expires_ms,
            details=details,
        ).encode()
        self._commits.put_new(outcome_key, row)
        if outcome_key < self.oldest.position:
            self.oldest.lower(outcome_key)
        journal_bytes = invocation.stored_bytes if has_journal else 0
        self.retained_bytes += len(row) + len(outcome_key) + journal_bytes
        if is_listed:
            self.list_next(id_, due_ms)

    def write_down_bytes(self) -> None:
        """Stage how many bytes are kept, for the next start.

        With whatever is forgotten, and once a round for what completes. So a crash loses count of
        what has completed only, and that comes right again when it is forgotten. Were too much
        counted, it would be so for ever, and in the end nothing would be kept.
        """
        kept = self.retained_bytes = max(0, self.retained_bytes)
        if kept != self._written_bytes:
            self._written_bytes = kept
            self._commits.put(_BYTES, keys.u64(kept))

    def list_next(self, id_: InvocationId, due_ms: int) -> None:
        """Have retention look at an outcome at ``due_ms``, wherever its walk is."""
        key = keys.expiry(due_ms, id_)
        self._commits.put_new(key, b"")
        self.listed.lower(key)

    def oldest_ms(self) -> int:
        """When the oldest of those that are kept was accepted; now, where there is none."""
        for key, _ in self._commits.scan(self.oldest.position, keys.after(keys.OUTCOME)):
            self.oldest.position = key
            return accepted_ms(key[1:])
        return self._clock.now_ms()

    def tell(self, id_: InvocationId, result: Result) -> None:
        """Tell those outside who await the outcome, once it is durable."""
        for tell in self._waiters.pop(id_, ()):
            self._commits.when_durable(partial(tell, result))

    def take_attached(self, id_: InvocationId) -> list[tuple[InvocationId, int]]:
        """The commands that await the outcome of ``id_``, which completes; they do no longer."""
        start, end = keys.prefix_range(keys.ATTACHED + id_)
        rows = [key for key, _ in self._commits.scan(start, end)]
        for key in rows:
            self._commits.delete(key)
        return [(InvocationId(key[-20:-4]), int.from_bytes(key[-4:], "big")) for key in rows]

    def log(self, invocation: OpenInvocation, result: Result) -> None:
        """Say in the log how an invocation has ended."""
        record, now_ms = invocation.record, self._clock.now_ms()
        took_ms = now_ms - (record.begun_ms or now_ms)
        target = printable(str(record.target))
        if isinstance(result, Failure):
            said = printable(describe_outcome(result, invocation.id))
            logger.debug("%s failed in %d ms: %s", target, took_ms, said)
        else:
            logger.debug("%s ok in %d ms", target, took_ms)

    def find(self, id_: InvocationId) -> OutcomeRecord | None:
        """The outcome, as decided so far."""
        row = self._commits.get(keys.outcome(id_))
        return None if row is None else decode_outcome(row)

    def when_completed(self, id_: InvocationId, tell: Callable[[Result], None]) -> None:
        """Call ``tell`` with the outcome once it is decided and durable."""
        self._waiters.setdefault(id_, []).append(tell)

    def forget_waiter(self, id_: InvocationId, tell: Callable[[Result], None]) -> None:
        """The one who awaited the outcome has gone; the invocation goes on."""
        waiters = self._waiters.get(id_)
        if waiters is not None and tell in waiters:
            waiters.remove(tell)
            if not waiters:
                del self._waiters[id_]


def _details_of(
    invocation: OpenInvocation, *, has_journal: bool, journal_expires_ms: int, kept_until_ms: int
) -> OutcomeDetails:
    record = invocation.record
    made_from = record.details or InvocationDetails()
    return OutcomeDetails(
        begun_ms=record.begun_ms if has_journal else 0,
        journal_expires_ms=journal_expires_ms,
        kept_until_ms=kept_until_ms,
        entries=invocation.next_index if has_journal else 0,
        stored_bytes=invocation.stored_bytes if has_journal else 0,
        # What a restart put back before the turn began nobody has counted.
        has_no_undo=invocation.has_no_undo and not _is_restart(record),
        restarted_from=made_from.restarted_from,
        restarted_at=made_from.restarted_at,
        callback=made_from.callback if has_journal else None,
    )


def _is_restart(record: InvocationRecord) -> bool:
    return record.details is not None and record.details.restarted_from is not None
