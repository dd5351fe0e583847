"""The part of the proof that damages files, and that kills repairs."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.corruption.damage import KINDS, Came, Judged, draw, judge
from tests.corruption.images import Image, make_image, memory_directory
from tests.corruption.repairs import REPAIRABLE, kill_repairs
from tests.proof.parts import Line, Part, Size, Table

DAMAGES = {Size.PROVE: 1_600, Size.LONG: 200_000}
PER_IMAGE = 5_000
"""How many damages to one directory; the next ones are to one of another author."""


def _run(size: Size, seed: str, directory: Path) -> Iterator[Line | Table]:
    scratch = Path(tempfile.mkdtemp(prefix="holdfast-corruption-", dir=memory_directory()))
    try:
        judged: list[Judged] = []
        rows = 0
        for begin in range(0, DAMAGES[size], PER_IMAGE):
            image = _make(directory, f"{begin}")
            count = min(PER_IMAGE, DAMAGES[size] - begin)
            for damage in draw(image.path, f"{seed} {begin}", count):
                judged.append(judge(damage, image.path, image.states, scratch))
                rows += len(image.states[0])
        yield from (_line(kind, judged, seed) for kind in KINDS)
        yield _table(judged)
        yield from _kill_repairs(_make(directory, "repaired"), scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _make(directory: Path, name: str) -> Image:
    place = directory / name
    place.mkdir()
    return make_image(place)


def _line(kind: str, judged: list[Judged], seed: str) -> Line:
    of_kind = [each for each in judged if each.damage.kind == kind]
    came = Counter(each.came for each in of_kind)
    return Line(
        fault=f"{kind} in any file",
        invariants=("I1", "I7", "I13", "I14"),
        injected=len(of_kind),
        checked=", ".join(f"{came[each]:,} {each.value}" for each in Came if came[each]),
        violations=tuple(
            f"{each.damage}: {each.text}" for each in of_kind if each.came is Came.BROKEN
        ),
        seed=seed,
    )


def _table(judged: list[Judged]) -> Table:
    files: dict[str, Counter[Came]] = {}
    for each in judged:
        files.setdefault(_describe(each.damage.file), Counter())[each.came] += 1
    return Table(
        title="What came of a damage to each file",
        columns=("file", *(came.value for came in Came)),
        rows=tuple(
            (name, *(f"{counts[came]:,}" for came in Came))
            for name, counts in sorted(files.items())
        ),
    )


def _describe(file: str) -> str:
    """Numbers are not what two runs have in common."""
    name = Path(file).name
    if name.startswith("LOG"):
        return "LOG (RocksDB's own)"
    if Path(name).suffix in {".sst", ".log"}:
        return {".sst": "table, *.sst", ".log": "log, *.log"}[Path(name).suffix]
    return name.split("-0")[0]


def _kill_repairs(image: Image, scratch: Path) -> Iterator[Line]:
    for name, damage in REPAIRABLE.items():
        killed = list(kill_repairs(image, damage, scratch))
        yield Line(
            fault=f"kill at each change of a repair, {name}",
            invariants=("I1", "I13"),
            injected=len(killed),
            checked=f"{len(killed)} repairs finished by the next",
            violations=tuple(each for each in killed if each),
        )


PART = Part(name="corruption", title="Damaged files, and their repair", run=_run)
