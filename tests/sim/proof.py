"""The part of the proof that simulates: a hundred years of a server that dies every few seconds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.proof.parts import Line, Part, Size, Table

from .runs import Totals, finish_part, run_many, start_part

WORLDS: Final = {Size.PROVE: 2_000, Size.LONG: 500_000}
TWICE: Final = {Size.PROVE: 50, Size.LONG: 5_000}
JOBS: Final = 2

_INVARIANTS: Final = (
    *("I1", "I2", "I3", "I4", "I5", "I6", "I8", "I9", "I10", "I11", "I12", "I15", "I16", "I17"),
    *("I18", "I19", "I21"),
)
_FAULTS: Final = {
    "simulated: killed": ("processes that died",),
    "simulated: power cut that lost written batches": ("written batches were lost",),
    "simulated: restored from a backup taken while it worked": ("a backup was restored",),
    "simulated: killed in the middle of a write": ("died in the middle of a write",),
    "simulated: EIO or ENOSPC of a write or a sync": ("the store failed",),
    "simulated: slow disk": ("the disk became slow",),
    "simulated: disk nearly full": ("the disk became nearly full",),
    "simulated: request or reply lost": ("a request was lost", "a reply was lost"),
    "simulated: the same request twice": ("a request came twice",),
    "simulated: client goes away": ("the client goes away",),
    "simulated: clock set forward or back": ("the clock jumped",),
    "simulated: operator's cancel, kill, pause, purge, restart": (
        "operator: cancel",
        "operator: kill",
        "operator: pause",
        "operator: purge",
        "operator: restart",
    ),
    "simulated: operator's batch of those": ("a batch of verbs was answered",),
    "simulated: burst of interrupts, messages and calls at one key": (
        "sent in a burst to interrupt",
        "sent in a burst to steer",
    ),
    "simulated: everybody suspended at once": ("everybody was suspended",),
}


def run(size: Size, seed: str, directory: Path) -> Iterator[Line | Table]:
    """Run the worlds of this size, then some of them again under another hash seed."""
    del directory
    totals = run_many(seed, WORLDS[size], jobs=JOBS)
    broken = [
        f"world {name}: {each} (python -m tests.sim --one {name})"
        for name, violations in sorted(totals.violations.items())
        for each in violations
    ]
    broken += [f"the worlds are too weak: never happened: {name}" for name in totals.missing]
    checked = f"{totals.worlds:,} worlds"
    for number, (fault, names) in enumerate(_FAULTS.items()):
        yield Line(
            fault=fault,
            invariants=_INVARIANTS,
            injected=sum(totals.counters[name] for name in names),
            checked=checked,
            violations=() if number else tuple(broken),
            seed=seed,
        )
    yield _compare(seed, TWICE[size], totals)
    rows = tuple((name, f"{count:,}") for name, count in sorted(totals.counters.items()))
    yield Table(title="What happened in the simulated worlds", columns=("", "times"), rows=rows)


def _compare(seed: str, worlds: int, totals: Totals) -> Line:
    """Run worlds again in a process whose sets and dicts hash otherwise."""
    again = finish_part(start_part(seed, range(worlds), hash_seed=4242))
    others = [
        f"world {name} came out otherwise under another hash seed"
        for name, fingerprint in again.fingerprints.items()
        if totals.fingerprints[name] != fingerprint
    ]
    return Line(
        fault="simulated: another hash seed",
        invariants=("I4",),
        injected=worlds,
        checked="fingerprints of all that was seen",
        violations=tuple(others),
        seed=seed,
    )


PART: Final = Part(name="sim", title="Deterministic simulation", run=run)
