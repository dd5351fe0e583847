"""What only the store without a disk can do: crash and fail on demand."""

import pytest

from holdfast.journal.memory import MemoryStore
from holdfast.objects.errors import StoreFailedError


def test_a_killed_process_loses_nothing_that_was_written() -> None:
    store = MemoryStore()
    store.write({b"synced": b"1"})
    store.sync()
    store.write({b"written": b"1"})

    found = store.crash(keep_written=True)

    assert [key for key, _ in found.scan(b"", None)] == [b"synced", b"written"]


def test_a_power_cut_takes_back_all_that_was_not_synced() -> None:
    store = MemoryStore()
    store.write({b"a": b"old", b"b": b"old"})
    store.sync()
    store.write({b"a": b"new", b"c": b"new"})
    store.write({b"a": None, b"b": None, b"c": b"newer"})

    found = store.crash(keep_written=False)

    assert list(found.scan(b"", None)) == [(b"a", b"old"), (b"b", b"old")]


def test_a_power_cut_may_spare_the_first_of_what_was_not_synced() -> None:
    store = MemoryStore()
    store.write({b"a": b"1"})
    spared = store.write({b"a": b"2"})
    store.write({b"a": b"3"})

    assert store.crash(keep_written=False, through=spared).get(b"a") == b"2"


def test_the_store_after_a_crash_is_of_the_next_epoch_and_the_old_one_is_gone() -> None:
    store = MemoryStore()
    found = store.crash(keep_written=True)

    assert found.epoch == store.epoch + 1
    with pytest.raises(StoreFailedError, match="crashed"):
        store.write({b"a": b"1"})


@pytest.mark.parametrize("applied", [False, True])
def test_a_failed_write_is_the_last_and_may_have_happened(*, applied: bool) -> None:
    store = MemoryStore()
    store.fail_next_write(applied=applied)
    with pytest.raises(StoreFailedError, match="writing"):
        store.write({b"a": b"1"})
    with pytest.raises(StoreFailedError, match="writing"):
        store.sync()

    assert store.crash(keep_written=True).get(b"a") == (b"1" if applied else None)


@pytest.mark.parametrize("durable", [False, True])
def test_a_failed_sync_is_the_last_and_may_have_happened(*, durable: bool) -> None:
    store = MemoryStore()
    store.write({b"a": b"1"})
    store.fail_next_sync(durable=durable)
    with pytest.raises(StoreFailedError, match="syncing"):
        store.sync()
    with pytest.raises(StoreFailedError, match="syncing"):
        store.get(b"a")

    assert store.crash(keep_written=False).get(b"a") == (b"1" if durable else None)
