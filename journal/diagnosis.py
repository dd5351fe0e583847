"""Why a start refuses a data directory, and what may be done about it without losing anything.

    examine := try to read all of it, as a start would
               it can be read: sound
               say what is wrong with the manifest and the logs
               think of a repair: name the manifest again, cut its torn end,
                                  cut the log at a hole that lies above the tide mark
               try to read a scratch copy that is repaired like that
               it holds all that was acknowledged: repairable
               otherwise: lost

A repair counts only if it was tried: the scratch directory, of links and of copies of the files to
be changed, must open and go no less far than the tide mark. What a torn manifest no longer says may
have been a moved log; then rows below the mark are missing, or a table is, and it is refused like
any loss. Nothing here changes the data directory; ``repairing`` does.

The caller holds the directory's lock.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ..objects.errors import StoreDamagedError, StoreFailedError
from .data_directory import DATABASE
from .directory_view import DirectoryView
from .format import FORMAT_FILE
from .log_files import find_needed_logs, inspect_logs, manifest_path
from .log_records import LogShape, read_shape
from .tide_mark import TIDE_FILE, read_tide_mark

CURRENT = "CURRENT"


class Verdict(Enum):
    """What a start would make of it."""

    SOUND = "sound"
    REPAIRABLE = "repairable"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """Changes to the files of the database, by their names there.

    Attributes:
        manifest: what ``CURRENT`` is to name; ``None`` leaves it.
        cuts: which files become shorter, and how long they are then.
        removed: which files go, in this order.
    """

    manifest: str | None = None
    cuts: tuple[tuple[str, int], ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def changed(self) -> tuple[str, ...]:
        """The names of the files that will not be what they were."""
        current = () if self.manifest is None else (CURRENT,)
        return (*current, *(name for name, _ in self.cuts), *self.removed)

    def sentences(self) -> Iterator[str]:
        """What it does, for a person."""
        if self.manifest is not None:
            yield f"write a new {CURRENT} that names {self.manifest}"
        for name, size in self.cuts:
            yield f"cut {name} to {size:,} bytes"
        for name in self.removed:
            yield f"remove {name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What was found in a data directory.

    Attributes:
        verdict: what a start would make of it.
        findings: whole sentences; empty if it is sound.
        repair: what was tried and holds everything; given if it is repairable.
    """

    verdict: Verdict
    findings: tuple[str, ...] = ()
    repair: Repair | None = None


def examine(path: Path) -> Diagnosis:
    """Find out whether a start would refuse the data directory at ``path``, why, and what helps.

    Changes nothing. The caller has the lock, and knows that it is a data directory.

    Raises:
        OSError, StoreFailedError: a file cannot be read, whatever it holds, or there is no room for
            a scratch copy. Nothing is known then.
    """
    try:
        tide = read_tide_mark(path / TIDE_FILE)
    except StoreDamagedError as damage:
        return Diagnosis(
            verdict=Verdict.LOST,
            findings=(
                f"{damage.message}. Rows may be missing or not, and nobody can tell",
                "holdfast.tide belongs to the other files: one of another day proves nothing",
            ),
        )
    refusal = _find_refusal(path, Repair())
    if refusal is None:
        return Diagnosis(verdict=Verdict.SOUND)
    durable = (
        f"everything up to sequence number {tide.sequence:,} was durable, says {TIDE_FILE} "
        f"(start {tide.epoch:,})"
    )
    findings = [refusal, durable]
    repair = _propose(path, tide.sequence, findings)
    if repair is None:
        return Diagnosis(verdict=Verdict.LOST, findings=tuple(findings))
    refusal = _find_refusal(path, repair)
    if refusal is None:
        return Diagnosis(verdict=Verdict.REPAIRABLE, findings=tuple(findings), repair=repair)
    if repair != Repair():
        findings.append(f"with that repaired it would still be refused: {refusal}")
    return Diagnosis(verdict=Verdict.LOST, findings=tuple(findings))


