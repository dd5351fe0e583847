"""What is read at the door can be read by whoever keeps it, though more is on the stack there."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import InvalidArgumentError
from holdfast.objects import nesting
from holdfast.objects.nesting import BRACKETS_MAX
from holdfast.objects.serde import json_serde, packed_serde

FRAMES = 200


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
    serde, packed = json_serde(Any), packed_serde(Any)
    deepest = find_deepest(serde.decode)
    assert deepest == sys.getrecursionlimit() - FRAMES

    value = serde.decode(nest(deepest))
    stored = below(100, packed.encode, value)
    assert below(100, packed.decode, stored) == value
    assert below(100, serde.encode, value) == nest(deepest)


def test_a_document_is_as_deep_at_the_door_as_where_its_call_begins() -> None:
    decode = json_serde(Any).decode
    assert below(60, find_deepest, decode) == find_deepest(decode)


def test_a_deeper_one_is_refused_in_words() -> None:
    decode = json_serde(Any).decode
    for document in (nest(1_000), nest(50_000, b'{"a":', b"}")):
        with pytest.raises(InvalidArgumentError, match="nested too deeply"):
            decode(document)


def measure_slowly(document: bytes) -> int:
    depth = deepest = 0
    for byte in re.sub(rb'"(?:[^"\\]|\\.)*"', b"", document):
        depth += (byte in b"[{") - (byte in b"]}")
        deepest = max(deepest, depth)
    return deepest


texts = st.text(alphabet='[]{}"\\\na', max_size=5)
documents = st.recursive(
    st.none() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=60,
)


@settings(max_examples=200)
@given(documents, st.integers(1, 400), st.integers(1, 3))
def test_brackets_within_texts_do_not_count(document: Any, around: int, many: int) -> None:
    text = nest(around, b"[" * many, b"]" * many).replace(b"1", json.dumps(document).encode())
    text = b"[" + text + b",[]" * BRACKETS_MAX + b"]"
    depth = measure_slowly(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nesting, "_PIECE", 7)
        patch.setattr(nesting, "_SLICE", 5)
        patch.setattr(sys, "getrecursionlimit", lambda: depth + FRAMES)
        assert nesting.decode_deep(len, text) == len(text)
        patch.setattr(sys, "getrecursionlimit", lambda: depth + FRAMES - 1)
        with pytest.raises(RecursionError, match=f"more than {depth - 1} deep"):
            nesting.decode_deep(len, text)


def test_many_brackets_are_not_deep() -> None:
    value = [[{"text": "[[[["}]] * 3_000
    serde = json_serde(Any)
    assert serde.decode(serde.encode(value)) == value
