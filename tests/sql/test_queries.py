"""Queries: what they may say, what they may cost, and that they see one moment."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import InvalidArgumentError, StoreFailedError
from holdfast.ingress.problems import RefusedError
from holdfast.ingress.sql.database import TABLES
from holdfast.ingress.sql.pace import Pace, QueryStoppedError
from holdfast.ingress.sql.queries import QUERIES_MAX, Queries
from holdfast.ingress.sql.query import QueryLimits, quote_index, run_query
from holdfast.journal.memory import MemoryStore
from holdfast.objects.registry import Registry
from holdfast.runtime.views.rows import Rows
from tests.runtime.worlds import World

from .stage import Cart, CountingView, Ids, query, select, standing

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c"


@pytest.fixture
async def work() -> AsyncIterator[tuple[World, Ids]]:
    async with standing() as found:
        yield found


def run(view: Any, text: str, *, seconds_max: float = 10, **limits: Any) -> list[dict[str, Any]]:
    rows = Rows(view, Registry([]))
    said = QueryLimits(seconds_max=seconds_max, **limits)
    return list(run_query(rows, text, Pace(seconds_max, rests=False), said))


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM state",
        "INSERT INTO state VALUES (1, 2, 3, 4, 5, 6)",
        "CREATE TABLE x(y)",
        "CREATE TEMP TABLE x(y)",
        "ATTACH '/etc/passwd' AS x",
        "PRAGMA temp_store_directory = '/tmp'",
        "PRAGMA writable_schema = 1",
        "VACUUM INTO '/tmp/x'",
        "SELECT load_extension('x')",
        "BEGIN",
        "DROP TABLE state",
    ],
)
def test_a_query_may_only_select(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="SQL error"):
        run(MemoryStore().view(), text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELEC", 'near "SELEC": syntax error'),
        ("SELECT * FROM sys_invocations", "did you mean 'sys_invocation'"),
        ("SELECT * FROM x", "there are sys_invocation, "),
        ("SELECT stats FROM sys_invocation", "did you mean 'status'"),
        ("SELECT 1; SELECT 2", "one query at a time"),
        ("", "the query is empty"),
        (" ; ", "the query is empty"),
        ("SELECT '\0'", "must not hold NUL"),
        ("SELECT " + "1+" * 40_000 + "1", "at most 65536 characters"),
    ],
)
def test_what_is_wrong_with_a_query_is_said(text: str, said: str) -> None:
    with pytest.raises(InvalidArgumentError) as raised:
        run(MemoryStore().view(), text)
    assert said in raised.value.message


def test_sqlite_says_which_columns_there_are() -> None:
    rows = run(MemoryStore().view(), "SELECT name, type FROM pragma_table_info('sys_limit')")
    assert rows[0] == {"name": "name", "type": "TEXT"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT CAST(x'ff' AS TEXT)", "is not Unicode"),
        ("SELECT '\ud800'", "is not Unicode"),
        ("[" * 60_000, "unrecognized token"),
        ("-- nothing", "the query is empty"),
    ],
)
def test_a_text_that_is_none_is_refused_quickly(text: str, said: str) -> None:
    with pytest.raises(InvalidArgumentError) as raised:
        run(MemoryStore().view(), text, seconds_max=1)
    assert said in raised.value.message
    assert len(raised.value.message) < 500


ZEROS = "hex(zeroblob(10000000))"


@pytest.mark.parametrize(
    "text",
    [
        f"SELECT instr({ZEROS}, {ZEROS} || 'x')",
        f"SELECT replace({ZEROS}, {ZEROS} || 'x', '')",
        f"SELECT replace({ZEROS}, '0', {ZEROS})",
        f"SELECT {ZEROS} LIKE {ZEROS}",
        f"SELECT {ZEROS} GLOB {ZEROS}",
        f"SELECT trim({ZEROS}, replace({ZEROS}, '0', '1') || '0')",
        f"SELECT ltrim({ZEROS}, '0')",
        f"SELECT unhex(replace({ZEROS}, '0', 'x'), replace({ZEROS}, '0', 'y') || 'x')",
        "SELECT json_patch('{}', '{}')",
        "SELECT JSONB_PATCH('{}', '{}')",
    ],
)
def test_no_search_within_a_text_takes_hours(text: str) -> None:
    """SQLite looks at no time while one function runs."""
    with pytest.raises(InvalidArgumentError):
        run(MemoryStore().view(), text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("instr('abc', 'c')", 3),
        ("instr('abc', 'x')", 0),
        ("instr('abc', NULL)", None),
        ("instr(x'0102', x'02')", 2),
        ("instr(123, 3)", 3),
        ("replace('a-b-c', '-', '+')", "a+b+c"),
        ("replace('abc', '', 'x')", "abc"),
        ("replace(NULL, 'a', 'b')", None),
        ("replace(1221, 2, '3')", "1331"),
        ("trim('xyaxbyx', 'xy')", "axb"),
        ("ltrim('xyaxbyx', 'xy')", "axbyx"),
        ("rtrim('xyaxbyx', 'xy')", "xyaxb"),
        ("trim('abc', '')", "abc"),
        ("trim(5, '5')", ""),
        ("trim('a', NULL)", None),
        ("trim('  a ')", "a"),
        ("hex(unhex('4142'))", "4142"),
    ],
)
def test_searching_within_a_text_finds_what_sqlite_finds(text: str, value: object) -> None:
    (row,) = run(MemoryStore().view(), f"SELECT {text} AS a")
    assert row.get("a") == value
    sqlite: Any = apsw.Connection(":memory:")  # its stubs are only partly known
    assert sqlite.execute(f"SELECT {text}").fetchall() == [(value,)]


def test_what_json_has_no_number_for_is_a_text() -> None:
    assert run(MemoryStore().view(), "SELECT 9e999 AS a") == [{"a": "inf"}]


def test_columns_of_one_name_are_all_there() -> None:
    found = run(MemoryStore().view(), "SELECT 1 AS a, 2 AS a, 3 AS a_2, 4 AS a")
    assert found == [{"a": 1, "a_2": 2, "a_2_2": 3, "a_3": 4}]


@pytest.mark.parametrize("text", ["SELECT 1 AS a;", "SELECT 1 AS a; -- done", "SELECT 1 a /*;*/"])
def test_what_follows_a_query_may_say_nothing(text: str) -> None:
    assert run(MemoryStore().view(), text) == [{"a": 1}]


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("SELECT index FROM x ORDER BY INDEX", 'SELECT "index" FROM x ORDER BY "INDEX"'),
        ("SELECT 'index' -- index", "SELECT 'index' -- index"),
        ('SELECT "index", [index], `index`', 'SELECT "index", [index], `index`'),
        ("SELECT 'it''s index' /* index", "SELECT 'it''s index' /* index"),
        ("SELECT indexes, x.index", 'SELECT indexes, x."index"'),
    ],
)
def test_a_column_called_index_needs_no_quotes(text: str, quoted: str) -> None:
    assert quote_index(text) == quoted


async def test_an_id_a_service_or_a_key_reads_no_other_rows(work: tuple[World, Ids]) -> None:
    world, ids = work
    everything = CountingView(world.store.view())
    run(everything, "SELECT * FROM sys_invocation, state")
    for text, rows_max in (
        (select("id", "sys_invocation", ids["failed"]), 2),
        (select("id", "sys_journal", ids["failed"]), 3),
        (select("id", "sys_invocation", ids["failed"]) + " AND id IN ('nonsense')", 2),
        ("SELECT key FROM state WHERE service_name = 'Cart' AND service_key = 'sam'", 3),
        ("SELECT key FROM state WHERE service_name = 'Nobody'", 0),
        ("SELECT id FROM sys_inbox WHERE service_name = 'Cart' AND service_key = 'sam'", 1),
    ):
        view = CountingView(world.store.view())
        run(view, text)
        assert view.rows <= rows_max, text
        assert view.rows < everything.rows


async def test_a_comparison_by_other_rules_finds_what_it_should(work: tuple[World, Ids]) -> None:
    world, _ = work
    text = "SELECT count(*) AS n FROM state WHERE service_name = 'CART' COLLATE NOCASE"
    assert await query(world, text) == [{"n": 2}]
    await world.runtime.object(Cart, "5").add("x")
    assert await query(world, "SELECT DISTINCT service_key FROM state WHERE service_key = 5") == [
        {"service_key": "5"}
    ]


async def test_a_query_sees_one_moment_whatever_is_written_meanwhile(
    work: tuple[World, Ids],
) -> None:
    world, _ = work
    before = (await query(world, "SELECT count(*) AS n FROM sys_invocation"))[0]["n"]
    view = world.store.view()
    rows = run_query(
        Rows(view, Registry([])),
        "SELECT id FROM sys_invocation",
        Pace(10, rests=False),
        QueryLimits(),
    )
    next(rows)
    for number in range(20):
        await world.runtime.object(Cart, f"new{number}").add("x")
    assert 1 + sum(1 for _ in rows) == before


@pytest.mark.parametrize(
    ("text", "limits", "said"),
    [
        ("SELECT * FROM sys_invocation", {"rows_max": 3}, "more than 3 rows"),
        ("SELECT * FROM sys_invocation", {"bytes_max": 100}, "larger than 100 bytes"),
    ],
)
async def test_an_answer_that_is_too_large_is_refused_whole(
    work: tuple[World, Ids], text: str, limits: dict[str, int], said: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=said):
        await query(work[0], text, **limits)


def test_a_query_that_reads_no_rows_has_an_end_too() -> None:
    with pytest.raises(InvalidArgumentError, match="took more than"):
        run(MemoryStore().view(), ENDLESS, seconds_max=0.01)


def test_the_time_is_looked_at_however_few_instructions_a_query_has() -> None:
    """With values of many megabytes, five thousand of them take minutes."""
    looks = 0

    def is_stopped() -> bool:
        nonlocal looks
        looks += 1
        return False

    text = ENDLESS.replace(") SELECT", " LIMIT 1000) SELECT")
    rows = Rows(MemoryStore().view(), Registry([]))
    assert list(run_query(rows, text, Pace(10, is_stopped=is_stopped), QueryLimits()))
    assert looks >= 50


@pytest.mark.parametrize("end", ["ORDER BY y", "GROUP BY y", "UNION SELECT x, 2 FROM c"])
def test_what_a_query_sorts_or_compares_does_not_fill_the_disk(end: str) -> None:
    many = ENDLESS.replace("max(x)", "x, zeroblob(1000) || x AS y") + f" {end}"
    with pytest.raises(InvalidArgumentError, match="sorts or compares too much at once"):
        run(MemoryStore().view(), many, temporary_bytes_max=1 << 20)
    few = many.replace(") SELECT", " LIMIT 5000) SELECT")
    assert len(run(MemoryStore().view(), few)) >= 5000


def test_as_many_columns_of_one_name_as_there_may_be_are_named_at_once() -> None:
    text = f"SELECT {', '.join(['1 AS a'] * 1998)}, 2 AS a_2, 3 AS b"
    (row,) = run(MemoryStore().view(), text, seconds_max=1)
    assert len(row) == 2000
    assert (row["a"], row["a_2"], row["a_1998"], row["a_2_2"], row["b"]) == (1, 1, 1, 2, 3)


async def test_the_query_after_the_last_one_that_may_wait_is_refused() -> None:
    engine = HeldEngine()
    queries = Queries(engine)
    waiting = [asyncio.ensure_future(queries.answer("SELECT 1 AS a")) for _ in range(QUERIES_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(RefusedError, match="are under way"):
        await queries.answer("SELECT 1")
    engine.go.set()
    assert await asyncio.gather(*waiting) == [b'{"rows":[{"a":1}]}'] * QUERIES_MAX
    assert await queries.answer("SELECT 1 AS a") == b'{"rows":[{"a":1}]}'


async def test_a_query_that_is_given_up_ends() -> None:
    engine = HeldEngine()
    asked = asyncio.ensure_future(Queries(engine).answer(ENDLESS))
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.wait([asked])
    assert engine.read is not None
    with pytest.raises(QueryStoppedError):
        engine.read(Rows(MemoryStore().view(), Registry([])))


class HeldEngine:
    """Lets nobody read before it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.read: Callable[[Rows], Any] | None = None

    async def look(self, read: Callable[[Rows], Any]) -> Any:
        self.read = read
        await self.go.wait()
        return read(Rows(MemoryStore().view(), Registry([])))


async def test_a_closed_view_ends_a_query(work: tuple[World, Ids]) -> None:
    view = work[0].store.view()
    rows = run_query(
        Rows(view, Registry([])), "SELECT id FROM sys_journal", Pace(10), QueryLimits()
    )
    next(rows)
    view.close()
    with pytest.raises(StoreFailedError):
        list(rows)


NAMES = st.sampled_from(
    [*(table.name for table in TABLES), *(each.name for each in TABLES[0].columns)]
)
WORDS = st.sampled_from(
    [
        *("SELECT", "FROM", "WHERE", "index", "id", "*", ",", "(", ")", "=", "'x'", '"', "`", "["),
        *(";", "--", "/*", "*/", "NULL", "COUNT", "ORDER", "BY", "LIMIT", "1", "UNION", "WITH"),
        *("RECURSIVE", "AS", "JOIN", "ON", "LIKE", "GLOB", "IN", "MATCH"),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=40), st.lists(NAMES | WORDS, max_size=14).map(" ".join)))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    with suppress(InvalidArgumentError):
        run(MemoryStore().view(), text, seconds_max=1)
