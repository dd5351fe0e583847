"""What the ingress needs of the engine behind it, and nothing more.

``runtime.engine.Engine`` is one. The ingress names no other part of the runtime, so it can be
tested against a fake with no store.
"""

from asyncio import Future
from typing import Any, Protocol

from ..objects.awakeable import AwakeableInfo
from ..objects.errors import TerminalError
from ..objects.identity import AwakeableId
from ..objects.registry import Registry
from ..runtime.invocation_handle import InvocationHandle
from ..runtime.promise_handle import PromiseHandle
from ..runtime.requests import Answer, CallRequest, Named
from ..runtime.state_reads import StateDocument, StateQuestion


class IngressEngine(Protocol):
    """Takes calls from outside, and answers once what it answers is durable.

    Cancelling a future it gave stops nothing: the one who asked has stopped listening.
    """

    @property
    def registry(self) -> Registry:
        """The services it runs."""
        ...

    @property
    def health(self) -> str:
        """One word for how it is; new work is welcome where that is ``"ok"``."""
        ...

    @property
    def is_disk_slow(self) -> bool:
        """Whether an fsync takes a tenth of a second or more, now or a moment ago."""
        ...

    @property
    def is_disk_full(self) -> bool:
        """Whether new work is refused for want of disk space."""
        ...

    def now_ms(self) -> int:
        """Milliseconds since 1970.

        Raises:
            RuntimeClosedError, StoreFailedError: it does not run.
        """
        ...

    def submit(self, request: CallRequest, *, wait: bool) -> Future[Answer]:
        """Accept a call.

        The future is done when the acceptance is durable; with ``wait``, when the outcome is.

        Raises:
            UnknownTargetError, InvalidArgumentError, StoreFullError, RuntimeClosedError,
                StoreFailedError: the call was refused and left no trace.

        Raises (from the future):
            MailboxFullError, ConflictError: the call was refused and left no trace.
            RuntimeClosedError, StoreFailedError: it may have been accepted.
        """
        ...

    def read_outcome(self, named: Named, *, wait: bool) -> Future[Answer]:
        """The outcome of an invocation; with ``wait``, once there is one.

        Raises:
            InvalidArgumentError: what is named as a workflow is none.
            UnknownTargetError: there is no such class or handler.
            RuntimeClosedError, StoreFailedError: nothing can be asked now.

        Raises (from the future):
            UnknownTargetError: there is no such invocation, or its result is not kept.
            NotReadyError: it has none, and ``wait`` was not asked for.
            RuntimeClosedError, StoreFailedError: the runtime ended before the invocation did.
        """
        ...

    def look_up(self, named: Named) -> Future[str]:
        """The id of an invocation; raises what ``read_outcome`` raises."""
        ...

    def read_state(self, question: StateQuestion) -> Future[StateDocument]:
        """Tell the state of an object; cancelling the future forgets a caller who waits.

        Raises:
            InvalidArgumentError: the key, or the id of an invocation, cannot be one.
            RuntimeClosedError, StoreFailedError: nothing is told now.

        Raises (from the future):
            NotKeptError, UnknownTargetError, ConflictError, InvalidArgumentError: that past cannot
                be told; see ``Outside.state``.
        """
        ...

    def invocation(self, invocation_id: str) -> InvocationHandle[Any]:
        """What can be asked of one invocation, and done to it; nothing is looked up here."""
        ...

    def promise(self, cls: str, key: str, name: str) -> PromiseHandle[Any]:
        """The promise of a workflow; nothing is looked up here."""
        ...

    def complete_awakeable(
        self, awakeable: AwakeableId, outcome: bytes | TerminalError
    ) -> Future[bool]:
        """Complete an awakeable with a JSON value or a failure; false when it was complete before.

        Raises (from the future):
            InvalidArgumentError: the value does not fit what it is for; it stays open.
            ConflictError: its deadline has passed, or nobody waits for it any more.
            UnknownTargetError: there is no such awakeable.
            RuntimeClosedError, StoreFailedError: it may have been taken.
        """
        ...

    def find_awakeable(self, awakeable: AwakeableId) -> Future[AwakeableInfo | None]:
        """What an open awakeable says of itself; ``None``: it is completed, closed or never was.

        Raises:
            RuntimeClosedError, StoreFailedError: it does not run.
        """
        ...

    def verify_link(self, text: bytes, signature: str) -> bool:
        """Whether it has signed ``text`` as a link.

        Raises:
            RuntimeClosedError, StoreFailedError: it does not run.
        """
        ...