def _propose(path: Path, tide: int, findings: list[str]) -> Repair | None:
    """What might help, while ``findings`` gets a sentence for each damage that is seen."""
    database = path / DATABASE
    if not database.is_dir():
        findings.append(f"{database} is missing, and the rows with it")
        return None
    manifest, is_named = _choose_manifest(database)
    if manifest is None:
        findings.append(f"no manifest is left in {database}: nothing says which tables count")
        return None
    repair = Repair(manifest=None if is_named else manifest.name)
    if not is_named:
        findings.append(f"{database / CURRENT} names no manifest, and {manifest.name} is there")
    shape = read_shape(manifest.read_bytes())
    if not shape.is_whole:
        findings.append(describe_damage(manifest, shape))
        if not shape.is_torn or not shape.records:
            return None
        repair = Repair(manifest=repair.manifest, cuts=((manifest.name, shape.whole_bytes),))
    with _scratch(path, repair) as repaired:
        return _propose_for_logs(database, repaired / DATABASE, tide, repair, findings)


def _propose_for_logs(
    database: Path, scratch: Path, tide: int, repair: Repair, findings: list[str]
) -> Repair:
    """Go on with the logs; ``scratch`` is the database with a manifest that can be read."""
    report = inspect_logs(scratch)
    logs = find_needed_logs(scratch)
    is_whole = not repair.cuts
    for log in logs:
        shape = read_shape(log.read_bytes())
        if not shape.is_whole:
            is_whole = False
            findings.append(describe_damage(database / log.name, shape))
    if is_whole and report.last_sequence < tide:
        findings.append("what is there is whole, so a *.log is missing, or the manifest's end")
    hole = report.hole
    if hole is None:
        return repair
    findings.append(
        f"{database / hole.path.name} goes on at offset {hole.offset:,} with sequence number "
        f"{hole.found:,} where {hole.expected:,} was to follow"
    )
    if report.last_sequence < tide:
        findings.append(
            f"the log is in one piece up to sequence number {report.last_sequence:,}, and "
            f"{tide - report.last_sequence:,} rows that were durable come after it"
        )
        return repair
    return Repair(
        manifest=repair.manifest,
        cuts=(*repair.cuts, (hole.path.name, hole.offset)),
        removed=tuple(file.name for file in reversed(report.later_files)),
    )


def describe_damage(file: Path, shape: LogShape) -> str:
    """One sentence on what is wrong with a log or a manifest."""
    rest = shape.size_bytes - shape.whole_bytes
    begin = f"{file} is whole up to byte {shape.whole_bytes:,} ({shape.records:,} records)"
    if shape.is_torn:
        return f"{begin}; the {rest:,} bytes after that are torn, and no whole record is in them"
    return (
        f"{begin}; it is damaged there, and {shape.records_behind:,} whole records come after: "
        "this is no end that a power cut has torn, but damage to what was written"
    )


def _choose_manifest(database: Path) -> tuple[Path | None, bool]:
    """The manifest that counts, or that would: the newest. And whether ``CURRENT`` names it."""
    with contextlib.suppress(StoreDamagedError):
        named = manifest_path(database)
        if named.exists():
            return named, True
    numbers = [each.name.removeprefix("MANIFEST-") for each in database.glob("MANIFEST-*")]
    newest = max((each for each in numbers if each.isdecimal()), key=int, default=None)
    return None if newest is None else database / f"MANIFEST-{newest}", False


def _find_refusal(path: Path, repair: Repair) -> str | None:
    """What a start would say to the directory after that repair; nothing if it goes through."""
    with _scratch(path, repair) as scratch:
        try:
            DirectoryView(scratch, holds_still=True).close()
        except StoreDamagedError as refusal:
            return refusal.message.replace(str(scratch), str(path))
        except StoreFailedError as failure:
            # It says nothing of what is there: no descriptor was left, or no room for links.
            raise StoreFailedError(failure.message.replace(str(scratch), str(path))) from failure
    return None


@contextlib.contextmanager
def _scratch(path: Path, repair: Repair) -> Generator[Path]:
    """A data directory for readers that is ``path`` after the repair; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="holdfast-doctor-") as name:
        scratch = Path(name).resolve()
        for each in (FORMAT_FILE, TIDE_FILE):
            (scratch / each).symlink_to(path / each)
        (scratch / DATABASE).mkdir()
        database = path / DATABASE
        files = list(database.iterdir()) if database.is_dir() else []
        for file in files:
            if file.name not in repair.changed:
                (scratch / DATABASE / file.name).symlink_to(file)
        for each, size in repair.cuts:
            shutil.copyfile(database / each, scratch / DATABASE / each)
            with (scratch / DATABASE / each).open("r+b") as copy:
                copy.truncate(size)
        if repair.manifest is not None:
            (scratch / DATABASE / CURRENT).write_text(f"{repair.manifest}\n", "ascii")
        yield scratch
