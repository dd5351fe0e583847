"""A difference between a journal and a replay, in words, with its likely cause.

Commands are put as code would say them. The cause is a guess from what is known: both commands,
what the journal holds further on, and the places and fingerprints that entries carry. Nothing is
decided by it; it is there for the person who has to find the change.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import assert_never

from ..objects.identity import AwakeableId, Target, format_invocation_id
from ..objects.mismatch import Mismatch, MismatchCause, MismatchSide
from .entry import (
    Attach,
    AwaitPromise,
    AwaitSignal,
    Call,
    Cancel,
    CancelInvocation,
    Command,
    Compensation,
    CompleteAwakeable,
    CompletePromise,
    DrainMessages,
    GiveUp,
    MakeAwakeable,
    Patched,
    PeekPromise,
    Run,
    Send,
    SendSignal,
    Sleep,
    TakeMessage,
)
from .replay import Difference

NAME_CHARACTERS_MAX = 80
PLACE_CHARACTERS_MAX = 100
FINGERPRINT_DIGITS = 8

_Guess = tuple[MismatchCause, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """What is known of the code that replays."""

    place: str = ""
    """As ``Issued.source``: who asked just now, or where the handler waits."""
    handler: str = ""
    """Where the handler is written."""
    fingerprint: str = ""
    """Of the handler's code."""
    time_ms: int = 0
    """The time of the last delivery, from which timers are counted."""


def explain(difference: Difference, now: Now) -> Mismatch:
    """Both sides in words, and what probably happened."""
    recorded, attempted = difference.recorded, difference.attempted
    place, recorded_code = split_place(recorded.source)
    attempted_text = None
    recorded_text = describe(recorded.command, time_ms=now.time_ms)
    if attempted is not None:
        attempted_text = describe(attempted, time_ms=now.time_ms)
        if attempted_text == recorded_text and attempted != recorded.command:
            # All that differs is a digest.
            recorded_text = describe(recorded.command, time_ms=now.time_ms, with_digest=True)
            attempted_text = describe(attempted, time_ms=now.time_ms, with_digest=True)
    current_place = split_place(now.place)[0]
    cause, reason = _guess(difference)
    return Mismatch(
        index=difference.index,
        recorded=MismatchSide(
            command=recorded_text,
            place=_clip(place, PLACE_CHARACTERS_MAX),
            action=_action_place(recorded.command, recorded.source),
            results=recorded.deliveries,
        ),
        attempted=MismatchSide(
            command=attempted_text,
            place=_clip(current_place, PLACE_CHARACTERS_MAX),
            action=_action_place(attempted, now.place),
            results=difference.deliveries,
        ),
        has_ended=difference.has_ended,
        cause=cause,
        reason=reason,
        handler=_clip(now.handler, PLACE_CHARACTERS_MAX),
        recorded_code=recorded_code,
        current_code=now.fingerprint,
    )


def split_place(source: str) -> tuple[str, str]:
    """The place in ``Issued.source``, and the fingerprint; each empty where it is missing."""
    place, separator, fingerprint = source.rpartition("#")
    if separator and len(fingerprint) == FINGERPRINT_DIGITS:
        return place, fingerprint
    return source, ""


def describe(command: Command, *, time_ms: int = 0, with_digest: bool = False) -> str:  # noqa: C901, PLR0911, PLR0912  # a table
    """``command`` as code would ask for it, cut to a bounded length."""
    match command:
        case Run(name):
            return f"ctx.run({_quote(name)})"
        case Sleep(due_ms):
            return f"sleep({_duration(due_ms, time_ms)})"
        case Call(target, digest, _):
            return f"ctx.call({_target(target)}, {_argument(digest, with_digest)})"
        case Send(target, digest, delay_ms, _):
            delay = f", delay={_seconds(delay_ms)}" if delay_ms else ""
            return f"ctx.send({_target(target)}, {_argument(digest, with_digest)}{delay})"
        case MakeAwakeable():
            return "ctx.awakeable()"
        case CompleteAwakeable(invocation_id, index, digest):
            awakeable = AwakeableId(invocation_id, index)
            return f"completion of {awakeable} with {_argument(digest, with_digest)}"
        case Cancel(index):
            return f"cancellation of entry {index}"
        case AwaitPromise(name):
            return f"ctx.promise({_quote(name)})"
        case PeekPromise(name):
            return f"ctx.promise({_quote(name)}).peek()"
        case CompletePromise(name, digest):
            return f"ctx.promise({_quote(name)}) completed with {_argument(digest, with_digest)}"
        case AwaitSignal(name):
            return f"ctx.signal({_quote(name)})"
        case SendSignal(invocation_id, name, digest):
            given = _argument(digest, with_digest)
            return f"signal {_quote(name)} to {format_invocation_id(invocation_id)} with {given}"
        case Attach(invocation_id):
            return f"attach to {format_invocation_id(invocation_id)}"
        case CancelInvocation(invocation_id):
            return f"cancellation of {format_invocation_id(invocation_id)}"
        case Patched(name):
            return f"ctx.patched({_quote(name)})"
        case TakeMessage():
            return "the next message for this turn"
        case DrainMessages():
            return "all messages for this turn"
        case Compensation(name):
            return f"saga.add({_quote(name)})"
        case GiveUp():
            return "the beginning of compensations"
        case _:
            assert_never(command)


