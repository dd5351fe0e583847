"""The past of an object is told exactly, or not at all.

Pages of a diary are drawn and written. Whatever the rows of the object were just before an entry,
at rest or not, and when a turn was over, is compared with what can be read of it later: while the
turn is under way, after it left memory, after a crash at its commits, and when retention has taken
some of what tells it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import find, given

from holdfast import RuntimeConfig
from holdfast.testing.stage import Death

from .diary import PAGES, Diary, Seen
from .generated import LAWS, PROGRAMS
from .programs import PROGRAM_CLASSES
from .stage import OUTSIDE, Play
from .test_generated_handlers import script_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from holdfast.runtime.lifecycle import Lifecycle


def lifecycle_of(play: Play) -> Lifecycle:
    runtime: Any = play.runtime
    lifecycle: Lifecycle = runtime._lifecycle  # noqa: SLF001  # nothing public reads rows
    return lifecycle


def play_pages(  # noqa: PLR0913  # a play is these things, each by keyword
    pages: list[Any],
    *,
    classes: list[type] | None = None,
    script: Callable[[Play], Awaitable[None]] | None = None,
    config: RuntimeConfig | None = None,
    death: Death | None = None,
    suspends: bool = False,
) -> tuple[Play, Seen]:
    """Write the pages; look at the past at every rest, and at all of it in the end."""
    seen = Seen()
    play = Play(classes or [Diary], config, death=death, suspends=suspends)

    def look(play: Play) -> None:
        lifecycle = lifecycle_of(play)
        for id_ in seen.turns:
            if lifecycle.outcomes.find(id_) is None and lifecycle.find(id_) is not None:
                seen.check(lifecycle, id_)

    async def write(play: Play) -> None:
        for number, page in enumerate(pages):
            await play.ask(f"page {number}", "Diary/d/write", page)

    async def write_and_check(play: Play) -> None:
        await (script or write)(play)
        await OUTSIDE.pause(5000)
        seen.check_all(lifecycle_of(play))

    play.on_move = look
    with seen.watching():
        asyncio.run(play.run(write_and_check))
    return play, seen


def has_commands(pages: list[Any]) -> bool:
    """Whether every page leaves a journal."""
    kinds = {"tell", "step", "rest", "sleep", "fail"}
    return all(any(kind in kinds for kind, *_ in page) for page in pages)


@LAWS
@given(PAGES)
def test_the_past_is_read_as_it_was(pages: list[Any]) -> None:
    play, seen = play_pages(pages)
    assert seen.exact
    if has_commands(pages):
        assert not seen.refused
    for at_write in range(0, play.writes, 1 + play.writes // 4):
        for death in (Death(at_write, is_applied=True), Death(at_write, is_power_cut=True)):
            play_pages(pages, death=death)


@LAWS
@given(PAGES)
def test_the_past_of_what_left_memory_is_read_as_it_was(pages: list[Any]) -> None:
    _, seen = play_pages(pages, config=RuntimeConfig(idle_ms_max=0), suspends=True)
    if has_commands(pages):
        assert not seen.refused


@pytest.mark.parametrize("bytes_max", [1_000, 4_000, 12_000])
def test_what_retention_has_taken_is_refused_and_the_rest_is_exact(bytes_max: int) -> None:
    config = RuntimeConfig(retained_bytes_max=bytes_max, collect_rows_max=7, maintenance_ms=20)

    @LAWS
    @given(PAGES)
    def law(pages: list[Any]) -> None:
        play_pages(pages, config=config)

    law()


@LAWS
@given(PROGRAMS)
def test_the_past_of_whatever_a_handler_does_is_read_as_it_was(program: list[Any]) -> None:
    programs = [program, [["total", 3], *program[:3]]]

    async def script(play: Play) -> None:
        await script_of(programs)(play)

    _, seen = play_pages([], classes=PROGRAM_CLASSES, script=script)
    assert seen.exact


def test_the_drawn_pages_have_pasts_of_both_kinds() -> None:
    def is_refused_in_part(pages: list[Any]) -> bool:
        config = RuntimeConfig(retained_bytes_max=4_000, maintenance_ms=20)
        _, seen = play_pages(pages, config=config)
        return bool(seen.refused and seen.exact)

    assert find(PAGES, lambda pages: len(pages) > 2 and has_commands(pages), settings=LAWS)
    assert find(PAGES, is_refused_in_part, settings=LAWS)
