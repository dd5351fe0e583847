"""What a step is to do, and one attempt at it; values without decisions."""

import asyncio
import contextvars
from dataclasses import dataclass
from typing import Any

from ..journal.records import StepRecord, StepState
from ..objects.identity import InvocationId, format_invocation_id
from ..objects.serde import Serde
from ..objects.syscalls import Action, StepOptions
from .seams import Alarm


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """What the code asks of a step; made anew by each attempt of the handler."""

    name: str
    action: Action
    options: StepOptions
    result: Serde[Any]
    context: contextvars.Context
    """The handler's context variables when it asked."""
    span: Any = None
    """The span of the handler's attempt, where tracing is on."""


@dataclass(slots=True, kw_only=True, eq=False)
class Step:
    """One attempt of an action, from its intent to its end."""

    invocation_id: InvocationId
    index: int
    plan: StepPlan
    attempt: int = 1
    failures: int = 0
    began_ms: int = 0
    """When the first attempt began, as far as that is known; the retry policy's time counts from
    here."""
    is_cancelled: bool = False
    """The handler no longer wants the result; the action may still be running."""
    has_timed_out: bool = False
    is_verifying: bool = False
    """What runs is the user's ``verify`` about an interrupted attempt, not the action."""
    task: "asyncio.Task[Any] | None" = None
    alarm: Alarm | None = None
    cut_off_by: BaseException | None = None
    """What ended this attempt in this process; if the step runs again, it counts as failed."""
    span: Any = None

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this step, for ever."""
        return f"{format_invocation_id(self.invocation_id)}-{self.index}"

    def record(
        self, state: StepState, *, next_attempt_ms: int = 0, last_failure: str = ""
    ) -> StepRecord:
        """What is written down of this attempt."""
        return StepRecord(
            state=state,
            attempt=self.attempt,
            failures=self.failures,
            next_attempt_ms=next_attempt_ms,
            last_failure=last_failure,
            began_ms=self.began_ms,
        )
