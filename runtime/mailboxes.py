"""Whose turn it is at each object.

The mailboxes only decide. They hold ids, not tasks, and what they hold in memory is a copy of
three tables: ``turn`` (who holds the turn), ``lane`` (who interrupted, and goes first) and
``inbox`` (who waits behind those, messages for the turn under way among them). Every change of the
copy stages the rows that say the same, so losing the copy loses nothing: it is read again when
someone arrives. A place is a sequence number taken in the decision that accepts the call; nothing
ever sorts by arrival of a wake-up.

An object is in memory only while its holder is, or while someone waits who arrived lately.
"""

from collections import OrderedDict

from msgspec import Struct, field

from ..journal import keys
from ..journal.records import CallMode
from ..objects.identity import INVOCATION_ID_BYTES, InvocationId
from .commits import Commits

Queue = OrderedDict[InvocationId, int]
"""Those who wait, first come first, each with its sequence."""

_MESSAGE = b"\x01"
"""Behind the id in an inbox row: the turn under way may take it."""


class Mailbox(Struct):
    """Who holds the turn at one object and who waits."""

    holder: InvocationId
    lane: Queue | None = None
    """Those who go before ``waiting``; ``None``: nobody has interrupted."""
    waiting: Queue = field(default_factory=Queue)
    messages: Queue | None = None
    """Of ``waiting``, those who came as messages. Invariant: whoever is in here is in there."""

    def last_sequence(self) -> int:
        """The highest one that was taken by someone who waits."""
        queues = (self.lane, self.waiting)
        return max((next(reversed(queue.values())) for queue in queues if queue), default=0)


class Mailboxes:
    """The mailboxes of all objects that are busy now."""

    def __init__(self, commits: Commits) -> None:
        """Begin with none in memory; the rows in the store are the truth."""
        self._commits = commits
        self._open: dict[bytes, Mailbox] = {}
        # An object that was found free; only ``arrive`` can change that. Saves the second look.
        self._free: bytes | None = None

    def __len__(self) -> int:
        """How many objects are in memory, each of them busy."""
        return len(self._open)

    def waiting_count(self, object_: bytes) -> int:
        """How many invocations wait for the turn at ``object_``."""
        mailbox = self._find(object_)
        return 0 if mailbox is None else len(mailbox.waiting) + len(mailbox.lane or ())

    def find_holder(self, object_: bytes) -> InvocationId | None:
        """Who holds the turn at ``object_``, or ``None`` when it is free."""
        mailbox = self._find(object_)
        return mailbox.holder if mailbox is not None else None

    def messages_after(self, object_: bytes, sequence: int) -> list[tuple[int, InvocationId]]:
        """Who came later than ``sequence`` as a message and still waits, first come first."""
        mailbox = self._find(object_)
        found: list[tuple[int, InvocationId]] = []
        if mailbox is not None and mailbox.messages:
            for id_, place in reversed(mailbox.messages.items()):
                if place <= sequence:
                    break
                found.append((place, id_))
        found.reverse()
        return found

    def arrive(
        self,
        object_: bytes,
        sequence: int,
        invocation_id: InvocationId,
        mode: CallMode = CallMode.QUEUE,
    ) -> bool:
        """Take the turn, or a place in a queue; ``True`` means the turn was free and is taken."""
        mailbox = self._find(object_)
        if mailbox is None:
            self._free = None
            self._open[object_] = Mailbox(invocation_id)
            row = sequence.to_bytes(8, "big") + invocation_id
            self._commits.put_new(keys.turn(object_), row)
            return True
        assert mailbox.last_sequence() < sequence, "a place was given twice"
        if mode is CallMode.INTERRUPT:
            if mailbox.lane is None:
                mailbox.lane = Queue()
            mailbox.lane[invocation_id] = sequence
            self._commits.put_new(keys.lane(object_, sequence), invocation_id)
            return False
        mailbox.waiting[invocation_id] = sequence
        if mode is CallMode.STEER:
            if mailbox.messages is None:
                mailbox.messages = Queue()
            mailbox.messages[invocation_id] = sequence
            self._commits.put_new(keys.inbox(object_, sequence), invocation_id + _MESSAGE)
        else:
            self._commits.put_new(keys.inbox(object_, sequence), invocation_id)
        return False

    def leave(self, object_: bytes, invocation_id: InvocationId) -> InvocationId | None:
        """Give up the turn or the place; gives the one whose turn it has become, if any."""
        mailbox = self._find(object_)
        assert mailbox is not None, "left a mailbox that nobody is in"
        if mailbox.holder != invocation_id:
            self._take_out(object_, mailbox, invocation_id)
            return None
        successor = next(iter(mailbox.lane or mailbox.waiting), None)
        if successor is None:
            del self._open[object_]
            self._commits.delete(keys.turn(object_))
            return None
        sequence = self._take_out(object_, mailbox, successor)
        self._commits.put(keys.turn(object_), keys.u64(sequence) + successor)
        mailbox.holder = successor
        return successor

    def forget(self, object_: bytes) -> None:
        """Drop the copy in memory; the rows say the same and are read when someone arrives."""
        self._open.pop(object_, None)

    def _take_out(self, object_: bytes, mailbox: Mailbox, invocation_id: InvocationId) -> int:
        """Remove someone who waits, wherever in its queue; gives its sequence."""
        sequence = mailbox.waiting.pop(invocation_id, None)
        if sequence is not None:
            if mailbox.messages:
                mailbox.messages.pop(invocation_id, None)
            self._commits.delete(keys.inbox(object_, sequence))
            return sequence
        assert mailbox.lane, "left a mailbox without being in it"
        sequence = mailbox.lane.pop(invocation_id)
        self._commits.delete(keys.lane(object_, sequence))
        return sequence

    def _find(self, object_: bytes) -> Mailbox | None:
        mailbox = self._open.get(object_)
        if mailbox is not None:
            return mailbox
        if object_ == self._free:
            return None
        row = self._commits.get(keys.turn(object_))
        if row is None:
            self._free = object_
            return None
        mailbox = self._open[object_] = self._read(object_, InvocationId(row[8:]))
        return mailbox

    def _read(self, object_: bytes, holder: InvocationId) -> Mailbox:
        mailbox = Mailbox(holder)
        for key, row in self._commits.scan(*keys.prefix_range(keys.INBOX + object_)):
            id_, sequence = InvocationId(row[:INVOCATION_ID_BYTES]), _sequence_in(key)
            mailbox.waiting[id_] = sequence
            if row[INVOCATION_ID_BYTES:] == _MESSAGE:
                if mailbox.messages is None:
                    mailbox.messages = Queue()
                mailbox.messages[id_] = sequence
        for key, row in self._commits.scan(*keys.prefix_range(keys.LANE + object_)):
            if mailbox.lane is None:
                mailbox.lane = Queue()
            mailbox.lane[InvocationId(row)] = _sequence_in(key)
        return mailbox


def _sequence_in(key: bytes) -> int:
    return int.from_bytes(key[-8:], "big")
