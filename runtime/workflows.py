"""A workflow's key: who started it, what a second start is told, what goes when it is forgotten.

The ``workflow`` row is written in the decision that accepts ``run``, a delayed one included, and
names that invocation. It is there until the workflow is forgotten; then everything that belongs to
the key goes with it, and the key can be used again.

This module knows rows. It does not know when a workflow has been kept long enough.
"""

import sys

from ..journal import keys
from ..journal.entry import Failure
from ..journal.records import decode_remains
from ..objects.identity import InvocationId, Target, format_invocation_id
from .commits import Commits
from .failures import conflict
from .history_marks import close_history


def find_started(commits: Commits, target: Target) -> InvocationId | None:
    """The invocation of ``run`` at the key that ``target`` names, if there is or was one.

    One that is forgotten is none; see ``make_way``.
    """
    return make_way(commits, _object_of(target))


def make_way(commits: Commits, object_: bytes) -> InvocationId | None:
    """See that nothing of a forgotten workflow is left at a key; gives the one that is there.

    It is deleted a slice at a time, when nobody is at work. What begins at the key meanwhile must
    not be answered with what is forgotten, see any of it, or go with it: so the rest goes in this
    decision, however much it is.
    """
    if not is_forgotten(commits, object_):
        return _find(commits, object_)
    _forget(commits, object_, sys.maxsize)
    return None


def is_forgotten(commits: Commits, object_: bytes) -> bool:
    """Whether what is there of a key is that of a forgotten workflow, and waits to be deleted.

    Nobody is told any of it.
    """
    id_ = _find(commits, object_)
    remains = None if id_ is None else commits.get(keys.remains(id_))
    return remains is not None and decode_remains(remains).is_whole


def describe_started(target: Target, id_: InvocationId) -> str:
    """What whoever starts a workflow a second time is told."""
    return (
        f"{target.service}/{target.key} was already started, by {format_invocation_id(id_)}; a "
        f"workflow runs once per key, so use another key, or its shared handlers"
    )


def refuse_second_start(target: Target, id_: InvocationId) -> Failure:
    """The same as the recorded outcome of a call that a handler made."""
    return conflict(describe_started(target, id_))


def is_started_by(commits: Commits, target: Target, id_: InvocationId) -> bool:
    """Whether ``id_`` is the ``run`` of the workflow that ``target`` names, and not forgotten."""
    return target.key is not None and _find(commits, _object_of(target)) == id_


def forget(commits: Commits, target: Target, id_: InvocationId, rows_max: int) -> tuple[int, int]:
    """Delete what is kept for the workflow whose ``run`` was ``id_``; gives rows and bytes.

    Its state, what would take that back, its promises, and last the row that says it was started.
    No more than ``rows_max`` go at a time: fewer means that all is gone, and that the key is free.
    The outcome and the journal of ``run`` are the caller's to delete, in the same batch as the last
    of these. Nothing happens where the workflow was not started by ``id_``.
    """
    if not is_started_by(commits, target, id_):
        return 0, 0
    return _forget(commits, _object_of(target), rows_max)


def _object_of(target: Target) -> bytes:
    assert target.key is not None, "a workflow without a key"
    return keys.object_key(target.service, target.key)


def _find(commits: Commits, object_: bytes) -> InvocationId | None:
    row = commits.get(keys.WORKFLOW + object_)
    return None if row is None else InvocationId(row)


def _forget(commits: Commits, object_: bytes, rows_max: int) -> tuple[int, int]:
    count = size = 0
    for prefix in (keys.STATE, keys.UNDO, keys.PROMISE):
        doomed: list[bytes] = []
        for key, row in commits.scan(*keys.prefix_range(prefix + object_)):
            if count + len(doomed) == rows_max:
                break
            doomed.append(key)
            size += len(key) + len(row)
        for key in doomed:
            commits.delete(key)
        count += len(doomed)
    if count == rows_max:
        # Some of it is gone, and its past still has a name.
        close_history(commits, object_)
    else:
        commits.delete(keys.history(object_))
        commits.delete(keys.WORKFLOW + object_)
        count += 1
    return count, size


def close(commits: Commits, target: Target, id_: InvocationId) -> None:
    """Stage that what is kept for the workflow whose ``run`` was ``id_`` is there for nobody.

    For one that ``forget`` has not come to: it is forgotten all the same.
    """
    if is_started_by(commits, target, id_):
        assert target.key is not None, "a workflow without a key"
        close_history(commits, keys.object_key(target.service, target.key))
