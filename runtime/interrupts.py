"""Calls that do more than wait for their turn: what they are refused for, and what they do.

A call says how it treats the turn under way at its key. One that interrupts has its place in the
lane, before everyone who only waits, and whoever holds the turn is told to end, as by
``cancellation``. Place and cancellation are rows of one decision, so a crash leaves both or none.

Several that come while one turn is under way go one after the other: the turn is told once, and
none of them is lost.
"""

from ..journal.records import CallMode, InvocationState
from ..objects.call_options import Mode
from ..objects.definition import HandlerDefinition, ServiceDefinition
from ..objects.errors import InvalidArgumentError
from ..objects.identity import InvocationId, Target, format_invocation_id
from .cancellation import cancel
from .lifecycle import Lifecycle
from .open_invocation import OpenInvocation
from .steering import wake_reader


def check_mode(
    mode: Mode,
    target: Target,
    service: ServiceDefinition,
    handler: HandlerDefinition,
    *,
    waits: bool,
) -> None:
    """Look whether a call of ``target`` can say this; ``waits``: for the outcome.

    Raises:
        InvalidArgumentError: it cannot; the message names the cure.
    """
    if mode == "queue":
        return
    if service.kind != "virtual object" or handler.shared:
        what = f"a handler of a {service.kind}"
        if service.kind == "virtual object":
            what = "a shared handler, which waits for no turn"
        message = (
            f"{target} is {what}, so mode={mode!r} has nothing to act on; leave it out: only calls "
            f"of an exclusive handler of a virtual object can say it"
        )
        raise InvalidArgumentError(message)
    if mode == "steer" and handler.takes_raw:
        message = (
            f"{target} takes a body that is no JSON, and what a turn reads is JSON; use "
            f'mode="queue", or send it to a handler that takes JSON'
        )
        raise InvalidArgumentError(message)
    if mode == "steer" and handler.returns_raw:
        message = (
            f"{target} gives a body that is no JSON, and a message that is read gives none; use "
            f'mode="queue", or send it to a handler that gives JSON'
        )
        raise InvalidArgumentError(message)
    if mode == "steer" and waits:
        message = (
            f"a call of {target} that waits for a result cannot be a message for the turn under "
            f'way, which gives none; use send() with mode="steer", or mode="queue"'
        )
        raise InvalidArgumentError(message)


def refuse_own_turn(caller: OpenInvocation, target: Target) -> None:
    """Refuse that the holder of a turn awaits a call which would end that turn.

    Raises:
        InvalidArgumentError: ``caller`` holds the turn at ``target``'s key.
    """
    own = caller.record.target
    if caller.record.is_exclusive and (own.service, own.key) == (target.service, target.key):
        message = (
            f"{caller.name} would interrupt itself and never see the result of {target}; use "
            f'send() with mode="interrupt"'
        )
        raise InvalidArgumentError(message)


def has_arrived(lifecycle: Lifecycle, id_: InvocationId) -> None:
    """See to what a call that is no plain one does, now that it has its place.

    To be called in the decision that gave it the place, after the command that asked for it: the
    turn under way may be that of whoever asks.
    """
    invocation = lifecycle.find(id_)
    if invocation is None or invocation.record.state is not InvocationState.INBOXED:
        return  # It is not due yet, or nobody held the turn.
    details, object_ = invocation.record.details, invocation.object_
    assert object_ is not None, "what has no key waits for no turn"
    holder = lifecycle.mailboxes.find_holder(object_)
    assert holder is not None, "waits for a turn that nobody holds"
    match CallMode.QUEUE if details is None else details.mode:
        case CallMode.INTERRUPT:
            cancel(lifecycle, holder, f"interrupted by {format_invocation_id(id_)}")
        case CallMode.STEER:
            wake_reader(lifecycle, holder)
        case CallMode.QUEUE:
            pass  # A plain call does nothing when it arrives.
