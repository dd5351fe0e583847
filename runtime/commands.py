"""The commands of one attempt: matched with its journal or appended to it, and what they wait for.

A command the handler issues is compared with the journal while there is one to follow, and written
to it afterwards, together with whatever of the object's state has changed before it. One that is
answered later is *pending* until its completion is delivered, the handler cancels it, or the
attempt is over.

This module knows the journal, the state and the decisions that commands lead to. It does not know
what the user's verbs are called (``handler_port``), nor when anything runs (``attempt``).
"""

from collections.abc import Container

from ..journal import codec, keys
from ..journal.entry import (
    Cancel,
    Cancellation,
    Command,
    Completion,
    Entry,
    Failure,
    Input,
    Patched,
    Sleep,
)
from ..journal.records import TimerKind
from ..journal.replay import Difference, ReplayCursor
from ..objects.errors import HoldfastError, JournalMismatchError, StepFailedError, TerminalError
from ..objects.identity import AwakeableId, InvocationId
from .cancellation import cancel_callee
from .compensations import Compensations
from .departures import departure_of
from .failures import comes_again, error_of, failure_of
from .handler_loop import HandlerLoop
from .lifecycle import Lifecycle
from .loop_futures import is_shielded
from .misfits import misfit_of_command
from .object_state import ExclusiveState, NoState, SharedState
from .open_invocation import OpenInvocation, Result
from .pending import Awaited, DurableFuture, Pending, find_callees
from .promises import remove_waiter
from .sources import SourceFinder
from .stack_room import check_room
from .steps import Steps
from .told_times import keep_time
from .unwritten import GivenUp, Unwritten, look_at_state
from .withdrawal import close_awakeable


