"""What only the store on disk can show: starts, kills, damage, full disks and failing ones."""

import contextlib
import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rocksdict import Rdict

import holdfast
from holdfast.journal import data_directory, disk_space, rocks_open
from holdfast.journal import format as format_
from holdfast.journal.data_directory import DataDirectory
from holdfast.journal.log_files import inspect_logs
from holdfast.journal.rocks import RocksStore
from holdfast.journal.tide_mark import TideFollower, TideMark, create_tide_mark
from holdfast.objects.errors import (
    StoreDamagedError,
    StoreFailedError,
    StoreFormatError,
    StoreFullError,
    StoreLockedError,
)

IMPORTABLE = {**os.environ, "PYTHONPATH": str(Path(holdfast.__file__).parent.parent)}

WRITE_AND_DIE = """
import os, pathlib, signal, sys
from holdfast.journal.rocks import RocksStore
path, tide_mark, memtable_bytes, synced, unsynced = sys.argv[1:]
store = RocksStore(path, tide_mark=tide_mark, memtable_bytes=int(memtable_bytes), ballast_bytes=0)
value = bytes(range(256)) * 2
for number in range(int(synced)):
    store.write({b"row%06d" % number: value})
    if number % 50 == 49:
        store.sync()
store.sync()
store.flush_tide_mark()
logs = sorted((pathlib.Path(path) / "rocksdb").glob("*.log"))
print(logs[-1].stat().st_size, flush=True)
for number in range(int(synced), int(synced) + int(unsynced)):
    store.write({b"row%06d" % number: value})
os.kill(os.getpid(), signal.SIGKILL)
"""


