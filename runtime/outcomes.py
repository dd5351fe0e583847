"""Outcomes: what is written down when an invocation completes, and who is told.

What is kept, and how it goes, belong together: see ``retention`` for the second half.
"""

from collections.abc import Callable

from ..journal import keys
from ..journal.entry import Failure
from ..journal.records import Kept, OutcomeRecord, decode_outcome
from ..objects.definition import HandlerDefinition
from ..objects.identity import InvocationId, accepted_ms
from .commits import Commits
from .config import RuntimeConfig
from .open_invocation import OpenInvocation, Result
from .seams import Clock

IN_ORDER_MS = 60_000
"""An invocation that completes within this long of its acceptance counts as completed in order."""


class Outcomes:
    """The outcomes of completed invocations, and those outside who await one."""

    def __init__(self, commits: Commits, clock: Clock, config: RuntimeConfig) -> None:
        """Begin with nobody waiting; the rows in the store are the truth."""
        self._commits = commits
        self._clock = clock
        self._config = config
        # Those who await an outcome from outside, by invocation.
        self._waiters: dict[InvocationId, list[Callable[[Result], None]]] = {}
        # Bytes of completed invocations, for the bound on what is kept.
        self.retained_bytes = 0

    def keep(self, invocation: OpenInvocation, result: Result) -> None:
        """Write down the outcome of an invocation that completes now, and what is kept with it."""
        id_, record = invocation.id, invocation.record
        has_journal = invocation.next_index > 1
        key, handler = record.idempotency_key, invocation.handler
        if not has_journal:
            self._commits.delete(keys.journal(id_, 0))
        is_kept = (
            key is not None
            or has_journal
            or isinstance(result, Failure)
            or len(result) <= self._config.unsteps_result_bytes_max
            or (handler is not None and handler.is_run)
        )
        completed_ms = self._clock.now_ms()
        expires_ms = completed_ms + self.retention_ms(handler)
        # The table of outcomes is in order of acceptance; see `Retention` for what follows.
        is_listed = (handler is not None and handler.options.retention is not None) or (
            completed_ms - accepted_ms(id_) > IN_ORDER_MS
        )
        row = OutcomeRecord(
            target=record.target,
            sequence=record.sequence,
            completed_ms=completed_ms,
            kept=Kept.JOURNAL if has_journal else Kept.OUTCOME,
            result=result if is_kept else None,
            is_listed=is_listed,
            idempotency_key=key,
            expires_ms=0 if key is None else expires_ms,
        ).encode()
        self._commits.put_new(keys.outcome(id_), row)
        self.retained_bytes += len(row) + len(id_) + 1
        if has_journal:
            self.retained_bytes += invocation.stored_bytes
        if is_listed:
            self._commits.put_new(keys.expiry(expires_ms, id_), b"")

    def tell(self, id_: InvocationId, result: Result) -> None:
        """Tell those outside who await the outcome, once it is durable."""
        for tell in self._waiters.pop(id_, ()):
            self._commits.when_durable(_bind(tell, result))

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

    def retention_ms(self, handler: HandlerDefinition | None) -> int:
        """How long a completed invocation of ``handler`` is kept."""
        own = None if handler is None else handler.options.retention
        retention = self._config.retention if own is None else own
        return round(retention.total_seconds() * 1000)


def _bind(tell: Callable[[Result], None], result: Result) -> Callable[[], None]:
    return lambda: tell(result)
