"""What is read at the door can be read by whoever keeps it, though more is on the stack there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast import InvalidArgumentError
from holdfast.objects.serde import json_serde, packed_serde


def nest(depth: int, opened: bytes = b"[", closed: bytes = b"]") -> bytes:
    return opened * depth + b"1" + closed * depth


def find_deepest(decode: Callable[[bytes], Any]) -> int:
    """How deep a document ``decode`` takes."""
    taken, refused = 0, 100_000
    while refused - taken > 1:
        depth = (taken + refused) // 2
        try:
            decode(nest(depth))
        except InvalidArgumentError:
            refused = depth
        else:
            taken = depth
    return taken


def below(frames: int, function: Callable[..., Any], *args: Any) -> Any:
    return below(frames - 1, function, *args) if frames else function(*args)


def test_the_deepest_document_is_kept_and_read_again_deep_in_a_handler() -> None:
    json, packed = json_serde(Any), packed_serde(Any)
    deepest = find_deepest(json.decode)
    assert deepest > 500

    value = json.decode(nest(deepest))
    stored = below(100, packed.encode, value)
    assert below(100, packed.decode, stored) == value
    assert below(100, json.encode, value) == nest(deepest)


def test_a_document_is_as_deep_at_the_door_as_where_its_call_begins() -> None:
    decode = json_serde(Any).decode
    assert below(60, find_deepest, decode) == find_deepest(decode)


def test_a_deeper_one_is_refused_in_words() -> None:
    decode = json_serde(Any).decode
    for document in (nest(5_000), nest(50_000, b'{"a":', b"}")):
        with pytest.raises(InvalidArgumentError, match="nested too deeply"):
            decode(document)


def test_many_brackets_are_not_deep() -> None:
    value = [[{"text": "[[[["}]] * 3_000
    serde = json_serde(Any)
    assert serde.decode(serde.encode(value)) == value
