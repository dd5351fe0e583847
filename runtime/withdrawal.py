"""Taking back all that could still complete a command of an invocation, from its rows alone.

An attempt that ends takes back what it has issued itself; this is for an invocation that ends
without its last attempt having issued everything again. It knows what each kind of command left
behind, and decides nothing.
"""

from ..journal import codec, keys
from ..journal.entry import Attach, AwaitPromise, Issued, Sleep
from ..journal.records import decode_awakeable, decode_step
from ..objects.identity import AwakeableId, InvocationId
from .commits import Commits
from .open_invocation import OpenInvocation
from .timers import Timers

_WITH_ROWS = frozenset({codec.SLEEP, codec.AWAIT, codec.ATTACH})
"""Commands whose rows only the journal leads to; a journal may be long, and everybody waits."""


def close_awakeable(awakeable: AwakeableId, commits: Commits, timers: Timers) -> bool:
    """Take back an awakeable and its deadline; ``False``: it is not open."""
    key = keys.awakeable(awakeable.invocation_id, awakeable.index)
    row = commits.get(key)
    if row is None:
        return False
    commits.delete(key)
    due_ms = decode_awakeable(row).due_ms
    if due_ms:
        timers.remove(due_ms, awakeable.invocation_id, awakeable.index)
    return True


def forget_signals(id_: InvocationId, commits: Commits) -> None:
    """Delete the signals that an invocation has not awaited, and what is noted of others."""
    for prefix in (keys.SIGNAL + id_, keys.SIGNALLED + id_):
        for key, _ in list(commits.scan(*keys.prefix_range(prefix))):
            commits.delete(key)


def withdraw_open(  # one case for each kind of row
    invocation: OpenInvocation, commits: Commits, timers: Timers
) -> None:
    """As ``Lifecycle.withdraw_open``."""
    id_ = invocation.id
    for key, _ in list(commits.scan(*keys.prefix_range(keys.AWAKEABLE + id_))):
        index = int.from_bytes(key[-4:], "big")
        close_awakeable(AwakeableId(id_, index), commits, timers)
    for prefix in (keys.MESSAGE + id_, keys.REISSUE + id_):
        for key, _ in list(commits.scan(*keys.prefix_range(prefix))):
            commits.delete(key)
    forget_signals(id_, commits)
    for key, row in list(commits.scan(*keys.prefix_range(keys.STEP + id_))):
        due_ms = decode_step(row).next_attempt_ms
        if due_ms:
            timers.remove(due_ms, id_, int.from_bytes(key[-4:], "big"))
        commits.delete(key)
    found = commits.scan(*keys.prefix_range(keys.JOURNAL + id_))
    for key, row in [each for each in found if codec.tag_of(each[1]) in _WITH_ROWS]:
        entry = codec.decode_entry(row)
        assert isinstance(entry, Issued), "a tag of a command on something else"
        index = int.from_bytes(key[-4:], "big")
        match entry.command:
            case Sleep(due_ms):
                timers.remove(due_ms, id_, index)
            case AwaitPromise(name):
                assert invocation.object_ is not None, "a promise of a service"
                commits.delete(keys.promised(invocation.object_, name, id_, index))
            case Attach(awaited):
                commits.delete(keys.attached(awaited, id_, index))
            case _:
                pass
