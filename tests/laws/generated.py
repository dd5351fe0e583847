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
    suppress_health_check=list(HealthCheck),
)

MS = st.integers(0, 40)
SMALL = st.integers(0, 9)

_LEAVES: list[st.SearchStrategy[list[Any]]] = [
    st.builds(lambda ms, fails: ["step", ms, fails], MS, st.sampled_from([False, False, True])),
    st.builds(lambda times: ["flaky", times], st.integers(0, 3)),
    st.builds(lambda ms: ["sleep", ms], MS),
    st.builds(lambda n: ["await", n], SMALL),
    st.builds(lambda n: ["cancel", n], SMALL),
    st.builds(lambda durations: ["fork", *durations], st.lists(MS, min_size=2, max_size=4)),
    st.builds(lambda n: ["put", n], SMALL),
    st.builds(lambda ms: ["get", ms], MS),
    st.just(["set"]),
    st.builds(lambda ms: ["wait", ms], MS),
    st.builds(lambda n: ["append", n], st.sampled_from([1, 2, 60, 150])),
    st.builds(lambda n: ["cut", n], SMALL),
    st.builds(lambda n: ["fact", n], st.integers(0, 100)),
    st.builds(lambda n: ["total", n], SMALL),
    st.builds(lambda n: ["named", n], SMALL),
    st.builds(lambda n: ["call", n], st.integers(0, 2)),
    st.builds(lambda ms: ["send", ms], MS),
    st.builds(lambda ms: ["promise", ms], MS),
]


def _compound(
    body: st.SearchStrategy[list[Any]],
) -> st.SearchStrategy[list[Any]]:
    program = st.lists(body, min_size=1, max_size=4)
    programs = st.lists(program, min_size=2, max_size=4)
    return st.one_of(
        st.builds(lambda p: ["spawn", p], program),
        st.builds(lambda p, returns: ["gather", p, returns], programs, st.booleans()),
        st.builds(lambda p: ["group", p], programs),
        st.builds(lambda p: ["race", p], programs),
        st.builds(lambda p: ["completed", p], programs),
        st.builds(lambda ms, p: ["timeout", ms, p], MS, program),
        st.builds(lambda p: ["shield", p], program),
        st.builds(lambda p, q: ["try", p, q], program, program),
        st.builds(lambda p: ["lock", p], program),
        st.builds(lambda p: ["group", [p, [["raise"]]]], program),
    )


STATEMENTS = st.recursive(st.one_of(_LEAVES), _compound, max_leaves=10)
PROGRAMS = st.lists(STATEMENTS, min_size=2, max_size=7)
