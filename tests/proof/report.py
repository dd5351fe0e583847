"""The fault report: what `make prove` found, as Markdown for the docs and as JSON for programs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.proof.invariants import INVARIANTS
from tests.proof.parts import Line, Part, Table

INTRODUCTION = (
    "What was broken, how often, what was checked after it, and what was found. One command makes"
    " this page: `make prove`, about ten minutes on two cores; `make prove-long` takes hours. A"
    " seed in the last column starts the same run again:"
    " `python -m tests.proof --only PART --seed SEED`."
)


@dataclass(slots=True, kw_only=True)
class Ran:
    """A part that was run, and what came of it."""

    part: Part
    lines: list[Line] = field(default_factory=list[Line])
    tables: list[Table] = field(default_factory=list[Table])
    seconds: float = 0.0
    error: str = ""
    """What kept it from running to its end; empty if it did."""

    @property
    def violations(self) -> list[str]:
        return [each for line in self.lines for each in line.violations]

    @property
    def is_good(self) -> bool:
        return not self.error and not self.violations


def as_json(ran: Sequence[Ran], about: dict[str, str]) -> dict[str, Any]:
    """The report for programs."""
    parts = [
        {
            "name": each.part.name,
            "title": each.part.title,
            "seconds": round(each.seconds, 1),
            "error": each.error,
            "lines": [asdict(line) for line in each.lines],
            "tables": [asdict(table) for table in each.tables],
        }
        for each in ran
    ]
    return {"about": about, "parts": parts}


def as_markdown(ran: Sequence[Ran], about: dict[str, str]) -> str:
    """The report for people: a page of the docs."""
    lines = [
        "# Fault report",
        "",
        "<!-- Written by `make prove`; do not edit. -->",
        "",
        INTRODUCTION,
        "",
        *_rows(("", ""), [(f"**{name}**", value) for name, value in about.items()]),
    ]
    for each in ran:
        lines += ["", f"## {each.part.title}", ""]
        if each.error:
            lines += [f"It could not be run to its end: {each.error}", ""]
        if each.lines:
            lines += _rows(
                ("fault", "injected", "checked", "invariants", "violations", "seed"),
                [_row(line) for line in each.lines],
            )
        for violation in each.violations:
            lines.append(f"* {violation}")
        for table in each.tables:
            lines += ["", f"### {table.title}", "", *_rows(table.columns, table.rows)]
    lines += ["", "## Fault by invariant", "", *_matrix(ran)]
    lines += ["", "## The invariants", "", *_rows(("", ""), list(INVARIANTS.items()))]
    return "\n".join(lines) + "\n"


def _row(line: Line) -> tuple[str, ...]:
    if line.skipped:
        return (line.fault, "-", f"not done: {line.skipped}", " ".join(line.invariants), "-", "")
    return (
        line.fault,
        f"{line.injected:,}",
        line.checked,
        " ".join(line.invariants),
        str(len(line.violations)),
        line.seed and f"`{line.seed}`",
    )


def _matrix(ran: Sequence[Ran]) -> list[str]:
    """How many faults of each kind each invariant was checked against."""
    done = [line for each in ran for line in each.lines if not line.skipped]
    rows = [
        (name, f"{sum(line.injected for line in checked):,}", _names(checked))
        for name in INVARIANTS
        if (checked := [line for line in done if name in line.invariants])
    ]
    unchecked = [name for name in INVARIANTS if name not in {row[0] for row in rows}]
    lines = _rows(("invariant", "faults", "of these kinds"), rows)
    if unchecked:
        lines += ["", f"Not checked in this run: {', '.join(unchecked)}."]
    return lines


def _names(lines: Sequence[Line]) -> str:
    return "; ".join(dict.fromkeys(line.fault for line in lines))


def _rows(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(columns)} |",
        f"|{'|'.join('---' for _ in columns)}|",
        *(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows),
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
