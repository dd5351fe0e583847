"""What a handler has given up, or was refused, until it is certain that it stays so.

A handler gives things up while an error passes out of it: a task group ends its other tasks, a
timeout its timer. If the error is no outcome, the attempt ends with it and another one is made, in
which the error need not come again. That one must find a journal without anything that came after
the error, or it would have to give up the same things in the same place.

So a cancellation is kept here until something is asked for after it, or the handler waits: then it
is written, in its place, and what would bring the completion about is taken back. An attempt that
fails before writes nothing, and what it gave up is still under way for the next one.

A call that was refused is kept here too, for as long as the error that says so may end the attempt.

The same error may come where an attempt still follows the journal, which then says something else
than that these things were given up. That is no other way for the handler to go, unless it goes on.
"""

from dataclasses import dataclass
from typing import Protocol

from ..journal.entry import Failure
from ..objects.errors import ContextMisuseError, HoldfastError, JournalMismatchError
from .lifecycle import Lifecycle
from .object_state import ExclusiveState, NoState, SharedState
from .open_invocation import OpenInvocation
from .pending import Awaited, Pending
from .signals import stop_waiting


class Issuer(Protocol):
    """The commands of the attempt."""

    lifecycle: Lifecycle
    invocation: OpenInvocation
    state: ExclusiveState | SharedState | NoState
    fault: HoldfastError | None
    failing: BaseException | None
    pending: dict[int, Pending]
    unwritten: "Unwritten | None"

    def save(self) -> None:
        """Stage what has changed, then have ``Unwritten.write`` called."""
        ...

    def withdraw(self, index: int, pending: Pending, *, hands_on: bool) -> None:
        """Take back what would bring a completion about."""
        ...

    def answer(self, index: int, result: Failure) -> None:
        """Complete a new command."""
        ...


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A command whose completion the handler does not want any more."""

    index: int
    pending: Pending
    entry: bytes
    """The cancellation, as of when the handler asked for it."""
    hands_on: bool
    """It was told to end, so its callee is to be told as well."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A call that was refused, and the handler may have caught that: see ``refused_calls``."""

    entry: bytes
    """The command, as of when the handler asked for it."""
    failure: Failure


class Unwritten:
    """The cancellations and refusals of one attempt that are not written, in order.

    ``Issuer.unwritten`` is this for as long as there are any.
    """

    def __init__(self, commands: Issuer, departure: JournalMismatchError | None = None) -> None:
        """Begin for ``commands``; ``departure``: with one that the journal knows nothing of."""
        self._commands = commands
        self._departure = departure
        self._given_up: list[GivenUp | Refused] = []

    def check(self) -> None:
        """The handler goes on.

        Raises:
            JournalMismatchError: it has left its journal before.
        """
        if self._departure is not None:
            self._commands.fault = self._departure
            raise self._departure

    def add(self, given_up: GivenUp | Refused) -> None:
        """The handler has given something up, or was refused it."""
        self._given_up.append(given_up)

    def settle(self) -> None:
        """The handler waits, or has its outcome: save what has changed, and write.

        Raises:
            JournalMismatchError: as ``check``.
        """
        self.check()
        try:
            self._commands.save()
        except HoldfastError:
            # The next command, or the end, says it where the handler can see it.
            self.write()

    def write(self) -> None:
        """It stays given up. What has changed before was stored for the first of them."""
        commands, given_up = self._commands, self._given_up
        commands.unwritten, self._given_up = None, []
        for each in given_up:
            index = commands.lifecycle.append(commands.invocation, each.entry)
            if isinstance(each, Refused):
                commands.answer(index, each.failure)
            elif each.pending.awaited is Awaited.SIGNAL:
                stop_waiting(commands.lifecycle, commands.invocation, each.pending.name, each.index)
            else:
                commands.withdraw(each.index, each.pending, hands_on=each.hands_on)

    def forget(self) -> None:
        """The attempt has failed: all of it is pending, as if nothing had been given up."""
        commands, given_up = self._commands, self._given_up
        commands.unwritten, self._given_up = None, []
        commands.pending.update(
            (each.index, each.pending) for each in given_up if isinstance(each, GivenUp)
        )


def look_at_state(commands: Issuer) -> None:
    """Find what the handler has changed before it gives something up.

    To give up must not fail: asyncio's tasks and timeouts count on it, and a task whose await
    raised instead of ending would go on as if nobody had cancelled it. What cannot be stored is
    said by the next command, or at the end; that a shared handler has changed its copy nothing
    would say any more, so the attempt ends with it.
    """
    try:
        commands.state.check()
    except ContextMisuseError as error:
        commands.failing = commands.failing or error
    except HoldfastError:
        return
