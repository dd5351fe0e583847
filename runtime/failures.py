"""Exceptions as they are recorded, and the same exceptions rebuilt from the record.

What a handler catches is always rebuilt, on the first pass as on every replay, so that code cannot
come to depend on something the journal does not hold. Only text is kept: never a pickle.

A failure that passes from object to object stays what it is: its status, message and metadata, what
caused it, and which invocation was the first to end with it. One that is raised from another has
the other one, with all that is known of it, among its causes, and its origin.
"""

import asyncio
from asyncio import CancelledError
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from ..journal.entry import Failure
from ..objects.errors import (
    AwakeableExpiredError,
    CanceledError,
    DeadlockError,
    HoldfastError,
    OutcomeUnknownError,
    StepFailedError,
    TerminalError,
)
from ..objects.groups import is_a, leaves_of
from ..objects.identity import AwakeableId, InvocationId, Origin, Target, format_invocation_id
from .anyio_parts import ends_a_limit
from .forbidden import is_asyncio_file, shown

MESSAGE_CHARACTERS_MAX = 16_384
LINE_CHARACTERS_MAX = 500
CAUSES_MAX = 8
STATUS_MAX = 1 << 31

_KINDS: dict[str, type[TerminalError]] = {
    kind.code: kind
    for kind in (
        TerminalError,
        StepFailedError,
        OutcomeUnknownError,
        DeadlockError,
        CanceledError,
        AwakeableExpiredError,
    )
}


_items_of: Callable[[Any], Iterable[tuple[object, object]]] = vars(dict)["items"]
_CAUSE, _CONTEXT, _SUPPRESS_CONTEXT = (
    vars(BaseException)[name] for name in ("__cause__", "__context__", "__suppress_context__")
)


def failure_of(error: BaseException, kind: type[TerminalError] | None = None) -> Failure:
    """The record of ``error``; rebuilt as ``kind`` where that is given."""
    if is_a(error, TerminalError):
        # A subclass may have put anything in these, and the record must be writable.
        status_code: object = _read(error, "status_code")
        # As an exact number, and a plain look at the dict: a subclass may answer anything.
        status = int.__int__(status_code) if isinstance(status_code, int) else 500
        metadata: object = _read(error, "metadata")
        pairs = list(_items_of(metadata)) if isinstance(metadata, dict) else []
        return Failure(
            kind=(kind or type(error)).code,
            status_code=status if 0 <= status < STATUS_MAX else 500,
            message=_text(error),
            type_name=_type_name(error),
            metadata=tuple((_shown(key), _shown(value)) for key, value in pairs),
            cause=_recorded_causes(error) or _causes(error),
            origin=_origin(error),
        )
    return Failure(
        kind=(kind or TerminalError).code,
        status_code=500,
        # Many say nothing else, such as asyncio's TimeoutError.
        message=_text(error) or type(error).__name__,
        type_name=type(error).__name__,
        cause=_causes(error),
        origin=_origin(error),
    )


def expiry_of(id_: InvocationId, index: int) -> Failure:
    """The recorded end of an awakeable whose deadline has passed."""
    message = f"{AwakeableId(id_, index)} was not resolved before its deadline"
    return failure_of(AwakeableExpiredError(message, status_code=408))


def conflict(message: str) -> Failure:
    """The recorded form of what outside is a ``ConflictError``."""
    return failure_of(TerminalError(message, status_code=409, type_name="ConflictError"))


def error_of(failure: Failure) -> TerminalError:
    """The exception that ``failure`` records; a kind of a later release becomes its base."""
    return _KINDS.get(failure.kind, TerminalError)(
        failure.message,
        status_code=failure.status_code,
        metadata=dict(failure.metadata),
        type_name=failure.type_name,
        cause=failure.cause,
        origin=failure.origin,
    )


def failure_of_invocation(failure: Failure, target: Target, id_: InvocationId) -> Failure:
    """``failure`` as the outcome of an invocation, which is its origin unless it has one."""
    if failure.origin is not None:
        return failure
    return replace(failure, origin=Origin(target, format_invocation_id(id_)))


def describe_outcome(failure: Failure, id_: InvocationId) -> str:
    """What an invocation failed with, and who first did where that was another one, for logs."""
    origin = failure.origin
    if origin is None or origin.invocation_id == format_invocation_id(id_):
        return failure.message
    return f"{failure.message} (from {origin})"


def comes_again(error: BaseException) -> bool:
    """Whether every attempt that follows the same journal raises ``error`` in the same place.

    That is so for what the journal itself holds: a terminal error, a cancellation, and a time limit
    of asyncio's or anyio's, whose timer is durable; and for a group of nothing else.
    """
    return all(_comes_again(each) for each in leaves_of(error))


