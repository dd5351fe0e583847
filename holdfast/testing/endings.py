"""How a call ended, and how two endings differ."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from .effects import StepEffects

_AN_ID: Final = re.compile(r"\b(inv_[0-9a-f]{32}|awk_[0-9a-f]{40})\b")
_A_LINK: Final = re.compile(r"(/awakeables/awk_\*/[^\s\"'<>]*[?&]signature=)[A-Za-z0-9_-]{43}")
"""A link to an awakeable whose id is masked. Its signature is by a key of each case's own."""

_SHOWN_CHARACTERS_MAX: Final = 2_000


@dataclass(frozen=True, slots=True)
class Raised:
    """The call raised this."""

    type_name: str
    message: str
    status_code: int | None = None


@dataclass(frozen=True, slots=True)
class NeverEnds:
    """The call waits for something that nothing will bring."""

    waits: str
    """What is open, as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """All that a call left behind."""

    outcome: Any
    """What it returned, or ``Raised``, or ``NeverEnds``."""
    state: Mapping[str, Mapping[str, Any]]
    """Of all objects: by ``Class/key``, then by field, as builtins."""
    effects: tuple[StepEffects, ...]
    """What each step did outside, once however often it was tried; in no order among steps."""
    paused: tuple[str, ...] = ()
    """What waits for a person to resume it, and why."""


def without_ids(ending: Ending) -> Ending:
    """The ending with every id of an invocation or awakeable written as ``inv_*`` or ``awk_*``.

    So are signatures of links, which each case makes with a key of its own.
    """
    return Ending(**{each.name: _masked(getattr(ending, each.name)) for each in fields(ending)})


def show_differences(expected: tuple[Ending, Any], found: tuple[Ending, Any]) -> Iterator[str]:
    """Both sides of all that differs, a few lines each.

    Each is an ending and what of it was compared; where that is not the ending, it is shown too.
    """
    if not isinstance(expected[1], Ending):
        yield from _both("compared", expected[1], found[1])
    for name in ("outcome", "paused"):
        yield from _both(
            name, *(getattr(without_ids(side), name) for side in (expected[0], found[0]))
        )
    yield from _show_state(without_ids(expected[0]).state, without_ids(found[0]).state)
    yield from _show_effects(expected[0].effects, found[0].effects)


def _show_state(
    expected: Mapping[str, Mapping[str, Any]], found: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    for name in sorted({*expected, *found}):
        before, after = expected.get(name, {}), found.get(name, {})
        for field in sorted({*before, *after}):
            sides = (each.get(field, _ABSENT) for each in (before, after))
            yield from _both(f"state of {name}: {field}", *sides)


def _show_effects(
    expected: tuple[StepEffects, ...], found: tuple[StepEffects, ...]
) -> Iterator[str]:
    before, after = list(_masked(expected)), list(_masked(found))
    for each in list(before):
        if each in after:
            before.remove(each)
            after.remove(each)
    yield from _both("effects", [*map(str, before)], [*map(str, after)])


class _Absent:
    def __repr__(self) -> str:
        return "absent"


_ABSENT: Final = _Absent()


def _both(what: str, expected: Any, found: Any) -> Iterator[str]:
    if expected != found:
        yield what
        yield f"    undisturbed: {_shown(expected)}"
        yield f"    here:        {_shown(found)}"


def _shown(value: Any) -> str:
    text = repr(value)
    if len(text) <= _SHOWN_CHARACTERS_MAX:
        return text
    return f"{text[:_SHOWN_CHARACTERS_MAX]}... ({len(text)} characters)"


def _masked(value: Any) -> Any:
    """``value`` without ids, as far as builtins and our own values go."""
    kind: Any = value.__class__
    if kind is str:
        return _A_LINK.sub(r"\1*", _AN_ID.sub(lambda found: f"{found[0][:4]}*", value))
    if kind is tuple:
        return tuple(_masked(each) for each in value)
    if kind is list:
        return [_masked(each) for each in value]
    if kind is dict:
        return {_masked(key): _masked(each) for key, each in value.items()}
    if kind in {Raised, NeverEnds, StepEffects}:
        return replace(
            value, **{each.name: _masked(getattr(value, each.name)) for each in fields(value)}
        )
    return value
