"""Whether the rows of a store agree with one another: what a crash must never leave broken.

All rows are read once, in order; beside each, those are looked up that it needs or that need it.
So a store of any size is checked with little memory, and nothing of the runtime has to run: the
rows may be those of a directory that is not open, of a copy, or of a test at some moment.

    every row        has a name and a value that this release can read
    open             the input, its turn or its place or its time, its idempotency key
    completed        its journal as long as it was, nothing that would run it again
    journals         without gaps; completions answer commands, once
    open commands    what will complete them is there, and for nobody else
    objects          one turn, held by one who has begun; state with its head; undo rows of a turn
                     that is known, and what it changed is there
    cursors          no row before the place where a reader begins

What rows cannot show is not checked: whether something was lost whole, or never written.
"""

from collections.abc import Iterator
from typing import Any

from ..journal import keys
from ..journal.any_row import decode_value, describe_key, split_key
from ..journal.records import decode_link_keys
from ..objects.errors import HoldfastError
from ..objects.identity import InvocationId
from . import verify_invocations as invocations
from . import verify_journals as journals
from . import verify_objects as objects
from .verify_journals import Journal
from .verify_reading import Readable, Reader, hash_of_turn, object_of

_CURSORS = {
    "timers": keys.TIMER,
    "outcomes": keys.OUTCOME,
    "outcomes walked": keys.OUTCOME,
    "outcomes listed": keys.EXPIRY,
}
_COMMAND_TABLES = (keys.AWAKEABLE, keys.STEP, keys.MESSAGE, keys.REISSUE)
_SEQUENCE_BITS = 40


def verify_rows(rows: Readable, *, epoch: int | None = None) -> list[str]:
    """All that is wrong with ``rows``, one sentence each; empty where everything agrees.

    Args:
        rows: a ``StoreView``, or a store that nobody writes to meanwhile, at a moment between two
            batches.
        epoch: that of the store, where it is known: no row may come from a later one.

    Raises:
        StoreDamagedError: the store itself cannot be read to its end.
    """
    return list(Verification(rows, epoch=epoch).problems())


class Verification:
    """One look through all rows, and what it has come by so far."""

    def __init__(self, rows: Readable, *, epoch: int | None = None) -> None:
        """As ``verify_rows``; nothing is read yet."""
        self._read = Reader(rows)
        self._epoch = epoch
        self.rows = 0
        self.open = 0
        """Invocations that are not completed."""
        self.completed = 0

    def problems(self) -> Iterator[str]:
        """As ``verify_rows``, one after the other: a store that is lost may have millions."""
        read, rows = self._read, self._read.rows
        self._note_remains()
        state = objects.StateCheck(read)
        journal: Journal | None = None
        for key, row in rows.scan(b"", None):
            self._count(key[:1])
            try:
                fields = split_key(key)
                value = decode_value(key, row)
            except HoldfastError as error:
                yield error.message
                continue
            table = key[:1]
            if journal is not None and (table != keys.JOURNAL or fields[0] != journal.id):
                yield from _unless_odd(keys.journal(journal.id, 0), _check_journal(read, journal))
                journal = None
            if table == keys.JOURNAL:
                journal = journal or Journal(fields[0])
                yield from _unless_odd(key, journal.add(read, fields[1], value))
            elif table == keys.STATE:
                object_, name, part = fields
                yield from _unless_odd(key, state.check(key, object_, name, part, value))
            else:
                yield from _unless_odd(key, _check(read, table, fields, value, row))
        if journal is not None:
            yield from _unless_odd(keys.journal(journal.id, 0), _check_journal(read, journal))
        yield from _check_cursors(read)
        yield from _check_link_keys(read)
        yield from _check_tally(read, self._epoch)

    def _count(self, table: bytes) -> None:
        self.rows += 1
        self.open += table == keys.INVOCATION
        self.completed += table == keys.OUTCOME

    def _note_remains(self) -> None:
        """Undo rows come before what says that they are being deleted."""
        for key, row in self._read.rows.scan(*keys.prefix_range(keys.REMAINS)):
            remains = _read_value(key, row)
            if remains is None or not remains.may_have_undo:
                continue
            object_ = object_of(remains.target)
            if object_ is not None:
                turn = hash_of_turn(object_, remains.sequence)
                self._read.tally.turns_with_undo.add(turn)


def _unless_odd(key: bytes, problems: Iterator[str]) -> Iterator[str]:
    """``problems``, up to a value of a kind that nobody writes: that is one, and ends these.

    Rows are decoded by their shape, and a text may stand where a number belongs.
    """
    try:
        yield from problems
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        yield f"{describe_key(key)}, or a row that it needs, holds something odd: {error}"


