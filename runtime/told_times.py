"""What time a handler is told, and what is written down of that.

A handler's time is that of its last delivery, so that a replay tells the same one. What follows a
delivery mostly runs at once. But after attempts that failed, a pause, or a restart from an entry it
may run for the first time hours later; to be told the old time then would make a sleep end before
it began, and have a timeout give up what was never tried.

So whoever asks is told the time of now where nothing that follows the last delivery is recorded yet
and that is some time ago. It holds until the next delivery. It is an entry, ``Told``, as soon as
anything depends on it: in front of the next command, or when the handler waits, because what it
waits for may take hours and it must not see another time when it is replayed. An attempt that fails
before leaves nothing, and the next one is told its own time.
"""

from typing import Protocol

from ..journal import codec, keys
from ..journal.entry import Issued, Told
from ..journal.replay import ReplayCursor
from .lifecycle import Lifecycle
from .open_invocation import OpenInvocation
from .pending import Pending

LAG_MS = 100
"""A delivery so long ago is not now. What is less is the delay of a busy loop."""


class Asker(Protocol):
    """The commands of the attempt that asks."""

    lifecycle: Lifecycle
    invocation: OpenInvocation
    cursor: ReplayCursor
    pending: dict[int, Pending]
    is_over: bool
    now_ms: int
    told_at: int
    """After how many deliveries the handler last asked for the time."""
    has_moved: bool | None
    """Whether it was told a later one than any delivery's then; ``None``: it did not ask, or what
    it was told is in its place."""
    last_command: tuple[int, int]
    """How far the journal was looked through, and how many deliveries were before the last command
    up to there: one who waits for ten thousand answers may ask at each of them."""


def tell_time(asker: Asker) -> int:
    """The time for the handler, milliseconds since 1970; the same until the next delivery.

    To be asked whether the handler is replayed or not, for what was told then moves its time.
    """
    cursor, deliveries = asker.cursor, asker.cursor.deliveries
    if asker.told_at == deliveries or asker.is_over:
        return asker.now_ms
    told_ms = cursor.times.get(deliveries)
    if told_ms is not None:
        asker.told_at, asker.now_ms = deliveries, max(asker.now_ms, told_ms)
    elif not cursor.has_recorded_commands:
        now_ms = asker.lifecycle.clock.now_ms()
        asker.told_at = deliveries
        asker.has_moved = now_ms - asker.now_ms >= LAG_MS and not _is_recorded(asker)
        if asker.has_moved:
            asker.now_ms = now_ms
    return asker.now_ms


def keep_time(asker: Asker, *, waits: bool) -> None:
    """Write what the handler was told since the last delivery, if a replay would not tell the same.

    ``waits``: rather than going on to a command. What it was told and does not wait with is gone
    with the attempt.
    """
    has_moved, asker.has_moved = asker.has_moved, None
    if has_moved or (waits and asker.pending and not _is_recorded(asker)):
        told = Told(asker.told_at, asker.now_ms)
        asker.lifecycle.append(asker.invocation, codec.encode_told(told))


def _is_recorded(asker: Asker) -> bool:
    """Whether the handler has issued a command since the last delivery: its time stands then."""
    commits, id_ = asker.lifecycle.commits, asker.invocation.id
    looked_to, deliveries = asker.last_command
    next_index = asker.invocation.next_index
    for index in range(next_index - 1, looked_to - 1, -1):
        row = commits.get(keys.journal(id_, index))
        assert row is not None, "a journal with a hole"
        entry = codec.decode_entry(row)
        if isinstance(entry, Issued):
            deliveries = entry.deliveries
            break
    asker.last_command = next_index, deliveries
    return deliveries == asker.cursor.deliveries
