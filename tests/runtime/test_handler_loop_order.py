"""The same program takes the same course in every process."""

import asyncio
import json
import subprocess
import sys
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.processes import ROOT, environment
from tests.runtime.loop_programs import Program
from tests.runtime.loop_worlds import LoopWorld, run

seconds = st.sampled_from([0, 1, 2, 3])
leaves: st.SearchStrategy[Program] = st.one_of(
    st.tuples(st.just("sleep"), seconds),
    st.tuples(st.just("sleep"), seconds),
    st.tuples(st.sampled_from(["fail", "get", "set", "wait_event"])),
    st.tuples(st.just("put"), st.integers(0, 9)),
    st.tuples(st.just("wait_futures"), st.integers(2, 12)),
    st.tuples(st.just("generate"), st.integers(0, 3)),
).map(list)


def compound(parts: st.SearchStrategy[Program]) -> st.SearchStrategy[Program]:
    several = st.lists(parts, min_size=2, max_size=6)
    mode = st.sampled_from(
        [asyncio.ALL_COMPLETED, asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION]
    )
    of_several = ["several", "gather", "group", "wait_gathered", "complete"]
    return st.one_of(
        st.tuples(st.sampled_from(of_several), several),
        st.tuples(st.just("wait"), mode, several),
        st.tuples(st.sampled_from(["timeout", "wait_for"]), seconds, parts),
        st.tuples(st.sampled_from(["spawn", "shield", "lock"]), parts),
    ).map(list)


programs = st.recursive(leaves, compound, max_leaves=16)


def run_elsewhere(batch: list[Program], hash_seed: int) -> list[str]:
    """What happens in each program, in a process of their own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.runtime.loop_programs"],
        input=json.dumps(batch),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment(PYTHONHASHSEED=str(hash_seed)),
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def assert_runs_alike(batch: list[Program]) -> None:
    first, *others = [run_elsewhere(batch, hash_seed) for hash_seed in (1, 2)]
    assert len(first) == len(batch)
    for other in others:
        for program, one, another in zip(batch, first, other, strict=True):
            assert json.loads(one) == json.loads(another), program


@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(programs, min_size=40, max_size=60))
def test_a_program_takes_the_same_course_in_every_process(batch: list[Program]) -> None:
    assert_runs_alike(batch)


def sleeps(*seconds: int) -> list[Program]:
    return [["sleep", n] for n in seconds]


def test_as_completed_starts_alike_in_every_process() -> None:
    assert_runs_alike([["complete", sleeps(*range(n))] for n in range(2, 12)])


def test_what_wait_found_done_is_alike_in_every_process() -> None:
    assert_runs_alike([["wait", asyncio.ALL_COMPLETED, sleeps(*([1] * n))] for n in range(2, 12)])


def test_gathered_futures_in_a_set_are_alike_in_every_process() -> None:
    assert_runs_alike([["wait_gathered", sleeps(*([1] * n))] for n in range(2, 12)])


def test_plain_futures_in_a_set_are_alike_in_every_process() -> None:
    assert_runs_alike([["wait_futures", n] for n in range(2, 12)])


def test_a_group_aborts_alike_in_every_process() -> None:
    assert_runs_alike([["group", [*sleeps(*([2] * n)), ["fail"]]] for n in range(2, 12)])


def test_numbers_differ_between_invocations_so_that_asyncios_set_of_tasks_stays_quick() -> None:
    async def handler() -> int:
        return hash(asyncio.current_task())

    hashes = {LoopWorld(f"Counter/{n}/add (inv_{n})").run(handler()) for n in range(1_000)}
    assert len(hashes) > 990


def test_hashes_are_alike_in_every_attempt() -> None:
    async def handler() -> list[int]:
        loop = asyncio.get_running_loop()
        things: list[Any] = [
            asyncio.current_task(),
            loop.create_future(),
            asyncio.gather(asyncio.sleep(0)),
            asyncio.ensure_future(asyncio.sleep(0)),
            asyncio.shield(asyncio.sleep(0)),
        ]
        return [hash(thing) for thing in things]

    assert run(handler()) == run(handler())
