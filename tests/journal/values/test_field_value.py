"""What a handler may rely on when it reads and assigns a state field."""

import copy
import json
import pickle
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import msgspec
import pydantic
import pytest

from holdfast.journal.values import FieldValue, RowChange, make_value_type
from holdfast.objects.errors import (
    ContextMisuseError,
    InvalidArgumentError,
    StoreDamagedError,
    StoreFormatError,
)
from holdfast.objects.serde import packed_serde

LONG = [{"text": f"line {number:04}"} for number in range(500)]


def make_field(
    annotation: Any, value: Any = None, *, frozen: bool = False, name: str = "history"
) -> FieldValue:
    """A field as it is after ``value`` was stored, or an absent one."""
    value_type = make_value_type(annotation, packed_serde)
    first = FieldValue(name, value_type, {})
    if value is not None:
        first.set(value)
        first.changes()
    return FieldValue(name, value_type, first.dump(), frozen=frozen)


def stored(value_field: FieldValue, annotation: Any) -> Any:
    return FieldValue("", make_value_type(annotation, packed_serde), value_field.dump()).get()


Change = Callable[[Any], object]


def long() -> list[dict[str, str]]:
    return copy.deepcopy(LONG)


# --- presence ---


def test_an_absent_field_says_so() -> None:
    value_field = make_field(int)
    assert not value_field.is_present
    with pytest.raises(KeyError, match="history"):
        value_field.get()
    assert value_field.changes() == []


def test_none_is_a_value_and_not_absence() -> None:
    value_field = make_field(int | None)
    value_field.set(None)
    value_field.changes()
    assert value_field.is_present
    assert stored(value_field, int | None) is None


def test_rows_are_looked_at_only_when_they_are_needed() -> None:
    class Refusing(dict[bytes, bytes]):
        def get(self, *_: Any) -> Any:
            raise AssertionError

        items = values = __iter__ = __getitem__ = __contains__ = get

    value_field = FieldValue("history", make_value_type(int, packed_serde), Refusing())
    assert value_field.changes() == []
    assert value_field.memory_bytes() > 0


@pytest.mark.parametrize("value", [1, [1], long()])
def test_clearing_a_field_deletes_all_its_rows(value: Any) -> None:
    value_field = make_field(Any, value)
    before = value_field.dump()
    value_field.clear()
    assert not value_field.is_present
    assert {change.part: change.old for change in value_field.changes()} == before
    assert value_field.dump() == {}


def test_setting_and_clearing_between_two_commands_changes_nothing() -> None:
    value_field = make_field(list[Any])
    value_field.set(long())
    value_field.clear()
    assert value_field.changes() == []


# --- values that cannot change ---


def test_assigning_a_number_changes_the_head_row() -> None:
    value_field = make_field(int, 1)
    value_field.set(value_field.get() + 1)
    assert value_field.changes() == [RowChange(b"", b"\x01\x00\x01", b"\x01\x00\x02")]
    assert value_field.changes() == []


def test_assigning_an_equal_number_changes_nothing() -> None:
    value_field = make_field(int, 1)
    value_field.set(1)
    assert value_field.changes() == []


def test_one_and_true_are_not_the_same_value() -> None:
    value_field = make_field(Any, 1)
    value_field.set(True)
    assert len(value_field.changes()) == 1


# --- values that change in place ---


@dataclass
class Cart:
    items: list[str]


class Note(msgspec.Struct):
    lines: list[str]


class Profile(pydantic.BaseModel):
    tags: list[str]


IN_PLACE: list[tuple[Any, Any, Change]] = [
    (Cart, Cart([]), lambda live: live.items.append("tea")),
    (Note, Note([]), lambda live: live.lines.append("tea")),
    (Profile, Profile(tags=[]), lambda live: live.tags.append("tea")),
    (set[str], {"milk"}, lambda live: live.add("tea")),
    (list[str], ["milk"], lambda live: list[str].append(live, "tea")),
    (dict[str, int], {"milk": 1}, lambda live: dict[str, int].__setitem__(live, "tea", 2)),
    (tuple[list[int], ...], ([1],), lambda live: live[0].append(2)),
]


