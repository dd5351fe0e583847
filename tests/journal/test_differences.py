"""A mismatch in words: every command reads as code, and the cause is the likely one."""

import json
from functools import partial
from typing import get_args

import pytest

from holdfast import JournalMismatchError
from holdfast.journal.differences import Now, describe, explain, split_place
from holdfast.journal.entry import (
    Attach,
    AwaitPromise,
    AwaitSignal,
    Call,
    Cancel,
    CancelInvocation,
    Command,
    Compensation,
    CompleteAwakeable,
    CompletePromise,
    Completion,
    DrainMessages,
    Failure,
    GiveUp,
    Input,
    Issued,
    MakeAwakeable,
    Patched,
    PeekPromise,
    Run,
    Send,
    SendSignal,
    Sleep,
    TakeMessage,
)
from holdfast.journal.replay import Difference, ReplayCursor
from holdfast.objects.identity import InvocationId, Target
from holdfast.objects.mismatch import LINE_CHARACTERS_MAX, Mismatch, MismatchCause

ID = InvocationId(bytes(15) + b"\1")
INV = "inv_" + "0" * 31 + "1"
CART = Target("Cart", "sam", "add")
MAIL = Target("Mail", None, "deliver")
START_MS = 1_000_000_000_000

WORDS: list[tuple[Command, str]] = [
    (Run("charge"), 'ctx.run("charge")'),
    (Run('a "b"\n\u00e4'), 'ctx.run("a \\"b\\"\\n\u00e4")'),
    (Sleep(START_MS + 1500), "sleep(1.5 s)"),
    (Sleep(START_MS + 7_200_000), "sleep(2:00:00)"),
    (Call(CART, b"\x01\x02", ID), 'ctx.call("Cart", "sam", "add", ...)'),
    (Call(MAIL, b"\x01\x02", ID), 'ctx.call("Mail", None, "deliver", ...)'),
    (Send(CART, b"\x01\x02", 0, ID), 'ctx.send("Cart", "sam", "add", ...)'),
    (Send(CART, b"\x01", 2000, ID), 'ctx.send("Cart", "sam", "add", ..., delay=2 s)'),
    (MakeAwakeable(), "ctx.awakeable()"),
    (CompleteAwakeable(ID, 3, b"\x01"), f"completion of awk_{INV[4:]}00000003 with ..."),
    (Cancel(4), "cancellation of entry 4"),
    (AwaitPromise("p"), 'ctx.promise("p")'),
    (PeekPromise("p"), 'ctx.promise("p").peek()'),
    (CompletePromise("p", b"\x01"), 'ctx.promise("p") completed with ...'),
    (AwaitSignal("s"), 'ctx.signal("s")'),
    (SendSignal(ID, "s", b"\x01"), f'signal "s" to {INV} with ...'),
    (Attach(ID), f"attach to {INV}"),
    (CancelInvocation(ID), f"cancellation of {INV}"),
    (Patched("x"), 'ctx.patched("x")'),
    (TakeMessage(), "the next message for this turn"),
    (DrainMessages(), "all messages for this turn"),
    (Compensation("refund"), 'saga.add("refund")'),
    (GiveUp(Failure("HF0001", 500, "no", "Odd"), (1,)), "the beginning of compensations"),
]


@pytest.mark.parametrize(("command", "words"), WORDS, ids=[words for _, words in WORDS])
def test_a_command_reads_as_code(command: Command, words: str) -> None:
    assert describe(command, time_ms=START_MS) == words


def test_no_command_is_without_words() -> None:
    assert {type(command) for command, _ in WORDS} == set(get_args(Command))


def test_a_timer_that_is_counted_from_nowhere_says_until_when() -> None:
    assert describe(Sleep(START_MS)) == "sleep(until 2001-09-09T01:46:40+00:00)"
    assert describe(Sleep(10**20)) == f"sleep(until {10**20} ms)"


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("shop.py:12#a1b2c3d4", ("shop.py:12", "a1b2c3d4")),
        ("shop.py:12", ("shop.py:12", "")),
        ("", ("", "")),
        ("odd#name.py:12", ("odd#name.py:12", "")),
    ],
)
def test_a_place_of_any_release_is_read(source: str, parts: tuple[str, str]) -> None:
    assert split_place(source) == parts


