"""Calls that a handler may not make: refused in the same way on every replay.

Whom a handler calls may not be served now, or not take what it is given, and be served, or take it,
after the next start. A handler that lets the error pass is tried again, and finds nothing of it in
its journal. One that catches it has taken a way that its journal has to know, or a replay would
make the call and be somewhere else: so the refusal is written as soon as the handler goes on, as a
command whose callee is nobody and an answer. A replay raises from that, whatever is served by then.
"""

import hashlib
from typing import Final

from ..journal.entry import Call, Failure, Send
from ..objects.call_options import CallOptions
from ..objects.errors import HoldfastError, InvalidArgumentError, UnknownTargetError
from ..objects.identity import InvocationId, Target
from .commands import Commands
from .failures import failure_of
from .unwritten import Refused, Unwritten

NO_CALLEE: Final = InvocationId(b"")

_DIGEST_BYTES: Final = 8
_KINDS: Final = {kind.__name__: kind for kind in (UnknownTargetError, InvalidArgumentError)}


def keep_refusal(  # noqa: PLR0913  # a call has these parts
    commands: Commands,
    target: Target,
    argument: bytes,
    options: CallOptions,
    error: HoldfastError,
    *,
    is_awaited: bool,
) -> None:
    """Have it written that ``error`` refused a call or a send, if the handler goes on."""
    digest = digest_of(argument)
    command = (
        Call(target, digest, NO_CALLEE)
        if is_awaited
        else Send(target, digest, options.delay_ms, NO_CALLEE)
    )
    commands.unwritten = commands.unwritten or Unwritten(commands)
    commands.unwritten.add(Refused(commands.encode(command), failure_of(error)))


def raise_refusal(commands: Commands, index: int) -> None:
    """Raise again what refused the recorded command ``index``, whose callee is nobody.

    Nothing is raised where the journal says it otherwise, as of the second start of a workflow.
    """
    answer = commands.cursor.find_answer(index)
    if not isinstance(answer, Failure):
        return
    kind = _KINDS.get(answer.type_name)
    if kind is not None:
        raise kind(answer.message)


def digest_of(data: bytes) -> bytes:
    """What a command records of an argument, to compare it on replay."""
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()
