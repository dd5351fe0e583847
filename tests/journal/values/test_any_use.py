"""Whatever is done to a live value, its rows say the same as a plain list or dict would.

Every operation is done to the live value and to a plain model. After each ``changes`` the rows are
read by a fresh ``FieldValue`` and undone once, as a rewind would.
"""

import heapq
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from holdfast.journal.values import FieldValue, RowChange, ValueType, make_value_type
from holdfast.objects.serde import packed_serde

MESSAGES = make_value_type(list[dict[str, Any]], packed_serde)
NUMBERS = make_value_type(list[int], packed_serde)
BY_NAME = make_value_type(dict[str, dict[str, Any]], packed_serde)


def make_message(size: int, tag: int) -> dict[str, Any]:
    return {"content": "x" * size, "tags": [tag]}


messages = st.builds(make_message, st.sampled_from([1, 30, 300, 3000]), st.integers(0, 9))
positions = st.integers(0, 10**6)
few = st.lists(messages, max_size=4)


def copied(value: Any) -> Any:
    return json.loads(json.dumps(value))


def apply(rows: dict[bytes, bytes], changes: list[RowChange]) -> dict[bytes, bytes]:
    after = dict(rows)
    for change in changes:
        assert change.old != change.new
        assert after.pop(change.part, None) == change.old
        if change.new is not None:
            after[change.part] = change.new
    return dict(sorted(after.items()))


def undo(rows: dict[bytes, bytes], changes: list[RowChange]) -> dict[bytes, bytes]:
    before = dict(rows)
    for change in reversed(changes):
        before.pop(change.part, None)
        if change.old is not None:
            before[change.part] = change.old
    return dict(sorted(before.items()))


class FieldMachine(RuleBasedStateMachine):
    value_type: ValueType
    empty: Callable[[], Any]

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[bytes, bytes] = {}
        self.field = FieldValue("field", self.value_type, {})
        self.model: Any = self.empty()
        # What the user still holds of the value, beside its equal in the model.
        self.held: list[tuple[Any, Any]] = []

    @property
    def live(self) -> Any:
        return self.field.get()

    def save(self) -> None:
        changes = self.field.changes()
        assert len({change.part for change in changes}) == len(changes)
        after = apply(self.rows, changes)
        assert undo(after, changes) == self.rows
        self.rows = after
        stored = FieldValue("field", self.value_type, self.rows).get()
        assert stored == self.model
        assert list(stored) == list(self.model)
        assert self.field.dump() == self.rows
        assert list(self.field.dump()) == list(self.rows)

    @rule()
    def command(self) -> None:
        self.save()

    @rule()
    def command_twice_changes_nothing(self) -> None:
        self.save()
        assert self.field.changes() == []

    @rule()
    def next_attempt(self) -> None:
        self.save()
        self.held.clear()
        self.model = copied(self.model)
        self.field.reuse()

    @rule()
    def next_attempt_after_a_leak(self) -> None:
        """The attempt before may have left something in a global; nobody sees that change."""
        self.save()
        for held, _ in self.held:
            if isinstance(held, dict):
                held["leaked"] = True
        leaked = self.held[:]
        self.held.clear()
        self.model = copied(self.model)
        self.field.changes()  # so far it was noticed, as it is the same attempt
        self.rows = self.field.dump()
        self.model = copied(FieldValue("field", self.value_type, self.rows).get())
        self.field.reuse()
        for held, _ in leaked:
            if isinstance(held, dict):
                held["too late"] = True
        self.save()

    @rule()
    def reload(self) -> None:
        self.save()
        self.held.clear()
        self.model = copied(self.model)
        self.field = FieldValue("field", self.value_type, self.rows)

    @rule(number=positions)
    def change_what_is_held(self, number: int) -> None:
        for held, model in self.held[-3:]:
            if isinstance(held, dict):
                held["changed"] = model["changed"] = number
            else:
                held.append(number)
                model.append(number)

    @rule()
    def let_go(self) -> None:
        self.held.clear()

    @invariant()
    def live_is_the_model(self) -> None:
        if self.field.is_present:
            assert self.field.get() == self.model


