"""Backups under load and under kills, and what earlier releases left, as a part of the proof."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from holdfast import Runtime
from holdfast.journal.backup import back_up
from holdfast.journal.directory_view import DirectoryView
from holdfast.journal.rocks import RocksStore
from holdfast.runtime.verify import verify_rows
from tests.backup.killed import EXIT_KILLED, run_killed
from tests.backup.load import CLASSES, CONFIG, Load, find_lost
from tests.proof.parts import Line, Part, Size, Table
from tests.upgrades.record import FIXTURES, unpack
from tests.upgrades.test_upgrades import Left

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COPIES = {Size.PROVE: 10, Size.LONG: 1_000}
CRASHES = {Size.PROVE: 4, Size.LONG: 60}
"""Per release: deaths of this one while it finishes what that one left."""
KILLS_PROVE = 12
CLIENTS = 8


def run(size: Size, seed: str, directory: Path) -> Iterator[Line | Table]:
    """As ``Part.run``."""
    # Steps fail because they are told to, and processes die for the same reason.
    logging.disable(logging.CRITICAL)
    try:
        yield asyncio.run(_copy_under_load(COPIES[size], seed, directory / "load"))
        yield _kill_backups(size, directory / "kills")
        yield asyncio.run(_upgrade(CRASHES[size], directory / "upgrades"))
    finally:
        logging.disable(logging.NOTSET)


async def _copy_under_load(copies: int, seed: str, directory: Path) -> Line:
    directory.mkdir()
    violations: list[str] = []
    known = 0
    async with Runtime(CLASSES, data_dir=directory / "data", config=CONFIG) as runtime:
        load = Load(runtime, seed)
        clients = asyncio.ensure_future(load.run(CLIENTS))
        for at in range(copies):
            await load.wait_answered(len(load.answered) + 50)
            accepted, answered = set(load.accepted), dict(load.answered)
            info = await runtime.backup(directory / f"copy{at}")
            known += len(accepted)
            violations += await find_lost(info.path, load, accepted, answered)
        load.end()
        await clients
    return Line(
        fault="restored from a backup made under load",
        invariants=("I1", "I2", "I8", "I14", "I15"),
        injected=copies,
        checked=f"{known:,} accepted calls, and every row offline before and after",
        violations=tuple(violations),
        seed=seed,
    )


def _kill_backups(size: Size, directory: Path) -> Line:
    directory.mkdir()
    source = directory / "data"
    store = RocksStore(source, ballast_bytes=0, log_bytes_max=1 << 15)
    for at in range(20):
        store.write({b"k%05d" % (at * 100 + row): b"row" * 40 for row in range(100)})
        if at % 7 == 0:
            store.maintain()
    rows = dict(store.scan(b"", None))
    store.close()
    whole = run_killed(source, directory / "whole", 0)
    calls = int(whole.stdout)
    kills = min(calls, KILLS_PROVE) if size is Size.PROVE else calls
    violations: list[str] = []
    for number in range(kills):
        at = 1 + number * calls // kills
        target = directory / f"copy{at}"
        killed = run_killed(source, target, at)
        if killed.returncode != EXIT_KILLED:
            violations.append(f"the backup did not die at call {at}: {killed.stderr[-200:]}")
        if not target.exists():
            back_up(source, target)
        view = DirectoryView(target)
        if dict(view.scan(b"", None)) != rows:
            violations.append(f"killed at call {at} of {calls}, a backup holds other rows")
        view.close()
    return Line(
        fault="kill before the n-th change of a file by a backup",
        invariants=("I11", "I13"),
        injected=kills,
        checked=f"whole or not there, and done by the next one; {calls} calls in all",
        violations=tuple(violations),
    )


async def _upgrade(crashes: int, directory: Path) -> Line:
    directory.mkdir()
    violations: list[str] = []
    stories, injected = 0, 0
    for path in sorted(FIXTURES.glob("*.tar.gz")):
        for crash in range(crashes):
            where = directory / f"{path.name}.{crash}"
            where.mkdir()
            unpack(path, where)
            left = Left(where)
            violations += [f"{path.name}: {problem}" for problem in left.problems()]
            runtime = await left.world.start()
            await runtime.rest()
            for _ in range(crash):
                # A little further each time, and then away with it.
                await left.world.clock.advance(900)
                await left.world.crash()
                injected += 1
                view = DirectoryView(left.data)
                violations += verify_rows(view, epoch=view.epoch)
                view.close()
                runtime = await left.world.start()
            outcomes = await left.finish(runtime)
            for module in left.modules:
                stories += len(module.EXPECTED)
                violations += [
                    f"{path.name}, {crash} crashes: {name} came to {outcomes[name]!r}"
                    for name, expected in module.EXPECTED.items()
                    if outcomes[name] != expected
                ]
            left.world.close()
            await asyncio.sleep(0)
    return Line(
        fault="upgrade of an earlier directory, crashed on the way",
        invariants=("I2", "I3", "I4", "I15", "I20"),
        injected=injected,
        checked=f"{stories:,} invocations that an earlier release had left in flight",
        violations=tuple(violations),
    )


PART = Part(name="backup", title="Backups, restores and upgrades", run=run)
