"""Invocations, open and completed, as rows tell of them: the same whichever process reads.

``runtime.invocation_info`` says more of one, from the runtime that has it.
"""

from collections.abc import Iterator
from functools import cached_property

from ...journal import keys
from ...journal.entry import Failure
from ...journal.records import (
    InvocationDetails,
    InvocationRecord,
    InvocationState,
    Kept,
    OutcomeDetails,
    OutcomeRecord,
    StepRecord,
    StepState,
    decode_invocation,
    decode_outcome,
    decode_step,
)
from ...objects.definition import HandlerDefinition, ServiceDefinition
from ...objects.identity import InvocationId, Target
from ..invocation_info import PAUSED_BY_HAND, Status, find_status
from .rows import Rows, accepted_at_ms


class InvocationView:
    """One invocation at the moment of a view."""

    def __init__(self, rows: Rows, id_: InvocationId, row: bytes, *, is_open: bool) -> None:
        """Decode nothing yet."""
        self._rows = rows
        self._row = row
        self.id = id_
        self.is_open = is_open

    # -- What was recorded -------------------------------------------------------------------

    @cached_property
    def _record(self) -> InvocationRecord:
        assert self.is_open, "a completed invocation has no record of its own"
        return decode_invocation(self._row)

    @cached_property
    def _outcome(self) -> OutcomeRecord:
        assert not self.is_open, "an open invocation has no outcome"
        return decode_outcome(self._row)

    @property
    def details(self) -> InvocationDetails | OutcomeDetails | None:
        """What few invocations have."""
        return self._record.details if self.is_open else self._outcome.details

    @property
    def target(self) -> Target:
        """Whom it calls."""
        return self._record.target if self.is_open else self._outcome.target

    @cached_property
    def _code(self) -> tuple[ServiceDefinition, HandlerDefinition] | tuple[None, None]:
        return self._rows.registry.find_code(self.target)

    @property
    def service(self) -> ServiceDefinition | None:
        """Its class, where that is served."""
        return self._code[0]

    @property
    def idempotency_key(self) -> str | None:
        """The one it came with."""
        return self._record.idempotency_key if self.is_open else self._outcome.idempotency_key

    @property
    def caller(self) -> InvocationId | None:
        """The invocation that awaits its outcome."""
        return self._record.caller if self.is_open else None

    @property
    def restarted_from(self) -> bytes | None:
        """The invocation that it was made from."""
        return None if self.details is None else self.details.restarted_from

    @property
    def mode(self) -> str | None:
        """How it was called; not known of a completed one."""
        if not self.is_open:
            return None
        details = self._record.details
        return "queue" if details is None else details.mode.name.lower()

    @property
    def is_canceled(self) -> bool:
        """Whether it was told to end, and has not ended."""
        return self.is_open and (self._record.details or InvocationDetails()).is_canceled

    @property
    def failures(self) -> int | None:
        """Failed attempts that count against the policy; not known of a completed one."""
        return self._record.failures if self.is_open else None

    @cached_property
    def _steps(self) -> dict[int, StepRecord]:
        """Those without a result that are more than begun, by their index."""
        steps = self._rows.scan(keys.STEP + self.id)
        return {int.from_bytes(key[-4:], "big"): decode_step(row) for key, row in steps}

    @property
    def last_failure(self) -> str | None:
        """What the last failed attempt, of it or of a step, said, or why it is paused."""
        if not self.is_open:
            return None
        if self._record.last_failure or self._record.begun_ms == 0:
            return self._record.last_failure or None
        failures = [step.last_failure for step in self._steps.values() if step.last_failure]
        return failures[-1] if failures else None

    @property
    def failed_step(self) -> int | None:
        """The index of the step whose failure ``last_failure`` is."""
        if not self.is_open or self._record.last_failure or self._record.begun_ms == 0:
            return None
        return max((at for at, step in self._steps.items() if step.last_failure), default=None)

    # -- Times, in milliseconds since 1970 ---------------------------------------------------

    @property
    def accepted_ms(self) -> int:
        """When it was accepted."""
        return accepted_at_ms(self.id)

    @property
    def scheduled_ms(self) -> int | None:
        """When a delayed send is due."""
        if not self.is_open or self._record.state is not InvocationState.SCHEDULED:
            return None
        return self._record.next_attempt_ms

    @property
    def begun_ms(self) -> int | None:
        """When its handler first ran; not known of every completed one."""
        if self.is_open:
            return self._record.begun_ms or None
        details = self._outcome.details
        return None if details is None else details.begun_ms or None

    @cached_property
    def next_attempt_ms(self) -> int | None:
        """When it, or a step of it, is tried again."""
        if not self.is_open or self._record.state is not InvocationState.BEGUN:
            return None
        times = [self._record.next_attempt_ms]
        times += [step.next_attempt_ms for step in self._steps.values()]
        return min(filter(None, times), default=None)

    @property
    def completed_ms(self) -> int | None:
        """When it had its outcome."""
        return None if self.is_open else self._outcome.completed_ms

    @property
    def kept_until_ms(self) -> int | None:
        """When its outcome goes."""
        keeping = self._rows.keeping
        if self.is_open or keeping is None:
            return None
        return keeping.outcome_until_ms(self._outcome)

    @property
    def journal_kept_until_ms(self) -> int | None:
        """When its journal goes."""
        keeping = self._rows.keeping
        if self.is_open or keeping is None or self._outcome.kept is not Kept.JOURNAL:
            return None
        return keeping.journal_until_ms(self._outcome)

    @property
    def has_journal(self) -> bool:
        """Whether its journal is kept."""
        return self.is_open or self._outcome.kept is Kept.JOURNAL

    # -- Where it stands ---------------------------------------------------------------------

    @property
    def status(self) -> Status:
        """As in ``InvocationInfo``."""
        if not self.is_open:
            return "completed"
        state = self._record.state
        is_live = is_backing_off = False
        if state is InvocationState.BEGUN:
            is_live = self._rows.view.get(keys.live(self.id)) is not None
            is_backing_off = not is_live and self.next_attempt_ms is not None
        return find_status(
            state,
            is_live=is_live,
            is_served=self.service is not None,
            is_backing_off=is_backing_off,
        )

    @property
    def waits_for_a_person(self) -> bool:
        """Whether it is paused as somebody has asked for, and not because its code got no further.

        That was by hand, or with ``on_unknown="pause"``.
        """
        if not self.is_open or self._record.state is not InvocationState.PAUSED:
            return False
        return self._record.last_failure == PAUSED_BY_HAND or any(
            step.state is StepState.HELD for step in self._steps.values()
        )

    @cached_property
    def journal_size(self) -> int:
        """How many entries its journal has."""
        if not self.has_journal:
            return 0
        start, end = keys.prefix_range(keys.JOURNAL + self.id)
        for key, _ in self._rows.view.scan(start, end, reverse=True):
            return int.from_bytes(key[-4:], "big") + 1
        return 0

    @property
    def failure(self) -> Failure | None:
        """What it failed with."""
        result = None if self.is_open else self._outcome.result
        return result if isinstance(result, Failure) else None


def find_invocation(rows: Rows, id_: InvocationId) -> InvocationView | None:
    """One invocation, if there is one."""
    row = rows.view.get(keys.invocation(id_))
    if row is not None:
        return InvocationView(rows, id_, row, is_open=True)
    row = rows.view.get(keys.outcome(id_))
    return None if row is None else InvocationView(rows, id_, row, is_open=False)


def scan_open(rows: Rows) -> Iterator[InvocationView]:
    """Those that are not completed, in order of acceptance."""
    for key, row in rows.scan(keys.INVOCATION):
        yield InvocationView(rows, InvocationId(key[1:]), row, is_open=True)


def scan_completed(rows: Rows) -> Iterator[InvocationView]:
    """Those that are completed, in order of acceptance."""
    for key, row in rows.scan(keys.OUTCOME):
        yield InvocationView(rows, InvocationId(key[1:]), row, is_open=False)
