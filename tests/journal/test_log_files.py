"""The log seen from outside: what follows on, what has a hole, and what may be cut.

The logs here are written by hand, in RocksDB's format, behind those of a real database.
"""

import struct
from pathlib import Path

import pytest

from holdfast.journal.log_files import cut_at_hole, inspect_logs
from holdfast.journal.rocks import RocksStore
from holdfast.journal.tide_mark import TideMark
from holdfast.objects.errors import StoreDamagedError

BLOCK = 32_768
ROWS = 4
"""The rows of the database before the logs of a test follow, and so its last sequence number."""


def crc32c_table() -> list[int]:
    table: list[int] = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


CRC32C = crc32c_table()


def masked_crc(content: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in content:
        crc = CRC32C[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def batch(sequence: int, key: bytes, value: bytes = b"v") -> bytes:
    """A write batch of one put; the value is shorter than 128 bytes or a multiple of 128."""
    size = bytes([len(value)]) if len(value) < 128 else bytes([0x80, len(value) // 128])
    return struct.pack("<QIBB", sequence, 1, 1, len(key)) + key + size + value


def log(*batches: bytes) -> bytes:
    """The batches as a log file."""
    content = bytearray()
    for whole in batches:
        position = 0
        while True:
            room = BLOCK - len(content) % BLOCK
            if room < 7:
                content += bytes(room)
                continue
            part = whole[position : position + room - 7]
            is_last = position + len(part) == len(whole)
            kind = (1 if is_last else 2) if position == 0 else (4 if is_last else 3)
            checksum = masked_crc(bytes([kind]) + part)
            content += struct.pack("<IHB", checksum, len(part), kind) + part
            position += len(part)
            if is_last:
                break
    return bytes(content)


def numbered(first: int, last: int, value: bytes = b"v") -> list[bytes]:
    return [batch(number, b"row%03d" % number, value) for number in range(first, last + 1)]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A database that was closed well, with rows 1 to 4 in its tables."""
    store = RocksStore(tmp_path / "data", ballast_bytes=0)
    for number in range(1, ROWS + 1):
        store.write({b"row%03d" % number: b"v"})
    store.close()
    return tmp_path / "data"


def set_tide(data_dir: Path, sequence: int) -> None:
    mark = TideMark(data_dir / "holdfast.tide")
    mark.record(sequence)
    mark.close()


def rows_of(data_dir: Path) -> list[int]:
    store = RocksStore(data_dir, ballast_bytes=0)
    try:
        return [int(key[3:]) for key, _ in store.scan(b"row", b"s")]
    finally:
        store.close()


def contents(data_dir: Path) -> dict[str, bytes]:
    """The bytes that hold rows; RocksDB's own diary and locks are not among them."""
    return {
        str(path.relative_to(data_dir)): path.read_bytes()
        for path in data_dir.rglob("*")
        if path.is_file() and path.name not in {"LOG", "LOCK", "holdfast.lock"}
    }


def test_a_log_that_follows_on_has_no_hole(data_dir: Path) -> None:
    (data_dir / "rocksdb/000100.log").write_bytes(log(*numbered(5, 9)))

    report = inspect_logs(data_dir / "rocksdb")

    assert (report.last_sequence, report.hole) == (9, None)
    assert report.ends_in.name == "000100.log"
    assert rows_of(data_dir) == list(range(1, 10))


def test_several_logs_that_follow_on_have_no_hole(data_dir: Path) -> None:
    (data_dir / "rocksdb/000100.log").write_bytes(log(*numbered(5, 9)))
    (data_dir / "rocksdb/000101.log").write_bytes(log())
    (data_dir / "rocksdb/000102.log").write_bytes(log(*numbered(10, 12)))

    assert inspect_logs(data_dir / "rocksdb").hole is None
    assert rows_of(data_dir) == list(range(1, 13))


@pytest.mark.parametrize("value_bytes", [11_000, 32_741, 32_742, 32_748, 70_000])
def test_batches_that_span_blocks_are_followed(data_dir: Path, value_bytes: int) -> None:
    """Some of these sizes leave just enough of a block for an empty first part, or none."""
    value = bytes(value_bytes // 128 * 128 if value_bytes < 16_384 else 16_256)
    whole = log(*numbered(5, 30, value))
    (data_dir / "rocksdb/000100.log").write_bytes(whole)

    assert inspect_logs(data_dir / "rocksdb").last_sequence == 30


@pytest.mark.parametrize("room", range(20))
def test_a_batch_that_begins_at_the_very_end_of_a_block_is_followed(
    data_dir: Path, room: int
) -> None:
    """Its first twelve bytes, which say what it is, may stand in two blocks."""
    first = numbered(5, 5)[0]
    filler = batch(6, b"row006").ljust(BLOCK - 7 - len(log(first)) - room, b"\0")
    whole = log(first, filler, *numbered(7, 8))
    (data_dir / "rocksdb/000100.log").write_bytes(whole)

    assert inspect_logs(data_dir / "rocksdb").last_sequence == 8


def test_a_torn_tail_is_no_hole(data_dir: Path) -> None:
    whole = log(*numbered(5, 9))
    for torn in (whole[:-1], whole[:-20] + bytes(20), whole + bytes(5_000), whole + b"\xff" * 99):
        (data_dir / "rocksdb/000100.log").write_bytes(torn)
        assert inspect_logs(data_dir / "rocksdb").hole is None


def test_a_hole_between_two_logs_is_cut_when_nothing_behind_it_was_acknowledged(
    data_dir: Path,
) -> None:
    """RocksDB would open this with rows 5, 6, 10 and 11, and say nothing."""
    (data_dir / "rocksdb/000100.log").write_bytes(log(*numbered(5, 6)))
    (data_dir / "rocksdb/000101.log").write_bytes(log(*numbered(10, 11)))
    (data_dir / "rocksdb/000102.log").write_bytes(log(*numbered(12, 13)))
    set_tide(data_dir, 6)

    assert rows_of(data_dir) == [1, 2, 3, 4, 5, 6]


def test_a_hole_between_the_tables_and_the_log_is_cut_as_well(data_dir: Path) -> None:
    (data_dir / "rocksdb/000100.log").write_bytes(log(*numbered(7, 8)))

    assert rows_of(data_dir) == [1, 2, 3, 4]


def test_a_hole_within_a_log_is_cut_where_it_begins(data_dir: Path) -> None:
    before = log(*numbered(5, 6))
    (data_dir / "rocksdb/000100.log").write_bytes(before + log(*numbered(10, 11)))

    report = inspect_logs(data_dir / "rocksdb")
    cut_at_hole(report)

    assert (data_dir / "rocksdb/000100.log").read_bytes() == before
    assert inspect_logs(data_dir / "rocksdb").hole is None


def test_a_zeroed_block_with_more_behind_it_is_a_hole(data_dir: Path) -> None:
    filler = batch(6, b"row006").ljust(BLOCK - 7 - len(log(*numbered(5, 5))), b"\0")
    whole = log(*numbered(5, 5), filler) + bytes(BLOCK) + log(*numbered(9, 9))
    (data_dir / "rocksdb/000100.log").write_bytes(whole)

    hole = inspect_logs(data_dir / "rocksdb").hole

    assert hole is not None
    assert (hole.offset, hole.expected, hole.found) == (BLOCK, 7, 9)


def test_a_cut_that_was_interrupted_is_finished_by_the_next(data_dir: Path) -> None:
    (data_dir / "rocksdb/000100.log").write_bytes(log(*numbered(5, 6)))
    (data_dir / "rocksdb/000101.log").write_bytes(log(*numbered(10, 11)))
    (data_dir / "rocksdb/000102.log").write_bytes(log(*numbered(12, 13)))
    (data_dir / "rocksdb/000102.log").unlink()  # as far as the first cut came

    assert rows_of(data_dir) == [1, 2, 3, 4, 5, 6]


def test_a_hole_below_the_tide_mark_is_refused_and_nothing_is_cut(data_dir: Path) -> None:
    (data_dir / "rocksdb/000100.log").write_bytes(log(*numbered(5, 6)))
    (data_dir / "rocksdb/000101.log").write_bytes(log(*numbered(10, 11)))
    set_tide(data_dir, 7)
    before = contents(data_dir)

    with pytest.raises(StoreDamagedError, match=r"sequence number 6.*up to 7.*000100\.log"):
        RocksStore(data_dir, ballast_bytes=0)

    assert contents(data_dir) == before


def test_a_log_the_manifest_no_longer_needs_is_not_judged(data_dir: Path) -> None:
    """Such a log may be half deleted or from before a recovery; cutting there destroys data."""
    (data_dir / "rocksdb/000001.log").write_bytes(log(*numbered(90, 95)))
    (data_dir / "rocksdb/000100.log").write_bytes(log(*numbered(5, 6)))
    set_tide(data_dir, 6)

    report = inspect_logs(data_dir / "rocksdb")

    assert (report.last_sequence, report.hole) == (6, None)
    assert rows_of(data_dir) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("content", [b"", b"MANIFEST-\n", b"../MANIFEST-000001\n", b"\xff\xfe"])
def test_a_current_file_that_names_no_manifest_is_refused(data_dir: Path, content: bytes) -> None:
    (data_dir / "rocksdb/CURRENT").write_bytes(content)

    with pytest.raises(StoreDamagedError, match="CURRENT should name a manifest"):
        RocksStore(data_dir, ballast_bytes=0)


def test_a_missing_manifest_is_refused_by_name(data_dir: Path) -> None:
    for manifest in (data_dir / "rocksdb").glob("MANIFEST-*"):
        manifest.unlink()

    with pytest.raises(StoreDamagedError, match=r"MANIFEST-.* is missing"):
        RocksStore(data_dir, ballast_bytes=0)
