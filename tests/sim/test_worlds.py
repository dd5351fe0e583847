"""Worlds of the simulation: no promise is broken, and every world is the same each time."""

from tests.sim.runs import finish_part, run_many, start_part


def test_no_promise_is_broken_in_any_of_these_worlds() -> None:
    totals = run_many("test", 40)

    assert totals.violations == {}


def test_a_world_is_the_same_under_another_hash_seed() -> None:
    first, second = (start_part("same", range(20), hash_seed=seed) for seed in (1, 2))

    assert finish_part(first).fingerprints == finish_part(second).fingerprints