def write_and_die(
    path: Path, *, tide_mark: str = "strict", memtable_bytes: int = 1 << 26, rows: tuple[int, int]
) -> int:
    """A process that writes synced and unsynced rows and is killed; the log's size at the sync."""
    settings = [tide_mark, str(memtable_bytes), *map(str, rows)]
    died = subprocess.run(
        [sys.executable, "-P", "-c", WRITE_AND_DIE, str(path), *settings],
        env=IMPORTABLE,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    return int(died.stdout)


@dataclass(frozen=True)
class Killed:
    """A directory whose process was killed with 200 rows synced and 100 more written."""

    path: Path
    synced_log_bytes: int

    @property
    def log(self) -> Path:
        return max((self.path / "rocksdb").glob("*.log"))


@pytest.fixture(scope="module")
def killed_once(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    path = tmp_path_factory.mktemp("killed") / "data"
    return Killed(path, write_and_die(path, rows=(200, 100)))


@pytest.fixture
def killed(killed_once: Killed, tmp_path: Path) -> Killed:
    path = tmp_path / "data"
    shutil.copytree(killed_once.path, path)
    return Killed(path, killed_once.synced_log_bytes)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def open_store(path: Path, **settings: Any) -> RocksStore:
    settings.setdefault("ballast_bytes", 0)
    return RocksStore(path, **settings)


def count_rows(path: Path) -> int:
    store = open_store(path)
    try:
        return sum(1 for _ in store.scan(b"row", b"s"))
    finally:
        store.close()


def contents(path: Path) -> dict[str, bytes]:
    """The bytes that hold rows; RocksDB's own diary and the locks are not among them."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file() and file.name not in {"LOG", "LOCK", "holdfast.lock"}
    }


def tide_of(path: Path) -> int:
    mark = TideMark(path / "holdfast.tide")
    mark.close()
    return mark.sequence


def flip_bit(file: Path, offset: int) -> None:
    with file.open("r+b") as handle:
        handle.seek(offset)
        byte = handle.read(1)[0]
        handle.seek(offset)
        handle.write(bytes([byte ^ 0x10]))


# --- starting


def test_rows_and_epoch_survive_a_close(data_dir: Path) -> None:
    store = open_store(data_dir)
    store.write({b"a": b"1"})
    store.close()
    store = open_store(data_dir)

    assert (store.epoch, store.get(b"a")) == (2, b"1")
    store.close()


def test_a_new_directory_is_made_with_its_parents_and_for_its_owner_only(tmp_path: Path) -> None:
    store = open_store(tmp_path / "deep/er/data")

    assert store.path == tmp_path / "deep/er/data"
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o700
    store.close()


def test_each_name_that_a_first_start_makes_is_durable_before_anything_is_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system need not keep a name whose directory nobody has synced."""
    durable: set[Path] = set()

    def sync(path: Path, flags: int) -> None:
        durable.update(path.iterdir() if flags else ())

    monkeypatch.setattr(format_, "_sync", sync)
    store = open_store(tmp_path / "deep/er/data")

    path = store.path
    names = {path.parent.parent, path.parent, path, path / "rocksdb"}
    assert durable >= names | {path / "holdfast.format", path / "holdfast.tide"}
    store.close()


def test_a_parent_that_cannot_be_read_is_no_reason_not_to_start(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a directory of mode 0711 somebody else may have made one for us."""
    sync = format_._sync  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

    def sync_some(path: Path, flags: int) -> None:
        if path == data_dir.parent:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        sync(path, flags)

    monkeypatch.setattr(format_, "_sync", sync_some)
    open_store(data_dir).close()


def test_an_existing_directory_is_closed_to_others(data_dir: Path) -> None:
    data_dir.mkdir(mode=0o755)
    open_store(data_dir).close()

    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700


def test_a_directory_that_cannot_be_closed_to_others_is_refused_with_a_cure(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the root of a volume is, which root owns and our group may write to."""

    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", str(path))

    data_dir.mkdir(mode=0o755)
    with monkeypatch.context() as another_users:
        another_users.setattr(Path, "chmod", refuse)
        with pytest.raises(
            StoreFailedError, match=r"name a directory in it, such as .*/data/data,"
        ):
            open_store(data_dir)
    open_store(data_dir).close()


def test_a_newer_format_is_refused_untouched(data_dir: Path) -> None:
    open_store(data_dir).close()
    (data_dir / "holdfast.format").write_text("holdfast data directory, format 2\n")
    (data_dir / "holdfast.lock").unlink()
    before = contents(data_dir)

    with pytest.raises(
        StoreFormatError,
        match=r"format 2, says .*; this release reads and writes format 1",
    ):
        open_store(data_dir)

    assert contents(data_dir) == before
    assert not (data_dir / "holdfast.lock").exists()


def test_the_format_file_does_not_change(data_dir: Path) -> None:
    """Pinned: every release must know a directory of any other."""
    open_store(data_dir).close()

    assert (data_dir / "holdfast.format").read_bytes() == b"holdfast data directory, format 1\n"


def test_a_format_file_that_says_nothing_is_refused(data_dir: Path) -> None:
    open_store(data_dir).close()
    (data_dir / "holdfast.format").write_bytes(b"\xff\xfe")

    with pytest.raises(StoreFormatError, match=r"holdfast\.format should begin with"):
        open_store(data_dir)


def test_somebody_elses_directory_is_refused_untouched(data_dir: Path) -> None:
    data_dir.mkdir(mode=0o755)
    (data_dir / "thesis.tex").write_text("x")

    with pytest.raises(StoreFormatError, match=r"'thesis\.tex'"):
        open_store(data_dir)

    assert [path.name for path in data_dir.iterdir()] == ["thesis.tex"]
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o755


def test_a_directory_that_has_lost_its_stamp_is_not_taken_for_somebody_elses(
    data_dir: Path,
) -> None:
    open_store(data_dir).close()
    stamp = data_dir / "holdfast.format"
    kept = stamp.read_bytes()
    stamp.unlink()
    before = contents(data_dir)
    with pytest.raises(StoreFormatError, match=r"has lost holdfast\.format: restore a backup"):
        open_store(data_dir)
    assert contents(data_dir) == before

    stamp.write_bytes(kept)
    open_store(data_dir).close()


def test_a_file_in_the_way_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(StoreFormatError, match="file is a file"):
        open_store(tmp_path / "file")
    with pytest.raises(StoreFormatError, match="part of the path is a file"):
        open_store(tmp_path / "file/data")


def test_a_directory_that_cannot_be_made_is_refused_in_one_sentence() -> None:
    with pytest.raises(StoreFailedError, match="/proc/data cannot be"):
        open_store(Path("/proc/data"))


def test_a_first_start_that_died_is_finished_by_the_next(data_dir: Path) -> None:
    """It may have come as far as the tide mark; the format file is written last."""
    data_dir.mkdir()
    (data_dir / "holdfast.lock").write_text("4711\n")
    (data_dir / "holdfast.tide.new").write_bytes(b"HFTI")
    create_tide_mark(data_dir / "holdfast.tide")
    store = open_store(data_dir)

    assert (store.epoch, store.get(b"a")) == (1, None)
    store.close()


@pytest.mark.parametrize(
    "lost", ["holdfast.tide", "rocksdb", "rocksdb/CURRENT", "rocksdb/MANIFEST-*", "rocksdb/*.sst"]
)
def test_a_lost_file_is_refused_by_name_and_never_replaced_by_an_empty_one(
    data_dir: Path, lost: str
) -> None:
    store = open_store(data_dir)
    store.write({b"a": b"1"})
    store.close()
    for path in data_dir.glob(lost):
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    with pytest.raises(StoreDamagedError, match=Path(lost).name.replace("*", ".*")):
        open_store(data_dir)
    with pytest.raises(StoreDamagedError):
        open_store(data_dir)


def test_a_refused_start_lets_the_directory_go(data_dir: Path) -> None:
    open_store(data_dir).close()
    mark = (data_dir / "holdfast.tide").read_bytes()
    (data_dir / "holdfast.tide").write_bytes(b"")
    with pytest.raises(StoreDamagedError):
        open_store(data_dir)
    (data_dir / "holdfast.tide").write_bytes(mark)

    open_store(data_dir).close()


def test_a_lock_that_another_rocksdb_holds_is_a_locked_store(data_dir: Path) -> None:
    open_store(data_dir).close()
    stranger = Rdict(str(data_dir / "rocksdb"))

    with pytest.raises(StoreLockedError):
        open_store(data_dir)
    stranger.close()


def test_settings_hold_for_a_directory_that_exists_too(data_dir: Path) -> None:
    """Left to itself, rocksdict takes memtable, filters and cache from the last start's file."""
    open_store(data_dir).close()
    open_store(data_dir, memtable_bytes=3 << 20).close()
    newest = max((data_dir / "rocksdb").glob("OPTIONS-*")).read_text()

    assert "\n  write_buffer_size=3145728\n" in newest
    assert "filter_policy=bloomfilter" in newest
    assert "compression=kLZ4Compression" in newest


# --- kills and power cuts


@pytest.mark.parametrize("tide_mark", ["overlapped", "strict"])
def test_a_killed_process_loses_no_row(data_dir: Path, tide_mark: str) -> None:
    write_and_die(data_dir, tide_mark=tide_mark, rows=(500, 300))

    assert count_rows(data_dir) == 800


def test_a_process_killed_amid_many_small_logs_loses_no_row(data_dir: Path) -> None:
    """Memtables of 64 KiB: several logs are live, and tables are being written at the kill."""
    write_and_die(data_dir, memtable_bytes=65_536, rows=(1_500, 1_500))

    assert inspect_logs(data_dir / "rocksdb").hole is None
    assert count_rows(data_dir) == 3_000


def test_a_power_cut_that_takes_the_unsynced_tail_is_no_loss(killed: Killed) -> None:
    os.truncate(killed.log, killed.synced_log_bytes)

    assert count_rows(killed.path) == 200


def test_a_power_cut_that_tears_the_unsynced_tail_is_no_loss(killed: Killed) -> None:
    for torn in (1, 5, 100, 600):
        path = killed.path.with_name(f"torn{torn}")
        shutil.copytree(killed.path, path)
        os.truncate(Killed(path, 0).log, killed.synced_log_bytes + torn)
        assert count_rows(path) in {200, 201}


def test_damage_in_the_unsynced_tail_is_no_loss(killed: Killed) -> None:
    flip_bit(killed.log, killed.synced_log_bytes + 20_000)

    assert 200 <= count_rows(killed.path) < 300


def cut_one_byte(killed: Killed) -> None:
    os.truncate(killed.log, killed.synced_log_bytes - 1)


def empty(killed: Killed) -> None:
    os.truncate(killed.log, 0)


def delete(killed: Killed) -> None:
    killed.log.unlink()


def flip_early(killed: Killed) -> None:
    flip_bit(killed.log, 30_000)


def flip_last_synced(killed: Killed) -> None:
    flip_bit(killed.log, killed.synced_log_bytes - 100)


def zero_a_sector(killed: Killed) -> None:
    with killed.log.open("r+b") as handle:
        handle.seek(40_960)
        handle.write(bytes(512))


@pytest.mark.parametrize(
    "damage", [cut_one_byte, empty, delete, flip_early, flip_last_synced, zero_a_sector]
)
def test_damage_to_synced_rows_is_refused_with_numbers_and_nothing_is_changed(
    killed: Killed, damage: Callable[[Killed], None]
) -> None:
    """RocksDB alone opens every one of these and says nothing."""
    damage(killed)
    before = contents(killed.path)

    with pytest.raises(StoreDamagedError, match=r"sequence number \d+.*up to 200.*rocksdb/"):
        open_store(killed.path)

    assert contents(killed.path) == before


def test_a_tide_mark_that_lags_still_opens_everything(data_dir: Path) -> None:
    """Overlapped, the mark may be one sync behind at a power cut; it is never ahead."""
    write_and_die(data_dir, rows=(100, 50))
    mark = data_dir / "holdfast.tide"
    whole = bytearray(mark.read_bytes())
    newest = max((0, 4096), key=lambda slot: whole[slot + 8 : slot + 16][::-1])
    whole[newest : newest + 36] = bytes(36)
    mark.write_bytes(whole)

    assert count_rows(data_dir) == 150


def test_process_durability_promises_nothing_to_a_power_cut(data_dir: Path) -> None:
    store = open_store(data_dir, durability="process")
    store.write({b"a": b"1"})

    assert store.sync() == 1
    assert store.statistics().syncs == 0
    store.close()


@pytest.mark.parametrize("durability", ["fsync", "process"])
def test_closing_brings_the_tide_mark_up_to_the_last_row(data_dir: Path, durability: str) -> None:
    store = open_store(data_dir, durability=durability)
    store.write({b"a": b"1", b"b": b"2"})
    store.write({b"c": b"3"})
    store.close()

    assert tide_of(data_dir) == 3


def test_closing_makes_everything_durable_whatever_the_setting(data_dir: Path) -> None:
    store = open_store(data_dir, durability="process")
    store.write({b"row1": b"1"})
    store.close()
    for path in (data_dir / "rocksdb").glob("*.log"):
        path.unlink()  # it is in the tables by now

    assert count_rows(data_dir) == 1


# --- failing


class FailingDatabase:
    """A database whose next call of one method raises, once."""

    def __init__(self, db: Rdict) -> None:
        self.db = db
        self.failing: str | None = None

    def __getattr__(self, name: str) -> Any:
        if name == self.failing:
            self.failing = None
            return self._raise
        return getattr(self.db, name)

    def _raise(self, *_args: object, **_settings: object) -> None:
        message = "IO error: the disk is on fire"
        raise Exception(message)  # noqa: TRY002 -- what rocksdict raises


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[FailingDatabase]:
    """Filled with each database that is opened from here on."""
    opened: list[FailingDatabase] = []

    def open_failing(*arguments: Any) -> FailingDatabase:
        opened.append(FailingDatabase(Rdict(*arguments)))
        return opened[-1]

    monkeypatch.setattr(rocks_open, "Rdict", open_failing)
    return opened


USES: dict[str, Callable[[RocksStore], object]] = {
    "write": lambda store: store.write({b"b": b"2"}),
    "flush_wal": lambda store: store.sync(),
    "get": lambda store: store.get(b"a"),
    "iter": lambda store: list(store.scan(b"", None)),
    "flush": lambda store: store.maintain(),
    "compact_range": lambda store: store.compact(b"", None),
}
"""What RocksDB is asked, and what asks it."""


@pytest.mark.parametrize("method", USES)
def test_the_first_failure_is_the_last(
    data_dir: Path, failing: list[FailingDatabase], method: str
) -> None:
    store = open_store(data_dir, log_rows_max=0)
    store.write({b"a": b"1"})
    failing[-1].failing = method
    with pytest.raises(StoreFailedError, match="on fire"):
        USES[method](store)

    for use in (*USES.values(), RocksStore.approximate_bytes):
        with pytest.raises(StoreFailedError, match=r"on fire.*start again"):
            use(store)
    store.close()
    store = open_store(data_dir)
    assert store.epoch == 2
    store.close()


def test_a_write_that_fails_while_a_sync_runs_fails_the_sync(
    data_dir: Path, failing: list[FailingDatabase], monkeypatch: pytest.MonkeyPatch
) -> None:
    """RocksDB can call a flush good after a write that failed."""
    store = open_store(data_dir)
    store.write({b"a": b"1"})
    database = failing[-1]
    flush_wal = database.db.flush_wal

    def write_meanwhile(sync: bool) -> None:  # noqa: FBT001 -- rocksdict's signature
        flush_wal(sync)
        database.failing = "write"
        with pytest.raises(StoreFailedError):
            store.write({b"b": b"2"})

    monkeypatch.setattr(database, "flush_wal", write_meanwhile, raising=False)

    with pytest.raises(StoreFailedError, match="writing a batch failed"):
        store.sync()
    store.close()


def test_what_is_written_while_a_sync_runs_is_not_called_durable(
    data_dir: Path, failing: list[FailingDatabase], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(data_dir, tide_mark="strict")
    store.write({b"a": b"1"})
    flush_wal = failing[-1].db.flush_wal

    def write_meanwhile(sync: bool) -> None:  # noqa: FBT001 -- rocksdict's signature
        flush_wal(sync)
        store.write({b"b": b"2"})

    monkeypatch.setattr(failing[-1], "flush_wal", write_meanwhile, raising=False)

    assert store.sync() == 1
    assert tide_of(data_dir) == 1
    monkeypatch.undo()
    store.close()


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), StoreFullError),
        (OSError(errno.EIO, "Input/output error"), StoreFailedError),
        (StoreDamagedError("it has lost acknowledged data"), StoreDamagedError),
    ],
)
def test_a_refused_start_says_why_also_where_rocksdb_cannot_be_closed(
    data_dir: Path,
    failing: list[FailingDatabase],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    refusal: type[Exception],
) -> None:
    """A disk that fails the first sync of a start fails that of closing as well."""

    def fail(*_: object, **__: object) -> None:
        failing[-1].failing = "close"
        raise error

    RocksStore(data_dir, ballast_bytes=0).close()
    with monkeypatch.context() as broken:
        broken.setattr(TideMark, "record", fail)
        with pytest.raises(refusal) as raised:
            RocksStore(data_dir, ballast_bytes=0)
    assert type(raised.value) is refusal

    # Told to shut down already, it closes, and says that it does not sync any more.
    with pytest.raises(Exception, match="Shutdown in progress"):
        failing[-1].db.close()
    RocksStore(data_dir, ballast_bytes=0).close()