def mismatch_of(  # noqa: PLR0913  # what a mismatch depends on
    recorded: list[tuple[Command, int]],
    attempted: Command | None,
    *,
    deliveries: int = 0,
    has_ended: bool = False,
    completions: int = 0,
    then: str = "shop.py:31#11111111",
    now: str = "shop.py:33#22222222",
) -> Mismatch:
    """What a cursor says when ``attempted`` follows nothing but ``deliveries`` results."""
    entries = [
        (index, Issued(command, delivered, then))
        for index, (command, delivered) in enumerate(recorded, 1)
    ]
    answers = [(100 + n, Completion(99, 0, None)) for n in range(completions)]
    found: list[Mismatch] = []

    def refuse(difference: Difference) -> JournalMismatchError:
        known = Now(place=now, handler="shop.py:25", fingerprint="22222222", time_ms=START_MS)
        found.append(explain(difference, known))
        return JournalMismatchError(mismatch=found[-1])

    cursor = ReplayCursor([(0, Input(argument=b"", headers={})), *entries, *answers], refuse=refuse)
    cursor.deliveries = deliveries
    ask = partial(cursor.match, attempted) if attempted is not None else cursor.next_delivery
    with pytest.raises(JournalMismatchError) as raised:
        (cursor.finish if has_ended else ask)()
    assert raised.value.mismatch is found[-1]
    assert raised.value.message == found[-1].line
    return found[-1]


A, B, C = Run("a", "x.py:1#aaaaaaaa"), Run("b", "x.py:2#bbbbbbbb"), Run("c", "x.py:3#cccccccc")
SAME_PLACE = "shop.py:31#22222222"


@pytest.mark.parametrize(
    ("mismatch", "cause"),
    [
        (mismatch_of([(A, 0), (B, 1)], C), MismatchCause.INSERTED),
        (mismatch_of([(A, 0), (C, 1)], C), MismatchCause.REMOVED),
        (mismatch_of([(A, 0)], None, has_ended=True), MismatchCause.REMOVED),
        (mismatch_of([(A, 0)], None), MismatchCause.REMOVED),
        (mismatch_of([(A, 0)], None, completions=1), MismatchCause.LATER),
        (mismatch_of([(A, 0), (B, 0)], B), MismatchCause.REORDERED),
        (mismatch_of([(A, 0)], Run("z", "elsewhere.py:9#aaaaaaaa")), MismatchCause.RENAMED),
        (mismatch_of([(Run("a"), 0)], Run("z")), MismatchCause.INSERTED),
        (mismatch_of([(A, 0)], B, now=SAME_PLACE), MismatchCause.INSERTED),
        (mismatch_of([(A, 0)], Sleep(9)), MismatchCause.INSERTED),
        (mismatch_of([(A, 1)], A), MismatchCause.EARLIER),
        (mismatch_of([(A, 0)], A, deliveries=1), MismatchCause.LATER),
        (mismatch_of([(Sleep(1), 0)], Sleep(2)), MismatchCause.ARGUMENTS),
        (mismatch_of([(Sleep(1), 1)], Sleep(2)), MismatchCause.INSERTED),
        (mismatch_of([(Call(CART, b"1", ID), 0)], Call(CART, b"2", ID)), MismatchCause.ARGUMENTS),
        (
            mismatch_of([(Call(CART, b"1", ID), 0)], Call(Target("Cart", "eve", "add"), b"2", ID)),
            MismatchCause.ARGUMENTS,
        ),
        (
            mismatch_of([(Call(CART, b"1", ID), 0)], Call(Target("Cart", "sam", "put"), b"1", ID)),
            MismatchCause.RENAMED,
        ),
        (mismatch_of([(Call(CART, b"1", ID), 0)], Call(MAIL, b"2", ID)), MismatchCause.INSERTED),
        (
            mismatch_of([(Send(CART, b"1", 0, ID), 0)], Send(CART, b"1", 9, ID)),
            MismatchCause.ARGUMENTS,
        ),
        (
            mismatch_of([(CompletePromise("p", b"1"), 0)], CompletePromise("p", b"2")),
            MismatchCause.ARGUMENTS,
        ),
        (
            mismatch_of([(CompleteAwakeable(ID, 1, b""), 0)], CompleteAwakeable(ID, 2, b"")),
            MismatchCause.ARGUMENTS,
        ),
        (
            mismatch_of([(SendSignal(ID, "s", b"1"), 0)], SendSignal(ID, "s", b"2")),
            MismatchCause.ARGUMENTS,
        ),
        (mismatch_of([(Cancel(1), 0)], Cancel(2)), MismatchCause.REORDERED),
        (mismatch_of([(AwaitSignal("s"), 0)], AwaitSignal("t")), MismatchCause.INSERTED),
    ],
)
def test_the_likely_cause(mismatch: Mismatch, cause: MismatchCause) -> None:
    assert mismatch.cause is cause, mismatch.line
    assert mismatch.reason


