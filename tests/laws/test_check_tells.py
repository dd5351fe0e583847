"""What a check says is what happens: a replay with that code pauses, or goes on.

Each pair of old and new code is recorded up to every commit of the old, checked against the new,
and then really started with the new. Checking leaves no row and runs no action.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from holdfast import RuntimeConfig
from holdfast.journal import keys
from holdfast.journal.records import InvocationState, decode_invocation
from holdfast.objects.registry import Registry
from holdfast.runtime.checking import CheckedInvocation, Verdict
from holdfast.runtime.testing import come_to_rest
from holdfast.testing.crashes import deaths
from holdfast.testing.stage import Death, Stage
from holdfast.watched_check import check_open_invocations

from . import test_mismatch as mismatch
from . import test_patched as patched
from .corpus import CLASSES, SCRIPTS
from .stage import OUTSIDE, Play

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from holdfast.journal.memory import MemoryStore
    from holdfast.testing.clients import Client

ALWAYS = RuntimeConfig(always_replay=True)


class CheckingStage(Stage):
    """After the death of the old code the new one is checked, and then started."""

    new_class: type
    checked: list[CheckedInvocation]

    def crashed(self) -> None:
        rows, lines = dict(self.store.scan(b"", None)), list(OUTSIDE.lines)
        self.checked = check(self.store, self.new_class)
        assert dict(self.store.scan(b"", None)) == rows, "a check wrote something"
        assert lines == OUTSIDE.lines, "a check ran an action"
        self.world.classes = [self.new_class]
        self.world.config = ALWAYS


def check(store: MemoryStore, *classes: type) -> list[CheckedInvocation]:
    return list(check_open_invocations(store.view(), Registry(classes), seconds_max=30))


async def go(client: Client) -> Any:
    return await client.call_by_name("Changing", "c", "go")


def pairs() -> Iterator[tuple[str, Callable[[Any], type], Any, Any]]:
    for name, (old, new, without) in patched.PROGRAMS.items():
        yield f"{name}, patched", patched.make_class, old, new
        yield f"{name}, then taken out", patched.make_class, new, without
        yield f"{name}, taken out too early", patched.make_class, old, without
        yield f"{name}, put back", patched.make_class, new, old
        yield f"{name}, the same", patched.make_class, new, new
    for change in mismatch.CHANGES:
        yield change.__name__, mismatch.make_class, mismatch.original, change


PAIRS = list(pairs())


@pytest.mark.parametrize(
    ("make_class", "old", "new"), [pair[1:] for pair in PAIRS], ids=[pair[0] for pair in PAIRS]
)
async def test_a_check_foretells_what_a_replay_does(
    make_class: Callable[[Any], type], old: Any, new: Any
) -> None:
    verdicts: list[Verdict] = []
    for at_write in range(40):
        patched.SEEN.attempts.clear()
        stage = CheckingStage([make_class(old)], death=Death(at_write, is_applied=True))
        OUTSIDE.clear(stage.clock)
        stage.new_class = make_class(new)
        task = await stage.play(go)
        stage.close()
        if not stage.crashes:
            break
        if not stage.checked:
            continue  # It was complete.
        (told,) = stage.checked
        verdicts.append(told.verdict)
        rows = list(stage.store.scan(*keys.prefix_range(keys.INVOCATION)))
        task.cancel()
        if told.verdict is Verdict.SAFE:
            # Replays of what the new code itself recorded cannot differ: it is deterministic.
            assert not rows, decode_invocation(rows[0][1]).last_failure
        else:
            assert told.mismatch is not None, told.reason
            record = decode_invocation(rows[0][1])
            assert record.state is InvocationState.PAUSED
            assert record.last_failure == told.mismatch.line
    assert verdicts
    if make_class is mismatch.make_class:
        assert Verdict.DIVERGES in verdicts
    if old is new:
        assert set(verdicts) == {Verdict.SAFE}
    await come_to_rest()


@pytest.mark.parametrize("name", SCRIPTS)
async def test_code_that_has_not_changed_is_safe_whatever_is_open_at_any_rest_and_death(
    name: str,
) -> None:
    looks = 0

    def look(play: Play) -> None:
        nonlocal looks
        lines, counts = list(OUTSIDE.lines), dict(OUTSIDE.counts)
        rows = dict(play.store.scan(b"", None))
        for told in check(play.store, *CLASSES):
            looks += 1
            assert told.verdict is Verdict.SAFE, f"{told.target}: {told.reason}"
        assert lines == OUTSIDE.lines, "a check ran an action"
        # Some handlers count their own attempts out there, as no handler should.
        OUTSIDE.counts = counts
        assert dict(play.store.scan(b"", None)) == rows

    undisturbed = Play(CLASSES)
    undisturbed.on_move = look
    await undisturbed.run(SCRIPTS[name])
    for death in deaths(undisturbed.writes, crash_again=False):
        play = Play(CLASSES, death=death)
        play.on_crash = look
        await play.run(SCRIPTS[name])
    assert looks
