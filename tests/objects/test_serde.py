"""Values to bytes and back, and what is said about those that cannot."""

import json
import math
import numbers
import time
from asyncio import CancelledError
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Annotated, Any, Literal, NamedTuple, Protocol, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import InvalidArgumentError, InvalidDefinitionError
from holdfast.objects.immutability import is_immutable_type
from holdfast.objects.serde import Serde, json_serde, packed_serde
from holdfast.objects.set_order import may_hold_sets


class Size(Enum):
    SMALL = 1
    LARGE = 2


class Word(StrEnum):
    YES = "yes"


@dataclass
class Line:
    name: str
    price: Decimal
    tags: set[str] = field(default_factory=set[str])


class Address(TypedDict):
    city: str


class Struct(msgspec.Struct):
    when: datetime


class Pair(NamedTuple):
    left: int
    right: str


class Item(pydantic.BaseModel):
    kind: Literal["item"] = "item"
    price: float
    when: datetime | None = None


class Note(pydantic.BaseModel):
    kind: Literal["note"] = "note"
    text: str = pydantic.Field(min_length=2)


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)
    when: datetime


@dataclass
class Basket:
    items: list[Item]


TIME = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)

VALUES: list[tuple[Any, Any]] = [
    (str, "naïve"),
    (int, -(2**63)),
    (int, 2**64 - 1),
    (float, 1.5),
    (bool, True),
    (bytes, b"\x00\xff"),
    (str | None, None),
    (str | None, "x"),
    (None, None),
    (list[int], [1, 2]),
    (dict[str, list[int]], {"a": [1]}),
    (tuple[int, str], (1, "a")),
    (set[int], {1, 2}),
    (datetime, TIME),
    (date, date(2026, 1, 2)),
    (timedelta, timedelta(hours=1, microseconds=5)),
    (Decimal, Decimal("1.10")),
    (UUID, UUID(int=7)),
    (Size, Size.LARGE),
    (Word, Word.YES),
    (Literal["a", "b"], "b"),
    (Line, Line("tea", Decimal("2.50"), {"hot"})),
    (list[Line], [Line("tea", Decimal(1))]),
    (Address, {"city": "Bonn"}),
    (Struct, Struct(TIME)),
    (Pair, Pair(1, "a")),
    (dict[int, str], {1: "a"}),
    (Annotated[int, msgspec.Meta(ge=0)], 3),
    (Annotated[int, {"not": "hashable"}], 3),
    (dict[str, object], {"a": [1, None]}),
    (Any, {"a": [1, 2.5, None, True, "x"]}),
    (Item, Item(price=1.5, when=TIME)),
    (Item | None, None),
    (list[Item], [Item(price=1)]),
    (Basket, Basket([Item(price=2)])),
    (Item | Note, Note(text="hello")),
    (list[Item | Note], [Item(price=1), Note(text="hello")]),
    (Strict, Strict(when=TIME)),
]


@pytest.mark.parametrize("make", [json_serde, packed_serde])
@pytest.mark.parametrize(("annotation", "value"), VALUES, ids=lambda it: str(it)[:40])
def test_a_value_comes_back_as_it_went(make: Any, annotation: Any, value: Any) -> None:
    serde: Serde[Any] = make(annotation)
    decoded = serde.decode(serde.encode(value))
    assert decoded == value
    assert type(decoded) is type(value)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(value=JSON_VALUES)
def test_whatever_json_can_say_comes_back(value: Any) -> None:
    for make in (json_serde, packed_serde):
        serde = make(Any)
        assert serde.decode(serde.encode(value)) == value


@given(data=st.binary(max_size=40))
def test_no_bytes_make_a_decoder_raise_anything_else(data: bytes) -> None:
    for serde in (json_serde(Any), packed_serde(Any), json_serde(Basket), packed_serde(Line)):
        with suppress(InvalidArgumentError):
            serde.decode(data)


def test_a_serde_is_made_once_for_each_type() -> None:
    assert json_serde(list[Line]) is json_serde(list[Line])
    assert packed_serde(Item | Note) is packed_serde(Item | Note)


def test_none_is_null_or_nothing() -> None:
    assert json_serde(None).encode(None) == b""
    assert json_serde(None).decode(b"null") is None
    assert json_serde(str | None).encode(None) == b"null"
    for annotation in (None, Any, str | None, Item | None, Item | Note | None):
        assert json_serde(annotation).decode(b"") is None
    for annotation in (str, Item, Item | Note, list[str]):
        with pytest.raises(InvalidArgumentError, match="nothing at all"):
            json_serde(annotation).decode(b"")


