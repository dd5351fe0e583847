"""What tables say is what the engine says, and what is not asked for is not read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from holdfast.ingress.sql.database import TABLES
from holdfast.ingress.sql.table import Table, time_text
from holdfast.journal import keys
from holdfast.objects.registry import Registry
from holdfast.runtime.views.invocations import scan_open
from holdfast.runtime.views.rows import Rows

from .stage import CLASSES, Approval, Cart, CountingView, Ids, ask, only, query, select, standing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.runtime.worlds import World


@pytest.fixture
async def work() -> AsyncIterator[tuple[World, Ids]]:
    async with standing() as found:
        world, ids = found
        ids.by_name["delegates"] = await world.runtime.object(Cart, "joe").delegate.send("zoe")
        await world.rest()
        yield found


async def test_what_an_invocation_is_at_is_what_the_engine_describes(
    work: tuple[World, Ids],
) -> None:
    world, ids = work
    await world.restart()
    rows = await query(world, "SELECT * FROM sys_invocation")
    assert {ids["suspended"], ids["delegates"]} <= {row["id"] for row in rows}
    for row in rows:
        info = await world.runtime.invocation(row["id"]).describe()
        assert (row["status"], row.get("last_failure", ""), row["journal_size"]) == (
            info.status,
            info.last_failure,
            info.entries,
        )
        for name, moment in (
            ("running_at", info.begun_at),
            ("completed_at", info.completed_at),
            ("scheduled_start_at", info.scheduled_for),
            ("next_retry_at", info.next_attempt_at),
        ):
            said_ms = None if moment is None else round(moment.timestamp() * 1000)
            assert row.get(name) == time_text(said_ms)


async def test_a_callee_names_its_caller_while_that_waits(work: tuple[World, Ids]) -> None:
    world, ids = work
    text = "SELECT invoked_by, invoked_by_id FROM sys_invocation WHERE target_service_key = 'zoe'"
    assert only(await query(world, text)) == {
        "invoked_by": "service",
        "invoked_by_id": ids["delegates"],
    }


async def test_steps_are_the_effects_that_the_engine_tells(work: tuple[World, Ids]) -> None:
    world, _ = work
    counted = 0
    done = only(await query(world, "SELECT id FROM sys_invocation WHERE idempotency_key = 'k1'"))
    await world.runtime.invocation(done["id"]).restart()
    await world.rest()
    for id_ in [row["id"] for row in await query(world, "SELECT DISTINCT id FROM sys_journal")]:
        rows = await query(world, select("*", "sys_step", id_) + " ORDER BY index")
        effects = (await world.runtime.invocation(id_).effects()).effects
        counted += len(rows)
        assert [(row["index"], row["name"], row["status"]) for row in rows] == [
            (each.index, each.name, each.status) for each in effects
        ]
        for row, each in zip(rows, effects, strict=True):
            assert (row.get("attempts"), row.get("last_failure"), row["idempotency_key"]) == (
                each.attempts,
                each.last_failure,
                each.idempotency_key,
            )
    assert counted == only(await query(world, "SELECT count(*) AS n FROM sys_step"))["n"]
    assert counted >= 2


async def test_awakeables_of_one_invocation_are_found_by_it(work: tuple[World, Ids]) -> None:
    world, ids = work
    text = f"SELECT id FROM sys_awakeable WHERE invocation_id = '{ids['suspended']}'"  # noqa: S608
    view = CountingView(world.store.view())
    found = only(ask(Rows(view, Registry([])), text))
    assert (found["id"].startswith("awk_"), view.rows) == (True, 1)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
async def test_each_column_says_something_of_some_row(
    work: tuple[World, Ids], table: Table
) -> None:
    world, _ = work
    await world.runtime.promise(Approval, "w3", "approved").reject("no")
    done = only(await query(world, "SELECT id FROM sys_invocation WHERE idempotency_key = 'k1'"))
    await world.runtime.invocation(done["id"]).restart()
    await world.rest()
    rows = await query(world, f"SELECT * FROM {table.name}")  # noqa: S608  # a table of ours
    assert {name for row in rows for name in row} == {column.name for column in table.columns}


@pytest.mark.parametrize(
    "table",
    # Limits are of a runtime, and in no row.
    [table for table in TABLES if table.name != "sys_limit"],
    ids=lambda table: table.name,
)
async def test_the_rows_alone_say_the_same(work: tuple[World, Ids], table: Table) -> None:
    world, _ = work
    left_out = {"kept_until", "journal_kept_until"}  # A directory does not say.
    text = f"SELECT * FROM {table.name}"  # noqa: S608  # a table of ours
    live = await query(world, text)
    alone = ask(Rows(world.store.view(), Registry(CLASSES)), text)
    assert alone == [
        {name: value for name, value in row.items() if name not in left_out} for row in live
    ]


async def test_what_is_purged_is_in_no_table(work: tuple[World, Ids]) -> None:
    world, _ = work
    id_ = only(await query(world, "SELECT id FROM sys_invocation WHERE idempotency_key = 'k1'"))[
        "id"
    ]
    assert await query(world, select("*", "sys_step", id_))
    await world.runtime.invocation(id_).purge()
    for table in ("sys_invocation", "sys_journal", "sys_step"):
        assert await query(world, select("*", table, id_)) == []


@pytest.mark.parametrize(
    ("text", "rows_max"),
    [
        ("SELECT count(*) AS n FROM sys_invocation WHERE status <> 'completed'", 40),
        ("SELECT count(*) AS n FROM sys_invocation WHERE 'completed' != status", 40),
        ("SELECT count(*) AS n FROM sys_invocation WHERE status IN ('paused', 'pending')", 80),
        ("SELECT count(*) AS n FROM sys_journal_events", 60),
    ],
)
async def test_asking_for_what_is_open_reads_nothing_completed(
    work: tuple[World, Ids], text: str, rows_max: int
) -> None:
    world, _ = work
    before = await query(world, text)
    assert before != [{"n": 0}]
    for number in range(200):
        await world.runtime.object(Cart, f"more{number}").add("tea")
    view = CountingView(world.store.view())
    assert ask(Rows(view, Registry(CLASSES)), text) == before
    assert view.rows <= rows_max


async def test_asking_for_what_is_completed_reads_nothing_open(work: tuple[World, Ids]) -> None:
    world, ids = work
    view = CountingView(world.store.view())
    text = "SELECT id FROM sys_invocation WHERE status = 'completed'"
    rows = ask(Rows(view, Registry(CLASSES)), text)
    assert ids["failed"] in {row["id"] for row in rows}
    assert view.rows == len(rows)


async def test_the_rows_of_the_runtime_itself_are_in_no_table(work: tuple[World, Ids]) -> None:
    world, _ = work
    secret = "kept-to-itself"
    world.store.write({keys.meta(secret): secret.encode(), keys.META + secret.encode(): b"x"})
    for table in TABLES:
        text = f"SELECT * FROM {table.name}"  # noqa: S608  # a table of ours
        shown = json.dumps(await query(world, text))
        assert secret not in shown
        assert secret.encode().hex() not in shown


async def test_a_search_that_finds_nothing_is_looked_at_row_by_row(
    work: tuple[World, Ids],
) -> None:
    """So that it rests and ends in time, although SQLite sees no row of it."""
    world, _ = work
    ticks: list[None] = []
    rows = Rows(world.store.view(), Registry(CLASSES), tick=lambda: ticks.append(None))
    assert [each for each in scan_open(rows) if each.last_failure == "never said"] == []
    assert len(ticks) >= 8
