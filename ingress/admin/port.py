"""What the operators' door needs of the engine, besides what the callers' door does."""

from asyncio import Future
from typing import Any, Protocol

from ...runtime.invocation_handle import InvocationHandle
from ...runtime.standing import Standing
from ..port import IngressEngine


class OperatedEngine(IngressEngine, Protocol):
    """An engine whose invocations can be told to end, paused, restarted and forgotten."""

    def invocation(self, invocation_id: str) -> InvocationHandle[Any]:
        """What can be done to one invocation.

        Raises:
            InvalidArgumentError: this is no invocation id.
            RuntimeClosedError: the runtime was not started.
        """
        ...

    def find_standing(self, invocation_id: str) -> Standing:
        """Where an invocation stands in this turn of the loop; it may not be durable yet.

        Raises:
            InvalidArgumentError: this is no invocation id.
            RuntimeClosedError: the runtime was not started.
        """
        ...

    def wait_durable(self) -> Future[None]:
        """A future that is done when all that was decided until now is durable.

        Raises (from the future):
            StoreFailedError: it never will be.
        """
        ...
