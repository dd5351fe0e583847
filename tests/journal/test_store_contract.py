"""What every store must do. Both stores pass the same sentences."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.journal.memory import MemoryStore
from holdfast.journal.rocks import RocksStore
from holdfast.journal.store import Store
from holdfast.objects.errors import StoreFailedError


@pytest.fixture(params=["memory", "rocksdb", "rocksdb strict", "rocksdb process"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store: Store
    match request.param:
        case "memory":
            store = MemoryStore()
        case "rocksdb":
            store = RocksStore(tmp_path / "data", ballast_bytes=0)
        case "rocksdb strict":
            store = RocksStore(tmp_path / "data", ballast_bytes=0, tide_mark="strict")
        case _:
            store = RocksStore(tmp_path / "data", ballast_bytes=0, durability="process")
    yield store
    store.close()


def keys(rows: Iterator[tuple[bytes, bytes]]) -> list[bytes]:
    return [key for key, _ in rows]


def test_a_new_store_is_empty_and_of_the_first_epoch(store: Store) -> None:
    assert store.epoch == 1
    assert list(store.scan(b"", None)) == []
    assert store.get(b"a") is None


def test_a_batch_is_seen_by_every_later_read(store: Store) -> None:
    store.write({b"a": b"1", b"b": b""})

    assert store.get(b"a") == b"1"
    assert store.get(b"b") == b""
    assert list(store.scan(b"", None)) == [(b"a", b"1"), (b"b", b"")]


def test_none_deletes_and_deleting_what_is_not_there_is_nothing(store: Store) -> None:
    store.write({b"a": b"1", b"b": b"2"})
    store.write({b"a": None, b"never": None})

    assert store.get(b"a") is None
    assert keys(store.scan(b"", None)) == [b"b"]


def test_positions_count_batches_from_one_and_an_empty_batch_is_none(store: Store) -> None:
    assert store.write({}) == 0
    assert store.write({b"a": b"1"}) == 1
    assert store.write({b"a": b"2", b"b": b"2"}) == 2
    assert store.write({}) == 2


def test_a_scan_gives_start_and_leaves_out_end(store: Store) -> None:
    store.write(dict.fromkeys((b"a", b"a\0", b"ab", b"b", b"b\0"), b""))

    assert keys(store.scan(b"a", b"b")) == [b"a", b"a\0", b"ab"]
    assert keys(store.scan(b"a\0", b"b\0")) == [b"a\0", b"ab", b"b"]
    assert keys(store.scan(b"b", None)) == [b"b", b"b\0"]
    assert keys(store.scan(b"b", b"b")) == []
    assert keys(store.scan(b"b", b"a")) == []
    assert keys(store.scan(b"a", b"")) == []


def test_a_reverse_scan_gives_the_same_rows_last_first(store: Store) -> None:
    store.write(dict.fromkeys((b"a", b"a\0", b"ab", b"b", b"b\0"), b""))

    assert keys(store.scan(b"a\0", b"b", reverse=True)) == [b"ab", b"a\0"]
    assert keys(store.scan(b"ab", None, reverse=True)) == [b"b\0", b"b", b"ab"]
    assert keys(store.scan(b"c", None, reverse=True)) == []
    assert keys(store.scan(b"b", b"a", reverse=True)) == []


def test_keys_are_ordered_as_bytes_not_as_anything_else(store: Store) -> None:
    unordered = [b"\xff", b"\x00", b"a", b"A", b"\x7f", b"\x80", b"", b"aa", b"\xff\x00"]
    store.write(dict.fromkeys(unordered, b"v"))

    assert keys(store.scan(b"", None)) == sorted(unordered)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_long_scan_gives_every_row_once_and_in_order(store: Store, *, reverse: bool) -> None:
    rows = [(b"%06d" % number, b"%d" % number) for number in range(5_000)]
    store.write(dict(rows))

    assert list(store.scan(b"", None, reverse=reverse)) == (rows[::-1] if reverse else rows)


def test_a_scan_of_large_values_gives_every_row(store: Store) -> None:
    rows = [(b"%d" % number, bytes([number]) * 700_000) for number in range(8)]
    store.write(dict(rows))

    assert list(store.scan(b"", None)) == rows


def test_a_sync_makes_durable_what_was_written_before_it(store: Store) -> None:
    assert store.sync() == 0
    store.write({b"a": b"1"})
    position = store.write({b"b": b"2"})

    assert store.sync() == position


def test_a_sync_with_nothing_new_costs_nothing(store: Store) -> None:
    store.write({b"a": b"1"})
    store.sync()
    syncs = store.statistics().syncs
    store.sync()

    assert store.statistics().syncs == syncs


def test_a_sync_may_run_in_another_thread_while_the_store_is_written(store: Store) -> None:
    synced: list[int] = []
    is_done = threading.Event()

    def sync_on_and_on() -> None:
        while not is_done.is_set():
            synced.append(store.sync())

    thread = threading.Thread(target=sync_on_and_on)
    thread.start()
    for number in range(2_000):
        store.write({b"%d" % number: b"v"})
    is_done.set()
    thread.join()

    assert synced == sorted(synced)
    assert store.sync() == 2_000


def test_statistics_count_what_was_asked_for(store: Store) -> None:
    store.write({b"key": b"value", b"gone": None})
    store.write({b"k": b"v"})

    statistics = store.statistics()

    assert statistics.batches_written == 2
    assert statistics.rows_written == 3
    assert statistics.bytes_written == 8 + 4 + 2


def test_maintenance_and_compaction_change_no_row(store: Store) -> None:
    store.write({b"%04d" % number: b"v" for number in range(1_000)})
    store.write({b"%04d" % number: None for number in range(500)})
    store.maintain()
    store.compact(b"0000", b"0500")
    store.compact(b"0600", None)

    assert keys(store.scan(b"", None)) == [b"%04d" % number for number in range(500, 1_000)]


def test_a_store_with_rows_takes_space(store: Store) -> None:
    before = store.approximate_bytes()
    store.write({b"%d" % number: bytes(1_000) for number in range(100)})

    assert store.approximate_bytes() > before
    assert not store.is_nearly_full


def test_a_closed_store_refuses_everything_and_may_be_closed_again(store: Store) -> None:
    store.write({b"a": b"1"})
    store.close()
    store.close()

    refused = "the store is closed"
    with pytest.raises(StoreFailedError, match=refused):
        store.get(b"a")
    with pytest.raises(StoreFailedError, match=refused):
        list(store.scan(b"", None))
    with pytest.raises(StoreFailedError, match=refused):
        store.write({b"a": b"2"})
    with pytest.raises(StoreFailedError, match=refused):
        store.sync()
    with pytest.raises(StoreFailedError, match=refused):
        store.maintain()
    with pytest.raises(StoreFailedError, match=refused):
        store.compact(b"", None)
    with pytest.raises(StoreFailedError, match=refused):
        store.approximate_bytes()


def test_closing_ends_a_scan_under_way(store: Store) -> None:
    store.write({b"%04d" % number: b"v" for number in range(1_000)})
    rows = store.scan(b"", None)
    next(rows)
    store.close()

    with pytest.raises(StoreFailedError, match="the store is closed"):
        list(rows)


def test_a_view_shows_one_moment_whatever_is_written_after(store: Store) -> None:
    store.write({b"a": b"1", b"b": b"2", b"c": b"3"})
    view = store.view()
    store.write({b"a": b"9", b"b": None, b"d": b"4"})

    assert list(view.scan(b"", None)) == [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]
    assert [key for key, _ in view.scan(b"a", b"c", reverse=True)] == [b"b", b"a"]
    assert view.get(b"a") == b"1"
    assert view.get(b"d") is None
    assert store.get(b"a") == b"9"
    view.close()


def test_a_view_can_be_read_in_another_thread_while_the_store_is_written(store: Store) -> None:
    rows = {number.to_bytes(2, "big"): b"x" * 100 for number in range(5_000)}
    store.write(rows)
    view = store.view()
    found: list[dict[bytes, bytes]] = []
    reader = threading.Thread(target=lambda: found.append(dict(view.scan(b"", None))))
    reader.start()
    for key in list(rows)[::7]:
        store.write({key: None})
        store.sync()
        if not reader.is_alive():
            break
    reader.join()

    assert found == [rows]
    view.close()


def test_a_closed_view_reads_nothing_and_closing_twice_is_nothing(store: Store) -> None:
    store.write({b"a": b"1"})
    view = store.view()
    rows = view.scan(b"", None)
    view.close()
    view.close()

    with pytest.raises(StoreFailedError):
        view.get(b"a")
    with pytest.raises(StoreFailedError):
        next(rows)


def test_a_store_that_is_closed_has_let_go_of_its_views(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "data", ballast_bytes=0)
    store.write({b"a": b"1"})
    view = store.view()
    store.close()

    with pytest.raises(StoreFailedError, match="view of it was closed"):
        view.get(b"a")
    # Had the view kept RocksDB open, this would fail.
    RocksStore(tmp_path / "data", ballast_bytes=0).close()
    with pytest.raises(StoreFailedError):
        store.view()