def test_a_result_that_is_not_the_none_it_was_said_to_be_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="expected None, as annotated, but found int"):
        json_serde(None).encode(5)


class Text(str):
    __slots__ = ()


class Number(int):
    pass


def test_subclasses_of_builtins_are_encoded_as_builtins() -> None:
    value: list[object] = [Text("a"), Number(3), OrderedDict[str, int](b=1)]
    assert json_serde(Any).encode(value) == b'["a",3,{"b":1}]'
    assert packed_serde(Any).decode(packed_serde(Any).encode(value)) == ["a", 3, {"b": 1}]


class Numbers(pydantic.BaseModel):
    numbers: list[int]


class Tagged(pydantic.BaseModel):
    tags: set[str] = pydantic.Field(serialization_alias="labels")


class Tags(pydantic.RootModel[frozenset[str]]):
    pass


class Held(msgspec.Struct, rename="camel", tag=True):
    all_tags: frozenset[str]
    more: Any = None


class Listed(msgspec.Struct, array_like=True, tag=True):
    tags: set[str]
    more: str = "m"


class Computed(pydantic.BaseModel):
    names: Any = pydantic.Field(exclude=True)

    @pydantic.computed_field(alias="all")
    def every(self) -> set[str]:
        return set(self.names)

    @pydantic.computed_field
    def inside(self) -> list[frozenset[str]]:
        return [frozenset(self.names)]

    @pydantic.computed_field
    def count(self) -> int:
        return len(self.names)


NAMES = [f"t{number}" for number in range(10, 30)]
LISTED = json.dumps(NAMES, separators=(",", ":"))


@pytest.mark.parametrize(
    ("annotation", "value", "document"),
    [
        (set[str], set(NAMES), LISTED),
        (
            Any,
            {"z": set(NAMES), "a": [(frozenset(NAMES), 1)]},
            f'{{"z":{LISTED},"a":[[{LISTED},1]]}}',
        ),
        (Line, Line("x", Decimal(1), set(NAMES)), f'{{"name":"x","price":"1","tags":{LISTED}}}'),
        (Any, [Tagged(tags=set(NAMES))], f'[{{"labels":{LISTED}}}]'),
        (Tags, Tags(frozenset(NAMES)), LISTED),
        (Tagged | Item, Tagged(tags=set(NAMES)), f'{{"labels":{LISTED}}}'),
        (
            Held,
            Held(frozenset(NAMES), {"k": Tags(frozenset(NAMES))}),
            f'{{"type":"Held","allTags":{LISTED},"more":{{"k":{LISTED}}}}}',
        ),
        (Any, {frozenset({"b", "a"}), frozenset({"d", "c"})}, '[["a","b"],["c","d"]]'),
        (Any, {1, "a", None, 2.5}, '["a",1,2.5,null]'),
        (set[int], {100, 9, 10, -(2**40)}, f"[{-(2**40)},9,10,100]"),
        (Any, [Listed(set(NAMES))], f'[["Listed",{LISTED},"m"]]'),
        (Computed, Computed(names=NAMES), f'{{"all":{LISTED},"inside":[{LISTED}],"count":20}}'),
    ],
)
def test_a_set_has_one_order_in_every_process(annotation: Any, value: Any, document: str) -> None:
    assert json_serde(annotation).encode(value).decode() == document


@pytest.mark.parametrize(
    ("annotation", "value", "ordered"),
    [
        (set[str], set(NAMES), NAMES),
        (
            dict[str, frozenset[str]],
            {"z": frozenset(NAMES), "a": frozenset[str]()},
            {"z": NAMES, "a": []},
        ),
        (Line, Line("x", Decimal(1), set(NAMES)), {"name": "x", "price": "1", "tags": NAMES}),
        (Tags | Item, Tags(frozenset(NAMES)), NAMES),
        (list[Tags], [Tags(frozenset(NAMES))], [NAMES]),
        (Any, {"many": {9, 10, 100}, 1: b"x"}, {"many": [9, 10, 100], 1: b"x"}),
        (dict[frozenset[str], int], {frozenset(NAMES): 1}, {tuple(NAMES): 1}),
        (Any, Counter({(1, frozenset(NAMES)): 2, 3: 4}), {(1, tuple(NAMES)): 2, 3: 4}),
        (Listed, Listed(set(NAMES)), ["Listed", NAMES, "m"]),
        (
            Any,
            [set(NAMES), datetime(2026, 1, 1, tzinfo=UTC), UUID(int=1), Decimal(2), timedelta(1)],
            [NAMES, datetime(2026, 1, 1, tzinfo=UTC), UUID(int=1), Decimal(2), timedelta(1)],
        ),
    ],
)
def test_what_is_stored_of_a_set_is_the_same_in_every_process(
    annotation: Any, value: Any, ordered: Any
) -> None:
    serde = packed_serde(annotation)
    assert serde.encode(value) == msgspec.msgpack.encode(ordered)
    assert serde.encode(serde.decode(serde.encode(value))) == serde.encode(value)


