"""Pinned: a directory written by any release must open in this one."""

from dataclasses import replace

import pytest

from holdfast import StoreDamagedError, StoreFormatError
from holdfast.journal import codec, keys, records, undo_rows
from holdfast.journal.entry import (
    Attach,
    AwaitPromise,
    AwaitSignal,
    Call,
    Cancel,
    CancelInvocation,
    Cancellation,
    Command,
    Compensation,
    CompleteAwakeable,
    CompletePromise,
    Completion,
    DrainMessages,
    Entry,
    Failure,
    GiveUp,
    Input,
    Issued,
    MakeAwakeable,
    Patched,
    PeekPromise,
    Reads,
    Run,
    Send,
    SendSignal,
    Sleep,
    TakeMessage,
    Told,
)
from holdfast.journal.undo_rows import UndoRow
from holdfast.objects.identity import InvocationId, Origin, Target

ID = InvocationId(bytes(range(16)))
ID_HEX = ID.hex()
TARGET = Target("A", "b\0c", "d")
OBJECT = keys.object_key("A", "b\0c")
OBJECT_HEX = "41 00 01 62 00 ff 63 00 01".replace(" ", "")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (keys.invocation(ID), "69" + ID_HEX),
        (keys.outcome(ID), "6f" + ID_HEX),
        (keys.journal(ID, 7), "6a" + ID_HEX + "00000007"),
        (keys.live(ID), "6c" + ID_HEX),
        (keys.turn(OBJECT), "68" + OBJECT_HEX),
        (keys.inbox(OBJECT, 1), "71" + OBJECT_HEX + "0000000000000001"),
        (keys.state(OBJECT, "f", b"\x05"), "73" + OBJECT_HEX + "66000105"),
        (
            keys.undo(OBJECT, 1, 2, "f", b""),
            "75" + OBJECT_HEX + "0000000000000001" + "00000002" + "660001",
        ),
        (keys.timer(258, ID, 3), "74" + "0000000000000102" + ID_HEX + "00000003"),
        (keys.idempotency(TARGET, "k"), "64" + OBJECT_HEX + "640001" + "6b0001"),
        (keys.awakeable(ID, 1), "61" + ID_HEX + "00000001"),
        (keys.waiting(ID), "77" + ID_HEX),
        (keys.step(ID, 1), "70" + ID_HEX + "00000001"),
        (keys.expiry(1, ID), "78" + "0000000000000001" + ID_HEX),
        (keys.lane(OBJECT, 1), "67" + OBJECT_HEX + "0000000000000001"),
        (keys.promise(OBJECT, "p"), "6e" + OBJECT_HEX + "700001"),
        (keys.promised(OBJECT, "p", ID, 1), "65" + OBJECT_HEX + "700001" + ID_HEX + "00000001"),
        (keys.signal(ID, "s", 1), "62" + ID_HEX + "730001" + "0000000000000001"),
        (keys.signalled(ID, "s", 1), "63" + ID_HEX + "730001" + "00000001"),
        (keys.message(ID, 1), "76" + ID_HEX + "00000001"),
        (keys.attached(ID, ID, 1), "79" + ID_HEX + ID_HEX + "00000001"),
        (keys.workflow("A", "b\0c"), "66" + OBJECT_HEX),
        (keys.history(OBJECT), "6b" + OBJECT_HEX),
        (keys.reissue(ID, 1), "72" + ID_HEX + "00000001"),
        (keys.remains(ID), "7a" + ID_HEX),
        (keys.meta("x"), "6d780001"),
    ],
)
def test_keys_do_not_change(key: bytes, expected: str) -> None:
    assert key.hex() == expected


FAILURE = Failure("HF0001", 422, "no", "Odd", (("a", "b"),), (("E", "e"),))
PASSED_ON = replace(FAILURE, origin=Origin(TARGET, "inv_" + ID_HEX))
FAILURE_HEX = "96a6484630303031cd01a6a26e6fa34f646481a161a1629192a145a165"

