"""Planted bugs, as a part of the proof."""

from collections.abc import Iterator
from pathlib import Path

from tests.planted.bugs import BUGS, HIDDEN
from tests.planted.hunt import hunt_all
from tests.proof.parts import Line, Part, Size, Table

SECONDS_MAX = 60.0
"""Of one core, for each bug."""
SEEDS = {Size.PROVE: 1, Size.LONG: 20}


def run(size: Size, seed: str, directory: Path) -> Iterator[Line | Table]:  # noqa: ARG001  # a part's
    """Plant each bug in the real runtime, and have the simulation find it."""
    for number in range(SEEDS[size]):
        own = f"{seed}-{number}" if number else seed
        order = {bug.name: place for place, bug in enumerate(BUGS)}
        found = sorted(
            hunt_all(BUGS, own, seconds_max=SECONDS_MAX), key=lambda each: order[each.bug.name]
        )
        count = sum(bool(each.caught) for each in found)
        yield Line(
            fault="a bug planted in the runtime",
            invariants=tuple(sorted({bug.breaks for bug in BUGS}, key=lambda name: int(name[1:]))),
            injected=len(found),
            checked=f"{count} of {len(found)} found within {SECONDS_MAX:.0f} s of one core each",
            violations=tuple(
                f"{each.bug.name!r} was not found in {each.worlds} worlds"
                for each in found
                if not each.caught
            ),
            seed=own,
        )
        yield Table(
            title="Planted bugs",
            columns=("bug", "the runtime", "worlds until found", "seconds", "caught as"),
            rows=tuple(
                (
                    each.bug.name,
                    each.bug.says,
                    str(each.worlds),
                    f"{each.seconds:.1f}",
                    each.caught[:120] or "not found",
                )
                for each in found
            ),
        )
    yield Table(
        title="Bugs that the worlds are too weak to find soon",
        columns=("bug", "the runtime"),
        rows=tuple((bug.name, bug.says) for bug in HIDDEN),
    )


PART = Part(name="planted", title="Bugs planted to test the simulation", run=run)
