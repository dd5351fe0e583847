"""The checker that judges histories is judged itself: by hand, by brute force, by planted lies."""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from itertools import permutations
from random import Random
from typing import cast

import pytest

from tests.histories import linearizability
from tests.histories.linearizability import UndecidedError, find_violation
from tests.histories.models import COUNTER, LOG, REGISTER, Model
from tests.histories.operations import Asked, Operation

YES = True


def did(
    name: str, argument: object, begun: int, ended: int | None, answer: Hashable = None
) -> Operation:
    return Operation(
        token=f"{name}@{begun}", asked=(name, argument), begun=begun, ended=ended, answer=answer
    )


def test_operations_at_the_same_time_may_take_effect_in_either_order() -> None:
    for seen in (0, 7):
        history = [did("write", 7, 1, 4), did("read", None, 2, 3, seen)]
        assert find_violation(history, REGISTER) is None


def test_a_read_that_begins_after_a_write_ended_sees_it() -> None:
    history = [did("write", 7, 1, 2), did("read", None, 3, 4, 0)]
    violation = find_violation(history, REGISTER)
    assert violation is not None
    assert "read -> 0 [3, 4]" in violation
    assert "the object held 7" in violation


def test_what_one_read_saw_the_next_one_sees_too() -> None:
    history = [
        did("write", 7, 1, 8),
        did("read", None, 2, 3, 7),
        did("read", None, 4, 5, 0),
    ]
    assert find_violation(history, REGISTER) is not None


def test_an_unknown_operation_may_take_effect_late_or_never() -> None:
    for seen in (0, 7):
        history = [did("write", 7, 1, None), did("read", None, 50, 51, seen)]
        assert find_violation(history, REGISTER) is None


def test_an_unknown_operation_takes_effect_once_at_most() -> None:
    history = [
        did("add", 7, 1, None),
        did("read", None, 2, 3, 7),
        did("read", None, 4, 5, 14),
    ]
    assert find_violation(history, COUNTER) is not None


def test_an_unknown_operation_has_no_effect_before_it_began() -> None:
    history = [did("read", None, 1, 2, 7), did("add", 7, 3, None)]
    assert find_violation(history, COUNTER) is not None


def test_of_two_replacements_of_one_value_one_succeeds() -> None:
    history = [did("replace", (0, 1), 1, 3, YES), did("replace", (0, 2), 2, 4, YES)]
    assert find_violation(history, REGISTER) is not None
    history[1] = replace(history[1], answer=False)
    assert find_violation(history, REGISTER) is None


def test_true_is_no_answer_of_a_counter() -> None:
    assert find_violation([did("add", 1, 1, 2, YES)], COUNTER) is not None


def test_a_check_that_would_take_for_ever_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linearizability, "CONFIGURATIONS_MAX", 100)
    history = [did("append", str(at), at, None) for at in range(1, 9)]
    history.append(did("append", "end", 20, 21, 9))
    with pytest.raises(UndecidedError, match="more than 100 ways"):
        find_violation(history, LOG)


@pytest.mark.parametrize("model", [REGISTER, COUNTER, LOG], ids=["register", "counter", "log"])
def test_the_checker_agrees_with_trying_every_order(model: Model) -> None:
    """On small histories with random answers, some possible and most not."""
    random = Random("brute force")
    verdicts = {True: 0, False: 0}
    for _ in range(300):
        history = list(_tell_tale(random, model, clients=3, operations=4, lies=0.2))
        is_fine = find_violation(history, model) is None
        assert is_fine == _has_an_order(history, model), "\n".join(map(str, history))
        verdicts[is_fine] += 1
    assert min(verdicts.values()) > 40, f"one-sided: {verdicts}"


@pytest.mark.parametrize("model", [REGISTER, COUNTER, LOG], ids=["register", "counter", "log"])
def test_a_history_of_a_true_object_is_never_called_wrong(model: Model) -> None:
    random = Random("true")
    for _ in range(10):
        history = list(_tell_tale(random, model, clients=6, operations=100, lies=0, unknown=0.02))
        assert find_violation(history, model) is None


@pytest.mark.parametrize("plant", ["lost", "stale", "twice", "swapped"])
def test_a_planted_violation_is_found(plant: str) -> None:
    """In long histories that are right but for one thing that a broken runtime would do."""
    random = Random(plant)
    for _ in range(20):
        history = list(_tell_tale(random, LOG, clients=4, operations=80, lies=0, unknown=0.02))
        assert find_violation(history, LOG) is None
        assert find_violation(PLANTS[plant](history, random), LOG) is not None


def _lose(history: list[Operation], random: Random) -> list[Operation]:
    """An answered append is missing in all that is read and counted afterwards."""
    lost = random.choice([each for each in _appends(history) if each.ended is not None][:-1])
    assert lost.ended is not None
    reads = [each for each in history if each.begun > lost.ended and each.asked[0] == "read"]
    return [_without(each, str(lost.asked[1])) if each in reads else each for each in history] + [
        did("read", None, 10_000, 10_001, tuple(_final(history, leave_out=str(lost.asked[1]))))
    ]


