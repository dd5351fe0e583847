"""The batch of the current turn, and the gate that effects wait at.

Whatever is decided stages rows here; at the end of the turn the rows go to the store as one batch,
unsynced, and one thread makes durable whatever has been written. Whatever leaves the process (an
answer, a refusal, a read, the start of an action) is a callback given to ``when_durable``; it runs
when everything decided before it is durable, and never when the store has failed.

Inside, nothing waits: reads see through the pending batch to the store.

This module does not know what the rows mean.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from ..journal.keys import prefix_range
from ..journal.store import Store
from .pending_keys import KEYS_MIN, PendingKeys
from .seams import Threads
from .slow_syncs import SlowSyncs


class Encodable(Protocol):
    """A row that is encoded when it is written, so that a change within the turn costs nothing."""

    def encode(self) -> bytes:
        """The row's bytes now."""
        ...


class Commits:
    """The one writer's batch and the effects that depend on it. Belongs to the loop's thread."""

    def __init__(  # noqa: PLR0913  # its surroundings, each by keyword
        self,
        store: Store,
        threads: Threads,
        *,
        sync_inline: bool,
        slow_syncs: SlowSyncs,
        request_turn: Callable[[], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        """Begin with an empty batch.

        Args:
            store: where batches go.
            threads: runs ``store.sync``, which blocks.
            sync_inline: call ``store.sync`` on the loop, because it does not block.
            slow_syncs: told when a sync begins and when it has ended.
            request_turn: called when the batch stops being empty; must lead to ``write``.
            fail: told about the first exception of the store; the runtime stops then.
        """
        self._store = store
        self._threads = threads
        self._sync_inline = sync_inline
        self._slow_syncs = slow_syncs
        self._request_turn = request_turn
        self._fail = fail
        self._pending: dict[bytes, bytes | Encodable | None] = {}
        # Keys of the batch that the store does not hold, so that deleting one forgets it.
        self._new: set[bytes] = set()
        # The keys of the batch in order, once it is large and a range of it was asked for.
        self._keys: PendingKeys | None = None
        # Effects decided in this turn; their position is known when the batch is written.
        self._effects: list[Callable[[], None]] = []
        # Effects by the position they wait for. Invariant: positions never decrease.
        self._gated: deque[tuple[int, list[Callable[[], None]]]] = deque()
        self._written = 0
        self._durable = 0
        self._is_syncing = False
        # What had been written when ``sync_old`` was last called.
        self._written_before = 0
        self.has_failed = False
        self.on_written: Callable[[Iterable[bytes]], None] | None = None
        """Told of the keys of each batch, once it is written; must not raise."""

    def get(self, key: bytes) -> bytes | None:
        """The row as decided so far, whether or not it is written."""
        if key in self._pending:
            row = self._pending[key]
            return row if row is None or isinstance(row, bytes) else row.encode()
        return self._store.get(key)

    def scan(
        self, start: bytes, end: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Rows with ``start <= key < end`` as decided so far, in key order or last first.

        Stage nothing in this range before the scan has ended.
        """
        stored = self._store.scan(start, end, reverse=reverse)
        keys = self._find_pending(start, end)
        if not keys:
            return stored
        if not reverse:
            keys.reverse()
        return self._merge(stored, keys, reverse=reverse)

    def is_changing(self, prefix: bytes) -> bool:
        """Whether a row whose key begins so was decided on and is not written yet."""
        return bool(self._find_pending(*prefix_range(prefix)))

    def put(self, key: bytes, row: bytes | Encodable) -> None:
        """Write or replace a row with this turn's batch."""
        if not self._pending:
            self._request_turn()
        self._pending[key] = row

    def put_new(self, key: bytes, row: bytes | Encodable) -> None:
        """Write a row that does not exist now. Deleted in the same turn, it costs nothing."""
        if not self._pending:
            self._request_turn()
        if key not in self._pending:
            self._new.add(key)
        self._pending[key] = row

    def delete(self, key: bytes) -> None:
        """Delete a row with this turn's batch."""
        if key in self._new:
            self._new.discard(key)
            del self._pending[key]
            if self._keys is not None:
                self._keys.forget(key)
            return
        if not self._pending:
            self._request_turn()
        self._pending[key] = None

    def when_durable(self, effect: Callable[[], None]) -> None:
        """Run ``effect`` once everything decided so far is durable; it must not raise.

        Effects run in the order they were given here. With nothing pending and everything
        durable, ``effect`` runs before this returns.
        """
        if self.has_failed:
            return
        if self._pending or self._effects:
            self._effects.append(effect)
        elif self._durable >= self._written and not self._gated:
            effect()
        else:
            self._effects.append(effect)
            self._request_turn()

    def sync_old(self) -> None:
        """Make durable what was written before the last call of this, although nobody waits for it.

        What nobody waits for (a timer that fired, a send from a handler, retention) would else be
        at the mercy of a power cut for as long as nobody asks for anything.
        """
        if self._written_before > self._durable and not self._gated:
            self.when_durable(_do_nothing)
        self._written_before = self._written

    def guard(self, decision: Callable[[], None]) -> None:
        """Call ``decision``; when it raises, it may be half staged, so nothing is written again.

        What is no ``Exception``, such as a Ctrl-C that comes in the middle, is raised as well.
        """
        if self.has_failed:
            return
        try:
            decision()
        except BaseException as error:  # whatever it is, the rows cannot be trusted
            self._stop(error)
            if not isinstance(error, Exception):
                raise

    def write(self) -> None:
        """End the turn: write the batch and see that what waits for it becomes durable."""
        if self.has_failed:
            return
        if self._pending:
            try:
                batch = {
                    key: row if row is None or isinstance(row, bytes) else row.encode()
                    for key, row in self._pending.items()
                }
                self._pending, self._keys = {}, None
                self._new.clear()
                self._written = self._store.write(batch)
            except BaseException as error:  # any storage exception is the last
                self._stop(error)
                if not isinstance(error, Exception):
                    raise
                return
            if self.on_written is not None:
                self.on_written(batch)
        if self._effects:
            self._gated.append((self._written, self._effects))
            self._effects = []
        self._sync()

    def _sync(self) -> None:
        self._release()
        if self._is_syncing or not self._gated:
            return
        self._is_syncing = True
        self._slow_syncs.begin()
        if self._sync_inline:
            position, error = None, None
            try:
                position = self._store.sync()
            except Exception as raised:  # noqa: BLE001  # any storage exception is the last
                error = raised
            self._slow_syncs.end()
            self._synced(position, error)
        else:
            self._threads.run("store", self._sync_store, self._synced, self._settle)

    def _sync_store(self) -> int:
        """In the thread, so that a loop that is slow to hear of it is not taken for a slow disk."""
        try:
            return self._store.sync()
        finally:
            self._slow_syncs.end()

    def _settle(self) -> None:
        self._store.settle(aside=self._slow_syncs.was_long)

    def _synced(self, position: int | None, error: BaseException | None) -> None:
        self._is_syncing = False
        if self.has_failed:
            return
        if error is not None or position is None:
            self._stop(error or AssertionError("a sync returned no position"))
            return
        self._durable = position
        self._sync()

    def _release(self) -> None:
        gated = self._gated
        try:
            while gated and gated[0][0] <= self._durable:
                for effect in gated.popleft()[1]:
                    effect()
                    if self.has_failed:
                        return  # A decision that the effect has taken was the last.
        except BaseException as error:  # as in ``guard``
            self._stop(error)
            if not isinstance(error, Exception):
                raise

    def _stop(self, error: BaseException) -> None:
        self.has_failed = True
        self._gated.clear()
        self._effects.clear()
        self._fail(error)

    def _find_pending(self, start: bytes, end: bytes) -> list[bytes]:
        """Keys of the batch with ``start <= key < end``, in order."""
        if len(self._pending) < KEYS_MIN:
            return sorted([key for key in self._pending if start <= key < end])
        if self._keys is None:
            self._keys = PendingKeys(self._pending)
        return self._keys.between(start, end)

    def _merge(
        self, stored: Iterator[tuple[bytes, bytes]], keys: list[bytes], *, reverse: bool
    ) -> Iterator[tuple[bytes, bytes]]:
        """Both, in order; where both have a key, what is pending stands. The next key is last."""
        pending = self._pending
        for key, row in stored:
            while keys and (keys[-1] > key if reverse else keys[-1] < key):
                decided = self.get(new_key := keys.pop())
                if decided is not None:
                    yield new_key, decided
            if key not in pending:
                yield key, row
        while keys:
            decided = self.get(new_key := keys.pop())
            if decided is not None:
                yield new_key, decided


def _do_nothing() -> None:
    pass
