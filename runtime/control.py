"""What a person decides about one invocation: kill it, pause it, have it tried again now.

Each function is one decision about an invocation that may be anywhere: in memory or not, with an
action under way or not, waiting in a mailbox. What is told to end so that it can clean up is
``cancellation``.
"""

import logging

from msgspec.structs import replace

from ..journal import codec, keys
from ..journal.entry import Call, Cancel, Completion, Issued
from ..journal.records import InvocationState, TimerKind, decode_step
from ..objects.errors import ConflictError, UnknownTargetError
from ..objects.identity import InvocationId, format_invocation_id
from .attachments import describe_unknown
from .cancellation import failure_of_end
from .core import Core
from .invocation_info import PAUSED_BY_HAND
from .lifecycle import Lifecycle
from .open_invocation import Concluding, OpenInvocation
from .timers import forget_due


def kill(core: Core, id_: InvocationId, reason: str) -> bool:
    """End an invocation and all that it waits for, now and without clean-up; ``False``: it is over.

    Everything it called and still waits for is found in the journals, whether it runs, is suspended
    or waits somewhere. Actions are told to end, and nobody waits until they do.

    Raises:
        UnknownTargetError: there is no such invocation.
    """
    lifecycle = core.lifecycle
    if lifecycle.find(id_) is None:
        check_known(core, id_)
        return False
    doomed = [id_]
    for each in doomed:
        doomed += _find_callees(lifecycle, each)
    # Callees first, so that none of them gets the turn that its caller gives up.
    for each in reversed(doomed):
        invocation = lifecycle.find(each)
        if invocation is None:
            continue
        why = reason
        if each != id_:
            why = f"{format_invocation_id(id_)}, for which it worked, was killed"
            invocation.record.caller = None  # It is killed in this decision, too.
        core.attempts.abandon(invocation)
        lifecycle.withdraw_open(invocation)
        forget_due(lifecycle.timers, invocation)
        lifecycle.complete(invocation, failure_of_end(invocation, "killed", why))
    return True


def pause(core: Core, id_: InvocationId) -> bool:
    """Stop an invocation where it is until it is resumed; ``False``: it is paused, or is ending.

    It keeps its turn. Actions that run go on, and their results are recorded.

    Raises:
        UnknownTargetError: there is no such invocation, or it is completed.
        ConflictError: it has not begun.
    """
    invocation = _get(core, id_)
    state = invocation.record.state
    if state in {InvocationState.SCHEDULED, InvocationState.INBOXED}:
        message = (
            f"{invocation.name} has not begun, so there is nothing to pause; cancel() takes it back"
        )
        raise ConflictError(message)
    if state is InvocationState.PAUSED or isinstance(invocation.attempt, Concluding):
        return False
    core.attempts.drop(invocation)
    core.lifecycle.pause(invocation, PAUSED_BY_HAND, level=logging.INFO)
    return True


def resume(core: Core, id_: InvocationId) -> bool:
    """Try now what is paused or waits for its next attempt; ``False``: nothing of that is so.

    Raises:
        UnknownTargetError: there is no such invocation, or it is completed.
    """
    invocation = _get(core, id_)
    record = invocation.record
    if record.state is InvocationState.BEGUN and not record.next_attempt_ms:
        return _hurry_steps(core.lifecycle, id_)
    if record.state in {InvocationState.SCHEDULED, InvocationState.INBOXED}:
        return False
    core.attempts.steps.resume(invocation)
    core.lifecycle.resume(invocation)
    return True


def check_known(core: Core, id_: InvocationId) -> None:
    """Look whether an invocation that is not open is completed.

    Raises:
        UnknownTargetError: there is none, or it was kept long enough.
    """
    if core.lifecycle.outcomes.find(id_) is None:
        raise UnknownTargetError(describe_unknown(id_))


def _get(core: Core, id_: InvocationId) -> OpenInvocation:
    invocation = core.lifecycle.find(id_)
    if invocation is None:
        message = f"{format_invocation_id(id_)} does not exist or is completed"
        raise UnknownTargetError(message)
    return invocation


def _find_callees(lifecycle: Lifecycle, id_: InvocationId) -> list[InvocationId]:
    """Whom an invocation has called and neither heard from nor given up."""
    callees: dict[int, InvocationId] = {}
    for key, row in lifecycle.commits.scan(*keys.prefix_range(keys.JOURNAL + id_)):
        tag = codec.tag_of(row)
        if tag != codec.CALL and not (callees and tag in codec.ANSWERS):
            continue  # A journal may be long, and everybody waits.
        match codec.decode_entry(row):
            case Issued(Call(_, _, callee)):
                callees[int.from_bytes(key[-4:], "big")] = callee
            case Issued(Cancel(index)) | Completion(index):
                callees.pop(index, None)
            case _:
                pass
    return list(callees.values())


def _hurry_steps(lifecycle: Lifecycle, id_: InvocationId) -> bool:
    """Make the next attempts of steps due, their counters at zero; ``False``: none waits for it."""
    now_ms = lifecycle.clock.now_ms()
    was_found = False
    for key, row in list(lifecycle.commits.scan(*keys.prefix_range(keys.STEP + id_))):
        record = decode_step(row)
        if record.next_attempt_ms > now_ms:
            index = int.from_bytes(key[-4:], "big")
            lifecycle.timers.remove(record.next_attempt_ms, id_, index)
            lifecycle.timers.add(now_ms, id_, index, TimerKind.STEP_RETRY)
            # As `Steps.resume` does it: its attempts and its time are counted from here.
            again = replace(record, next_attempt_ms=now_ms, failures=0, began_ms=0)
            lifecycle.commits.put(key, again)
            was_found = True
    return was_found