# 96, an array of 6, has become 97.
PASSED_ON_HEX = "97" + FAILURE_HEX[2:] + "92 93 a141 a3620063 a164 c410" + ID_HEX


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (Run("llm"), "01 94 01 02 a5 782e70793a a3 6c6c6d"),
        (Sleep(5), "01 94 02 02 a5 782e70793a 05"),
        (
            Call(TARGET, b"dg", ID),
            "01 96 03 02 a5 782e70793a 93 a141 a3620063 a164 c402 6467 c410" + ID_HEX,
        ),
        (
            Send(TARGET, b"dg", 9, ID),
            "01 97 04 02 a5 782e70793a 93 a141 a3620063 a164 c402 6467 09 c410" + ID_HEX,
        ),
        (MakeAwakeable(), "01 93 05 02 a5 782e70793a"),
        (
            CompleteAwakeable(ID, 3, b"dg"),
            "01 96 06 02 a5 782e70793a c410" + ID_HEX + "03 c402 6467",
        ),
        (Cancel(4), "01 94 07 02 a5 782e70793a 04"),
        (
            MakeAwakeable(b"m", None, 9),
            "01 96 05 02 a5 782e70793a c4016d c0 09",
        ),
        (AwaitPromise("p"), "01 94 09 02 a5 782e70793a a170"),
        (PeekPromise("p"), "01 94 0a 02 a5 782e70793a a170"),
        (CompletePromise("p", b"dg"), "01 95 0b 02 a5 782e70793a a170 c402 6467"),
        (AwaitSignal("s"), "01 94 0c 02 a5 782e70793a a173"),
        (SendSignal(ID, "s", b"dg"), "01 96 0d 02 a5 782e70793a c410" + ID_HEX + "a173 c402 6467"),
        (Attach(ID), "01 94 0e 02 a5 782e70793a c410" + ID_HEX),
        (Patched("x"), "01 94 0f 02 a5 782e70793a a178"),
        (TakeMessage(), "01 93 13 02 a5 782e70793a"),
        (DrainMessages(), "01 93 14 02 a5 782e70793a"),
        (Compensation("undo"), "01 94 15 02 a5 782e70793a a4 756e646f"),
        (GiveUp(FAILURE, (3, 4)), "01 95 16 02 a5 782e70793a" + FAILURE_HEX + "92 03 04"),
        (CancelInvocation(ID), "01 94 17 02 a5 782e70793a c410" + ID_HEX),
    ],
)
def test_commands_do_not_change(command: Command, expected: str) -> None:
    row = codec.encode_command(command, 2, "x.py:")

    assert row == bytes.fromhex(expected)
    assert codec.tag_of(row) == codec.unpack(row, "an entry")[0]
    decoded = codec.decode_entry(row)
    assert decoded == Issued(command, 2, "x.py:")
    # Not everything of a command is compared.
    assert repr(decoded) == repr(Issued(command, 2, "x.py:"))


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (None, "01 94 01 02 {source} a3 6c6c6d"),
        ("y.py:3#00000000", "01 95 01 02 {source} a3 6c6c6d af 792e70793a3323 3030303030303030"),
        # In the file of the source, whose name is not written again.
        ("x.py:3#00000000", "01 95 01 02 {source} a3 6c6c6d ab 3a3323 3030303030303030"),
    ],
)
def test_the_place_of_an_action_does_not_change(action: str | None, expected: str) -> None:
    source = "x.py:1#a1b2c3d4"
    packed = "af" + source.encode().hex()
    row = codec.encode_command(Run("llm", action), 2, source)

    assert row == bytes.fromhex(expected.format(source=packed))
    entry = codec.decode_entry(row)
    assert entry == Issued(Run("llm"), 2, source), "the action's place is not compared"
    assert isinstance(entry, Issued)
    assert isinstance(entry.command, Run)
    assert entry.command.action == (action and action.removeprefix("x.py"))


@pytest.mark.parametrize(
    ("entry", "row", "expected"),
    [
        (
            Input(argument=b"{}", headers={"a": "b"}),
            codec.InputRow(Input(argument=b"{}", headers={"a": "b"})).encode(),
            "01 95 00 c402 7b7d 81 a161 a162 c0 01",
        ),
        (
            Completion(1, 9, b"x"),
            codec.encode_completion(Completion(1, 9, b"x")),
            "01 94 10 01 09 c401 78",
        ),
        (
            Completion(1, 9, None),
            codec.encode_completion(Completion(1, 9, None)),
            "01 94 10 01 09 c0",
        ),
        (
            Completion(1, 9, FAILURE),
            codec.encode_completion(Completion(1, 9, FAILURE)),
            "01 94 11 01 09" + FAILURE_HEX,
        ),
        (
            Completion(1, 9, PASSED_ON),
            codec.encode_completion(Completion(1, 9, PASSED_ON)),
            "01 94 11 01 09" + PASSED_ON_HEX,
        ),
        (
            Cancellation(9, "no"),
            codec.encode_cancellation(Cancellation(9, "no")),
            "01 93 12 09 a2 6e6f",
        ),
        (
            Reads(3, {"f": {b"": b"x"}}),
            codec.encode_reads(Reads(3, {"f": {b"": b"x"}})),
            "01 93 08 03 81 a166 81 c400 c401 78",
        ),
        (Told(3, 9), codec.encode_told(Told(3, 9)), "01 93 18 03 09"),
    ],
)
def test_other_entries_do_not_change(entry: Entry, row: bytes, expected: str) -> None:
    assert row == bytes.fromhex(expected)
    assert codec.decode_entry(row) == entry
    assert codec.tag_of(row) == codec.unpack(row, "an entry")[0]
    assert (codec.tag_of(row) in codec.ANSWERS) == isinstance(entry, Completion)


