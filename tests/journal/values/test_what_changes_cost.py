"""Changes cost what was touched: counted in rows, bytes and encoded entries, never in time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from holdfast.journal.values import FieldValue, RowChange, make_value_type
from holdfast.objects.serde import packed_serde

History = list[dict[str, str]]
Change = Callable[[Any], object]


@dataclass
class CountingSerde:
    """Notes how many entries it was asked to encode, each time."""

    annotation: Any
    counts: list[int]

    def encode(self, value: Any) -> bytes:
        self.counts.append(len(value))
        return packed_serde(self.annotation).encode(value)

    def decode(self, data: bytes) -> Any:
        return packed_serde(self.annotation).decode(data)


def message(number: int) -> dict[str, str]:
    return {"role": "user", "content": f"message {number:08}"}


def make_field(annotation: Any, value: Any) -> tuple[FieldValue, list[int]]:
    """A field that holds ``value`` and was used once, and the sizes of what is encoded."""
    counts: list[int] = []
    value_type = make_value_type(annotation, lambda part: CountingSerde(part, counts))
    value_field = FieldValue("field", value_type, {})
    value_field.set_default(value)
    value_field.changes()
    value_field.reuse()
    if value:
        value_field.get()
        value_field.changes()
        value_field.reuse()
    counts.clear()
    return value_field, counts


def written(changes: list[RowChange]) -> tuple[int, int]:
    """Rows, and the bytes of them and of their undo."""
    return len(changes), sum(len(change.old or b"") + len(change.new or b"") for change in changes)


def test_an_append_to_a_long_list_costs_one_row_of_what_was_appended() -> None:
    costs: list[tuple[int, int]] = []
    for size in (100, 10_000):
        value_field, counts = make_field(History, [message(number) for number in range(size)])
        value_field.get().append(message(size))
        costs.append(written(value_field.changes()))
        assert sum(counts) == 1
    assert costs == [(1, len(packed_serde(History).encode([message(1)])))] * 2


def test_the_ten_thousandth_turn_writes_no_more_than_the_tenth() -> None:
    value_field, counts = make_field(History, [])
    costs: list[tuple[int, int]] = []
    encoded: list[int] = []
    for turn in range(10_000):
        counts.clear()
        value_field.get().append(message(turn))
        costs.append(written(value_field.changes()))
        encoded.append(sum(counts))
        value_field.reuse()
    assert costs[9_999] == (1, len(packed_serde(History).encode([message(1)])))
    assert costs[9_999][1] <= costs[9][1]
    assert encoded[9_999] == 1


def test_what_was_appended_and_let_go_is_not_looked_at_again() -> None:
    value_field, counts = make_field(History, [message(number) for number in range(1_000)])
    value_field.get().append(message(1))
    value_field.changes()
    counts.clear()
    assert value_field.changes() == []
    assert counts == []


def test_what_was_appended_and_is_held_is_looked_at_again() -> None:
    value_field, counts = make_field(History, [message(number) for number in range(1_000)])
    held = message(1)
    value_field.get().append(held)
    value_field.changes()
    counts.clear()
    assert value_field.changes() == []
    assert counts == [1]
    held["content"] = "changed"
    assert written(value_field.changes())[0] == 1


def test_a_large_extend_is_packed_into_chunks_of_about_one_kibibyte() -> None:
    value_field, _ = make_field(History, [message(number) for number in range(1_000)])
    value_field.get().extend(message(number) for number in range(1_000))
    sizes = [len(change.new or b"") for change in value_field.changes()]
    assert all(512 < size < 2_048 for size in sizes[1:])
    assert sum(sizes) < 40 * 1_000


def test_a_copy_that_was_let_go_costs_one_pass_and_leaves_nothing_to_watch() -> None:
    value_field, counts = make_field(History, [message(number) for number in range(1_000)])
    assert [*value_field.get()]
    assert value_field.changes() == []
    assert counts == [1_000]
    assert value_field.changes() == []
    assert counts == [1_000]


def test_a_copy_that_is_held_is_compared_every_time() -> None:
    value_field, counts = make_field(History, [message(number) for number in range(1_000)])
    held = [*value_field.get()]
    value_field.changes()
    value_field.changes()
    assert counts == [1_000, 1_000]
    held[500]["content"] = "changed"
    assert written(value_field.changes())[0] == 1


def test_an_iteration_over_commands_costs_what_was_passed_in_between() -> None:
    value_field, counts = make_field(History, [message(number) for number in range(1_000)])
    for _ in value_field.get():
        assert value_field.changes() == []
    assert max(counts) < 100


def test_reading_elements_that_cannot_change_costs_nothing() -> None:
    value_field, counts = make_field(list[str], [f"line {number}" for number in range(1_000)])
    live = value_field.get()
    assert [*live] == live[:] == [line for line in reversed(live)][::-1]  # noqa: C416
    assert live[500] == "line 500"
    assert value_field.changes() == []
    assert counts == []


@pytest.mark.parametrize("index", [0, 5_000, 9_999])
def test_a_change_anywhere_touches_only_its_chunk(index: int) -> None:
    ways: list[Change] = [
        lambda live: live.pop(index),
        lambda live: live.insert(index, message(1)),
        lambda live: live[index].update(content="changed"),
        lambda live: live.__setitem__(index, message(1)),
    ]
    for change in ways:
        value_field, _ = make_field(History, [message(number) for number in range(10_000)])
        change(value_field.get())
        rows, size = written(value_field.changes())
        assert rows == 1
        assert size < 4_096


def test_inserting_in_front_again_and_again_keeps_chunks_small() -> None:
    value_field, _ = make_field(History, [message(number) for number in range(200)])
    for turn in range(500):
        value_field.get().insert(0, message(turn))
        rows, size = written(value_field.changes())
        assert rows <= 3
        assert size < 8_192
    assert max(map(len, value_field.dump().values())) <= 2_048


def test_an_assigned_list_that_only_grew_keeps_its_chunks() -> None:
    value_field, _ = make_field(History, [message(number) for number in range(1_000)])
    value_field.set([*value_field.get(), message(1)])
    assert written(value_field.changes())[0] == 1


def test_an_assigned_list_that_lost_its_beginning_keeps_the_other_chunks() -> None:
    value_field, _ = make_field(History, [message(number) for number in range(1_000)])
    value_field.set(value_field.get()[3:])
    assert written(value_field.changes())[0] == 1


def test_a_changed_dict_writes_only_the_chunk_of_the_key() -> None:
    start = {str(number): message(number) for number in range(10_000)}
    ways: list[Change] = [
        lambda live: live["5000"].update(content="changed"),
        lambda live: live.__setitem__("new", message(1)),
        lambda live: live.pop("5000"),
        lambda live: live.get("7")["role"] and live.update({"7": message(1)}),
    ]
    for change in ways:
        value_field, counts = make_field(dict[str, dict[str, str]], dict(start))
        change(value_field.get())
        rows, size = written(value_field.changes())
        assert rows == 1
        assert size < 4_096
        assert sum(counts) < 200


def test_the_next_attempt_decodes_only_what_was_written() -> None:
    value_field, counts = make_field(History, [message(number) for number in range(1_000)])
    first = id(value_field.get()[0])
    value_field.changes()
    value_field.get().append(message(1))
    value_field.changes()
    value_field.reuse()
    assert id(value_field.get()[0]) == first
    assert sum(counts) < 100


def test_memory_is_estimated_from_what_is_stored() -> None:
    small, _ = make_field(History, [message(1)])
    large, _ = make_field(History, [message(number) for number in range(10_000)])
    assert small.memory_bytes() < 1_000
    assert 1_000_000 < large.memory_bytes() < 5_000_000
