"""How much time others have between two slices of background work."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from holdfast import RuntimeConfig
from holdfast.runtime.maintenance import Maintenance

if TYPE_CHECKING:
    from collections.abc import Callable

SLICE_SECONDS = 0.001


def _nothing(*_: Any) -> None:
    """Stands for what is of no interest here."""


def _decide(decision: Callable[[], None]) -> None:
    decision()


class Loop:
    """A loop on which every slice takes a millisecond, and everybody else what a test says."""

    def __init__(self, *, is_over: bool = False) -> None:
        self.now = 100.0
        self.slices = 0
        self.pauses: list[float] = []
        self._due: Callable[[], None] = self.fail
        self.attempts = SimpleNamespace(started_count=0, suspend_idle=lambda: None)
        self.retention = SimpleNamespace(
            has_more=True,
            is_over=is_over,
            collect=self.collect,
            write_down=lambda: None,
            marks=SimpleNamespace(sweep=_nothing),
            early_promises=SimpleNamespace(sweep=_nothing),
            forgetting=SimpleNamespace(debris=SimpleNamespace(fresh_bytes=0)),
        )
        core: Any = SimpleNamespace(
            clock=self,
            config=RuntimeConfig(),
            attempts=self.attempts,
            store=SimpleNamespace(maintain=lambda: None, is_nearly_full=False),
            retention=self.retention,
            lifecycle=SimpleNamespace(
                outcomes=SimpleNamespace(oldest_ms=0),
                timers=SimpleNamespace(cursor=SimpleNamespace(write_down=lambda: None)),
            ),
            commits=SimpleNamespace(guard=_decide, has_failed=False, sync_old=_nothing),
        )
        threads: Any = SimpleNamespace(run=_nothing)
        self.maintenance = Maintenance(core, threads, self.fail)
        self.maintenance.open()
        self._round = self._due
        self._round()

    def monotonic(self) -> float:
        return self.now

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Any:
        if callback.__name__ == "_do_slice":
            self.pauses.append(delay_s)
        if callback.__name__ == "_do_slice" or not self.slices:
            self._due = callback
        return SimpleNamespace(cancel=lambda: None)

    def collect(self) -> None:
        self.slices += 1
        self.now += SLICE_SECONDS

    def fail(self, *_: Any) -> None:
        raise AssertionError

    def go_on(self, times: int, *, attempts: int, late_s: float = 0.0) -> list[int]:
        """The next pauses, as many times as long as a slice."""
        for _ in range(times):
            self.attempts.started_count += attempts
            self.now += self.pauses[-1] + late_s
            self._due()
        return [round(pause / SLICE_SECONDS) for pause in self.pauses[-times:]]


def test_slices_follow_each_other_when_nobody_is_at_work() -> None:
    assert Loop().go_on(5, attempts=0) == [0] * 5


def test_a_slice_is_followed_by_time_for_those_who_are_at_work() -> None:
    assert Loop().go_on(5, attempts=1) == [4] * 5


def test_others_get_more_time_while_slices_begin_late_and_less_when_they_do_not() -> None:
    loop = Loop()

    assert loop.go_on(5, attempts=9, late_s=0.01) == [8, 16, 20, 20, 20]
    assert loop.go_on(5, attempts=9) == [10, 5, 4, 4, 4]


def test_what_is_too_much_does_not_wait_for_a_calmer_hour() -> None:
    assert Loop(is_over=True).go_on(5, attempts=9, late_s=0.01) == [4] * 5


def test_nothing_is_done_once_there_is_nothing_more_to_collect() -> None:
    loop = Loop()
    loop.go_on(3, attempts=0)
    loop.retention.has_more = False
    count = len(loop.pauses)
    inside: Any = loop.maintenance
    inside._do_slice()  # noqa: SLF001  # as the alarm would

    assert len(loop.pauses) == count


@pytest.mark.parametrize("is_open", [True, False])
def test_a_closed_one_begins_nothing_more(is_open: bool) -> None:  # noqa: FBT001  # by name
    loop = Loop()
    if not is_open:
        loop.maintenance.close()
    count = len(loop.pauses)
    inside: Any = loop.maintenance
    inside._do_slice()  # noqa: SLF001  # as one that was due already

    assert (len(loop.pauses) > count) == is_open
