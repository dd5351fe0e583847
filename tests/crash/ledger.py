"""The ledger outside: what really happened, written down by whoever saw it, in one order.

It is a file that every process appends to, one line per write, so its order is the order in which
things happened, and what a killed process has written stays written. A line is JSON; it is wrapped
in line feeds, so one that a kill tore spoils no other. A torn line is left out: its writer died
before doing what the line announces, or before anyone could have heard of it.

    Began, Finished     an execution of a step's action, told by the action
    Asked, Answered     a request, told by the client before it is sent and after the whole 2xx
    Resolved            a word that a handler waits for, whose saying was answered with 2xx
    Killed              an invocation whose kill was answered with 2xx
    Ended               a server process, told by whoever ended it, after it was gone
    Racing, Settled     what a server said between them is not held against it: its disk was shut
                        down in the middle of system calls, which may then lie
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LEDGER_VARIABLE = "HOLDFAST_CRASH_LEDGER"
"""Where the served objects find the ledger."""

End = Literal["killed", "stopped"]


class Began(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An action began."""

    invocation: str
    target: str
    """``Agent/a1``, or ``Fan`` for a service."""
    step: str
    attempt: int
    key: str
    """The idempotency key of the step."""
    after: tuple[str, ...]
    """Steps of the same invocation whose results the handler had when it asked for this one."""
    payload: str
    """What the handler passed in; the same on every replay."""
    not_before_ms: int
    """The wall clock at which the handler could have asked for this at the earliest."""
    process: int
    at_ms: int


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An action is about to return."""

    invocation: str
    step: str
    process: int
    at_ms: int


class Asked(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A client is about to send a request for the first time."""

    token: str
    """Names the request, and is its idempotency key if it has one."""
    target: str
    handler: str
    argument: Any


class Answered(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A client has read a whole 2xx."""

    token: str
    invocation: str
    is_send: bool
    result: Any = None


class Resolved(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The word of an awakeable, a promise or a signal was said, and acknowledged."""

    token: str
    value: str


class Killed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The kill of an invocation was acknowledged."""

    invocation: str


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A server process is gone."""

    process: int
    how: End


class Racing(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The disk of a server is about to be shut down while the server runs."""

    process: int


class Settled(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """That server is gone, and the clients have read what it said."""

    process: int


Line = Began | Finished | Asked | Answered | Resolved | Killed | Ended | Racing | Settled

_DECODER: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


class Ledger:
    """One ledger, open for appending."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)

    def append(self, line: Line) -> None:
        """Write one line; it is in the ledger when this returns."""
        os.write(self._file, b"\n" + msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        os.close(self._file)


class LedgerReader:
    """Reads what was appended since it read last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> list[Line]:
        """The whole lines that are new."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [line for text in whole.splitlines() if (line := _decode(text)) is not None]


def read_ledger(path: Path) -> list[Line]:
    """All of a ledger that is evidence."""
    return without_races(LedgerReader(path).read())


def without_races(lines: Iterable[Line]) -> list[Line]:
    """What was said by nobody whose disk could lie: no acknowledgements and effects of a race.

    The requests stay, and may or may not have happened.
    """
    kept: list[Line] = []
    is_race = False
    for line in lines:
        match line:
            case Racing() | Settled():
                is_race = isinstance(line, Racing)
            case Began() | Finished() | Answered() | Resolved() | Killed() if is_race:
                pass
            case _:
                kept.append(line)
    return kept


def _decode(text: bytes) -> Line | None:
    if not text:
        return None
    try:
        return _DECODER.decode(text)
    except msgspec.DecodeError:
        return None  # Torn.
