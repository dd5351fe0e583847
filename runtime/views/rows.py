"""What a view is read with: the rows of one moment, and the classes that are served."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ...journal import keys
from ...journal.store import StoreView
from ...objects.identity import (
    INVOCATION_ID_BYTES,
    InvocationId,
    accepted_ms,
    format_invocation_id,
)
from ...objects.registry import Registry
from ..keeping import Keeping

ID_END = 1 + INVOCATION_ID_BYTES


def _go_on() -> None:
    """Nobody minds how long it takes."""


@dataclass(frozen=True, slots=True)
class LimitView:
    """One bound of a runtime, and how much of it is used."""

    name: str
    used: int | None
    """``None``: not counted, or not known from outside of its process."""
    maximum: int


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one moment; every function of this package takes it first."""

    view: StoreView
    registry: Registry
    keeping: Keeping | None = None
    """How long what is completed is kept; ``None``: a directory does not say."""
    limits: tuple[LimitView, ...] = ()
    tick: Callable[[], None] = _go_on
    """Called for each row that is scanned, whether or not anybody gets to see it."""

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All rows whose key begins with ``prefix``, in the order of their keys."""
        for row in self.view.scan(*keys.prefix_range(prefix)):
            self.tick()
            yield row


def id_text(id_: bytes | None) -> str | None:
    """``inv_`` and 32 hex digits."""
    return None if id_ is None else format_invocation_id(InvocationId(id_))


def accepted_at_ms(id_: bytes) -> int:
    """When an invocation was accepted, as its id says."""
    return accepted_ms(InvocationId(id_))


def object_prefix(table: bytes, service: str | None, key: str | None) -> bytes:
    """The beginning of a table's keys of one object, of all objects of a class, or of all."""
    if service is None:
        return table
    return table + (keys.text(service) if key is None else keys.object_key(service, key))


def split_object(key: bytes) -> tuple[str, str, int]:
    """The service and the key in a row's key behind its table, and where they end."""
    service, at = keys.split_text(key, 1)
    name, end = keys.split_text(key, at)
    return service, name, end
