"""Looks at the rows of a live runtime: in another thread, durable, and over when it is."""

import asyncio
import threading
from pathlib import Path

import pytest

from holdfast import Runtime, RuntimeClosedError, StoreFailedError
from holdfast.ingress.sql.queries import Queries
from holdfast.journal.memory import MemoryStore
from holdfast.runtime.engine import Engine
from holdfast.runtime.testing import ManualClock, SeededRandomness, settle
from holdfast.runtime.views.rows import Rows
from tests.runtime.held_threads import HeldThreads
from tests.sql.stage import Cart

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c"
COUNT = "SELECT count(*) AS n FROM state"


async def test_an_answer_leaves_when_what_it_shows_is_durable() -> None:
    threads = HeldThreads()
    runtime = Engine(
        [Cart],
        store=MemoryStore(),
        clock=ManualClock(),
        randomness=SeededRandomness(),
        threads=threads,
    )
    await runtime.start()
    adding = asyncio.ensure_future(runtime.object(Cart, "sam").add("tea"))
    await settle()
    answer = asyncio.ensure_future(Queries(runtime).answer("SELECT target FROM sys_invocation"))
    await settle()
    assert not answer.done()
    await threads.let_sync_end()
    assert answer.result() == b'{"rows":[{"target":"Cart/sam/add"}]}'
    adding.cancel()
    runtime.crash()


@pytest.mark.parametrize("how", ["stop", "crash"])
async def test_a_query_under_way_ends_with_the_runtime(tmp_path: Path, how: str) -> None:
    runtime = Runtime([Cart], data_dir=tmp_path / "data")
    await runtime.start()
    asked = asyncio.ensure_future(Queries(runtime).answer(ENDLESS))
    await asyncio.sleep(0)
    (thread,) = [each for each in threading.enumerate() if "looks" in each.name]
    if how == "stop":
        await runtime.stop()
        kind: type[Exception] = RuntimeClosedError
    else:
        runtime.crash()
        kind = StoreFailedError
    with pytest.raises(kind):
        await asked
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()


async def test_a_query_beside_an_endless_one_is_answered(tmp_path: Path) -> None:
    async with Runtime([Cart], data_dir=tmp_path / "data") as runtime:
        queries = Queries(runtime)
        endless = asyncio.ensure_future(queries.answer(ENDLESS))
        await asyncio.sleep(0)
        await runtime.object(Cart, "sam").add("tea")
        assert await queries.answer(COUNT) == b'{"rows":[{"n":2}]}'
        assert not endless.done()
        endless.cancel()


async def test_who_gives_up_while_it_waits_for_a_thread_leaves_nothing(tmp_path: Path) -> None:
    async with Runtime([Cart], data_dir=tmp_path / "data") as runtime:
        queries = Queries(runtime)
        asked = [asyncio.ensure_future(queries.answer(ENDLESS)) for _ in range(10)]
        await asyncio.sleep(0)
        for each in asked:
            each.cancel()
        await asyncio.wait(asked)
        assert await queries.answer("SELECT 1 AS a") == b'{"rows":[{"a":1}]}'


async def test_an_error_of_the_reader_is_the_answer(tmp_path: Path) -> None:
    def read(_: Rows) -> None:
        raise ZeroDivisionError

    async with Runtime([Cart], data_dir=tmp_path / "data") as runtime:
        with pytest.raises(ZeroDivisionError):
            await runtime.look(read)


async def test_no_count_is_ever_torn_while_others_write(tmp_path: Path) -> None:
    """Each turn adds an item and counts it; a query sees both or neither."""
    text = (
        "SELECT count(*) AS n FROM state AS i JOIN state AS t "
        "ON i.service_name = t.service_name AND i.service_key = t.service_key "
        "WHERE i.key = 'items' AND t.key = 'total' "
        "AND json_array_length(i.value_utf8) <> CAST(t.value_utf8 AS INTEGER)"
    )
    async with Runtime([Cart], data_dir=tmp_path / "data") as runtime:
        queries = Queries(runtime)

        async def write(key: str) -> None:
            for number in range(30):
                await runtime.object(Cart, key).add(str(number))

        writing = [asyncio.ensure_future(write(key)) for key in "abc"]
        looks = 0
        while not all(each.done() for each in writing):
            assert await queries.answer(text) == b'{"rows":[{"n":0}]}'
            looks += 1
        await asyncio.gather(*writing)
        assert looks > 3
