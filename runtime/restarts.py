"""Running a completed invocation once more: as a new one, with the same input.

What a restart makes is an invocation like any other, with an id, a place in the mailbox and an
outcome of its own; it says which one it was made from. Whoever was to be told how that one ends is
told of this one too. Its steps are other steps, with other
idempotency keys, so what they do outside is done again.
"""

from ..journal import codec, keys
from ..journal.entry import Input
from ..journal.records import InvocationDetails, OutcomeRecord
from ..objects.errors import ConflictError, NotKeptError
from ..objects.identity import InvocationId, Target, format_invocation_id
from .admission import Admission
from .callbacks import RecordedCallback
from .control import check_known
from .core import Core
from .open_invocation import object_key


def restart_as_new(core: Core, id_: InvocationId) -> InvocationId:
    """Accept a new invocation with the target, the argument and the headers of a completed one.

    Raises:
        UnknownTargetError: there is no such invocation, or no class with its handler.
        ConflictError: it is not completed, or the ``run`` of a workflow.
        NotKeptError: its input is not kept.
        InvalidArgumentError: its argument does not fit the handler any more.
        MailboxFullError, StoreFullError: nothing new is accepted now.
    """
    outcome = get_completed(core, id_)
    target = outcome.target
    service, handler = core.registry.get_code(target)
    refuse_run(target, is_run=handler.is_run)
    input_ = _read_input(core, id_, target)
    prepared = handler.decode_argument(input_.argument)
    object_ = object_key(target)
    Admission(core).check_room(target, object_, handler)
    return core.lifecycle.accept(
        target,
        input_.argument,
        service=service,
        handler=handler,
        headers=input_.headers,
        object_=object_,
        prepared=prepared,
        details=InvocationDetails(restarted_from=id_, callback=callback_of(outcome)),
    )


def get_completed(core: Core, id_: InvocationId) -> OutcomeRecord:
    """The outcome of the invocation that is to be restarted.

    Raises:
        UnknownTargetError: there is no such invocation.
        ConflictError: it is not completed.
    """
    invocation = core.lifecycle.find(id_)
    if invocation is not None:
        message = f"{invocation.name} is not completed: cancel() or kill() it first"
        raise ConflictError(message)
    check_known(core, id_)
    outcome = core.lifecycle.outcomes.find(id_)
    assert outcome is not None, "known, not open, and without an outcome"
    return outcome


def callback_of(outcome: OutcomeRecord) -> RecordedCallback | None:
    """Who was told ``outcome``, and waits for that of a restart: the one that counts."""
    return None if outcome.details is None else outcome.details.callback


def refuse_run(target: Target, *, is_run: bool) -> None:
    """Refuse to run a workflow again.

    Raises:
        ConflictError: that is what is asked for.
    """
    if is_run:
        message = (
            f"{target} is the run of a workflow, which executes once per key, so it cannot be "
            f"restarted; start another workflow, or purge() this one first"
        )
        raise ConflictError(message)


def _read_input(core: Core, id_: InvocationId, target: Target) -> Input:
    row = core.commits.get(keys.journal(id_, 0))
    entry = None if row is None else codec.decode_entry(row)
    if not isinstance(entry, Input):
        message = (
            f"the input of {target} ({format_invocation_id(id_)}) is not kept: one that succeeded "
            f"without steps keeps none, and others keep theirs for as long as their journal"
        )
        raise NotKeptError(message)
    return entry
