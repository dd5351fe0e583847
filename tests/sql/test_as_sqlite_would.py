"""The tables answer as tables of SQLite's own would that hold the same rows."""

from typing import Any

import apsw
import pytest

from holdfast.ingress.sql.database import TABLES, open_database
from holdfast.runtime.views.rows import Rows

from .stage import standing


def fill(rows: Rows) -> Any:
    """A database of plain tables with what the tables show."""
    plain: Any = apsw.Connection(":memory:")  # its stubs are only partly known
    for table in TABLES:
        columns = ", ".join(f'"{each.name}" {each.kind}' for each in table.columns)
        plain.execute(f"CREATE TABLE {table.name}({columns})")
        places = ", ".join("?" * len(table.columns))
        for row in table.find(rows, {}):
            values = [each.get(row) for each in table.columns]
            plain.execute(f"INSERT INTO {table.name} VALUES ({places})", values)  # noqa: S608  # ours
    return plain


def compare(rows: Rows, text: str) -> None:
    with open_database(rows, lambda: None, lambda: None) as opened:
        ours: Any = opened
        found = sorted(map(repr, ours.execute(text)))
    expected = sorted(map(repr, fill(rows).execute(text)))
    assert expected, "the query shows nothing, so it compares nothing"
    assert found == expected


@pytest.mark.parametrize(
    "where",
    [
        "id = '{failed}' OR status != 'completed'",
        "id = '{failed}' OR status = 'completed'",
        "id = '{suspended}' OR (status = 'suspended' AND id != '{paused}')",
        "id IN ('{failed}', '{paused}', '{failed}') OR status = 'pending'",
        "status NOT IN ('completed', 'paused')",
    ],
)
async def test_either_of_two_conditions_finds_each_invocation_once(where: str) -> None:
    async with standing() as (world, ids):
        text = f"SELECT * FROM sys_invocation WHERE {where.format_map(ids.by_name)}"  # noqa: S608  # ours
        await world.runtime.look(lambda rows: compare(rows, text))


@pytest.mark.parametrize(
    "text",
    [
        (
            "SELECT * FROM sys_keyed_service_status WHERE service_name IN ('Cart')"
            " OR (service_name = 'Approval' AND service_key = 'w1') OR service_name = 'Cart'"
        ),
        (
            "SELECT * FROM state WHERE service_name = 'Cart'"
            " OR (service_name = 'Cart' AND service_key = 'sam')"
        ),
        (
            "SELECT * FROM sys_timer t RIGHT JOIN sys_journal_events e"
            " ON e.id IN ('{backing-off}', 'nonsense') WHERE t.\"index\" IS NOT 1"
        ),
        (
            "SELECT * FROM sys_journal j FULL JOIN sys_journal_events e"
            " ON (j.id = e.id OR e.id = '{backing-off}') WHERE j.appended_at IS NULL"
        ),
        (
            "SELECT * FROM sys_inbox i LEFT JOIN sys_keyed_service_status s"
            " ON i.service_name = s.service_name AND i.service_key = s.service_key"
        ),
    ],
)
async def test_a_row_that_is_met_again_is_known_again(text: str) -> None:
    async with standing() as (world, ids):
        await world.runtime.look(lambda rows: compare(rows, text.format_map(ids.by_name)))
