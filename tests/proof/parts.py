"""What a part of the proof is, and the lines of the fault report that it gives.

A part is a program that breaks Holdfast in one way, as often as it is told, and counts. It lives
beside the tests that use the same code (``tests/sim``, ``tests/crash``, ...) in a module
``proof.py`` that offers ``PART``; ``tests/proof/__main__.py`` runs them all.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Size(Enum):
    """How much of it."""

    PROVE = "prove"
    """All parts together take ten minutes on two cores."""
    LONG = "long"
    """The numbers that are published with a release: hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One fault, injected again and again.

    Attributes:
        fault: its name, as the first column shows it: ``power cut, ext4``.
        invariants: those that were checked, as ``invariants.py`` numbers them.
        injected: how often it happened.
        checked: what was checked, counted, in a few words: ``14,421 acknowledged calls``.
        violations: each broken promise, one line each, with what it takes to see it again.
        seed: what a run of exactly this is started with; empty where nothing was drawn.
        skipped: why it could not be done on this machine; empty if it was done.
    """

    fault: str
    invariants: tuple[str, ...]
    injected: int = 0
    checked: str = ""
    violations: tuple[str, ...] = ()
    seed: str = ""
    skipped: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Figures of a part that are no faults: planted bugs found, counters, times."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A program of its own, run by its name.

    ``run`` is given the size, the seed (any text) and an empty directory that it may fill. It
    raises nothing for a broken promise, which is a line's ``violations``.
    """

    name: str
    title: str
    run: Callable[[Size, str, Path], Iterable[Line | Table]]
