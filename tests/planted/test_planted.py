"""The simulation finds planted bugs: a few that are found soon; `make prove` plants all of them."""

from itertools import islice

import pytest

from tests.planted.bugs import BUGS
from tests.planted.planting import planted
from tests.planted.worlds import name_worlds, run

QUICK = (
    "ack before sync",
    "duplicate answered too early",
    "action before its intent is durable",
    "timer early",
    "undo to the latest change",
    "send made again",
    "kill leaves its open ends",
    "idempotency key not written",
)
WORLDS_MAX = 200
"""Each is found in the first few; which ones those are changes with what the worlds draw."""


@pytest.mark.parametrize("name", QUICK)
def test_the_simulation_finds_the_bug(name: str) -> None:
    """All of them: ``python -m tests.planted``."""
    (bug,) = (bug for bug in BUGS if bug.name == name)
    for world in islice(name_worlds("planted"), WORLDS_MAX):
        with planted(bug.edits):
            caught = run(world)
        if caught:
            assert not run(world), f"{world} is broken without the bug, too"
            return
    pytest.fail(f"not found in {WORLDS_MAX} worlds")
