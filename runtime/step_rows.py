"""Rows of steps that nobody runs right now, and their timers."""

from collections.abc import Container

from ..journal import keys
from ..journal.records import StepRecord, StepState, decode_step
from ..objects.identity import InvocationId
from .lifecycle import Lifecycle


def forget_row(lifecycle: Lifecycle, invocation_id: InvocationId, index: int) -> None:
    """Delete the row of a step, if it has one, and the timer of its next attempt."""
    key = keys.step(invocation_id, index)
    row = lifecycle.commits.get(key)
    if row is None:
        return
    lifecycle.commits.delete(key)
    record = decode_step(row)
    if record.next_attempt_ms:
        lifecycle.timers.remove(record.next_attempt_ms, invocation_id, index)


def begin_anew(lifecycle: Lifecycle, invocation_id: InvocationId, running: Container[int]) -> None:
    """Set the counters of an invocation's steps to zero, but for those that run.

    What waited for a person runs again. A step that was left unknown otherwise follows its own
    policy, as after any crash.
    """
    start, end = keys.prefix_range(keys.STEP + invocation_id)
    for key, row in list(lifecycle.commits.scan(start, end)):
        index = int.from_bytes(key[-4:], "big")
        if index in running:
            continue
        record = decode_step(row)
        forget_row(lifecycle, invocation_id, index)
        is_approved = record.state is StepState.HELD
        again = StepRecord(
            state=StepState.NOT_STARTED if is_approved else record.state,
            attempt=record.attempt + is_approved,
            last_failure=record.last_failure,
            details=record.details,
            failed_ms=record.failed_ms,
        )
        lifecycle.commits.put(key, again)
