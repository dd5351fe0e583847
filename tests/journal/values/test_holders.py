"""The evidence of reference counts: it must tell both ways, or else nothing is gained or lost."""

from typing import Any

import pytest

from holdfast.journal.values.holders import Holders, find_holders


def look(elements: list[Any]) -> Holders:
    return find_holders(elements[:], is_shallow=False)


def test_elements_that_nobody_else_holds_are_unheld() -> None:
    assert look([{"a": [1, {"b": 2}]}, [], {1, 2}]) is Holders.NONE


def test_an_element_that_somebody_holds_is_held() -> None:
    held = {"a": 1}
    assert look([held, {"a": 2}]) is Holders.SOME
    del held


def test_elements_that_are_all_held_are_all_held() -> None:
    elements: list[Any] = [{"a": 1}, {"a": 2}]
    held = elements[:]
    assert look(elements) is Holders.ALL
    held.clear()
    assert look(elements) is Holders.NONE


@pytest.mark.parametrize("depth", [1, 2])
def test_a_part_deep_inside_that_somebody_holds_is_found(depth: int) -> None:
    elements: list[Any] = [{"parts": [{"text": "x"}]}]
    held = elements[0]["parts"] if depth == 1 else elements[0]["parts"][0]
    assert look(elements) is not Holders.NONE
    del held
    assert look(elements) is Holders.NONE


def test_an_iterator_or_a_method_holds_its_dict() -> None:
    elements: list[Any] = [{"a": 1}]
    for held in (iter(elements[0]), elements[0].update, elements[0].values()):
        assert look(elements) is not Holders.NONE
        del held


def test_what_cannot_be_looked_into_counts_as_held() -> None:
    class Opaque:
        pass

    assert look([Opaque()]) is Holders.ALL
    assert look([{"a": Opaque()}]) is Holders.SOME


def test_what_cannot_change_is_never_held() -> None:
    text = "held by this test"
    assert look([text, 1, None, text]) is Holders.NONE
