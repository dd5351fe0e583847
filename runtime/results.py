"""What a handler has ended with, as the outcome of its invocation."""

import asyncio
from dataclasses import replace
from typing import Any

from ..journal.entry import Failure
from ..objects.errors import TerminalError
from .cancellation import failure_of_end
from .failures import describe, failure_of, find_cause_of_cancel, find_terminal
from .odd_values import is_awaitable
from .open_invocation import OpenInvocation, Result
from .sources import find_raise

_CERTAINLY_VALUES = frozenset({bool, bytes, dict, float, int, list, str, type(None)})
"""Types of most results; to find that any other can be awaited takes a longer look."""


def result_of(main: asyncio.Task[Any], invocation: OpenInvocation, reason: str | None) -> Result:
    """The outcome of ``invocation``, whose handler's own task ``main`` has ended with one.

    ``reason``: why the handler was told to end, if it was.
    """
    if main.cancelled():
        if reason is not None:
            cause = find_cause_of_cancel(main)
            return failure_of_end(invocation, "canceled", reason, cause)
        return failure_of(TerminalError("the handler cancelled itself", status_code=409))
    error = main.exception()
    if error is not None:
        terminal = find_terminal(error)
        return failure_of(terminal) if terminal is not None else _failure_of_limit(error)
    value, handler = main.result(), invocation.handler
    assert handler is not None, "an attempt without code to run"
    if type(value) not in _CERTAINLY_VALUES and is_awaitable(value):
        message = f"{handler.name} returned something to await; did you forget `await`?"
        return failure_of(TerminalError(message, type_name="TypeError"))
    try:
        return handler.result.encode(value)
    except Exception as raised:  # noqa: BLE001  # a stranger's types may raise anything
        message = f"the result of {handler.name} cannot be encoded: {describe(raised)}"
        return failure_of(TerminalError(message, type_name=type(raised).__name__))


def _failure_of_limit(error: BaseException) -> Failure:
    """The outcome of a handler that let the end of a durable time limit pass.

    asyncio's error has no text of its own.
    """
    failure = failure_of(error)
    if failure.message != failure.type_name:
        return failure
    place = find_raise(error)
    return replace(failure, message=f"a time limit is over{f' (at {place})' if place else ''}")
