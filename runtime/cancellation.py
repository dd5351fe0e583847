"""Telling an invocation to end so that it can clean up, and what becomes of one that never began.

A cancellation of what has begun is an entry of its journal, delivered in its place like any other
delivery: the handler's own task is cancelled in its current await, once. What has not begun is
taken out of its mailbox, or its timer, and completes at once.

Whatever the handler gives up while it is being cancelled it hands the cancellation on to
(``commands``), one journal at a time: a callee that has begun sees to its own callees when its turn
comes, so a tree of any depth is canceled without recursion.

An invocation whose class is gone gets its entry, and acts on it when a start has the class back;
``control.kill`` needs no class.
"""

from ..journal import codec, keys
from ..journal.entry import Cancellation, Failure
from ..journal.records import InvocationState
from ..objects.errors import CanceledError, InvalidArgumentError
from ..objects.identity import InvocationId
from .failures import clean, failure_of
from .lifecycle import Lifecycle
from .open_invocation import Concluding, OpenInvocation
from .timers import forget_due

_NOT_BEGUN = frozenset({InvocationState.SCHEDULED, InvocationState.INBOXED})
_CALLER = "its caller "
_WAS_CANCELED = " was canceled: "


def cancel(lifecycle: Lifecycle, id_: InvocationId, reason: str) -> bool:
    """Tell an invocation to end; ``False``: it is over, was told before, or is ending by itself.

    Decided when this returns: rows are staged, and whoever is to see them is queued.
    """
    invocation = lifecycle.find(id_)
    return invocation is not None and _cancel(lifecycle, invocation, reason)


def cancel_callee(
    lifecycle: Lifecycle, id_: InvocationId, *, caller: OpenInvocation, reason: str
) -> None:
    """Tell the callee of a call that was just given up to end, because ``caller`` was told to."""
    callee = lifecycle.find(id_)
    if callee is None:
        return
    if callee.record.state in _NOT_BEGUN:
        # It completes in this decision, and its caller does not want to hear of it.
        callee.record.caller = None
    if reason.startswith(_CALLER):
        # Of a chain of callers the nearest is named, and the reason of the first.
        reason = reason.partition(_WAS_CANCELED)[2]
    _cancel(lifecycle, callee, f"{_CALLER}{caller.name}{_WAS_CANCELED}{reason}")


def _cancel(lifecycle: Lifecycle, invocation: OpenInvocation, reason: str) -> bool:
    if isinstance(invocation.attempt, Concluding):
        return False
    record = invocation.record
    if record.state in _NOT_BEGUN:
        _end_unbegun(lifecycle, invocation, failure_of_end(invocation, "canceled", reason))
        return True
    if record.details is not None and record.details.is_canceled:
        return False
    record.need_details().is_canceled = True
    if record.state is InvocationState.PAUSED or record.next_attempt_ms:
        lifecycle.rouse(invocation)
    lifecycle.commits.put(keys.invocation(invocation.id), record)
    cancellation = Cancellation(lifecycle.clock.now_ms(), reason)
    lifecycle.deliver(invocation, cancellation, codec.encode_cancellation(cancellation))
    return True


def take_back(lifecycle: Lifecycle, id_: InvocationId, failure: Failure) -> None:
    """Complete an invocation that has not begun with ``failure``; it runs nothing."""
    invocation = lifecycle.find(id_)
    assert invocation is not None, "took back what is not there"
    assert invocation.record.state in _NOT_BEGUN, "took back what has begun"
    _end_unbegun(lifecycle, invocation, failure)


def _end_unbegun(lifecycle: Lifecycle, invocation: OpenInvocation, failure: Failure) -> None:
    forget_due(lifecycle.timers, invocation)
    lifecycle.complete(invocation, failure)


def failure_of_end(
    invocation: OpenInvocation, how: str, reason: str, cause: BaseException | None = None
) -> Failure:
    """The outcome of an invocation that was ``how`` ("canceled", "killed")."""
    why = f": {reason}" if reason else ""
    error = CanceledError(f"{invocation.name} was {how}{why}", status_code=409)
    error.__cause__ = cause
    return failure_of(error)


def check_reason(reason: object) -> str:
    """``reason`` as it can be recorded.

    Raises:
        InvalidArgumentError: it is no text.
    """
    if not isinstance(reason, str):
        message = f"a reason is a str, but this is {type(reason).__name__}: {reason!r:.80}"
        raise InvalidArgumentError(message)
    return clean(reason)
