"""Forgetting a completed invocation because a person says so, before its time.

Whoever looks for it afterwards finds nothing, at once and for good. A long journal goes in slices
of the background's work, like any that is collected.
"""

from ..journal import keys
from ..journal.records import Kept, OutcomeRecord, decode_outcome
from ..objects.errors import ConflictError
from ..objects.identity import InvocationId
from .control import check_known
from .core import Core


def purge(core: Core, id_: InvocationId) -> None:
    """Forget all of a completed invocation; of the ``run`` of a workflow, the whole workflow.

    Raises:
        UnknownTargetError: there is no such invocation.
        ConflictError: it is not completed.
    """
    outcome, row = _get(core, id_)
    core.retention.forgetting.forget(id_, outcome, row, core.retention.new_budget())


def purge_journal(core: Core, id_: InvocationId) -> bool:
    """Forget how a completed invocation came to its outcome; ``False``: that is not kept.

    Raises:
        UnknownTargetError: there is no such invocation.
        ConflictError: it is not completed.
    """
    outcome, _ = _get(core, id_)
    if outcome.kept is not Kept.JOURNAL:
        return False
    core.retention.forget_journal(id_, outcome, core.retention.new_budget())
    return True


def _get(core: Core, id_: InvocationId) -> tuple[OutcomeRecord, bytes]:
    row = core.commits.get(keys.outcome(id_))
    if row is not None:
        return decode_outcome(row), row
    invocation = core.lifecycle.find(id_)
    if invocation is not None:
        message = (
            f"{invocation.name} is not completed, so there is nothing to purge; "
            f"cancel() or kill() it first"
        )
        raise ConflictError(message)
    check_known(core, id_)
    message = f"{id_.hex()} is completed without an outcome"
    raise AssertionError(message)
