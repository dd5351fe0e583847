"""Invocations that an operator has forgotten, all of them or their journals, and who asks for them.

What is forgotten is gone for everyone from then on, whoever crashes: no answer tells of it that was
asked for later, and no row of it is left. Of one whose journal is forgotten the outcome stays.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from holdfast import (
    ConflictError,
    NotKeptError,
    Runtime,
    RuntimeClosedError,
    StoreFailedError,
    UnknownTargetError,
)
from holdfast.journal import keys
from holdfast.journal.records import Kept, decode_outcome
from holdfast.objects.identity import parse_invocation_id
from holdfast.runtime.invocation_handle import InvocationHandle

if TYPE_CHECKING:
    from holdfast.journal.memory import MemoryStore

LOOKS: Final = ("journal", "effects", "restart", "describe", "output", "attach")
"""What of an invocation may be looked for; the last two by a client."""


class Forgotten:
    """All that was forgotten in a world."""

    def __init__(self, violate: Callable[[str], None], count: Callable[[str], None]) -> None:
        """Begin with nothing."""
        self._violate = violate
        self._count = count
        # When an operator heard that it is forgotten.
        self._whole_us: dict[str, int] = {}
        self._journals: set[str] = set()

    def forget(self, id_: str, verb: str, now_us: int) -> None:
        """An operator hears that something is forgotten."""
        if verb == "purge":
            self._whole_us[id_] = now_us
        else:
            self._journals.add(id_)

    def answer(self, id_: str, asked_us: int) -> None:
        """The outcome or the acceptance of an invocation leaves, asked for at that time."""
        if self._whole_us.get(id_, asked_us) < asked_us:
            self._violate(f"I11 {id_} was forgotten, and is told of")

    async def look(self, handle: InvocationHandle[object], what: str) -> None:
        """Look for something of what was forgotten a moment ago."""
        is_whole = handle.id in self._whole_us
        should_be_there = what == "describe" and not is_whole
        try:
            await _ask(handle, what)
        except (RuntimeClosedError, StoreFailedError):
            return
        except UnknownTargetError:
            # It may have been kept long enough meanwhile.
            self._count("nothing was found of what is forgotten")
        except NotKeptError:
            self._count("no journal was found of what is kept")
            if is_whole or should_be_there:
                self._violate(f"I11 {what} of {handle.id} is not kept, after it was forgotten")
        except ConflictError:
            if what != "restart" or is_whole:
                raise
        else:
            if not should_be_there:
                self._violate(f"I11 {what} of {handle.id} is there, after it was forgotten")

    async def find(self, runtime: Runtime, key: str, id_: str) -> None:
        """Look for a workflow that was forgotten a moment ago by its key."""
        with suppress(RuntimeClosedError, StoreFailedError):
            found = await runtime.find_invocation("Flow", key)
            self._count("a forgotten workflow was looked for")
            if found is not None and found.id == id_:
                self._violate(f"I11 Flow/{key} was forgotten, and is found as {id_}")

    def judge(self, rows: "MemoryStore") -> Iterator[str]:
        """What is left in the end of what should not be there."""
        for id_ in self._whole_us:
            raw = parse_invocation_id(id_)
            for table in (keys.OUTCOME, keys.INVOCATION, keys.JOURNAL, keys.REMAINS):
                if any(True for _ in rows.scan(*keys.prefix_range(table + raw))):
                    yield f"I11 {id_} was forgotten, and has rows of {table!r}"
        for id_ in self._journals:
            raw = parse_invocation_id(id_)
            row = rows.get(keys.OUTCOME + raw)
            if row is not None and decode_outcome(row).kept is not Kept.OUTCOME:
                yield f"I11 the journal of {id_} was forgotten, and its outcome says otherwise"


async def _ask(handle: InvocationHandle[object], what: str) -> None:
    match what:
        case "journal":
            await handle.journal()
        case "effects":
            await handle.effects()
        case "restart":
            await handle.restart(from_entry=1)
        case _:
            await handle.describe()
