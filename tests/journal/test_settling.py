"""What a sync leaves over, and who does it."""

from __future__ import annotations

import os
import queue
import threading
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.journal.rocks import RocksStore
from holdfast.journal.tide_mark import read_tide_mark
from holdfast.objects.errors import StoreFailedError

if TYPE_CHECKING:
    from pathlib import Path


def mark_of(path: Path) -> int:
    return read_tide_mark(path / "holdfast.tide").sequence


def test_what_a_sync_left_over_is_done_by_the_next_one_even_with_nothing_new(
    tmp_path: Path,
) -> None:
    store = RocksStore(tmp_path)
    store.write({b"k": b"v"})
    store.sync()
    assert mark_of(tmp_path) == 0
    store.sync()

    follower = store._follower  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    assert follower is not None
    assert not follower._is_left_over  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    store.close()


def test_a_sync_returns_when_the_mark_of_the_one_before_is_durable(tmp_path: Path) -> None:
    """However long the thread of the marks takes for one, no more can be lost unseen."""
    store = RocksStore(tmp_path)
    follower = store._follower  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    assert follower is not None
    ran, follower._wake_ups = follower._wake_ups, queue.SimpleQueue()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    marks = [mark_of(tmp_path)]
    for number in range(3):
        store.write({b"k": b"%d" % number})
        store.sync()
        store.settle(aside=True)
        marks.append(mark_of(tmp_path))

    assert marks == [0, 0, 1, 2]
    follower._wake_ups = ran  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    store.close()


def test_to_settle_in_a_forked_child_returns_and_writes_nothing(tmp_path: Path) -> None:
    store = RocksStore(tmp_path)
    store.write({b"k": b"v"})
    store.sync()
    follower = store._follower  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    assert follower is not None
    before = (tmp_path / "holdfast.tide").read_bytes()
    # As if another thread of the parent recorded at that moment.
    with follower._recording:  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        child = os.fork()
        if child == 0:
            store.settle(aside=False)
            os._exit(0)
    # Ends a child that hangs; one that has ended stays until it is waited for.
    alarm = threading.Timer(30, os.kill, (child, 9))
    alarm.start()
    _, status = os.waitpid(child, 0)
    alarm.cancel()

    assert status == 0
    assert (tmp_path / "holdfast.tide").read_bytes() == before
    store.close()


@pytest.mark.parametrize("aside", [False, True])
def test_to_settle_after_close_does_nothing(tmp_path: Path, *, aside: bool) -> None:
    store = RocksStore(tmp_path)
    store.write({b"k": b"v"})
    store.sync()
    store.close()
    before = (tmp_path / "holdfast.tide").read_bytes()
    store.settle(aside=aside)

    assert (tmp_path / "holdfast.tide").read_bytes() == before


class FailingMeanwhile:
    """A database in which a write fails while a flush is under way that RocksDB then calls good."""

    def __init__(self, store: RocksStore) -> None:
        self._store = store
        self._db: Any = store._db  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def write(self, _writes: Any) -> None:
        message = "no space"
        raise OSError(message)

    def flush_wal(self, _sync: bool) -> None:  # noqa: FBT001  # rocksdict's
        with pytest.raises(StoreFailedError):
            self._store.write({b"other": b"row"})


@pytest.mark.parametrize("policy", ["overlapped", "strict"])
def test_a_sync_that_nobody_may_rely_on_moves_no_mark(tmp_path: Path, policy: Any) -> None:
    store = RocksStore(tmp_path, tide_mark=policy)
    store.write({b"k": b"v"})
    store._db = FailingMeanwhile(store)  # type: ignore[assignment]  # noqa: SLF001 # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    with pytest.raises(StoreFailedError):
        store.sync()
    store.settle(aside=False)

    assert mark_of(tmp_path) == 0
    store.close()
