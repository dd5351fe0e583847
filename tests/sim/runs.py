"""Many worlds, on one core or on several, and the smallest that still fails."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from .world import Options, clear_away, quiet, run_world

ROOT = Path(__file__).resolve().parent.parent.parent
NEIGHBOURS = 12
WEAK_WORLDS_MIN = 500
"""So many worlds and more are too weak where one of ``SOMETIMES`` never happened."""

SOMETIMES: Final = (
    "a POST was answered 200",
    "a POST was answered 410",
    "a POST was answered 503",
    "a POST was lost",
    "a backup was restored",
    "a batch did something to several",
    "a batch of verbs was answered",
    "a call came from the same process",
    "a call was found by its key",
    "a cancellation was held back",
    "a downtime of hours",
    "a forged webhook was refused",
    "a handler cleaned up",
    "a link was used again",
    "a log was read",
    "a message was read by a turn",
    "a message was read by draining",
    "a moment of the past was compared",
    "a nag was told the same",
    "a patch was taken out under what is open",
    "a paused invocation was resumed",
    "a query was answered",
    "a reply to a POST was lost",
    "a reply was lost",
    "a request came twice",
    "a request was lost",
    "a restored server was asked again",
    "a rival was the first",
    "a rival was too late",
    "a rival's promise was not ready",
    "a state was another one",
    "a state was not another one",
    "a step began again",
    "a step was verified",
    "a stranger was refused",
    "a turn was interrupted",
    "a watcher was told",
    "a webhook was taken",
    "a webhook was taken again",
    "an action raised",
    "an action was told to end",
    "an attempt was told how far the last one came",
    "an effect happened twice",
    "an effect was taken back",
    "an object was forked",
    "an outcome was asked for",
    "an outcome was told to a handler",
    "another request with the same key was answered",
    "another request with the same key was refused",
    "connection reset",
    "died between write and sync",
    "died in the middle of a write",
    "died while it started",
    "everybody was suspended",
    "link asked for",
    "no journal was found of what is kept",
    "nothing was found of what is forgotten",
    "operator: cancel",
    "operator: kill",
    "operator: pause",
    "operator: purge",
    "operator: purge journal",
    "operator: restart",
    "operator: resume",
    "restarted from an entry",
    "sent in a burst to interrupt",
    "sent in a burst to steer",
    "sent to interrupt",
    "sent to steer",
    "somebody was told of a promise",
    "state was edited",
    "stopped in good order",
    "the client goes away",
    "the clock jumped",
    "the disk became nearly full",
    "the disk became slow",
    "the keys of links were revoked",
    "the keys of links were rotated",
    "the past was read",
    "the store failed",
    "what was stored by name was compared",
    "written batches were lost",
)


@dataclass(slots=True)
class Totals:
    """What became of many worlds."""

    worlds: int = 0
    cpu_seconds: float = 0.0
    violations: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """By the seed of the world."""
    counters: Counter[str] = field(default_factory=Counter[str])
    fingerprints: dict[str, str] = field(default_factory=dict[str, str])
    """By the seed of the world."""

    @property
    def missing(self) -> list[str]:
        """What never happened, where there were worlds enough for it."""
        if self.worlds < WEAK_WORLDS_MIN:
            return []
        return [name for name in SOMETIMES if not self.counters[name]]

    def add(self, other: "Totals") -> None:
        """Count in what another process has run."""
        self.worlds += other.worlds
        self.cpu_seconds += other.cpu_seconds
        self.violations |= other.violations
        self.counters += other.counters
        self.fingerprints |= other.fingerprints


def run_many(seed: str, worlds: int, *, jobs: int = 1, options: Options | None = None) -> Totals:
    """Run the worlds ``seed/0``, ``seed/1``, ... and add up what came of them."""
    totals = Totals()
    if jobs == 1:
        with quiet():
            for number in range(worlds):
                _run(f"{seed}/{number}", options or Options(), totals)
            clear_away()
        return totals
    share = -(-worlds // jobs)
    runs = [
        start_part(seed, range(first, min(first + share, worlds)), hash_seed=first % 1000)
        for first in range(0, worlds, share)
    ]
    for run in runs:
        totals.add(finish_part(run))
    return totals


def start_part(seed: str, numbers: range, *, hash_seed: int) -> "subprocess.Popen[str]":
    """Run the worlds of these numbers in a process of its own, under a hash seed."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.sim.runs", seed, str(numbers.start), str(numbers.stop)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        stdout=subprocess.PIPE,
        text=True,
    )


def finish_part(run: "subprocess.Popen[str]") -> Totals:
    """What came of the worlds that ``start_part`` has started."""
    out, _ = run.communicate()
    assert run.returncode == 0, f"a process that ran worlds ended with {run.returncode}"
    said: dict[str, Any] = json.loads(out.splitlines()[-1])
    said["counters"] = Counter(said["counters"])
    return Totals(**said)


def shrink(seed: str) -> tuple[str, Options]:
    """A small world that breaks the same promise as the world of this seed, and its seed.

    A smaller world of the same seed is another world, in which the same may not happen; so a few
    of its neighbours are tried as well, ``seed~1`` and so on.

    Raises:
        AssertionError: it breaks none.
    """
    options = Options()
    wanted = _find_broken(seed, options)
    assert wanted, f"the world {seed} breaks no promise"
    at, is_smaller = seed, True
    while is_smaller:
        is_smaller = False
        for fewer in _make_smaller(options):
            names = [at, seed, *(f"{seed}~{number}" for number in range(1, NEIGHBOURS))]
            found = next((name for name in names if _find_broken(name, fewer) == wanted), None)
            if found is not None:
                at, options, is_smaller = found, fewer, True
                break
    return at, options


def _make_smaller(options: Options) -> Iterator[Options]:
    """Worlds with less, those with much less first."""
    if options.faults:
        yield replace(options, faults=frozenset())
    for clients in sorted({1, options.clients - 1} - {0, options.clients}):
        yield replace(options, clients=clients)
    for requests in sorted({1, options.requests // 2, options.requests - 1} - {0}):
        if requests < options.requests:
            yield replace(options, requests=requests)
    for fault in sorted(options.faults):
        yield replace(options, faults=options.faults - {fault})


def _find_broken(seed: str, options: Options) -> str:
    """The number of the promise that a world breaks first; empty if it breaks none."""
    violations = run_world(seed, options).violations
    return violations[0].partition(" ")[0] if violations else ""


def _run(seed: str, options: Options, totals: Totals) -> None:
    began = time.process_time()
    outcome = run_world(seed, options)
    totals.cpu_seconds += time.process_time() - began
    totals.worlds += 1
    totals.counters += outcome.counters
    totals.fingerprints[seed] = outcome.fingerprint
    if outcome.violations:
        totals.violations[seed] = list(outcome.violations[:5])
        # Told at once: a run of hours may be stopped before it can say what it has found.
        sys.stderr.write(f"{seed}: {outcome.violations[0]}\n")


def _main() -> None:
    seed, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    totals = Totals()
    with quiet():
        for number in range(first, last):
            _run(f"{seed}/{number}", Options(), totals)
        clear_away()
    sys.stdout.write(json.dumps({name: getattr(totals, name) for name in Totals.__slots__}) + "\n")


if __name__ == "__main__":
    _main()