def _comes_again(error: BaseException) -> bool:
    if is_a(error, TerminalError) or is_a(error, CancelledError):
        return True  # Also of an awakeable that expired, which is a time limit as well.
    if not is_a(error, TimeoutError):
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    frame = trace.tb_frame
    return is_asyncio_file(frame.f_code.co_filename) or ends_a_limit(frame)


def find_terminal(error: BaseException) -> TerminalError | None:
    """The terminal error that ``error`` is, or that a group of nothing else says first.

    A task group raises what its tasks raised as a group; a handler that lets it pass means to end
    with it.
    """
    if is_a(error, TerminalError):
        return error
    leaves = leaves_of(error)
    terminals = [each for each in leaves if is_a(each, TerminalError)]
    return terminals[0] if len(terminals) == len(leaves) else None


def find_cause_of_cancel(task: asyncio.Task[Any]) -> BaseException | None:
    """What a cancelled task was handling when its cancellation was raised, if anything."""
    try:
        task.exception()
    except asyncio.CancelledError as error:
        cause = _raised_from(error, is_context_shown=True)
        return None if cause is not None and is_a(cause, CancelledError) else cause
    return None


def _causes(error: BaseException) -> tuple[tuple[str, str], ...]:
    causes: list[tuple[str, str]] = []
    for cause in _chain(error):
        if not is_a(cause, TerminalError):
            causes.append((type(cause).__name__, _text(cause)))
            continue
        causes.append((_type_name(cause), _text(cause)))
        recorded = _recorded_causes(cause)
        if recorded:
            # It comes from a record, which knows better than Python what led to it.
            causes += recorded
            break
    return tuple(causes[:CAUSES_MAX])


def _origin(error: BaseException) -> Origin | None:
    for each in (error, *_chain(error)):
        origin = _read(each, "origin") if is_a(each, TerminalError) else None
        if isinstance(origin, Origin):
            return origin
    return None


def _type_name(error: TerminalError) -> str:
    return _shown(_read(error, "type_name") or type(error).__name__)


def _recorded_causes(error: TerminalError) -> tuple[tuple[str, str], ...]:
    causes: object = _read(error, "cause")
    pairs: tuple[Any, ...] = causes if isinstance(causes, tuple) else ()
    found: list[tuple[str, str]] = []
    for cause in pairs:
        match cause:
            case (name, text):
                found.append((_shown(name), _shown(text)))
            case _:
                pass
    return tuple(found)


def _read(error: BaseException, name: str) -> Any:
    """An attribute, ``None`` without one: a class of its own may not call our constructor."""
    try:
        return getattr(error, name, None)
    except Exception:  # noqa: BLE001  # or it is a property, which may raise anything
        return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """What ``error`` was raised from, what that was raised from, and so on."""
    seen = {id(error)}
    cause = _raised_from(error)
    while cause is not None and id(cause) not in seen and len(seen) <= CAUSES_MAX:
        seen.add(id(cause))
        yield cause
        cause = _raised_from(cause)


def _raised_from(
    error: BaseException, *, is_context_shown: bool | None = None
) -> BaseException | None:
    """Read past what a class of its own may have put in front, and without asking if it is true."""
    cause: BaseException | None = _CAUSE.__get__(error)
    if cause is not None:
        return cause
    if is_context_shown is None:
        is_context_shown = not _SUPPRESS_CONTEXT.__get__(error)
    context: BaseException | None = _CONTEXT.__get__(error)
    return context if is_context_shown else None


def describe(error: BaseException, type_name: str = "") -> str:
    """One short line about an exception, for rows and logs; by its own name if none is given."""
    text = _text(error)
    if len(text) > LINE_CHARACTERS_MAX:
        text = text[:LINE_CHARACTERS_MAX] + " ..."
    name = clean(type_name) or type(error).__name__
    return f"{name}: {text}" if text else name


def _text(error: BaseException) -> str:
    if is_a(error, BaseExceptionGroup):
        # By itself it says only how many there are.
        leaves = [describe(each) for each in leaves_of(error)[:CAUSES_MAX]]
        return clean(f"{_shown(error)}: {'; '.join(leaves)}")
    message = _read(error, "message") if is_a(error, HoldfastError) else None
    return _shown(error if message is None else message)


def _shown(value: object) -> str:
    return clean(shown(value))


def clean(text: str) -> str:
    """``text`` as it can be written: a lone surrogate has no UTF-8."""
    text = text.encode(errors="replace").decode()
    if len(text) > MESSAGE_CHARACTERS_MAX:
        return text[:MESSAGE_CHARACTERS_MAX] + " ... (cut)"
    return text
