"""A backup is a data directory as it was at one moment, whole or not there at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from holdfast import (
    InvalidArgumentError,
    StoreDamagedError,
    StoreFailedError,
    StoreFormatError,
    StoreFullError,
    StoreLockedError,
)
from holdfast.journal import backup
from holdfast.journal import format as format_
from holdfast.journal import staging as staging_
from holdfast.journal.backup import back_up
from holdfast.journal.directory_lock import DirectoryLock
from holdfast.journal.rocks import RocksStore
from holdfast.journal.staging import remove_stale, staging
from holdfast.journal.tide_mark import TIDE_FILE, TideMark
from tests.backup.killed import run_killed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

KEYS = [b"k%05d" % number for number in range(500)]
SMALL: dict[str, Any] = {"ballast_bytes": 0, "log_bytes_max": 1 << 15}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RocksStore]:
    store = RocksStore(tmp_path / "data", **SMALL)
    store.write(dict.fromkeys(KEYS, b"in a table" * 20))
    store.maintain()
    store.write({KEYS[0]: b"in the log", KEYS[1]: None})
    yield store
    store.close()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A directory on another file system than the one of ``tmp_path``."""
    shared = Path("/dev/shm")  # noqa: S108 -- where there is one, it is memory
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("this machine has no second file system that anybody may write to")
    with tempfile.TemporaryDirectory(dir=shared) as path:
        yield Path(path)


def rows_of(path: Path) -> dict[bytes, bytes]:
    store = RocksStore(path, **SMALL)
    rows = dict(store.scan(b"", None))
    store.close()
    return rows


def names_in(path: Path) -> set[str]:
    return {str(each.relative_to(path)) for each in path.rglob("*")}


def test_it_holds_all_that_was_written_and_the_original_goes_on(
    store: RocksStore, tmp_path: Path
) -> None:
    expected = dict(store.scan(b"", None))
    info = back_up(store.path, tmp_path / "copy")
    store.write({KEYS[0]: b"later"})
    store.sync()

    assert info.path == tmp_path / "copy"
    assert 0 < info.shared_bytes < info.size_bytes
    assert rows_of(info.path) == expected
    assert store.get(KEYS[0]) == b"later"
    assert info.path.stat().st_mode & 0o777 == 0o700
    assert sorted(each.name for each in tmp_path.iterdir()) == ["copy", "data"]


def test_whoever_has_the_store_open_moves_the_log_rather_than_have_it_replayed(
    store: RocksStore, tmp_path: Path
) -> None:
    """A replay holds the interpreter lock, and the loop of the server with it."""
    expected = dict(store.scan(b"", None))
    info = store.back_up(tmp_path / "copy")

    logs = (info.path / "rocksdb").glob("*.log")
    assert [log.stat().st_size for log in logs] == [0]
    assert rows_of(info.path) == expected
    store.write({KEYS[0]: b"goes on"})


