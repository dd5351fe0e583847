"""A bound that pydantic's users write beside a type is looked at wherever it is written."""

import re
from dataclasses import dataclass, make_dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NewType,
    Optional,
    TypedDict,
    TypeVar,
    Union,
)

import msgspec
import pydantic
import pydantic.dataclasses
import pytest
from annotated_types import Gt, Le, Len
from pydantic import AfterValidator, Field, NegativeInt, PositiveInt, StringConstraints
from typing_extensions import TypeAliasType

from holdfast import (
    Context,
    InvalidArgumentError,
    InvalidDefinitionError,
    RetryPolicy,
    Service,
    TerminalError,
    VirtualObject,
    handler,
    shared,
)
from holdfast.objects import unchecked
from holdfast.objects.constraints import in_words_of_msgspec, needs_pydantic
from holdfast.objects.definition import define
from holdfast.objects.schemas import schema_of
from holdfast.objects.serde import asked_serde, json_serde
from holdfast.testing import World


def refuse_odd(number: int) -> int:
    if number % 2:
        message = "it is odd"
        raise ValueError(message)
    return number


@pydantic.dataclasses.dataclass
class Sum:
    cents: PositiveInt


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: Annotated[int, Field(le=9)]


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]


@dataclass
class Loose:
    cents: Annotated[int, Field(gt=0)]


class LooseDict(TypedDict):
    cents: PositiveInt


class LooseTuple(NamedTuple):
    cents: PositiveInt


class LooseStruct(msgspec.Struct):
    sums: list[Sum]


@dataclass
class Outer:
    inner: Optional["Outer"]
    loose: list[Loose]


@dataclass
class Tight:
    cents: Annotated[int, msgspec.Meta(gt=0)]
    cat: Cat | None = None
    note: Annotated[str, Field(description="for people"), "and more"] = ""
    again: Optional["Tight"] = None


Cents = NewType("Cents", PositiveInt)  # pyright: ignore[reportGeneralTypeIssues]  # it takes more than the checker knows
Alias = TypeAliasType("Alias", list[PositiveInt])
Even = Annotated[int, AfterValidator(refuse_odd)]
Named = NewType("Named", Even)  # pyright: ignore[reportGeneralTypeIssues]  # as above
Money = Annotated[Decimal, Field(gt=0, decimal_places=2)]
Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]

T = TypeVar("T")
AtLeastOne = TypeAliasType("AtLeastOne", Annotated[list[T], Len(1)], type_params=(T,))
Tree = TypeAliasType("Tree", "list[Tree | PositiveInt]")
MOMENT = b'["2026-01-01T00:00:00", 2]'

