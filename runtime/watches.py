"""Who waits outside for something to be another than it was, with no call: state, a promise.

What is waited for is named by a key: that of a promise's row, or what the keys of an object's state
rows begin with. Each batch that is written tells of its keys, so whoever writes a row needs to know
nothing of this, and while nobody waits a batch costs one look. Once a change is durable, everyone
who waits for it looks, and leaves or goes on to wait. Looks see what was decided, and an answer
leaves once that is durable.

A watcher is a future and two entries here. Nothing of it is on disk: a caller does not outlive the
connection it waits on.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from ..journal import keys
from ..objects.errors import HoldfastError
from .answers import Answers
from .commits import Commits
from .seams import Alarm, Clock

TAGS_MAX: Final = 10_000
"""Of so many objects it is remembered which state they have."""

LOOKS_MAX: Final = 1_000
"""In one round of the loop."""

WAIT_ON: Final = object()
"""What a look gives that has not found what it is for."""


@dataclass(slots=True, eq=False)
class _Watcher:
    """One who waits."""

    look: Callable[[], Any]
    settle: Callable[[Any], None]
    alarm: Alarm | None = None


class Watches:
    """Everyone who waits so, and the tags of states that were looked at and have not changed."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, commits: Commits, answers: Answers, clock: Clock
    ) -> None:
        """Begin with none."""
        self._loop = loop
        self._commits = commits
        self._answers = answers
        self._clock = clock
        # Invariant: no inner set is empty. A dict, because it keeps order.
        self._watchers: dict[bytes, dict[_Watcher, None]] = {}
        # The one that was found first is first; a dict would search for it among the deleted.
        self._tags: OrderedDict[bytes, str] = OrderedDict()
        # What has changed since everyone looked.
        self._changed: dict[bytes, None] = {}
        # Who has not looked yet since then, and at what.
        self._looking: OrderedDict[_Watcher, bytes] = OrderedDict()

    def __len__(self) -> int:
        """How many wait."""
        return sum(len(watchers) for watchers in self._watchers.values())

    def wait(
        self,
        watched: bytes,
        look: Callable[[], Any],
        timeout_s: float | None,
        give_up: Callable[[], Any],
    ) -> "asyncio.Future[Any]":
        """What ``look`` gives, now or after a change of ``watched``; with ``WAIT_ON`` it waits.

        After ``timeout_s`` seconds the answer is what ``give_up`` gives. A ``HoldfastError`` that
        either raises is an answer too. Cancelling the future forgets the watcher.
        """
        answer = _try(look)
        if answer is not WAIT_ON:
            return self._answers.when_durable(answer)
        if timeout_s is not None and timeout_s <= 0:
            return self._answers.when_durable(_try(give_up))

        def forget() -> None:
            self._remove(watched, watcher)

        future, settle = self._answers.when_told(forget)
        watcher = _Watcher(look, settle)
        if timeout_s is not None:
            watcher.alarm = self._clock.call_later(
                timeout_s, partial(self._give_up, watched, watcher, give_up)
            )
        self._watchers.setdefault(watched, {})[watcher] = None
        self._commits.on_written = self._note
        return future

    def find_tag(self, watched: bytes) -> str | None:
        """The tag of a state that has not changed since it was kept."""
        tag = self._tags.get(watched)
        # Reads see what is decided, and what is kept is told only of what is written.
        return None if tag is None or self._commits.is_changing(watched) else tag

    def keep_tag(self, watched: bytes, tag: str) -> None:
        """Remember the tag of a state until that changes."""
        if len(self._tags) >= TAGS_MAX:
            self._tags.popitem(last=False)
        self._tags[watched] = tag
        self._commits.on_written = self._note

    def _note(self, written: Iterable[bytes]) -> None:
        """See what a batch has changed; called with the keys of each."""
        for key in written:
            watched = keys.watched(key)
            if watched is None:
                continue
            self._tags.pop(watched, None)
            if watched in self._watchers:
                if not self._changed:
                    self._commits.when_durable(self._look_soon)
                self._changed[watched] = None
        if not self._tags and not self._watchers:
            self._commits.on_written = None

    def _look_soon(self) -> None:
        # Not here: a value is decoded by code of the user's, and whatever an effect raises stops
        # the runtime.
        self._loop.call_soon(self._look)

    def _look(self) -> None:
        """Have those look for whom something has changed; thousands of them in several rounds."""
        changed, self._changed = self._changed, {}
        for watched in changed:
            self._looking.update(dict.fromkeys(self._watchers.get(watched, ()), watched))
        for _ in range(min(LOOKS_MAX, len(self._looking))):
            watcher, watched = self._looking.popitem(last=False)
            if watcher not in self._watchers.get(watched, ()):
                continue  # It was answered or has gone meanwhile.
            answer = _try(watcher.look)
            if answer is not WAIT_ON:
                self._remove(watched, watcher)
                watcher.settle(answer)
        if self._looking:
            self._loop.call_soon(self._look)

    def _give_up(self, watched: bytes, watcher: _Watcher, give_up: Callable[[], Any]) -> None:
        watcher.alarm = None
        self._remove(watched, watcher)
        watcher.settle(_try(give_up))

    def _remove(self, watched: bytes, watcher: _Watcher) -> None:
        watchers = self._watchers.get(watched)
        if watchers is None or watcher not in watchers:
            return
        del watchers[watcher]
        if not watchers:
            del self._watchers[watched]
        if watcher.alarm is not None:
            watcher.alarm.cancel()


def _try(look: Callable[[], Any]) -> Any:
    try:
        return look()
    except HoldfastError as error:
        return error