def _check(  # noqa: C901, PLR0912  # a table of tables
    read: Reader, table: bytes, fields: tuple[Any, ...], value: Any, row: bytes
) -> Iterator[str]:
    match table:
        case keys.INVOCATION:
            yield from invocations.check_invocation(read, fields[0], value)
        case keys.OUTCOME:
            yield from invocations.check_outcome(read, fields[0], value)
        case keys.REMAINS:
            yield from invocations.check_remains(read, fields[0], value)
        case keys.LIVE:
            yield from invocations.check_live(read, *fields)
        case keys.WAITING:
            yield from invocations.check_waiting(read, *fields)
        case keys.TIMER:
            due_ms, id_, index = fields
            yield from invocations.check_timer(read, due_ms, id_, index, value)
        case keys.EXPIRY:
            yield from invocations.check_expiry(read, fields[1])
        case keys.IDEMPOTENCY:
            yield from invocations.check_idempotency(read, fields, row)
        case keys.TURN:
            yield from objects.check_turn(read, fields[0], row)
        case keys.INBOX | keys.LANE:
            yield from objects.check_queued(read, fields[0], fields[1], row)
        case keys.UNDO:
            yield from objects.check_undo(read, fields, value)
        case keys.WORKFLOW:
            yield from objects.check_workflow(read, fields[0], InvocationId(row))
        case keys.PROMISED:
            yield from journals.check_promised(read, *fields)
        case keys.SIGNAL:
            yield from journals.check_signal(read, *fields[:2])
        case keys.SIGNALLED:
            yield from journals.check_signalled(read, *fields)
        case keys.ATTACHED:
            yield from journals.check_attached(read, *fields)
        case keys.AWAKEABLE | keys.STEP | keys.MESSAGE | keys.REISSUE:
            yield from journals.check_of_command(read, fields[0], fields[1], value)
        case _:
            pass  # Read, which is all that can be asked of it alone.


def _check_journal(read: Reader, journal: Journal) -> Iterator[str]:
    rows: dict[bytes, dict[int, bytes]] = {}
    for table in _COMMAND_TABLES:
        for key, row in read.rows.scan(*keys.prefix_range(table + journal.id)):
            rows.setdefault(table, {})[int.from_bytes(key[-4:], "big")] = row
    yield from journals.check_journal(read, journal, rows)


def _check_cursors(read: Reader) -> Iterator[str]:
    """Whoever reads a table from a kept place misses no row before it."""
    for name, table in _CURSORS.items():
        position = read.rows.get(keys.meta(name))
        if position is None:
            continue
        if not table <= position <= keys.after(table):
            yield f"the place {name!r} is kept as {position.hex()}, which is in another table"
            continue
        for key, row in read.rows.scan(table, position):
            if name == "outcomes walked":
                outcome = _read_value(key, row)
                if outcome is None or outcome.is_listed:
                    continue
            yield f"{describe_key(key)} is before the place {name!r}, so nobody would find it"
            break


def _check_link_keys(read: Reader) -> Iterator[str]:
    """Links that somebody holds can be verified, so the keys can be read."""
    row = read.rows.get(keys.meta("link keys"))
    if row is None:
        return
    try:
        decode_link_keys(row)
    except (HoldfastError, ValueError, TypeError) as error:
        yield f"the keys that links are signed with cannot be read: {error}"


def _check_tally(read: Reader, epoch: int | None) -> Iterator[str]:
    tally = read.tally
    if tally.expiries_of_listed < tally.listed_outcomes:
        yield from _find_unlisted(read)
    if epoch is not None and tally.last_sequence >> _SEQUENCE_BITS > epoch:
        yield (
            f"a row comes from start {tally.last_sequence >> _SEQUENCE_BITS} of the store, and this"
            f" is only start {epoch}: its numbers would be given out again"
        )


def _find_unlisted(read: Reader) -> Iterator[str]:
    listed = {key[-16:] for key, _ in read.rows.scan(*keys.prefix_range(keys.EXPIRY))}
    for key, row in read.rows.scan(*keys.prefix_range(keys.OUTCOME)):
        outcome = _read_value(key, row)
        if outcome is not None and outcome.is_listed and key[1:] not in listed:
            yield f"retention is to look at {read.name(key[1:])} some time, and no row says when"


def _read_value(key: bytes, row: bytes) -> Any:
    try:
        return decode_value(key, row)
    except HoldfastError:
        return None
