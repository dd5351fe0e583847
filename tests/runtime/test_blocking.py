"""A handler that stops the loop for everybody is named, once per place."""

import asyncio
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from holdfast import Context, Runtime, RuntimeConfig, VirtualObject, handler
from holdfast.runtime.blocking import BlockingWatch
from holdfast.runtime.seams import SystemWatch
from holdfast.runtime.stuck_loop import StuckLoop
from tests.processes import wait_until

GATE = threading.Event()
"""What a blocking handler waits for; the tests open it once they have seen enough."""


class Sleeper(VirtualObject):
    @handler
    async def block(self, ctx: Context) -> str:
        open_the_gate_first()
        return "done"

    @handler
    async def block_in_a_step(self, ctx: Context) -> str:
        return await ctx.run("block", block_in_a_task)

    @handler
    async def hurry(self, ctx: Context) -> str:
        return "done"


def open_the_gate_first() -> None:
    GATE.wait(30)


async def block_in_a_task() -> str:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(block())
    return task.result()


async def block() -> str:
    open_the_gate_first()
    return "done"


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
        assert re.match(
            r"Sleeper/s/block \(inv_\w+\) has blocked the loop for \d+ ms so far", report
        )
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


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_an_async_step_that_blocks_is_reported_while_it_does(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, logger="holdfast.handlers")

    async def play() -> str:
        config = RuntimeConfig(blocking_ms_max=20)
        async with Runtime([Sleeper], data_dir=tmp_path / "data", config=config) as runtime:
            return await runtime.object(Sleeper, "s").block_in_a_step()

    def open_when_reported() -> None:
        wait_until(lambda: bool(said(caplog)), "the report")
        GATE.set()

    opener = threading.Thread(target=open_when_reported)
    opener.start()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(play()) == "done"
    opener.join()
    (report,) = said(caplog)
    assert re.match(r"An async function has blocked the loop for \d+ ms so far", report)
    assert "in block\n    open_the_gate_first()" in report
    assert "asyncio" not in report.split("\n", 1)[1]
    assert "as a plain function" in report


class Machine:
    """A loop's thread, which tells another one when to look, and what it sees."""

    def __init__(self) -> None:
        self.asked: list[Callable[[], None]] = []
        self.stuck = StuckLoop(threading.get_ident(), self.asked.append)

    def run(self, callback: Callable[[], None]) -> None:
        callback()

    def look(self, now: float) -> list[str] | None:
        found = self.stuck.look(now, 0.1)
        return found and [frame.f_code.co_name for frame in found[0]]


def test_a_loop_that_is_late_because_it_has_much_to_do_is_not_stuck() -> None:
    machine = Machine()

    def first() -> None:
        assert machine.look(1.0) is None
        assert machine.look(1.09) is None

    def second() -> None:
        assert machine.look(1.11) is None
        assert machine.look(1.2) is None
        found = machine.look(1.22)
        assert found is not None
        assert found[-1] == "second"
        assert "test_a_loop_that_is_late_because_it_has_much_to_do_is_not_stuck" not in found

    assert machine.look(0.0) is None
    machine.run(machine.asked.pop())
    machine.look(0.5)
    machine.run(first)
    machine.run(second)


def test_a_callback_that_was_left_in_between_is_not_stuck() -> None:
    machine = Machine()

    def resumed() -> Iterator[None]:
        for now in (1.0, 1.08, 1.16):
            assert machine.look(now) is None
            yield

    assert machine.look(0.0) is None
    machine.run(machine.asked.pop())
    callback = resumed()
    for _ in range(3):
        assert machine.look(0.5) is None  # asks
        machine.run(callback.__next__)
        machine.run(machine.asked.pop())


def test_a_watch_stays_awake_while_an_action_is_on_the_loop() -> None:
    asked: list[object] = []
    watch = BlockingWatch(threading.get_ident(), 0.1, asked.append)
    assert watch.look(0.0)
    assert not watch.look(0.1)
    woken: list[str] = []
    watch.wake = lambda: woken.append("woken")

    watch.actions += 1
    watch.wake_up()
    assert woken == ["woken"]
    assert watch.look(0.2)
    assert watch.look(0.3)
    assert len(asked) == 1
    watch.actions -= 1
    assert not watch.look(0.4)


async def test_no_look_is_taken_where_the_limit_is_zero(tmp_path: Path) -> None:
    config = RuntimeConfig(blocking_ms_max=0)
    async with Runtime([Sleeper], data_dir=tmp_path / "data", config=config) as runtime:
        assert await runtime.object(Sleeper, "s").hurry() == "done"
        assert not [each for each in threading.enumerate() if each.name == "holdfast-watch"]


def test_a_watch_sleeps_when_nothing_is_pumped_and_is_woken_by_the_next_pump() -> None:
    watch = BlockingWatch(threading.get_ident(), 0.1, lambda _: None)
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
