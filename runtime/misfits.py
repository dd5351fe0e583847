"""Whose result it is that does not fit its type, told from the journal of who waited for it."""

from ..journal import codec, keys
from ..journal.entry import Call, Issued, Run
from ..objects.errors import HoldfastError
from ..objects.misfits import misfit_of_call, misfit_of_step
from .lifecycle import Lifecycle
from .open_invocation import OpenInvocation


def misfit_of_command(
    lifecycle: Lifecycle, invocation: OpenInvocation, index: int, error: HoldfastError
) -> HoldfastError:
    """What a handler is told of what command ``index`` gave; the same on every replay."""
    row = lifecycle.commits.get(keys.journal(invocation.id, index))
    entry = None if row is None else codec.decode_entry(row)
    match entry.command if isinstance(entry, Issued) else None:
        case Call(target=target):
            return misfit_of_call(target, error)
        case Run(name=name):
            return misfit_of_step(name, error)
        case _:
            return error
