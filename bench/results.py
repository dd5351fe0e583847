"""What a run has found, as a file that a program can read."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from .harness import Figure, Series


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A scenario that was run.

    Attributes:
        figures: ``None`` when it could not be run to its end.
        is_short: with the small sizes.
        machine: on what, and when.
    """

    name: str
    title: str
    is_short: bool
    machine: dict[str, str]
    figures: tuple[Figure, ...] | None
    series: tuple[Series, ...] = ()


def write_results(path: Path, measured: Iterable[Measured]) -> None:
    """Write them as JSON; a figure's verdict stands beside it."""
    scenarios: list[dict[str, Any]] = []
    for each in measured:
        figures = (
            None
            if each.figures is None
            else [asdict(figure) | {"verdict": figure.verdict} for figure in each.figures]
        )
        scenarios.append(asdict(each) | {"figures": figures})
    document = {"scenarios": scenarios}
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def read_results(path: Path) -> list[Measured]:
    """Read what ``write_results`` has written."""
    return msgspec.json.decode(path.read_bytes(), type=_Document).scenarios


@dataclass(frozen=True, slots=True)
class _Document:
    scenarios: list[Measured]


def drawn(measured: Iterable[Measured]) -> list[Figure | Series]:
    """All that may be in a plot, in the order in which it was measured."""
    found: list[Figure | Series] = []
    for each in measured:
        found += each.figures or ()
        found += each.series
    return found
