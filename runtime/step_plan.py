"""What a step is to do, and one attempt at it; values without decisions."""

import asyncio
import contextvars
import math
from typing import Any

from msgspec import Struct

from ..journal.records import StepRecord, StepState
from ..objects.identity import InvocationId, format_invocation_id
from ..objects.serde import Serde
from ..objects.syscalls import Action, StepOptions
from .seams import Alarm


class StepPlan(Struct, frozen=True, kw_only=True):
    """What the code asks of a step; made anew by each attempt of the handler."""

    name: str
    action: Action
    options: StepOptions
    result: Serde[Any]
    context: contextvars.Context
    """The handler's context variables when it asked."""
    span: Any = None
    """The span of the handler's attempt, where tracing is on."""
    waits_for_ends: bool = False
    """Begin only when no action of the invocation runs that was told to end: this takes back what
    such an action may be about to do."""


def idempotency_key_of(id_: InvocationId, index: int) -> str:
    """The key of the step that command ``index`` of an invocation asks for."""
    return f"{format_invocation_id(id_)}-{index}"


class Step(Struct, kw_only=True, eq=False, weakref=True):
    """One attempt of an action, from its intent to its end."""

    invocation_id: InvocationId
    index: int
    plan: StepPlan
    attempt: int = 1
    failures: int = 0
    began_ms: int = 0
    """When the first attempt began, as far as that is known; the retry policy's time counts from
    here."""
    has_row: bool = False
    """Whether there may be a row about it; most steps complete without one."""
    is_current: bool = False
    """Whether ``Steps`` has it; not once it is over, killed, or cut off by a stop, and then what
    becomes of its action is not recorded."""
    is_running: bool = False
    """The action has begun, and has not ended."""
    is_cancelled: bool = False
    """The handler no longer wants the result; the action may still be running."""
    timed_out: str = ""
    """Why it was told to end, when one of its time limits was reached."""
    is_verifying: bool = False
    """What runs is the user's ``verify`` about an interrupted attempt, not the action."""
    task: "asyncio.Task[Any] | None" = None
    """What runs on the loop; ``None`` while a thread has it."""
    alarm: Alarm | None = None
    silence_alarm: Alarm | None = None
    heard_at: float = 0.0
    """When the action was heard last, on the monotonic clock."""
    details: bytes | None = None
    """How far the action, or that of the attempt before, said that it has come."""
    has_news: bool = False
    """Whether a write of the details is due."""
    told_at: float = -math.inf
    """When they were written last, on the monotonic clock."""
    news_alarm: Alarm | None = None
    cut_off_by: BaseException | None = None
    """What ended this attempt in this process; if the step runs again, it counts as failed."""
    span: Any = None

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this step, for ever."""
        return idempotency_key_of(self.invocation_id, self.index)

    def begin_again(self, *, verifies: bool) -> None:
        """What ran has ended, and ``verify``, or the action again, is next."""
        self.is_verifying, self.timed_out, self.task = verifies, "", None

    def record(
        self,
        state: StepState,
        *,
        next_attempt_ms: int = 0,
        last_failure: str = "",
        failed_ms: int = 0,
    ) -> StepRecord:
        """What is written down of this attempt."""
        return StepRecord(
            state=state,
            attempt=self.attempt,
            failures=self.failures,
            next_attempt_ms=next_attempt_ms,
            last_failure=last_failure,
            began_ms=self.began_ms,
            details=self.details,
            failed_ms=failed_ms,
        )
