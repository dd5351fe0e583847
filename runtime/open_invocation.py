"""An invocation that is not completed, as the runtime holds it in memory; no decisions."""

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct

from ..journal import keys
from ..journal.entry import Delivery, Failure, Input
from ..journal.records import InvocationRecord
from ..objects.definition import HandlerDefinition, ServiceDefinition
from ..objects.identity import InvocationId, Target, format_invocation_id, printable
from .commits import Commits

Result = bytes | Failure
Prepared = tuple[tuple[Any, ...], Mapping[str, Any]]
"""A decoded argument."""


class Resident(Protocol):
    """An attempt, as far as decisions need to know it."""

    def accept(self, delivery: Delivery) -> None:
        """Deliver what is in the journal now, when its turn comes."""
        ...

    def look(self) -> None:
        """Something may have come that is not in the journal: a message."""
        ...


class Concluding:
    """Stands in for an attempt that is over while its last actions end; its outcome is decided."""

    def accept(self, delivery: Delivery) -> None:
        """As ``Resident.accept``: nobody is left to be told."""

    def look(self) -> None:
        """As ``Resident.look``: nobody is left to read."""


class OpenInvocation(Struct, kw_only=True, eq=False):
    """An invocation that is not completed, while it is in memory."""

    id: InvocationId
    record: InvocationRecord
    service: ServiceDefinition | None
    handler: HandlerDefinition | None
    """``None`` while no class with this handler is registered: nothing runs, nothing is lost."""
    object_: bytes | None
    """The object's name inside keys; ``None`` for services."""
    next_index: int
    """The index of the next journal entry."""
    is_live: bool = False
    """Whether the live row exists."""
    is_waiting: bool = False
    """Whether the waiting row exists."""
    is_mere_read: bool = False
    """Whether it was let in without room for new work; it may read, and leaves nothing."""
    keeps_journal: bool = False
    """Whether its journal is kept though it may hold nothing but the input: of one restarted from
    an entry, whose undo rows go when the journal does."""
    attempt: Resident | None = None
    stored_bytes: int = 0
    """Of its journal and undo rows, as far as this process has read or written them."""
    has_no_undo: bool = False
    """Whether its turn has certainly left no undo row; found out when it ends."""
    input: Input | None = None
    """The journal's first and only entry, while the first attempt has not read it."""
    prepared: Prepared | None = None
    """The argument, decoded at the door; saves the first attempt from doing it again."""

    @property
    def name(self) -> str:
        """For messages: ``Assistant/sam/ask (inv_...)``, in one line whatever the key is."""
        return f"{printable(str(self.record.target))} ({format_invocation_id(self.id)})"


def object_key(target: Target) -> bytes | None:
    """The name inside keys of the object that ``target`` belongs to; ``None`` for a service."""
    return None if target.key is None else keys.object_key(target.service, target.key)


def journal_length(commits: Commits, id_: InvocationId) -> int:
    """How many entries the journal of an invocation has."""
    start, end = keys.prefix_range(keys.JOURNAL + id_)
    for key, _ in commits.scan(start, end, reverse=True):
        return int.from_bytes(key[-4:], "big") + 1
    return 0
