"""What an attempt has registered to be taken back, and taking it back.

A compensation is registered by a command of its own, so a replay registers the same again, and the
function itself needs no record. It is *owed* until its block is left normally or it has run. There
are two ways to run it:

* The block is left by an outcome or a cancellation: it runs in the handler, inside of the block.
  Handler code decides deterministically, so a replay comes here again by itself.
* The attempt fails with an error that is no outcome, and it was the last: the ``GiveUp`` entry says
  what is owed and what the outcome will be. From there on the handler's code is not needed and not
  heard any more, for nothing makes it raise that error again; a replay follows the journal up to
  that entry and goes on with what is owed.

In both, each runs as a step of the invocation, one after the other, last first; one that fails for
good is remembered for the outcome, and the next one runs. A step waits until what was cut off
before it has really ended: a payment that is still under way must not arrive after its refund.

This module knows what is owed and in which order. It writes no row.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..journal.entry import Failure
from ..objects.errors import JournalMismatchError, TerminalError
from ..objects.groups import is_a
from ..objects.saga import NotCompensated
from .failures import describe, error_of
from .pending import DurableFuture

SETTLE = "before compensating"
"""The name of the step that waits for what was cut off, where the call of a handler is first."""

NOT_COMPENSATED = "not_compensated"
"""In the metadata of an outcome: the names of what could not be taken back."""

Begin = Callable[[], Awaitable[Any]]
Start = Callable[[Begin], "asyncio.Future[Any]"]
Interrupted = Callable[[asyncio.CancelledError], Awaitable[None]]
"""Is told of a cancellation of the task that compensates, which is put off once it returns."""


@dataclass(slots=True, eq=False)
class Registered:
    """One compensation."""

    name: str
    begin: Begin
    """Issues the command that takes the effect back."""
    is_call: bool
    """It is the call of another object's handler, and no step."""
    future: "asyncio.Future[Any] | None" = None
    """What is awaited while it runs."""


class Compensations:
    """What one attempt of an invocation has registered, in order."""

    def __init__(self, start: Start, settle: Begin) -> None:
        """Nothing is registered.

        Args:
            start: calls a ``Begin``, so that what it issues is known as a compensation.
            settle: issues a step that does nothing but wait for what was cut off.
        """
        self._start = start
        self._settle = settle
        self._registered: dict[int, Registered] = {}
        # Invariant: a part of the registered ones. The rest was forgotten, or has run.
        self._owed: dict[int, Registered] = {}
        self.failed: list[NotCompensated] = []
        """What could not be taken back, in the order in which that was tried."""

    def add(self, index: int, registered: Registered) -> None:
        """Command ``index`` has registered this one."""
        self._registered[index] = self._owed[index] = registered

    def forget(self, indexes: Sequence[int]) -> None:
        """The effects are to stand."""
        for index in indexes:
            self._owed.pop(index, None)

    @property
    def owed(self) -> tuple[int, ...]:
        """What is to be taken back if nothing else happens, in order."""
        return tuple(self._owed)

    def owe(self, indexes: Sequence[int]) -> None:
        """A ``GiveUp`` says that it is these which are owed, whatever the handler did since."""
        self._owed = {index: self._registered[index] for index in indexes}

    @property
    def running(self) -> dict[int, Registered]:
        """Those owed that have begun, by the index of the command that is awaited."""
        return {
            each.future.index: each
            for each in self._owed.values()
            if isinstance(each.future, DurableFuture)
        }

    async def run(
        self, indexes: Sequence[int], interrupted: Interrupted | None = None
    ) -> tuple[NotCompensated, ...]:
        """Take back what is owed of ``indexes``, last first; gives what could not be.

        A cancellation of the task that calls this does not reach into it; ``interrupted`` is told,
        or nobody, where the handler that it was for is not heard any more.
        """
        entries = [(index, self._owed[index]) for index in indexes if index in self._owed]
        # What an attempt before has begun goes on; the rest waits for it.
        order = [each for each in entries if each[1].future is not None]
        order += [each for each in reversed(entries) if each[1].future is None]
        failed: list[NotCompensated] = []
        is_settled = False
        for index, entry in order:
            if entry.is_call and entry.future is None and not is_settled:
                await _finish(self._start(self._settle), interrupted)
            is_settled = True
            error = await self._take_back(entry, interrupted)
            self._owed.pop(index, None)
            if error is not None:
                failed.append(self._note(entry, error))
        return tuple(failed)

    def fail(self, index: int, failure: Failure) -> None:
        """Command ``index`` ended with ``failure``, and nobody of the handler has heard of it."""
        for each in self._registered.values():
            if isinstance(each.future, DurableFuture) and each.future.index == index:
                self._note(each, error_of(failure))

    def amend(self, failure: Failure) -> Failure:
        """The outcome, with the names of what could not be taken back."""
        if not self.failed:
            return failure
        reasons = ", ".join(f"{each.name} ({each.reason})" for each in self.failed)
        metadata = dict(failure.metadata)
        names = [each.name for each in self.failed]
        if metadata.get(NOT_COMPENSATED):
            # Of an invocation further away, whose failure this is.
            names.insert(0, metadata[NOT_COMPENSATED])
        metadata[NOT_COMPENSATED] = ", ".join(names)
        message = f"{failure.message}; not compensated: {reasons}"
        return replace(failure, message=message, metadata=tuple(metadata.items()))

    async def _take_back(
        self, entry: Registered, interrupted: Interrupted | None
    ) -> BaseException | None:
        if entry.future is None:
            try:
                entry.future = self._start(entry.begin)
            except JournalMismatchError:
                raise  # It ends the attempt.
            except Exception as error:  # noqa: BLE001  # named in the outcome, as if it had failed
                return error
        return await _finish(entry.future, interrupted)

    def _note(self, entry: Registered, error: BaseException) -> NotCompensated:
        type_name = error.type_name if is_a(error, TerminalError) else type(error).__name__
        failed = NotCompensated(entry.name, describe(error, type_name))
        self.failed.append(failed)
        return failed


async def _finish(
    future: "asyncio.Future[Any]", interrupted: Interrupted | None
) -> BaseException | None:
    """Wait for ``future``, however often the task is cancelled; gives its exception."""
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            if interrupted is not None:
                await interrupted(error)
    return future.exception()


class PutOff:
    """Cancellations of the task that compensates, until it has: they are told afterwards.

    Whoever counts cancellations, as ``asyncio.timeout`` does, takes its own back when its block is
    left. What was taken back by the time the task waits for something again concerns nobody: it
    must not reach what comes after that block.
    """

    def __init__(self) -> None:
        """The current task begins to compensate."""
        task = asyncio.current_task()
        assert task is not None, "compensated outside of a task"
        self._task = task
        self._count_before = task.cancelling()
        self.interruptions: list[asyncio.CancelledError] = []

    def tell_again(self) -> None:
        """Have the task cancelled where it waits next, as it was while it compensated."""
        if not self.interruptions:
            return
        # Several may have come as one interruption; one may have been counted before.
        settled = min(self._count_before, self._task.cancelling() - len(self.interruptions))
        # Not at once: a task remembers that it is to be cancelled, whatever is taken back.
        asyncio.get_running_loop().call_soon(self._tell, settled)

    def _tell(self, settled: int) -> None:
        if self._task.cancelling() > settled:
            # It was counted when it came.
            self._task.uncancel()
            self._task.cancel(*self.interruptions[0].args)
