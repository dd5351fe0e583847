"""What the operators' door needs of the engine, besides what the callers' door does."""

from asyncio import Future
from typing import Any, Protocol

from ...runtime.config import RuntimeConfig
from ...runtime.invocation_handle import InvocationHandle
from ...runtime.requests import Answer
from ...runtime.standing import Standing
from ...runtime.state_edits import EditRequest
from ..port import IngressEngine
from ..sql.port import QueryEngine


class OperatedEngine(IngressEngine, QueryEngine, Protocol):
    """An engine whose invocations can be told to end, paused, restarted and forgotten."""

    @property
    def config(self) -> RuntimeConfig:
        """Its limits and times."""
        ...

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

    def edit_state(self, request: EditRequest) -> Future[Answer]:
        """Accept an edit of an object's state; the future is done when that is durable.

        Raises:
            UnknownTargetError, InvalidArgumentError, ConflictError, StoreFullError: it was refused
                and left no trace; so also ``MailboxFullError``, from the future.
        """
        ...

    def wait_durable(self) -> Future[None]:
        """A future that is done when all that was decided until now is durable.

        Raises (from the future):
            StoreFailedError: it never will be.
        """
        ...
