"""Schemas of types, and what does not fit them: said with the path, as strict as decoding."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pytest
from pydantic import BaseModel, Field

from holdfast import InvalidArgumentError
from holdfast.objects.schema_types import find_decoder
from holdfast.objects.schemas import find_problem, schema_of
from holdfast.objects.serde import json_serde


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Window:
    start: dt.datetime
    hour: dt.time | None = None
    holidays: list[dt.date] = dataclasses.field(default_factory=list[dt.date])
    notes: dict[str, dt.datetime] = dataclasses.field(default_factory=dict[str, dt.datetime])


@dataclasses.dataclass
class Decision:
    approved: bool
    count: int = 0
    colour: Colour = Colour.RED
    window: Window | None = None
    inner: Decision | None = None
    token: uuid.UUID | None = None


class View(TypedDict):
    status: str
    cents: Decimal


class Model(BaseModel):
    size: int
    at: dt.datetime


class Bounded(BaseModel):
    size: int = Field(ge=1, le=7)
    name: str = Field(pattern="^r", max_length=3)
    words: list[Annotated[str, Field(min_length=1)]] = Field(default=[], max_length=2)


class Holder(msgspec.Struct):
    model: Model


class Keyed(msgspec.Struct):
    kind: int = msgspec.field(name="class")
    end: int = msgspec.field(name="the end", default=0)


class Weight(enum.IntEnum):
    LIGHT = 1
    HEAVY = 2


class Access(enum.Flag):
    READ = 1
    WRITE = 2
    LIST = 4


class Wide(enum.Flag):
    NEAR = 1
    FAR = 1024


class Tagged(msgspec.Struct, tag_field="kind", tag="tagged"):
    level: Weight


class Priced(BaseModel):
    price: float = Field(multiple_of=0.1)


@dataclasses.dataclass
class Paid:
    cents: Annotated[int, msgspec.Meta(gt=0)]
    model: Model | None = None
    also: list[Priced] = dataclasses.field(default_factory=list[Priced])


class Zoned(msgspec.Struct):
    at: Annotated[dt.datetime, msgspec.Meta(tz=True)]
    local: Annotated[dt.datetime, msgspec.Meta(tz=False)] | None = None


PERHAPS: Any = Literal[1, None]  # noqa: PYI061  # it has a schema of its own
TIME = "2026-01-31T12:00:00"

FITS: list[tuple[Any, str]] = [
    (Decision, '{"approved": true}'),
    (Decision, '{"approved": true, "count": 3, "colour": "blue", "more": 1}'),
    (Decision, f'{{"approved": true, "window": {{"start": "{TIME}", "hour": "10:00:00"}}}}'),
    (Decision, f'{{"approved": true, "window": {{"start": "{TIME}Z", "holidays": []}}}}'),
    (Decision, '{"approved": true, "inner": {"approved": false, "inner": null}}'),
    (bool, "true"),
    (str | None, "null"),
    (None, "null"),
    (float, "1"),
    (Literal["a", "b"], '"a"'),
    (list[int], "[1, 2]"),
    (tuple[int, str], '[1, "x"]'),
    (View, '{"status": "new", "cents": "1.50"}'),
    (Model, f'{{"size": 1, "at": "{TIME}Z"}}'),
    (list[Model], f'[{{"size": 1, "at": "{TIME}"}}]'),
    (Model | int, "5"),
    (Holder, f'{{"model": {{"size": 1, "at": "{TIME}"}}}}'),
    *((Access, str(value)) for value in (0, 1, 3, 5, 7)),
    (Wide, "1025"),
    (dict[int, str], '{"0": "a", "-7": "b"}'),
    (dict[Colour, int], '{"red": 1}'),
    (dict[Weight, int], '{"2": 1}'),
    (dict[Literal["a", "b"], int], '{"b": 1}'),
    (dict[dt.datetime, int], f'{{"{TIME}Z": 1}}'),
    (dict[dt.date, int], '{"2026-01-31": 1}'),
    (dict[uuid.UUID, int], f'{{"{uuid.UUID(int=7)}": 1}}'),
    (dict[Annotated[int, Field(gt=0)], str], '{"1": "a", "20": "b"}'),
    (dict[float, int], '{"1.5": 1, "2": 2}'),
    (dict[int | str, int], '{"a": 1, "2": 2}'),
    (dict[Access, int], '{"5": 1}'),
    (dict[Wide, int], '{"1025": 1}'),
    (PERHAPS, "null"),
    (Annotated[float, Field(multiple_of=0.01)], "19.99"),
    (Priced, '{"price": 0.3}'),
    (Paid, f'{{"cents": 1, "model": {{"size": 1, "at": "{TIME}"}}, "also": [{{"price": 0.7}}]}}'),
    (Zoned, f'{{"at": "{TIME}-01:30", "local": "{TIME}.5"}}'),
]

DOES_NOT_FIT: list[tuple[Any, str, str]] = [
    (Decision, "5", "at $: expected object, found int"),
    (Decision, "{}", "at $: 'approved' is a required property"),
    (Decision, '{"approved": "yes"}', "at $.approved: expected boolean, found str"),
    (Decision, '{"approved": null}', "at $.approved: expected boolean, found null"),
    (Decision, '{"approved": true, "count": 1.0}', "at $.count: expected integer, found float"),
    (Decision, '{"approved": true, "count": true}', "at $.count: expected integer, found bool"),
    (Decision, '{"approved": true, "colour": "green"}', "at $.colour: 'green' is not one of"),
    (Decision, '{"approved": true, "token": "x"}', "at $.token: 'x' is not a 'uuid'"),
    (
        Decision,
        '{"approved": true, "window": {"start": "soon"}}',
        "at $.window.start: 'soon' is not a 'date-time'",
    ),
    (
        Decision,
        f'{{"approved": true, "window": {{"start": "{TIME}", "hour": "noon"}}}}',
        "at $.window.hour: 'noon' is not a 'time'",
    ),
    (
        Decision,
        f'{{"approved": true, "window": {{"start": "{TIME}", "holidays": ["2026-01-31", "x"]}}}}',
        "at $.window.holidays[1]: 'x' is not a 'date'",
    ),
    (
        Decision,
        f'{{"approved": true, "window": {{"start": "{TIME}", "notes": {{"a": "x"}}}}}}',
        "at $.window.notes.a: 'x' is not a 'date-time'",
    ),
    (
        Decision,
        '{"approved": true, "inner": {"approved": 1}}',
        "at $.inner.approved: expected boolean, found int",
    ),
    (View, '{"status": "new", "cents": "much"}', "at $.cents: 'much' is not a 'decimal'"),
    (Literal["a", "b"], '"c"', "at $: 'c' is not one of ['a', 'b']"),
    (Model, '{"size": "1", "at": 5}', "at $.size: expected integer, found str"),
    (list[Model], '[{"size": 1}]', "at $[0]: 'at' is a required property"),
    (Access, "8", "at $: 8 is not one of"),
    (Wide, "2048", "at $: 2048 is greater than the maximum of 1025"),
    (dict[int, str], '{"a": "a"}', "at $: 'a' does not match"),
    (dict[int, str], '{"1\\n": "a"}', "at $: Expected `int`"),
    (dict[Colour, int], '{"pink": 1}', "at $: 'pink' is not one of ['red', 'blue']"),
    (dict[Weight, int], '{"5": 1}', "at $: '5' is not one of ['1', '2']"),
    (dict[Literal["a", "b"], int], '{"c": 1}', "at $: 'c' is not one of ['a', 'b']"),
    (dict[dt.datetime, int], '{"soon": 1}', "at $: 'soon' is not a 'date-time'"),
    (dict[dt.date, int], '{"soon": 1}', "at $: 'soon' is not a 'date'"),
    (dict[uuid.UUID, int], '{"x": 1}', "at $: 'x' is not a 'uuid'"),
    (dict[str, dict[int, int]], '{"x": {"y": 1}}', "at $.x: 'y' does not match"),
    (Literal["a", 7], "7.0", "at $: 7.0 is not one of [7, 'a']"),
    (PERHAPS, "1.0", "at $: 1.0 is not one of [None, 1]"),
    (Tagged, '{"kind": "tagged", "level": 2.0}', "at $.level: 2.0 is not one of [1, 2]"),
    (dict[Annotated[int, Field(gt=0)], str], '{"0": "a"}', "at $: 0 is less than or equal"),
    (dict[Annotated[int, Field(le=7)], str], '{"8": "a"}', "at $: 8 is greater than"),
    (dict[Annotated[int, Field(multiple_of=2)], str], '{"3": "a"}', "at $: 3 is not a multiple"),
    (dict[float, int], '{"a": 1}', "at $: 'a' is no number"),
    (dict[Annotated[float, Field(lt=2)], int], '{"2.5": 1}', "at $: 2.5 is greater than"),
    (dict[Decimal, int], '{"a": 1}', "at $: 'a' is not a 'decimal'"),
    (dict[dt.time, int], '{"noon": 1}', "at $: 'noon' is not a 'time'"),
    (dict[dt.timedelta, int], '{"long": 1}', "at $: 'long' is not a 'duration'"),
    (dict[int | None, int], '{"a": 1}', "at $: 'a'"),
    (dict[Access, int], '{"8": 1}', "at $: '8' is not one of ['0', '1'"),
    (dict[Wide, int], '{"2048": 1}', "at $: 2048 is greater than"),
    (dict[Annotated[str, Field(max_length=1)], int], '{"ab": 1}', "at $: 'ab' is too long"),
    (Holder, '{"model": {"size": 1}}', "at $.model: 'at' is a required property"),
    (Paid, '{"cents": -1}', "at $.cents: -1 is less than or equal to the minimum of 0"),
    (Paid, '{"cents": 1, "model": {"size": "x"}}', "at $.model"),
    (Zoned, f'{{"at": "{TIME}"}}', "at $.at"),
    (Zoned, f'{{"at": "{TIME}Z", "local": "{TIME}+01:00"}}', "at $.local"),
    (bool, "tru", "it is no JSON"),
    (Decision, "[" * 100_000, "it is nested too deeply"),
    (list[list[int]], "[" * 100_000, "at $[0][0]: Expected `int`, got `array`"),
    (
        View,
        json.dumps({"status": 5, "cents": "1" * 5_000}),
        "at $.status: expected string, found int",
    ),
    (Literal["a", "b"], json.dumps("x" * 10_000), "..."),
]


@pytest.mark.parametrize(("annotation", "value"), FITS)
def test_what_can_be_decoded_fits(annotation: Any, value: str) -> None:
    schema = schema_of(annotation)
    assert schema is not None
    json_serde(annotation).decode(value.encode())

    assert find_problem(schema, value.encode()) is None


@pytest.mark.parametrize(("annotation", "value", "problem"), DOES_NOT_FIT)
def test_what_does_not_fit_is_named_with_its_path(
    annotation: Any, value: str, problem: str
) -> None:
    schema = schema_of(annotation)
    assert schema is not None
    found = find_problem(schema, value.encode())

    assert found is not None
    assert problem in found
    assert len(found) < 500
    if annotation is not Model:  # pydantic takes "1" for 1 unless told otherwise
        with pytest.raises(InvalidArgumentError):
            json_serde(annotation).decode(value.encode())


ALIKE: list[Any] = [
    *(bool, int, float, str, None, uuid.UUID, dt.datetime, dt.date, dt.time, Colour, Any),
    *(str | None, int | str, Literal["a", 7], list[int], list[Any], dict[str, bool], Window),
    *(list[Window | None], dict[str, list[Colour]], Holder, Model, Keyed, Access, list[Access]),
    *(dict[int, int], dict[Colour, str], dict[dt.date, Access], dict[Literal["a"], dict[int, int]]),
    *(Annotated[int, Field(gt=0)], Annotated[int, Field(ge=7, lt=8)], Annotated[int, Field(le=6)]),
    *(Annotated[float, Field(ge=7.5)], Annotated[float, msgspec.Meta(lt=8)], Bounded),
    *(Annotated[str, Field(min_length=2)], Annotated[str, Field(max_length=3)]),
    *(Annotated[str, Field(pattern="^r")], Annotated[str, msgspec.Meta(pattern="e")]),
    *(Annotated[list[int], Field(min_length=1)], Annotated[list[Any], Field(max_length=0)]),
    *(dict[str, Annotated[str, Field(max_length=1)]], dict[str, Annotated[bool, "said"]]),
    *(dict[Annotated[int, Field(gt=0)], int], dict[Annotated[str, Field(max_length=1)], bool]),
    *(PERHAPS, Annotated[dt.datetime, msgspec.Meta(tz=True)], list[Zoned]),
    *(Annotated[dt.datetime, msgspec.Meta(tz=False)], dt.timedelta, dict[dt.timedelta, int]),
    *(dict[float, int], dict[int | None, int], dict[Decimal, int], dict[Access, int]),
]
VALUES = [
    *("true", "7", "-0", "7.0", "1e400", "36893488147419103232", '"7"', "null", "[7]", "[]", "{}"),
    *('"a"', '"red"', '["a", 7]', "[null]", '{"a": true}', '{"a": null}', '{"a": ["red"]}'),
    *('"2026-01-31"', f'"{TIME}"', f'"{TIME}Z"', '"12:00:00"', '"soon"', f'"{uuid.UUID(int=7)}"'),
    *(f'{{"start": "{TIME}"}}', f'[{{"start": "{TIME}", "notes": {{"a": 7}}}}, null]'),
    *('{"7": 7}', '{"7.5": 7}', '{"-1": 7}', '{"9": 7}', '{"PT1S": 7}', '"PT1S"'),
    *(f'{{"start": "{TIME}", "hour": null}}', f'{{"start": "{TIME}", "holidays": null}}'),
    *(f'{{"model": {{"size": 7, "at": "{TIME}"}}}}', f'{{"size": 7, "at": "{TIME}", "more": []}}'),
    *('{"class": 7}', '{"class": 7, "f0": "x"}', '{"class": 7, "the end": 1}', '{"f1": 1}'),
]


def know_no_type(schema: bytes) -> None:
    """As for a schema that says more."""


@pytest.mark.parametrize("annotation", ALIKE, ids=str)
def test_what_decoding_sees_is_at_least_what_the_library_finds(
    annotation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = schema_of(annotation) or b"{}"
    assert find_decoder(schema) is not None
    quick = [find_problem(schema, value.encode()) for value in VALUES]
    monkeypatch.setattr("holdfast.objects.schemas.find_decoder", know_no_type)
    slow = [find_problem(schema, value.encode()) for value in VALUES]
    # Of 7.0 the library finds that it is 7.
    assert all(found in {seen, None} for seen, found in zip(quick, slow, strict=True))


@pytest.mark.parametrize(
    "schema",
    [
        *('{"type": "integer", "multipleOf": 2}', '{"type": "string", "pattern": "("}'),
        *('{"type": "integer", "pattern": "^a$"}', '{"type": "boolean", "minimum": 0}'),
        *('{"type": "integer", "minimum": 0.5}', '{"type": "string", "minLength": -1}'),
        '{"type": "string", "format": "date", "minLength": 5}',
        *('{"type": "array", "items": {}, "uniqueItems": true}', '{"type": "text"}', "true", "5"),
        *(
            '{"type": ["integer", "null"]}',
            '{"type": "string", "format": "email"}',
            '{"enum": [1.5]}',
        ),
        '{"anyOf": [{"type": "integer", "maximum": -1}, {"type": "integer", "minimum": 1}]}',
        '{"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 1}, {"type": "number"}]}',
        '{"anyOf": [{"type": "string", "maxLength": 1}, {"type": "string", "minLength": 3}]}',
        '{"anyOf": [{"enum": [0, "a"]}, {"anyOf": [{"type": "number"}, {"type": "null"}]}]}',
        *('{"$ref": "#/$defs/A"}', '{"$ref": "https://example.com/a"}', '{"anyOf": []}'),
        *('{"type": "object", "properties": {}, "required": ["a"]}', '{"items": {}}', "no"),
        *('{"type": "string", "properties": {}}', '{"type": "object", "items": {}}'),
        '{"$ref": "#/$defs/A", "$defs": {"A": {"type": "array", "items": {"$ref": "#/$defs/A"}}}}',
    ],
)
def test_what_says_more_than_a_type_is_left_to_the_library(schema: str) -> None:
    assert find_decoder(schema.encode()) is None


class Limited(BaseModel):
    limit: Annotated[int, Field(le=-1)] | Annotated[int, Field(ge=1)] | None = None
    name: Annotated[str, Field(max_length=1)] | Annotated[str, Field(min_length=3)] = ""


def test_what_fits_one_member_of_a_union_need_not_fit_the_others() -> None:
    schema = schema_of(Limited)
    assert schema is not None
    for value in (b'{"limit": 1}', b'{"limit": -1}', b'{"name": "a"}', b'{"name": "abc"}'):
        assert find_problem(schema, value) is None
    for value in (b'{"limit": 0}', b'{"name": "ab"}'):
        assert find_problem(schema, value) is not None


def test_a_type_that_is_met_again_and_again_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty classes of two parts each, all of the next one, stopped the runtime for minutes."""
    part: Any = int
    for number in range(10):
        part = dataclasses.make_dataclass(f"Part{number}", [("left", part), ("right", part)])
    made: list[str] = []
    make: Any = msgspec.defstruct

    def count(name: str, *args: Any, **kwargs: Any) -> Any:
        made.append(name)
        return make(name, *args, **kwargs)

    monkeypatch.setattr(msgspec, "defstruct", count)
    assert find_decoder(schema_of(part) or b"{}") is not None
    assert len(made) == 10


