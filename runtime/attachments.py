"""Waiting for the outcome of an invocation that somebody else made.

Whoever attaches is a row beside the invocation it waits for, and a mark in that one's own row, so
that one which nobody attached to completes without looking. Both rows and the mark are staged with
the command, so whichever of attaching and completing is decided first, the second sees it.
``Outcomes.take_attached`` is what a completion finds.
"""

from ..journal import keys
from ..journal.entry import Failure
from ..objects.errors import TerminalError
from ..objects.identity import InvocationId, format_invocation_id
from .failures import failure_of
from .lifecycle import Lifecycle
from .open_invocation import OpenInvocation, Result
from .raw_results import as_json


def attach(
    lifecycle: Lifecycle, waiter: OpenInvocation, index: int, id_: InvocationId
) -> Result | None:
    """Have command ``index`` of ``waiter`` completed with the outcome of ``id_``.

    Gives what it is to be completed with now, where that is known already: the outcome, or why
    there will be none.
    """
    invocation = lifecycle.find(id_)
    if invocation is None:
        outcome = lifecycle.outcomes.find(id_)
        if outcome is None:
            return _refusal(describe_unknown(id_), 404)
        if outcome.result is None:
            return _refusal(describe_lost(id_), 410)
        return as_json(lifecycle.registry.find_code(outcome.target)[1], outcome.result)
    details = invocation.record.need_details()
    if not details.is_attached:
        details.is_attached = True
        lifecycle.commits.put(keys.invocation(id_), invocation.record)
    lifecycle.commits.put_new(keys.attached(id_, waiter.id, index), b"")
    return None


def refuse_attached(
    lifecycle: Lifecycle, id_: InvocationId, waiter: InvocationId, failure: Failure
) -> None:
    """Complete with ``failure`` whatever command of ``waiter`` awaits the outcome of ``id_``."""
    prefix = keys.ATTACHED + id_ + waiter
    for key, _ in list(lifecycle.commits.scan(*keys.prefix_range(prefix))):
        lifecycle.commits.delete(key)
        lifecycle.complete_command(waiter, int.from_bytes(key[-4:], "big"), failure)


def describe_unknown(id_: InvocationId) -> str:
    """What whoever names an invocation that there is not is told."""
    return f"{format_invocation_id(id_)} does not exist, or is completed and no longer kept"


def describe_lost(id_: InvocationId) -> str:
    """What whoever asks for a result that was too large to be kept is told."""
    return (
        f"{format_invocation_id(id_)} is completed, and its result was not kept: a large result of "
        f"a call without steps is kept only where the call has an idempotency key; give it one"
    )


def _refusal(message: str, status_code: int) -> Failure:
    return failure_of(TerminalError(message, status_code=status_code))
