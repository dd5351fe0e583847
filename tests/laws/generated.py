"""How programs are drawn."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

EXAMPLES_MAX = int(os.environ.get("HOLDFAST_LAW_EXAMPLES", "25"))
"""Programs per law. CI draws the same few each time; a soak sets more, and draws new ones."""

SOAKS = "HOLDFAST_LAW_EXAMPLES" in os.environ

# A failure in CI is drawn again anywhere; to make it small takes minutes, and a soak does it.
PHASES = [Phase.generate, Phase.shrink] if SOAKS else [Phase.generate]

LAWS = settings(
    max_examples=EXAMPLES_MAX,
    derandomize=not SOAKS,
    deadline=None,
    database=None,
    phases=PHASES,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
        HealthCheck.large_base_example,
    ],
)

Strategy = st.SearchStrategy[list[Any]]


def as_list(parts: tuple[Any, ...]) -> list[Any]:
    return list(parts)


def statement(kind: str, *arguments: st.SearchStrategy[Any]) -> Strategy:
    """A statement of that kind with drawn arguments."""
    return st.tuples(st.just(kind), *arguments).map(as_list)


MS = st.integers(0, 40)
SMALL = st.integers(0, 9)

LEAVES = st.one_of(
    statement("step", MS, st.sampled_from([False, False, True])),
    statement("flaky", st.integers(0, 3)),
    statement("sleep", MS),
    statement("await", SMALL),
    statement("cancel", SMALL),
    statement("fork", MS, MS),
    statement("fork", MS, MS, MS, MS),
    statement("put", SMALL),
    statement("get", MS),
    statement("set"),
    statement("wait", MS),
    statement("append", st.sampled_from([1, 2, 60, 150])),
    statement("cut", SMALL),
    statement("fact", st.integers(0, 100)),
    statement("total", SMALL),
    statement("named", SMALL),
    statement("call", st.integers(0, 2)),
    statement("send", MS),
    statement("promise", MS),
    statement("shout", SMALL),
    statement("hear", MS),
)


def compounds(body: Strategy) -> Strategy:
    program = st.lists(body, min_size=1, max_size=4)
    programs = st.lists(program, min_size=2, max_size=4)
    fails_beside = program.map(lambda one: [one, [["raise"]]])
    return st.one_of(
        statement("spawn", program),
        statement("gather", programs, st.booleans()),
        statement("group", programs),
        statement("group", fails_beside),
        statement("race", programs),
        statement("completed", programs),
        statement("timeout", MS, program),
        st.tuples(st.sampled_from(["shield", "section"]), program).map(as_list),
        statement("try", program, program),
        statement("lock", program),
    )


PROGRAMS = st.lists(st.recursive(LEAVES, compounds, max_leaves=10), min_size=2, max_size=7)
