"""Links to one awakeable: what a signature opens, what it does not, and what a browser is shown."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from holdfast import Context, InvalidArgumentError, TerminalError, VirtualObject, handler, state
from holdfast.ingress.callers import CallersDoor
from holdfast.ingress.links import BODY_BYTES_MAX
from holdfast.ingress.messages import Head, Request, Response
from holdfast.ingress.options import HttpOptions
from holdfast.journal import keys
from holdfast.testing.rows import read_state
from holdfast.testing.worlds import World

BASE = "https://agents.example.com/agents"
OPTIONS = HttpOptions(
    tokens=["a-token-of-enough-characters"], hosts=frozenset({"agents.example.com"})
)
FORM = {"content-type": "application/x-www-form-urlencoded"}
JSON = {"content-type": "application/json"}


class Expense(VirtualObject):
    approve: str = state("")
    decline: str = state("")
    open_: str = state("")
    answer: Any = state(None)

    @handler
    async def ask(self, ctx: Context, message: Any) -> Any:
        awakeable = ctx.awakeable(message=message)
        days = timedelta(days=2)
        self.approve = awakeable.link("resolve", {"ok": True}, expires_in=days, base=BASE)
        self.decline = awakeable.link("reject", "too much", expires_in=days, base=f"{BASE}/")
        self.open_ = awakeable.link(expires_in=days)
        await ctx.run("mail", lambda: None)
        self.answer = await awakeable
        return self.answer

    @handler
    async def ask_for_a_number(self, ctx: Context) -> int:
        awakeable = ctx.awakeable(int, timeout=3600)
        self.approve = awakeable.link("resolve", "no number", expires_in=timedelta(days=2))
        self.open_ = awakeable.link(expires_in=timedelta(days=2))
        await ctx.run("mail", lambda: None)
        return await awakeable

    @handler
    async def ask_twice(self, ctx: Context) -> None:
        self.approve = ctx.awakeable().link(expires_in=timedelta(days=2))
        await ctx.object(Expense, "other").keep.send(self.approve)
        await ctx.sleep(timedelta(hours=1))
        self.answer = [self.approve, ctx.awakeable().link(expires_in=timedelta(days=2))]
        await ctx.sleep(timedelta(days=1))

    @handler
    async def keep(self, ctx: Context, link: str) -> None:
        self.approve = link


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World([Expense])
    await world.start()
    yield world
    world.close()


@dataclass(frozen=True)
class Browser:
    """Somebody who has a link and nothing else."""

    world: World

    async def use(
        self,
        method: str,
        link: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Response:
        parts = urlsplit(link)
        path = f"{parts.path.removeprefix('/agents')}?{parts.query}"
        head = Head(method, path, {"host": "agents.example.com", **(headers or {})})
        return await CallersDoor(self.world.runtime, OPTIONS).respond(Request(head, body))


async def begin(world: World, message: str = "May sam spend 40 euros?") -> dict[str, str]:
    """Ask, and give what the object then holds: the links."""
    await world.runtime.object(Expense, "sam").ask.send(message)
    await world.rest()
    return read_state(world.store)["Expense/sam"]


async def read_answer(world: World) -> Any:
    await world.rest()
    return read_state(world.store)["Expense/sam"].get("answer")


async def test_a_link_shows_what_is_asked_and_changes_nothing(world: World) -> None:
    links = await begin(world)
    written = world.runtime.statistics().rows_written

    for method in ("GET", "HEAD", "GET"):
        page = await Browser(world).use(method, links["approve"])
        assert page.status == 200

    assert b"May sam spend 40 euros?" in page.body
    assert b'<form method="post">' in page.body
    assert b"&quot;ok&quot;: true" in page.body
    assert world.runtime.statistics().rows_written == written
    assert await read_answer(world) is None


async def test_the_button_answers_and_a_second_time_changes_nothing(world: World) -> None:
    links = await begin(world)
    browser = Browser(world)
    # As a browser sends it: from a page without a referrer, opened from a mail of another site.
    headers = {**FORM, "origin": "null", "sec-fetch-site": "cross-site"}

    first = await browser.use("POST", links["approve"], headers)
    answer = await read_answer(world)
    again = await browser.use("POST", links["decline"], headers)
    shown = await browser.use("GET", links["approve"], {"sec-fetch-site": "cross-site"})

    assert (first.status, answer) == (200, {"ok": True})
    assert b"Your answer was taken" in first.body
    assert (again.status, shown.status) == (200, 200)
    assert b"Nothing left to do" in again.body
    assert b"Nothing left to do" in shown.body
    assert await read_answer(world) == {"ok": True}


async def test_a_link_to_reject_says_why(world: World) -> None:
    call = asyncio.ensure_future(world.runtime.object(Expense, "sam").ask("?"))
    await world.rest()
    links = read_state(world.store)["Expense/sam"]

    await Browser(world).use("POST", links["decline"], FORM)

    with pytest.raises(TerminalError, match="too much"):
        await call


async def test_a_program_may_say_the_value_where_the_link_does_not(world: World) -> None:
    links = await begin(world)
    browser = Browser(world)

    fixed = await browser.use("POST", links["approve"], JSON, b'{"ok":false}')
    open_ = await browser.use("POST", links["open_"], JSON, b'{"seen":1}')

    assert (fixed.status, open_.status, open_.body) == (400, 202, b"")
    assert await read_answer(world) == {"seen": 1}


async def test_a_program_that_comes_second_is_told_that_nothing_was_changed(world: World) -> None:
    links = await begin(world)
    browser = Browser(world)

    first = await browser.use("POST", links["approve"], {})
    second = await browser.use("POST", links["decline"], {})

    assert (first.status, "x-holdfast-unchanged" in first.headers) == (202, False)
    assert (second.status, "x-holdfast-unchanged" in second.headers) == (202, True)


async def test_whoever_has_only_a_link_says_no_more_than_an_answer(world: World) -> None:
    links = await begin(world)
    browser = Browser(world)
    longest = b'"' + b"x" * (BODY_BYTES_MAX - 2) + b'"'

    longer = await browser.use("POST", links["open_"], JSON, longest + b" ")
    pressed = await browser.use("POST", links["approve"], JSON, longest + b" ")
    assert (longer.status, pressed.status) == (413, 413)
    assert await read_answer(world) is None

    assert (await browser.use("POST", links["open_"], JSON, longest)).status == 202
    assert await read_answer(world) == longest[1:-1].decode()


def tamper(link: str) -> dict[str, str]:
    """Links that are nearly the one that was signed."""
    parts = urlsplit(link)
    given = {name: values[0] for name, values in parse_qs(parts.query).items()}

    def with_(path: str = parts.path, **changes: str | None) -> str:
        said = {**given, **changes}
        pairs = [f"{name}={quote(value)}" for name, value in said.items() if value is not None]
        return f"{path}?{'&'.join(pairs)}"

    signature = given["signature"]
    other_end = "A" if signature[-1] != "A" else "B"
    return {
        "another verb": with_(parts.path.replace("/resolve", "/reject")),
        "another awakeable": with_(re.sub(r"[0-9a-f]{8}/", "00000000/", parts.path)),
        "later": with_(expires=str(int(given["expires"]) + 1)),
        "for ever": with_(expires="9" * 11),
        "no expiry": with_(expires=None),
        "an odd expiry": with_(expires=f"+{given['expires']}"),
        "a padded expiry": with_(expires=f"0{given['expires']}"),
        "another value": with_(value='{"ok":false}'),
        "the same value, spelled otherwise": with_(value='{"ok": true}'),
        "no value": with_(value=None),
        "an empty value": with_(value=""),
        "no signature": with_(signature=""),
        "a shorter signature": with_(signature=signature[:-1]),
        "a longer signature": with_(signature=signature + "="),
        "another spelling of the signature": with_(signature=signature[:-1] + other_end),
        "no text": f"{parts.path}?{parts.query}%ff",
        "two expiries": f"{parts.path}?{parts.query}&expires=99999999999",
        "two signatures": f"{parts.path}?signature=x&{parts.query}",
        "many parameters": f"{parts.path}?{parts.query}{'&a=b' * 100}",
        "a line break": with_(value=given["value"] + "\n"),
    }


@pytest.mark.parametrize(
    "name", tamper("/restate/awakeables/awk_00000000/resolve?expires=1&value=x&signature=y")
)
async def test_a_link_that_was_changed_is_refused_without_a_word_of_why(
    world: World, name: str
) -> None:
    links = await begin(world)
    browser = Browser(world)
    changed = tamper(links["approve"])[name]

    shown = await browser.use("GET", changed)
    pressed = await browser.use("POST", changed, FORM)
    told = await browser.use("POST", changed)

    assert [shown.status, pressed.status, told.status] == [403, 403, 403]
    assert json.loads(told.body)["message"] == "this link is not valid"
    assert await read_answer(world) is None


async def test_no_character_of_a_link_can_be_another_one(world: World) -> None:
    link = (await begin(world))["approve"].removeprefix(BASE)
    browser = Browser(world)
    assert (await browser.use("POST", link + "&x=", JSON)).status == 202
    await world.restart()
    link = (await begin(world, "again"))["approve"].removeprefix(BASE)

    for position in range(1, len(link)):
        for other in "0A=&%":
            if link[position] != other:
                changed = f"{link[:position]}{other}{link[position + 1 :]}"
                assert (await browser.use("POST", changed)).status >= 400, changed
    assert (await browser.use("GET", link)).body.count(b"<form") == 1


async def test_a_token_does_not_make_a_bad_link_good(world: World) -> None:
    links = await begin(world)
    headers = {**JSON, "authorization": "Bearer a-token-of-enough-characters"}
    bad = tamper(links["approve"])["another value"]
    assert (await Browser(world).use("POST", bad, headers)).status == 403
    assert await read_answer(world) is None


async def test_an_awakeable_without_a_link_still_needs_a_token(world: World) -> None:
    links = await begin(world)
    path = urlsplit(links["approve"]).path
    assert (await Browser(world).use("POST", path, JSON, b"1")).status == 401
    assert (await Browser(world).use("GET", path)).status == 401


async def test_parameters_that_a_mail_program_adds_say_nothing(world: World) -> None:
    links = await begin(world)
    assert (await Browser(world).use("GET", links["approve"] + "&utm_source=x")).status == 200


@pytest.mark.parametrize(("seconds", "status"), [(-1, 200), (0, 410), (1, 410)])
async def test_a_link_works_until_its_time_is_over(world: World, seconds: int, status: int) -> None:
    links = await begin(world)
    expires = int(parse_qs(urlsplit(links["approve"]).query)["expires"][0])
    await world.clock.advance(expires + seconds - world.clock.now_ms() / 1000)

    shown = await Browser(world).use("GET", links["approve"])
    pressed = await Browser(world).use("POST", links["approve"], FORM)

    assert (shown.status, pressed.status) == (status, status)
    assert await read_answer(world) == ({"ok": True} if status == 200 else None)


async def test_a_link_works_after_a_crash_and_a_replay_makes_the_same_one(world: World) -> None:
    links = await begin(world)
    await world.restart()
    await world.rest()
    assert read_state(world.store)["Expense/sam"] == links

    await Browser(world).use("POST", links["approve"], FORM)

    assert await read_answer(world) == {"ok": True}


async def test_a_link_that_was_given_out_survives_a_power_cut(world: World) -> None:
    links = await begin(world)
    awakeable = urlsplit(links["approve"]).path.split("/")[4]
    await world.runtime.rotate_link_keys(revoke=True)
    link = await world.runtime.awakeable_link(awakeable, expires_in=60)
    await world.restart(keep_written=False)

    assert (await Browser(world).use("GET", link)).status == 200
    assert (await Browser(world).use("GET", links["approve"])).status == 403


async def test_a_replay_makes_the_same_links_also_after_the_key_was_replaced(
    world: World,
) -> None:
    await world.runtime.object(Expense, "sam").ask_twice.send()
    await world.rest()
    await world.clock.advance(60)
    await world.runtime.rotate_link_keys(revoke=True)
    before = read_state(world.store)["Expense/sam"]["approve"]
    await world.restart()
    await world.clock.advance(7200)
    await world.rest()

    # The first one is also the argument of a send, so another one would be a mismatch.
    first, second = await read_answer(world)
    assert first == before == read_state(world.store)["Expense/other"]["approve"]
    browser = Browser(world)
    assert (await browser.use("GET", first)).status == 403
    assert (await browser.use("GET", second)).status == 200


async def test_links_outlive_a_rotation_unless_they_are_revoked(world: World) -> None:
    links = await begin(world)
    browser = Browser(world)

    await world.runtime.rotate_link_keys()
    kept = await browser.use("GET", links["approve"])
    await world.runtime.rotate_link_keys(revoke=True)
    revoked = await browser.use("GET", links["approve"])
    awakeable = urlsplit(links["approve"]).path.split("/")[4]
    new = await world.runtime.awakeable_link(awakeable, expires_in=60)

    assert (kept.status, revoked.status) == (200, 403)
    assert (await browser.use("GET", new)).status == 200
    await world.restart()
    assert (await browser.use("GET", new)).status == 200
    assert (await browser.use("GET", links["approve"])).status == 403


async def test_no_link_is_good_before_one_was_made(world: World) -> None:
    link = f"/restate/awakeables/awk_{'0' * 40}/resolve?expires=99999999999&signature={'A' * 43}"
    assert (await Browser(world).use("GET", link)).status == 403
    assert world.store.get(keys.meta("link keys")) is None


async def test_a_value_that_does_not_fit_changes_nothing(world: World) -> None:
    await world.runtime.object(Expense, "sam").ask_for_a_number.send()
    await world.rest()
    links = read_state(world.store)["Expense/sam"]
    browser = Browser(world)

    pressed = await browser.use("POST", links["approve"], FORM)
    told = await browser.use("POST", links["open_"], JSON, b"7")

    assert pressed.status == 400
    assert b"does not fit" in pressed.body
    assert told.status == 202


async def test_a_link_to_what_has_ended_by_itself_says_so_kindly(world: World) -> None:
    await world.runtime.object(Expense, "sam").ask_for_a_number.send()
    await world.rest()
    links = read_state(world.store)["Expense/sam"]
    await world.clock.advance(4000)
    browser = Browser(world)

    for page in (
        await browser.use("GET", links["open_"]),
        await browser.use("POST", links["open_"], FORM),
    ):
        assert page.status == 200
        assert b"Nothing left to do" in page.body
    assert (await browser.use("POST", links["open_"])).status == 409


HOSTILE = '</pre><script>alert(1)</script><img src=x onerror="alert(1)">&amp;'


async def test_a_page_shows_a_hostile_message_as_text_and_loads_nothing(world: World) -> None:
    links = await begin(world, HOSTILE)

    page = await Browser(world).use("GET", links["approve"])

    assert b"<script" not in page.body
    assert b"<img" not in page.body
    assert b"&lt;script&gt;" in page.body
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    assert b"http://" not in page.body
    assert b"https://" not in page.body


async def test_a_link_is_not_for_another_host_and_not_for_another_method(world: World) -> None:
    links = await begin(world)
    browser = Browser(world)
    assert (await browser.use("GET", links["approve"], {"host": "evil.example"})).status == 421
    assert (await browser.use("PUT", links["approve"])).status == 405


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"verb": "kill"}, "'resolve' or to 'reject'"),
        ({"expires_in": 0}, "above 0"),
        ({"expires_in": timedelta(days=-1)}, "expires_in"),
        ({"expires_in": timedelta(days=99_999)}, "hundred years"),
        ({"value": "x" * 2000}, "at most 1,024 bytes"),
        ({"value": object()}, "cannot be encoded"),
        ({"verb": "reject", "value": 7}, "says why"),
        ({"base": "agents.example.com"}, "like https://agents.example.com"),
        ({"base": "javascript:alert(1)//x"}, "no URL of http"),
        ({"base": "https://x.example?a=b"}, "must not have a query"),
        ({"base": "https://user:pass@x.example"}, "must not have"),
        ({"base": 'https://x.example/"><script>'}, "no URL has"),
    ],
)
async def test_a_link_that_cannot_be_is_refused(
    world: World, arguments: dict[str, Any], said: str
) -> None:
    awakeable = "awk_" + "0" * 40
    options: dict[str, Any] = {"expires_in": 60, **arguments}
    with pytest.raises(InvalidArgumentError, match=said):
        await world.runtime.awakeable_link(awakeable, **options)
    assert world.store.get(keys.meta("link keys")) is None
