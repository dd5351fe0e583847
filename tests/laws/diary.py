"""An object that changes its state in every way there is, and what others could see meanwhile.

A page of the diary is one call, a list of statements; each either changes state, or is a command
or a wait, so that changes fall before, between and after entries and while the handler waits.

``Seen`` writes down the rows of an object as they are when an entry is written, by looking at the
store, and not at what is kept to tell the past.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock
from zlib import crc32

from hypothesis import strategies as st

from holdfast import (
    Context,
    NotKeptError,
    TerminalError,
    VirtualObject,
    handler,
    shared,
    state,
)
from holdfast.journal import codec, keys
from holdfast.journal.entry import Cancellation, Completion
from holdfast.objects.identity import InvocationId, Target
from holdfast.runtime.history import History
from holdfast.runtime.lifecycle import Lifecycle
from holdfast.runtime.object_state import ExclusiveState
from holdfast.runtime.open_invocation import journal_length
from holdfast.runtime.outcomes import Outcomes

from .generated import MS, SMALL, Strategy, statement
from .stage import OUTSIDE, act

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from holdfast.runtime.open_invocation import OpenInvocation, Result

Rows = dict[str, dict[bytes, bytes]]
Turn = tuple[bytes, int]


def long_list() -> list[str]:
    return [f"line {number} of a page that is long enough to be cut" for number in range(60)]


class Diary(VirtualObject):
    """State of every kind: scalars, lists, dicts, short and long, defaults, names of no field."""

    title: str = state("untitled")
    lines: list[str] = state(default_factory=list)
    facts: dict[str, list[int]] = state(default_factory=dict)
    pages: list[str] = state(default_factory=long_list)
    chosen: float = state(default_factory=lambda: OUTSIDE.count("default") / 7)

    @handler
    async def write(self, ctx: Context, page: list[list[Any]]) -> int:
        for number, (kind, *arguments) in enumerate(page):
            await getattr(self, f"_{kind}")(ctx, number, *arguments)
        return len(page)

    @shared
    async def read(self, ctx: Context) -> list[str]:
        return self.lines

    async def _title(self, ctx: Context, number: int, n: int) -> None:
        self.title = f"{self.title[:20]} {n}"

    async def _append(self, ctx: Context, number: int, n: int) -> None:
        self.lines.extend(f"{number}: {index} of {n} new lines" for index in range(n * n))

    async def _cut(self, ctx: Context, number: int, n: int) -> None:
        del self.lines[n:]

    async def _fact(self, ctx: Context, number: int, n: int) -> None:
        self.facts.setdefault(f"fact {n}", []).append(number)

    async def _unfact(self, ctx: Context, number: int, n: int) -> None:
        self.facts.pop(f"fact {n}", None)

    async def _page(self, ctx: Context, number: int, n: int) -> None:
        self.pages[n : n + 1] = [f"rewritten as {number}"]

    async def _fewer(self, ctx: Context, number: int, n: int) -> None:
        del self.pages[n:]

    async def _choose(self, ctx: Context, number: int, n: int) -> None:
        if n % 2:
            self.chosen += n
        else:
            self.lines.append(f"chose {self.chosen}")

    async def _look(self, ctx: Context, number: int, n: int) -> None:
        getattr(self, ("title", "lines", "facts", "pages", "chosen")[n % 5])

    async def _clear(self, ctx: Context, number: int, n: int) -> None:
        delattr(self, ("title", "lines", "facts", "pages", "chosen")[n % 5])

    async def _named(self, ctx: Context, number: int, n: int) -> None:
        if n % 3:
            ctx.set(f"name {n % 2}", {"n": number})
        else:
            ctx.clear(f"name {n % 2}")

    async def _tell(self, ctx: Context, number: int, n: int) -> None:
        """What a replay reads otherwise is another command than the journal holds."""
        value = getattr(self, ("title", "lines", "facts", "pages", "chosen")[n % 5])
        said = crc32(f"{value!r} of {ctx.keys()}".encode())
        await ctx.run(f"tell {said}", act, str(number), number)

    async def _step(self, ctx: Context, number: int, ms: int) -> None:
        await ctx.run(f"step {number}", act, str(number), number, ms=ms)

    async def _rest(self, ctx: Context, number: int, ms: int) -> None:
        """Change something after the command, so that it is stored while the handler waits."""
        step = ctx.run(f"step {number}", act, str(number), number, ms=ms)
        sleep = ctx.sleep(ms / 1000)
        self.title = f"waits in {number}"
        self.lines.append(f"waits in {number}")
        await step
        self.lines[-1] += " and waits on"
        await sleep
        self.lines[-1] += " no more"

    async def _sleep(self, ctx: Context, number: int, ms: int) -> None:
        await ctx.sleep(ms / 1000)

    async def _fail(self, ctx: Context, number: int) -> None:
        message = f"torn at {number}"
        raise TerminalError(message)


CHANGES = [
    statement(kind, SMALL)
    for kind in (
        *("title", "append", "cut", "fact", "unfact", "page", "fewer"),
        *("choose", "look", "clear", "named"),
    )
]
COMMANDS = [
    statement("tell", SMALL),
    statement("step", MS),
    statement("rest", MS),
    statement("sleep", MS),
]

PAGE: Strategy = st.lists(st.one_of(*CHANGES, *COMMANDS, *COMMANDS), min_size=1, max_size=9)
PAGES = st.lists(
    st.one_of(PAGE, PAGE, PAGE.map(lambda page: [*page, ["fail"]]), st.lists(st.one_of(*CHANGES))),
    min_size=1,
    max_size=5,
)


class Seen:
    """What others could see of each object just before each entry, and when each turn was over."""

    def __init__(self) -> None:
        self.before: dict[Turn, dict[int, Rows]] = defaultdict(dict)
        self.left: dict[Turn, Rows] = {}
        self.turns: dict[InvocationId, tuple[Target, int]] = {}
        self.refused = 0
        self.exact = 0
        # What has been saved with an entry that is not written yet.
        self._saved: set[tuple[Turn, int]] = set()

    def check(self, lifecycle: Lifecycle, id_: InvocationId) -> None:
        """Every moment of an invocation is read as it was, or refused."""
        history = History(lifecycle)
        target, sequence = self.turns[id_]
        assert target.key is not None
        object_ = keys.object_key(target.service, target.key)
        turn = (object_, sequence)
        entries = range(journal_length(lifecycle.commits, id_) + 1)
        is_open = lifecycle.outcomes.find(id_) is None
        for entry in (*entries, *([] if is_open else [None])):
            try:
                moment = history.find_moment(target, id_, entry)
                found = history.read_state(object_, moment)
            except NotKeptError:
                self.refused += 1
                continue
            self.exact += 1
            if entry is None:
                assert found == self.left[turn], "as it was left"
            elif is_open and entry == entries[-1]:
                assert found == read_rows(lifecycle, object_), "now"
            else:
                assert found == self.before[turn][entry], f"before entry {entry} of {entries[-1]}"

    def check_all(self, lifecycle: Lifecycle) -> None:
        for id_ in self.turns:
            outcome = lifecycle.outcomes.find(id_)
            if outcome is not None or lifecycle.find(id_) is not None:
                self.check(lifecycle, id_)

    @contextmanager
    def watching(self) -> Generator[Seen, None, None]:
        """Look on at all that is written from now on."""
        with ExitStack() as stack:
            for cls, name, look in (
                (Lifecycle, "_begin", self._begun),
                (Lifecycle, "append", self._appending),
                (ExclusiveState, "save", self._saving),
                (ExclusiveState, "save_last", self._saving),
                (Outcomes, "keep", self._keeping),
            ):
                watch = looking_on(getattr(cls, name), look, first=name != "_begin")
                stack.enter_context(mock.patch.object(cls, name, watch))
            yield self

    def _begun(self, lifecycle: Lifecycle, invocation: OpenInvocation) -> None:
        if invocation.record.is_exclusive and invocation.object_ is not None:
            record = invocation.record
            self.turns[invocation.id] = (record.target, record.sequence)
            rows = read_rows(lifecycle, invocation.object_)
            self.before[invocation.object_, record.sequence][0] = rows

    def _appending(self, lifecycle: Lifecycle, invocation: OpenInvocation, entry: bytes) -> None:
        if invocation.record.is_exclusive and invocation.object_ is not None:
            turn = (invocation.object_, invocation.record.sequence)
            is_delivery = isinstance(codec.decode_entry(entry), Completion | Cancellation)
            if is_delivery or (turn, invocation.next_index) not in self._saved:
                rows = read_rows(lifecycle, invocation.object_)
                self.before[turn][invocation.next_index] = rows
            self._saved.discard((turn, invocation.next_index))

    def _saving(self, state: Any, index: int | None) -> None:
        """What is saved with a command is not there before its entry is."""
        if index is not None:
            turn = (state._object, state._sequence)  # noqa: SLF001  # nothing else tells
            self.before[turn][index] = read_rows(state._table, state._object)  # noqa: SLF001
            self._saved.add((turn, index))

    def _keeping(self, outcomes: Outcomes, invocation: OpenInvocation, result: Result) -> None:
        del result
        if invocation.record.is_exclusive and invocation.object_ is not None:
            turn = (invocation.object_, invocation.record.sequence)
            self.left[turn] = read_rows(outcomes, invocation.object_)


def looking_on(
    function: Callable[..., Any], look: Callable[..., None], *, first: bool
) -> Callable[..., Any]:
    """``function``, with ``look`` called before it or after it with the same arguments."""

    def watched(*args: Any) -> Any:
        if first:
            look(*args)
        result = function(*args)
        if not first:
            look(*args)
        return result

    return watched


def read_rows(part: Any, object_: bytes) -> Rows:
    """The rows of an object as they are stored now, without their sequences."""
    commits = part.commits if isinstance(part, Lifecycle) else part._commits  # noqa: SLF001
    prefix = keys.STATE + object_
    found: Rows = {}
    for key, row in commits.scan(*keys.prefix_range(prefix)):
        name, stop = keys.split_text(key, len(prefix))
        found.setdefault(name, {})[key[stop:]] = row[8:]
    return found