def test_an_input_of_an_early_release_is_of_its_order_however_often_it_is_copied() -> None:
    entry = codec.decode_entry(bytes.fromhex("01 94 00 c402 7b7d 81 a161 a162 c0"))

    assert entry == Input(argument=b"{}", headers={"a": "b"}, order=0)
    assert isinstance(entry, Input)
    assert codec.decode_entry(codec.InputRow(entry).encode()) == entry


def test_records_do_not_change() -> None:
    record = records.InvocationRecord(
        target=TARGET,
        state=records.InvocationState.BEGUN,
        sequence=1,
        is_exclusive=True,
        begun_ms=2,
        caller=ID,
        caller_index=3,
        idempotency_key="k",
        failures=4,
        next_attempt_ms=5,
        last_failure="e",
    )
    outcome = records.OutcomeRecord(
        target=TARGET,
        sequence=1,
        completed_ms=2,
        kept=records.Kept.JOURNAL,
        result=FAILURE,
        idempotency_key="k",
        expires_ms=3,
    )
    step = records.StepRecord(
        state=records.StepState.FAILED, attempt=2, failures=1, next_attempt_ms=9, last_failure="e"
    )

    assert record.encode() == bytes.fromhex(
        "01 9d 02 a141 a3620063 a164 01 c3 02 c410" + ID_HEX + "03 a16b 04 05 a165"
    )
    assert records.decode_invocation(record.encode()) == record
    assert outcome.encode() == bytes.fromhex(
        "01 9a a141 a3620063 a164 01 02 01 c2" + FAILURE_HEX + "a16b 03"
    )
    assert records.decode_outcome(outcome.encode()) == outcome
    assert step.encode() == bytes.fromhex("01 95 01 02 01 09 a165")
    assert records.decode_step(step.encode()) == step
    step = records.StepRecord(failures=1, last_failure="e", failed_ms=9)
    assert step.encode() == bytes.fromhex("01 98 00 01 01 00 a165 00 c0 09")
    assert records.decode_step(step.encode()) == step
    step = records.StepRecord(began_ms=7, details=b"x")
    assert step.encode() == bytes.fromhex("01 97 00 01 00 00 a0 07 c401 78")
    assert records.decode_step(step.encode()) == step
    assert [kind.encode().hex() for kind in records.TimerKind] == [
        f"0{number}" for number in range(5)
    ]


def test_details_do_not_change() -> None:
    record = records.InvocationRecord(
        target=Target("A", None, "d"), state=records.InvocationState.SCHEDULED, sequence=1
    )
    plain = record.encode()
    details = record.need_details()
    details.mode = records.CallMode.STEER
    details.is_canceled = True
    outcome = records.OutcomeRecord(
        target=Target("A", None, "d"),
        sequence=1,
        completed_ms=2,
        kept=records.Kept.OUTCOME,
        result=b"x",
        details=records.OutcomeDetails(begun_ms=7),
    )

    # 9d, an array of 13, has become 9e.
    assert record.encode() == bytes.fromhex(
        "01 9e" + plain[2:].hex() + "82 a4 6d6f6465 02 ab 69735f63616e63656c6564 c3"
    )
    assert records.decode_invocation(record.encode()) == record
    assert outcome.encode() == bytes.fromhex(
        "01 9b a141 c0 a164 01 02 00 c2 c401 78 c0 00 81 a8 626567756e5f6d73 07"
    )
    assert records.decode_outcome(outcome.encode()) == outcome


