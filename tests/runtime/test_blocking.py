"""A handler that stops the loop for everybody is named, once per place."""

import logging
import re
import threading
import time
from pathlib import Path

import pytest

from holdfast import Context, Runtime, RuntimeConfig, VirtualObject, handler
from holdfast.runtime.blocking import BlockingWatch
from holdfast.runtime.seams import SystemWatch
from tests.processes import wait_until

GATE = threading.Event()
"""What a blocking handler waits for; the tests open it once they have seen enough."""


class Sleeper(VirtualObject):
    @handler
    async def block(self, ctx: Context) -> str:
        open_the_gate_first()
        return "done"

    @handler
    async def hurry(self, ctx: Context) -> str:
        return "done"


def open_the_gate_first() -> None:
    GATE.wait(30)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "has blocked" in record.message]


@pytest.fixture(autouse=True)
def closed_gate() -> None:
    GATE.clear()


async def test_a_blocking_handler_is_reported_while_it_blocks_and_once_per_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="holdfast.handlers")
    config = RuntimeConfig(blocking_ms_max=20)
    async with Runtime([Sleeper], data_dir=tmp_path / "data", config=config) as runtime:

        def open_when_reported() -> None:
            wait_until(lambda: bool(said(caplog)), "the report")
            GATE.set()

        opener = threading.Thread(target=open_when_reported)
        opener.start()
        assert await runtime.object(Sleeper, "s").block() == "done"
        opener.join()
        (report,) = said(caplog)
        assert re.match(r"Sleeper/s/block \(inv_\w+\) has blocked the loop for \d+ ms", report)
        assert "test_blocking.py" in report
        assert "in block\n    open_the_gate_first()" in report
        assert "in open_the_gate_first\n    GATE.wait(30)" in report
        assert "ctx.run()" in report

        GATE.clear()
        looked = threading.Event()

        def open_after_looks() -> None:
            # The same place again: nothing to wait for but that the watch has had its time.
            wait_until(lambda: time.monotonic() - begun > 0.2, "some looks")
            looked.set()
            GATE.set()

        begun = time.monotonic()
        opener = threading.Thread(target=open_after_looks)
        opener.start()
        await runtime.object(Sleeper, "s").block()
        opener.join()
        assert len(said(caplog)) == 1


async def test_no_look_is_taken_where_the_limit_is_zero(tmp_path: Path) -> None:
    config = RuntimeConfig(blocking_ms_max=0)
    async with Runtime([Sleeper], data_dir=tmp_path / "data", config=config) as runtime:
        assert await runtime.object(Sleeper, "s").hurry() == "done"
        assert not [each for each in threading.enumerate() if each.name == "holdfast-watch"]


def test_a_watch_sleeps_when_nothing_is_pumped_and_is_woken_by_the_next_pump() -> None:
    watch = BlockingWatch(threading.get_ident(), 0.1)
    woken: list[str] = []
    watch.wake = lambda: woken.append("woken")
    pumped: object = object()

    assert watch.look(0.0)
    assert not watch.look(0.1)
    watch.begin(pumped)  # type: ignore[arg-type]  # it is only named in a report
    assert woken == ["woken"]
    watch.invocation = None
    assert watch.look(0.2)
    assert not watch.look(0.3)


def test_a_thread_looks_until_nothing_is_left_and_again_when_woken() -> None:
    looks: list[float] = []
    has_more = threading.Event()
    has_more.set()

    def look(now: float) -> bool:
        looks.append(now)
        return has_more.is_set()

    watch = SystemWatch(look, 0.001)
    wait_until(lambda: len(looks) > 3, "some looks")
    has_more.clear()
    wait_until(lambda: looks[-1] + 0.05 < time.monotonic(), "the thread to sleep")
    asleep_at = len(looks)
    watch.wake()
    wait_until(lambda: len(looks) > asleep_at, "the thread to look again")
    watch.close()
