"""Worlds of the simulation: no promise is broken, and every world is the same each time.

`make prove` runs larger ones, and as many.
"""

import pytest

from tests.sim.runs import finish_part, run_many, start_part
from tests.sim.world import Options, run_world

SMALL = Options(requests=4)
WORLDS_PER_PART = 500
PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
def test_no_promise_is_broken_in_any_of_these_worlds(part: int) -> None:
    totals = run_many(f"test{part}", WORLDS_PER_PART, options=SMALL)

    assert totals.violations == {}
    assert totals.missing == []


def test_a_world_is_the_same_under_another_hash_seed() -> None:
    first, second = (start_part("same", range(20), hash_seed=seed) for seed in (1, 2))

    assert finish_part(first).fingerprints == finish_part(second).fingerprints


@pytest.mark.parametrize("seed", ["5/34", "5/35", "5/36"])
def test_a_world_is_the_same_again_in_a_process_whose_memory_lies_elsewhere(seed: str) -> None:
    """The first of them had callers refused in the order of their addresses."""
    first, again = run_world(seed), run_world(seed)

    assert first.story == again.story
    assert first.fingerprint == again.fingerprint