def test_a_digest_is_shown_where_nothing_else_differs() -> None:
    mismatch = mismatch_of([(Call(CART, b"\x0a", ID), 0)], Call(CART, b"\x0b", ID))

    assert mismatch.recorded.command == 'ctx.call("Cart", "sam", "add", <0a>)'
    assert mismatch.attempted.command == 'ctx.call("Cart", "sam", "add", <0b>)'


def test_the_block_has_both_sides_one_above_the_other() -> None:
    mismatch = mismatch_of(
        [(Run("charge", ":8#aaaaaaaa"), 2)],
        Run("charge_card", "pay.py:8#aaaaaaaa"),
        deliveries=2,
    )

    assert mismatch.block == (
        "entry 1 is not what the handler asks for\n"
        '  recorded   ctx.run("charge")        shop.py:31   after 2 results   '
        "function at shop.py:8\n"
        '  attempted  ctx.run("charge_card")   shop.py:33   after 2 results   '
        "function at pay.py:8\n"
        "  likely renamed: both run the same function\n"
        "  the handler (shop.py:25) has changed since: 11111111 then, 22222222 now"
    )
    assert mismatch.line == (
        'entry 1: the journal recorded ctx.run("charge") (shop.py:31), '
        'but the handler now asks for ctx.run("charge_card") (shop.py:33); '
        "likely renamed: both run the same function; the handler's own code has changed"
    )
    assert json.loads(json.dumps(mismatch.as_json())) == {
        "index": 1,
        "recorded": {
            "command": 'ctx.run("charge")',
            "place": "shop.py:31",
            "action": "shop.py:8",
            "results": 2,
        },
        "attempted": {
            "command": 'ctx.run("charge_card")',
            "place": "shop.py:33",
            "action": "pay.py:8",
            "results": 2,
        },
        "has_ended": False,
        "cause": "renamed",
        "reason": "both run the same function",
        "handler": "shop.py:25",
        "is_code_changed": True,
    }


def test_unchanged_code_is_told_from_code_that_nobody_knows() -> None:
    same = mismatch_of([(A, 0)], B, then="shop.py:31#22222222")
    unknown = mismatch_of([(A, 0)], B, then="shop.py:31")

    assert "is the same code as then (22222222)" in same.block
    assert "the handler's own code is the same" in same.line
    assert "whether the handler (shop.py:25) has changed since is not known" in unknown.block
    assert unknown.is_code_changed is None
    assert unknown.line.endswith("further on")


def test_whatever_names_there_are_the_line_stays_bounded() -> None:
    long = "n" * 100_000
    target = Target(long, long, long)
    mismatch = mismatch_of(
        [(Call(target, b"1", ID), 0)],
        Run(long, f"{long}.py:1#aaaaaaaa"),
        then=f"{long}.py:1#11111111",
        now=f"{long}.py:2#22222222",
    )

    assert len(mismatch.line) < LINE_CHARACTERS_MAX
    assert len(mismatch.block) < 3 * LINE_CHARACTERS_MAX
    assert "\n" not in mismatch_of([(Run("a\nb"), 0)], Run("c\nd")).line
