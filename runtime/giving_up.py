"""Giving up a handler: its code is over for good, and what it owes is compensated without it.

The entry ``GiveUp`` marks the place in the journal. Live it is written when an attempt fails that
is the last one; a replay takes it once everything before it was issued again, and whatever the
handler would do from there on is not heard: nothing makes it fail again as it did.
"""

import asyncio

from ..journal.entry import Cancellation, Failure, GiveUp
from .commands import Commands
from .compensations import Begin, Compensations
from .handler_loop import HandlerLoop
from .object_state import ExclusiveState, NoState
from .told_times import keep_time


def record_give_up(commands: Commands, failure: Failure) -> GiveUp:
    """Write that the handler is given up with ``failure``, and what is to be taken back."""
    give_up = GiveUp(failure, _compensations(commands).owed)
    if commands.has_moved is not None:
        keep_time(commands, waits=False)
    commands.write(give_up)
    return give_up


def take_give_up(commands: Commands) -> GiveUp:
    """Come to a recorded give-up; what the handler had been given before, it was given."""
    compensations = _compensations(commands)
    give_up, skipped = commands.cursor.take_give_up()
    for delivery in skipped:
        commands.now_ms = max(commands.now_ms, delivery.at_ms)
        if isinstance(delivery, Cancellation):
            commands.cancellation = delivery.reason
            continue
        commands.pending.pop(delivery.index, None)
        if isinstance(delivery.result, Failure):
            compensations.fail(delivery.index, delivery.result)
    compensations.owe(give_up.owed)
    return give_up


def leave_handler(commands: Commands, loop: HandlerLoop) -> None:
    """Take back what the handler waits for; compensations under way go on, on ``loop``."""
    running = _compensations(commands).running
    commands.leave_handler(loop, running)
    for index, each in running.items():
        pending = commands.pending.get(index)
        if pending is not None:
            each.future = pending.future


def start_compensation(commands: Commands, begin: Begin) -> "asyncio.Future[object]":
    """Have ``begin`` issue a command that takes something back.

    It does not wait for the object's state: a value that cannot be stored may be just why the
    handler failed. What has changed is stored with whatever follows.
    """
    state, commands.is_compensating = commands.state, True
    if isinstance(state, ExclusiveState):
        commands.state = NoState()
    try:
        return asyncio.ensure_future(begin())
    finally:
        commands.state, commands.is_compensating = state, False


def _compensations(commands: Commands) -> Compensations:
    assert commands.compensations is not None, "gave up with nothing to take back"
    return commands.compensations
