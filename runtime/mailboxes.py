"""Whose turn it is at each object.

The mailboxes only decide. They hold ids, not tasks, and what they hold in memory is a copy of two
tables: ``turn`` (who holds the turn) and ``inbox`` (who waits, in order). Every change of the copy
stages the rows that say the same, so losing the copy loses nothing: it is read again when someone
arrives. A place is a sequence number taken in the decision that accepts the call; nothing ever
sorts by arrival of a wake-up.

An object is in memory only while its holder is, or while someone waits who arrived lately.
"""

from collections import deque
from dataclasses import dataclass, field

from ..journal import keys
from ..objects.identity import InvocationId
from .commits import Commits


@dataclass(slots=True)
class Mailbox:
    """Who holds the turn at one object and who waits."""

    holder: InvocationId
    # Sequence and id of those who wait, first come first.
    waiting: deque[tuple[int, InvocationId]] = field(
        default_factory=deque[tuple[int, InvocationId]]
    )


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
        return len(mailbox.waiting) if mailbox is not None else 0

    def find_holder(self, object_: bytes) -> InvocationId | None:
        """Who holds the turn at ``object_``, or ``None`` when it is free."""
        mailbox = self._find(object_)
        return mailbox.holder if mailbox is not None else None

    def arrive(self, object_: bytes, sequence: int, invocation_id: InvocationId) -> bool:
        """Take the turn, or a place in the queue; ``True`` means the turn was free and is taken."""
        mailbox = self._find(object_)
        if mailbox is None:
            self._free = None
            self._open[object_] = Mailbox(invocation_id)
            self._commits.put_new(keys.turn(object_), keys.u64(sequence) + invocation_id)
            return True
        assert not mailbox.waiting or mailbox.waiting[-1][0] < sequence, "a place was given twice"
        mailbox.waiting.append((sequence, invocation_id))
        self._commits.put_new(keys.inbox(object_, sequence), invocation_id)
        return False

    def leave(self, object_: bytes, invocation_id: InvocationId) -> InvocationId | None:
        """Give up the turn or the place; gives the one whose turn it has become, if any."""
        mailbox = self._find(object_)
        assert mailbox is not None, "left a mailbox that nobody is in"
        if mailbox.holder != invocation_id:
            for place in mailbox.waiting:
                if place[1] == invocation_id:
                    mailbox.waiting.remove(place)
                    self._commits.delete(keys.inbox(object_, place[0]))
                    return None
            message = "left a mailbox without being in it"
            raise AssertionError(message)
        if not mailbox.waiting:
            del self._open[object_]
            self._commits.delete(keys.turn(object_))
            return None
        sequence, successor = mailbox.waiting.popleft()
        self._commits.delete(keys.inbox(object_, sequence))
        self._commits.put(keys.turn(object_), keys.u64(sequence) + successor)
        mailbox.holder = successor
        return successor

    def forget(self, object_: bytes) -> None:
        """Drop the copy in memory; the rows say the same and are read when someone arrives."""
        self._open.pop(object_, None)

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
        mailbox = Mailbox(InvocationId(row[8:]))
        start, end = keys.prefix_range(keys.INBOX + object_)
        for key, waiting in self._commits.scan(start, end):
            mailbox.waiting.append((int.from_bytes(key[-8:], "big"), InvocationId(waiting)))
        self._open[object_] = mailbox
        return mailbox
