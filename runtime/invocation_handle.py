"""What a person, or a program outside, can do to one invocation, by its id."""

import asyncio

from ..journal.records import InvocationState
from ..objects.errors import UnknownTargetError
from ..objects.identity import InvocationId, format_invocation_id
from .core import Core


class InvocationHandle:
    """One invocation, named by its id; ``runtime.invocation(id)`` makes these.

    Every method is a decision that is taken when it is called; its future is done once that is
    durable. Whether there is such an invocation is found out by the method.
    """

    def __init__(self, core: Core, id_: InvocationId) -> None:
        """``Engine.invocation`` makes these."""
        self._core = core
        self._id = id_

    @property
    def id(self) -> str:
        """``inv_`` and 32 hex digits."""
        return format_invocation_id(self._id)

    def resume(self) -> "asyncio.Future[bool]":
        """Have a paused invocation tried again, its counters at zero.

        Steps of unknown outcome run again with the same idempotency key. The future is ``False``
        when the invocation is not paused, and raises ``UnknownTargetError`` when there is none, or
        it is completed.
        """
        core = self._core
        core.check_open()
        invocation = core.lifecycle.find(self._id)
        if invocation is None:
            message = f"{self.id} does not exist or is completed"
            return core.answers.when_durable(UnknownTargetError(message))
        is_paused = invocation.record.state is InvocationState.PAUSED
        if is_paused:
            core.attempts.steps.resume(invocation)
            core.lifecycle.resume(invocation)
        return core.answers.when_durable(is_paused)