@pytest.mark.parametrize(("annotation", "value", "change"), IN_PLACE)
def test_a_value_changed_in_place_is_saved_however_it_was_changed(
    annotation: Any, value: Any, change: Any
) -> None:
    value_field = make_field(annotation, value)
    live = value_field.get()
    assert value_field.changes() == []
    change(live)
    assert len(value_field.changes()) == 1
    assert stored(value_field, annotation) == value_field.get()


def test_a_value_kept_over_commands_is_still_saved() -> None:
    value_field = make_field(list[Any], long())
    history = value_field.get()
    for turn in range(3):
        history.append(turn)
        assert len(value_field.changes()) == 1
    assert value_field.get() is history
    assert stored(value_field, list[Any]) == history


def test_a_list_that_grows_long_stays_the_same_object() -> None:
    value_field = make_field(list[Any])
    value_field.set_default([])
    history = value_field.get()
    for turn in range(300):
        history.append({"turn": turn})
        value_field.changes()
    assert value_field.get() is history
    assert stored(value_field, list[Any]) == history
    assert len(value_field.dump()) > 20


def test_an_assigned_list_is_the_very_object_for_whoever_holds_it() -> None:
    value_field = make_field(list[Any])
    mine = long()
    value_field.set(mine)
    value_field.changes()
    assert value_field.get() is mine
    mine[250]["text"] = "changed"
    assert len(value_field.changes()) == 1
    assert stored(value_field, list[Any]) == mine


def test_a_list_that_was_replaced_is_nobodys_but_its_holders() -> None:
    value_field = make_field(list[Any], long())
    old = value_field.get()
    value_field.set([1])
    old.append(2)
    value_field.changes()
    assert stored(value_field, list[Any]) == [1]
    value_field.set(old)
    old.append(3)
    value_field.changes()
    old.append(4)
    assert len(value_field.changes()) == 1
    assert stored(value_field, list[Any]) == old


def test_two_fields_that_share_a_list_both_save_it() -> None:
    first, second = make_field(list[Any], long()), make_field(list[Any], [1])
    second.set(first.get())
    second.changes()
    first.get().append("both")
    assert len(first.changes()) == len(second.changes()) == 1
    assert stored(first, list[Any]) == stored(second, list[Any])


def test_fields_may_swap_their_values() -> None:
    first, second = make_field(list[Any], long()), make_field(list[Any], [1])
    one, two = first.get(), second.get()
    first.set(two)
    second.set(one)
    two.append("first")
    one.append("second")
    first.changes()
    second.changes()
    assert stored(first, list[Any]) == [1, "first"]
    assert stored(second, list[Any])[-1] == "second"


@pytest.mark.parametrize("other", [7, [1], {"a": 1}, {str(n): n for n in range(1_000)}, []])
@pytest.mark.parametrize("way_back", [False, True])
def test_a_value_of_another_kind_replaces_every_row(other: Any, *, way_back: bool) -> None:
    first, second = (other, long()) if way_back else (long(), other)
    value_field = make_field(Any, first)
    before = value_field.dump()
    value_field.set(second)
    changes = value_field.changes()
    for change in changes:
        assert before.pop(change.part, None) == change.old
        if change.new is not None:
            before[change.part] = change.new
    assert before == value_field.dump()
    assert stored(value_field, Any) == second


@pytest.mark.parametrize("annotation", [list[Any], dict[Any, Any]])
def test_an_element_replaced_by_an_equal_one_is_watched_in_its_place(annotation: Any) -> None:
    start = long() if annotation == list[Any] else dict(enumerate(long()))
    value_field = make_field(annotation, start)
    mine = {"text": "line 0003"}
    value_field.get()[3] = mine
    assert value_field.changes() == []
    mine["text"] = "changed"
    assert len(value_field.changes()) == 1
    assert stored(value_field, annotation) == value_field.get()


TAKEN_FROM_A_LIST: list[Callable[[Any], Any]] = [
    lambda live: live[250],
    lambda live: live[-250],
    lambda live: live[::-1],
    lambda live: live[240:260],
    lambda live: [*live],
    list,
    tuple,
    lambda live: sorted(live, key=str),
    lambda live: list(reversed(live)),
    lambda live: live.copy(),
    copy.copy,
    lambda live: live + [1],  # noqa: RUF005 - the operator
    lambda live: [1] + live,  # noqa: RUF005 - the operator
    lambda live: live * 2,
    lambda live: 2 * live,
    lambda live: next(element for element in live if element["text"] == "line 0250"),
    lambda live: max(live, key=str),
    lambda live: list(zip(live, live, strict=True)),
]

