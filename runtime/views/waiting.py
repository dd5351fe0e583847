"""What invocations wait for, as rows tell of it: awakeables and timers."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from ...journal import keys
from ...journal.records import TimerKind, decode_awakeable
from ...objects.identity import AwakeableId, InvocationId, Target
from .invocations import find_invocation
from .rows import ID_END, Rows

_TIME_BYTES = 8


class AwakeableView:
    """An awakeable that is open."""

    def __init__(self, rows: Rows, id_: AwakeableId, row: bytes) -> None:
        """Look up nothing yet."""
        self._rows = rows
        self.id = id_
        self._record = decode_awakeable(row)

    @cached_property
    def target(self) -> Target | None:
        """Whose handler made it."""
        invocation = find_invocation(self._rows, self.id.invocation_id)
        return None if invocation is None else invocation.target

    @property
    def message(self) -> str | None:
        """What whoever resolves it is told: text, or JSON."""
        if self._record.message is None:
            return None
        value = json.loads(self._record.message)
        return value if isinstance(value, str) else self._record.message.decode()

    @property
    def schema(self) -> str | None:
        """The JSON Schema that a value must fit."""
        return None if self._record.schema is None else self._record.schema.decode()

    @property
    def due_ms(self) -> int | None:
        """When it is rejected by itself, in milliseconds since 1970."""
        return self._record.due_ms or None

    @property
    def created_ms(self) -> int | None:
        """When it was made, where that is recorded."""
        return self._record.created_ms or None


def scan_awakeables(
    rows: Rows, of: AwakeableId | InvocationId | None = None
) -> Iterator[AwakeableView]:
    """The open awakeables in order of the acceptance of those who made them.

    Of one invocation only, or the one, where ``of`` names it.
    """
    match of:
        case None:
            prefix = keys.AWAKEABLE
        case AwakeableId(id_, index):
            prefix = keys.awakeable(id_, index)
        case _:
            prefix = keys.AWAKEABLE + of
    for key, row in rows.scan(prefix):
        yield AwakeableView(rows, AwakeableId(*_command(key[1:])), row)


@dataclass(frozen=True, slots=True)
class TimerView:
    """A timer that has not rung."""

    due_ms: int
    kind: TimerKind
    invocation_id: InvocationId
    index: int


def scan_timers(rows: Rows) -> Iterator[TimerView]:
    """All timers in due order."""
    for key, row in rows.scan(keys.TIMER):
        due_ms = int.from_bytes(key[1 : 1 + _TIME_BYTES], "big")
        yield TimerView(due_ms, TimerKind(row[0]), *_command(key[1 + _TIME_BYTES :]))


def _command(fields: bytes) -> tuple[InvocationId, int]:
    """The id and the index that end a key."""
    return InvocationId(fields[: ID_END - 1]), int.from_bytes(fields[ID_END - 1 :], "big")
