"""A restart from an entry ends as the first run did, wherever the process dies meanwhile.

Handlers that work with steps whose results do not depend on when they run are restarted from each
entry of their journals, at a key of their own. Whatever they were asked to do, their outcome and
their state are those of the first run. Some are played again with a crash at each commit of the
restart and of what follows.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings

from holdfast import InvalidArgumentError, RuntimeClosedError, StoreFailedError
from holdfast.journal import keys
from holdfast.testing.stage import Death

from .diary import PAGE, Diary
from .generated import LAWS
from .stage import OUTSIDE, Play

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CRASHES_MAX = 6
"""Commits of one restart at which the process dies."""


def without_chance(page: list[Any]) -> list[Any]:
    """Without what reads a default that is another one each time it is made."""
    return [
        statement
        for statement in page
        if statement[0] != "choose"
        and not (statement[0] in {"look", "clear", "tell"} and statement[1] % 5 == 4)
    ]


def state_rows(play: Play, key: str) -> dict[bytes, bytes]:
    prefix = keys.STATE + keys.object_key("Diary", key)
    rows = play.store.scan(*keys.prefix_range(prefix))
    return {row_key[len(prefix) :]: row[8:] for row_key, row in rows}


async def write_first(play: Play, page: list[Any]) -> tuple[str, int]:
    """Write a page; gives the id of that, and how many entries its journal has."""
    await play.ask("page", "Diary/d/write", page)
    while True:
        try:
            found = await play.runtime.find_invocation(
                Diary, "d", Diary.write, idempotency_key="page"
            )
            assert found is not None
            return found.id, (await found.describe()).entries
        except (RuntimeClosedError, StoreFailedError):
            await OUTSIDE.pause(50)  # The process has died meanwhile.


async def restart(play: Play, id_: str, entry: int, key: str) -> bool:
    """Restart from an entry, as often as it takes; ``False``: the journal cannot be cut there."""
    while not state_rows(play, key) and not await has_turn(play, key):
        try:
            await play.runtime.invocation(id_).restart(from_entry=entry, fork=key)
        except InvalidArgumentError:
            return False
        except (RuntimeClosedError, StoreFailedError):
            await OUTSIDE.pause(50)
    return True


async def has_turn(play: Play, key: str) -> bool:
    return play.store.get(keys.turn(keys.object_key("Diary", key))) is not None


async def when_done(play: Play, key: str) -> None:
    while await has_turn(play, key):
        await OUTSIDE.pause(50)


def run(script: Callable[[Play], Awaitable[Any]], death: Death | None = None) -> Play:
    play = Play([Diary], death=death)
    asyncio.run(play.run(script))
    return play


@settings(LAWS, max_examples=max(8, LAWS.max_examples // 2))
@given(PAGE)
def test_a_restart_from_each_entry_comes_to_the_same_state(page: list[Any]) -> None:
    page = [*without_chance(page), ["step", 3], ["append", 2]]

    async def script(play: Play) -> None:
        id_, entries = await write_first(play, page)
        expected = state_rows(play, "d")
        for entry in range(1, entries + 1):
            key = f"from {entry}"
            await restart(play, id_, entry, key)
            await when_done(play, key)
            assert state_rows(play, key) == expected, f"from entry {entry} of {entries}"

    run(script)


@settings(LAWS, max_examples=max(4, LAWS.max_examples // 5))
@given(PAGE)
def test_a_restart_that_dies_anywhere_comes_to_the_same_state(page: list[Any]) -> None:
    page = [*without_chance(page), ["rest", 5], ["append", 2]]

    def script_for(entry: int) -> Callable[[Play], Awaitable[None]]:
        async def script(play: Play) -> None:
            id_, entries = await write_first(play, page)
            expected = state_rows(play, "d")
            await restart(play, id_, min(entry, entries), "k")
            await when_done(play, "k")
            assert state_rows(play, "k") == expected

        return script

    for entry in (2, 4, 6):
        writes = run(script_for(entry)).writes
        first = writes // 2  # About where the first run has ended.
        for at_write in range(first, writes, 1 + (writes - first) // CRASHES_MAX):
            for death in (Death(at_write, is_applied=True), Death(at_write, is_power_cut=True)):
                run(script_for(entry), death)
