"""``assert_journal``: a journal against what was expected of it, side by side when they differ."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any, Final

from .journals import ANYTHING, Journal, JournalEntry
from .virtual import VirtualRuntime

_COLUMN_CHARACTERS_MAX: Final = 60


class _Nothing:
    """Where one side has no more entries."""

    def __repr__(self) -> str:
        return "(nothing)"


_NOTHING: Final = _Nothing()


def assert_journal(
    runtime: VirtualRuntime,
    of: str,
    expected: Sequence[JournalEntry],
    *,
    outcome: Any = ANYTHING,
    status: str = ANYTHING,
) -> Journal:
    """Check what an invocation has asked for, in its order, and how it ended; gives its journal.

    What an expected entry leaves out may be anything: ``Step("pay")`` is that step, whatever it
    gave.

    Args:
        runtime: where it ran.
        of: the invocation's id, or whom it called, ``"Cart/sam/add"``: of several the last one.
        expected: all entries.
        outcome: the result's JSON, a ``Failed``, or ``PENDING``.
        status: ``"completed"``, ``"paused"`` and so on, see ``Journal``.

    Raises:
        AssertionError: it differs; the message shows both side by side.
        InvalidArgumentError, UnknownTargetError: see ``VirtualRuntime.journal``.
    """
    __tracebackhide__ = True
    journal = runtime.journal(of)
    pairs = zip_longest(expected, journal.entries, fillvalue=_NOTHING)
    wanted: list[tuple[str, Any, Any]] = [
        (f"{number}", *pair) for number, pair in enumerate(pairs, start=1)
    ]
    ends = (("outcome", outcome, journal.outcome), ("status", status, journal.status))
    wanted += [end for end in ends if end[1] is not ANYTHING]
    if any(_differs(left, right) for _, left, right in wanted):
        head = f"the journal of {journal.target} ({journal.invocation_id}) is another one"
        raise AssertionError("\n".join([head, *_side_by_side(wanted)]))
    return journal


def _differs(expected: Any, found: Any) -> bool:
    is_missing = expected is _NOTHING or found is _NOTHING
    return is_missing or bool(expected != found)


def _side_by_side(rows: list[tuple[str, Any, Any]]) -> Iterator[str]:
    """A line for each pair, those that differ marked; long ones on two lines."""
    shown = [
        (">" if _differs(left, right) else " ", name, _show(left), _show(right))
        for name, left, right in rows
    ]
    width = min(_COLUMN_CHARACTERS_MAX, max(len(left) for _, _, left, _ in shown))
    yield f"    {'':9}{'expected':{width}}  found"
    for mark, name, left, right in shown:
        if len(left) <= width:
            yield f"  {mark} {name:8} {left:{width}}  {right}"
        else:
            yield f"  {mark} {name:8} {left}"
            yield f"    {'':9}{'':{width}}  {right}"


def _show(value: Any) -> str:
    return str(value) if isinstance(value, JournalEntry) else repr(value)
