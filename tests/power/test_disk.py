"""The disk that can lose its power does what a real one does, and leaves nothing mounted."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.power.disk import MIB, LoopDisk, find_obstacle
from tests.processes import environment


@pytest.fixture(autouse=True)
def _needs_disks() -> None:
    if obstacle := find_obstacle():
        pytest.skip(obstacle)


ABANDON = """
import os, sys
from pathlib import Path
from tests.power.disk import LoopDisk
LoopDisk(Path(sys.argv[1]), 8).__enter__()
os._exit(0)
"""


def test_a_cut_loses_what_was_not_synced_and_keeps_the_rest(tmp_path: Path) -> None:
    with LoopDisk(tmp_path, 16) as disk:
        with (disk.path / "file").open("wb", buffering=0) as file:
            file.write(b"synced")
            os.fsync(file.fileno())
            file.write(b", not synced")
            disk.cut()
            with pytest.raises(OSError, match="Input/output error"):
                file.write(b".")
        disk.unmount()
        disk.mount()
        assert (disk.path / "file").read_bytes() == b"synced"


def test_a_full_disk_takes_nothing_until_it_is_freed(tmp_path: Path) -> None:
    with LoopDisk(tmp_path, 16) as disk:
        disk.fill()
        with pytest.raises(OSError, match="No space left") as caught:
            (disk.path / "file").write_bytes(bytes(MIB))
        assert caught.value.errno == errno.ENOSPC
        disk.free()
        (disk.path / "file").write_bytes(bytes(MIB))


def test_a_disk_that_was_abandoned_is_unmounted_by_the_next(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    command = [sys.executable, "-c", ABANDON, str(tmp_path / "one")]
    subprocess.run(command, env=environment(), check=True)
    (mounted,) = (tmp_path / "one").glob("holdfast-disk-*")
    assert mounted.is_mount()
    with LoopDisk(tmp_path / "two", 8):
        assert not mounted.is_mount()
