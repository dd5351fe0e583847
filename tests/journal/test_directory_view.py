"""A view of a data directory shows one moment, whoever writes to it, and touches nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from holdfast import StoreDamagedError, StoreFailedError, StoreFormatError
from holdfast.journal import directory_view
from holdfast.journal.directory_view import DirectoryView
from holdfast.journal.rocks import RocksStore
from holdfast.journal.tide_mark import TIDE_FILE, TideMark
from tests.processes import ROOT, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = [b"k%05d" % number for number in range(2_000)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RocksStore]:
    store = RocksStore(tmp_path / "data", ballast_bytes=0, log_bytes_max=1 << 16)
    yield store
    store.close()


def look(path: Path) -> dict[str, tuple[int, int, int]]:
    """Every file with its inode, its size and when it was written."""
    return {
        str(file.relative_to(path)): (
            file.stat().st_ino,
            file.stat().st_size,
            file.stat().st_mtime_ns,
        )
        for file in sorted(path.rglob("*"))
    }


def fill(store: RocksStore, value: bytes) -> None:
    for at in range(0, len(KEYS), 100):
        store.write(dict.fromkeys(KEYS[at : at + 100], value * 20))


def test_it_shows_the_log_and_the_tables_of_a_store_that_is_open(store: RocksStore) -> None:
    fill(store, b"in a table")
    store.maintain()
    store.write({KEYS[0]: b"in the log", KEYS[1]: None})
    view = DirectoryView(store.path)

    assert list(view.scan(b"", None)) == list(store.scan(b"", None))
    assert list(view.scan(KEYS[5], KEYS[9], reverse=True)) == list(
        store.scan(KEYS[5], KEYS[9], reverse=True)
    )
    assert view.get(KEYS[0]) == b"in the log"
    assert view.get(KEYS[1]) is None
    view.close()


def test_it_keeps_its_moment_when_the_tables_it_reads_are_compacted_away(
    store: RocksStore,
) -> None:
    fill(store, b"then")
    store.maintain()
    store.write({KEYS[7]: b"last"})
    view = DirectoryView(store.path)
    seen_first = view.get(KEYS[0])
    tables = {each.name for each in (store.path / "rocksdb").glob("*.sst")}
    for _ in range(3):
        fill(store, b"since")
        store.maintain()
    store.write(dict.fromkeys(KEYS))
    store.compact(b"", None)
    left = {each.name for each in (store.path / "rocksdb").glob("*.sst")}

    assert tables
    assert not tables & left, "the tables of then are still there, so this shows nothing"
    assert [value for _, value in view.scan(b"", None)] == [
        b"last" if key == KEYS[7] else b"then" * 20 for key in KEYS
    ]
    assert seen_first == b"then" * 20
    view.close()


@pytest.mark.parametrize("is_open", [True, False])
def test_it_writes_nothing_and_takes_no_lock(tmp_path: Path, *, is_open: bool) -> None:
    path = tmp_path / "data"
    store = RocksStore(path, ballast_bytes=0)
    fill(store, b"x")
    if not is_open:
        store.close()
    before = look(path)
    path.chmod(0o500)
    (path / "rocksdb").chmod(0o500)
    view = DirectoryView(path)
    assert view.get(KEYS[3]) == b"x" * 20
    (path / "rocksdb").chmod(0o700)
    path.chmod(0o700)

    assert look(path) == before
    if is_open:
        store.close()
    # Nobody stands in the way of the next start, although the view is still open.
    RocksStore(path, ballast_bytes=0).close()
    assert view.get(KEYS[4]) == b"x" * 20
    view.close()


def test_a_directory_that_is_none_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "photo.jpg").touch()
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "holdfast.format").write_text("holdfast data directory, format 99\n")
    (tmp_path / "empty").mkdir()

    with pytest.raises(StoreFormatError, match="there is no data directory at"):
        DirectoryView(tmp_path / "missing")
    with pytest.raises(StoreFormatError, match="there is no data directory at"):
        DirectoryView(tmp_path / "empty")
    with pytest.raises(StoreFormatError, match=r"photo\.jpg"):
        DirectoryView(tmp_path / "strange")
    with pytest.raises(StoreFormatError, match="format 99"):
        DirectoryView(tmp_path / "newer")
    assert not (tmp_path / "missing").exists()
    assert not list((tmp_path / "empty").iterdir())


def test_less_than_was_acknowledged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data"
    store = RocksStore(path, ballast_bytes=0)
    fill(store, b"x")
    store.close()
    tide = TideMark(path / TIDE_FILE)
    tide.record(tide.sequence + 1)
    tide.close()

    with pytest.raises(StoreDamagedError, match="has lost acknowledged data"):
        DirectoryView(path)


def test_a_closed_view_says_so(store: RocksStore) -> None:
    view = DirectoryView(store.path)
    view.close()
    view.close()

    with pytest.raises(StoreFailedError, match="was closed"):
        view.get(b"k")
    with pytest.raises(StoreFailedError, match="was closed"):
        list(view.scan(b"", None))


class Raced(DirectoryView):
    """Whoever writes moves the log in the middle of the first ``races`` tries."""

    store: RocksStore
    races = 0
    tries = 0

    def _open_once(self) -> None:
        super()._open_once()
        Raced.tries += 1
        if Raced.races:
            Raced.races -= 1
            fill(Raced.store, b"%d left" % Raced.races)
            Raced.store.maintain()


def test_a_log_that_is_moved_meanwhile_makes_it_begin_again(store: RocksStore) -> None:
    fill(store, b"first")
    Raced.store, Raced.races, Raced.tries = store, 3, 0
    view = Raced(store.path)

    assert Raced.tries == 4
    assert list(view.scan(b"", None)) == list(store.scan(b"", None))
    view.close()


def test_a_writer_that_never_rests_is_named_and_nothing_is_left_behind(
    store: RocksStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(directory_view, "TRIES_MAX", 4)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    Raced.store, Raced.races, Raced.tries = store, 10_000, 0

    with pytest.raises(StoreFailedError, match="changes faster than it can be read"):
        Raced(store.path)
    assert Raced.tries == 4
    assert not list(tmp_path.glob("holdfast-view-*"))


def test_a_missing_table_is_an_error_and_no_view(tmp_path: Path) -> None:
    path = tmp_path / "data"
    store = RocksStore(path, ballast_bytes=0, log_bytes_max=1 << 10)
    fill(store, b"x")
    store.maintain()
    store.close()
    (table,) = (path / "rocksdb").glob("*.sst")
    table.unlink()

    with pytest.raises(StoreDamagedError, match="cannot be read") as refused:
        DirectoryView(path)
    assert str(table) in refused.value.message
    assert "holdfast-view" not in refused.value.message


MOVES = 20
"""In a row, for each line on its input: then a view has a moment's rest, as of any real writer."""

