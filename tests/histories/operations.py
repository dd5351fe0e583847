"""What clients did to one object, and when: the material of a linearizability check.

Times are places in one order that the recorder hands out, not seconds: ``begun`` is taken before
the request leaves, ``ended`` after the whole answer was read.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, cast

Asked = tuple[str, Any]
"""What was asked: the name of the operation and its argument."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One request of one client."""

    token: str
    """Names it; no other operation has it."""
    asked: Asked
    begun: int
    ended: int | None
    """``None``: nobody knows whether it happened, or when, or whether it will."""
    answer: Hashable = None
    """What the client read; nothing where ``ended`` is ``None``."""

    def __str__(self) -> str:
        name, argument = self.asked
        asked = name if argument is None else f"{name}({argument!r})"
        if self.ended is None:
            return f"{self.token} {asked} -> ? [{self.begun}, ?]"
        return f"{self.token} {asked} -> {self.answer!r} [{self.begun}, {self.ended}]"


@dataclass(slots=True)
class Recorder:
    """Writes operations down as they happen, each under its object."""

    histories: dict[str, list[Operation]] = field(default_factory=dict[str, list[Operation]])
    _next: int = 0

    @property
    def size(self) -> int:
        """Operations so far, of all objects."""
        return sum(map(len, self.histories.values()))

    def now(self) -> int:
        """The next place in the order."""
        self._next += 1
        return self._next

    def add(self, target: str, token: str, asked: Asked, begun: int, *answer: Hashable) -> None:
        """Write down an operation that has been answered just now, or will never be."""
        self.histories.setdefault(target, []).append(
            Operation(
                token=token,
                asked=asked,
                begun=begun,
                ended=self.now() if answer else None,
                answer=answer[0] if answer else None,
            )
        )


def freeze(answer: object) -> Hashable:
    """An answer from JSON as a value that can be hashed."""
    return tuple(cast("list[str]", answer)) if isinstance(answer, list) else answer