class ListMachine(FieldMachine):
    value_type = MESSAGES
    empty = staticmethod(list[Any])

    def __init__(self) -> None:
        super().__init__()
        self.iterators: list[tuple[Any, Any]] = []

    @initialize(count=st.sampled_from([3, 100, 101]), message=messages)
    def begin(self, count: int, message: dict[str, Any]) -> None:
        self.field.set_default([copied(message) for _ in range(count)])
        self.model = [copied(message) for _ in range(count)]

    def at(self, position: int) -> int:
        return position % len(self.model)

    @rule(message=messages, is_held=st.booleans())
    def append(self, message: dict[str, Any], *, is_held: bool) -> None:
        self.model.append(copied(message))
        self.live.append(message)
        if is_held:
            self.held.append((message, self.model[-1]))

    @rule(added=few)
    def extend(self, added: list[Any]) -> None:
        self.model += copied(added)
        live = self.live
        live += added
        self.field.set(live)

    @rule(position=positions, message=messages)
    def insert(self, position: int, message: dict[str, Any]) -> None:
        position %= len(self.model) + 1
        self.model.insert(position, copied(message))
        self.live.insert(position, message)

    @precondition(lambda self: self.model)
    @rule(position=positions)
    def pop(self, position: int) -> None:
        assert self.live.pop(self.at(position)) == self.model.pop(self.at(position))

    @precondition(lambda self: self.model)
    @rule()
    def pop_at_either_end(self) -> None:
        assert self.live.pop() == self.model.pop()
        if self.model:
            assert self.live.pop(0) == self.model.pop(0)

    @precondition(lambda self: self.model)
    @rule(position=positions, message=messages)
    def set_item(self, position: int, message: dict[str, Any]) -> None:
        self.live[self.at(position)] = message
        self.model[self.at(position)] = copied(message)

    @precondition(lambda self: self.model)
    @rule(position=positions, number=positions)
    def change_nested(self, position: int, number: int) -> None:
        for value in (self.live, self.model):
            value[self.at(position) - len(self.model)]["tags"].append(number)

    @precondition(lambda self: self.model)
    @rule(position=positions, is_nested=st.booleans())
    def hold(self, position: int, *, is_nested: bool) -> None:
        held, model = self.live[self.at(position)], self.model[self.at(position)]
        self.held.append((held["tags"], model["tags"]) if is_nested else (held, model))

    @rule(start=positions, size=st.integers(0, 50))
    def hold_slice(self, start: int, size: int) -> None:
        start %= len(self.model) + 1
        part = slice(start, start + size)
        self.held += zip(self.live[part], self.model[part], strict=True)

    @rule()
    def hold_a_copy(self) -> None:
        self.held += zip([*self.live], self.model, strict=True)
        self.held += zip([] + self.live, self.model, strict=True)  # noqa: RUF005 - the operator

    @rule()
    def begin_to_iterate(self) -> None:
        self.iterators.append((iter(self.live), iter(self.model)))
        self.iterators.append((reversed(self.live), reversed(self.model)))

    @rule(number=positions, steps=st.integers(1, 5))
    def go_on_iterating(self, number: int, steps: int) -> None:
        for iterator, model_iterator in self.iterators:
            for _ in range(steps):
                pair = next(iterator, None), next(model_iterator, None)
                if pair[0] is not None and pair[1] is not None:
                    pair[0]["seen"] = pair[1]["seen"] = number

    @rule()
    def end_iterating(self) -> None:
        self.iterators.clear()

    @rule(start=positions, size=st.integers(0, 5), added=few)
    def assign_slice(self, start: int, size: int, added: list[Any]) -> None:
        start %= len(self.model) + 1
        self.model[start : start + size] = copied(added)
        self.live[start : start + size] = added

    @rule(start=positions, size=st.integers(0, 60), step=st.sampled_from([1, 1, 2, -1]))
    def delete_slice(self, start: int, size: int, step: int) -> None:
        start %= len(self.model) + 1
        part = slice(start, start + size, step) if step > 0 else slice(start, None, step)
        del self.live[part]
        del self.model[part]

    @rule()
    def sort(self) -> None:
        def rank(message: dict[str, Any]) -> tuple[int, list[int]]:
            return len(message["content"]), message["tags"]

        for value in (self.live, self.model):
            value.sort(key=rank)

    @rule()
    def reverse(self) -> None:
        self.live.reverse()
        self.model.reverse()

    @rule(count=st.sampled_from([0, 1]))
    def multiply(self, count: int) -> None:
        live = self.live
        live *= count
        self.model *= count

    @rule(message=messages)
    def assign_a_longer_one(self, message: dict[str, Any]) -> None:
        self.field.set([*self.live, message])
        self.model = [*self.model, copied(message)]
        self.iterators.clear()

    @rule(size=st.integers(0, 3))
    def assign_another(self, size: int) -> None:
        value = [{"content": "new", "tags": [number]} for number in range(size)]
        self.field.set(value)
        self.model = copied(value)
        self.held = list(zip(value, self.model, strict=True))
        self.iterators.clear()

    def teardown(self) -> None:
        self.save()