WRITE_WITHOUT_REST = f"""
import itertools, os, sys, threading
from holdfast.journal.rocks import RocksStore
store = RocksStore(sys.argv[1], ballast_bytes=0, log_bytes_max=1 << 16)
print("open", flush=True)
def maintain():
    for line in sys.stdin:
        for _ in range({MOVES}):
            store.maintain()
            store.compact(b"", None)
threading.Thread(target=maintain, daemon=True).start()
for number in itertools.count():
    # Each batch names the last 300; a view that lacks one of them, or has another, is none.
    value = b"%09d" % number + os.urandom(300)
    row, gone = b"row%03d" % (number % 300), b"gone%03d" % (number % 7)
    store.write({{b"head": value, row: value, gone: None}})
    if number % 20 == 0:
        store.sync()
"""


def test_beside_a_writer_that_moves_and_compacts_every_view_is_whole(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-c", WRITE_WITHOUT_REST, str(tmp_path / "data")]
    writer = subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert writer.stdin is not None
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"open\n"
        for _ in range(24):
            writer.stdin.write(b"move\n")
            writer.stdin.flush()
            view = DirectoryView(tmp_path / "data")
            check_whole(view)
            view.close()
    finally:
        writer.kill()
        writer.wait()
        for pipe in (writer.stdin, writer.stdout):
            if pipe is not None:
                pipe.close()


def check_whole(view: Any) -> None:
    head = view.get(b"head")
    if head is None:
        return
    last = int(head[:9])
    rows = {key: int(value[:9]) for key, value in view.scan(b"row", b"rox")}
    first = max(0, last - 299)
    expected = {b"row%03d" % (number % 300): number for number in range(first, last + 1)}
    assert rows == expected
    assert all(int(view.get(key)[:9]) == number for key, number in expected.items())


def test_it_needs_no_more_than_leave_to_read(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("to root everything may be read")
    path = tmp_path / "data"
    RocksStore(path, ballast_bytes=0).close()
    path.chmod(0)
    with pytest.raises(StoreFailedError, match="data"):
        DirectoryView(path)
    path.chmod(0o700)


def count_open_tables(path: Path) -> int:
    targets = [each.resolve() for each in Path("/proc/self/fd").iterdir()]
    return sum(path in target.parents and target.suffix == ".sst" for target in targets)


def test_only_where_somebody_writes_are_all_tables_open_at_once(store: RocksStore) -> None:
    """A directory of 64 GiB has a thousand tables, and a process may open as many files."""
    store._db.set_options({"disable_auto_compactions": "true"})  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    for key in KEYS[:100]:
        store.write({key: b"in a table of its own"})
        store._move_log()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    store.close()

    view = DirectoryView(store.path)
    assert count_open_tables(store.path) == 100
    view.close()
    view = DirectoryView(store.path, holds_still=True)
    assert count_open_tables(store.path) < 50
    assert len(list(view.scan(b"", None))) == 100
    view.close()


def test_a_table_that_is_gone_is_damage(store: RocksStore) -> None:
    fill(store, b"in a table")
    store.maintain()
    store.close()
    next((store.path / "rocksdb").glob("*.sst")).unlink()

    with pytest.raises(StoreDamagedError, match="No such file"):
        DirectoryView(store.path)
