"""What each table shows of work that stands wherever work can stand."""

import json
from collections.abc import AsyncIterator

import pytest

from holdfast.ingress.sql.database import TABLES
from holdfast.ingress.sql.table import Table
from tests.runtime.worlds import World

from .stage import Cart, Ids, only, query, select, standing


@pytest.fixture
async def work() -> AsyncIterator[tuple[World, Ids]]:
    async with standing() as found:
        yield found


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
async def test_every_column_can_be_read_of_every_row(work: tuple[World, Ids], table: Table) -> None:
    world, _ = work
    rows = await query(world, f"SELECT * FROM {table.name}")  # noqa: S608  # a table of ours
    assert rows
    for column in table.columns:
        counted = await query(world, f'SELECT count("{column.name}") AS n FROM {table.name}')  # noqa: S608
        assert counted[0]["n"] == sum(column.name in row for row in rows)


async def test_an_invocation_stands_where_its_description_says(work: tuple[World, Ids]) -> None:
    world, _ = work
    rows = await query(world, "SELECT id, status FROM sys_invocation")
    assert {row["status"] for row in rows} == {
        *("completed", "suspended", "pending", "paused", "backing-off", "scheduled"),
    }
    for row in rows:
        info = await world.runtime.invocation(row["id"]).describe()
        assert (row["id"], row["status"]) == (info.id, info.status)


async def test_an_invocation_is_told_of_in_restates_words(work: tuple[World, Ids]) -> None:
    world, ids = work
    row = only(await query(world, "SELECT * FROM sys_invocation WHERE idempotency_key = 'k1'"))
    said = {
        "target": "Cart/sam/add",
        "target_service_name": "Cart",
        "target_service_key": "sam",
        "target_handler_name": "add",
        "target_service_ty": "virtual_object",
        "status": "completed",
        "completion_result": "success",
        "journal_size": 3,
    }
    assert said.items() <= row.items()
    failed = only(await query(world, select("*", "sys_invocation", ids["failed"])))
    assert failed["completion_failure"] == "[422] never"
    assert "last_failure" not in failed


async def test_a_journal_is_shown_entry_by_entry(work: tuple[World, Ids]) -> None:
    world, _ = work
    rows = await query(
        world,
        "SELECT index, entry_type, name, completed, completes_index, entry_json FROM sys_journal "
        "WHERE id = (SELECT id FROM sys_invocation WHERE idempotency_key = 'k1') ORDER BY index",
    )
    assert [row["entry_type"] for row in rows] == [
        "Command: Input",
        "Command: Run",
        "Notification: Run",
    ]
    assert rows[1]["name"] == "note"
    assert rows[1]["completed"] is True
    assert rows[2]["completes_index"] == 1
    assert json.loads(rows[0]["entry_json"])["Command"]["Input"]["payload"] == "tea"
    assert json.loads(rows[2]["entry_json"])["Notification"]["Run"]["result"] == {
        "Success": {"noted": 1}
    }


async def test_state_is_json_and_its_bytes_hex(work: tuple[World, Ids]) -> None:
    world, _ = work
    rows = await query(world, "SELECT * FROM state WHERE service_key = 'sam' ORDER BY key")
    assert rows == [
        {
            "service_name": "Cart",
            "service_key": "sam",
            "key": "items",
            "key_length": 5,
            "value_utf8": '["tea"]',
            "value": b'["tea"]'.hex(),
            "value_length": 7,
        },
        {
            "service_name": "Cart",
            "service_key": "sam",
            "key": "total",
            "key_length": 5,
            "value_utf8": "1",
            "value": "31",
            "value_length": 1,
        },
    ]


async def test_who_holds_a_turn_and_who_waits_for_it(work: tuple[World, Ids]) -> None:
    world, ids = work
    held = await query(world, "SELECT * FROM sys_keyed_service_status WHERE service_key = 'sam'")
    assert only(held)["invocation_id"] == ids["suspended"]
    waits = only(await query(world, "SELECT id, mode FROM sys_inbox WHERE service_name = 'Cart'"))
    assert waits == {"id": ids["pending"], "mode": "queue"}
    interrupt = await world.runtime.object(Cart, "sam", mode="interrupt").add.send("now")
    modes = await query(world, "SELECT id, mode FROM sys_inbox")
    assert {row["id"]: row["mode"] for row in modes}.get(interrupt) in {None, "interrupt"}


async def test_a_promise_is_open_until_it_is_completed(work: tuple[World, Ids]) -> None:
    world, _ = work
    rows = await query(world, "SELECT * FROM sys_promise ORDER BY service_key")
    assert rows[0] == {
        "service_name": "Approval",
        "service_key": "w1",
        "key": "approved",
        "completed": False,
    }
    assert rows[1]["completed"] is True
    assert rows[1]["completion_success_value_utf8"] == '"eve"'


async def test_what_is_waited_for(work: tuple[World, Ids]) -> None:
    world, ids = work
    asked = only(await query(world, "SELECT * FROM sys_awakeable"))
    assert asked["invocation_id"] == ids["suspended"]
    assert json.loads(asked["message"]) == {"may": "it?"}
    assert asked["service_key"] == "sam"
    kinds = await query(world, "SELECT kind, invocation_id FROM sys_timer ORDER BY due_at")
    assert {(row["kind"], row["invocation_id"]) for row in kinds} == {
        ("step_retry", ids["backing-off"]),
        ("sleep", ids["sleeping"]),
        ("start", ids["scheduled"]),
        ("awakeable", ids["suspended"]),
    }
    failed = "SELECT name, last_failure, retry_count FROM sys_step WHERE status = 'failed'"
    step = only(await query(world, failed))
    assert step["name"] == "unlucky"
    assert "no luck" in step["last_failure"]


async def test_what_is_paused_or_fails_says_why(work: tuple[World, Ids]) -> None:
    world, ids = work
    events = await query(world, "SELECT * FROM sys_journal_events")
    found = {event["id"]: (event["event_type"], event["event_json"]) for event in events}
    assert set(found) == {ids["paused"], ids["backing-off"]}
    assert found[ids["paused"]][0] == "Paused"
    assert "stopped" in found[ids["paused"]][1]
    assert found[ids["backing-off"]][0] == "TransientError"
    assert json.loads(found[ids["backing-off"]][1])["step"] == 1


async def test_an_edit_of_state_shows_no_handler_of_ours(work: tuple[World, Ids]) -> None:
    world, _ = work
    rows = await query(world, "SELECT * FROM sys_service ORDER BY name")
    assert [(row["name"], row["ty"]) for row in rows] == [
        ("Approval", "workflow"),
        ("Cart", "virtual_object"),
        ("Mailer", "service"),
    ]
    assert rows[1]["handlers"] == "add, ask, delegate, look, refuse, retry, stumble"
