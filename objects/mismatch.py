"""How a replay left its journal, for people and programs: both sides, and the likely cause.

A value of text and numbers. How a command is put into words and what its cause may be is decided
in ``journal.differences``; here is what they are called, and the layout.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

LINE_CHARACTERS_MAX = 1_500


class MismatchCause(StrEnum):
    """What has probably become of the recorded command."""

    INSERTED = "inserted"
    """Something is asked for before it that the journal does not hold."""
    REMOVED = "removed"
    """It is not asked for any more."""
    RENAMED = "renamed"
    """The same is asked for under another name."""
    REORDERED = "reordered"
    """It is still asked for, after something that it came before."""
    ARGUMENTS = "arguments"
    """The same is asked for with something else: a key, an argument, a duration."""
    EARLIER = "earlier"
    """It is asked for before a result that it used to come after."""
    LATER = "later"
    """It is asked for only after a result that it used to come before."""


_IN_WORDS: Final = {
    MismatchCause.ARGUMENTS: "changed arguments",
    MismatchCause.EARLIER: "asked for earlier",
    MismatchCause.LATER: "asked for later",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MismatchSide:
    """What was asked for, then or now.

    Attributes:
        command: as code would say it, ``ctx.run("charge")``; ``None``: nothing was asked for.
        place: the line that asked, ``shop.py:31``, or where the handler waits; may be empty.
        action: where a step's function is written; empty for anything else.
        results: how many results the handler had been given before.
    """

    command: str | None
    place: str = ""
    action: str = ""
    results: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """Where a handler left its journal.

    Attributes:
        index: the entry of the journal that it did not follow.
        recorded: what the journal holds there.
        attempted: what the handler asked for instead.
        has_ended: whether it asked for nothing because it has ended; else it waits.
        cause: what probably happened.
        reason: the same as a clause.
        handler: where the handler is written now, ``shop.py:25``.
        recorded_code: the fingerprint of the handler's code then; empty where it is not known.
        current_code: the fingerprint of its code now.
    """

    index: int
    recorded: MismatchSide
    attempted: MismatchSide
    has_ended: bool
    cause: MismatchCause
    reason: str
    handler: str = ""
    recorded_code: str = ""
    current_code: str = ""

    @property
    def is_code_changed(self) -> bool | None:
        """Whether the handler's own code is another one than then; ``None``: not known."""
        if not self.recorded_code or not self.current_code:
            return None
        return self.recorded_code != self.current_code

    def __str__(self) -> str:
        """The one line, so that a log may be given the value."""
        return self.line

    @property
    def line(self) -> str:
        """All of it in one line of bounded length, for logs and rows."""
        recorded, attempted = self.recorded, self.attempted
        now = f"but the handler now {self._attempt}{_in_brackets(attempted.place)}"
        after = ""
        if recorded.command == attempted.command:
            after = f" after {_count(recorded.results)}"
            now = (
                f"but the handler now asks for it after {attempted.results}"
                f"{_in_brackets(attempted.place)}"
            )
        text = (
            f"entry {self.index}: the journal recorded {recorded.command}"
            f"{_in_brackets(recorded.place)}{after}, {now}; {self._likely}"
        )
        if self.is_code_changed is not None:
            state = "has changed" if self.is_code_changed else "is the same"
            text += f"; the handler's own code {state}"
        return text if len(text) <= LINE_CHARACTERS_MAX else text[:LINE_CHARACTERS_MAX] + " ..."

    @property
    def block(self) -> str:
        """All of it in a few lines, both sides one above the other, for a terminal."""
        rows = [
            ("recorded", self.recorded.command or "", self.recorded),
            ("attempted", self._attempt_alone, self.attempted),
        ]
        command_width = max(len(command) for _, command, _ in rows)
        place_width = max(len(side.place) for _, _, side in rows)
        lines = [f"entry {self.index} is not what the handler asks for"]
        for name, command, side in rows:
            cells = [
                f"  {name:<11}{command:<{command_width}}",
                f"{side.place:<{place_width}}",
                f"after {_count(side.results)}",
            ]
            if side.action:
                cells.append(f"function at {side.action}")
            lines.append("   ".join(cells).rstrip())
        lines.append(f"  {self._likely}")
        lines.append(f"  {self._about_the_code}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """The same as a JSON object; names are for ever."""
        return {
            "index": self.index,
            "recorded": _side_as_json(self.recorded),
            "attempted": _side_as_json(self.attempted),
            "has_ended": self.has_ended,
            "cause": str(self.cause),
            "reason": self.reason,
            "handler": self.handler,
            "is_code_changed": self.is_code_changed,
        }

    @property
    def _attempt(self) -> str:
        if self.attempted.command is not None:
            return f"asks for {self.attempted.command}"
        return f"{'has ended' if self.has_ended else 'waits'} without asking for it"

    @property
    def _attempt_alone(self) -> str:
        if self.attempted.command is not None:
            return self.attempted.command
        return "nothing: it has ended" if self.has_ended else "nothing: it waits"

    @property
    def _likely(self) -> str:
        return f"likely {_IN_WORDS.get(self.cause, str(self.cause))}: {self.reason}"

    @property
    def _about_the_code(self) -> str:
        handler = f"the handler{_in_brackets(self.handler)}"
        match self.is_code_changed:
            case True:
                codes = f"{self.recorded_code} then, {self.current_code} now"
                return f"{handler} has changed since: {codes}"
            case False:
                return (
                    f"{handler} is the same code as then ({self.current_code}): either something "
                    f"that it calls has changed, or it decides by what is not recorded (the clock, "
                    f"a random number, a global, the order of a set)"
                )
            case None:
                return f"whether {handler} has changed since is not known"


def _side_as_json(side: MismatchSide) -> dict[str, Any]:
    return {
        "command": side.command,
        "place": side.place,
        "action": side.action,
        "results": side.results,
    }


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _count(results: int) -> str:
    return "1 result" if results == 1 else f"{results} results"
