"""anyio's scopes that are cancelled on a handler's loop: when each cancels again, and why it does.

What a scope schedules anew whenever it has run would never let the loop come to rest, so after some
rounds it waits until something is delivered; see ``anyio_parts``.
"""

from collections import deque
from typing import Any, Final

from .anyio_parts import is_over
from .loop_futures import ReadyHandle
from .task_groups import find_cause

_ROUNDS_MAX: Final = 100
_ROUNDS_OF_ALL_MAX: Final = 10_000
_ROUNDS_MIN: Final = 3
_FALLEN_KEPT: Final = 16


class CancelledScopes:
    """The part of a loop that knows them."""

    ready: deque[ReadyHandle]

    # Rounds of anyio's cancelled scopes since the last delivery, all of them and, by its address,
    # each one's with the scope; and what waits for the next delivery.
    _rounds = 0
    _rounds_of: dict[int, tuple[object, int]] | None = None
    _held: list[ReadyHandle] | None = None
    # anyio's scopes that are cancelled for an error that is no outcome, and the error, by address.
    _fallen: dict[int, tuple[Any, BaseException]] | None = None
    # With this many, those that nobody is within any more are looked for and forgotten.
    _fallen_kept_max = _FALLEN_KEPT

    def hold_back(self, scope: object, handle: ReadyHandle) -> None:
        """Let what ``scope`` has scheduled last wait for the next delivery, after many rounds.

        Each scope has as many: one of which nobody has heard yet is not to wait for another one.
        Only where there are thousands, a few have to do.
        """
        self._rounds += 1
        rounds_of = self._rounds_of = self._rounds_of or {}
        rounds = rounds_of.get(id(scope), (scope, 0))[1] + 1
        rounds_of[id(scope)] = scope, rounds
        rounds_max = _ROUNDS_MAX if self._rounds <= _ROUNDS_OF_ALL_MAX else _ROUNDS_MIN
        if rounds > rounds_max and self.ready and self.ready[-1] is handle:
            self.ready.pop()
            self._held = self._held or []
            self._held.append(handle)

    def release_scopes(self) -> None:
        """Something was delivered: they cancel again."""
        self._rounds, self._rounds_of = 0, None
        if self._held:
            self.ready.extend(self._held)
            self._held = None

    def note_fallen(self, scope: Any, raised: BaseException | None) -> None:
        """Remember why a scope of anyio's is cancelled, if that need not come again."""
        error = find_cause(raised)
        if error is None:
            return
        fallen = self._fallen = self._fallen or {}
        if len(fallen) >= self._fallen_kept_max:
            over = [key for key, (each, _) in fallen.items() if is_over(each)]
            for key in over:
                del fallen[key]
            self._fallen_kept_max = 2 * len(fallen) + _FALLEN_KEPT
        fallen[id(scope)] = scope, error

    def find_fallen(self, scope: object) -> BaseException | None:
        """The error that need not come again for which a scope of anyio's was cancelled."""
        fallen = (self._fallen or {}).get(id(scope))
        return None if fallen is None else fallen[1]

    def forget_scopes(self) -> None:
        """The attempt is over."""
        self._held = self._rounds_of = self._fallen = None
