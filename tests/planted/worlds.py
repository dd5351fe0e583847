"""The worlds that a planted bug is hunted in: those of the simulation, and histories now and then.

Both run the real runtime from a seed. The simulation has every feature and every fault, and checks
all promises; histories have few features and know exactly what each answer has to be.
"""

from collections.abc import Iterator, Sequence
from itertools import count

from tests.histories.virtual import run_virtual
from tests.sim.world import run_world

WORLDS_PER_HISTORY = 5
HISTORY_ENDS = 15


def name_worlds(seed: str) -> Iterator[str]:
    """The worlds of a hunt, one after the other: ``sim 7-12``, and ``histories 7-30``."""
    for number in count(1):
        kind = "histories" if number % WORLDS_PER_HISTORY == 0 else "sim"
        yield f"{kind} {seed}-{number}"


def run(world: str) -> str:
    """The first promise that is broken in a world; nothing if none is."""
    kind, _, seed = world.partition(" ")
    violations: Sequence[str]
    try:
        if kind == "sim":
            violations = run_world(seed).violations
        else:
            violations = run_virtual(seed, ends=HISTORY_ENDS).violations
    except Exception as error:  # noqa: BLE001  # whatever it is, a sound runtime has none
        return f"{type(error).__name__}: {error}"
    return violations[0] if violations else ""