def test_a_backup_that_the_disk_fails_is_not_made(
    store: RocksStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(store, "_move_log", fail)
    with pytest.raises(StoreFailedError, match="moving the log before a backup failed"):
        store.back_up(tmp_path / "copy")

    assert [each.name for each in tmp_path.iterdir()] == ["data"]
    with pytest.raises(StoreFailedError, match="The store has stopped"):
        store.write({KEYS[0]: b"later"})


def test_a_target_that_cannot_be_is_refused_before_anything_is_done(
    store: RocksStore, tmp_path: Path
) -> None:
    moves = store.statistics().log_moves
    with pytest.raises(InvalidArgumentError, match="exists"):
        store.back_up(tmp_path)

    assert store.statistics().log_moves == moves


def test_what_starts_on_a_copy_counts_one_epoch_more_than_the_original(
    store: RocksStore, tmp_path: Path
) -> None:
    for _ in range(3):
        store.close()
        store = RocksStore(store.path, **SMALL)
    info = back_up(store.path, tmp_path / "copy")
    copy = RocksStore(info.path, **SMALL)

    assert (store.epoch, copy.epoch) == (4, 5)
    copy.close()
    store.close()


def test_a_copy_that_then_loses_something_is_refused_like_any_directory(
    store: RocksStore, tmp_path: Path
) -> None:
    copy = back_up(store.path, tmp_path / "copy").path
    for log in (copy / "rocksdb").glob("*.log"):
        log.write_bytes(b"")

    with pytest.raises(StoreDamagedError, match="has lost acknowledged data"):
        RocksStore(copy, **SMALL)


def test_a_change_of_the_original_never_reaches_the_copy(store: RocksStore, tmp_path: Path) -> None:
    expected = dict(store.scan(b"", None))
    copy = back_up(store.path, tmp_path / "copy").path
    for value in (b"1", b"2", b"3"):
        store.write(dict.fromkeys(KEYS, value * 300))
        store.maintain()
    store.compact(b"", None)

    assert rows_of(copy) == expected


def test_a_directory_that_nobody_has_open_is_copied_too(store: RocksStore, tmp_path: Path) -> None:
    store.close()
    back_up(store.path, tmp_path / "copy")

    assert rows_of(tmp_path / "copy") == rows_of(store.path)


def test_what_a_killed_process_left_is_copied_with_its_log(
    store: RocksStore, tmp_path: Path
) -> None:
    """The lock is free, and nothing was closed: as a start would find it."""
    shutil.copytree(store.path, tmp_path / "killed")

    back_up(tmp_path / "killed", tmp_path / "copy")

    assert rows_of(tmp_path / "copy") == rows_of(tmp_path / "killed")


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_copies_of_a_busy_store_are_whole_and_hold_what_was_synced(
    tmp_path: Path, where: str, request: pytest.FixtureRequest
) -> None:
    """Every batch writes the same number everywhere; the log is moved all the time."""
    targets: Path = tmp_path if where == "here" else request.getfixturevalue("elsewhere")
    store = RocksStore(tmp_path / "data", **SMALL)
    synced, is_over = [0], threading.Event()

    def write() -> None:
        number = 0
        while not is_over.is_set():
            number += 1
            store.write(dict.fromkeys(KEYS[:50], b"%d" % number))
            store.sync()
            synced[0] = number
            if number % 5 == 0:
                store.maintain()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for at in range(12):
            known = synced[0]
            copy = back_up(store.path, targets / f"copy{at}").path
            values = set(rows_of(copy).values())
            assert len(values) <= 1, f"copy {at} is of no moment"
            assert int(next(iter(values), b"0")) >= known
    finally:
        is_over.set()
        writer.join()
        store.close()
    assert synced[0] > 0


def test_on_another_file_system_it_shares_nothing_and_leaves_nothing_behind(
    store: RocksStore, elsewhere: Path
) -> None:
    before = {each.name for each in store.path.iterdir()}
    info = back_up(store.path, elsewhere / "copy")

    assert info.shared_bytes == 0
    assert rows_of(info.path) == dict(store.scan(b"", None))
    assert {each.name for each in store.path.iterdir()} == before


@pytest.mark.parametrize("why", [errno.EROFS, errno.ENOSPC])
def test_a_disk_that_takes_nothing_any_more_can_be_saved_to_another_one(
    store: RocksStore, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, why: int
) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(why, os.strerror(why))

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    # The look at the copy makes its links in a directory for temporary files.
    monkeypatch.setattr(tempfile, "TemporaryDirectory", _TemporaryDirectory)
    _TemporaryDirectory.where = elsewhere
    expected = dict(store.scan(b"", None))
    store.close()
    back_up(store.path, elsewhere / "copy")

    monkeypatch.undo()
    assert rows_of(elsewhere / "copy") == expected


def test_a_disk_that_has_room_for_names_only_can_be_saved_to_another_one(
    store: RocksStore, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copyfile = shutil.copyfile

    def copy(source: Path, target: Path, **_: object) -> None:
        if store.path in Path(target).parents:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        copyfile(source, target)

    monkeypatch.setattr(shutil, "copyfile", copy)
    before = names_in(store.path)
    back_up(store.path, elsewhere / "copy")

    assert rows_of(elsewhere / "copy") == dict(store.scan(b"", None))
    assert names_in(store.path) == before


def test_on_the_way_to_another_disk_a_log_takes_no_space_of_this_one(
    store: RocksStore, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copyfile = shutil.copyfile
    copied: list[Path] = []

    def copy(source: Path, target: Path, **_: object) -> None:
        if store.path in Path(target).parents:
            copied.append(Path(target))
        copyfile(source, target)

    monkeypatch.setattr(shutil, "copyfile", copy)
    back_up(store.path, elsewhere / "copy")

    assert "CURRENT" in {file.name for file in copied}
    assert not [file.name for file in copied if file.suffix in {".log", ".sst"}]
    assert rows_of(elsewhere / "copy") == dict(store.scan(b"", None))


class _TemporaryDirectory:
    where = Path()

    def __init__(self, prefix: str) -> None:
        self.name = str(self.where / f"{prefix}for-the-test")
        Path(self.name).mkdir()

    def cleanup(self) -> None:
        shutil.rmtree(self.name)


def test_a_start_removes_the_links_of_a_backup_that_died_and_no_others(store: RocksStore) -> None:
    store.close()
    dead = store.path / "holdfast.backup-dead"
    (dead / "rocksdb").mkdir(parents=True)
    (dead / "rocksdb" / "000001.sst").write_bytes(b"1")
    with staging(store.path) as under_way:
        store = RocksStore(store.path, **SMALL)
        assert not dead.exists()
        assert under_way.exists()
    assert not under_way.exists()
    store.close()


def _target_is_there(path: Path) -> Path:
    (path / "copy").mkdir()
    return path / "copy"


def _target_is_a_dangling_link(path: Path) -> Path:
    (path / "copy").symlink_to(path / "nowhere")
    return path / "copy"


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "it is there": (_target_is_there, "exists; a backup makes its own directory"),
    "it is a link": (_target_is_a_dangling_link, "exists; a backup makes its own directory"),
    "inside": (lambda path: path / "data" / "copy", "is inside the data directory"),
    "the same": (lambda path: path / "data", "is inside the data directory"),
    "through a link": (lambda path: path / "link" / "copy", "is inside the data directory"),
    "no parent": (lambda path: path / "not" / "copy", "there is no directory"),
    "the root": (lambda _: Path("/"), "needs a directory of its own"),
}


def test_the_next_backup_removes_the_links_of_one_that_died(
    store: RocksStore, elsewhere: Path
) -> None:
    dead = store.path / "holdfast.backup-dead"
    (dead / "rocksdb").mkdir(parents=True)
    (dead / "rocksdb" / "000001.sst").write_bytes(b"1")
    with staging(store.path) as under_way:
        back_up(store.path, elsewhere / "copy")
        assert not dead.exists()
        assert under_way.exists()


def test_a_disk_that_has_room_for_one_name_only_keeps_none(
    store: RocksStore, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    before = names_in(store.path)
    monkeypatch.setattr(staging_, "DirectoryLock", refuse)
    back_up(store.path, elsewhere / "copy")

    assert names_in(store.path) == before
    assert rows_of(elsewhere / "copy") == dict(store.scan(b"", None))


def test_links_that_were_taken_for_those_of_a_dead_backup_are_made_again(
    store: RocksStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    make = tempfile.mkdtemp

    def make_and_lose(*, prefix: str, dir: Path) -> str:  # noqa: A002  # as mkdtemp calls it
        path = make(prefix=prefix, dir=dir)
        made.append(path)
        if len(made) == 1:
            remove_stale(store.path)
        return path

    monkeypatch.setattr(tempfile, "mkdtemp", make_and_lose)
    with staging(store.path) as path:
        remove_stale(store.path)
        assert [str(path)] == made[1:]
        assert path.exists()


@pytest.mark.parametrize("why", REFUSED)
def test_a_target_that_cannot_be_one_is_refused_with_nothing_made(
    store: RocksStore, tmp_path: Path, why: str
) -> None:
    (tmp_path / "link").symlink_to(store.path / "rocksdb")
    choose, said = REFUSED[why]
    target = choose(tmp_path)
    before = names_in(tmp_path)

    with pytest.raises(InvalidArgumentError, match=said):
        back_up(store.path, target)
    assert names_in(tmp_path) == before


def test_what_is_no_data_directory_is_not_backed_up(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.png").touch()
    for source in ("photos", "nothing"):
        with pytest.raises(StoreFormatError, match=source):
            back_up(tmp_path / source, tmp_path / "copy")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["photos"]


def test_a_newer_format_is_not_backed_up(store: RocksStore, tmp_path: Path) -> None:
    (store.path / "holdfast.format").write_text("holdfast data directory, format 2\n")
    with pytest.raises(StoreFormatError, match="is of format 2"):
        back_up(store.path, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_directory_that_has_lost_something_is_refused_by_its_own_name(
    store: RocksStore, tmp_path: Path
) -> None:
    store.close()
    mark = TideMark(store.path / TIDE_FILE)
    mark.record(mark.sequence + 1_000)
    mark.close()

    with pytest.raises(StoreDamagedError) as refused:
        back_up(store.path, tmp_path / "copy")
    assert str(store.path) in refused.value.message
    assert "partial" not in refused.value.message
    assert sorted(each.name for each in tmp_path.iterdir()) == ["data"]


def test_a_database_without_its_manifest_is_damaged_and_not_too_busy(
    store: RocksStore, tmp_path: Path
) -> None:
    store.close()
    for manifest in (store.path / "rocksdb").glob("MANIFEST-*"):
        manifest.unlink()
    with pytest.raises(StoreDamagedError, match="its CURRENT names no manifest that is there"):
        back_up(store.path, tmp_path / "copy")
    assert not (tmp_path / "copy.partial").exists()


def test_a_full_disk_leaves_neither_a_target_nor_a_part_of_one(
    store: RocksStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfile", refuse)
    with pytest.raises(StoreFullError, match="free some space, or name another disk"):
        back_up(store.path, tmp_path / "copy")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["data"]
    assert store.get(KEYS[0]) == b"in the log"


def test_a_file_system_without_links_gets_copies(
    store: RocksStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    info = back_up(store.path, tmp_path / "copy")

    assert info.shared_bytes == 0
    assert rows_of(info.path) == dict(store.scan(b"", None))


def test_two_backups_to_one_target_do_not_meet(store: RocksStore, tmp_path: Path) -> None:
    partial = tmp_path / "copy.partial"
    partial.mkdir()
    other = DirectoryLock(partial, on_fork=lambda: None)
    with pytest.raises(StoreLockedError):
        back_up(store.path, tmp_path / "copy")
    assert partial.exists()
    other.release()

    back_up(store.path, tmp_path / "copy")
    assert not partial.exists()


def test_a_strangers_files_in_the_way_are_not_touched(store: RocksStore, tmp_path: Path) -> None:
    partial = tmp_path / "copy.partial"
    partial.mkdir()
    (partial / "me.png").write_bytes(b"me")
    with pytest.raises(StoreFormatError, match=r"is in the way: it holds 'me\.png'"):
        back_up(store.path, tmp_path / "copy")
    assert (partial / "me.png").read_bytes() == b"me"


def test_killed_anywhere_there_is_no_target_and_the_next_one_succeeds(
    store: RocksStore, tmp_path: Path
) -> None:
    store.close()
    whole = run_killed(store.path, tmp_path / "whole", 0)
    assert whole.returncode == 0, whole.stderr
    calls = int(whole.stdout)
    expected = rows_of(tmp_path / "whole")
    # The first, one in the middle, and the last two: before the rename, and after it.
    for at in (1, calls // 2, calls - 1, calls):
        target = tmp_path / f"copy{at}"
        killed = run_killed(store.path, target, at)
        assert killed.returncode == 9, killed.stderr
        if at == calls:
            assert rows_of(target) == expected
            continue
        assert not target.exists()
        back_up(store.path, target)
        assert rows_of(target) == expected
        assert not (tmp_path / f"copy{at}.partial").exists()


def test_every_file_and_every_name_is_synced_before_the_target_is_there(
    store: RocksStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[str] = set()
    fsync, rename = os.fsync, Path.rename
    missing: list[set[str]] = []

    def note(handle: int) -> None:
        synced.add(str(Path(f"/proc/self/fd/{handle}").readlink()))
        fsync(handle)

    def look(self: Path, target: Path) -> Path:
        if self.name == "copy.partial":
            there: Mapping[str, Path] = {str(each): each for each in [self, *self.rglob("*")]}
            missing.append(set(there) - synced)
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(Path, "rename", look)
    back_up(store.path, tmp_path / "copy")

    assert missing == [set()]
    assert str(tmp_path) in synced


def test_a_file_of_the_original_that_cannot_be_read_is_named(
    store: RocksStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copyfile = shutil.copyfile

    def refuse_logs(source: Path, target: Path) -> object:
        if source.suffix == ".log":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(source))
        return copyfile(source, target)

    monkeypatch.setattr(shutil, "copyfile", refuse_logs)
    with pytest.raises(StoreFailedError, match=r"Permission denied \(.*/data/rocksdb/.*\.log\)"):
        back_up(store.path, tmp_path / "copy")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["data"]


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES])
def test_a_target_is_there_exactly_if_the_backup_was_made(
    store: RocksStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Its name is the last thing that is made durable."""
    sync = format_.sync_directory

    def refuse(path: Path) -> None:
        if path == tmp_path:
            raise OSError(code, os.strerror(code), str(path))
        sync(path)

    monkeypatch.setattr(backup, "sync_directory", refuse)
    if code == errno.EACCES:
        back_up(store.path, tmp_path / "copy")
    else:
        with pytest.raises(StoreFailedError, match="Input/output error"):
            back_up(store.path, tmp_path / "copy")

    expected = ["copy", "data"] if code == errno.EACCES else ["data"]
    assert sorted(each.name for each in tmp_path.iterdir()) == expected
