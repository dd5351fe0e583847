"""What objects answer when one operation follows the other: the meaning that a history is held to.

A model is a function of state and what is asked; it gives the answer and the next state. States are
values that can be hashed, since a check keeps many of them apart.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from tests.histories.operations import Asked

State = Any
"""A value that can be hashed; only its model knows more."""

Step = Callable[[State, Asked], tuple[Hashable, State]]


@dataclass(frozen=True, slots=True)
class Model:
    """A kind of object."""

    initial: State
    step: Step


def _step_register(state: int, asked: Asked) -> tuple[Hashable, int]:
    match asked:
        case ("read", _):
            return state, state
        case ("write", value):
            return None, value
        case ("swap", value):
            return state, value
        case ("replace", (old, new)):
            return (True, new) if state == old else (False, state)
        case _:
            raise ValueError(asked)


def _step_counter(state: int, asked: Asked) -> tuple[Hashable, int]:
    match asked:
        case ("read", _):
            return state, state
        case ("add", amount):
            return state + amount, state + amount
        case _:
            raise ValueError(asked)


def _step_log(state: tuple[str, ...], asked: Asked) -> tuple[Hashable, tuple[str, ...]]:
    match asked:
        case ("read", _):
            return state, state
        case ("append", item):
            return len(state) + 1, (*state, item)
        case ("hold", _):
            return "only ended by an interruption", state
        case _:
            raise ValueError(asked)


def _step_decision(state: int | None, asked: Asked) -> tuple[Hashable, int | None]:
    match asked:
        case ("read", _):
            return state, state
        case ("wait", _):
            return ("nothing yet" if state is None else state), state
        case ("complete", value):
            return (True, value) if state is None else (False, state)
        case _:
            raise ValueError(asked)


REGISTER = Model(0, _step_register)
"""``read``, ``write``, ``swap`` (gives what was there), ``replace`` (old, new; gives whether)."""

COUNTER = Model(0, _step_counter)
"""``read``, ``add`` (gives the new total)."""

LOG = Model((), _step_log)
"""``read``, ``append`` (gives the new length)."""

DECISION = Model(None, _step_decision)
"""``read``, ``wait`` (until there is a value), ``complete`` (gives whether it was first)."""