class Tree(msgspec.Struct):
    children: list["Tree"]


class Marked(msgspec.Struct):
    tree: Tree
    marks: dict[str, tuple[frozenset[int], ...]]


@pytest.mark.parametrize(
    ("annotation", "may"),
    [
        (str, False),
        (list[dict[str, str | int | None]], False),
        (Tree, False),
        (Address, False),
        (Pair, False),
        (Any, True),
        (set[int], True),
        (Line, True),
        (Marked, True),
        (list[Item], True),
        (dict[str, Any], True),
    ],
)
def test_a_type_tells_whether_there_may_be_a_set_in_it(annotation: Any, may: object) -> None:
    assert may_hold_sets(annotation) is may


class Child(pydantic.BaseModel):
    tags: set[str]
    parent: Any = pydantic.Field(default=None, exclude=True)
    owner: Any = None

    @pydantic.field_serializer("owner")
    def name_owner(self, owner: Any) -> str:
        return type(owner).__name__


@pytest.mark.parametrize("make", [json_serde, packed_serde])
@pytest.mark.parametrize("tags", [set[str](), {"b", "a"}])
def test_a_model_may_know_what_it_is_in(make: Any, tags: set[str]) -> None:
    child = Child(tags=tags)
    ring: list[Any] = [child]
    ring += [ring, ring]
    child.parent = child.owner = ring
    written = make(Any).encode([child])
    assert make(Any).decode(written) == [{"tags": sorted(tags), "owner": "list"}]


def test_only_sets_are_put_in_order() -> None:
    value = {"b": [3, 1, 2], "a": {1: "x", 0: [{5}]}, "c": Line("x", Decimal(1), {"only"})}
    document = json_serde(Any).encode(value).decode()
    assert document == (
        '{"b":[3,1,2],"a":{"1":"x","0":[[5]]},"c":{"name":"x","price":"1","tags":["only"]}}'
    )
    also = json_serde(Any).encode({"b": [3, 1, 2], "a": {9, 8}}).decode()
    assert also == '{"b":[3,1,2],"a":[8,9]}'


def test_a_long_document_is_looked_through_nearly_as_fast_as_it_is_read() -> None:
    document = msgspec.json.encode([number / 7 for number in range(100_000)])
    serde = json_serde(list[float])

    def seconds(read: Callable[[bytes], object]) -> float:
        begun = time.process_time()
        read(document)
        return time.process_time() - begun

    plain = msgspec.json.Decoder(list[float]).decode
    best = min(seconds(serde.decode) / seconds(plain) for _ in range(7))
    assert best < 4  # With a pattern for nineteen digits it was some twenty times as long.


@pytest.mark.parametrize("number", [10**18, -(10**18), 2**64 - 1, -(2**63)])
def test_a_number_of_many_digits_is_read_where_something_can_hold_it(number: int) -> None:
    assert json_serde(Any).decode(f'{{"n":{number}}}'.encode()) == {"n": number}


def test_messagepack_keeps_nan_and_json_refuses_it() -> None:
    assert math.isnan(packed_serde(float).decode(packed_serde(float).encode(math.nan)))
    for value in (math.nan, [1, {"a": -math.inf}], Line("a", Decimal(1)), Item(price=math.nan)):
        if isinstance(value, Line):
            value.price = math.nan  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
        with pytest.raises(InvalidArgumentError, match="JSON has no NaN and no infinity"):
            json_serde(Any).encode(value)
    for text in (b"NaN", b"[Infinity]", b"1e999"):
        with pytest.raises(InvalidArgumentError):
            json_serde(Any).decode(text)


def test_a_pydantic_model_keeps_nan_in_messagepack() -> None:
    serde = packed_serde(Item)
    assert math.isnan(serde.decode(serde.encode(Item(price=math.nan))).price)


def _cycle() -> list[Any]:
    cycle: list[Any] = []
    cycle.append(cycle)
    return cycle


