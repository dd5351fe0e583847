"""Directories of every release open today: they agree, and their work goes on to its end."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from holdfast import StoreFormatError
from holdfast.journal.backup import back_up
from holdfast.journal.directory_view import DirectoryView
from holdfast.journal.rocks import RocksStore
from holdfast.runtime.verify import verify_rows
from holdfast.testing.virtual import VirtualRuntime
from holdfast.testing.worlds import World

from . import fourth
from .outside import OUTSIDE
from .record import FIXTURES, ROOT, STORIES, pack, record, unpack
from .recorder import read_outcome, submit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

BEFORE_ERRORS_WENT_FIRST = "2026-11-28-fe79e79"
NAMES = sorted(path.name.removesuffix(".tar.gz") for path in FIXTURES.glob("*.tar.gz"))


@pytest.fixture(autouse=True)
def outside() -> Iterator[None]:
    OUTSIDE.is_recording = False
    OUTSIDE.actions.clear()
    yield
    OUTSIDE.actions.clear()


class Left:
    """A recorded directory, and what its process saw."""

    def __init__(self, directory: Path) -> None:
        self.data = directory / "data"
        told: dict[str, Any] = json.loads((directory / "seen.json").read_text())
        self.now_ms: int = told["now_ms"]
        self.seen: dict[str, dict[str, Any]] = told["seen"]
        self.actions: list[str] = told["actions"]
        self.modules = [
            importlib.import_module(f".{name}", __package__) for name in told["stories"]
        ]
        self.run_again = {name for module in self.modules for name in module.RUN_AGAIN}
        self.world = World(
            [cls for module in self.modules for cls in module.CLASSES], data_dir=self.data
        )
        self.world.clock.jump((self.now_ms - self.world.clock.now_ms()) / 1000)

    def problems(self) -> list[str]:
        view = DirectoryView(self.data)
        found = verify_rows(view, epoch=view.epoch)
        view.close()
        return found

    async def finish(self, runtime: VirtualRuntime) -> dict[str, Any]:
        """What every story comes to; what waits for somebody outside gets it."""
        await runtime.rest()
        for module in self.modules:
            await module.answer(runtime, self.seen)
        outcomes: dict[str, Any] = {}
        for module in self.modules:
            for name, story in module.STORIES.items():
                answer = await runtime.finish(submit(runtime, name, story, wait=True))
                assert answer.is_duplicate, f"{name} was not known any more"
                assert answer.invocation_id == self.seen[name]["id"], name
                outcomes[name] = read_outcome(answer.outcome)
        await runtime.clock.advance(4 * 3600)
        return outcomes


@pytest.fixture(scope="module")
def written_today(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What this release writes: the next fixture."""
    directory = tmp_path_factory.mktemp("today")
    record(directory, ROOT, STORIES)
    path = directory / "today.tar.gz"
    pack(directory, path)
    return path


@pytest.fixture(params=[*NAMES, "today"])
async def left(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Left]:
    """The directory of a release; the last one is written now, by this one."""
    path = FIXTURES / f"{request.param}.tar.gz"
    if request.param == "today":
        path = request.getfixturevalue("written_today")
    unpack(path, tmp_path)
    left = Left(tmp_path)
    yield left
    left.world.close()


async def test_it_agrees_opens_and_finishes(left: Left) -> None:
    assert left.problems() == []
    runtime = await left.world.start()
    outcomes = await left.finish(runtime)

    _check_outcomes(left, outcomes)
    for module in left.modules:
        for name, (story, expected) in module.READ.items():
            answer = await runtime.finish(submit(runtime, f"read {name}", story, wait=True))
            assert read_outcome(answer.outcome) == expected, name
    # What a caller was told before stays what it is.
    for name, seen in left.seen.items():
        if "outcome" in seen:
            assert outcomes[name] == seen["outcome"], name
    _check_actions(left)
    await left.world.crash()
    assert left.problems() == []