def test_rows_of_promises_signals_and_awakeables_do_not_change() -> None:
    awakeable = records.AwakeableRecord(message=b"m", schema=None, due_ms=1, created_ms=2)
    promise = records.PromiseRecord(1, FAILURE)
    signal = records.SignalRecord(b"x")
    remains = records.RemainsRecord(TARGET, 1, 7, may_have_undo=False, is_whole=True)

    assert awakeable.encode() == bytes.fromhex("01 94 c4016d c0 01 02")
    assert records.decode_awakeable(awakeable.encode()) == awakeable
    assert records.decode_awakeable(b"") == records.AwakeableRecord()
    assert promise.encode() == bytes.fromhex("01 92 01" + FAILURE_HEX)
    assert records.decode_promise(promise.encode()) == promise
    assert signal.encode() == bytes.fromhex("01 91 c401 78")
    assert records.decode_signal(signal.encode()) == signal
    assert remains.encode() == bytes.fromhex("01 97 a141 a3620063 a164 01 07 c2 c3")
    assert records.decode_remains(remains.encode()) == remains


def test_the_row_of_debris_does_not_change() -> None:
    found = records.DebrisRecord(size=300, latest=b"i", has_workflows=True)

    assert found.encode() == bytes.fromhex("01 93 cd012c c40169 c3")
    assert records.decode_debris(found.encode()) == found


def test_the_row_of_link_keys_does_not_change_and_its_repr_shows_no_key() -> None:
    found = (records.LinkKey(1, b"k", is_revoked=True), records.LinkKey(2, b"n", is_revoked=False))

    row = records.encode_link_keys(found)

    assert row == bytes.fromhex("01 92 93 01 c4016b c3 93 02 c4016e c2")
    assert records.decode_link_keys(row) == found
    assert "key=" not in repr(found)


@pytest.mark.parametrize(
    ("undo", "expected"),
    [
        (UndoRow(None), "00"),
        (UndoRow(None, default=b"d"), "02 64"),
        (UndoRow(b"row", 7), "03 0000000000000007 726f77"),
        (UndoRow(b"row", 7, takes_away=True), "04 0000000000000007 726f77"),
        (
            UndoRow(b"row", 7, takes_away=True, default=b"d"),
            "05 00000001 64 04 0000000000000007 726f77",
        ),
    ],
)
def test_undo_rows_do_not_change(undo: UndoRow, expected: str) -> None:
    assert undo.encode() == bytes.fromhex(expected)
    assert undo_rows.decode(undo.encode()) == undo
    assert undo_rows.takes_away(undo.encode()) == undo.takes_away


def test_an_undo_row_keeps_a_stored_row_as_it_is() -> None:
    stored = keys.u64(7) + b"row"

    assert undo_rows.encode_old(None, takes_away=True) == UndoRow(None).encode()
    assert undo_rows.encode_old(stored, takes_away=False) == UndoRow(b"row", 7).encode()
    assert undo_rows.decode(b"\x01row") == UndoRow(b"row", takes_away=True)
    with pytest.raises(StoreFormatError, match="begins with 06"):
        undo_rows.decode(b"\x06")


def test_a_failure_is_shown_alike_wherever_it_comes_from() -> None:
    """A rejection's command holds a digest of how its failure is shown."""
    assert repr(PASSED_ON) == repr(FAILURE)


def test_object_names_cannot_run_into_each_other() -> None:
    assert keys.object_key("a", "b") != keys.object_key("ab", "")
    assert not keys.object_key("A", "bc").startswith(keys.object_key("A", "b"))
    assert keys.split_text(keys.text("b\0c") + b"rest", 0) == ("b\0c", 5 + 1)


def test_a_row_of_a_later_format_is_refused_with_a_sentence() -> None:
    with pytest.raises(StoreFormatError, match="format 02; this release reads format 01"):
        codec.decode_entry(b"\x02\x90")
    with pytest.raises(StoreFormatError, match="tag 99"):
        codec.decode_entry(codec.pack([99, 0, ""]))
    with pytest.raises(StoreDamagedError, match="cannot be read"):
        codec.decode_entry(b"\x01\x94\x10")


@pytest.mark.parametrize("name", ["sam", "", "a\0b", "\0\1", "\0\xff\0\1"])
def test_what_is_waited_for_is_found_in_the_keys_of_its_rows(name: str) -> None:
    object_ = keys.object_key("Cart", name)
    assert keys.watched(keys.state(object_, "total", b"\0\1part")) == keys.STATE + object_
    promise = keys.promise(object_, "signed")
    assert keys.watched(promise) == promise
    assert keys.watched(keys.undo(object_, 1, 2, "total", b"")) is None
