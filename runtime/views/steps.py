"""Steps as rows tell of them: each of every journal that is kept, and where it stands.

The words and their meaning are those of ``runtime.effects``, which tells them of one invocation.
"""

from collections.abc import Iterator
from functools import cached_property

from ...journal import codec, keys
from ...journal.records import OutcomeDetails, StepRecord, decode_step
from ...objects.identity import InvocationId
from ..effects import (
    Details,
    EffectStatus,
    FoundStep,
    FoundSteps,
    failure_of_step,
    find_effect_key,
    find_effect_status,
)
from .invocations import InvocationView, find_invocation
from .rows import ID_END, Rows


class StepView:
    """One step of an invocation."""

    def __init__(self, rows: Rows, invocation: InvocationView, found: FoundStep) -> None:
        """Look up nothing yet."""
        self._rows = rows
        self._found = found
        self._invocation = invocation
        self.invocation_id = invocation.id
        self.index = found.index
        self.name = found.name
        self.source = found.source or None
        self.is_canceled = found.is_canceled

    @cached_property
    def record(self) -> StepRecord | None:
        """What is known of its attempts; ``None`` once it has its result, or is given up."""
        if self._found.ended_at is not None:
            return None
        row = self._rows.view.get(keys.step(self.invocation_id, self.index))
        if row is not None:
            return decode_step(row)
        # The command itself is the first attempt's intent.
        return StepRecord() if self._invocation.is_open else None

    @property
    def status(self) -> EffectStatus:
        """As in ``EffectInfo``."""
        return find_effect_status(self._found, self.record)

    @property
    def completed_ms(self) -> int | None:
        """When its result was recorded."""
        completion = self._found.completion
        return None if completion is None else completion.at_ms

    @property
    def last_failure(self) -> str | None:
        """What the last failed attempt said."""
        if self.record is not None:
            return self.record.last_failure or None
        failure = failure_of_step(self._found)
        return None if failure is None else failure.message

    @property
    def idempotency_key(self) -> str | None:
        """What its action got from ``step_info()``."""
        return find_effect_key(self.invocation_id, self._found, self._find_details)

    def _find_details(self, id_: InvocationId) -> Details | None:
        found = find_invocation(self._rows, id_)
        return None if found is None else found.details or OutcomeDetails()


def scan_steps(rows: Rows, id_: InvocationId | None = None) -> Iterator[StepView]:
    """The steps of one invocation, or of all whose journal is kept, in order."""
    owner: InvocationId | None = None
    steps = FoundSteps()
    for key, row in rows.scan(keys.JOURNAL if id_ is None else keys.JOURNAL + id_):
        of = InvocationId(key[1:ID_END])
        if of != owner:
            if owner is not None:
                yield from _steps_of(rows, owner, steps)
            owner, steps = of, FoundSteps()
        steps.add(int.from_bytes(key[-4:], "big"), codec.decode_entry(row))
    if owner is not None:
        yield from _steps_of(rows, owner, steps)


def _steps_of(rows: Rows, id_: InvocationId, steps: FoundSteps) -> Iterator[StepView]:
    if not steps.steps:
        return
    invocation = find_invocation(rows, id_)
    if invocation is None or not invocation.has_journal:
        return  # What is left of it is being deleted.
    for found in steps.steps.values():
        yield StepView(rows, invocation, found)