REFUSED: list[tuple[Any, bytes, str]] = [
    (PositiveInt, b"0", ">= 1"),
    (Annotated[int, Gt(0), Le(5)], b"6", "<= 5"),
    (Annotated[int, Field(gt=0, description="cents")], b"-1", ">= 1"),
    (list[PositiveInt], b"[1, 0]", r"\$\[1\]"),
    (dict[str, PositiveInt] | None, b'{"a": 0}', ">= 1"),
    (Optional[PositiveInt], b"0", ">= 1"),  # noqa: UP045  # either way of writing it
    (tuple[PositiveInt, ...], b"[0]", ">= 1"),
    (Annotated[list[Annotated[str, Field(max_length=1)]], Len(1, 2)], b'["ab"]', "length <= 1"),
    (Annotated[list[int], Field(min_length=1)], b"[]", "length >= 1"),
    (Annotated[str, Field(pattern="^a")], b'"b"', "match pattern"),
    (Annotated[str, Field(pattern="^a+$")], rb'"a\n"', "match pattern"),
    (Annotated[str, Field(pattern=r"^\p{L}+$")], b'"1"', "match pattern"),
    (Cents, b"0", ">= 1"),
    (dict[str, Cents], b'{"a": 0}', ">= 1"),
    (Named, b"3", "it is odd"),
    (Alias, b"[0]", ">= 1"),
    (Annotated[str, Field(pattern=re.compile("^a", re.IGNORECASE))], b'"b"', "pattern"),
    (Annotated[int, Field(multiple_of=5)], b"6", "multiple of 5"),
    (Money, b'"-1.50"', "greater than 0"),
    (Money, b'"1.505"', "2 decimal places"),
    (Annotated[date, Gt(date(2020, 1, 1))], b'"2019-01-01"', "greater than"),
    (Even, b"3", "it is odd"),
    (list[Even], b"[2, 3]", "it is odd"),
    (Word, b'" "', "at least 1"),
    (Sum, b'{"cents": 0}', "greater than 0"),
    (list[Sum] | None, b'[{"cents": 0}]', "greater than 0"),
    (Annotated[Cat | Dog, Field(discriminator="kind")], b'{"kind": "cat"}', "field required"),
    # What one part needs pydantic for is no reason to pass over the bounds of the others.
    (tuple[PositiveInt, Even], b"[-1, 2]", "greater than 0"),
    (Cat | PositiveInt, b"-1", "greater than 0"),
    (list[Cat | dict[str, PositiveInt]], b'[{"a": 0}]', "greater than 0"),
    (tuple[Annotated[int, msgspec.Meta(ge=1, le=3)], Even], b"[4, 2]", "less than or equal to 3"),
    (Dog | Annotated[str, msgspec.Meta(pattern="^a")], b'"b"', "match pattern"),
    (tuple[Annotated[datetime, msgspec.Meta(tz=True)], Even], MOMENT, "with a time zone"),
    (Tree, b"[[[-1]]]", "greater than 0"),
    (AtLeastOne[int], b"[]", "length >= 1"),
    (tuple[PositiveInt, Word], b'[-5, "a"]', r"\$\[0\].* greater than 0"),
    (dict[str, tuple[PositiveInt, Even]], b'{"a": [-5, 2]}', "greater than 0"),
    (tuple[PositiveInt, Cat | Dog], b'[-5, {"kind": "dog"}]', "greater than 0"),
    (NegativeInt | PositiveInt, b"0", "than 0"),
    (list[NegativeInt | PositiveInt], b"[1, 0]", r"\$\[1\]"),
    (Literal[0] | PositiveInt, b"-1", "greater than 0"),
    (Union[PositiveInt, str, bool, None], b"0", ">= 1"),  # noqa: UP007  # as above
    (PositiveInt | Tight | list[str], b"0", ">= 1"),
]


