"""Messages for a turn under way: who gets them, and what becomes of those that nobody reads.

A message is a call like any other in the mailbox, with a mark in its row. A turn that reads takes
it out: its invocation completes with ``null`` in the decision that writes its argument into the
journal of the reader, so it is never both read and run, nor neither. What is not taken needs no
decision: when the turn is over, its place in the mailbox is its own turn.

Only what came after a turn began is for that turn; what an earlier one has left is a call.

What fits is known by the type that the handler reads with, and so only by an attempt. It looks when
it has come to rest: what it takes then is the very next thing that the handler sees, and no timeout
or cancellation can come between, which would take a message and give it to nobody. For the same
reason it takes one thing at a time. A message that comes for a handler that waits for one makes an
attempt look, at the next start if not before.
"""

import asyncio
from typing import Any

from ..journal import codec, keys
from ..journal.entry import DrainMessages, Input, TakeMessage
from ..objects.errors import InvalidArgumentError
from ..objects.identity import InvocationId
from ..objects.serde import Serde
from .commands import Commands
from .lifecycle import Lifecycle
from .pending import Awaited, Pending

READ = b"null"
"""The outcome of a message that was read."""


def read_messages(
    commands: Commands, result: Serde[Any], *, takes_all: bool
) -> "asyncio.Future[Any]":
    """Ask for the next message, or for all that there are; answered by ``hand_over``."""
    command = DrainMessages() if takes_all else TakeMessage()
    index, is_new = commands.issue(command)
    if is_new and not takes_all:
        commands.lifecycle.commits.put_new(keys.message(commands.invocation.id, index), b"")
    if commands.read_from is None:
        commands.read_from = 0
    awaited = Awaited.MESSAGES if takes_all else Awaited.MESSAGE
    return commands.await_completion(index, Pending(awaited, result=result))


def decode_result(serde: Serde[Any], outcome: bytes) -> Any:
    """The value of an outcome; ``None`` for that of a message which was read.

    Its handler never ran, so what that returns says nothing about it.

    Raises:
        InvalidArgumentError: it is not what the handler returns.
    """
    try:
        return serde.decode(outcome)
    except InvalidArgumentError:
        if outcome != READ:
            raise
        return None


def wake_reader(lifecycle: Lifecycle, holder_id: InvocationId) -> None:
    """A message has come for whoever holds the turn: if it waits for one, have it look."""
    prefix = keys.MESSAGE + holder_id
    if next(iter(lifecycle.commits.scan(*keys.prefix_range(prefix))), None) is None:
        return  # It does not wait for any, and looks by itself when it does.
    holder = lifecycle.find(holder_id)
    assert holder is not None, "a completed invocation waits for a message"
    attempt = lifecycle.wake(holder)
    if attempt is not None:
        attempt.look()


def hand_over(commands: Commands) -> bool:
    """Give the first command that can have messages what it can have; ``False``: none can.

    For a handler at rest. Its journal has the completion when this returns, and whoever sent what
    was taken is answered when that is durable.
    """
    lifecycle, reader = commands.lifecycle, commands.invocation
    assert commands.read_from is not None, "handed messages to a handler that reads none"
    for index, pending in commands.pending.items():
        takes_all = pending.awaited is Awaited.MESSAGES
        if index < commands.read_from or not (takes_all or pending.awaited is Awaited.MESSAGE):
            continue
        assert reader.object_ is not None, "what has no key has no inbox"
        assert pending.result is not None, "reads messages of no type"
        taken: list[bytes] = []
        since = max(reader.record.sequence, pending.refused_sequence)
        for sequence, id_ in lifecycle.mailboxes.messages_after(reader.object_, since):
            argument = _read_argument(lifecycle, id_)
            if not _fits(pending.result, b"[%b]" % argument if takes_all else argument):
                pending.refused_sequence = sequence
                continue
            taken.append(argument)
            message = lifecycle.find(id_)
            assert message is not None, "a completed invocation stands in a mailbox"
            lifecycle.complete(message, READ)
            if not takes_all:
                break
        if takes_all:
            lifecycle.complete_command(reader.id, index, b"[%b]" % b",".join(taken))
            return True
        if taken:
            lifecycle.commits.delete(keys.message(reader.id, index))
            lifecycle.complete_command(reader.id, index, taken[0])
            return True
    return False


def _read_argument(lifecycle: Lifecycle, id_: InvocationId) -> bytes:
    """The JSON that a message was sent with; none at all is ``null``."""
    row = lifecycle.commits.get(keys.journal(id_, 0))
    assert row is not None, "a journal without its input"
    entry = codec.decode_entry(row)
    assert isinstance(entry, Input), "a journal begins with its input"
    return entry.argument if entry.argument.strip() else b"null"


def _fits(serde: Serde[object], data: bytes) -> bool:
    try:
        serde.decode(data)
    except Exception:  # noqa: BLE001  # a stranger's types may raise anything: it does not fit
        return False
    return True
