"""Calls and sends that a handler makes: accepted in the decision that issues the command.

A call that a restart copied while it was open is in the journal already, and names its callee; it
is made when the replay comes by it, because only the handler knows the argument.
"""

from ..journal import keys
from ..journal.entry import Failure
from ..objects.call_options import CallOptions
from ..objects.errors import HoldfastError, InvalidArgumentError, UnknownTargetError
from ..objects.identity import InvocationId, Target
from . import workflows
from .callbacks import record_callback
from .commands import Commands
from .failures import failure_of
from .interrupts import check_mode, has_arrived, refuse_own_turn
from .open_invocation import object_key
from .refused_calls import NO_CALLEE, keep_refusal
from .requests import headers_of


def accept_call(  # noqa: PLR0913  # a call has these parts
    commands: Commands,
    target: Target,
    argument: bytes,
    options: CallOptions,
    *,
    caller: InvocationId | None,
    again: tuple[int, InvocationId] | None = None,
) -> tuple[InvocationId, Failure | None]:
    """Accept a new call, with whatever has to be stored before its command.

    Where the call is the second start of a workflow, nothing is accepted: a send gets the first
    one's id, and a call a failure, with the id of nobody. ``again``: the index and the callee of a
    call that is in the journal.
    """
    lifecycle, invocation = commands.lifecycle, commands.invocation
    try:
        service, handler = lifecycle.registry.get_handler(target)
        prepared = handler.decode_argument(argument)
        if options.mode != "queue":
            check_mode(options.mode, target, service, handler, waits=caller is not None)
            if caller is not None:
                refuse_own_turn(invocation, target)
        callback = record_callback(lifecycle.registry, options.callback)
    except (UnknownTargetError, InvalidArgumentError) as error:
        if again is None:
            is_awaited = caller is not None
            keep_refusal(commands, target, argument, options, error, is_awaited=is_awaited)
        raise
    if again is None:
        commands.save()
    if handler.is_run:
        started = workflows.find_started(lifecycle.commits, target)
        if started is not None:
            if caller is None:
                return started, None
            return NO_CALLEE, workflows.refuse_second_start(target, started)
    id_ = lifecycle.accept(
        target,
        argument,
        service=service,
        handler=handler,
        headers=headers_of(options),
        object_=object_key(target),
        prepared=prepared,
        caller=caller,
        caller_index=invocation.next_index if again is None else again[0],
        delay_ms=options.delay_ms,
        mode=options.mode,
        callback=callback,
        id_=None if again is None else again[1],
    )
    return id_, None


def is_reissued(commands: Commands, index: int) -> bool:
    """Whether a restart copied command ``index`` while it was open, and it is not made yet."""
    details = commands.invocation.record.details
    if details is None or index >= details.restarted_at:
        return False
    key = keys.reissue(commands.invocation.id, index)
    return commands.lifecycle.commits.get(key) is not None


def call_again(  # noqa: PLR0913, PLR0917  # a call has these parts
    commands: Commands,
    index: int,
    callee: InvocationId,
    target: Target,
    argument: bytes,
    options: CallOptions,
) -> None:
    """Make the call that a restart copied, now that the argument is known."""
    lifecycle, id_ = commands.lifecycle, commands.invocation.id
    lifecycle.commits.delete(keys.reissue(id_, index))
    if commands.cursor.gives_up and not commands.is_compensating:
        return  # The handler is given up before it could hear of an outcome.
    try:
        _, refusal = accept_call(
            commands, target, argument, options, caller=id_, again=(index, callee)
        )
    except HoldfastError as error:
        # The journal has the call, so what is wrong with it now is its outcome.
        refusal = failure_of(error)
    if refusal is not None:
        commands.answer(index, refusal)
    elif options.mode != "queue":
        has_arrived(lifecycle, callee)
