"""Promises of workflows: completed once, by whoever comes first, and told to all who wait.

A completed promise is a row, and so is everyone who awaits one that is not completed yet; there is
nothing else, in memory or on disk. A promise knows nothing of ``run``: it may be completed before
that was started and after it has ended.
"""

from ..journal import keys
from ..journal.records import PromiseRecord, decode_promise
from ..objects.identity import INVOCATION_ID_BYTES, InvocationId
from . import workflows
from .commits import Commits
from .lifecycle import Lifecycle
from .open_invocation import OpenInvocation, Result


def find_promise(commits: Commits, object_: bytes, name: str) -> Result | None:
    """What a promise was completed with; ``None``: it is not, or is forgotten with its workflow."""
    row = commits.get(keys.promise(object_, name))
    if row is None or workflows.is_forgotten(commits, object_):
        return None
    return decode_promise(row).result


def add_waiter(commits: Commits, waiter: OpenInvocation, name: str, index: int) -> None:
    """Have command ``index`` of ``waiter`` completed with the promise, which is not completed."""
    commits.put_new(_waiter_key(waiter, name, index), b"")


def remove_waiter(commits: Commits, waiter: OpenInvocation, name: str, index: int) -> None:
    """Forget that command ``index`` of ``waiter`` awaits the promise, if it still does."""
    commits.delete(_waiter_key(waiter, name, index))


def complete_promise(lifecycle: Lifecycle, object_: bytes, name: str, result: Result) -> bool:
    """Complete a promise and every command that awaits it; ``False``: it was completed before."""
    commits = lifecycle.commits
    workflows.make_way(commits, object_)
    key = keys.promise(object_, name)
    if commits.get(key) is not None:
        return False
    commits.put_new(key, PromiseRecord(lifecycle.clock.now_ms(), result))
    prefix = keys.PROMISED + object_ + keys.text(name)
    for waiter, _ in list(commits.scan(*keys.prefix_range(prefix))):
        commits.delete(waiter)
        named = waiter[len(prefix) :]
        id_ = InvocationId(named[:INVOCATION_ID_BYTES])
        lifecycle.complete_command(id_, int.from_bytes(named[INVOCATION_ID_BYTES:], "big"), result)
    return True


def describe_completed(workflow: str, name: str) -> str:
    """What whoever completes a promise of ``workflow`` a second time is told."""
    return f"the promise {name!r} of {workflow} was completed before; its first completion stands"


def _waiter_key(waiter: OpenInvocation, name: str, index: int) -> bytes:
    assert waiter.object_ is not None, "a promise of a service"
    return keys.promised(waiter.object_, name, waiter.id, index)
