"""The tide mark: what it keeps, what it survives, and what it refuses."""

import os
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.journal.tide_mark import TideFollower, TideMark, create_tide_mark
from holdfast.objects.errors import StoreDamagedError, StoreFailedError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    create_tide_mark(tmp_path / "holdfast.tide")
    return tmp_path / "holdfast.tide"


def reread(path: Path) -> tuple[int, int]:
    mark = TideMark(path)
    mark.close()
    return mark.sequence, mark.epoch


def overwrite(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def record(path: Path, *sequences: int) -> None:
    mark = TideMark(path)
    for sequence in sequences:
        mark.record(sequence)
    mark.close()


def test_bytes_on_disk_do_not_change(path: Path) -> None:
    """Pinned: a mark written by any release must be read by this one."""
    mark = TideMark(path)
    mark.record(0x0102, epoch=3)
    mark.close()

    content = path.read_bytes()
    body = bytes.fromhex("4846544944453031 0200000000000000 0201000000000000 0300000000000000")
    assert len(content) == 8192
    assert content[4096 : 4096 + 32] == body
    assert content[4096 + 32 : 4096 + 36] == zlib.crc32(body).to_bytes(4, "little")


def test_a_mark_is_read_back(path: Path) -> None:
    assert reread(path) == (0, 0)
    mark = TideMark(path)
    mark.record(7, epoch=1)
    mark.record(9)
    mark.close()

    assert reread(path) == (9, 1)


def test_a_mark_never_goes_back(path: Path) -> None:
    record(path, 9, 4)

    assert reread(path) == (9, 0)


@pytest.mark.parametrize("torn", [b"", b"HFTIDE01", bytes(36), b"\xff" * 36])
def test_a_torn_slot_leaves_the_mark_before_it(path: Path, torn: bytes) -> None:
    """Two marks stand in the file; a power cut in the next write can only hurt the older one."""
    record(path, 5, 6)  # 5 goes to the second slot, 6 to the first
    overwrite(path, 4096, torn + bytes(10))

    assert reread(path) == (6, 1), "the torn one may have counted an epoch"


def test_every_flipped_bit_of_the_newest_slot_is_noticed(path: Path) -> None:
    record(path, 5, 6)
    whole = path.read_bytes()
    for bit in range(36 * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        assert reread(path) == (5, 1)


@pytest.mark.parametrize("damage", [bytes(36), b"\xff" * 36])
def test_an_epoch_that_a_damaged_slot_has_counted_is_not_counted_again(
    path: Path, damage: bytes
) -> None:
    """Its numbers are in rows, and a start that counted it again would give them out again."""
    mark = TideMark(path)
    mark.record(0, epoch=1)  # to the second slot
    mark.record(3)
    mark.record(3, epoch=2)
    mark.close()
    overwrite(path, 4096, damage)

    assert reread(path) == (3, 2)


def test_a_mark_without_a_whole_slot_is_refused_by_name(path: Path) -> None:
    path.write_bytes(bytes(8192))

    with pytest.raises(StoreDamagedError, match=r"holdfast\.tide is damaged"):
        TideMark(path)


def test_a_missing_mark_is_refused_by_name(path: Path) -> None:
    path.unlink()

    with pytest.raises(StoreDamagedError, match=r"holdfast\.tide is missing"):
        TideMark(path)


def never_start(run: Callable[[], None]) -> None:
    """A thread that the scheduler never lets run."""


def end(follower: TideFollower) -> None:
    """Have its thread end when it has done what it was told before."""
    follower._wake_ups.put(None)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


def is_of(descriptor: Path, path: Path) -> bool:
    try:
        return descriptor.readlink() == path
    except FileNotFoundError:  # It was the one that lists them.
        return False


def flags_of(descriptor: Path) -> list[str]:
    said = Path(f"/proc/self/fdinfo/{descriptor.name}").read_text(encoding="utf-8")
    return [line for line in said.splitlines() if line.startswith("flags:")]


@pytest.mark.parametrize("is_settled", [True, False])
def test_a_follower_that_does_not_run_leaves_the_mark_one_sync_behind(
    path: Path, *, is_settled: bool
) -> None:
    mark = TideMark(path)
    follower = TideFollower(mark, never_start)
    follower.follow(5)
    assert mark.sequence == 0
    if is_settled:
        follower.settle(aside=True)

    follower.follow(8)

    assert reread(path)[0] == mark.sequence == 5
    follower.flush()
    assert mark.sequence == 8
    follower.stop()
    mark.close()


def test_a_follower_records_by_itself(path: Path) -> None:
    threads: list[Callable[[], None]] = []
    mark = TideMark(path)
    follower = TideFollower(mark, threads.append)
    follower.follow(5)
    follower.follow(8)
    follower.settle(aside=True)
    end(follower)

    threads[0]()

    assert mark.sequence == 8
    mark.close()


def test_what_is_settled_is_recorded_by_whoever_settles_it(path: Path) -> None:
    mark = TideMark(path)
    follower = TideFollower(mark, never_start)
    follower.follow(5)
    follower.settle(aside=False)

    assert mark.sequence == 5
    follower.stop()
    mark.close()


def test_what_is_settled_aside_is_recorded_by_the_follower(path: Path) -> None:
    threads: list[Callable[[], None]] = []
    mark = TideMark(path)
    follower = TideFollower(mark, threads.append)
    follower.follow(5)
    follower.settle(aside=True)
    end(follower)

    assert mark.sequence == 0
    threads[0]()
    assert mark.sequence == 5
    mark.close()


def test_a_mark_is_durable_when_it_is_recorded(path: Path) -> None:
    """By the flag of its file, as no other call follows the write."""
    mark = TideMark(path)

    opened = [number for number in Path("/proc/self/fd").iterdir() if is_of(number, path)]
    [flags] = [int(line.split()[1], 8) for number in opened for line in flags_of(number)]
    assert flags & os.O_DSYNC
    mark.close()


def test_a_stopped_follower_records_no_more(path: Path) -> None:
    threads: list[Callable[[], None]] = []
    mark = TideMark(path)
    follower = TideFollower(mark, threads.append)
    follower.follow(5)
    follower.stop()

    threads[0]()

    assert mark.sequence == 0
    mark.close()


def test_a_mark_that_cannot_be_written_is_not_forgotten(path: Path) -> None:
    mark = TideMark(path)
    follower = TideFollower(mark, never_start)
    mark.close()  # every write to the closed file fails from here on
    follower.follow(5)

    with pytest.raises(StoreFailedError, match="tide mark could not be written"):
        follower.flush()
    with pytest.raises(OSError, match="Bad file descriptor"):
        follower.follow(6)


def test_a_mark_that_fails_in_an_odd_way_is_not_forgotten_either(path: Path) -> None:
    class OddMark(TideMark):
        def record(self, sequence: int, *, epoch: int | None = None) -> None:
            message = f"no memory for {sequence}"
            raise MemoryError(message)

    mark = OddMark(path)
    follower = TideFollower(mark, never_start)
    follower.follow(5)

    with pytest.raises(StoreFailedError, match="no memory for 5"):
        follower.flush()
    mark.close()
