"""A bound in a class whose reader does not know it is refused, whatever kind of class it is."""

from dataclasses import dataclass
from functools import partial
from types import GenericAlias
from typing import Annotated, Any, Generic, Required, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
import pydantic.dataclasses
import pytest
from pydantic import AfterValidator, PositiveInt

from holdfast import InvalidDefinitionError
from holdfast.objects.constraints import (
    in_words_of_msgspec,
    is_unknown_to_msgspec,
    needs_pydantic,
    value_of,
)
from holdfast.objects.serde import asked_serde, packed_serde

T = TypeVar("T")
AboveZero = Annotated[int, msgspec.Meta(gt=0)]


def accept(value: Any) -> Any:
    return value


@dataclass
class Loose(Generic[T]):
    what: T
    cents: PositiveInt


class LooseStruct(msgspec.Struct, Generic[T]):
    what: list[T]
    cents: PositiveInt


@attrs.define
class LooseAttrs:
    cents: PositiveInt


class LooseDict(TypedDict, Generic[T], total=False):
    cents: Required[PositiveInt]


@dataclass
class Tight(Generic[T]):
    what: T
    cents: AboveZero


class Model(pydantic.BaseModel):
    cents: list[AboveZero]


class GenericModel(pydantic.BaseModel, Generic[T]):
    cents: T


@pydantic.dataclasses.dataclass
class ModelLike:
    cents: AboveZero


class Cat(pydantic.BaseModel):
    note: Annotated[str, msgspec.Meta(description="for people")] = ""


@pytest.mark.parametrize(
    ("annotation", "field"),
    [
        (Loose[int], "Loose.cents"),
        (dict[str, LooseStruct[int]], "LooseStruct.cents"),
        (Loose, "Loose.cents"),
        (LooseAttrs, "LooseAttrs.cents"),
        (LooseDict[int], "LooseDict.cents"),
        (Tight[LooseAttrs], "LooseAttrs.cents"),
    ],
)
def test_what_only_pydantic_knows_is_refused_in_a_class_of_any_kind(
    annotation: Any, field: str
) -> None:
    with pytest.raises(InvalidDefinitionError, match=f"{field} says what only pydantic looks at"):
        asked_serde(annotation)


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (Model, r"Model.cents says by msgspec.Meta\(...\) .* look at; say it by pydantic.Field"),
        (list[Model | None], "Model.cents says by msgspec.Meta"),
        (GenericModel[AboveZero], "cents says by msgspec.Meta"),
        (ModelLike, "ModelLike.cents says by msgspec.Meta"),
        (Cat | Tight[int], "Tight.cents says by msgspec.Meta.* look at; derive that from pydantic"),
        (Annotated[Tight[int], AfterValidator(accept)], "Tight.cents says by msgspec.Meta"),
    ],
)
def test_what_only_msgspec_knows_is_refused_in_a_class_that_pydantic_reads(
    annotation: Any, message: str
) -> None:
    with pytest.raises(InvalidDefinitionError, match=message):
        asked_serde(annotation)


@pytest.mark.parametrize("annotation", [Tight[int], Cat, Cat | Loose[int], GenericModel[int]])
def test_what_is_looked_at_is_taken(annotation: Any) -> None:
    asked_serde(annotation)


class Alias:
    """A type alias as ``type name = ...`` makes it in later Pythons, which evaluates it late."""

    def __init__(self, name: str, says: Any) -> None:
        self.__name__ = name
        self._says = says

    def __call__(self) -> None:
        """What is callable may stand in ``Union``."""

    @property
    def __value__(self) -> Any:
        return self._says()


Alias.__name__ = "TypeAliasType"


def test_aliases_that_lead_to_each_other_come_to_an_end() -> None:
    said: dict[str, Any] = {}
    branch, tree, forest = (Alias(name, partial(said.get, name)) for name in "btf")
    said |= {"b": GenericAlias(list, tree), "t": GenericAlias(dict, (str, branch))}
    said["f"] = GenericAlias(tuple, (tree, PositiveInt))
    assert in_words_of_msgspec(branch) is branch
    assert value_of(forest) is said["f"]
    assert in_words_of_msgspec(forest) == GenericAlias(tuple, (tree, AboveZero))
    for alias in (branch, tree, forest, GenericAlias(list, tree)):
        assert is_unknown_to_msgspec(alias)
        assert needs_pydantic(alias)
    assert not is_unknown_to_msgspec(Alias("plain", lambda: list[int]))


def test_a_type_of_json_itself_is_decoded_at_the_door_and_stored() -> None:
    value = {"a": [1, None, {"b": [True, 0.5, "c"]}]}
    for make in (asked_serde, packed_serde):
        serde = make(pydantic.JsonValue)
        assert serde.decode(serde.encode(value)) == value