def _go_stale(history: list[Operation], _random: Random) -> list[Operation]:
    """The last read answers what there was long ago."""
    return [*history, did("read", None, 10_000, 10_001, tuple(_final(history)[:-9]))]


def _happen_twice(history: list[Operation], random: Random) -> list[Operation]:
    """An append has taken effect once more."""
    final = _final(history)
    return [*history, did("read", None, 10_000, 10_001, (*final, random.choice(final)))]


def _swap(history: list[Operation], _random: Random) -> list[Operation]:
    """Two neighbours of the log that did not overlap have changed places."""
    final = _final(history)
    ends = {str(each.asked[1]): each.ended for each in _appends(history)}
    begins = {str(each.asked[1]): each.begun for each in _appends(history)}
    at = next(
        at
        for at in range(len(final) - 1)
        if (ended := ends[final[at]]) is not None and ended < begins[final[at + 1]]
    )
    final[at : at + 2] = reversed(final[at : at + 2])
    return [*history, did("read", None, 10_000, 10_001, tuple(final))]


PLANTS: dict[str, Callable[[list[Operation], Random], list[Operation]]] = {
    "lost": _lose,
    "stale": _go_stale,
    "twice": _happen_twice,
    "swapped": _swap,
}


def _appends(history: list[Operation]) -> list[Operation]:
    return [each for each in history if each.asked[0] == "append"]


def _final(history: list[Operation], leave_out: str = "") -> list[str]:
    """The longest log that was read; the generator reads last of all."""
    reads = [each.answer for each in history if each.asked[0] == "read"]
    logs = [cast("tuple[str, ...]", answer) for answer in reads if isinstance(answer, tuple)]
    return [str(item) for item in max(logs, key=len) if item != leave_out]


def _without(operation: Operation, item: str) -> Operation:
    answer = operation.answer
    if not isinstance(answer, tuple):
        return operation
    return replace(
        operation, answer=tuple(each for each in cast("tuple[str, ...]", answer) if each != item)
    )


def _tell_tale(  # noqa: PLR0913  # numbers with names
    random: Random,
    model: Model,
    *,
    clients: int,
    operations: int,
    lies: float,
    unknown: float = 0.05,
) -> Iterator[Operation]:
    """A history of an object that is what ``model`` says, but for some answers that are lies.

    Each client is asking, or waits for its request to take effect, or for the answer.
    """
    state = model.initial
    now = made = 0
    begun: dict[int, tuple[int, Asked]] = {}
    taken: dict[int, tuple[int, Asked, Hashable]] = {}
    while made < operations or begun or taken:
        now += 1
        client = random.randrange(clients)
        if client in taken:
            since, asked, answer = taken.pop(client)
            if random.random() < lies:
                answer = _lie(random, answer)
            yield did(*asked, since, now, answer)
        elif client in begun:
            since, asked = begun.pop(client)
            is_unknown = random.random() < unknown and asked[0] != "read"
            if is_unknown and random.random() < 0.5:
                yield did(*asked, since, None)  # It never happens.
                continue
            answer, state = model.step(state, asked)
            if is_unknown:
                yield did(*asked, since, None)
            else:
                taken[client] = since, asked, answer
        elif made < operations:
            made += 1
            begun[client] = now, _choose(random, model, made)
    answer, _ = model.step(state, ("read", None))
    yield did("read", None, now + 1, now + 2, answer)


def _choose(random: Random, model: Model, number: int) -> Asked:
    if random.random() < 0.4:
        return ("read", None)
    if model is COUNTER:
        return ("add", random.randrange(1, 4))
    if model is LOG:
        return ("append", f"i{number}")
    name = random.choice(["write", "swap", "replace"])
    value = random.randrange(3)
    return (name, (random.randrange(3), value) if name == "replace" else value)


def _lie(random: Random, answer: Hashable) -> Hashable:
    if isinstance(answer, bool):
        return not answer
    if isinstance(answer, int):
        return answer + random.choice([-1, 1])
    if isinstance(answer, tuple):
        items = cast("tuple[str, ...]", answer)
        return items[:-1] if items else ("nothing",)
    return answer


def _has_an_order(history: list[Operation], model: Model) -> bool:
    """Whether some order of some of the operations is right: all orders are tried."""
    certain = [each for each in history if each.ended is not None]
    unknown = [each for each in history if each.ended is None]
    return any(
        _is_right(order, model)
        for chosen in _subsets(unknown)
        for order in permutations(certain + chosen)
    )


def _subsets(operations: list[Operation]) -> Iterator[list[Operation]]:
    for mask in range(1 << len(operations)):
        yield [each for at, each in enumerate(operations) if mask >> at & 1]


def _is_right(order: tuple[Operation, ...], model: Model) -> bool:
    state = model.initial
    latest = 0
    for each in order:
        latest = max(latest, each.begun)
        if each.ended is not None and each.ended < latest:
            return False
        answer, state = model.step(state, each.asked)
        if each.ended is not None and answer != each.answer:
            return False
    return True