class Commands:
    """What one attempt has issued, and how far it has followed the journal."""

    state: ExclusiveState | SharedState | NoState
    """Set by ``use_state``, before the handler starts."""

    # What few attempts ask for begins here; to read it takes longer than to read what is set below.

    compensations: Compensations | None = None
    """What was registered to be taken back; ``None`` while nothing was."""
    # As `told_times` says.
    told_at = -1
    has_moved: bool | None = None
    last_command = 1, -1
    # A cancellation that came while a section held it back is not applied yet.
    _is_held = False
    # Sections that hold cancellations back and were not left, in all tasks of the handler.
    _shields = 0

    def __init__(
        self,
        invocation: OpenInvocation,
        loop: HandlerLoop,
        *,
        lifecycle: Lifecycle,
        steps: Steps,
        sources: SourceFinder,
    ) -> None:
        """Read what earlier attempts recorded; ``use_state`` before the handler starts."""
        self.invocation = invocation
        self.lifecycle = lifecycle
        self._loop = loop
        self._steps = steps
        self.sources = sources
        self.input, self.cursor = self._read_journal()
        self.now_ms = invocation.record.begun_ms
        """The recorded time of the last delivery, or a later one that was told since."""
        self.fault: HoldfastError | None = None
        """Why the attempt must not go on, although the handler may have caught the exception."""
        self.is_over = False
        """The attempt has ended: nothing issues a command any more."""
        self.pending: dict[int, Pending] = {}
        self.read_from: int | None = None
        """From which command on messages are handed over; ``None``: none has asked for any."""
        self.cancellation: str | None = None
        """Why, once the handler was told to end."""
        self.failing: BaseException | None = None
        """What left a saga although it is no outcome; the attempt must end with it."""
        self.is_compensating = False
        """Whether what is issued takes something back."""
        self.unwritten: Unwritten | None = None
        """What the handler has given up since it last asked for something, or waited."""
        self.is_frozen = False
        """A replay has come to where the handler was given up: what it asks for is not heard."""
        # What the handler gives up now it gives up because it was told to end.
        self._hands_on = False
        # The handler has ended, and what it left behind ends.
        self._is_draining = False
        # Steps that were asked for and wait for the end of replay. Indexes into ``pending``.
        self._unstarted: list[int] = []
        # Numbers of deliveries at which earlier attempts waited and stored changes.
        self._waits: set[int] = set()

    def _read_journal(self) -> tuple[Input, ReplayCursor]:
        invocation = self.invocation
        input_, invocation.input = invocation.input, None
        if input_ is not None and invocation.next_index == 1:
            # Accepted in this process and not begun before: there is nothing else to read.
            return input_, ReplayCursor()
        start, end = keys.prefix_range(keys.JOURNAL + invocation.id)
        entries: list[tuple[int, Entry]] = []
        stored_bytes = 0
        for key, row in self.lifecycle.commits.scan(start, end):
            stored_bytes += len(key) + len(row)
            entries.append((int.from_bytes(key[-4:], "big"), codec.decode_entry(row)))
        invocation.stored_bytes = stored_bytes
        cursor = ReplayCursor(entries, refuse=self._refuse)
        assert cursor.input is not None, "a journal without its input"
        return cursor.input, cursor

    def use_state(self, state: ExclusiveState | SharedState | NoState) -> None:
        """Read and change the object's state through ``state`` from now on."""
        self.state = state
        if isinstance(state, ExclusiveState) and (stored_at := state.stored_at):
            self._waits = self.cursor.waits_at(stored_at)

    # -- Issuing -----------------------------------------------------------------------------

    def follow(self, command: Command, *, is_checked: bool = False) -> tuple[int, Command] | None:
        """The index and the recorded form of ``command``, or ``None``: it is a new one.

        ``is_checked``: the caller has looked what has changed of the state.

        Raises:
            JournalMismatchError: the journal holds another one. The attempt must end.
        """
        if self.fault is not None:
            raise self.fault
        cursor, state = self.cursor, self.state
        if not cursor.has_recorded_commands:
            return None
        if isinstance(state, ExclusiveState) and not is_checked:
            state.check()
        if self.unwritten is not None:
            self.unwritten.check()
        try:
            match = cursor.match(command)
        except JournalMismatchError as error:
            # The handler may catch it, but must not get any further.
            self.fault = error
            raise
        if match is not None:
            if isinstance(state, ExclusiveState):
                state.settle()
            if cursor.gives_up and cursor.is_at_give_up:
                self.is_frozen = self.is_over = True
        return match

    def patched(self, name: str) -> bool:
        """Whether the code behind patch ``name`` runs in this invocation; a new yes is recorded.

        No state is stored with it, and none is taken as stored where it is found again: when the
        code no longer asks for it, no replay comes by that place.

        Raises:
            HoldfastError: the attempt must end.
        """
        if self.fault is not None:
            raise self.fault
        found = self.cursor.find_patch(name)
        if found is None:
            # An earlier attempt that waited here, or further on, and stored what it had changed,
            # has passed this place as well.
            found = all(deliveries < self.cursor.deliveries for deliveries in self._waits)
            self.cursor.patches[name] = found
            if found:
                self.write(Patched(name))
        return found

    def append(self, command: Command) -> int:
        """Write a new command, with whatever has to be stored before it; gives its index."""
        self.save()
        return self.write(command)

    def save(self) -> None:
        """Stage what the handler has changed, or read, and the next command depends on.

        Raises:
            TerminalError, ContextMisuseError: a value cannot be stored; nothing was staged.
        """
        if self.has_moved is not None:
            keep_time(self, waits=False)
        state = self.state
        if isinstance(state, ExclusiveState):
            state.save(self.invocation.next_index)
        elif isinstance(state, SharedState):
            for reads in state.take_reads():
                self.lifecycle.append(self.invocation, codec.encode_reads(reads))
        if self.unwritten is not None:
            self.unwritten.write()

    def write(self, command: Command) -> int:
        """Write a new command after ``save``; gives its index."""
        if self.unwritten is not None:
            self.unwritten.settle()
        return self.lifecycle.append(self.invocation, self.encode(command))

    def encode(self, command: Command) -> bytes:
        """A command as an entry, asked for here and now."""
        source = self.sources.find(self.invocation.handler)
        return codec.encode_command(command, self.cursor.deliveries, source)

    def issue(self, command: Command) -> tuple[int, bool]:
        """The index of ``command``, and whether it is new, so that what it asks for is to be done.

        Raises:
            JournalMismatchError: as ``follow``.
        """
        match = self.follow(command)
        return (self.append(command), True) if match is None else (match[0], False)

    def answer(self, index: int, result: Result | None) -> None:
        """Complete a new command in the decision that issued it."""
        completion = Completion(index, self.lifecycle.clock.now_ms(), result)
        self.lifecycle.append(self.invocation, codec.encode_completion(completion))
        self.cursor.accept(completion)

    def await_completion(self, index: int, pending: Pending) -> DurableFuture:
        """The future that the completion of command ``index`` is delivered to."""
        if pending.plan is not None:
            self._unstarted.append(index)
        return self._make_future(index, pending)

    def _make_future(self, index: int, pending: Pending) -> DurableFuture:
        future = DurableFuture(loop=self._loop)
        future.commands = self
        future.index = index
        pending.future = future
        self.pending[index] = pending
        return future

    def issue_timer(self, due_ms: int) -> tuple[int, Pending]:
        """A Sleep command, new or recorded, that is not pending yet."""
        check_room()
        match = self.follow(command := Sleep(due_ms))
        if match is not None:
            return match[0], Pending(Awaited.TIMER, due_ms=due_ms)
        index = self.append(command)
        self.lifecycle.timers.add(due_ms, self.invocation.id, index, TimerKind.SLEEP)
        return index, Pending(Awaited.TIMER, due_ms=due_ms)

    def cancel(self, index: int) -> None:
        """The handler no longer wants the completion of a command."""
        if self.is_over or index not in self.pending:
            return
        command, fault = Cancel(index), self.fault
        check_room()
        look_at_state(self)
        try:
            match = self.follow(command, is_checked=True)
        except JournalMismatchError as departure:
            if fault is not None:
                raise
            self.fault, self.unwritten = None, Unwritten(self, departure)
            return
        pending = self.pending.pop(index)
        if match is None:
            self.unwritten = self.unwritten or Unwritten(self)
            self.unwritten.add(GivenUp(index, pending, self.encode(command), self._hands_on))

    def hold_view(self) -> None:
        """Others run before the handler goes on: what it reads meanwhile must not change."""
        if isinstance(self.state, SharedState):
            self.state.hold()

    def _refuse(self, difference: Difference) -> JournalMismatchError:
        """The error for a handler that leaves its journal; called where it asks, or waits."""
        return departure_of(difference, self.invocation, self.sources, self._loop, self.now_ms)

    # -- Delivering --------------------------------------------------------------------------

    def deliver_next(self) -> bool:
        """Let the handler, which waits, see the next thing; ``False`` when there is none.

        A completion goes to whoever waits for it, a cancellation to the handler itself.

        Raises:
            JournalMismatchError: the handler waits without having asked for what it once did.
        """
        if self.unwritten is not None:
            self.unwritten.settle()
        if self.has_moved is not None:
            keep_time(self, waits=True)
        self._hands_on = self._is_draining and self.cancellation is not None
        if self.cursor.deliveries in self._waits:
            # An earlier attempt waited here too, and stored what it had changed.
            self._waits.discard(self.cursor.deliveries)
            if isinstance(self.state, ExclusiveState):
                self.state.settle_waiting()
        delivery = self.cursor.next_delivery()
        if delivery is None:
            return False
        self.now_ms = max(self.now_ms, delivery.at_ms)
        if isinstance(delivery, Cancellation):
            self.cancellation = delivery.reason
            if self._shields:
                self._is_held = True
            else:
                self._tell_to_end()
        else:
            self._complete(delivery)
        return True

    def hold_cancellation(self) -> None:
        """A section begins in which the handler is not told to end."""
        self._shields += 1

    def release_cancellation(self) -> bool:
        """Such a section ends; ``True``: the task that left it is told to end at its next await."""
        self._shields -= 1
        if self._shields or not self._is_held:
            return False
        self._is_held = False
        return self._tell_to_end()

    def _tell_to_end(self) -> bool:
        self._hands_on = True
        return self._loop.interrupt(self.cancellation)

    def _complete(self, completion: Completion) -> None:
        pending = self.pending.pop(completion.index, None)
        if pending is None:
            return  # Its waiter is gone; it only takes its place in the order.
        if pending.timer is not None:
            self._loop.fire_timer(pending.timer)
            return
        future, result = pending.future, completion.result
        assert future is not None, "a command without a future"
        if isinstance(result, Failure):
            self._loop.deliver(future, exception=error_of(result))
        elif result is None or pending.result is None:
            self._loop.deliver(future, result=None)
        else:
            try:
                value = pending.result.decode(result)
            except HoldfastError as error:
                # The annotation does not tell the truth about what was recorded. It will say the
                # same on every replay, so trying again would not help.
                kind = StepFailedError if pending.awaited is Awaited.STEP else TerminalError
                told = misfit_of_command(self.lifecycle, self.invocation, completion.index, error)
                self._loop.deliver(future, exception=error_of(failure_of(told, kind)))
            else:
                self._loop.deliver(future, result=value)

    def start_steps(self) -> None:
        """Once replay is over, start the steps that were asked for and are still wanted."""
        if self.cursor.is_replaying:
            return
        for index in self._unstarted:
            pending = self.pending.get(index)
            if pending is None or pending.plan is None or self.is_over:
                continue
            pending.is_started = True
            if pending.is_recorded:
                self._steps.take_up(self.invocation, index, pending.plan)
            else:
                self._steps.begin(self.invocation, index, pending.plan)
        self._unstarted.clear()

    def step_due(self, index: int) -> bool:
        """Begin the next attempt of a step; ``False`` when nobody here waits for it."""
        pending = self.pending.get(index)
        if pending is None or pending.plan is None or not pending.is_started:
            return False
        self._steps.take_up(self.invocation, index, pending.plan)
        return True

    def find_callees(self) -> list[InvocationId] | None:
        """The callees waited for, when nothing but their outcomes can move the handler."""
        return find_callees(self.pending.values())

    def is_outcome(self, error: BaseException) -> bool:
        """Whether the handler ends, or goes on, with ``error`` in every attempt alike.

        What is raised while the handler's remains end changes nothing: it has its outcome.
        """
        return comes_again(error) or self._is_draining

    def leave_handler(self, loop: HandlerLoop, kept: Container[int]) -> None:
        """The handler is over, and ``loop`` is another one: take back what it waits for.

        But for ``kept``, which have new futures now. What it has changed of the object's state
        since its last command is gone, and no cancellation is told to what follows.
        """
        self.is_over = False
        self._loop = loop
        if isinstance(self.state, ExclusiveState):
            self.invocation.stored_bytes += self.state.undo_bytes
        self.state = NoState()
        self._waits = set()
        self.hold_cancellation()
        pending, self.pending = self.pending, {}
        for index, each in pending.items():
            if index in kept:
                self._make_future(index, each)
            else:
                self.withdraw(index, each, hands_on=False)
        self._unstarted = [index for index in self._unstarted if index in self.pending]

    # -- Ending ------------------------------------------------------------------------------

    def save_while_waiting(self) -> None:
        """Let others see what the handler has set before it waits: an awakeable's id, say."""
        if self.cursor.is_replaying or not isinstance(self.state, ExclusiveState):
            return
        try:
            self.state.save_waiting(self.invocation.next_index)
        except HoldfastError:
            return  # The next command, or the end, says it where the handler can see it.

    def save_last(self, *, is_failure: bool) -> None:
        """Stage what has changed, with the outcome.

        A journal that is kept comes with all undo rows of its turn; that of a failure always is.

        Raises:
            TerminalError, ContextMisuseError: a value cannot be stored; nothing was staged.
        """
        state = self.state
        if isinstance(state, ExclusiveState):
            invocation = self.invocation
            has_journal = is_failure or invocation.next_index > 1 or invocation.keeps_journal
            state.save_last(invocation.next_index if has_journal else None)
            invocation.stored_bytes += state.undo_bytes
            invocation.has_no_undo = not state.undo_bytes
        elif isinstance(state, SharedState):
            state.check_unchanged()

    def end(self) -> None:
        """The attempt is over. Steps it asked for and did not come to begin did not happen."""
        self.is_over = True
        for index in self._unstarted:
            pending = self.pending.get(index)
            if pending is not None and not (pending.is_recorded or pending.is_started):
                self._steps.never_began(self.invocation.id, index)

    def drain(self) -> None:
        """The handler has ended; what it left behind is cancelled, and gives up what it waits for.

        Where the handler was told to end, that is why.
        """
        self._is_draining = True
        self._hands_on = self.cancellation is not None
        if self.read_from is not None:
            self.read_from = self.invocation.next_index  # Nobody is left to look at earlier ones.

    def withdraw_all(self) -> None:
        """The invocation ends: nobody wants any completion any more."""
        pending, self.pending = self.pending, {}
        for index, each in pending.items():
            hands_on = self.cancellation is not None and not is_shielded(each.future)
            self.withdraw(index, each, hands_on=hands_on)

    def withdraw(self, index: int, pending: Pending, *, hands_on: bool) -> None:
        """Take back what would bring the completion about.

        ``hands_on``: because the handler was told to end, so that its callees are told as well.
        """
        commits, id_ = self.lifecycle.commits, self.invocation.id
        match pending.awaited:
            case Awaited.STEP:
                self._steps.cancel(id_, index)
            case Awaited.TIMER:
                self.lifecycle.timers.remove(pending.due_ms, id_, index)
            case Awaited.AWAKEABLE:
                close_awakeable(AwakeableId(id_, index), commits, self.lifecycle.timers)
            case Awaited.PROMISE:
                remove_waiter(commits, self.invocation, pending.name, index)
            case Awaited.CALL:
                # Else the callee goes on; only its outcome is no longer wanted here.
                if hands_on:
                    self._cancel_callee(pending.callee)
            case _:
                row = pending.find_row(id_, index)
                if row is not None:
                    commits.delete(row)

    def _cancel_callee(self, callee: InvocationId | None) -> None:
        assert callee is not None, "a call without a callee"
        reason = self.cancellation or ""
        cancel_callee(self.lifecycle, callee, caller=self.invocation, reason=reason)
