"""What a cursor says of patches, command by command."""

import pytest

from holdfast import JournalMismatchError
from holdfast.journal.entry import Command, Completion, Input, Issued, Patched, Run
from holdfast.journal.replay import ReplayCursor

A, B = Run("a"), Run("b")
P, Q = Patched("p"), Patched("q")


def cursor_of(*entries: tuple[Command, int] | Completion) -> ReplayCursor:
    """A cursor of commands, each with the number of deliveries before it, and completions."""
    read = [
        each if isinstance(each, Completion) else Issued(each[0], each[1], "") for each in entries
    ]
    return ReplayCursor([(0, Input(argument=b"", headers={})), *enumerate(read, 1)])


def test_beyond_the_journal_it_says_nothing() -> None:
    assert cursor_of().find_patch("p") is None


def test_a_recorded_patch_is_found_once_and_holds() -> None:
    cursor = cursor_of((P, 0), (A, 0))

    assert cursor.find_patch("p") is True
    assert cursor.match(A) == (2, A)
    assert cursor.find_patch("p") is True


def test_a_place_that_was_passed_without_it_stays_without_it() -> None:
    cursor = cursor_of((A, 0))

    assert cursor.find_patch("p") is False
    assert cursor.match(A) == (1, A)
    assert not cursor.is_replaying
    assert cursor.find_patch("p") is False


def test_a_recorded_patch_wins_over_an_earlier_no() -> None:
    """The call was moved up: what the journal went through from there on is the patched code."""
    cursor = cursor_of((A, 0), (P, 0), (B, 0))

    assert cursor.find_patch("p") is False
    cursor.match(A)
    assert cursor.find_patch("p") is True
    assert cursor.match(B) == (3, B)


def test_patches_side_by_side_are_found_in_any_order() -> None:
    cursor = cursor_of((P, 0), (Q, 0), (A, 0))

    assert cursor.find_patch("q") is True
    assert cursor.find_patch("p") is True
    assert cursor.match(A) == (3, A)


def test_a_patch_behind_a_command_is_not_found_before_it() -> None:
    cursor = cursor_of((P, 0), (A, 0), (Q, 0), (B, 0))

    assert cursor.find_patch("q") is False
    assert cursor.find_patch("p") is True


def test_a_new_command_steps_over_the_last_patches() -> None:
    cursor = cursor_of((P, 0), (Q, 0))

    assert cursor.match(A) is None
    assert not cursor.is_replaying
    assert cursor.patches == {"p": True, "q": True}


def test_a_mismatch_behind_patches_moves_nothing() -> None:
    cursor = cursor_of((P, 0), (Q, 0), (A, 0))

    with pytest.raises(JournalMismatchError, match="entry 3"):
        cursor.match(B)
    assert cursor.patches == {}
    assert cursor.find_patch("q") is True
    assert cursor.match(A) == (3, A)


def test_a_handler_that_waits_steps_over_what_it_should_have_asked_by_now_and_no_further() -> None:
    cursor = cursor_of((A, 0), Completion(1, 0, b""), (P, 0), (Q, 1), (B, 1))
    cursor.match(A)

    assert cursor.next_delivery() is not None
    assert cursor.patches == {"p": True}
    with pytest.raises(JournalMismatchError, match="entry 5"):
        cursor.next_delivery()


def test_a_handler_that_ends_steps_over_patches_alone() -> None:
    cursor_of((P, 0), (Q, 3)).finish()
    with pytest.raises(JournalMismatchError, match="entry 2"):
        cursor_of((P, 0), (A, 0)).finish()
