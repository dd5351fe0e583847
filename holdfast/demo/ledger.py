"""A file outside the runtime that knows how often the model was really called.

One JSON object per line, appended and never changed. The server writes it, in whichever process
it lives at the moment; the story reads it. A process that is killed loses no line whose write has
returned, so counting lines counts executions.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Event = Literal["called", "halfway", "answered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerLine:
    """One moment of one call of the model.

    Attributes:
        event: where in the call this was.
        step: the step that called.
        idempotency_key: what the step gave the model, so that it could tell a repeated call.
        process: the id of the server process.
    """

    event: Event
    step: str
    idempotency_key: str
    process: int


class Ledger:
    """The lines of one file."""

    def __init__(self, path: Path) -> None:
        """Use the file at ``path``, which need not be there yet."""
        self._path = path

    def append(self, line: LedgerLine) -> None:
        """Add ``line``; when this returns, killing the process cannot take it back."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(line)) + "\n")

    def read(self) -> list[LedgerLine]:
        """All lines so far, in order; none when nothing was written yet."""
        if not self._path.exists():
            return []
        whole, _, _torn = self._path.read_text(encoding="utf-8").rpartition("\n")
        return [LedgerLine(**json.loads(line)) for line in whole.splitlines()]
