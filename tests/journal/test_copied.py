"""A start in a copy makes it durable, for whoever has copied it has not."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast import StoreFailedError
from holdfast.journal import format as format_
from holdfast.journal.directory_view import DirectoryView
from holdfast.journal.rocks import RocksStore

if TYPE_CHECKING:
    from collections.abc import Iterable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A directory in which a store was, with rows in a table and in the log."""
    path = tmp_path / "data"
    start(path)
    return path


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch, path: Path) -> list[Path]:
    """The files, no directories, that we synced after the store in ``path`` was made."""
    assert path.is_dir()
    synced: list[Path] = []
    sync = format_._sync  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

    def note(file: Path, flags: int) -> None:
        if not flags:
            synced.append(file)
        sync(file, flags)

    monkeypatch.setattr(format_, "_sync", note)
    return synced


def start(path: Path) -> None:
    store = RocksStore(path, ballast_bytes=0)
    store.write({b"start %d" % store.epoch: b"row"})
    store.sync()
    store.close()


def rows_in(paths: Iterable[Path]) -> set[str]:
    """Which of them hold rows, or say where those are."""
    return {path.name for path in paths if path.suffix == ".sst" or "holdfast." in path.name}


def tables_of(path: Path) -> set[str]:
    return {each.name for each in (path / "rocksdb").glob("*.sst")}


def test_a_start_where_the_last_one_was_syncs_no_table_of_an_earlier_life(
    path: Path, synced: list[Path]
) -> None:
    start(path)
    earlier = tables_of(path)
    start(path)
    start(path)  # The clock of files is coarse: the first may begin when the last table was made.
    synced.clear()
    start(path)

    assert not earlier & {file.name for file in synced}
    assert earlier <= tables_of(path)


def test_a_directory_that_was_only_renamed_is_no_copy(path: Path, synced: list[Path]) -> None:
    start(path)
    earlier = tables_of(path)
    start(path)
    start(path)  # The clock of files is coarse: the first may begin when the last table was made.
    synced.clear()
    start(path.rename(path.with_name("moved")))

    assert not earlier & {file.name for file in synced}


def test_what_was_put_back_into_it_is_synced_although_the_rest_stayed(
    path: Path, synced: list[Path]
) -> None:
    start(path)
    start(path)
    copy = path.with_name("copy")
    shutil.copytree(path, copy)
    shutil.rmtree(path / "rocksdb")
    shutil.copytree(copy / "rocksdb", path / "rocksdb")
    tables = tables_of(path)
    synced.clear()
    start(path)

    assert tables
    assert tables <= {file.name for file in synced}


def test_a_clock_that_was_set_back_hides_no_copy(path: Path, synced: list[Path]) -> None:
    start(path)
    tables = tables_of(path)
    place = path / "holdfast.place"
    inode, changed, _ = place.read_text("ascii").split()
    place.write_text(f"{inode} {changed} {1 << 62}\n", "ascii")
    synced.clear()
    start(path)

    assert tables
    assert tables <= {file.name for file in synced}


def test_the_first_start_in_a_copy_syncs_every_file_of_it(path: Path, synced: list[Path]) -> None:
    start(path)
    copy = path.with_name("copy")
    shutil.copytree(path, copy)
    expected = rows_in(copy.rglob("*"))
    assert any(name.endswith(".sst") for name in expected)
    start(copy)

    assert expected <= {file.name for file in synced if copy in file.parents}
    start(copy)
    start(copy)
    synced.clear()
    start(copy)
    assert not expected & {file.name for file in synced if file.suffix == ".sst"}


def test_a_copy_over_what_was_there_is_one_too(path: Path, synced: list[Path]) -> None:
    shutil.copytree(path, path.with_name("backup"))
    start(path)
    shutil.rmtree(path)
    shutil.copytree(path.with_name("backup"), path)
    start(path)

    assert rows_in(synced) >= {"holdfast.format", "holdfast.tide"}


def test_what_starts_in_a_copy_made_of_links_leaves_the_other_directory_as_it_was(
    path: Path,
) -> None:
    copy = path.with_name("copy")
    shutil.copytree(path, copy, copy_function=os.link)
    before = {file: file.read_bytes() for file in copy.rglob("*") if file.is_file()}
    before.pop(copy / "holdfast.lock")
    before.pop(copy / "holdfast.place")
    start(path)
    start(path)

    assert {file: file.read_bytes() for file in before} == before
    start(copy)
    with closing(DirectoryView(copy)) as view, closing(DirectoryView(path)) as other:
        assert (view.epoch, other.epoch) == (2, 3)


def test_a_copy_that_the_disk_does_not_take_is_refused_and_tried_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = path.with_name("copy")
    shutil.copytree(path, copy)
    failed: list[Path] = []

    def fail(file: Path, _flags: int) -> None:
        failed.append(file)
        raise OSError(errno.EIO, "Input/output error", str(file))

    for _ in range(2):
        with monkeypatch.context() as broken:
            broken.setattr(format_, "_sync", fail)
            with pytest.raises(StoreFailedError, match=r"Input/output error \(.*copy"):
                start(copy)
    assert len(failed) == 2
    start(copy)


def test_a_full_disk_is_no_reason_not_to_start(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path / "holdfast.place").unlink()

    def refuse(file: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, f"No space left for {len(content)} bytes", str(file))

    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", refuse)
        start(path)
    assert not (path / "holdfast.place").exists()
