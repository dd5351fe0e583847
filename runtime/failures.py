"""Exceptions as they are recorded, and the same exceptions rebuilt from the record.

What a handler catches is always rebuilt, on the first pass as on every replay, so that code cannot
come to depend on something the journal does not hold. Only text is kept: never a pickle.
"""

from ..journal.entry import Failure
from ..objects.errors import (
    DeadlockError,
    HoldfastError,
    OutcomeUnknownError,
    StepFailedError,
    TerminalError,
)

MESSAGE_CHARACTERS_MAX = 16_384
CAUSES_MAX = 8

_KINDS: dict[str, type[TerminalError]] = {
    kind.code: kind for kind in (TerminalError, StepFailedError, OutcomeUnknownError, DeadlockError)
}


def failure_of(error: BaseException, kind: type[TerminalError] | None = None) -> Failure:
    """The record of ``error``; rebuilt as ``kind`` where that is given."""
    if isinstance(error, TerminalError):
        return Failure(
            kind=(kind or type(error)).code,
            status_code=error.status_code,
            message=_text(error),
            type_name=error.type_name,
            metadata=tuple((str(key), str(value)) for key, value in error.metadata.items()),
            cause=error.cause or _causes(error),
        )
    return Failure(
        kind=(kind or TerminalError).code,
        status_code=500,
        message=_text(error),
        type_name=type(error).__name__,
        cause=_causes(error),
    )


def error_of(failure: Failure) -> TerminalError:
    """The exception that ``failure`` records; a kind of a later release becomes its base."""
    return _KINDS.get(failure.kind, TerminalError)(
        failure.message,
        status_code=failure.status_code,
        metadata=dict(failure.metadata),
        type_name=failure.type_name,
        cause=failure.cause,
    )


def find_terminal(error: BaseException) -> TerminalError | None:
    """The terminal error that ``error`` is, or that a group of nothing else says first.

    A task group raises what its tasks raised as a group; a handler that lets it pass means to end
    with it.
    """
    if isinstance(error, TerminalError):
        return error
    if not isinstance(error, BaseExceptionGroup):
        return None
    terminals = [find_terminal(each) for each in error.exceptions]
    return terminals[0] if None not in terminals else None


def _causes(error: BaseException) -> tuple[tuple[str, str], ...]:
    causes: list[tuple[str, str]] = []
    seen = {id(error)}
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    while cause is not None and id(cause) not in seen and len(causes) < CAUSES_MAX:
        seen.add(id(cause))
        causes.append((type(cause).__name__, _text(cause)))
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return tuple(causes)


def _text(error: BaseException) -> str:
    try:
        text = error.message if isinstance(error, HoldfastError) else str(error)
    except Exception as raised:  # noqa: BLE001  # a user's __str__ may raise anything
        text = f"(its message cannot be shown: {type(raised).__name__})"
    # A lone surrogate could not be written as UTF-8.
    text = text.encode(errors="replace").decode()
    if len(text) > MESSAGE_CHARACTERS_MAX:
        return text[:MESSAGE_CHARACTERS_MAX] + " ... (cut)"
    return text