def _check_outcomes(left: Left, outcomes: dict[str, Any]) -> None:
    for module in left.modules:
        for name, expected in module.EXPECTED.items():
            assert outcomes[name] == expected, name
        for name, status in module.STATUSES.items():
            assert outcomes[name]["status"] == status, name
        told = module.EXPECTED.keys() | module.STATUSES.keys()
        assert module.STORIES.keys() - told <= module.UNCHECKED


def _check_actions(left: Left) -> None:
    """A step whose result was recorded never runs again, whoever replays it."""
    again = set(OUTSIDE.actions) & set(left.actions)
    assert again <= left.run_again, again - left.run_again
    assert OUTSIDE.actions, "nothing was left to be done"


async def test_a_crash_right_after_the_upgrade_changes_nothing(left: Left) -> None:
    runtime = await left.world.start()
    await runtime.rest()
    await left.world.crash()
    assert left.problems() == []
    runtime = await left.world.start()
    _check_outcomes(left, await left.finish(runtime))


async def test_a_restart_from_an_entry_keeps_the_order_that_was_begun_with(tmp_path: Path) -> None:
    unpack(FIXTURES / f"{BEFORE_ERRORS_WENT_FIRST}.tar.gz", tmp_path)
    left = Left(tmp_path)
    runtime = await left.world.start()
    outcomes = await left.finish(runtime)
    for name in fourth.STORIES:
        first = runtime.invocation(left.seen[name]["id"])
        journal = await runtime.finish(first.journal())
        slept = next(each.index for each in journal.entries if each.kind == "timer")
        again = await runtime.finish(first.restart(from_entry=slept))
        await runtime.clock.advance(4 * 3600)
        output = await runtime.finish(runtime.invocation(again).output())
        assert output == outcomes[name], name
    left.world.close()


async def test_what_was_completed_answers_at_once_after_the_upgrade(left: Left) -> None:
    runtime = await left.world.start()
    told = {name: seen["outcome"] for name, seen in left.seen.items() if "outcome" in seen}
    assert len(told) >= 4
    for module in left.modules:
        for name in told.keys() & module.STORIES.keys():
            answer = await runtime.finish(submit(runtime, name, module.STORIES[name], wait=True))
            assert answer.is_duplicate
            assert read_outcome(answer.outcome) == told[name]


def _bytes_of(path: Path) -> dict[str, tuple[str, int]]:
    return {
        str(file.relative_to(path)): (
            hashlib.sha256(file.read_bytes()).hexdigest(),
            file.stat().st_mtime_ns,
        )
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_directory_of_a_newer_format_is_refused_and_left_byte_for_byte(
    name: str, tmp_path: Path
) -> None:
    unpack(FIXTURES / f"{name}.tar.gz", tmp_path)
    data = tmp_path / "data"
    (data / "holdfast.format").write_text("holdfast data directory, format 2\n")
    before = _bytes_of(data)

    with pytest.raises(StoreFormatError, match="is of format 2"):
        RocksStore(data)
    with pytest.raises(StoreFormatError, match="is of format 2"):
        DirectoryView(data)
    with pytest.raises(StoreFormatError, match="is of format 2"):
        back_up(data, tmp_path / "copy")
    assert _bytes_of(data) == before


async def test_a_backup_of_an_old_directory_is_finished_too(tmp_path: Path) -> None:
    unpack(FIXTURES / f"{NAMES[0]}.tar.gz", tmp_path)
    copy = tmp_path / "copied"
    copy.mkdir()
    back_up(tmp_path / "data", copy / "data")
    (copy / "seen.json").write_bytes((tmp_path / "seen.json").read_bytes())
    left = Left(copy)
    runtime = await left.world.start()
    outcomes = await left.finish(runtime)

    assert outcomes["question"] == left.modules[0].EXPECTED["question"]
    left.world.close()
    await asyncio.sleep(0)
