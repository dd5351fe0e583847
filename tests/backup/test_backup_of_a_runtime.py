"""A backup that a program or a command takes of work in flight, and what a start on it does."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from holdfast import (
    Context,
    InvalidArgumentError,
    MemoryStore,
    Runtime,
    RuntimeClosedError,
    VirtualObject,
    handler,
    shared,
    state,
)
from holdfast.journal import keys, rocks
from holdfast.journal.directory_view import DirectoryView
from holdfast.journal.rocks import RocksStore
from holdfast.objects.identity import InvocationId
from holdfast.runtime.verify import verify_rows
from tests.cli.test_mistakes import CommandLine, command_line
from tests.crash.nursery import fork_holdfast
from tests.processes import ROOT, post

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["command_line"]

PAID: list[str] = []
SHOP = ROOT / "tests" / "client" / "shop.py"


class Desk(VirtualObject):
    """Pays, asks a person, pays again."""

    log: list[str] = state(default_factory=list)

    @handler
    async def work(self, ctx: Context) -> list[str]:
        await ctx.run("pay", pay, "first")
        self.log.append("paid")
        awakeable = ctx.awakeable(str)
        self.log.append(awakeable.id)
        self.log.append(await awakeable)
        await ctx.run("pay", pay, "second")
        return self.log[2:]

    @handler
    async def note(self, ctx: Context, text: str) -> None:
        del ctx
        self.log.append(text)

    @shared
    async def read(self, ctx: Context) -> list[str]:
        del ctx
        return list(self.log)


async def pay(what: str) -> None:
    PAID.append(what)


@pytest.fixture(autouse=True)
def nothing_paid() -> Iterator[None]:
    PAID.clear()
    yield
    PAID.clear()


async def wait_for_question(runtime: Runtime) -> str:
    snapshot = await runtime.wait_state(Desk, "d")
    while len(snapshot.values.get("log", ())) < 2:
        snapshot = await runtime.wait_state(Desk, "d", since=snapshot.tag)
    answer: str = snapshot.values["log"][1]
    return answer


async def test_a_start_on_a_backup_goes_on_from_there_and_repeats_what_came_later(
    tmp_path: Path,
) -> None:
    async with Runtime([Desk], data_dir=tmp_path / "data") as runtime:
        desk = runtime.object(Desk, "d")
        sent = await desk.work.send()
        await desk.note.send("waits for its turn")
        question = await wait_for_question(runtime)
        info = await runtime.backup(tmp_path / "copy")
        assert await runtime.resolve_awakeable(question, "yes")
        assert await runtime.invocation(sent, Desk.work).attach() == ["yes"]
        assert PAID == ["first", "second"]

    async with Runtime([Desk], data_dir=info.path) as restored:
        # The answer came after the backup, so it is asked for again, and paid again.
        assert await restored.resolve_awakeable(question, "also")
        assert await restored.invocation(sent, Desk.work).attach() == ["also"]
        assert PAID == ["first", "second", "second"]
        log = await restored.object(Desk, "d").read()
        assert log == ["paid", question, "also", "waits for its turn"]
        assert _problems_in(info.path) == []


async def test_numbers_given_after_a_restore_are_later_than_all_in_the_backup(
    tmp_path: Path,
) -> None:
    async with Runtime([Desk], data_dir=tmp_path / "data") as runtime:
        await runtime.object(Desk, "d").note("before")
        await runtime.backup(tmp_path / "copy")
        await runtime.object(Desk, "d").note("after")
    async with Runtime([Desk], data_dir=tmp_path / "copy") as restored:
        await restored.object(Desk, "d").note("again")

    assert _epochs_of_state(tmp_path / "data") == {1}
    assert _epochs_of_state(tmp_path / "copy") == {2}


async def test_calls_go_on_while_a_backup_is_made(tmp_path: Path) -> None:
    async with Runtime([Desk], data_dir=tmp_path / "data") as runtime:
        desk = runtime.object(Desk, "d")
        await asyncio.gather(*(desk.note(str(at)) for at in range(50)))
        making = asyncio.ensure_future(runtime.backup(tmp_path / "copy"))
        notes = 50
        while not making.done():
            await desk.note(str(notes))
            notes += 1
        assert len(await desk.read()) == notes
    async with Runtime([Desk], data_dir=(await making).path) as restored:
        log = await restored.object(Desk, "d").read()
    assert log == [str(at) for at in range(len(log))]
    assert 50 <= len(log) <= notes


async def test_a_backup_that_is_refused_leaves_the_runtime_as_it_was(tmp_path: Path) -> None:
    async with Runtime([Desk], data_dir=tmp_path / "data") as runtime:
        with pytest.raises(InvalidArgumentError, match="is inside the data directory"):
            await runtime.backup(tmp_path / "data" / "copy")
        (tmp_path / "copy").touch()
        with pytest.raises(InvalidArgumentError, match="exists"):
            await runtime.backup(tmp_path / "copy")
        await runtime.object(Desk, "d").note("goes on")
        assert await runtime.object(Desk, "d").read() == ["goes on"]
    with pytest.raises(RuntimeClosedError):
        await runtime.backup(tmp_path / "later")


async def test_a_backup_to_nowhere_is_an_error_and_not_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Runtime([Desk], data_dir=tmp_path / "data") as runtime:
        with pytest.raises(InvalidArgumentError, match="zero byte"):
            await runtime.backup("mon\0day")
        with pytest.raises(TypeError):
            await runtime.backup(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        monkeypatch.setattr(rocks, "back_up", _run_out_of_memory)
        with pytest.raises(MemoryError):
            await runtime.backup(tmp_path / "monday")
        await runtime.object(Desk, "d").note("goes on")


def _run_out_of_memory(*_: object) -> None:
    raise MemoryError


async def test_rows_in_memory_have_no_backup(tmp_path: Path) -> None:
    async with Runtime([Desk], store=MemoryStore()) as runtime:
        with pytest.raises(InvalidArgumentError, match="the rows of this runtime are in none"):
            await runtime.backup(tmp_path / "copy")


async def test_a_step_may_make_a_backup(tmp_path: Path) -> None:
    class Nightly(VirtualObject):
        @handler
        async def save(self, ctx: Context) -> int:
            async def act() -> int:
                return (await runtime.backup(tmp_path / "copy")).size_bytes

            return await ctx.run("backup", act)

    async with Runtime([Nightly], data_dir=tmp_path / "data") as runtime:
        assert await runtime.object(Nightly, "n").save() > 0
    assert _problems_in(tmp_path / "copy") == []


# -- The commands --------------------------------------------------------------------------------


def test_a_directory_that_a_server_has_open_is_backed_up_and_verified(
    command_line: CommandLine, tmp_path: Path
) -> None:
    with fork_holdfast("serve", str(SHOP), "--port", "0", cwd=tmp_path) as server:
        server.wait_line(r"data in ")
        port = int(re.findall(r"http://127\.0\.0\.1:(\d+)", server.stdout)[0])
        assert post(port, "/Cart/sam/add", {"item": "tea", "times": 1})[0] == 200
        assert command_line.run("backup", "data", "copy") == 0
        assert "`holdfast verify" in command_line.printed
        for name in ("data", "copy"):
            assert command_line.run("verify", name) == 0
            assert "nothing is wrong, in" in command_line.printed
            assert "of invocations 0 open and 1 completed" in command_line.printed
        said = command_line.run_wrong("backup", "data", "copy", code=1)
        assert "copy exists" in said


async def test_what_is_wrong_with_a_directory_is_printed_and_counts_as_a_failure(
    command_line: CommandLine, tmp_path: Path
) -> None:
    async with Runtime([Desk], data_dir=tmp_path / "data") as runtime:
        for at in range(5):
            await runtime.object(Desk, str(at), idempotency_key="1").note("text")
    store = RocksStore(tmp_path / "data")
    outcomes = [key for key, _ in store.scan(*keys.prefix_range(keys.OUTCOME))]
    store.write({keys.live(InvocationId(key[1:])): b"" for key in outcomes})
    store.close()

    assert command_line.run("verify", "data") == 1
    assert command_line.printed.count("a start would run Desk/") == 5
    assert "5 things are wrong, in" in command_line.printed
    assert command_line.run("verify", "data", "--most", "2") == 1
    assert "stopped at 2 things that are wrong" in command_line.printed
    assert command_line.run("verify", "data", "--json") == 1
    printed: dict[str, Any] = json.loads(command_line.printed)
    assert len(printed["problems"]) == 5
    assert (printed["open"], printed["completed"], printed["is_cut_short"]) == (0, 5, False)


def test_what_cannot_be_verified_is_said_in_a_sentence(
    command_line: CommandLine, tmp_path: Path
) -> None:
    assert "there is no data directory at nothing" in command_line.run_wrong(
        "verify", "nothing", code=1
    )
    RocksStore(tmp_path / "data").close()
    for log in (tmp_path / "data" / "rocksdb").glob("MANIFEST-*"):
        log.write_bytes(b"")
    said = command_line.run_wrong("verify", "data", code=78)
    assert "MANIFEST" in said


def _problems_in(path: Path) -> list[str]:
    view = DirectoryView(path)
    problems = verify_rows(view, epoch=view.epoch)
    view.close()
    return problems


def _epochs_of_state(path: Path) -> set[int]:
    view = DirectoryView(path)
    found = {
        int.from_bytes(row[:8], "big") >> 40 for _, row in view.scan(*keys.prefix_range(keys.STATE))
    }
    view.close()
    return found
