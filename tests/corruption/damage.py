"""One damage to one file, drawn from a seed, and what came of the start after it."""

import random
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from holdfast.journal.rocks import RocksStore
from holdfast.journal.tide_mark import TIDE_FILE, read_tide_mark
from holdfast.objects.errors import HoldfastError, StoreDamagedError, StoreFormatError

SECTOR = 512
KINDS = ("bit flip", "zeroed sector", "truncation", "deletion")

Rows = Mapping[bytes, bytes]


class Came(Enum):
    """What came of a damage."""

    RIGHT = "all rows right"
    REFUSED = "start refused"
    STOPPED = "stopped at the damaged row"
    BROKEN = "broken promise"


@dataclass(frozen=True, slots=True)
class Damage:
    """One fault; ``file`` is relative to the data directory. The text is enough to do it again."""

    kind: str
    file: str
    position: int = 0
    """The bit that is flipped, the first byte that is zeroed, or the length that is left."""

    def __str__(self) -> str:
        return f"{self.kind} {self.file} @{self.position}"

    def inflict(self, directory: Path) -> bool:
        """Damage the directory; ``False`` if its bytes are what they were."""
        path = directory / self.file
        if self.kind == "deletion":
            path.unlink()
            return True
        before = path.read_bytes()
        content = bytearray(before)
        if self.kind == "bit flip":
            content[self.position // 8] ^= 1 << self.position % 8
        elif self.kind == "zeroed sector":
            end = min(self.position + SECTOR, len(content))
            content[self.position : end] = bytes(end - self.position)
        else:
            del content[self.position :]
        path.write_bytes(content)
        return bytes(content) != before


@dataclass(frozen=True, slots=True)
class Judged:
    """A damage and what came of it."""

    damage: Damage
    came: Came
    text: str


def draw(directory: Path, seed: str, count: int) -> Iterator[Damage]:
    """Every file by turns, each kind as often as the others; places at random."""
    draws = random.Random(seed)
    files = sorted(each for each in directory.rglob("*") if each.is_file())
    names = [str(each.relative_to(directory)) for each in files]
    for number in range(count):
        file = names[number % len(names)]
        kind = KINDS[number // len(names) % len(KINDS)]
        size = (directory / file).stat().st_size
        if kind == "deletion" or not size:
            yield Damage("deletion", file)
        elif kind == "bit flip":
            yield Damage(kind, file, draws.randrange(size * 8))
        elif kind == "zeroed sector":
            yield Damage(kind, file, draws.randrange(size) // SECTOR * SECTOR)
        else:
            yield Damage(kind, file, draws.randrange(size))


def judge(damage: Damage, image: Path, states: tuple[Rows, ...], scratch: Path) -> Judged:
    """Damage a copy of ``image``, start on it, and compare every row.

    Args:
        damage: what to do.
        image: a data directory that nobody has open.
        states: the rows after each batch that may or may not be there, from the last that was
            acknowledged on.
        scratch: a directory where the copy is made, and removed again.
    """
    # A name of its own each time: RocksDB stays open for as long as an error that it gave.
    copy = Path(tempfile.mkdtemp(dir=scratch)) / "data"
    shutil.copytree(image, copy)
    try:
        damage.inflict(copy)
        came, text = _start(damage, copy, states, read_tide_mark(image / TIDE_FILE).epoch)
    finally:
        shutil.rmtree(copy.parent, ignore_errors=True)
    return Judged(damage, came, text)


def _start(
    damage: Damage, directory: Path, states: tuple[Rows, ...], epoch: int
) -> tuple[Came, str]:
    name = Path(damage.file).name
    try:
        store = RocksStore(directory, tide_mark="strict", ballast_bytes=0)
    except (StoreDamagedError, StoreFormatError) as refusal:
        return _named(Came.REFUSED, name, refusal)
    except Exception as error:  # noqa: BLE001  # whatever else it is, is no refusal
        return Came.BROKEN, f"no refusal but {type(error).__name__}: {error}"
    try:
        rows = dict(store.scan(b"", None))
    except StoreDamagedError as refusal:
        return _named(Came.STOPPED, name, refusal)
    except Exception as error:  # noqa: BLE001  # whatever else it is, is no refusal
        return Came.BROKEN, f"no refusal but {type(error).__name__}: {error}"
    finally:
        store.close()
    if store.epoch <= epoch:
        return Came.BROKEN, f"epoch {store.epoch} is counted twice: its numbers are given again"
    if rows in states:
        return Came.RIGHT, ""
    missing = len(states[0].keys() - rows.keys())
    return Came.BROKEN, f"opened in silence, {missing} acknowledged rows are missing"


def _named(came: Came, name: str, refusal: HoldfastError) -> tuple[Came, str]:
    # The name of a log that is gone is gone with it, and RocksDB does not always say which table.
    if name in refusal.message or f"*{Path(name).suffix}" in refusal.message:
        return came, refusal.message
    return Came.BROKEN, f"{name} is not named: {refusal.message}"
