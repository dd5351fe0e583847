"""Rows that agree are found to agree, and a row that is missing, or one too many, is told."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from holdfast import RuntimeConfig
from holdfast.journal import codec, keys
from holdfast.journal.any_row import describe_key, split_key
from holdfast.journal.entry import Command, Completion, GiveUp, Issued, Sleep
from holdfast.journal.memory import MemoryStore
from holdfast.journal.records import StepRecord, TimerKind, decode_invocation, decode_outcome
from holdfast.objects.identity import InvocationId
from holdfast.runtime.verify import verify_rows
from holdfast.testing import VirtualRuntime

from ..laws.corpus import CLASSES, SCRIPTS
from ..laws.stage import Play
from ..runtime.travel import CLASSES as TRAVEL
from ..runtime.travel import EFFECTS, Outside, Trip

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Rows = dict[bytes, bytes]

NEEDED = (
    keys.INVOCATION,
    keys.TURN,
    keys.INBOX,
    keys.LANE,
    keys.TIMER,
    keys.AWAKEABLE,
    keys.PROMISED,
    keys.MESSAGE,
    keys.ATTACHED,
    keys.JOURNAL,
)
"""Tables of which no row may be missing, whatever the other rows are."""

OF_COMMANDS = frozenset({keys.TIMER, keys.AWAKEABLE, keys.PROMISED, keys.MESSAGE, keys.ATTACHED})

NOBODY = InvocationId(bytes(range(16)))


class Diary:
    """What the store of a play held after each of its writes."""

    def __init__(self) -> None:
        self.moments: list[Rows] = []
        self.problems: list[str] = []

    def note(self, store: MemoryStore) -> None:
        self.problems += verify_rows(store, epoch=store.epoch)
        self.moments.append(dict(store.scan(b"", None)))


@pytest.fixture
def diary(monkeypatch: pytest.MonkeyPatch) -> Diary:
    """Notes what every store in memory holds after each write."""
    found = Diary()
    write = MemoryStore.write

    def write_and_look(store: MemoryStore, batch: Mapping[bytes, bytes | None]) -> int:
        position = write(store, batch)
        found.note(store)
        return position

    monkeypatch.setattr(MemoryStore, "write", write_and_look)
    return found


async def play(name: str) -> None:
    await Play(CLASSES, RuntimeConfig()).run(SCRIPTS[name])


@pytest.mark.parametrize("name", SCRIPTS)
async def test_rows_agree_after_every_write_and_not_without_one_of_them(
    name: str, diary: Diary
) -> None:
    await play(name)

    assert diary.problems == []
    tried: set[bytes] = set()
    for rows in diary.moments:
        for key in [key for key in rows if key[:1] in NEEDED and key not in tried]:
            if key[:1] == keys.JOURNAL and not _is_in_the_middle(rows, key):
                continue
            if key[:1] in OF_COMMANDS and keys.live(_invocation_in(key)) in rows:
                continue  # Its handler may be over: see `verify_journals`.
            tried.add(key)
            left = {name: row for name, row in rows.items() if name != key}
            assert verify_rows(MemoryStore(left)), f"nobody misses {describe_key(key)}"
    assert tried


async def test_a_row_of_the_wrong_shape_is_told_and_the_look_goes_on(diary: Diary) -> None:
    """Bits that flip turn a number into a text, which is decoded all the same."""
    for name in SCRIPTS:
        await play(name)
    random = Random(5)
    moments = [rows for rows in diary.moments if rows]
    odd = 0
    for _ in range(1_500):
        rows = dict(random.choice(moments))
        key = random.choice(list(rows))
        row = bytearray(rows[key])
        if row:
            row[random.randrange(len(row))] ^= 1 << random.randrange(8)
        rows[key] = bytes(row)
        problems = verify_rows(MemoryStore(rows), epoch=1)
        odd += any("holds something odd" in problem for problem in problems)

    assert odd


def _is_in_the_middle(rows: Rows, key: bytes) -> bool:
    """Whether the journal goes on behind an entry: a journal without its last ones is a journal."""
    id_, index = split_key(key)
    return keys.journal(id_, index + 1) in rows


def _invocation_in(key: bytes) -> InvocationId:
    """Whose command a row belongs to: its key ends with id and index, or begins with them."""
    return InvocationId(key[-20:-4])


def find(rows: Rows, table: bytes) -> bytes:
    """The first key of a table."""
    return min(key for key in rows if key[:1] == table)


def has(*tables: bytes) -> Callable[[Rows], bool]:
    """Whether there are rows of all these tables."""
    return lambda rows: all(any(key[:1] == table for key in rows) for table in tables)


def _steal_the_turn(rows: Rows) -> None:
    key = find(rows, keys.TURN)
    rows[key] = rows[key][:8] + NOBODY


def _hold_the_turn_of_nobody(rows: Rows) -> None:
    rows[keys.turn(keys.object_key("Nobody", "n"))] = keys.u64(1) + rows[find(rows, keys.TURN)][8:]


def _run_what_is_over(rows: Rows) -> None:
    rows[keys.live(InvocationId(find(rows, keys.OUTCOME)[1:]))] = b""


def _complete_what_is_open(rows: Rows) -> None:
    rows[keys.outcome(InvocationId(find(rows, keys.INVOCATION)[1:]))] = rows[
        find(rows, keys.OUTCOME)
    ]


def _forget_the_timers(rows: Rows) -> None:
    for key in [key for key in rows if key[:1] == keys.TIMER]:
        del rows[key]


def _ring_for_nobody(rows: Rows) -> None:
    rows[keys.timer(1, NOBODY, 1)] = TimerKind.SLEEP.encode()


def _begin_behind_the_timers(rows: Rows) -> None:
    rows[keys.meta("timers")] = keys.after(keys.TIMER)


def _step_of_nobody(rows: Rows) -> None:
    rows[keys.step(NOBODY, 1)] = StepRecord().encode()


def _complete_twice(rows: Rows) -> None:
    key = next(
        key
        for key, row in sorted(rows.items())
        if key[:1] == keys.JOURNAL and isinstance(codec.decode_entry(row), Completion)
    )
    id_, index = split_key(key)
    while keys.journal(id_, index) in rows:
        index += 1
    rows[keys.journal(id_, index)] = rows[key]


def _complete_what_was_not_asked(rows: Rows) -> None:
    key = find(rows, keys.JOURNAL)
    id_, _ = split_key(key)
    index = 1
    while keys.journal(id_, index) in rows:
        index += 1
    rows[keys.journal(id_, index)] = codec.encode_completion(Completion(900, 1, b"1"))


def _see_what_had_not_come(rows: Rows) -> None:
    id_, index = split_key(find(rows, keys.JOURNAL))
    while keys.journal(id_, index) in rows:
        index += 1
    rows[keys.journal(id_, index)] = codec.encode_command(Sleep(1), 99, "")


def _wait_for_nobody(rows: Rows) -> None:
    rows[find(rows, keys.WAITING)] = NOBODY


def _lead_elsewhere(rows: Rows) -> None:
    key = find(rows, keys.IDEMPOTENCY)
    rows[key] = NOBODY + rows[key][16:]


def _lose_a_key(rows: Rows) -> None:
    for key in [key for key in rows if key[:1] == keys.IDEMPOTENCY]:
        del rows[key]


def _lose_the_heads(rows: Rows) -> None:
    key = find(rows, keys.STATE)
    rows[key + keys.u64(2**62)] = rows.pop(key)[:8] + b"\x91\x01"


def _cut_a_value(rows: Rows) -> None:
    key = find(rows, keys.STATE)
    rows[key] = rows[key][:8] + b"\x01\x00\xdb\x00\x00"


def _undo_a_turn_that_was_not(rows: Rows) -> None:
    object_ = keys.object_key("Nobody", "n")
    rows[keys.undo(object_, 7, 1, "field", b"")] = b"\x00"


def _lose_a_change(rows: Rows) -> None:
    object_, _, _, name, part = split_key(find(rows, keys.UNDO))
    rows[keys.state(object_, name, part)] = keys.u64(1) + b"\x01\x00\x01"


def _take_back_to_later(rows: Rows) -> None:
    key = find(rows, keys.UNDO)
    rows[key] = b"\x03" + keys.u64(98 << 40) + b"\x01\x00\x01"


def _garble_the_link_keys(rows: Rows) -> None:
    rows[keys.meta("link keys")] = b"\x01\x91\x01"


def _give_a_number_of_later(rows: Rows) -> None:
    id_ = InvocationId(find(rows, keys.INVOCATION)[1:])
    record = decode_invocation(rows[keys.invocation(id_)])
    record.sequence = 99 << 40
    rows[keys.invocation(id_)] = record.encode()


def _cut_a_kept_journal(rows: Rows) -> None:
    for key in sorted(key for key in rows if key[:1] == keys.OUTCOME):
        details = decode_outcome(rows[key]).details
        if details is not None and details.entries > 1:
            del rows[keys.journal(InvocationId(key[1:]), details.entries - 1)]
            return


def _garble_a_record(rows: Rows) -> None:
    rows[find(rows, keys.INVOCATION)] = b"\x01\xc0"


def _come_from_a_later_release(rows: Rows) -> None:
    rows[b"\xee" + NOBODY] = b""


def _shorten_a_key(rows: Rows) -> None:
    key = find(rows, keys.JOURNAL)
    rows[key[:-1]] = rows[key]


DAMAGES: dict[str, tuple[Callable[[Rows], bool], Callable[[Rows], None], str]] = {
    "a turn of nobody": (has(keys.TURN), _steal_the_turn, "which is not open"),
    "two turns": (has(keys.TURN), _hold_the_turn_of_nobody, "which does not need it"),
    "over and live": (has(keys.OUTCOME), _run_what_is_over, "a start would run"),
    "open and over": (
        has(keys.INVOCATION, keys.OUTCOME),
        _complete_what_is_open,
        "is open, and has an outcome",
    ),
    "no timers": (has(keys.TIMER), _forget_the_timers, "timer"),
    "a timer of nobody": (has(keys.INVOCATION), _ring_for_nobody, "the invocation is not open"),
    "a cursor too far": (has(keys.TIMER), _begin_behind_the_timers, "nobody would find it"),
    "a step of nobody": (has(keys.INVOCATION), _step_of_nobody, "the invocation is not open"),
    "completed twice": (has(keys.AWAKEABLE), _complete_twice, "was completed before"),
    "not asked": (has(keys.INVOCATION), _complete_what_was_not_asked, "waits for nothing"),
    "seen before it came": (has(keys.INVOCATION), _see_what_had_not_come, "had seen 99 compl"),
    "waits for nobody": (has(keys.WAITING), _wait_for_nobody, "for others than it called"),
    "a key of nobody": (has(keys.IDEMPOTENCY), _lead_elsewhere, "which there is not"),
    "a lost key": (
        has(keys.IDEMPOTENCY, keys.LIVE),
        _lose_a_key,
        "its idempotency key does not lead to it",
    ),
    "no head": (has(keys.STATE), _lose_the_heads, "and no head"),
    "a cut value": (has(keys.STATE), _cut_a_value, "cannot be read, at part head"),
    "an undo row of nobody": (has(keys.STATE), _undo_a_turn_that_was_not, "which there is not"),
    "a lost change": (has(keys.UNDO), _lose_a_change, "what that has changed it to is lost"),
    "undone to later": (has(keys.UNDO), _take_back_to_later, "takes back to a later one"),
    "link keys": (has(keys.INVOCATION), _garble_the_link_keys, "links are signed with cannot be"),
    "a later number": (has(keys.INVOCATION), _give_a_number_of_later, "comes from start 99"),
    "a cut journal": (has(keys.OUTCOME, keys.JOURNAL), _cut_a_kept_journal, "are lost"),
    "garbled": (has(keys.INVOCATION), _garble_a_record, "cannot be read"),
    "a later release": (has(keys.INVOCATION), _come_from_a_later_release, "of no table"),
    "a short key": (has(keys.JOURNAL), _shorten_a_key, "has no name that the table could give"),
}


@pytest.mark.parametrize("what", DAMAGES)
async def test_what_is_wrong_is_said_in_a_sentence(what: str, diary: Diary) -> None:
    is_there, damage, said = DAMAGES[what]
    for name in ("duplicates", "chain", "questions", "naps", "queue", "long"):
        await play(name)
        found = [rows for rows in diary.moments if is_there(rows)]
        if found:
            break
    rows = dict(found[-1])
    damage(rows)

    problems = verify_rows(MemoryStore(rows), epoch=98)

    assert any(said in problem for problem in problems), problems


def test_an_empty_store_has_nothing_wrong() -> None:
    assert verify_rows(MemoryStore()) == []


def test_a_store_of_an_epoch_that_is_not_known_may_have_any_number(diary: Diary) -> None:
    rows: Rows = {}
    rows[keys.state(keys.object_key("A", "a"), "n", b"")] = keys.u64(99 << 40) + b"\x01\x00\x01"
    assert verify_rows(MemoryStore(rows)) == []
    assert len(verify_rows(MemoryStore(rows), epoch=98)) == 1
    assert diary.moments == []


def test_an_entry_tells_what_it_is() -> None:
    """The sentences above are about these."""
    entry = codec.decode_entry(codec.encode_command(Sleep(1), 99, ""))
    assert entry == Issued(Sleep(1), 99, "")


async def test_a_journal_that_is_deleted_in_slices_is_sound_after_each_of_them(
    diary: Diary,
) -> None:
    """The entry by which a handler was given up names earlier ones, which go before it."""
    EFFECTS.clear()
    Outside.reset()
    Outside.fails = {"handler": 2}
    config = RuntimeConfig(collect_rows_max=1)
    async with VirtualRuntime(TRAVEL, store=MemoryStore(), config=config) as runtime:
        Outside.sleep = runtime.clock.sleep
        sent = await runtime.object(Trip, "t").flaky.send()
        await runtime.clock.advance(60)
        before = len(diary.moments)
        await runtime.invocation(sent).purge()
        await runtime.clock.advance(60)
    lefts = [find_commands(rows) for rows in diary.moments[before:]]

    assert any(isinstance(left[0], GiveUp) for left in lefts if left)
    assert not lefts[-1]
    assert diary.problems == []


def find_commands(rows: Rows) -> list[Command]:
    entries = [codec.decode_entry(row) for key, row in rows.items() if key[:1] == keys.JOURNAL]
    return [entry.command for entry in entries if isinstance(entry, Issued)]
