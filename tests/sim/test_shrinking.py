"""A world that breaks a promise is made small, so that its story can be read."""

from itertools import count

import pytest

from tests.planted.bugs import BUGS
from tests.planted.planting import planted
from tests.sim.runs import shrink
from tests.sim.world import Options, run_world

LONG = 150
"""Lines of a story: there is something to be left out."""


@pytest.mark.parametrize("name", ["signal given twice", "undo to the latest change"])
def test_what_is_left_of_a_world_breaks_the_same_promise_by_the_same_bug(name: str) -> None:
    """One pass over one seed left all three clients there, and most of the faults."""
    (bug,) = (bug for bug in BUGS if bug.name == name)
    with planted(bug.edits):
        worlds = (run_world(f"shrink/{number}") for number in count())
        before = next(each for each in worlds if each.violations and len(each.story) > LONG)
        seed, options = shrink(before.seed)
        after = run_world(seed, options)
    sound = run_world(seed, options)

    assert after.violations[0].split()[0] == before.violations[0].split()[0]
    assert sound.violations == ()
    assert options.clients + len(options.faults) <= 2
    assert len(after.story) < len(before.story) / 2


def test_a_world_that_breaks_nothing_is_not_made_small() -> None:
    assert run_world("shrink/0", Options()).violations == ()
    with pytest.raises(AssertionError, match="breaks no promise"):
        shrink("shrink/0")
