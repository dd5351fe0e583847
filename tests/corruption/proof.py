"""The part of the proof that damages files, and that kills repairs."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.corruption.damage import KINDS, Came, Judged, draw, judge
from tests.corruption.images import Image, make_image, memory_directory
from tests.corruption.repairs import REPAIRABLE, kill_repairs
from tests.corruption.served import serve_damaged
from tests.proof.parts import Line, Part, Size, Table

DAMAGES = {Size.PROVE: 1_400, Size.LONG: 200_000}
SERVED = {Size.PROVE: 8, Size.LONG: 400}
"""How many damages are put before a real server; they are to the files that are not only text."""
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
        for kind in KINDS:
            of_kind = [each for each in judged if each.damage.kind == kind]
            yield _line(f"{kind} in any file", of_kind, seed)
        yield _table(judged)
        image = _make(directory, "repaired")
        yield from _kill_repairs(image, scratch)
        yield _serve(image, SERVED[size], seed, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _make(directory: Path, name: str) -> Image:
    place = directory / name
    place.mkdir()
    return make_image(place)


def _line(fault: str, judged: list[Judged], seed: str) -> Line:
    came = Counter(each.came for each in judged)
    return Line(
        fault=fault,
        invariants=("I1", "I7", "I13", "I14"),
        injected=len(judged),
        checked=", ".join(f"{came[each]:,} {each.value}" for each in Came if came[each]),
        violations=tuple(
            f"{each.damage}: {each.text}" for each in judged if each.came is Came.BROKEN
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


def _serve(image: Image, count: int, seed: str, scratch: Path) -> Line:
    """Damages under a real server: to the tables and logs, where most of the bytes are."""
    drawn = draw(image.path, f"{seed} served", count * 12)
    chosen = [each for each in drawn if each.file.endswith((".sst", ".log"))]
    judged = [serve_damaged(each, image, scratch) for each in chosen[:count]]
    return _line("table or log damaged, real server", judged, seed)


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
