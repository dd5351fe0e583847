"""Directories that can be repaired, and what must be so after a repair was killed anywhere."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from click.testing import CliRunner

from holdfast.cli import commands
from holdfast.journal.rocks import RocksStore
from tests.corruption.damage import Rows
from tests.corruption.images import ROOT, Image

FRAME = b"\x12\x34\x56\x78\x3c\x00\x01"
"""The head of a record of 60 bytes, with a checksum that is not theirs."""


def tear_manifest(directory: Path) -> None:
    """A record of the manifest was being written, and the page with its end was not."""
    with find_file(directory, "MANIFEST-*").open("ab") as torn:
        torn.write(FRAME + b"\x02\x0c" + bytes(58))


def make_hole(directory: Path) -> None:
    """Tear the last batch, which was not acknowledged, and keep those of two later logs."""
    log = find_file(directory, "*.log")
    os.truncate(log, log.stat().st_size - 1)
    for number in (98, 99):
        head = (9_000 + number).to_bytes(8, "little") + (1).to_bytes(4, "little")
        batch = head + b"\x01\x01k\x01v"
        record = bytes(4) + len(batch).to_bytes(2, "little") + b"\x01" + batch
        (directory / "rocksdb" / f"{number:06}.log").write_bytes(record)


def lose_current(directory: Path) -> None:
    """Nothing names the manifest any more."""
    (directory / "rocksdb" / "CURRENT").unlink()


def break_all(directory: Path) -> None:
    """All of it at once."""
    for damage in (make_hole, tear_manifest, lose_current):
        damage(directory)


REPAIRABLE: Mapping[str, Callable[[Path], None]] = {
    "torn manifest": tear_manifest,
    "hole in the log": make_hole,
    "lost CURRENT": lose_current,
    "all of them": break_all,
}


def find_file(directory: Path, pattern: str) -> Path:
    """The newest file of the database that is called like that."""
    return max((directory / "rocksdb").glob(pattern))


def read_rows(directory: Path) -> Rows:
    """All rows after a start."""
    store = RocksStore(directory, tide_mark="strict", ballast_bytes=0)
    try:
        return dict(store.scan(b"", None))
    finally:
        store.close()


def kill_repairs(image: Image, damage: Callable[[Path], None], scratch: Path) -> Iterator[str]:
    """Kill a repair at each of its changes; a line per kill: nothing, or the broken promise.

    After each the repair is run again to its end. Then a start must find all that was acknowledged,
    and what the files held before must be in the copies.
    """
    damaged = shutil.copytree(image.path, scratch / "damaged")
    damage(damaged)
    copies = scratch / "copies"
    copies.mkdir()
    program = [sys.executable, "-m", "tests.corruption.killed_fix", str(damaged), str(copies)]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        yield done.stderr
        return
    for number in range(1, int(done.stdout) + 1):
        yield _finish(copies / str(number), damaged, image)
    shutil.rmtree(damaged)
    shutil.rmtree(copies)


def _finish(copy: Path, damaged: Path, image: Image) -> str:
    said = CliRunner().invoke(commands, ["doctor", "--fix", str(copy)], standalone_mode=False)
    if said.return_value != 0:
        return f"{copy.name}: killed, and then not repaired: {said.output} {said.exception}"
    kept = {each.read_bytes() for each in copy.glob("holdfast.before-fix-*/*")}
    for file in (damaged / "rocksdb").iterdir():
        now = copy / "rocksdb" / file.name
        if not file.name.startswith(("MANIFEST-", "CURRENT")) and file.suffix != ".log":
            continue
        content = file.read_bytes()
        if content not in kept and not (now.exists() and now.read_bytes() == content):
            return f"{copy.name}: what {file.name} held is nowhere"
    if read_rows(copy) not in image.states:
        return f"{copy.name}: rows that were acknowledged are gone"
    return ""