def test_the_directory_of_a_refused_start_can_be_opened_at_once(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = open_store(data_dir)
    store.write({b"a": b"1"})
    store.sync()
    store.close()
    with monkeypatch.context() as broken:
        broken.setattr(TideMark, "record", fail)
        with pytest.raises(StoreFullError):
            RocksStore(data_dir, ballast_bytes=0)

    store = open_store(data_dir)
    assert store.get(b"a") == b"1"
    store.close()


def test_the_tide_mark_does_not_move_when_a_sync_fails(
    data_dir: Path, failing: list[FailingDatabase]
) -> None:
    store = open_store(data_dir, tide_mark="strict")
    store.write({b"a": b"1"})
    before = (data_dir / "holdfast.tide").read_bytes()
    failing[-1].failing = "flush_wal"
    with pytest.raises(StoreFailedError):
        store.sync()
    store.close()

    assert (data_dir / "holdfast.tide").read_bytes() == before


def test_a_scan_over_a_damaged_block_raises_and_never_ends_early(data_dir: Path) -> None:
    store = open_store(data_dir)
    store.write({b"%06d" % number: os.urandom(500) for number in range(2_000)})
    store.close()
    table = max((data_dir / "rocksdb").glob("*.sst"), key=lambda path: path.stat().st_size)
    flip_bit(table, table.stat().st_size // 2)
    store = open_store(data_dir)

    seen: list[bytes] = []
    with pytest.raises(StoreDamagedError, match=r"\.sst"):
        seen.extend(key for key, _ in store.scan(b"", None))

    assert seen == [b"%06d" % number for number in range(len(seen))]
    with pytest.raises(StoreFailedError, match="scanning rows failed"):
        store.get(b"000000")
    store.close()


@pytest.mark.parametrize("reads", ["store", "view"])
def test_an_error_that_somebody_keeps_does_not_keep_the_database_open(
    data_dir: Path, reads: str
) -> None:
    store = open_store(data_dir)
    store.write({b"%06d" % number: os.urandom(500) for number in range(2_000)})
    store.close()
    table = max((data_dir / "rocksdb").glob("*.sst"), key=lambda path: path.stat().st_size)
    flip_bit(table, table.stat().st_size // 2)
    store = open_store(data_dir)

    with pytest.raises(StoreDamagedError) as kept:
        list((store if reads == "store" else store.view()).scan(b"", None))
    store.close()

    open_store(data_dir).close()
    assert "Corruption" in kept.value.message


# --- size and space


def test_maintenance_moves_a_long_log_and_leaves_a_short_one(data_dir: Path) -> None:
    store = open_store(data_dir, log_bytes_max=100_000)
    store.write({b"short": bytes(50_000)})
    store.maintain()
    assert store.statistics().log_moves == 0
    store.write({b"long": bytes(60_000)})
    store.maintain()

    assert store.statistics().log_moves == 1
    assert store.statistics().log_bytes == 0
    assert sum(path.stat().st_size for path in (data_dir / "rocksdb").glob("*.log")) == 0
    store.close()


def test_maintenance_moves_a_log_of_many_small_rows(data_dir: Path) -> None:
    store = open_store(data_dir, log_rows_max=1_000)
    store.write(dict.fromkeys((b"%d" % number for number in range(1_001)), b""))
    store.maintain()

    assert store.statistics().log_moves == 1
    store.close()


def test_compaction_gives_space_back(data_dir: Path) -> None:
    store = open_store(data_dir, log_bytes_max=0)
    for number in range(200):
        store.write({b"%04d" % number: os.urandom(10_000)})
    store.maintain()
    full = store.approximate_bytes()
    store.write(dict.fromkeys(b"%04d" % number for number in range(200)))
    store.compact(b"", None)

    assert full > 2_000_000
    assert store.approximate_bytes() < full / 10
    store.close()


def test_a_compaction_that_the_disk_has_no_room_for_is_left_out(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would stop the store: RocksDB counts it as a failure like any other."""
    store = open_store(data_dir, free_bytes_min=1 << 20)
    store.write({b"%06d" % number: os.urandom(500) for number in range(4_000)})
    store._move_log()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    store.write({b"%06d" % number: None for number in range(3_000)})
    store._move_log()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    before = store.approximate_bytes()
    free = before + (1 << 20) - 4_096

    def free_bytes(_: Path) -> int:
        return free

    monkeypatch.setattr(data_directory, "free_bytes", free_bytes)
    store.compact(b"", None)
    assert store.approximate_bytes() == before
    free += 4_096
    store.compact(b"", None)
    assert store.approximate_bytes() < before / 2
    store.close()


def test_closing_ends_a_compaction_and_loses_nothing(data_dir: Path) -> None:
    store = open_store(data_dir, log_bytes_max=0)
    value = os.urandom(20_000)
    for first in (0, 1, 2):  # Three files of the same keys: there is something to merge.
        for number in range(first, 3_000, 2):
            store.write({b"%04d" % number: value})
        store.maintain()
    ended: list[str] = []

    def compact() -> None:
        store.compact(b"", None)
        ended.append("without an error")

    thread = threading.Thread(target=compact)
    thread.start()
    store.close()
    thread.join()
    store = open_store(data_dir)

    assert ended == ["without an error"]
    assert [key for key, _ in store.scan(b"", None)] == [b"%04d" % number for number in range(3000)]
    store.close()


def test_the_log_is_moved_while_a_compaction_is_under_way(data_dir: Path) -> None:
    store = open_store(data_dir, log_bytes_max=0)
    store.write({b"a": b"1"})
    inside: Any = store
    with inside._compacting:  # noqa: SLF001  # as a compaction holds it
        store.maintain()

    assert store.statistics().log_moves == 1
    store.close()


def test_a_disk_with_less_than_the_low_water_mark_is_nearly_full(data_dir: Path) -> None:
    store = open_store(data_dir, free_bytes_min=1 << 60)
    assert store.is_nearly_full
    store.close()
    store = open_store(data_dir)
    assert not store.is_nearly_full
    store.close()


@pytest.mark.parametrize("fault", ["nearly full", "the tide mark", "the log", None])
def test_a_close_for_which_there_may_be_no_room_writes_no_table(
    data_dir: Path,
    failing: list[FailingDatabase],
    monkeypatch: pytest.MonkeyPatch,
    fault: str | None,
) -> None:
    """RocksDB sleeps for a second after a table that it could not write, and is waited for."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = open_store(data_dir, free_bytes_min=1 << 60 if fault == "nearly full" else 0)
    store.write({b"a": b"1"})
    with monkeypatch.context() as broken:
        if fault == "the tide mark":
            broken.setattr(TideMark, "record", fail)
        if fault == "the log":
            failing[-1].failing = "flush_wal"
        with (
            contextlib.nullcontext()
            if fault in {"nearly full", None}
            else pytest.raises(StoreFailedError)
        ):
            store.close()

    assert bool([*data_dir.rglob("*.sst")]) == (fault is None)
    store = open_store(data_dir)
    assert store.get(b"a") == b"1"
    store.close()


def test_a_ballast_is_held_where_there_is_plenty_and_only_there(data_dir: Path) -> None:
    ballast = data_dir / "holdfast.ballast"
    RocksStore(data_dir, ballast_bytes=1 << 20, free_bytes_min=1 << 60).close()
    assert not ballast.exists()
    RocksStore(data_dir, ballast_bytes=1 << 20).close()
    assert ballast.stat().st_size == 1 << 20


def test_a_ballast_that_an_earlier_release_has_made_smaller_is_made_larger(data_dir: Path) -> None:
    RocksStore(data_dir, ballast_bytes=1 << 20).close()
    RocksStore(data_dir, ballast_bytes=1 << 21).close()
    assert (data_dir / "holdfast.ballast").stat().st_size == 1 << 21
    RocksStore(data_dir, ballast_bytes=1 << 20).close()
    assert (data_dir / "holdfast.ballast").stat().st_size == 1 << 21


def test_a_start_on_a_full_disk_drops_the_ballast(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    RocksStore(data_dir, ballast_bytes=1 << 20).close()

    def nearly_nothing(_directory: Path) -> int:
        return 4_096

    monkeypatch.setattr(disk_space, "free_bytes", nearly_nothing)
    RocksStore(data_dir, ballast_bytes=1 << 20).close()

    assert not (data_dir / "holdfast.ballast").exists()


@pytest.mark.parametrize(
    ("call", "nth", "file"),
    [
        ("pwrite", 1, "holdfast.lock"),
        ("fsync", 2, "holdfast.tide.new"),
        ("fsync", 3, "holdfast.format.new"),
        ("pwrite", 2, "holdfast.tide"),
        ("pread", 1, "holdfast.tide"),
    ],
)
def test_a_start_that_the_disk_refuses_names_the_file(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, call: str, nth: int, file: str
) -> None:
    calls = iter(range(1, 1_000))
    works: Callable[..., Any] = getattr(os, call)

    def refuse(*arguments: Any) -> Any:
        if next(calls) == nth:
            raise OSError(errno.EIO, "Input/output error")
        return works(*arguments)

    with monkeypatch.context() as broken:
        broken.setattr(os, call, refuse)
        with pytest.raises(StoreFailedError) as refused:
            open_store(data_dir)
    assert refused.value.message == (
        f"{data_dir} cannot be opened: Input/output error ({data_dir / file})"
    )
    open_store(data_dir).close()


@pytest.mark.parametrize("file", ["CURRENT", "MANIFEST", "log", "holdfast.format"])
def test_a_start_that_cannot_read_a_file_names_it(
    killed: Killed, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    read = Path.read_bytes
    refused_files: list[Path] = []

    def refuse(path: Path) -> bytes:
        if file in path.name:
            refused_files.append(path)
            raise OSError(errno.EIO, "Input/output error")
        return read(path)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "read_bytes", refuse)
        with pytest.raises(StoreFailedError) as refused:
            open_store(killed.path)
    assert f"Input/output error ({refused_files[0]})" in refused.value.message
    assert count_rows(killed.path) == 300


@pytest.mark.parametrize(
    ("part", "name"),
    [(disk_space.Ballast, "hold"), (DataDirectory, "is_nearly_full"), (TideFollower, "__init__")],
)
def test_a_start_that_fails_behind_the_opened_database_closes_it(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, part: type, name: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(part, name, fail)
        with pytest.raises(StoreFailedError) as refused:
            RocksStore(data_dir)

    # The error, and with it all that the start had in its hands, is still there.
    store = RocksStore(data_dir)
    assert store.epoch == 2, refused
    store.close()


def test_a_start_without_any_space_says_so(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_store(data_dir).close()

    def refuse(*_arguments: Any) -> Rdict:
        message = "IO error: No space left on device: While appending to file: MANIFEST-000010"
        raise Exception(message)  # noqa: TRY002 -- what rocksdict raises

    monkeypatch.setattr(rocks_open, "Rdict", refuse)

    with pytest.raises(StoreFullError, match=r"No space left.*; free some space and start again"):
        open_store(data_dir)


def bytes_read() -> int:
    """What this process has asked the kernel for, from the disk or its cache."""
    lines = Path("/proc/self/io").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("rchar")).split()[1])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="only Linux counts reads")
def test_an_absent_key_costs_no_more_reading_in_a_large_store(tmp_path: Path) -> None:
    # The cache is as small beside this filter as the usual one is beside that of a full file.
    store = RocksStore(tmp_path, durability="process", block_cache_bytes=1 << 16, ballast_bytes=0)
    for start in range(0, 100_000, 10_000):
        store.write({b"row%07d" % (2 * row): b"value" for row in range(start, start + 10_000)})
    store.compact(b"", None)
    # Whoever wrote a file keeps its filter at hand; whoever has opened it since does not.
    store.close()
    store = RocksStore(tmp_path, durability="process", block_cache_bytes=1 << 16, ballast_bytes=0)
    assert store.get(b"row%07d" % 1) is None
    before = bytes_read()

    for row in range(1_000):
        assert store.get(b"row%07d" % (2 * 97 * row + 1)) is None

    assert bytes_read() - before < 1_000 * 16_384
    store.close()
