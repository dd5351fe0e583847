"""Directories to be damaged, and the rows that they may be found with."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.journal.log_files import find_needed_logs
from holdfast.journal.log_records import read_shape
from holdfast.journal.rocks import RocksStore
from holdfast.journal.tide_mark import TIDE_FILE, read_tide_mark
from holdfast.objects.errors import StoreDamagedError
from tests.corruption.damage import Rows

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A directory as a killed process left it."""

    path: Path
    answered: tuple[dict[str, Any], ...]
    """What its author was told, call by call."""
    states: tuple[Rows, ...]
    """The rows with all that was acknowledged, and after each batch that was not."""


def memory_directory() -> str | None:
    """Where files are kept in memory, if that is possible here."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 -- used by mkdtemp only


def make_image(directory: Path) -> Image:
    """Let the author write one; ``directory`` is empty and may be filled."""
    path = directory / "image"
    author = [sys.executable, "-m", "tests.corruption.author", str(path)]
    done = subprocess.run(author, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    _split_log(path / "rocksdb")
    states = tuple(_read_states(path, directory / "states"))
    return Image(path=path, answered=tuple(answers[:-1]), states=states)


def _split_log(database: Path) -> None:
    """Make two logs of one, as where the process dies before the older one was moved."""
    (log,) = database.glob("*.log")
    content = log.read_bytes()
    half = read_shape(content[: len(content) // 2]).whole_bytes
    # Records may be moved where none goes over the end of a block.
    assert 0 < half < len(content) < 32_768, "the author wrote too much or too little"
    later = database / f"{int(log.stem) + 50:06}.log"
    later.write_bytes(content[half:])
    log.write_bytes(content[:half])


def _read_states(path: Path, scratch: Path) -> list[Rows]:
    """The rows after each batch of the log's end, by cutting copies between two records."""
    acknowledged = read_tide_mark(path / TIDE_FILE).sequence
    log = find_needed_logs(path / "rocksdb")[-1]
    content = log.read_bytes()
    ends = sorted({read_shape(content[:size]).whole_bytes for size in _candidates(content)})
    states: list[Rows] = []
    for end in reversed(ends):
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(path, scratch)
        with (scratch / "rocksdb" / log.name).open("r+b") as file:
            file.truncate(end)
        try:
            store = RocksStore(scratch, tide_mark="strict", ballast_bytes=0)
        except StoreDamagedError:
            break
        states.append(dict(store.scan(b"", None)))
        store.close()
    shutil.rmtree(scratch, ignore_errors=True)
    assert acknowledged, "nothing was acknowledged"
    return states[::-1]


def _candidates(content: bytes) -> list[int]:
    """Lengths of the log among which is the end of each of its last records."""
    ends: list[int] = []
    size = len(content)
    while size and len(ends) < 24:
        ends.append(size)
        size = _previous_end(content, size)
    return ends


def _previous_end(content: bytes, size: int) -> int:
    return read_shape(content[: size - 1]).whole_bytes
