"""A rehearsal: an attempt of which nothing comes but whether the handler follows its journal.

It replays as any other, and stops as soon as every recorded command was issued again, since nothing
after that can differ from what is recorded. So nothing new is ever asked for, no action starts, and
what would be written is forgotten.

It runs handler code, which may hold the thread for ever; nothing here can do anything about that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from ..journal.entry import Command
from ..journal.replay import ReplayCursor
from ..journal.store import StoreView
from ..journal.values import FieldValue
from ..journal.view_store import ViewStore
from ..objects.errors import ContextMisuseError, HoldfastError, JournalMismatchError
from ..objects.identity import InvocationId
from ..objects.mismatch import Mismatch
from .attempt import Attempt
from .commands import Commands
from .commits import Commits
from .failures import describe
from .object_state import ExclusiveState, NoState, SharedState
from .open_invocation import OpenInvocation, Prepared
from .seams import SystemClock, SystemThreads
from .slow_syncs import SlowSyncs
from .sources import find_raise
from .state_table import StateTable


class Verdict(StrEnum):
    """What a rehearsal has shown."""

    SAFE = "safe"
    """The code asks again for everything the journal holds."""
    DIVERGES = "diverges"
    """It asks for something else: the invocation would be paused."""
    UNKNOWN = "unknown"
    """The rehearsal did not get to the end of what is recorded."""


class Obstacle(StrEnum):
    """Why a rehearsal did not get to the end."""

    MISSING = "missing"
    """No class with the handler is served."""
    ARGUMENT = "argument"
    """The recorded argument does not fit the handler."""
    EXCEPTION = "exception"
    """The handler raises something that is no outcome; it would be tried again."""
    STUCK = "stuck"
    """The handler spins without end."""
    BLOCKED = "blocked"
    """The handler holds its thread for longer than was waited for."""
    UNRECORDED = "unrecorded"
    """A shared handler reads something that it did not read then: its value depends on when."""
    DAMAGED = "damaged"
    """A row cannot be read."""


@dataclass(frozen=True, slots=True)
class Found:
    """The verdict of a rehearsal, and what led to it."""

    verdict: Verdict
    mismatch: Mismatch | None = None
    """Where the handler diverges."""
    obstacle: Obstacle | None = None
    """What stood in the way, where the verdict is unknown."""
    reason: str = ""
    """The same as a clause, for people."""


class FollowingCommands(Commands):
    """Follows a journal to its last command and not a step further."""

    has_followed = False
    """Whether all that is recorded was issued again."""

    def follow(self, command: Command, *, is_checked: bool = False) -> tuple[int, Command] | None:
        """As ``Commands.follow``, until nothing is left to be followed.

        Raises:
            ContextMisuseError: nothing is left; the attempt must end.
        """
        match = super().follow(command, is_checked=is_checked)
        if match is None or not self.cursor.has_recorded_commands:
            raise self._stop()
        return match

    def patched(self, name: str) -> bool:
        """As ``Commands.patched``, as far as the journal says it."""
        if self.fault is not None:
            raise self.fault
        found = self.cursor.find_patch(name)
        if found is None:
            raise self._stop()
        return found

    def _stop(self) -> HoldfastError:
        self.has_followed = True
        self.fault = ContextMisuseError(
            "a rehearsal is over when everything recorded was asked for"
        )
        return self.fault


class Rehearsal(Attempt):
    """An attempt that only finds out whether the handler follows its journal."""

    commands_type = FollowingCommands
    _found: Found | None = None

    def run(self) -> Found:
        """Run the handler until it is certain what comes of it; it may block for ever."""
        while self._found is None:
            self.advance(self._parts.clock.monotonic())
        state = self._commands.state
        if isinstance(state, NotingState) and state.unrecorded:
            reason = (
                f"it reads {state.unrecorded[0]}, which it did not read then, and what a shared "
                f"handler reads may be another value each time"
            )
            return Found(Verdict.UNKNOWN, obstacle=Obstacle.UNRECORDED, reason=reason)
        return self._found

    def _begin(self, prepared: Prepared) -> None:
        if self._commands.cursor.has_recorded_commands:
            super()._begin(prepared)
        else:
            self._settle(Found(Verdict.SAFE))

    def _make_state(self) -> ExclusiveState | SharedState | NoState:
        object_ = self.invocation.object_
        if object_ is not None and not self.invocation.record.is_exclusive:
            return NotingState(self._parts.table, object_, self._commands.cursor)
        return super()._make_state()

    def _rest(self) -> None:
        # Whoever waits is stopped by the cursor unless all that is recorded was issued.
        assert self._main is not None, "the handler was not started"
        if self._main.done():
            if self._commands.unwritten is not None:
                self._commands.unwritten.check()
            self._commands.cursor.finish()
        self._settle(Found(Verdict.SAFE))

    def _stop_at(self, fault: HoldfastError) -> None:
        commands = self._commands
        if isinstance(commands, FollowingCommands) and commands.has_followed:
            self._settle(Found(Verdict.SAFE))
        elif isinstance(fault, JournalMismatchError):
            self._settle(Found(Verdict.DIVERGES, mismatch=fault.mismatch, reason=fault.message))
        else:
            self._settle(Found(Verdict.UNKNOWN, obstacle=Obstacle.EXCEPTION, reason=fault.message))

    def _fail_attempt(self, error: BaseException) -> None:
        if self._main is None:
            obstacle, reason = Obstacle.ARGUMENT, describe(error)
        else:
            place, index = find_raise(error), self._commands.cursor.next_recorded
            at = f" at {place}" if place else ""
            obstacle = Obstacle.EXCEPTION
            reason = f"it raises {describe(error)}{at} before it comes to entry {index}"
        self._settle(Found(Verdict.UNKNOWN, obstacle=obstacle, reason=reason))

    def _fail_stuck(self, reason: str) -> None:
        self._settle(Found(Verdict.UNKNOWN, obstacle=Obstacle.STUCK, reason=reason))

    def _settle(self, found: Found) -> None:
        self._found = found
        self.drop()


class NotingState(SharedState):
    """Notes what is read although the journal goes on and does not hold it."""

    def __init__(self, table: StateTable, object_: bytes, cursor: ReplayCursor) -> None:
        """As ``SharedState``."""
        super().__init__(table, object_, cursor)
        self.unrecorded: list[str] = []

    def _keep(self, name: str, rows: Mapping[bytes, bytes]) -> None:
        super()._keep(name, rows)
        if self._cursor.has_recorded_commands:
            self.unrecorded.append(
                f"the state field {name!r}" if name else "the names of its state"
            )


class ShutCommits(Commits):
    """What is decided is seen by whoever decides further, is written nowhere and has no effect."""

    def __init__(self, view: StoreView) -> None:
        """Decide on top of what ``view`` shows."""
        super().__init__(
            ViewStore(view),
            SystemThreads(),
            sync_inline=True,
            slow_syncs=SlowSyncs(SystemClock()),
            request_turn=_do_nothing,
            fail=_do_nothing_about,
        )

    def when_durable(self, effect: Callable[[], None]) -> None:
        """Nothing becomes durable."""

    def write(self) -> None:
        """Nothing is written."""

    def forget(self) -> None:
        """Undo all that was decided."""
        self._pending.clear()
        self._new.clear()


class EmptyHost:
    """Runs nothing and keeps nothing; ``Host``, ``AttemptHost`` and ``Owner`` of a rehearsal."""

    def start(self, invocation: OpenInvocation) -> bool:
        """As ``Host.start``."""
        del invocation
        return True

    def step_due(self, invocation: OpenInvocation, index: int) -> None:
        """As ``Host.step_due``."""

    def has_arrived(self, id_: InvocationId) -> None:
        """As ``Host.has_arrived``."""

    def ready(self, attempt: Attempt) -> None:
        """As ``AttemptHost.ready``: ``Rehearsal.run`` goes on anyway."""

    def idle(self, attempt: Attempt) -> None:
        """As ``AttemptHost.idle``."""

    def replay(self, attempt: Attempt) -> None:
        """As ``AttemptHost.replay``."""

    def left(self, attempt: Attempt) -> None:
        """As ``AttemptHost.left``."""

    def take_values(self, object_: bytes) -> dict[str, FieldValue] | None:  # noqa: ARG002  # a port
        """As ``AttemptHost.take_values``."""
        return None

    def keep_values(self, object_: bytes, values: dict[str, FieldValue]) -> None:
        """As ``AttemptHost.keep_values``."""

    def steps_changed(self, invocation_id: InvocationId) -> None:
        """As ``Owner.steps_changed``."""

    def pause(self, invocation: OpenInvocation, reason: str) -> None:
        """As ``Owner.pause``."""


def _do_nothing() -> None:
    pass


def _do_nothing_about(_: BaseException) -> None:
    pass
