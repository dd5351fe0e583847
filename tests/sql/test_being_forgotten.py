"""A workflow that is forgotten goes in slices; meanwhile it is neither shown nor broken."""

from collections.abc import Mapping

import pytest

from holdfast import Context, NotKeptError, Workflow, handler, state
from holdfast.journal.memory import MemoryStore
from holdfast.objects.registry import Registry
from holdfast.runtime.testing import settle
from holdfast.runtime.verify import verify_rows
from holdfast.runtime.views.rows import Rows
from tests.runtime.worlds import World

from .stage import ask


class Archive(Workflow):
    lines: list[str] = state(default_factory=list)

    @handler
    async def run(self, ctx: Context) -> None:
        self.lines = ["x" * 100] * 30_000
        await ctx.promise("done", str).resolve("yes")


async def test_a_workflow_of_which_the_last_rows_go_is_neither_shown_nor_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World([Archive])
    runtime = await world.start()
    id_ = await runtime.workflow(Archive, "k").run.send()
    await settle()
    problems: list[str] = []
    shown: list[int] = []
    write = MemoryStore.write

    def write_and_look(store: MemoryStore, batch: Mapping[bytes, bytes | None]) -> int:
        position = write(store, batch)
        problems.extend(verify_rows(store, epoch=store.epoch))
        rows = Rows(store.view(), Registry([Archive]))
        shown.append(len(ask(rows, "SELECT key FROM state UNION ALL SELECT key FROM sys_promise")))
        return position

    monkeypatch.setattr(MemoryStore, "write", write_and_look)
    await runtime.invocation(id_).purge()
    with pytest.raises(NotKeptError):
        await runtime.state(Archive, "k")
    for _ in range(10):
        await world.clock.advance(1)
        await settle()

    assert problems == []
    assert len(shown) > 1, "it went in one go"
    assert shown == [0] * len(shown)
    assert await runtime.workflow(Archive, "k").run.send() != id_
    world.close()
