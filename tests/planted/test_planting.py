"""Each planted bug still fits the code, and is gone when its block is left."""

import pytest

from holdfast.objects.identity import InvocationId
from holdfast.runtime.step_plan import idempotency_key_of
from holdfast.runtime.timers import Timers
from tests.planted.bugs import BUGS, HIDDEN, Bug
from tests.planted.hunt import hunt
from tests.planted.planting import Edit, GoneError, planted
from tests.proof.invariants import INVARIANTS


@pytest.mark.parametrize("bug", [*BUGS, *HIDDEN], ids=lambda bug: bug.name)
def test_the_bug_can_still_be_planted(bug: Bug) -> None:
    """Where it cannot, the code has changed: plant it in what decides the same now."""
    assert bug.breaks in INVARIANTS
    with planted(bug.edits):
        pass


def test_names_of_bugs_are_unique() -> None:
    names = [bug.name for bug in (*BUGS, *HIDDEN)]
    assert len(set(names)) == len(names)
    assert len(BUGS) >= 30, "the issue asks for thirty"


def test_a_bug_is_there_within_its_block_and_not_after_it() -> None:
    id_ = InvocationId(bytes(16))
    key = idempotency_key_of(id_, 7)
    with planted([Edit("runtime.step_plan:idempotency_key_of", "{index}", "{index + 1}")]):
        assert idempotency_key_of(id_, 7) != key
    assert idempotency_key_of(id_, 7) == key


@pytest.mark.parametrize(
    "edit",
    [
        Edit("runtime.timers:Timers.close", "no such text", ""),
        Edit("runtime.timers:Timers.close", "self", ""),
        Edit("runtime.timers:Timers.no_such_function", "", ""),
    ],
    ids=["gone", "ambiguous", "nowhere"],
)
def test_an_edit_that_does_not_fit_is_refused_and_nothing_is_changed(edit: Edit) -> None:
    fits = Edit("runtime.timers:Timers.close", "self._is_open = False", "pass")
    sound = Timers.close.__code__
    with pytest.raises(GoneError), planted([fits, edit]):
        pass
    assert Timers.close.__code__ is sound


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # it forks, as a hunt does
def test_a_hunt_that_ends_by_a_mistake_has_found_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A bug that did not fit the code any more was counted as found."""
    bug = Bug("gone", "does nothing", "I1", (Edit("runtime.timers:Timers.close", "gone", ""),))

    found = hunt(bug, "1")

    assert not found.caught
    assert found.wrong == ("the hunt ended with 1",)
    assert "GoneError" in capfd.readouterr().err
