"""The bytes on disk. Whatever a release wrote, every later one reads."""

from typing import Any

import msgspec
import pytest

from holdfast.journal.values import FieldValue, make_value_type, rows
from holdfast.objects.serde import packed_serde


def dump(annotation: Any, value: Any) -> dict[str, str]:
    value_field = FieldValue("field", make_value_type(annotation, packed_serde), {})
    value_field.set(value)
    value_field.changes()
    return {part.hex(): row.hex(" ") for part, row in value_field.dump().items()}


def test_bytes_of_values_stored_whole_do_not_change() -> None:
    assert dump(int, 5) == {"": "01 00 05"}
    assert dump(str | None, None) == {"": "01 00 c0"}
    assert dump(list[str], ["a"]) == {"": "01 00 91 a1 61"}
    assert dump(dict[str, int], {"a": 1}) == {"": "01 00 81 a1 61 01"}


def test_bytes_of_a_long_list_do_not_change() -> None:
    found = dump(list[bytes], [b"x" * 1500, b"y" * 1500])
    assert found == {
        "": "01 01",
        "4000000000000000": "91 c5 05 dc" + " 78" * 1500,
        "4000000000100000": "91 c5 05 dc" + " 79" * 1500,
    }


def test_bytes_of_a_long_dict_do_not_change() -> None:
    found = dump(dict[str, bytes], {"a": b"x" * 1500, "b": b"y" * 1500})
    assert found == {
        "": "01 02",
        "4000000000000000": "81 a1 61 c5 05 dc" + " 78" * 1500,
        "4000000000100000": "81 a1 62 c5 05 dc" + " 79" * 1500,
    }


def test_a_value_is_cut_when_it_is_longer_than_two_kibibytes() -> None:
    at_most = [b"x" * 100] * 20 + [b"x" * 3]  # 3 bytes of header, 102 and 5 of elements
    assert len(packed_serde(list[bytes]).encode(at_most)) == 2048
    assert len(dump(list[bytes], at_most)) == 1
    assert len(dump(list[bytes], [*at_most[:-1], b"x" * 4])) > 1


def chunks_of(found: FieldValue) -> list[str]:
    return [part.hex() for part in found.dump() if part]


def test_chunks_in_front_and_in_between_get_ordinals_in_front_and_in_between() -> None:
    value_field = FieldValue("field", make_value_type(list[bytes], packed_serde), {})
    value_field.set_default([name * 1500 for name in (b"b", b"d", b"e")])
    value_field.changes()
    value_field.get().insert(0, b"a" * 1500)
    value_field.get().insert(2, b"c" * 1500)
    value_field.changes()
    assert chunks_of(value_field) == [
        "3ffffffffff00000",
        "4000000000000000",
        "4000000000100000",
        "4000000000180000",
        "4000000000200000",
    ]
    again = FieldValue("field", make_value_type(list[bytes], packed_serde), value_field.dump())
    assert [text[:1] for text in again.get()] == [b"a", b"b", b"c", b"d", b"e"]


def test_when_no_ordinal_is_left_between_two_chunks_one_of_them_grows() -> None:
    given = {b"": rows.LIST}
    for ordinal, names in enumerate(("ab", "ce", "fg"), rows.FIRST_ORDINAL):
        packed = msgspec.msgpack.encode([name * 700 for name in names])
        given[rows.part_of(ordinal)] = packed
    value_field = FieldValue("field", make_value_type(list[str], packed_serde), given)
    value_field.get().insert(3, "d" * 1500)
    value_field.changes()
    assert list(value_field.dump()) == list(given)
    again = FieldValue("field", make_value_type(list[str], packed_serde), value_field.dump())
    assert [text[0] for text in again.get()] == list("abcdefg")


def test_rows_may_come_in_any_order() -> None:
    value_type = make_value_type(list[bytes], packed_serde)
    value_field = FieldValue("field", value_type, {})
    value_field.set_default([name * 1500 for name in (b"a", b"b", b"c")])
    value_field.changes()
    mixed = dict(reversed(value_field.dump().items()))
    assert FieldValue("field", value_type, mixed).get() == value_field.get()


@pytest.mark.parametrize("count", [0, 1, 15, 16, 65_535, 65_536])
def test_headers_are_those_of_messagepack(count: int) -> None:
    array = msgspec.msgpack.encode([None] * count)
    assert rows.array_header(count) == array[: len(array) - count]
    assert rows.split(array) == (count, b"\xc0" * count)
    packed = msgspec.msgpack.encode(dict.fromkeys(range(count)))
    assert packed.startswith(rows.map_header(count))
    assert rows.split(packed) == (count, packed[len(rows.map_header(count)) :])
