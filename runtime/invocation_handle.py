"""What a person, or a program outside, can do to one invocation, by its id."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from ..journal.entry import Failure
from ..objects.errors import (
    HoldfastError,
    InvalidArgumentError,
    MailboxFullError,
    NotReadyError,
    TerminalError,
    UnknownTargetError,
)
from ..objects.handler import Handler
from ..objects.identity import InvocationId, Target, check_label, format_invocation_id
from ..objects.misfits import misfit_of_call
from ..objects.serde import SENT_JSON, json_serde
from .attachments import describe_lost, describe_unknown
from .cancellation import cancel, check_reason
from .control import check_known, kill, pause, resume
from .core import Core
from .effects import EffectPage, read_effects
from .failures import error_of, failure_of
from .invocation_info import InvocationInfo, describe_invocation
from .journal_pages import JournalPage, read_page
from .open_invocation import Result
from .purging import purge, purge_journal
from .requests import Answer
from .restarts import restart_as_new
from .rewinds import restart_from
from .signals import is_full, send_signal
from .stack_room import check_room
from .steering import decode_result

R_co = TypeVar("R_co", covariant=True)

_ANY_JSON: Final = json_serde(Any)


class InvocationHandle(Generic[R_co]):
    """One invocation, named by its id; ``runtime.invocation(id)`` makes these.

    Every method is a decision that is taken when it is called; its future is done once that is
    durable. Whether there is such an invocation is found out by the method.
    """

    def __init__(
        self, core: Core, id_: InvocationId, handler: Handler[..., R_co] | None = None
    ) -> None:
        """``Outside.invocation`` makes these."""
        self._core = core
        self._id = id_
        self._handler = handler

    @property
    def id(self) -> str:
        """``inv_`` and 32 hex digits."""
        return format_invocation_id(self._id)

    async def attach(self) -> R_co:
        """Wait for its outcome, however long it takes: what a call of it would have given.

        Whoever stops waiting stops nothing. Of a message that a turn has read (``mode="steer"``) it
        is ``None``, for its handler never ran.

        Raises:
            TerminalError: it failed.
            UnknownTargetError: there is no such invocation, it was kept long enough, or its result
                was not kept.
            InvalidArgumentError: it is a call of another handler than the one that was named, or
                its result is not what that handler's annotation says.
        """
        core = self._core
        core.check_open()
        invocation = core.lifecycle.find(self._id)
        if invocation is None:
            return await self._completed()
        target = invocation.record.target
        self._check(target)
        answer = await core.answers.with_outcome(self._id, Answer(invocation_id=self.id))
        assert answer.outcome is not None, "an outcome was told without one"
        return self._decoded(target, answer.outcome)

    async def output(self) -> R_co:
        """Its outcome, if it has one: as ``attach``, but without waiting for it.

        Raises:
            NotReadyError: it is not completed.
        """
        core = self._core
        core.check_open()
        invocation = core.lifecycle.find(self._id)
        if invocation is None:
            return await self._completed()
        message = f"{invocation.name} is not completed"
        await core.answers.when_durable(NotReadyError(message))
        raise AssertionError(message)

    def describe(self) -> "asyncio.Future[InvocationInfo]":
        """What is known of it now.

        The future raises ``UnknownTargetError`` when there is no such invocation, or it was kept
        long enough.
        """
        core = self._core
        core.check_open()
        info = describe_invocation(core.lifecycle, self._id)
        unknown = UnknownTargetError(describe_unknown(self._id))
        return core.answers.when_durable(unknown if info is None else info)

    async def effects(self, *, after: int = -1, limit: int = 100) -> EffectPage:
        """Its steps in the order of asking, and what is known of what each did outside.

        It says what to look up, and by which idempotency key, where an outcome is unknown. A long
        journal is read in slices between which others have their turn.

        Args:
            after: ``next`` of the page before.
            limit: how many a page has at most, up to 1,000.

        Raises:
            InvalidArgumentError: a page cannot have that many, or there is no such entry.
            UnknownTargetError: there is no such invocation.
            NotKeptError: it is completed, and its journal is not kept.
        """
        self._core.check_open()
        return await read_effects(self._core, self._id, after, limit)

    async def journal(self, *, after: int = -1, limit: int = 100) -> JournalPage:
        """What it has recorded, entry by entry: where ``restart(from_entry=)`` can begin.

        Values are not part of it. A long journal is read in slices between which others have their
        turn.

        Args:
            after: ``next`` of the page before; by default it begins with entry 0, the input.
            limit: how many a page has at most, up to 1,000.

        Raises:
            InvalidArgumentError: a page cannot have that many, or there is no such entry.
            UnknownTargetError: there is no such invocation.
            NotKeptError: it is completed, and its journal is not kept.
        """
        self._core.check_open()
        return await read_page(self._core, self._id, after, limit)

    def cancel(self, reason: str = "") -> "asyncio.Future[bool]":
        """Tell it to end, so that it can clean up first.

        A handler that has begun gets ``asyncio.CancelledError``, with ``reason`` as its message, in
        its current ``await``; so does, in the same turn, the action that it waits for, and the
        handler of every call that it waits for. What ends with that exception has the outcome
        ``CanceledError``; a handler that catches it has the outcome that it then makes. One that
        has not begun runs nothing, and one that is paused runs again to clean up.

        The future is done when that is on disk, not when the handler has ended; it is ``False``
        when the invocation was told before, or is over. It raises ``UnknownTargetError`` when there
        is no such invocation.

        Raises:
            InvalidArgumentError: ``reason`` is no text.
        """
        reason = check_reason(reason)
        core = self._core

        def decide() -> bool:
            if core.lifecycle.find(self._id) is None:
                check_known(core, self._id)
            return cancel(core.lifecycle, self._id, reason)

        return self._decide(decide)

    def kill(self, reason: str = "") -> "asyncio.Future[bool]":
        """End it now, and all calls that it waits for, without any clean-up.

        Its key is free at once. An action that runs is told to end, but nobody waits until it does,
        and what it returns is not recorded: a later turn at the key may run beside it. The outcome
        is ``CanceledError``. State that the handler changed after its last command is lost.

        The future is ``False`` when the invocation is over. It raises ``UnknownTargetError`` when
        there is no such invocation.

        Raises:
            InvalidArgumentError: ``reason`` is no text.
        """
        reason = check_reason(reason)
        return self._decide(lambda: kill(self._core, self._id, reason))

    def pause(self) -> "asyncio.Future[bool]":
        """Stop it where it is, until ``resume``; it keeps its turn.

        Actions that run go on, and their results are recorded for the handler to find. The future
        is ``False`` when it is paused already. It raises ``ConflictError`` when it has not begun,
        and ``UnknownTargetError`` when there is none, or it is completed.
        """
        return self._decide(lambda: pause(self._core, self._id))

    def resume(self) -> "asyncio.Future[bool]":
        """Have it tried again now, its counters at zero, when it is paused or failed lately.

        Steps of unknown outcome run again with the same idempotency key. The future is ``False``
        when it is neither paused nor waits for its next attempt, or that of a step. It raises
        ``UnknownTargetError`` when there is none, or it is completed.
        """
        return self._decide(lambda: resume(self._core, self._id))

    def restart(
        self, *, from_entry: int | None = None, fork: str | None = None
    ) -> "asyncio.Future[str]":
        """Run a completed one once more, as a new invocation; gives the id of that.

        Without ``from_entry`` it begins anew, with the same argument and headers: a call like any
        other, with its place in the mailbox and the state as that then is. Its steps are new ones
        with new idempotency keys, so what they do outside is done again.

        Args:
            from_entry: begin with the entries of its journal before this one, and, of an exclusive
                handler, with the state as it was there. What these recorded is not done again:
                results, the time, random numbers. What had no answer there is asked for again:
                steps run, as new ones; awakeables are open, under new ids; calls are made, as new
                invocations; sleeps keep their due time. It has the turn at once, so its key must
                be free, and nobody must have changed the state since.
            fork: with ``from_entry``, the key of a new object that is given that state, instead.

        The future raises ``ConflictError`` when the invocation is not completed, or is the ``run``
        of a workflow; when its key is in use, or its state was changed since; when the new key has
        been used. It raises ``NotKeptError`` when its input or its journal is not kept (one that
        succeeded without steps keeps neither), ``UnknownTargetError`` when there is none or its
        class is not served, ``InvalidArgumentError`` when there is no such entry or the argument
        does not fit the handler any more, and what a new call may raise. Nothing was changed then.

        Raises:
            InvalidArgumentError: ``fork`` without ``from_entry``.
        """
        if from_entry is None:
            if fork is not None:
                message = "fork= needs from_entry=: a call that begins anew begins at its own key"
                raise InvalidArgumentError(message)
            return self._decide(lambda: format_invocation_id(restart_as_new(self._core, self._id)))
        return self._decide(
            lambda: format_invocation_id(restart_from(self._core, self._id, from_entry, fork))
        )

    def purge(self) -> "asyncio.Future[None]":
        """Forget it, now that it is completed: outcome, journal, idempotency key.

        Of the ``run`` of a workflow, the workflow goes: its state and its promises too, and its key
        can be used again. The state of an object stays; only how it was before the call does not.
        Once the future is done nobody finds the invocation any more, and a call with its
        idempotency key is a new one. Rows of a long journal may still be deleted in the background.

        The future raises ``ConflictError`` when the invocation is not completed, and
        ``UnknownTargetError`` when there is none.
        """
        return self._decide(lambda: purge(self._core, self._id))

    def purge_journal(self) -> "asyncio.Future[bool]":
        """Forget how it came to its outcome, and keep that: it still answers a repeated call.

        The future is ``False`` when no journal is kept: it had no steps, or it was kept long
        enough. It raises ``ConflictError`` when the invocation is not completed, and
        ``UnknownTargetError`` when there is none.
        """
        return self._decide(lambda: purge_journal(self._core, self._id))

    def signal(self, name: str, value: Any = None) -> "asyncio.Future[None]":
        """Send it a signal, which its handler gets from ``ctx.signal(name)``; order is kept.

        Raises:
            InvalidArgumentError: that is no name, or the value cannot be encoded.
            UnknownTargetError: (from the future) there is no such invocation, or it is completed.
            MailboxFullError: (from the future) too many signals wait there to be awaited.
        """
        return self.deliver_signal(name, SENT_JSON.encode(value))

    def reject_signal(self, name: str, reason: str | TerminalError) -> "asyncio.Future[None]":
        """As ``signal``, but whoever awaits it gets a ``TerminalError``."""
        error = reason if isinstance(reason, TerminalError) else TerminalError(reason)
        return self.deliver_signal(name, error)

    def deliver_signal(self, name: str, outcome: bytes | TerminalError) -> "asyncio.Future[None]":
        """As ``signal`` with a value that is JSON already, or as ``reject_signal``."""
        result: Result = failure_of(outcome) if isinstance(outcome, TerminalError) else outcome
        core, id_, checked = self._core, self._id, check_label(name, "signal")

        def decide() -> None:
            maximum = core.config.signals_max
            if is_full(core.commits, id_, checked, maximum):
                message = f"{self.id} has {maximum} signals waiting, which is its limit; try later"
                raise MailboxFullError(message)
            if not send_signal(core.lifecycle, id_, checked, result):
                message = f"{self.id} does not exist or is completed"
                raise UnknownTargetError(message)

        return self._decide(decide)

    async def _completed(self) -> R_co:
        core = self._core
        outcome = core.lifecycle.outcomes.find(self._id)
        if outcome is None:
            await core.answers.when_durable(UnknownTargetError(describe_unknown(self._id)))
        assert outcome is not None, "refused, and went on"
        if outcome.result is None:
            await core.answers.when_durable(UnknownTargetError(describe_lost(self._id)))
        assert outcome.result is not None, "refused, and went on"
        self._check(outcome.target)
        failure = error_of(outcome.result) if isinstance(outcome.result, Failure) else None
        await core.answers.when_durable(failure)
        assert not isinstance(outcome.result, Failure), "failed, and went on"
        return self._decoded(outcome.target, outcome.result)

    def _check(self, target: Target) -> None:
        """Look whether this is a call of the handler that was named, if one was."""
        named = self._handler
        if named is None:
            return
        served = self._core.registry.find_code(target)[1]
        if target.handler != named.name or (
            served is not None and served.function is not named.function
        ):
            message = f"{self.id} is a call of {target}, not of {named!r}"
            raise InvalidArgumentError(message)

    def _decoded(self, target: Target, outcome: bytes | TerminalError) -> R_co:
        if isinstance(outcome, TerminalError):
            raise outcome
        served = self._core.registry.find_code(target)[1]
        # Without its class, the result is whatever its JSON says.
        serde = _ANY_JSON if served is None else served.result
        try:
            value: R_co = decode_result(serde, outcome)
        except InvalidArgumentError as error:
            raise misfit_of_call(target, error) from None
        return value

    def _decide(self, decision: Callable[[], Any]) -> "asyncio.Future[Any]":
        """Take a decision now; its answer, or its refusal, comes once that is durable."""
        core = self._core
        core.check_open()
        check_room()
        try:
            answer: Any = decision()
        except HoldfastError as error:
            answer = error
        return core.answers.when_durable(answer)
