"""Waiting that cannot end: found when an invocation begins to wait, and refused.

It begins to wait when its handler does, and when it was delayed and takes its place behind others:
until it is due it can still move, so whoever attaches to it before is not refused.

An invocation that waits for nothing but calls, and for outcomes that it attached to, points at
those; what it has asked for and none of its tasks awaits moves nobody. One that stands in a mailbox
points at whoever holds the turn there. If, from an invocation that has just begun to wait, only
such invocations can be reached, nobody in that set will ever move. Anything else that is reachable
(a running attempt, a timer, a step, an awakeable, a promise, a signal, a delayed or a paused
invocation) can still move, so nothing is refused that could have ended: a call under a timeout is
no cycle, and neither is a send, which nobody waits for.

A cycle of calls always leads through a mailbox: somewhere in it a call stands behind its own
caller's chain and has not begun, so that call can be taken back whole. One who attached waits for
what somebody else made, which nobody may take back for it; there the waiting itself ends. Suspended
invocations count as resident ones do: what they wait for is in their ``waiting`` rows.
"""

from ..journal import keys
from ..journal.records import InvocationState
from ..objects.errors import DeadlockError
from ..objects.identity import INVOCATION_ID_BYTES, InvocationId
from .attachments import refuse_attached
from .cancellation import take_back
from .failures import failure_of
from .lifecycle import Lifecycle
from .open_invocation import OpenInvocation


def refuse_deadlock(lifecycle: Lifecycle, start: OpenInvocation) -> None:
    """If ``start`` has closed a cycle of waits, end one of them with an error that names it.

    ``start`` has just been recorded as waiting for its callees only; or, delayed until now, it has
    taken its place behind whoever holds the turn.
    """
    cycle = _find_cycle(lifecycle, start)
    if cycle is None:
        return
    failure = failure_of(_describe(lifecycle, cycle))
    for waiter, awaited in zip(cycle, [*cycle[1:], cycle[0]], strict=True):
        if _get(lifecycle, waiter).record.state is InvocationState.INBOXED:
            continue  # It waits for its turn, and asked for nothing.
        invocation = _get(lifecycle, awaited)
        if invocation.record.caller != waiter:
            refuse_attached(lifecycle, awaited, waiter, failure)
            return
        if invocation.record.state is InvocationState.INBOXED:
            take_back(lifecycle, awaited, failure)
            return
    message = "a cycle of calls without a mailbox in it"
    raise AssertionError(message)


def _find_cycle(lifecycle: Lifecycle, start: OpenInvocation) -> list[InvocationId] | None:
    """Those who wait for one another, from ``start`` on; ``None``: somebody of them can move."""
    came_from: dict[InvocationId, InvocationId] = {}
    cycle_end: InvocationId | None = None
    frontier = [start.id]
    seen = {start.id}
    while frontier:
        current = frontier.pop()
        followers = _waits_for(lifecycle, current)
        if followers is None:
            return None
        for follower in followers:
            if follower == start.id and cycle_end is None:
                cycle_end = current
            if follower not in seen:
                seen.add(follower)
                came_from[follower] = current
                frontier.append(follower)
    if cycle_end is None:
        # Everyone reachable is stuck, but not because of `start`; whoever closed that cycle was
        # refused, and its error is on the way.
        return None
    path = [cycle_end]
    while path[-1] != start.id:
        path.append(came_from[path[-1]])
    path.reverse()
    return path


def _waits_for(lifecycle: Lifecycle, id_: InvocationId) -> list[InvocationId] | None:
    """Whom alone ``id_`` waits for, or ``None`` when something else can move it."""
    invocation = lifecycle.find(id_)
    if invocation is None:
        return None
    if invocation.record.state is InvocationState.INBOXED:
        if invocation.object_ is None:
            return None
        holder = lifecycle.mailboxes.find_holder(invocation.object_)
        return None if holder is None else [holder]
    if not invocation.is_waiting or invocation.record.state is not InvocationState.BEGUN:
        return None
    row = lifecycle.commits.get(keys.waiting(id_)) or b""
    size = INVOCATION_ID_BYTES
    return [InvocationId(row[start : start + size]) for start in range(0, len(row), size)]


def _describe(lifecycle: Lifecycle, path: list[InvocationId]) -> DeadlockError:
    parts: list[str] = []
    for id_ in [*path, path[0]]:
        invocation = _get(lifecycle, id_)
        waits_for_turn = invocation.record.state is InvocationState.INBOXED
        link = "whose turn is held by" if waits_for_turn else "waits for"
        parts += [invocation.name, link]
    cycle = " ".join(parts[:-1])
    message = (
        f"this call would wait for ever: {cycle}. "
        f"Use send() where the result is not needed, a shared handler, or asyncio.timeout()"
    )
    return DeadlockError(message, status_code=409)


def _get(lifecycle: Lifecycle, id_: InvocationId) -> OpenInvocation:
    invocation = lifecycle.find(id_)
    assert invocation is not None, "a completed invocation waits"
    return invocation