TAKEN_FROM_A_DICT: list[Callable[[Any], Any]] = [
    lambda live: live["250"],
    lambda live: live.get("250"),
    lambda live: live.setdefault("250", 1),
    lambda live: list(live.values()),
    lambda live: list(live.items()),
    lambda live: list(reversed(live.values())),
    lambda live: list(reversed(live.items())),
    lambda live: live.copy(),
    copy.copy,
    dict,
    lambda live: {**live},
    lambda live: live | {},
    lambda live: {} | live,
    lambda live: [live[key] for key in live],
]


def change_deep_inside(value: Any) -> None:
    """Change every dict of text found in ``value``."""
    if issubclass(type(value), dict) and "text" in value:
        value["text"] = "changed"
    elif hasattr(value, "values"):
        change_deep_inside(list(value.values()))
    elif issubclass(type(value), list | tuple):
        for part in value:
            change_deep_inside(part)


@pytest.mark.parametrize("take", TAKEN_FROM_A_LIST)
def test_an_element_taken_from_a_long_list_is_watched_while_it_is_held(
    take: Callable[[Any], Any],
) -> None:
    value_field = make_field(list[Any], long())
    taken = take(value_field.get())
    for _ in range(2):
        assert value_field.changes() == []
    change_deep_inside(taken)
    assert value_field.changes()
    assert stored(value_field, list[Any]) == value_field.get()


@pytest.mark.parametrize("take", TAKEN_FROM_A_DICT)
def test_a_value_taken_from_a_long_dict_is_watched_while_it_is_held(
    take: Callable[[Any], Any],
) -> None:
    start = {str(number): value for number, value in enumerate(long())}
    value_field = make_field(dict[str, Any], start)
    taken = take(value_field.get())
    for _ in range(2):
        assert value_field.changes() == []
    change_deep_inside(taken)
    assert value_field.changes()
    assert stored(value_field, dict[str, Any]) == value_field.get()


@pytest.mark.parametrize("view", ["values", "items"])
def test_an_iteration_over_a_long_dict_may_go_on_after_a_command(view: str) -> None:
    start = {str(number): value for number, value in enumerate(long())}
    value_field = make_field(dict[str, Any], start)
    for found in getattr(value_field.get(), view)():
        assert value_field.changes() == []
        change_deep_inside(found)
        del found
        assert len(value_field.changes()) == 1
    assert stored(value_field, dict[str, Any]) == value_field.get()


def test_a_short_list_assigned_over_a_long_one_is_stored_whole() -> None:
    value_field = make_field(list[Any], long())
    value_field.set([1])
    value_field.changes()
    assert list(value_field.dump()) == [b""]


def test_an_assigned_list_may_have_grown_between_any_two_elements() -> None:
    for index in range(0, 100, 3):
        value_field = make_field(list[Any], long())
        value_field.set([*LONG[:index], 1, *LONG[index:]])
        assert len(value_field.changes()) == 1
        assert stored(value_field, list[Any]) == [*LONG[:index], 1, *LONG[index:]]


# --- being a real list or dict ---


@dataclass
class Report:
    lines: Any


@pytest.mark.parametrize("size", [2, 500])
def test_a_live_list_is_a_list_to_everyone(size: int) -> None:
    plain = long()[:size]
    live = make_field(list[dict[str, str]], plain).get()
    assert issubclass(type(live), list)
    assert live == plain
    assert plain == live
    assert repr(live) == repr(plain)
    assert json.dumps(live) == json.dumps(plain)
    assert msgspec.msgpack.encode(live) == msgspec.msgpack.encode(plain)
    assert (
        pydantic.TypeAdapter(list[dict[str, str]]).dump_json(live)
        == json.dumps(plain, separators=(",", ":")).encode()
    )
    for made in (copy.copy(live), copy.deepcopy(live), pickle.loads(pickle.dumps(live)), live[:]):  # noqa: S301
        assert type(made) is list
        assert made == plain
    assert live + [1] == [*plain, 1]  # noqa: RUF005 - the operator
    assert [1] + live == [1, *plain]  # noqa: RUF005 - the operator
    assert asdict(Report(live)) == {"lines": plain}
    assert type(live)() == []
    assert live * 2 == 2 * live == plain * 2
    match live:
        case [first, *_, last]:
            assert (first, last) == (plain[0], plain[-1])
        case _:
            pytest.fail("a live list matches a sequence pattern")


