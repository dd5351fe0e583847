"""Where an invocation stands in the turn in which something is decided about it.

For whoever has to tell more than that a decision changed something: the standing and the decision
are taken in one turn, so nothing can come between them. It may not be durable yet, so nothing may
leave the process on its word alone; whatever is decided next waits for it at the gate.
"""

from dataclasses import dataclass
from enum import Enum, auto

from ..journal.records import InvocationState
from ..objects.identity import InvocationId, Target
from .core import Core
from .open_invocation import Concluding


class Phase(Enum):
    """How far an invocation has come."""

    UNKNOWN = auto()
    """There is none, or it was kept long enough."""
    NOT_BEGUN = auto()
    """It is delayed, or waits for its turn."""
    BEGUN = auto()
    """Its handler runs or waits, in memory or not."""
    PAUSED = auto()
    """It waits for a person."""
    ENDING = auto()
    """Its handler is over and its outcome decided, and its last actions still end."""
    COMPLETED = auto()
    """It has its outcome."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One invocation at this moment. ``target`` is ``None`` where there is no invocation."""

    phase: Phase
    target: Target | None


def find_standing(core: Core, id_: InvocationId) -> Standing:
    """Where the invocation stands now."""
    invocation = core.lifecycle.find(id_)
    if invocation is None:
        outcome = core.lifecycle.outcomes.find(id_)
        if outcome is None:
            return Standing(Phase.UNKNOWN, None)
        return Standing(Phase.COMPLETED, outcome.target)
    phase = Phase.BEGUN
    match invocation.record.state:
        case InvocationState.SCHEDULED | InvocationState.INBOXED:
            phase = Phase.NOT_BEGUN
        case InvocationState.PAUSED:
            phase = Phase.PAUSED
        case InvocationState.BEGUN:
            if isinstance(invocation.attempt, Concluding):
                phase = Phase.ENDING
    return Standing(phase, invocation.record.target)
