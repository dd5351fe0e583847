"""How long what a completed invocation leaves behind is kept. Arithmetic; it deletes nothing.

These times count from the completion, each as the handler says, then its class, then the runtime:

    retention               its outcome
    journal_retention       its journal, and the undo rows of its turn; said nowhere: the retention
    idempotency_retention   its idempotency key; said nowhere: the retention
    workflow_retention      instead of the first, for the ``run`` of a workflow, whose state and
                            promises go with its outcome; said nowhere: the retention

An outcome goes last. A journal never outlives it: what says whose journal it is would be gone. A
key never outlives it either, because a duplicate is answered with it; so an outcome with a key is
kept for the longer of the first and the third time, and what was decided at completion stands.
"""

from dataclasses import dataclass
from datetime import timedelta

from ..journal.records import Kept, OutcomeRecord
from ..objects.definition import HandlerDefinition
from ..objects.options import HandlerOptions
from .config import RuntimeConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepingTimes:
    """For how many milliseconds after a completion what is kept."""

    outcome_ms: int
    journal_ms: int
    idempotency_ms: int
    is_own: bool
    """Whether that is more than the runtime's word for all."""


class Keeping:
    """The times of one runtime."""

    def __init__(self, config: RuntimeConfig) -> None:
        """As ``config`` says, where a handler does not."""
        self._config = config
        self._default = self._times(HandlerOptions(), is_run=False)
        # By the identity of a handler's definition, which lives as long as the runtime.
        self._by_handler: dict[int, KeepingTimes] = {}

    @property
    def default_ms(self) -> int:
        """How long an outcome is kept whose record does not say otherwise."""
        return self._default.outcome_ms

    def times(self, handler: HandlerDefinition | None) -> KeepingTimes:
        """The times of ``handler``; the runtime's where its class is not registered."""
        if handler is None:
            return self._default
        times = self._by_handler.get(id(handler))
        if times is None:
            times = self._by_handler[id(handler)] = self._times(
                handler.options, is_run=handler.is_run
            )
        return times

    def outcome_until_ms(self, outcome: OutcomeRecord) -> int:
        """When the outcome is to go; what else is kept goes then at the latest."""
        details = outcome.details
        own_ms = 0 if details is None else details.kept_until_ms
        # An outcome without a word of its own follows the runtime as it is configured now.
        return max(outcome.expires_ms, own_ms or outcome.completed_ms + self._default.outcome_ms)

    def counts_until_ms(self, outcome: OutcomeRecord) -> int:
        """Until when the outcome answers those who ask again: its key, or itself, is gone then."""
        if outcome.idempotency_key is not None:
            return outcome.expires_ms
        return self.outcome_until_ms(outcome)

    def journal_until_ms(self, outcome: OutcomeRecord) -> int:
        """When the journal is to go."""
        details = outcome.details
        early_ms = 0 if details is None else details.journal_expires_ms
        return early_ms or self.outcome_until_ms(outcome)

    def next_due_ms(self, outcome: OutcomeRecord, after_ms: int) -> int:
        """When the next of what is kept is to go, of that which is not due at ``after_ms``.

        The outcome itself must not be due then.
        """
        times = [self.outcome_until_ms(outcome)]
        if outcome.kept is Kept.JOURNAL:
            times.append(self.journal_until_ms(outcome))
        if outcome.idempotency_key is not None:
            times.append(outcome.expires_ms)
        return min(time for time in times if time > after_ms)

    def _times(self, options: HandlerOptions, *, is_run: bool) -> KeepingTimes:
        config = self._config
        own = options.retention
        retention = config.retention if own is None else own
        is_own = own is not None
        if is_run:
            workflow = _first(options.workflow_retention, config.workflow_retention, retention)
            is_own, retention = is_own or workflow is not retention, workflow
        journal = _first(options.journal_retention, config.journal_retention, retention)
        idempotency = _first(options.idempotency_retention, config.idempotency_retention, retention)
        return KeepingTimes(
            outcome_ms=_ms(retention),
            journal_ms=_ms(journal),
            idempotency_ms=_ms(idempotency),
            is_own=is_own,
        )


def _first(own: timedelta | None, runtimes: timedelta | None, otherwise: timedelta) -> timedelta:
    if own is not None:
        return own
    return otherwise if runtimes is None else runtimes


def _ms(duration: timedelta) -> int:
    return round(duration.total_seconds() * 1000)
