"""Every request of a recorded conversation with a Restate server, asked of a runtime over HTTP.

``restate_answers.json`` is what restate 1.7.12 answered. What Holdfast answers is the same, unless
``restate_differences`` says otherwise, and why; ``docs/restate.md`` shows the same list.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeGuard

import aiohttp
import pytest

from holdfast import Runtime
from holdfast.ingress.admin.door import ADMIN_OPTIONS
from holdfast.ingress.admin.route import About
from holdfast.ingress.options import HttpOptions
from holdfast.ingress.server import serve, serve_admin
from holdfast.journal.memory import MemoryStore
from tests.ingress.restate_differences import (
    ALSO_SENT,
    DIFFERENCES,
    NOT_SENT,
    render,
)
from tests.ingress.restate_services import SERVICES
from tests.ingress.restate_stage import BEFORE, DURING, Reply, Stage, fill, nothing

ANSWERS = json.loads((Path(__file__).parent / "restate_answers.json").read_text())
NOT_COMPARED = {"date", "server", "content-length", "transfer-encoding", "connection"}
PAGE = Path(__file__).parents[2] / "docs" / "restate.md"

_PATTERNS = {
    "invocation id": r"inv_[0-9a-f]{32}",
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.]\d{3,9}(?:Z|[+]00:00)",
    "port": r"\d+",
    "...": r".*",
}


@asynccontextmanager
async def staged(number: int) -> AsyncGenerator[Stage]:
    """A fresh server, brought to where the request found Restate's."""
    origins = frozenset({"http://example.com"}) if number == 10 else frozenset[str]()
    async with (
        Runtime(SERVICES, store=MemoryStore()) as runtime,
        aiohttp.ClientSession() as session,
    ):
        callers = await serve(runtime, port=0, options=HttpOptions(origins=origins))
        about = About("1.2.3", lambda: f"http://127.0.0.1:{callers.port}/")
        admin = await serve_admin(
            runtime, host="127.0.0.1", port=0, options=ADMIN_OPTIONS, about=about
        )
        try:
            stage = Stage(runtime, session, {"callers": callers, "admin": admin})
            await BEFORE.get(number, nothing)(stage)
            yield stage
        finally:
            await session.close()
            for server in (callers, admin):
                await server.close(timedelta(0))


async def ask(stage: Stage, row: dict[str, Any]) -> Reply:
    body = row.get("body", "")
    sized: dict[str, Any] = body if is_map(body) else {}
    headers = {name: fill(value, stage.names) for name, value in row.get("headers", {}).items()}
    if "size" in sized:
        return await stage.ask_with_a_body_of(sized["size"], row["path"], headers)
    data = bytes.fromhex(sized["hex"]) if sized else fill(str(body), stage.names).encode()
    asking = asyncio.ensure_future(
        stage.ask(row["method"], fill(row["path"], stage.names), data, headers, row["door"])
    )
    if row["number"] in DURING:
        await stage.wait_received()
        await DURING[row["number"]](stage)
    return await asking


def is_map(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def find_mismatch(expected: dict[str, Any], reply: Reply, names: dict[str, str]) -> str | None:
    """Where the answer is another one."""
    if reply.status != expected["status"]:
        return f"status {reply.status}, not {expected['status']}: {reply.body[:300]!r}"
    headers = {
        name: value
        for name, value in expected.get("headers", {}).items()
        if (name, value) not in NOT_SENT
    }
    for name, value in headers.items():
        if not _fits(value, reply.headers.get(name), names):
            return f"{name}: {reply.headers.get(name)}, not {value}"
    more = reply.headers.keys() - headers.keys() - NOT_COMPARED - ALSO_SENT.keys()
    if more:
        return f"there is more: { {name: reply.headers[name] for name in more} }"
    return _find_body_mismatch(expected.get("body", ""), reply, names)


def _find_body_mismatch(body: Any, reply: Reply, names: dict[str, str]) -> str | None:
    if is_map(body):
        expected = bytes.fromhex(body["hex"]) if "hex" in body else None
        return None if reply.body == expected else f"body {reply.body[:80]!r}"
    if "json" not in reply.headers.get("content-type", ""):
        return None if _fits(body, reply.body.decode(), names) else f"body {reply.body[:200]!r}"
    try:
        wanted = json.loads(body)
    except ValueError:  # Cut short in the record.
        return f"body {reply.body[:200]!r}"
    found = json.loads(reply.body)
    return None if _fits(wanted, found, names) else f"body {json.dumps(found)}"


def _fits(
    expected: object, found: object, names: dict[str, str], *, is_message: bool = False
) -> bool:
    if is_map(expected) and is_map(found):
        return expected.keys() == found.keys() and all(
            _fits(expected[name], found[name], names, is_message=name == "message")
            for name in expected
        )
    if is_list(expected) and is_list(found):
        return len(expected) == len(found) and all(
            _fits(one, other, names) for one, other in zip(expected, found, strict=True)
        )
    if not isinstance(expected, str) or not isinstance(found, str):
        return type(expected) is type(found) and bool(expected == found)
    # A message may say more than Restate's, behind the same words.
    said = expected.rstrip(".") if is_message else expected
    pattern = "".join(
        _PATTERNS.get(part[1:-1], part) if part.startswith("<") else re.escape(part)
        for part in re.split(r"(<[a-z. ]+>)", fill(said, _without_ids(names)))
    )
    match = re.match if is_message else re.fullmatch
    return match(pattern, found, re.DOTALL) is not None


def _without_ids(names: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in names.items() if name != "invocation id"}


@pytest.mark.parametrize("row", ANSWERS, ids=[f"{row['number']}" for row in ANSWERS])
async def test_a_request_is_answered_as_restate_answers_it_or_as_the_list_says(
    row: dict[str, Any],
) -> None:
    difference = DIFFERENCES.get(row["number"])
    async with staged(row["number"]) as stage:
        reply = await ask(stage, row)
        mismatch = find_mismatch(row["answer"], reply, stage.names)
        if difference is None:
            assert mismatch is None, mismatch
            return
        assert mismatch is not None, "it is no difference any more: take it out of the list"
        instead = find_mismatch(difference.answer, reply, stage.names)
        assert instead is None, instead


def test_the_recorded_conversation_is_whole() -> None:
    assert [row["number"] for row in ANSWERS] == list(range(1, 98))
    assert DIFFERENCES.keys() <= {row["number"] for row in ANSWERS}


def test_the_page_for_users_of_restate_shows_the_same_list() -> None:
    titles = {row["number"]: row["title"] for row in ANSWERS}
    page = PAGE.read_text(encoding="utf-8")
    for part in render(titles):
        assert part in page