def test_bounds_are_looked_at_in_one_go_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.objects.schemas.load_library", None)
    schema = schema_of(list[Bounded])
    assert schema is not None
    many = [{"size": 7, "name": "red"}] * 20_000
    assert find_problem(schema, json.dumps(many).encode()) is None
    wrong = json.dumps([*many, {"size": 0, "name": "red"}]).encode()
    assert find_problem(schema, wrong) == "at $[20000].size: Expected `int` >= 1"


def test_a_large_value_is_looked_at_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.objects.schemas.load_library", None)
    schema = schema_of(list[Window])
    assert schema is not None
    many = [{"start": TIME}] * 20_000
    assert find_problem(schema, json.dumps(many).encode()) is None
    wrong = json.dumps([*many, {"start": 5}]).encode()
    assert find_problem(schema, wrong) == "at $[20000].start: Expected `datetime`, got `int`"


def test_a_plain_value_that_fits_is_found_without_loading_the_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded: list[str] = []
    monkeypatch.setattr("holdfast.objects.schemas.load_library", lambda: loaded.append("it"))
    for annotation, value in ((bool, b"true"), (int, b"7"), (float, b"7.5"), (str, b'"7"')):
        schema = schema_of(annotation)
        assert schema is not None
        assert find_problem(schema, value) is None
    assert not loaded
    find_problem(b'{"type":"integer"}', b"true")
    assert loaded, "it is what says why a value does not fit"


def test_anything_has_no_schema() -> None:
    assert schema_of(Any) is None
    assert schema_of(object) is None


def test_a_schema_is_json_that_names_what_it_needs() -> None:
    schema = json.loads(schema_of(Decision) or b"")

    assert schema["$ref"] == "#/$defs/Decision"
    assert schema["$defs"]["Decision"]["required"] == ["approved"]
    assert schema["$defs"]["Window"]["properties"]["start"]["format"] == "date-time"


def test_a_schema_never_makes_this_process_fetch_another_one() -> None:
    assert find_problem(b'{"$ref": "http://127.0.0.1:1/x"}', b"1") is None
    assert find_problem(b'{"pattern": "("}', b'"x"') is None


def test_a_line_break_behind_the_end_of_a_pattern_does_not_fit() -> None:
    schema = b'{"type": "string", "pattern": "^a+$"}'
    assert find_problem(schema, b'"aa"') is None
    assert find_problem(schema, rb'"aa\n"') is not None
