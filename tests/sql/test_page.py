"""``docs/sql.md`` says what there is, and its queries run."""

import re
from collections.abc import AsyncIterator

import pytest

from holdfast.ingress.sql.database import TABLES
from holdfast.ingress.sql.query import BYTES_MAX, ROWS_MAX, SECONDS_MAX
from tests.processes import ROOT
from tests.runtime.worlds import World

from .stage import query, standing

PAGE = (ROOT / "docs" / "sql.md").read_text(encoding="utf-8")
RECIPES: list[str] = re.findall(r"^```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
TYPED: list[str] = re.findall(r'"(SELECT [^"]*)"', PAGE)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with standing() as (found, _):
        yield found


def test_the_page_names_each_table_and_column() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == [
        (table.name, table.about, ", ".join(f"`{each.name}`" for each in table.columns))
        for table in TABLES
    ]


def test_the_page_names_the_bounds() -> None:
    assert f"at most {ROWS_MAX:,} rows and {BYTES_MAX >> 20} MiB" in PAGE
    assert SECONDS_MAX == 120


@pytest.mark.parametrize("text", RECIPES, ids=lambda text: text.splitlines()[0])
async def test_a_recipe_finds_something(world: World, text: str) -> None:
    assert await query(world, text)


@pytest.mark.parametrize("text", [text for text in TYPED if "..." not in text])
async def test_a_query_of_a_command_line_is_one(world: World, text: str) -> None:
    assert await query(world, text)
