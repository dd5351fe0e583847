"""A runtime called from where its rows may not be touched: another thread, another loop."""

import asyncio
from pathlib import Path

import pytest

from holdfast import (
    Context,
    ContextMisuseError,
    Runtime,
    RuntimeClosedError,
    VirtualObject,
    handler,
    state,
)


class Counter(VirtualObject):
    count: int = state(0)

    @handler
    async def add(self, ctx: Context) -> int:
        self.count += 1
        return self.count


async def test_a_call_from_another_threads_loop_is_refused_and_is_not_made(tmp_path: Path) -> None:
    async with Runtime([Counter], data_dir=tmp_path / "data") as runtime:

        async def add() -> int:
            return await runtime.object(Counter, "a").add()

        with pytest.raises(ContextMisuseError, match="run_coroutine_threadsafe"):
            await asyncio.to_thread(asyncio.run, add())
        assert await runtime.object(Counter, "a").add() == 1


async def test_a_thread_without_a_loop_completes_no_awakeable(tmp_path: Path) -> None:
    async with Runtime([Counter], data_dir=tmp_path / "data") as runtime:
        with pytest.raises(ContextMisuseError, match="another loop or thread"):
            await asyncio.to_thread(runtime.resolve_awakeable, f"awk_{'0' * 40}", value=True)


async def test_a_thread_hands_a_call_over_as_the_message_says(tmp_path: Path) -> None:
    async with Runtime([Counter], data_dir=tmp_path / "data") as runtime:
        loop = asyncio.get_running_loop()

        async def add() -> int:
            return await runtime.object(Counter, "a").add()

        def from_a_thread() -> int:
            return asyncio.run_coroutine_threadsafe(add(), loop).result()

        assert await asyncio.to_thread(from_a_thread) == 1


@pytest.mark.parametrize("verb", ["stop", "serve", "suspend_idle"])
async def test_nothing_is_stopped_served_or_dropped_from_another_thread(
    tmp_path: Path, verb: str
) -> None:
    async with Runtime([Counter], data_dir=tmp_path / "data") as runtime:

        async def ask() -> None:
            async with asyncio.timeout(5):
                match verb:
                    case "stop":
                        await runtime.stop()
                    case "serve":
                        await runtime.serve(port=0)
                    case _:
                        runtime.suspend_idle()

        with pytest.raises(ContextMisuseError, match="run_coroutine_threadsafe"):
            await asyncio.to_thread(asyncio.run, ask())
        assert runtime.health == "ok"
        assert await runtime.object(Counter, "a").add() == 1
        assert runtime.statistics().invocations_completed == 1


async def test_a_runtime_that_is_not_started_says_how(tmp_path: Path) -> None:
    runtime = Runtime([Counter], data_dir=tmp_path / "data")
    with pytest.raises(RuntimeClosedError, match=r"it is new, and is started by `async with"):
        await runtime.object(Counter, "a").add()
