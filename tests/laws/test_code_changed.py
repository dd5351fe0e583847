"""A mismatch tells whether the handler itself is other code than the one that was recorded."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from holdfast import Context, Mismatch, VirtualObject, handler, shared, state
from holdfast.journal import keys
from holdfast.journal.records import InvocationState, decode_invocation
from holdfast.objects.identity import AwakeableId, InvocationId
from holdfast.runtime.testing import come_to_rest

from ..runtime.worlds import World

if TYPE_CHECKING:
    from pathlib import Path


ORIGINAL = """
    from holdfast import Context, VirtualObject, handler

    PREFIX = "a"

    async def act() -> int:
        return 1

    class Shop(VirtualObject):
        @handler
        async def sell(self, ctx: Context) -> None:
            await ctx.run(f"{PREFIX}:reserve", act)
            await ctx.run("charge", act)
            await ctx.awakeable()
"""


def load(source: str, path: Path) -> type:
    text = textwrap.dedent(source)
    path.write_text(text)
    names: dict[str, Any] = {"__name__": "shop"}
    exec(compile(text, str(path), "exec"), names)  # noqa: S102  # this test's own code, twice
    shop: type = names["Shop"]
    return shop


async def replay_with(source: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Mismatch:
    """Record with the original, start again with ``source``; gives how it left the journal."""
    world = World([load(ORIGINAL, tmp_path / "shop.py")])
    runtime = await world.start()
    await runtime.send_by_name("Shop", "s", "sell")
    await come_to_rest()
    await world.crash()
    world.classes = [load(source, tmp_path / "shop.py")]
    runtime = await world.start()
    (key,) = [key for key, _ in world.store.scan(*keys.prefix_range(keys.AWAKEABLE))]
    runtime.complete_awakeable(_awakeable(key), b"1")
    await come_to_rest()
    (row,) = [row for _, row in world.store.scan(*keys.prefix_range(keys.INVOCATION))]
    assert decode_invocation(row).state is InvocationState.PAUSED
    world.close()
    (record,) = [each for each in caplog.records if "is paused" in each.getMessage()]
    assert isinstance(record.args, tuple)
    mismatch = record.args[1]
    assert isinstance(mismatch, Mismatch)
    return mismatch


def _awakeable(key: bytes) -> Any:
    return AwakeableId(InvocationId(key[1:17]), int.from_bytes(key[17:21], "big"))


async def test_changed_code_says_so_and_both_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = ORIGINAL.replace('"charge"', '"charge_card"').replace("PREFIX =", "\n    PREFIX =")
    mismatch = await replay_with(source, tmp_path, caplog)

    assert mismatch.is_code_changed is True
    assert (mismatch.index, mismatch.cause) == (3, "renamed")
    assert mismatch.recorded.command == 'ctx.run("charge")'
    assert mismatch.attempted.command == 'ctx.run("charge_card")'
    assert (mismatch.recorded.place, mismatch.attempted.place) == ("shop.py:13", "shop.py:14")
    assert (mismatch.recorded.action, mismatch.attempted.action) == ("shop.py:6", "shop.py:7")
    assert mismatch.handler == "shop.py:11"


async def test_the_same_code_further_down_that_reads_a_changed_global_is_the_same_code(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = ORIGINAL.replace('PREFIX = "a"', '\n\n    PREFIX = "b"')
    mismatch = await replay_with(source, tmp_path, caplog)

    assert mismatch.is_code_changed is False
    assert mismatch.index == 1
    assert "a global" in mismatch.block


async def test_a_handler_that_no_longer_asks_is_shown_where_it_waits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = ORIGINAL.replace(
        'await ctx.run("charge", act)', "import asyncio; await asyncio.Event().wait()"
    )
    mismatch = await replay_with(source, tmp_path, caplog)

    assert mismatch.attempted.command is None
    assert mismatch.attempted.place == "shop.py:13"
    assert not mismatch.has_ended


class Till(VirtualObject):
    """Its code changes when ``rate`` does."""

    rate: ClassVar[int] = 1
    cents: int = state(0)
    log: list[str] = state(default_factory=list)

    @handler
    async def charge(self, ctx: Context) -> int:
        self.cents += 100 * Till.rate
        if Till.rate == 1:
            self.log.append("at the old rate")
        await ctx.signal("go", str)
        return self.cents

    @shared
    async def look(self, ctx: Context) -> list[str]:
        return [*self.log, str(self.cents)]


async def test_the_state_becomes_what_the_new_code_makes_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World([Till])
    await world.start()
    id_ = await world.runtime.object(Till, "a").charge.send()
    await come_to_rest()
    monkeypatch.setattr(Till, "rate", 2)
    await world.restart()
    assert await world.runtime.state(Till, "a") == {"cents": 100, "log": ["at the old rate"]}
    await world.runtime.invocation(id_).signal("go", "now")
    assert await world.runtime.invocation(id_).attach() == 200
    assert await world.runtime.state(Till, "a") == {"cents": 200}
    assert await world.runtime.object(Till, "a").look() == ["200"]
    await world.restart()
    assert await world.runtime.object(Till, "a").look() == ["200"]
    world.close()
