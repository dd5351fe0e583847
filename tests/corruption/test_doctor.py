"""``holdfast doctor``: what it says of a refused directory, and what it may repair."""

import shutil
from pathlib import Path

import pytest
from click import ClickException
from click.testing import CliRunner, Result

from holdfast.cli import commands
from holdfast.journal.data_directory import DataDirectory
from holdfast.journal.diagnosis import Repair, Verdict, examine
from holdfast.journal.rocks import RocksStore
from holdfast.journal.tide_mark import TIDE_FILE, TideMark
from holdfast.objects.errors import StoreDamagedError, StoreFormatError, StoreLockedError
from tests.corruption.images import Image
from tests.corruption.repairs import (
    break_all,
    find_file,
    make_hole,
    read_rows,
    tear_manifest,
)
from tests.power.disk import LoopDisk, find_obstacle

WITHOUT_BREAK = b"what it holds, without the line break"


@pytest.fixture
def directory(image: Image, scratch: Path) -> Path:
    """A copy of the image."""
    return shutil.copytree(image.path, scratch / "data").resolve()


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(
        commands, ["doctor", *map(str, arguments)], standalone_mode=False, catch_exceptions=False
    )


def contents(directory: Path) -> dict[str, bytes]:
    """Every file; the lock names the process that had it last."""
    return {
        str(each.relative_to(directory)): each.read_bytes()
        for each in directory.rglob("*")
        if each.is_file() and each.name != "holdfast.lock"
    }


def test_a_directory_that_is_well_is_read_whole(directory: Path, image: Image) -> None:
    before = contents(directory)

    said = run(directory)

    assert said.return_value == 0
    assert said.output == (
        f"{directory} is well: a start goes through, and all {len(image.states[-1])} rows are "
        "whole.\n"
    )
    assert contents(directory) == before


def test_a_torn_end_of_the_manifest_is_explained_and_nothing_is_changed(directory: Path) -> None:
    manifest = find_file(directory, "MANIFEST-*")
    size = manifest.stat().st_size
    tear_manifest(directory)
    before = contents(directory)
    with pytest.raises(StoreDamagedError):
        RocksStore(directory, ballast_bytes=0)

    said = run(directory)

    assert said.return_value == 1
    assert f"{manifest} is whole up to byte {size}" in said.output
    assert "the 67 bytes after that are torn, and no whole record is in them" in said.output
    assert f"- cut {manifest.name} to {size} bytes" in said.output
    before.pop("rocksdb/rocksdict-config.json")
    after = contents(directory)
    after.pop("rocksdb/rocksdict-config.json")
    assert after == before


def test_a_torn_end_of_the_manifest_is_cut_and_kept(directory: Path, image: Image) -> None:
    manifest = find_file(directory, "MANIFEST-*")
    whole = manifest.read_bytes()
    tear_manifest(directory)
    torn = manifest.read_bytes()

    said = run("--fix", directory)

    assert said.return_value == 0, said.output
    assert "Done, and everything that was acknowledged is there:" in said.output
    assert manifest.read_bytes() == whole
    assert (directory / "holdfast.before-fix-1" / manifest.name).read_bytes() == torn
    assert read_rows(directory) == image.states[-1]


def test_a_manifest_that_is_damaged_in_the_middle_is_not_repaired(directory: Path) -> None:
    manifest = find_file(directory, "MANIFEST-*")
    damaged = bytearray(manifest.read_bytes())
    damaged[9] ^= 1
    manifest.write_bytes(damaged)
    before = contents(directory)

    said = run("--fix", directory)

    assert said.return_value == 78
    assert "whole records come after: this is no end that a power cut has torn" in said.output
    assert "restore a backup" in said.output
    assert contents(directory) == before


def test_a_manifest_whose_last_change_counts_is_not_cut_before_it(directory: Path) -> None:
    """Torn is what it looks like; but the table it named last holds what was acknowledged."""
    store = RocksStore(directory, tide_mark="strict", ballast_bytes=0, log_bytes_max=1)
    for number in range(8):
        store.write({b"zz%d" % number: b"v" * 100})
        store.sync()
    store.maintain()
    store.close()
    manifest = directory / "rocksdb" / (directory / "rocksdb" / "CURRENT").read_text().strip()
    # Its last record only repeats which logs are not needed. The one before names the table.
    damaged = bytearray(manifest.read_bytes()[:-16])
    damaged[-1] ^= 1
    manifest.write_bytes(damaged)

    said = run("--fix", directory)

    assert said.return_value == 78
    assert "with that repaired it would still be refused" in said.output
    assert manifest.read_bytes() == damaged


def test_a_hole_behind_what_was_acknowledged_is_cut_and_kept(directory: Path, image: Image) -> None:
    make_hole(directory)
    last = directory / "rocksdb" / "000098.log"
    lost = last.read_bytes()

    said = run(directory)
    assert said.return_value == 1
    assert f"{last} goes on at offset 0 with sequence number 9,098 where" in said.output

    said = run("--fix", directory)
    assert said.return_value == 0, said.output
    assert (directory / "holdfast.before-fix-1" / last.name).read_bytes() == lost
    assert read_rows(directory) == image.states[-2]