@pytest.mark.parametrize(("annotation", "data", "message"), REFUSED)
def test_what_is_out_of_bounds_is_refused(annotation: Any, data: bytes, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        asked_serde(annotation).decode(data)


@pytest.mark.parametrize(
    ("annotation", "data", "value"),
    [
        (PositiveInt, b"1", 1),
        (Annotated[str, Field(pattern=r"^\p{L}+$")], '"\u00e9"'.encode(), "\u00e9"),
        (Annotated[float, Field(multiple_of=0.01)], b"19.99", 19.99),
        (dict[str, Cents], b'{"a": 1}', {"a": 1}),
        (Annotated[bytes, Field(max_length=2)], b'"/w=="', b"\xff"),
        (Annotated[str, Field(strict=True)], b'"a"', "a"),
        (Money, b'"1.50"', Decimal("1.50")),
        (Even, b"4", 4),
        (tuple[Annotated[bytes, msgspec.Meta(max_length=1)], Even], b'["/w==", 2]', (b"\xff", 2)),
        (Dog | Annotated[str, msgspec.Meta(pattern="a$")], b'"a"', "a"),
        (Tree, b"[[1, [2]]]", [[1, [2]]]),
        (Word, b'" a "', "a"),
        (Sum, b'{"cents": 1}', Sum(cents=1)),
        (Annotated[Cat | Dog, Field(discriminator="kind")], b'{"kind": "dog"}', Dog(kind="dog")),
        (Tight, b'{"cents": 1, "again": {"cents": 2}}', Tight(1, again=Tight(2))),
        (NegativeInt | PositiveInt, b"1", 1),
        (NegativeInt | PositiveInt, b"-1", -1),
        (list[NegativeInt | PositiveInt], b"[1,-1]", [1, -1]),
        (Literal[0] | PositiveInt, b"0", 0),
        (Literal["", "a"] | Annotated[str, Field(min_length=3)], b'"a"', "a"),
        (PositiveInt | float, b"-1.0", -1.0),
        (PositiveInt | float, b"-1", -1.0),
        (Cents | NegativeInt, b"-1", -1),
        (PositiveInt | Cents, b"1", 1),
    ],
)
def test_what_is_within_them_is_decoded_and_encoded(
    annotation: Any, data: bytes, value: Any
) -> None:
    serde = asked_serde(annotation)
    assert serde.decode(data) == value
    assert serde.decode(serde.encode(value)) == value


def test_a_text_that_takes_a_backtracking_pattern_for_ever_is_refused_at_once() -> None:
    serde = asked_serde(Annotated[str, Field(pattern="^(a+)+$")])
    with pytest.raises(InvalidArgumentError, match="match pattern"):
        serde.decode(b'"' + b"a" * 10_000 + b'!"')


def test_classes_that_all_lead_to_each_other_are_looked_at_once_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [f"Part{number}" for number in range(7)]
    classes: dict[str, Any] = {
        name: make_dataclass(name, [(f"to_{other}", f"{other} | None") for other in names])
        for name in names
    }
    for cls in classes.values():
        cls.__module__ = __name__
    looked_at: list[type] = []
    fields_of: Any = vars(unchecked)["fields_of"]

    def look_at(cls: type) -> Any:
        looked_at.append(cls)
        return fields_of(cls)

    monkeypatch.setattr(unchecked, "fields_of", look_at)
    for name, cls in classes.items():
        monkeypatch.setitem(globals(), name, cls)
    assert unchecked.find_unchecked(classes["Part0"], by_pydantic=False) is None
    assert [cls.__name__ for cls in looked_at if cls in classes.values()] == names


@dataclass
class Upload:
    data: bytes


def accept(upload: Any) -> Any:
    return upload


@pytest.mark.parametrize(
    ("annotation", "value", "data"),
    [
        (tuple[bytes, Even], (b"\xff", 2), b'["/w==",2]'),
        (Annotated[Upload, AfterValidator(accept)], Upload(b"\xff"), b'{"data":"/w=="}'),
        (list[Annotated[Upload, AfterValidator(accept)]], [Upload(b"hi")], b'[{"data":"aGk="}]'),
    ],
)
def test_bytes_beside_a_bound_are_written_as_others_are(
    annotation: Any, value: Any, data: bytes
) -> None:
    """As they were before bounds were looked at: what is recorded and what callers send says so."""
    serde = asked_serde(annotation)
    assert serde.decode(data) == value
    assert serde.decode(serde.encode(value)) == value


@pydantic.dataclasses.dataclass
class Renamed:
    data: bytes
    kind: str = Field(alias="kindOf")


class Uploads(Service):
    @handler
    async def take(self, ctx: Context, upload: Renamed, names: set[str], size: Even = 2) -> str:
        return f"{upload.data.decode()} {upload.kind} {sorted(names)} {size}"

    @handler
    async def pass_on(self, ctx: Context) -> str:
        upload = Renamed(data=b"hello", kindOf="text")
        return await ctx.service(Uploads).take(upload, {"b", "a"}, size=4)


async def test_what_only_pydantic_reads_is_written_for_it_beside_other_parameters() -> None:
    world = World([Uploads])
    runtime = await world.start()
    assert await runtime.service(Uploads).pass_on() == "hello text ['a', 'b'] 4"
    world.close()


def test_what_msgspec_can_say_is_left_to_it() -> None:
    assert in_words_of_msgspec(list[PositiveInt]) == list[Annotated[int, msgspec.Meta(gt=0)]]
    assert not needs_pydantic(in_words_of_msgspec(list[PositiveInt] | None))
    for plain in (int, list[int], Annotated[int, "a note"], Literal["a"], Cat, Tight, None, Any):
        assert in_words_of_msgspec(plain) is plain
        assert not needs_pydantic(plain)


def test_whoever_answers_sees_the_bounds() -> None:
    assert schema_of(PositiveInt) == b'{"type":"integer","exclusiveMinimum":0}'
    assert b"exclusiveMinimum" in (schema_of(Sum) or b"")
    assert b"exclusiveMinimum" in (schema_of(tuple[PositiveInt, Word]) or b"")
    assert b"exclusiveMinimum" in (schema_of(tuple[PositiveInt, Cat]) or b"")


@pytest.mark.parametrize(
    ("annotation", "field"),
    [
        (Loose, "Loose.cents"),
        (LooseDict, "LooseDict.cents"),
        (LooseTuple, "LooseTuple.cents"),
        (LooseStruct, "LooseStruct.sums"),
        (dict[str, Outer | None], "Loose.cents"),
        (tuple[PositiveInt, Loose], "Loose.cents"),
        (Annotated[list[Loose], Field(max_length=3)], "Loose.cents"),
    ],
)
def test_a_bound_that_nobody_would_look_at_is_refused_where_it_is_declared(
    annotation: Any, field: str
) -> None:
    """msgspec reads the fields of such a class for itself, and knows no pydantic."""
    with pytest.raises(InvalidDefinitionError, match=f"{field} says what only pydantic looks at"):
        asked_serde(annotation)

    async def go(self: Any, ctx: Context, data: Any) -> None: ...

    go.__annotations__["data"] = annotation
    with pytest.raises(InvalidDefinitionError, match=rf"Bad.go .*{field} says"):
        define(type("Bad", (Service,), {"go": handler(go)}))
    json_serde(annotation)  # What a state of it holds can be shown.


class Till(VirtualObject, retry=RetryPolicy(max_attempts=1, on_max_attempts="fail")):
    @handler
    async def pay(self, ctx: Context, cents: PositiveInt, how: Word = "cash") -> str:
        return f"{cents} in {how}"

    @handler
    async def split(self, ctx: Context, parts: tuple[PositiveInt, Cat | Dog], at: int = 0) -> int:
        return parts[0]

    @handler
    async def ask(self, ctx: Context) -> int:
        asked = ctx.awakeable(PositiveInt)
        ctx.set("asked", asked.id)
        return await asked

    @handler
    async def ask_loosely(self, ctx: Context) -> Loose:
        return await ctx.signal("go", Loose)

    @shared
    async def asked(self, ctx: Context) -> str:
        return ctx.get("asked", str, "")


async def test_nobody_pays_less_than_nothing() -> None:
    world = World([Till])
    runtime = await world.start()
    till = runtime.object(Till, "t")
    assert await till.pay(5, how=" card ") == "5 in card"
    accepted = runtime.statistics().invocations_accepted
    with pytest.raises(InvalidArgumentError, match=r"\$\.cents: expected `int` >= 1"):
        await till.pay(-5)
    with pytest.raises(InvalidArgumentError, match="'how' does not fit"):
        await runtime.call_by_name("Till", "t", "pay", {"cents": 5, "how": " "})
    with pytest.raises(InvalidArgumentError, match="greater than 0"):
        await till.split((-5, Dog(kind="dog")))
    assert runtime.statistics().invocations_accepted == accepted

    id_ = await till.ask.send()
    await runtime.rest()
    asked = await till.asked()
    with pytest.raises(InvalidArgumentError, match="-5 is less than or equal to the minimum"):
        await runtime.resolve_awakeable(asked, -5)
    assert await runtime.resolve_awakeable(asked, 5)
    assert await runtime.invocation(id_, Till.ask).attach() == 5
    with pytest.raises(TerminalError, match=r"Loose\.cents says what only pydantic looks at"):
        await runtime.object(Till, "u").ask_loosely()
    world.close()
