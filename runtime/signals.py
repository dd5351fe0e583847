"""Signals: sent to an invocation by name, in order, and given to whoever awaits one there.

For one name of one invocation there are either signals that nobody awaits yet or commands that
await one, never both: whoever comes second meets the other. Both are rows, first come first.

A signal is taken by a command when its completion is written, and the handler sees it when that is
delivered. A handler that gives the wait up in between, because a timeout was delivered first, must
not lose the signal: it is given back, to the place it was first taken from, and the next command
gets it. A place is a sequence, as in a mailbox; that of a signal which is given back is the journal
index at which it was first taken, which is smaller than any sequence and keeps their order. A
command that has taken such a signal keeps the place in its own row, for the next time.
"""

from itertools import islice

from ..journal import keys
from ..journal.records import SignalRecord, decode_signal
from ..objects.identity import InvocationId
from .commits import Commits
from .journal_reads import find_completion
from .lifecycle import Lifecycle
from .open_invocation import OpenInvocation, Result

_SEQUENCES = 1 << 32
"""Places below are journal indexes."""


def is_full(commits: Commits, id_: InvocationId, name: str, maximum: int) -> bool:
    """Whether a signal of that name would be one more than ``maximum`` that nobody awaits yet."""
    if _find_waiter(commits, id_, name) is not None:
        return False
    kept = commits.scan(*keys.prefix_range(keys.SIGNAL + id_))
    return sum(1 for _ in islice(kept, maximum)) >= maximum


def send_signal(lifecycle: Lifecycle, id_: InvocationId, name: str, result: Result) -> bool:
    """Give a signal to the command that awaits it longest, or keep it for the next one.

    ``False``: there is no such invocation, or it is completed. Nothing was changed.
    """
    invocation = lifecycle.find(id_)
    if invocation is None:
        return False
    _hand_on(lifecycle, invocation, name, lifecycle.next_sequence(), result)
    return True


def take_signal(
    lifecycle: Lifecycle, invocation: OpenInvocation, name: str, index: int
) -> Result | None:
    """What the new command ``index`` is completed with; ``None``: it waits from now on."""
    commits = lifecycle.commits
    prefix = keys.SIGNAL + invocation.id + keys.text(name)
    first = next(iter(commits.scan(*keys.prefix_range(prefix))), None)
    if first is None:
        commits.put_new(keys.signalled(invocation.id, name, index), b"")
        return None
    key, row = first
    commits.delete(key)
    _keep_place(lifecycle, invocation, name, index, int.from_bytes(key[-8:], "big"))
    return decode_signal(row).result


def stop_waiting(lifecycle: Lifecycle, invocation: OpenInvocation, name: str, index: int) -> None:
    """Command ``index`` was cancelled; a signal that it has and nobody saw goes to the next one."""
    commits = lifecycle.commits
    key = keys.signalled(invocation.id, name, index)
    row = commits.get(key)
    if row is not None:
        commits.delete(key)
    if row == b"":
        return
    taken = find_completion(commits, invocation.id, index)
    assert taken is not None, "a wait for a signal that has neither a row nor an end"
    taken_at, completion = taken
    assert completion.result is not None, "a signal without a result"
    place = int.from_bytes(row, "big") if row else taken_at
    _hand_on(lifecycle, invocation, name, place, completion.result)


def _hand_on(
    lifecycle: Lifecycle, invocation: OpenInvocation, name: str, place: int, result: Result
) -> None:
    commits, id_ = lifecycle.commits, invocation.id
    waiter = _find_waiter(commits, id_, name)
    if waiter is None:
        _mark(lifecycle, invocation)
        commits.put_new(keys.signal(id_, name, place), SignalRecord(result))
        return
    commits.delete(keys.signalled(id_, name, waiter))
    _keep_place(lifecycle, invocation, name, waiter, place)
    lifecycle.complete_command(id_, waiter, result)


def _keep_place(
    lifecycle: Lifecycle, invocation: OpenInvocation, name: str, index: int, place: int
) -> None:
    if place < _SEQUENCES:
        _mark(lifecycle, invocation)
        lifecycle.commits.put(keys.signalled(invocation.id, name, index), keys.u64(place))


def _find_waiter(commits: Commits, id_: InvocationId, name: str) -> int | None:
    prefix = keys.SIGNALLED + id_ + keys.text(name)
    for key, row in commits.scan(*keys.prefix_range(prefix)):
        if not row:
            return int.from_bytes(key[-4:], "big")
    return None


def _mark(lifecycle: Lifecycle, invocation: OpenInvocation) -> None:
    """Note that there are rows which the end of the invocation has to look for."""
    details = invocation.record.need_details()
    if not details.has_signals:
        details.has_signals = True
        lifecycle.commits.put(keys.invocation(invocation.id), invocation.record)