def test_a_hole_below_the_tide_mark_is_a_loss(directory: Path) -> None:
    make_hole(directory)
    mark = TideMark(directory / TIDE_FILE)
    mark.record(9_100)
    mark.close()
    before = contents(directory)

    said = run("--fix", directory)

    assert said.return_value == 78
    assert "rows that were durable come after it" in said.output
    assert contents(directory) == before


@pytest.mark.parametrize(
    "content",
    [None, b"", b"MANIFEST-\n", b"MANIFEST-999999\n", WITHOUT_BREAK, WITHOUT_BREAK + b"\r\n"],
)
def test_a_lost_current_is_written_again(
    directory: Path, image: Image, content: bytes | None
) -> None:
    current = directory / "rocksdb" / "CURRENT"
    whole = current.read_bytes()
    if content is None:
        current.unlink()
    else:
        current.write_bytes(content.replace(WITHOUT_BREAK, whole.strip()))

    said = run("--fix", directory)

    assert said.return_value == 0, said.output
    assert current.read_bytes() == whole
    assert read_rows(directory) == image.states[-1]


def test_several_damages_are_repaired_together(directory: Path, image: Image) -> None:
    break_all(directory)

    said = run("--fix", directory)

    assert said.return_value == 0, said.output
    assert read_rows(directory) == image.states[-2]


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("*.sst", "{}: No such file or directory"),
        ("*.log", "so a *.log is missing"),
        ("MANIFEST-*", "no manifest is left"),
    ],
)
def test_a_lost_file_is_a_loss(directory: Path, pattern: str, sentence: str) -> None:
    lost = find_file(directory, pattern)
    lost.unlink()

    said = run("--fix", directory)

    assert said.return_value == 78
    assert sentence.format(lost) in said.output


def test_a_lost_tide_mark_is_a_loss_for_nobody_can_tell(directory: Path) -> None:
    (directory / TIDE_FILE).unlink()

    said = run("--fix", directory)

    assert said.return_value == 78
    assert "nobody can tell" in said.output
    assert not (directory / TIDE_FILE).exists()


def test_a_flipped_bit_in_the_log_is_shown_where_it_is(directory: Path) -> None:
    log = find_file(directory, "*.log")
    damaged = bytearray(log.read_bytes())
    damaged[5_000] ^= 1
    log.write_bytes(damaged)

    said = run("--fix", directory)

    assert said.return_value == 78
    assert f"{log} is whole up to byte" in said.output
    assert "whole records come after: this is no end that a power cut has torn" in said.output


def test_a_table_that_a_start_would_not_read_is_read(directory: Path) -> None:
    table = find_file(directory, "*.sst")
    damaged = bytearray(table.read_bytes())
    damaged[100] ^= 1
    table.write_bytes(damaged)

    said = run(directory)

    assert said.return_value == 78
    assert "a start goes through, but" in said.output
    assert table.name in said.output


def test_what_is_open_is_not_touched(directory: Path) -> None:
    store = RocksStore(directory, ballast_bytes=0)
    try:
        with pytest.raises(StoreLockedError, match=r"which could open it.*`holdfast verify /"):
            run("--fix", directory)
    finally:
        store.close()


def test_what_is_no_data_directory_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreFormatError, match="there is no data directory at"):
        run(tmp_path / "nowhere")
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(StoreFormatError, match=r"holds 'mine\.txt'"):
        run(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["mine.txt"]


def test_a_disk_that_can_only_be_read_is_looked_at_and_not_repaired(
    image: Image, tmp_path: Path
) -> None:
    if obstacle := find_obstacle():
        pytest.skip(obstacle)
    with LoopDisk(tmp_path, 64) as disk:
        directory = shutil.copytree(image.path, disk.path / "data")
        tear_manifest(directory)
        disk.unmount()
        disk.mount("ro")

        said = run(directory)
        assert said.return_value == 1
        assert "A repair loses nothing; it was tried on a copy" in said.output
        with pytest.raises(ClickException, match="Read-only file system"):
            run("--fix", directory)


@pytest.mark.parametrize("command", ["doctor", "verify", "backup"])
def test_where_the_first_start_died_early_nothing_is_lost(command: str, tmp_path: Path) -> None:
    path = tmp_path / "data"
    DataDirectory(path, ballast_bytes=0, free_bytes_min=0, on_fork=lambda: None).close()
    target = [str(tmp_path / "copy")] if command == "backup" else []

    with pytest.raises(StoreFormatError, match=r"data holds nothing yet: .*; start again"):
        commands.main([command, str(path), *target], standalone_mode=False)

    assert sorted(each.name for each in tmp_path.iterdir()) == ["data"]
    store = RocksStore(path, ballast_bytes=0)
    assert store.epoch == 1
    store.close()


def test_what_is_well_needs_no_repair(directory: Path) -> None:
    diagnosis = examine(directory)

    assert (diagnosis.verdict, diagnosis.findings) == (Verdict.SOUND, ())
    assert diagnosis.repair is None
    assert Repair().changed == ()
