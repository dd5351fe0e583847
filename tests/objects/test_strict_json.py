"""What is no JSON for one reader is none for the other."""

from typing import Annotated, Any

import pydantic
import pytest
from pydantic import AfterValidator

from holdfast import InvalidArgumentError
from holdfast.objects.serde import json_serde


class Cat(pydantic.BaseModel):
    name: str


def accept(value: Any) -> Any:
    return value


@pytest.mark.parametrize(
    ("annotation", "document", "problem"),
    [
        (Annotated[float, AfterValidator(accept)], "NaN", "malformed"),
        (list[Cat | float], "[1, -Infinity]", "malformed"),
        (list[Cat | float], "[1e999]", "out of range"),
        (list[Cat | int], "[18446744073709551616]", "beyond 64 bits"),
        (pydantic.JsonValue, "[NaN]", "malformed"),
        (Annotated[list[Any], AfterValidator(accept)], "[" * 5000 + "]" * 5000, "too deeply"),
    ],
)
def test_pydantic_is_asked_about_strict_json_only(
    annotation: Any, document: str, problem: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=problem):
        json_serde(annotation).decode(document.encode())