class HeapMachine(FieldMachine):
    """``heapq`` works on the inside of a list, and tells nobody."""

    value_type = NUMBERS
    empty = staticmethod(list[Any])

    @initialize(count=st.sampled_from([0, 5, 2000]))
    def begin(self, count: int) -> None:
        self.model = [number * 7919 % 10007 + 10**6 for number in range(count)]
        self.field.set_default(self.model[:])

    @rule(number=positions)
    def push(self, number: int) -> None:
        for value in (self.live, self.model):
            heapq.heapify(value)
            heapq.heappush(value, number)

    @precondition(lambda self: self.model)
    @rule()
    def pop_smallest(self) -> None:
        assert heapq.heappop(self.live) == heapq.heappop(self.model)

    @precondition(lambda self: self.model)
    @rule(number=positions)
    def replace_smallest(self, number: int) -> None:
        for value in (self.live, self.model):
            heapq.heapify(value)
            heapq.heapreplace(value, number)

    @precondition(lambda self: self.model)
    @rule(number=positions)
    def change_one_and_heapify(self, number: int) -> None:
        for value in (self.live, self.model):
            value[number % len(value)] = number
            heapq.heapify(value)

    @rule(number=positions)
    def append_and_heapify(self, number: int) -> None:
        for value in (self.live, self.model):
            value.append(number)
            heapq.heapify(value)

    def teardown(self) -> None:
        self.save()


WAYS_TO_COPY_A_DICT: list[Callable[[dict[str, Any]], dict[str, Any]]] = [
    lambda live: live.copy(),
    lambda live: {**live},
    lambda live: dict(live.items()),
    lambda live: dict(zip(live, live.values(), strict=True)),
    lambda live: dict[str, Any]() | live,
    lambda live: live | {},
]


class DictMachine(FieldMachine):
    value_type = BY_NAME
    empty = staticmethod(dict[str, Any])

    @initialize(count=st.sampled_from([3, 100, 101]), message=messages)
    def begin(self, count: int, message: dict[str, Any]) -> None:
        self.model = {str(number): copied(message) for number in range(count)}
        self.field.set_default(copied(self.model))

    def key(self, position: int) -> str:
        keys: list[str] = list(self.model)
        return keys[position % len(keys)]

    @rule(number=st.integers(0, 150), message=messages)
    def set_item(self, number: int, message: dict[str, Any]) -> None:
        self.live[str(number)] = message
        self.model[str(number)] = copied(message)
        self.held.append((message, self.model[str(number)]))

    @rule(number=st.integers(0, 150), message=messages)
    def set_default(self, number: int, message: dict[str, Any]) -> None:
        copy_ = copied(message)
        found = self.live.setdefault(str(number), message)
        self.held.append((found, self.model.setdefault(str(number), copy_)))

    @rule(numbers=st.lists(st.integers(0, 300), max_size=5), message=messages)
    def update(self, numbers: list[int], message: dict[str, Any]) -> None:
        self.live.update({str(number): copied(message) for number in numbers})
        live = self.live
        live |= {str(number): copied(message) for number in numbers}
        self.model.update({str(number): copied(message) for number in numbers})

    @precondition(lambda self: self.model)
    @rule(position=positions)
    def delete(self, position: int) -> None:
        key = self.key(position)
        del self.live[key]
        del self.model[key]

    @precondition(lambda self: self.model)
    @rule(position=positions)
    def move_to_the_end(self, position: int) -> None:
        key = self.key(position)
        for value in (self.live, self.model):
            value[key] = value.pop(key)

    @precondition(lambda self: self.model)
    @rule()
    def pop_item(self) -> None:
        assert self.live.popitem() == self.model.popitem()

    @precondition(lambda self: self.model)
    @rule(position=positions, number=positions)
    def change_nested(self, position: int, number: int) -> None:
        key = self.key(position)
        for value in (self.live, self.model):
            value[key]["tags"].append(number)

    @precondition(lambda self: self.model)
    @rule(position=positions)
    def hold(self, position: int) -> None:
        key = self.key(position)
        self.held.append((self.live.get(key)["tags"], self.model[key]["tags"]))

    @rule(way=st.integers(0, len(WAYS_TO_COPY_A_DICT) - 1))
    def hold_a_copy(self, way: int) -> None:
        copied_somehow = WAYS_TO_COPY_A_DICT[way](self.live)
        self.held += [(value, self.model[key]) for key, value in copied_somehow.items()]

    @rule()
    def clear(self) -> None:
        self.live.clear()
        self.model.clear()

    @rule(size=st.integers(0, 3))
    def assign_another(self, size: int) -> None:
        value = {str(number): {"content": "new", "tags": [number]} for number in range(size)}
        self.field.set(value)
        self.model = copied(value)
        self.held.clear()

    def teardown(self) -> None:
        self.save()


SETTINGS = settings(max_examples=100, stateful_step_count=50, deadline=None)


@pytest.mark.parametrize("machine", [ListMachine, HeapMachine, DictMachine])
def test_any_use_of_a_live_value_is_saved_and_can_be_undone(machine: type[FieldMachine]) -> None:
    run_state_machine_as_test(machine, settings=SETTINGS)
