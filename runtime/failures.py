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
LINE_CHARACTERS_MAX = 500
CAUSES_MAX = 8
STATUS_MAX = 1 << 31

_KINDS: dict[str, type[TerminalError]] = {
    kind.code: kind for kind in (TerminalError, StepFailedError, OutcomeUnknownError, DeadlockError)
}


def failure_of(error: BaseException, kind: type[TerminalError] | None = None) -> Failure:
    """The record of ``error``; rebuilt as ``kind`` where that is given."""
    if isinstance(error, TerminalError):
        # A subclass may have put anything in these, and the record must be writable.
        status_code: object = error.status_code
        if not isinstance(status_code, int) or not 0 <= status_code < STATUS_MAX:
            status_code = 500
        metadata: object = error.metadata
        pairs = list(metadata.items()) if isinstance(metadata, dict) else []
        causes = error.cause if isinstance(error.cause, tuple) else ()
        return Failure(
            kind=(kind or type(error)).code,
            status_code=int(status_code),
            message=_text(error),
            type_name=_clean(str(error.type_name)),
            metadata=tuple((_shown(key), _shown(value)) for key, value in pairs),
            cause=tuple((_shown(name), _shown(text)) for name, text in causes) or _causes(error),
        )
    return Failure(
        kind=(kind or TerminalError).code,
        status_code=500,
        message=_text(error),
        type_name=type(error).__name__,
        cause=_causes(error),
    )


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


def describe(error: BaseException) -> str:
    """One short line about an exception, for rows and logs."""
    text = _text(error)
    if len(text) > LINE_CHARACTERS_MAX:
        text = text[:LINE_CHARACTERS_MAX] + " ..."
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def _text(error: BaseException) -> str:
    return _shown(error.message if isinstance(error, HoldfastError) else error)


def _shown(value: object) -> str:
    try:
        text = str(value)
    except Exception as raised:  # noqa: BLE001  # a user's __str__ may raise anything
        text = f"(it cannot be shown: {type(raised).__name__})"
    return _clean(text)


def _clean(text: str) -> str:
    """``text`` as it can be written: a lone surrogate has no UTF-8."""
    text = text.encode(errors="replace").decode()
    if len(text) > MESSAGE_CHARACTERS_MAX:
        return text[:MESSAGE_CHARACTERS_MAX] + " ... (cut)"
    return text