@pytest.mark.parametrize("size", [2, 500])
def test_a_live_dict_is_a_dict_to_everyone(size: int) -> None:
    plain = {str(number): value for number, value in enumerate(long()[:size])}
    live = make_field(dict[str, dict[str, str]], plain).get()
    assert issubclass(type(live), dict)
    assert live == plain
    assert repr(live) == repr(plain)
    assert json.dumps(live) == json.dumps(plain)
    assert msgspec.msgpack.encode(live) == msgspec.msgpack.encode(plain)
    for made in (copy.copy(live), copy.deepcopy(live), pickle.loads(pickle.dumps(live))):  # noqa: S301
        assert type(made) is dict
        assert made == plain
    assert asdict(Report(live)) == {"lines": plain}
    assert live.__class__(one=1) == live.__class__.fromkeys(["one"], 1) == {"one": 1}
    assert list(live.items()) == list(plain.items())
    assert list(reversed(live.values())) == list(reversed(plain.values()))
    assert list(reversed(live.items())) == list(reversed(plain.items()))
    assert live | {"z": 1} == plain | {"z": 1}
    with pytest.raises(KeyError):
        live.pop("nothing")
    assert live.pop("nothing", 1) == 1
    match live:
        case {"0": found}:
            assert found == plain["0"]
        case _:
            pytest.fail("a live dict matches a mapping pattern")


def test_a_dict_keeps_the_order_in_which_keys_came() -> None:
    value_field = make_field(dict[str, Any], {str(number): long()[0] for number in range(500)})
    live = value_field.get()
    live["250"] = live.pop("250")
    live["0"] = "changed in its place"
    live["new"] = 1
    value_field.changes()
    assert list(stored(value_field, dict[str, Any])) == list(live)
    assert list(live)[-2:] == ["250", "new"]


@pytest.mark.parametrize(
    "annotation",
    [
        list[dict[str, str]] | None,
        Annotated[list[dict[str, str]], msgspec.Meta(min_length=400)],
        list,
        Any,
    ],
    ids=str,
)
def test_a_long_list_is_cut_under_any_annotation_that_takes_a_list(annotation: Any) -> None:
    value_field = make_field(annotation, long())
    assert len(value_field.dump()) > 5
    value_field.get().append({"text": "last"})
    assert len(value_field.changes()) == 1
    assert stored(value_field, annotation) == [*LONG, {"text": "last"}]


def test_rows_in_chunks_can_be_read_when_the_annotation_no_longer_takes_a_list() -> None:
    rows = make_field(list[dict[str, str]], long()).dump()
    value_field = FieldValue(
        "history", make_value_type(tuple[dict[str, str], ...], packed_serde), rows
    )
    assert value_field.get() == tuple(LONG)
    value_field.changes()
    assert list(value_field.dump()) == [b""]


# --- shared handlers ---

FORBIDDEN: list[Change] = [
    lambda live: live.append(1),
    lambda live: live[0].update(text="changed"),
    lambda live: live.append(object()),
]


@pytest.mark.parametrize("value", [[{"text": "a"}], long()], ids=["short", "long"])
@pytest.mark.parametrize("change", FORBIDDEN)
def test_a_frozen_value_that_was_changed_is_an_error_that_names_the_field(
    value: Any, change: Any
) -> None:
    value_field = make_field(list[Any], value, frozen=True)
    before = value_field.dump()
    change(value_field.get())
    with pytest.raises(ContextMisuseError, match="'history'"):
        value_field.changes()
    assert value_field.get() == value
    assert value_field.changes() == []
    assert value_field.dump() == before


def test_a_frozen_field_refuses_to_be_assigned_or_cleared() -> None:
    value_field = make_field(int, 1, frozen=True)
    with pytest.raises(ContextMisuseError, match="'history'"):
        value_field.set(2)
    with pytest.raises(ContextMisuseError, match="'history'"):
        value_field.clear()
    assert value_field.get() == 1


