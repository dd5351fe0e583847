"""Whatever a handler does with asyncio, state and steps, every replay sees what was seen before.

Programs are drawn and run by one handler. Durations of actions are drawn with them, so completions
come in every order. Each program is run once undisturbed, then with a crash at its commits, then
with every idle attempt leaving memory, and at last its completed journal is replayed whole by
other processes with other hash seeds.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import find, given
from hypothesis import strategies as st

from holdfast import RuntimeConfig, UnknownTargetError
from holdfast.journal import keys
from holdfast.journal.entry import Cancellation, Completion
from holdfast.journal.records import decode_outcome
from holdfast.objects.identity import InvocationId, parse_invocation_id
from holdfast.testing.journals import read_entries
from holdfast.testing.stage import Death

from .generated import EXAMPLES_MAX, LAWS, PROGRAMS
from .programs import PROGRAM_CLASSES, TRACES, Event
from .stage import OUTSIDE, Ending, Play

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Intrusion = tuple[str, int]
"""A verb, and milliseconds."""

ROOT = Path(__file__).resolve().parent.parent.parent


def script_of(
    programs: list[Any], intrusion: Intrusion | None = None
) -> Callable[[Play], Awaitable[Any]]:
    """Run programs one after the other at one key, and keep the promises they make.

    ``intrusion`` is what somebody does to the first of them, and when.
    """

    async def script(play: Play) -> None:
        for number, program in enumerate(programs):
            asked = play.ask(f"run {number}", "Programmed/p/run", program)
            if intrusion is not None and number == 0:
                await intrude(play, program, *intrusion)
            while not asked.done():
                await OUTSIDE.pause(5)
                for id_, due_ms in list(OUTSIDE.promises.items()):
                    is_due = OUTSIDE.clock.now_ms() >= int(due_ms)
                    if is_due and await play.resolve_once(id_, "kept"):
                        OUTSIDE.promises.pop(id_, None)

    return script


async def intrude(play: Play, program: Any, verb: str, at_ms: int) -> None:
    """Cancel, kill, or pause and resume what runs the program."""
    await OUTSIDE.pause(at_ms)
    request = play.request_of("run 0", "Programmed/p/run", program)

    async def do(runtime: Any) -> None:
        accepted = await runtime.submit(request, wait=False)
        invocation = runtime.invocation(accepted.invocation_id)
        with contextlib.suppress(UnknownTargetError):  # It is completed.
            await getattr(invocation, verb)()
            if verb == "pause":
                await OUTSIDE.pause(3)
                await invocation.resume()

    await play.client.ask(do)


def completions_in(play: Play) -> dict[str, int]:
    """How many results the surviving journals of all invocations hold."""
    counts: dict[str, int] = {}
    for text in TRACES.attempts:
        entries = read_entries(play.store, parse_invocation_id(text))
        counts[text] = sum(isinstance(entry, Completion | Cancellation) for entry in entries)
    return counts


def check_traces(survived: dict[str, int] | None) -> None:
    """All attempts of an invocation saw the same, up to what survived of its journal.

    Args:
        survived: completions on disk after the crash, by invocation; ``None``: no crash.
    """
    for id_, attempts in TRACES.attempts.items():
        for earlier, later in itertools.pairwise(attempts):
            deliveries = min(seen(earlier), seen(later))
            if survived is not None:
                deliveries = min(deliveries, survived.get(id_, 0))
            assert through(earlier, deliveries) == through(later, deliveries)


def seen(trace: list[Event]) -> int:
    return trace[-1][0] if trace else 0


def through(trace: list[Event], deliveries: int) -> list[Event]:
    """What was seen before the delivery after ``deliveries``."""
    return [event for event in trace if event[0] <= deliveries]


def play_once(
    programs: list[Any],
    *,
    death: Death | None = None,
    suspends: bool = False,
    always_replay: bool = False,
    intrusion: Intrusion | None = None,
) -> tuple[Play, Ending, dict[str, int] | None]:
    TRACES.attempts.clear()
    survived: dict[str, int] | None = None
    config = RuntimeConfig(always_replay=always_replay)
    if suspends:
        config = replace(config, idle_ms_max=0)
    play = Play(PROGRAM_CLASSES, config, death=death, suspends=suspends)

    def keep(play: Play) -> None:
        nonlocal survived
        survived = completions_in(play)

    play.on_crash = keep
    ending = asyncio.run(play.run(script_of(programs, intrusion)))
    return play, ending, survived


@LAWS
@given(PROGRAMS)
def test_a_replay_after_a_crash_sees_what_was_seen_before(program: list[Any]) -> None:
    play, _, _ = play_once([program])
    check_traces(None)
    writes = play.writes
    for at_write in sorted({*range(0, writes, 1 + writes // 6), writes - 1}):
        for death in (Death(at_write, is_applied=True), Death(at_write, is_power_cut=True)):
            _, _, survived = play_once([program], death=death)
            check_traces(survived)


@LAWS
@given(PROGRAMS)
def test_leaving_memory_whenever_possible_changes_nothing(program: list[Any]) -> None:
    programs = [program, [["total", 3], *program[:3]]]
    _, expected, _ = play_once(programs)
    stayed = {id_: attempts[-1] for id_, attempts in TRACES.attempts.items()}
    _, ending, _ = play_once(programs, suspends=True)
    check_traces(None)

    assert {id_: attempts[-1] for id_, attempts in TRACES.attempts.items()} == stayed
    assert ending == expected


@LAWS
@given(PROGRAMS)
def test_replaying_from_the_top_at_every_rest_changes_nothing(program: list[Any]) -> None:
    _, expected, _ = play_once([program])
    stayed = {id_: attempts[-1] for id_, attempts in TRACES.attempts.items()}
    _, ending, _ = play_once([program], always_replay=True)
    check_traces(None)

    assert {id_: attempts[-1] for id_, attempts in TRACES.attempts.items()} == stayed
    assert ending == expected


@LAWS
@given(PROGRAMS, st.sampled_from(["cancel", "kill", "pause"]), st.integers(0, 80))
def test_whatever_is_done_to_a_handler_and_whenever_a_replay_sees_what_was_seen_before(
    program: list[Any], verb: str, at_ms: int
) -> None:
    play, _, _ = play_once([program, [["total", 3]]], intrusion=(verb, at_ms))
    check_traces(None)
    writes = play.writes
    for at_write in sorted({*range(0, writes, 1 + writes // 6), writes - 1}):
        for death in (Death(at_write, is_applied=True), Death(at_write, is_power_cut=True)):
            _, _, survived = play_once([program], death=death, intrusion=(verb, at_ms))
            check_traces(survived)
    play_once([program], suspends=True, intrusion=(verb, at_ms))
    check_traces(None)
    play_once([program], always_replay=True, intrusion=(verb, at_ms))
    check_traces(None)


def test_a_completed_journal_replays_alike_in_other_processes(tmp_path: Path) -> None:
    """The rows of each completed invocation, set back to where it had begun, are run again."""
    cases: list[Any] = []

    @LAWS
    @given(PROGRAMS, st.none() | st.integers(0, 80))
    def collect(program: list[Any], canceled_at_ms: int | None) -> None:
        intrusion = None if canceled_at_ms is None else ("cancel", canceled_at_ms)
        play, _, _ = play_once([program], intrusion=intrusion)
        (id_,) = TRACES.attempts
        id_bytes = parse_invocation_id(id_)
        is_kept = keys.journal(id_bytes, 0) in play.store_rows
        if is_kept and id_bytes in play.begun_rows:  # Others ended within one turn.
            trace = TRACES.attempts[id_][-1]
            completed_ms = decode_outcome(play.store_rows[keys.outcome(id_bytes)]).completed_ms
            cases.append(
                {"rows": rewound(play, id_bytes), "trace": trace, "completed_ms": completed_ms}
            )

    collect()
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(cases))
    for seed in ("1", "77"):
        done = subprocess.run(
            [sys.executable, "-m", "tests.laws.replay_whole", str(path)],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{len(cases)} journals replayed alike" in done.stdout


def rewound(play: Play, id_: InvocationId) -> dict[str, str]:
    """The rows after completion, with those of a begun invocation instead of its outcome."""
    rows = {**dict(play.store_rows), **play.begun_rows[bytes(id_)]}
    rows.pop(keys.outcome(id_), None)
    rows[keys.live(id_)] = b""
    return {key.hex(): row.hex() for key, row in rows.items()}


@pytest.mark.parametrize(
    "kind", ["race", "completed", "group", "promise", "cancel", "cut", "section"]
)
def test_the_drawn_programs_use_what_they_are_meant_to_test(kind: str) -> None:
    assert EXAMPLES_MAX > 0
    assert find(PROGRAMS, lambda program: kind in json.dumps(program), settings=LAWS)
