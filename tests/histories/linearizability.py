"""Whether a history of one object can be explained by operations that happen one after the other.

Each operation must take effect at one moment between its beginning and its end (Herlihy and Wing).
The search goes through the history once and decides as late as it can (Lowe): it keeps every
configuration that is still possible, which is a state of the object and those operations under way
that have taken effect already, and only when an answer arrives it lets operations take effect, in
any order, until that one has. An operation nobody heard of again stays under way for ever, so it
may take effect at any time, or never.
"""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass

from tests.histories.models import Model, State
from tests.histories.operations import Operation

CONFIGURATIONS_MAX = 300_000
"""More ways than this to explain one answer, and the check gives up: it never says yes for that."""

SHOWN_MAX = 4


class UndecidedError(Exception):
    """The history leaves too many possibilities open. Make it smaller, or leave fewer unknown."""


@dataclass(frozen=True, slots=True)
class _Configuration:
    """One way in which things may stand."""

    state: State
    taken: frozenset[str]
    """Tokens of operations under way that have taken effect."""


def find_violation(history: Iterable[Operation], model: Model) -> str | None:
    """The first answer that no order explains, in words; ``None`` if the history is linearizable.

    Raises:
        UndecidedError: there are too many possibilities to look at.
    """
    under_way: dict[str, Operation] = {}
    configurations = {_Configuration(model.initial, frozenset())}
    for operation, is_end in _events(history):
        if not is_end:
            assert operation.token not in under_way, f"{operation.token} was recorded twice"
            under_way[operation.token] = operation
            continue
        left = set(_explain(operation, configurations, under_way, model))
        if not left:
            return _describe(operation, configurations, under_way)
        del under_way[operation.token]
        configurations = left
    return None


def _events(history: Iterable[Operation]) -> list[tuple[Operation, bool]]:
    """Beginnings and ends (true), in their order."""
    events: list[tuple[int, Operation, bool]] = []
    for operation in history:
        events.append((operation.begun, operation, False))
        if operation.ended is not None:
            events.append((operation.ended, operation, True))
    events.sort(key=lambda event: event[0])
    return [(operation, is_end) for _, operation, is_end in events]


def _explain(
    ended: Operation,
    configurations: set[_Configuration],
    under_way: dict[str, Operation],
    model: Model,
) -> Iterator[_Configuration]:
    """The configurations in which ``ended`` has taken effect, and is under way no more."""
    seen = set(configurations)
    stack = list(configurations)
    while stack:
        at = stack.pop()
        if ended.token in at.taken:
            yield _Configuration(at.state, at.taken - {ended.token})
            continue
        for operation in under_way.values():
            if operation.token in at.taken:
                continue
            answer, state = model.step(at.state, operation.asked)
            if operation.ended is not None and not _is_same(answer, operation.answer):
                continue
            reached = _Configuration(state, at.taken | {operation.token})
            if reached not in seen:
                seen.add(reached)
                stack.append(reached)
        if len(seen) > CONFIGURATIONS_MAX:
            message = f"more than {CONFIGURATIONS_MAX} ways to explain {ended}"
            raise UndecidedError(message)


def _is_same(answer: Hashable, other: Hashable) -> bool:
    """Whether two answers are one; ``True`` is not ``1``."""
    return answer == other and type(answer) is type(other)


def _describe(
    operation: Operation, configurations: set[_Configuration], under_way: dict[str, Operation]
) -> str:
    others = [str(each) for token, each in under_way.items() if token != operation.token]
    states = sorted({_shorten(repr(each.state)) for each in configurations})
    shown = ", ".join(states[:SHOWN_MAX]) + (", ..." if len(states) > SHOWN_MAX else "")
    beside = "; ".join(map(_shorten, others[:SHOWN_MAX])) or "nothing"
    return (
        f"no order explains {_shorten(str(operation))}: before it the object held {shown},"
        f" and under way beside it was {beside}"
    )


def _shorten(text: str, length_max: int = 200) -> str:
    half = length_max // 2
    return text if len(text) <= length_max else f"{text[:half]} ... {text[-half:]}"