def test_reading_a_frozen_value_in_every_way_is_no_change() -> None:
    value_field = make_field(list[Any], long(), frozen=True)
    assert [*value_field.get()][0] is value_field.get()[0]  # noqa: RUF015
    assert value_field.changes() == []


def test_a_frozen_value_of_an_older_class_may_be_read() -> None:
    class Older(msgspec.Struct):
        name: str

    class Newer(msgspec.Struct):
        name: str
        age: int = 0

    rows = make_field(Older, Older("sam")).dump()
    value_field = FieldValue("who", make_value_type(Newer, packed_serde), rows, frozen=True)
    assert value_field.get().age == 0
    assert value_field.changes() == []
    value_field.get().age = 1
    with pytest.raises(ContextMisuseError):
        value_field.changes()


def test_a_frozen_set_may_be_read_whatever_its_order() -> None:
    value_field = make_field(set[str], {f"name {number}" for number in range(50)}, frozen=True)
    assert len(value_field.get()) == 50
    assert value_field.changes() == []


# --- what cannot be encoded ---


@pytest.mark.parametrize("value", [[1], long()], ids=["short", "long"])
def test_a_value_that_cannot_be_encoded_leaves_the_rows_as_they_were(value: Any) -> None:
    value_field = make_field(list[Any], value)
    before = value_field.dump()
    live = value_field.get()
    live.append(object())
    live[0] = "changed"
    for _ in range(2):
        with pytest.raises(InvalidArgumentError, match="state field 'history'"):
            value_field.changes()
        assert value_field.dump() == before
    live.pop()
    assert value_field.changes()
    assert stored(value_field, list[Any]) == live


def test_rows_that_do_not_fit_the_annotation_are_an_error_that_names_the_field() -> None:
    rows = make_field(str, "text").dump()
    with pytest.raises(InvalidArgumentError, match="state field 'count'"):
        FieldValue("count", make_value_type(int, packed_serde), rows).get()


def test_rows_of_a_newer_format_are_refused() -> None:
    value_field = FieldValue("count", make_value_type(int, packed_serde), {b"": b"\x02\x00\x01"})
    with pytest.raises(StoreFormatError, match="02 00"):
        value_field.get()


def test_a_chunk_that_is_no_chunk_is_damage() -> None:
    rows = {b"": b"\x01\x01", (2**62).to_bytes(8, "big"): b"\x01"}
    with pytest.raises(StoreDamagedError):
        FieldValue("history", make_value_type(list[Any], packed_serde), rows).get()


# --- the next attempt ---


@pytest.mark.parametrize("size", [1, 500])
def test_the_next_attempt_sees_what_decoding_would_give(size: int) -> None:
    value_field = make_field(list[Any], long()[:size])
    value_field.get()
    value_field.changes()
    value_field.get().append(tuple(range(1, 3)))
    value_field.changes()
    value_field.reuse()
    assert value_field.get()[-1] == [1, 2]


def test_what_an_earlier_attempt_leaked_cannot_change_the_value() -> None:
    value_field = make_field(list[Any], long())
    leaked_list = value_field.get()
    leaked_element = leaked_list[3]
    value_field.changes()
    value_field.reuse()
    leaked_list.append(1)
    leaked_element["text"] = "changed"
    assert value_field.get() == LONG
    assert value_field.changes() == []


def test_an_element_held_by_an_earlier_attempt_is_replaced_by_a_copy() -> None:
    value_field = make_field(list[Any], long())
    value_field.get()
    value_field.changes()
    leaked = value_field.get()[3]
    value_field.changes()
    value_field.reuse()
    leaked["text"] = "changed"
    assert value_field.get() == LONG
    assert value_field.changes() == []


def test_a_chunk_written_twice_in_one_attempt_is_what_was_written_last() -> None:
    value_field = make_field(list[Any], long())
    value_field.get()
    for text in ("first", "second"):
        value_field.get()[0] = {"text": text}
        value_field.get().insert(0, {"text": "x" * 3_000})
        value_field.changes()
    expected = copy.deepcopy(value_field.get())
    value_field.reuse()
    assert value_field.get() == expected
    assert stored(value_field, list[Any]) == expected
