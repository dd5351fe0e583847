"""One pass over what an invocation recorded: what matches, what comes next, what is missing.

Pure: it compares entries with entries and knows no store, loop or handler, nor the words for what
it finds. The attempt asks it about each command the handler issues and for each completion to
deliver; where the recorded part ends, there is nothing left to check.

The rules, which together make the order of everything the handler saw the same again:

* a command is compared with the next recorded one, circumstances included (how many completions
  had been delivered);
* a completion is delivered only when every command that was issued before it was issued again;
* when the handler ends or waits and nothing is left to deliver, no recorded command may be left.

Patches are the exception, so that they may come and go (``find_patch``): nothing is compared with a
recorded ``Patched``, and one that the code does not ask for any more is stepped over.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from ..objects.errors import JournalMismatchError
from .entry import (
    Cancellation,
    Command,
    Compensation,
    Completion,
    Delivery,
    Entry,
    Failure,
    GiveUp,
    Input,
    Issued,
    Patched,
    Reads,
    Told,
)

LATER_COMMANDS_MAX = 1_000
"""Commands that a difference shows of what the journal holds further on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Where a handler left its journal, as entries."""

    index: int
    recorded: Issued
    """The first recorded command that was not issued again."""
    attempted: Command | None
    """What the handler asks for instead; ``None``: it waits or has ended."""
    deliveries: int
    """How many completions it has been given."""
    has_ended: bool
    has_undelivered: bool
    """Whether a completion is left that it has not been given."""
    later: tuple[tuple[int, Issued], ...]
    """The recorded commands after that one, up to a bound."""


Refuse = Callable[[Difference], JournalMismatchError]
"""Puts a difference into words."""


def _refuse_plainly(difference: Difference) -> JournalMismatchError:
    return JournalMismatchError(f"entry {difference.index} is not what the handler asks for")


class ReplayCursor:
    """The recorded part of one journal, and how far the current attempt has followed it."""

    # What a call without a journal never changes begins here.

    input: Input | None = None
    gives_up = False
    """Whether the journal says that the handler was given up."""
    times: Mapping[int, int] = {}
    """By the number of deliveries before: the time that the handler was told then, where that was
    later than any delivery's."""
    # Commands whose completion is in the recorded part.
    _answered: Container[int] = ()
    # Where the completions of the recorded part stand, in order.
    _completion_indexes: Sequence[int] = ()

    def __init__(
        self, entries: Iterable[tuple[int, Entry]] = (), *, refuse: Refuse = _refuse_plainly
    ) -> None:
        """Start at the beginning.

        Args:
            entries: with their indexes, in journal order.
            refuse: makes the error to raise where the handler leaves the journal.
        """
        self._refuse = refuse
        # Commands not issued again yet, in order.
        self._recorded: deque[tuple[int, Issued]] = deque()
        # Deliveries that are still to be made, recorded or accepted since, in order.
        self._undelivered: deque[Delivery] = deque()
        # Completions of the recorded part that are still to be delivered: the log is silent and
        # no action starts before the last of them.
        self._recorded_deliveries = 0
        self.deliveries = 0
        """How many completions the handler has been given."""
        self.reads: dict[int, Reads] = {}
        """What a shared handler read, by the number of deliveries before."""
        self.patches: dict[str, bool] = {}
        """By id: whether the code behind a patch runs in this attempt."""
        if entries:
            self._read(entries)

    def _read(self, entries: Iterable[tuple[int, Entry]]) -> None:
        answered: set[int] = set()
        completion_indexes: list[int] = []
        times: dict[int, int] = {}
        for index, entry in entries:
            match entry:
                case Issued():
                    self._recorded.append((index, entry))
                    self.gives_up |= isinstance(entry.command, GiveUp)
                case Completion():
                    self._undelivered.append(entry)
                    answered.add(entry.index)
                    completion_indexes.append(index)
                case Cancellation():
                    self._undelivered.append(entry)
                    completion_indexes.append(index)
                case Reads():
                    self._add_reads(entry)
                case Told():
                    times[entry.deliveries] = entry.at_ms
                case Input():
                    self.input = entry
        self._answered, self._completion_indexes = answered, completion_indexes
        self.times = times
        self._recorded_deliveries = len(self._undelivered)

    @property
    def is_replaying(self) -> bool:
        """Whether anything recorded is still to be followed."""
        return bool(self._recorded) or self._recorded_deliveries > 0

    @property
    def has_recorded_commands(self) -> bool:
        """Whether the journal holds commands that this attempt has not issued yet."""
        return bool(self._recorded)

    @property
    def next_recorded(self) -> int | None:
        """The index of the first command that was not issued again; ``None``: all were."""
        return self._recorded[0][0] if self._recorded else None

    @property
    def is_at_give_up(self) -> bool:
        """Whether everything before a recorded ``GiveUp`` was issued again, and it is next."""
        for _, issued in self._recorded:
            if type(issued.command) is not Patched:
                return type(issued.command) is GiveUp
        return False

    def take_give_up(self) -> tuple[GiveUp, list[Delivery]]:
        """The recorded ``GiveUp``, which is next, and what had been delivered before it."""
        _, issued = self._recorded.popleft()
        while isinstance(issued.command, Patched):
            _, issued = self._recorded.popleft()
        assert isinstance(issued.command, GiveUp), "gave up where nothing of it was recorded"
        skipped: list[Delivery] = []
        while self.deliveries < issued.deliveries:
            skipped.append(self._undelivered.popleft())
            self.deliveries += 1
            self._recorded_deliveries -= 1
        return issued.command, skipped

    def find_unreached(self) -> list[str]:
        """What the journal holds of compensations further on, if this pass ends here."""
        commands = [issued.command for _, issued in self._recorded]
        names = [repr(each.name) for each in commands if isinstance(each, Compensation)]
        has_begun = any(isinstance(each, GiveUp) for each in commands)
        return [*names, "what has begun to be compensated"] if has_begun else names

    def find_recorded_cancellation(self) -> str | None:
        """The reason of a cancellation that was there from the start and was not delivered."""
        for delivery in islice(self._undelivered, self._recorded_deliveries):
            if isinstance(delivery, Cancellation):
                return delivery.reason
        return None

    @property
    def has_undelivered(self) -> bool:
        """Whether a completion waits to be delivered."""
        return bool(self._undelivered)

    @property
    def has_new_cancellation(self) -> bool:
        """Whether a cancellation that came after the journal was read waits to be delivered."""
        new = islice(self._undelivered, self._recorded_deliveries, None)
        return any(isinstance(delivery, Cancellation) for delivery in new)

    def waits_at(self, indexes: Iterable[int]) -> set[int]:
        """How many completions had been delivered when the journal ended at each of ``indexes``.

        Indexes of recorded commands are left out: the handler did not wait there. To be asked
        before the first command is matched.
        """
        commands = {index for index, _ in self._recorded}
        return {
            bisect_left(self._completion_indexes, index)
            for index in indexes
            if index not in commands
        }

    def match(self, command: Command) -> tuple[int, Command] | None:
        """The index and the recorded form of ``command``, or ``None`` when it is a new one.

        Raises:
            JournalMismatchError: the journal holds another command here. The cursor did not move.
        """
        recorded_commands = self._recorded
        if not recorded_commands:
            return None
        index, issued = recorded_commands[0]
        if type(issued.command) is Patched:
            return self._match_behind_patches(command)
        if issued.command == command and issued.deliveries == self.deliveries:
            recorded_commands.popleft()
            return index, issued.command
        raise self._mismatch(command)

    def find_patch(self, name: str) -> bool | None:
        """Whether the code behind patch ``name`` runs; ``None``: nothing recorded says so.

        One answer holds for the whole attempt, with one exception: a recorded ``Patched`` that is
        reached makes it true. Patches recorded one after the other were asked for between the same
        two commands, in whatever order the code has them now.
        """
        if self.patches.get(name):
            return True
        for place, (_, issued) in enumerate(self._recorded):
            if not isinstance(issued.command, Patched):
                break
            if issued.command.name == name:
                del self._recorded[place]
                self.patches[name] = True
                return True
        if self._recorded:
            # The journal passed this place without it.
            self.patches[name] = False
        return self.patches.get(name)

    def is_answered(self, index: int) -> bool:
        """Whether the recorded part holds the completion of command ``index``, still undelivered.

        Its action need not be looked at then.
        """
        return index in self._answered

    def find_answer(self, index: int) -> bytes | Failure | None:
        """What command ``index`` was answered with, where that is still undelivered."""
        for each in self._undelivered:
            if isinstance(each, Completion) and each.index == index:
                return each.result
        return None

    def accept(self, delivery: Delivery) -> None:
        """Queue a completion or a cancellation that was written to the journal now."""
        self._undelivered.append(delivery)

    def next_delivery(self) -> Delivery | None:
        """The next thing to deliver, or ``None``: the handler is at quiescence.

        Raises:
            JournalMismatchError: the handler waits, but recorded commands were not issued again.
        """
        while self._recorded and (
            not self._undelivered or self._recorded[0][1].deliveries <= self.deliveries
        ):
            if not self._step_over_patch():
                raise self._mismatch(None)
        if not self._undelivered:
            return None
        self.deliveries += 1
        if self._recorded_deliveries:
            self._recorded_deliveries -= 1
        return self._undelivered.popleft()

    def finish(self) -> None:
        """Check that the handler, which has ended, issued everything the journal holds.

        Raises:
            JournalMismatchError: it did not.
        """
        while self._recorded:
            if not self._step_over_patch():
                raise self._mismatch(None, has_ended=True)

    def _step_over_patch(self) -> bool:
        """Leave behind a patch that the code does not ask for here; ``False``: it is none."""
        command = self._recorded[0][1].command
        if not isinstance(command, Patched):
            return False
        # Should it be asked for later, what is recorded went through the code behind it.
        self.patches[command.name] = True
        self._recorded.popleft()
        return True

    def _match_behind_patches(self, command: Command) -> tuple[int, Command] | None:
        """As ``match``, where the journal goes on with patches that were not asked for."""
        stepped_over = deque[tuple[int, Issued]]()
        while self._recorded and isinstance(self._recorded[0][1].command, Patched):
            stepped_over.append(self._recorded.popleft())
        try:
            match = self.match(command)
        except JournalMismatchError:
            self._recorded.extendleft(reversed(stepped_over))
            raise
        for _, issued in stepped_over:
            assert isinstance(issued.command, Patched), "stepped over something else"
            self.patches[issued.command.name] = True
        return match

    def _add_reads(self, reads: Reads) -> None:
        earlier = self.reads.get(reads.deliveries)
        if earlier is not None:
            reads = Reads(reads.deliveries, {**earlier.fields, **reads.fields})
        self.reads[reads.deliveries] = reads

    def _mismatch(
        self, attempted: Command | None, *, has_ended: bool = False
    ) -> JournalMismatchError:
        index, recorded = self._recorded[0]
        difference = Difference(
            index=index,
            recorded=recorded,
            attempted=attempted,
            deliveries=self.deliveries,
            has_ended=has_ended,
            has_undelivered=bool(self._undelivered),
            later=tuple(islice(self._recorded, 1, 1 + LATER_COMMANDS_MAX)),
        )
        return self._refuse(difference)
