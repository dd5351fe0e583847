"""What the code inside a step's action may know about the step.

The runtime sets ``current_step`` in the context an action runs in, and nowhere else.
"""

from contextvars import ContextVar
from dataclasses import dataclass

from .errors import ContextMisuseError


@dataclass(frozen=True, slots=True, kw_only=True)
class StepInfo:
    """The step whose action runs.

    Attributes:
        name: the name given to ``ctx.run``.
        attempt: which attempt this is, 1 for the first.
        idempotency_key: the same in every attempt, retry and restart of this step, and another one
            for every other step. Hand it to whoever can tell a repetition by it.
        invocation_id: the text id of the invocation that asked for the step.
    """

    name: str
    attempt: int
    idempotency_key: str
    invocation_id: str


current_step: ContextVar[StepInfo] = ContextVar("holdfast_step")
"""The step whose action runs here; unset outside of actions."""


def step_info() -> StepInfo:
    """The step whose action calls this.

    Raises:
        ContextMisuseError: called outside of an action.
    """
    info = current_step.get(None)
    if info is None:
        message = (
            "step_info() was called outside of a step; call it inside the function that is given "
            "to ctx.run, or in what that function calls"
        )
        raise ContextMisuseError(message)
    return info