@pytest.mark.parametrize("make", [json_serde, packed_serde])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param({object()}, r"a object \(in a set\) cannot be encoded", id="object"),
        (complex(1), "a complex cannot be encoded; use builtins, dataclasses"),
        (print, "builtin_function_or_method cannot be encoded"),
        ([ValueError("x")], r"a ValueError \(in a list\) cannot be encoded"),
        (_cycle(), "this list cannot be encoded: it contains itself, or is nested too deeply"),
        ({"a": 2**64}, "this dict cannot be encoded: a whole number in it is beyond 64 bits"),
        (-(2**63) - 1, "this int cannot be encoded: a whole number"),
        (["\ud800"], "lone surrogate"),
        ({"\ud800": 1}, "lone surrogate"),
    ],
    ids=lambda it: str(it)[:30].encode(errors="replace").decode(),
)
def test_a_value_that_cannot_be_encoded_is_named(make: Any, value: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        make(Any).encode(value)


@pytest.mark.parametrize(
    ("annotation", "data", "message"),
    [
        (Line, b'{"name":5,"price":"1"}', r"at \$\.name: expected str, found int"),
        (list[Line], b'[{"name":"a"}]', r"at \$\[0\]: object missing required field `price`"),
        (dict[str, int], b'{"a":"x"}', r"at \$\[\.\.\.\]: expected int, found str"),
        (dict[int, int], b'{"a":1}', r"at \$: a key of it: expected int, found str"),
        (dict[str, dict[Size, int]], b'{"a":{"b":1}}', r"at \$\[\.\.\.\]: a key of it: "),
        (Literal["a"], b'"b"', "invalid enum value 'b'"),
        (list[str], b"[", r"truncated; expected list\[str\], found '\['"),
        (str, b'"a" "b"', "trailing characters"),
        (str, b"\xff", "malformed"),
        (Any, b"[" * 100_000, "nested too deeply"),
        (Any, b"[18446744073709551616]", "beyond 64 bits"),
        (int, b"1" * 5000, "out of range"),
        (
            Basket,
            b'{"items":[{"price":"x"}]}',
            r"at \$\.items\[0\]\.price: input should be .*found str",
        ),
        (Item | Note, b'{"kind":"note","text":"x"}', r"at \$\.\w+\.text: string should have at"),
        (None, b"5", "expected nothing or null, found '5'"),
        (Strict, b'{"when":5}', r"at \$\.when: input should be a valid datetime, found int"),
    ],
    ids=lambda it: str(it)[:30],
)
def test_a_document_that_does_not_fit_is_told_where_and_why(
    annotation: Any, data: bytes, message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        json_serde(annotation).decode(data)


@dataclass
class Picky:
    size: int

    def __post_init__(self) -> None:
        if self.size < 0:
            message = "size must not be negative"
            raise ValueError(message)
        if self.size > 9:
            raise KeyError(self.size)


@pytest.mark.parametrize("annotation", [Numbers, Numbers | Note])
def test_of_many_mistakes_few_are_named(annotation: Any) -> None:
    def refuse(count: int) -> str:
        document = json.dumps({"numbers": ["x"] * count}).encode()
        with pytest.raises(InvalidArgumentError) as refused:
            json_serde(annotation).decode(document)
        return refused.value.message

    assert "numbers[19]" in refuse(30)
    assert "numbers[20]" not in refuse(30)
    assert "more values in it do not fit" in refuse(30)
    # Their text would be a hundred megabytes, made in as many seconds.
    assert len(refuse(100_000)) < 200
    assert "which are too many to name" in refuse(100_000)


def test_a_mistake_does_not_quote_all_of_the_document() -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        json_serde(Item | Note).decode(json.dumps({"kind": "x" * 100_000}).encode())
    assert len(refused.value.message) < 2_000


@dataclass
class Ending:
    """Made by code that thinks it owns the program, as whatever parses with ``argparse``."""

    how: str

    def __post_init__(self) -> None:
        raise {"exit": SystemExit(2), "cancel": CancelledError(), "close": GeneratorExit()}[
            self.how
        ]


@pytest.mark.parametrize("make", [json_serde, packed_serde])
@pytest.mark.parametrize("how", ["exit", "cancel", "close"])
def test_a_type_that_ends_more_than_itself_is_refused(make: Any, how: str) -> None:
    write = msgspec.json.encode if make is json_serde else msgspec.msgpack.encode
    with pytest.raises(InvalidArgumentError):
        make(Ending).decode(write({"how": how}))


def test_what_a_class_says_of_its_own_values_is_passed_on() -> None:
    with pytest.raises(InvalidArgumentError, match=r"at \$\[0\]: size must not be negative"):
        json_serde(list[Picky]).decode(b'[{"size":-1}]')
    with pytest.raises(InvalidArgumentError, match="10"):
        json_serde(Picky).decode(b'{"size":10}')


@pytest.mark.parametrize("annotation", ["Missing", list[int] | set[int], Line | Basket])
def test_a_type_that_nothing_can_be_decoded_as_is_a_definition_error(annotation: Any) -> None:
    for make in (json_serde, packed_serde):
        with pytest.raises(InvalidDefinitionError, match="no value can be decoded as"):
            make(annotation)


class Unheard:
    """Nothing that msgspec or pydantic could make."""


class Shown(Protocol):
    def show(self) -> None: ...


@pytest.mark.parametrize(
    "annotation", [Unheard, complex, Shown, list[Unheard], dict[str, Unheard | None]], ids=str
)
def test_a_class_that_no_json_says_is_a_definition_error(annotation: Any) -> None:
    with pytest.raises(
        InvalidDefinitionError, match=r"no value can be decoded as .*; use builtins"
    ):
        json_serde(annotation)


@pytest.mark.parametrize("annotation", [object, numbers.Number, Hashable, list[Hashable]], ids=str)
def test_a_class_that_builtins_belong_to_is_decoded(annotation: Any) -> None:
    value = [5] if annotation == list[Hashable] else 5
    assert json_serde(annotation).decode(json_serde(annotation).encode(value)) == value


class Scan(pydantic.BaseModel):
    data: bytes


class Coded(Scan):
    model_config = pydantic.ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


@pytest.mark.parametrize("make", [json_serde, packed_serde])
def test_bytes_of_a_model_are_text_unless_it_says_otherwise(make: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"bytes in it are no UTF-8.*'base64'"):
        make(Scan).encode(Scan(data=b"\xff"))
    assert make(Coded).decode(make(Coded).encode(Coded(data=b"\xff"))).data == b"\xff"


@dataclass(frozen=True)
class FrozenPoint:
    x: int
    y: tuple[float, ...]


@dataclass(frozen=True)
class FrozenBox:
    items: list[int]


class FrozenStruct(msgspec.Struct, frozen=True):
    size: Size | None


@dataclass(frozen=True)
class FrozenNode:
    next: "FrozenNode | None"


@pytest.mark.parametrize(
    "annotation",
    [
        *(int, str, bytes, bool, float, None, Decimal, datetime, UUID, Size),
        *(int | None, Literal["a"], tuple[int, ...], tuple[str, None], frozenset[int]),
        *(Annotated[int, "x"], FrozenPoint, FrozenStruct),
    ],
    ids=str,
)
def test_these_types_have_no_value_that_changes_in_place(annotation: Any) -> None:
    assert is_immutable_type(annotation)


@pytest.mark.parametrize(
    "annotation",
    [
        *(Any, object, list[int], dict[str, int], set[int], list, tuple[list[int], int]),
        *(int | list[int], Line, FrozenBox, FrozenNode, Item, Struct, Annotated[list[int], 1]),
    ],
    ids=str,
)
def test_these_types_may_have_one(annotation: Any) -> None:
    assert not is_immutable_type(annotation)


def test_raw_documents_beside_a_set_are_written() -> None:
    value = {"raw": msgspec.Raw(b'{"a":[2,1]}'), "set": {"b", "a"}}
    assert json_serde(Any).encode(value) == b'{"raw":{"a":[2,1]},"set":["a","b"]}'
    packed = {"raw": msgspec.Raw(b"\x92\x02\x01"), "set": {"b", "a"}}
    assert packed_serde(Any).decode(packed_serde(Any).encode(packed)) == {
        "raw": [2, 1],
        "set": ["a", "b"],
    }


class Ordered(pydantic.BaseModel):
    tags: set[str]

    @pydantic.field_serializer("tags")
    def _last_first(self, tags: set[str]) -> list[str]:
        return sorted(tags, reverse=True)


class OrderedBeside(pydantic.BaseModel):
    tags: Annotated[set[str], pydantic.PlainSerializer(lambda tags: sorted(tags, reverse=True))]


class OrderedWhole(pydantic.BaseModel):
    tags: set[str]

    @pydantic.model_serializer
    def _last_first(self) -> dict[str, list[str]]:
        return {"tags": sorted(self.tags, reverse=True)}


@pytest.mark.parametrize("model", [Ordered, OrderedBeside, OrderedWhole])
def test_a_set_that_a_serializer_of_the_user_orders_stays_in_that_order(model: Any) -> None:
    value = model(tags={"a", "b", "c"})
    assert json_serde(model).encode(value) == b'{"tags":["c","b","a"]}'
    assert packed_serde(model).decode(packed_serde(model).encode(value)) == value
    assert packed_serde(model).encode(value).endswith(b"\xa1c\xa1b\xa1a")
