"""Copies of a busy directory agree with themselves and hold all that anybody had been told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from holdfast import Runtime

from .load import CLASSES, CONFIG, Load, find_lost

if TYPE_CHECKING:
    from pathlib import Path


async def test_copies_of_a_busy_runtime_agree_and_have_lost_nothing(tmp_path: Path) -> None:
    async with Runtime(CLASSES, data_dir=tmp_path / "data", config=CONFIG) as runtime:
        load = Load(runtime, "0")
        clients = asyncio.ensure_future(load.run(8))
        for at in range(2):
            await load.wait_answered(40 * (at + 1))
            accepted, answered = set(load.accepted), dict(load.answered)
            info = await runtime.backup(tmp_path / f"copy{at}")
            assert await find_lost(info.path, load, accepted, answered) == []
        load.end()
        await clients
    assert await find_lost(tmp_path / "data", load, load.accepted, load.answered) == []
