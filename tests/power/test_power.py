"""A server whose disk loses power under load, again and again, keeps what it promised."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.journal.rocks import RocksStore
from tests.power.cutter import SHARES
from tests.power.disk import LoopDisk, find_obstacle
from tests.power.first_starts import cut_first_starts
from tests.power.rounds import Variant, run_cuts, run_fillings
from tests.processes import environment

SEED = os.environ.get("HOLDFAST_CRASH_SEED", "1")


async def test_forty_power_cuts_break_no_promise(tmp_path: Path) -> None:
    """The long form is ``python -m tests.proof --only power --long``."""
    if obstacle := find_obstacle():
        pytest.skip(obstacle)
    (report,) = [each async for each in run_cuts(tmp_path, SEED, 40)]
    violations = report.round.violations
    assert not violations, f"seed {SEED}:\n" + "\n".join(violations[:20])
    assert report.cuts.total() == 40
    assert set(report.cuts) == set(SHARES), "a kind of cut was never made"
    assert report.round.repeated_steps > 0, "no cut hit a running step, so nothing was tested"


async def test_a_server_that_does_not_sync_is_found_out(tmp_path: Path) -> None:
    """Kills cannot tell: what a killed process has written stays written."""
    if obstacle := find_obstacle():
        pytest.skip(obstacle)
    rounds = run_cuts(tmp_path, SEED, 4, Variant(durability="process", patience=1))
    (report,) = [each async for each in rounds]
    assert [each for each in report.round.violations if "was acknowledged and had no turn" in each]


async def test_full_and_read_only_disks_break_no_promise(tmp_path: Path) -> None:
    if obstacle := find_obstacle():
        pytest.skip(obstacle)
    report = await run_fillings(tmp_path, SEED, 6)
    violations = report.round.violations
    assert not violations, f"seed {SEED}:\n" + "\n".join(violations[:20])
    assert report.fillings == {"full": 2, "nearly full": 2, "read-only": 2}
    assert report.refusals > 0


def test_a_directory_whose_making_lost_power_is_made_whole_by_the_next_start(
    tmp_path: Path,
) -> None:
    if obstacle := find_obstacle():
        pytest.skip(obstacle)
    report = cut_first_starts(tmp_path, SEED, 12)
    assert not report.violations, f"seed {SEED}:\n" + "\n".join(report.violations)
    assert report.while_made > 0
    assert report.acknowledged > 0


def test_a_file_that_is_not_synced_when_made_is_found_out(tmp_path: Path) -> None:
    if obstacle := find_obstacle():
        pytest.skip(obstacle)
    assert cut_first_starts(tmp_path, SEED, 6, "tests.power.without_fsync").violations


ANSWER = """
import os, sys
from holdfast.journal.rocks import RocksStore
store = RocksStore(sys.argv[1], ballast_bytes=0, free_bytes_min=0)
store.write({b"answered": b"1"})
store.sync()
store.flush_tide_mark()
os._exit(0)
"""


def test_what_is_answered_from_a_fresh_copy_survives_a_power_cut(tmp_path: Path) -> None:
    if obstacle := find_obstacle():
        pytest.skip(obstacle)
    store = RocksStore(tmp_path / "backup", ballast_bytes=0)
    store.write({b"row %d" % number: os.urandom(500) for number in range(1_000)})
    store.close()
    RocksStore(tmp_path / "backup", ballast_bytes=0).close()

    with LoopDisk(tmp_path, 32) as disk:
        restored = disk.path / "data"
        subprocess.run(["cp", "-a", str(tmp_path / "backup"), str(restored)], check=True)
        command = [sys.executable, "-c", ANSWER, str(restored)]
        subprocess.run(command, env=environment(), check=True)
        disk.cut()
        disk.unmount()
        disk.mount()
        store = RocksStore(restored, ballast_bytes=0, free_bytes_min=0)
        assert sum(1 for _ in store.scan(b"", None)) == 1_001
        store.close()


FILL_THE_LOG = """
import os, sys
from holdfast.journal.rocks import RocksStore
store = RocksStore(sys.argv[1], free_bytes_min=1 << 20)
for number in range(240):
    store.write({b"row %d" % number: os.urandom(100_000)})
store.sync()
store.maintain()
assert store.statistics().log_moves == 0, "the log is longer than it may grow"
os._exit(0)
"""


def test_a_full_disk_has_room_for_a_start_however_long_the_log_is(tmp_path: Path) -> None:
    if obstacle := find_obstacle():
        pytest.skip(obstacle)
    with LoopDisk(tmp_path, 256) as disk:
        path = disk.path / "data"
        command = [sys.executable, "-c", FILL_THE_LOG, str(path)]
        subprocess.run(command, env=environment(), check=True)
        disk.fill()

        store = RocksStore(path, free_bytes_min=1 << 20)
        assert sum(1 for _ in store.scan(b"", None)) == 240
        store.close()