# -- The likely cause ------------------------------------------------------------------------


def _guess(difference: Difference) -> _Guess:
    recorded, attempted = difference.recorded, difference.attempted
    if attempted is None:
        if difference.has_ended:
            return MismatchCause.REMOVED, "the handler ends without it"
        if difference.has_undelivered:
            return MismatchCause.LATER, "the handler waits for results that came after it"
        return MismatchCause.REMOVED, "the handler waits, and nothing is left to wait for"
    if attempted == recorded.command:
        if difference.deliveries < recorded.deliveries:
            return (
                MismatchCause.EARLIER,
                "an `await` that it came after now comes later, or is gone",
            )
        return MismatchCause.LATER, "an `await` that came after it now comes before it"
    return (
        _guess_from_the_rest(difference, attempted)
        or _guess_from_the_pair(difference, attempted)
        or (MismatchCause.INSERTED, "nothing like it is recorded further on")
    )


def _guess_from_the_rest(difference: Difference, attempted: Command) -> _Guess | None:
    """What is attempted may be recorded further on."""
    for index, issued in difference.later:
        if issued.command == attempted:
            if issued.deliveries == difference.recorded.deliveries:
                return MismatchCause.REORDERED, f"it is recorded too, as entry {index}"
            return (
                MismatchCause.REMOVED,
                f"what is asked for is recorded as entry {index}; what came before it is gone",
            )
    return None


def _guess_from_the_pair(difference: Difference, attempted: Command) -> _Guess | None:
    """What is attempted may be the recorded command in another form.

    That both stand on one line says nothing: what is inserted takes the line of what follows it.
    """
    if difference.recorded.deliveries != difference.deliveries:
        return None
    return _guess_from_the_arguments(difference.recorded.command, attempted)


def _guess_from_the_arguments(recorded: Command, attempted: Command) -> _Guess | None:
    match recorded, attempted:
        case Run(_, then), Run(_, now) if then and now and _code(then) == _code(now):
            return MismatchCause.RENAMED, "both run the same function"
        case Sleep(), Sleep():
            return MismatchCause.ARGUMENTS, "a timer of another duration"
        case (Call() as then, Call() as now) | (Send() as then, Send() as now):
            return _guess_from_the_calls(then, now)
        case CompleteAwakeable(), CompleteAwakeable():
            return MismatchCause.ARGUMENTS, "another awakeable, or another value"
        case (CompletePromise(then), CompletePromise(now)) | (
            SendSignal(_, then),
            SendSignal(_, now),
        ) if then == now:
            return MismatchCause.ARGUMENTS, "another value, or another receiver"
        case Cancel(), Cancel():
            return MismatchCause.REORDERED, "something else is cancelled first"
        case _:
            return None


def _guess_from_the_calls(then: Call | Send, now: Call | Send) -> _Guess | None:
    if then.target == now.target:
        if then.digest != now.digest:
            return MismatchCause.ARGUMENTS, "the same handler is given another argument"
        return MismatchCause.ARGUMENTS, "the same call with another delay"
    same_handler = then.target.service, then.target.handler
    if same_handler == (now.target.service, now.target.handler):
        return MismatchCause.ARGUMENTS, "the same handler is called at another key"
    if then.digest == now.digest and then.target.key == now.target.key:
        return MismatchCause.RENAMED, "the same argument goes to another handler"
    return None


def _code(place: str) -> str:
    """The fingerprint in a place; the place itself where there is none."""
    return split_place(place)[1] or place


# -- Words -----------------------------------------------------------------------------------


def _action_place(command: Command | None, source: str) -> str:
    if not isinstance(command, Run) or command.action is None:
        return ""
    place = split_place(command.action)[0]
    if place.startswith(":"):
        place = split_place(source)[0].rpartition(":")[0] + place
    return _clip(place, PLACE_CHARACTERS_MAX)


def _target(target: Target) -> str:
    key = "None" if target.key is None else _quote(target.key)
    return f"{_quote(target.service)}, {key}, {_quote(target.handler)}"


def _argument(digest: bytes, with_digest: bool) -> str:  # noqa: FBT001  # both callers name it
    return f"<{digest.hex()}>" if with_digest else "..."


def _quote(name: str) -> str:
    return json.dumps(_clip(name, NAME_CHARACTERS_MAX), ensure_ascii=False)


def _clip(text: str, characters_max: int) -> str:
    return text if len(text) <= characters_max else text[: characters_max - 3] + "..."


def _duration(due_ms: int, time_ms: int) -> str:
    """How long a timer is set for; until when, where it is not known from when."""
    if time_ms:
        return _seconds(due_ms - time_ms)
    try:
        return f"until {datetime.fromtimestamp(due_ms / 1000, UTC).isoformat()}"
    except (OverflowError, ValueError, OSError):
        return f"until {due_ms} ms"


def _seconds(milliseconds: int) -> str:
    if abs(milliseconds) < 120_000:
        return f"{milliseconds / 1000:g} s"
    try:
        return str(timedelta(milliseconds=milliseconds))
    except OverflowError:
        return f"{milliseconds / 1000:g} s"
