"""What a door asks of a runtime and a program does not: answers as bytes, not as values.

``outside`` is the same for programs. Decided and read elsewhere; this is where it is let in.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from ..objects.awakeable import AwakeableInfo
from ..objects.identity import AwakeableId, parse_invocation_id
from .admission import Admission
from .awakeables import find_awakeable
from .core import Core
from .outcome_reads import look_up, read_outcome
from .requests import Answer, Named
from .standing import Standing, find_standing
from .state_edits import EditRequest, submit_edit
from .state_reads import StateDocument, StateQuestion
from .views.rows import Rows

T = TypeVar("T")


class ForDoors:
    """A runtime as a door sees it, beside what programs see; ``Engine`` is the one there is."""

    # Made when the runtime starts.
    _core: Core
    _admission: Admission

    def _check_open(self) -> None:
        """Raise when nothing is accepted now, or when a handler calls from inside."""
        raise NotImplementedError

    def now_ms(self) -> int:
        """Milliseconds since 1970, by the clock that this runtime goes by.

        Raises:
            RuntimeClosedError, StoreFailedError: nothing is accepted now.
            ForbiddenInHandlerError: called by a handler, which has ``ctx.now()`` for that.
        """
        self._check_open()
        return self._core.clock.now_ms()

    def find_awakeable(self, awakeable: AwakeableId) -> "asyncio.Future[AwakeableInfo | None]":
        """What an open awakeable says of itself; ``None``: it is completed, closed or never was."""
        self._check_open()
        core = self._core
        return core.answers.when_durable(find_awakeable(core.commits, awakeable))

    def verify_link(self, text: bytes, signature: str) -> bool:
        """Whether this runtime has signed ``text`` as a link, by a key that is not revoked."""
        self._check_open()
        return self._core.lifecycle.links.verify(text, signature)

    def read_state(self, question: StateQuestion) -> "asyncio.Future[StateDocument]":
        """As ``state`` or ``wait_state``, for callers who read JSON; raises what these raise."""
        self._check_open()
        return self._core.states.read_document(question)

    def read_outcome(self, named: Named, *, wait: bool) -> "asyncio.Future[Answer]":
        """The outcome of an invocation, for callers who read bytes.

        The future is done when there is one and it is durable. Without ``wait`` it raises
        ``NotReadyError`` where there is none yet; ``UnknownTargetError`` where there is no such
        invocation, it was kept long enough, or its result was not kept.

        Raises:
            InvalidArgumentError: what is named as a workflow is none.
            UnknownTargetError: there is no such class or handler.
        """
        self._check_open()
        return read_outcome(self._core, named, wait=wait)

    def look_up(self, named: Named) -> "asyncio.Future[str]":
        """The id of an invocation; raises what ``read_outcome`` raises."""
        self._check_open()
        return look_up(self._core, named)

    def edit_state(self, request: EditRequest) -> "asyncio.Future[Answer]":
        """Accept an edit of an object's state; the future is done when that is durable.

        Raises:
            as ``submit_edit``.
        """
        self._check_open()
        return submit_edit(self._core, self._admission, request, wait=False)

    def find_standing(self, invocation_id: str) -> Standing:
        """Where an invocation stands in this turn of the loop; it may not be durable yet.

        Raises:
            InvalidArgumentError: this is no invocation id.
            RuntimeClosedError: the runtime is not open.
        """
        id_ = parse_invocation_id(invocation_id)
        self._check_open()
        return find_standing(self._core, id_)

    def wait_durable(self) -> "asyncio.Future[None]":
        """A future that is done when all that was decided until now is durable."""
        self._check_open()
        return self._core.answers.when_durable(None)

    async def look(self, read: Callable[[Rows], T]) -> T:
        """What ``read`` finds in the rows of now, called in another thread.

        When this returns, all that the rows showed is durable. Cancelled, or when the runtime
        stops, ``read`` gets a ``StoreFailedError`` at its next row.

        Raises:
            RuntimeClosedError, StoreFailedError: nothing is answered now.
        """
        self._check_open()
        return await self._core.looks.look(self._core, read)
