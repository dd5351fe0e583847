"""What the ingress needs of the engine behind it, and nothing more.

``runtime.engine.Engine`` is one. The ingress names no other part of the runtime, so it can be
tested against a fake with no store.
"""

from asyncio import Future
from typing import Protocol

from ..objects.errors import TerminalError
from ..objects.identity import AwakeableId
from ..objects.registry import Registry
from ..runtime.requests import Answer, CallRequest


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
