"""Two runtimes in one process do not know of each other."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from holdfast import Context, Runtime, StoreLockedError, VirtualObject, handler, shared, state
from holdfast.objects.identity import Target
from holdfast.runtime.requests import CallRequest


class Note(VirtualObject):
    """Remembers words, and can be told to pass one on."""

    words: list[str] = state(default_factory=list)

    @handler
    async def add(self, ctx: Context, word: str) -> list[str]:
        await ctx.run("think", asyncio.sleep, 0)
        self.words.append(word)
        return self.words

    @handler
    async def pass_on(self, ctx: Context, word: str) -> None:
        await ctx.object(Note, "other").add.send(word, delay=timedelta(milliseconds=1))

    @shared
    async def read(self, ctx: Context) -> list[str]:
        return self.words


async def wait_words(runtime: Runtime) -> None:
    """Wait until a word was passed on."""
    words: list[str] = []
    while not words:
        await asyncio.sleep(0.01)
        words = await runtime.object(Note, "other").read()


async def test_state_and_keys_are_each_runtimes_own(tmp_path: Path) -> None:
    async with (
        Runtime([Note], data_dir=tmp_path / "one") as one,
        Runtime([Note], data_dir=tmp_path / "two") as two,
    ):
        answers = tuple(
            await asyncio.gather(
                one.object(Note, "k").add("first"),
                two.object(Note, "k").add("second"),
                one.object(Note, "k").add("third"),
            )
        )
        assert answers == (["first"], ["second"], ["first", "third"])
        assert await two.object(Note, "k").read() == ["second"]


async def test_an_idempotency_key_of_one_is_news_to_the_other(tmp_path: Path) -> None:
    request = CallRequest(target=Target("Note", "k", "add"), argument=b'"w"', idempotency_key="i")
    async with (
        Runtime([Note], data_dir=tmp_path / "one") as one,
        Runtime([Note], data_dir=tmp_path / "two") as two,
    ):
        first = await one.submit(request, wait=True)
        second = await two.submit(request, wait=True)
        assert not second.is_duplicate
        assert first.invocation_id != second.invocation_id


async def test_the_end_of_one_is_not_the_end_of_the_other(tmp_path: Path) -> None:
    async with Runtime([Note], data_dir=tmp_path / "two") as two:
        async with Runtime([Note], data_dir=tmp_path / "one") as one:
            await one.object(Note, "k").pass_on("one")
            await two.object(Note, "k").pass_on("two")
        one_again = Runtime([Note], data_dir=tmp_path / "one")
        async with one_again, asyncio.timeout(10):
            for runtime, word in ((one_again, "one"), (two, "two")):
                await wait_words(runtime)
                assert await runtime.object(Note, "other").read() == [word]


async def test_one_directory_has_one_runtime_in_a_process_too(tmp_path: Path) -> None:
    async with Runtime([Note], data_dir=tmp_path / "one") as one:
        with pytest.raises(StoreLockedError, match="one"):
            await Runtime([Note], data_dir=tmp_path / "one").start()
        assert await one.object(Note, "k").add("still") == ["still"]
