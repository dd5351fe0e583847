"""What clients ask: operations on a few objects at a time, drawn from a seed."""

from dataclasses import dataclass
from random import Random
from typing import Any

from tests.histories.operations import Asked, Recorder

KEYS = 2
"""Objects of each class at a time: few, so that operations overlap."""

OPERATIONS_PER_KEY = 60
"""After so many on average the clients move on to new objects, and histories stay small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An operation, and the path and the body it is asked for with."""

    target: str
    asked: Asked
    path: str
    argument: Any


def choose(random: Random, recorder: Recorder, item: str) -> Request:
    """The next request of a client; an append appends ``item``."""
    generation = recorder.size // (OPERATIONS_PER_KEY * KEYS * 3)
    key = f"{generation}-{random.randrange(KEYS)}"
    match random.choice(["Register", "Counter", "Log"]):
        case "Register":
            return _choose_register(random, key)
        case "Counter":
            return _choose_counter(random, key)
        case _:
            return _choose_log(random, key, item)


def _choose_register(random: Random, key: str) -> Request:
    value = random.randrange(1, 4)
    match random.choice(["read", "read", "write", "swap", "replace"]):
        case "replace":
            old = random.randrange(4)
            argument = {"old": old, "new": value}
            return _request("Register", key, "replace", (old, value), argument)
        case "read":
            return _request("Register", key, "read", None, None)
        case name:
            return _request("Register", key, name, value, value)


def _choose_counter(random: Random, key: str) -> Request:
    amount = random.randrange(1, 100)
    match random.choice(["read", "turn", "add", "add", "detour"]):
        case "read":
            return _request("Counter", key, "read", None, None)
        case "turn":
            return _request("Counter", key, "read", None, None, path="read_in_turn")
        case "detour":
            argument = {"key": key, "amount": amount}
            return _detour("Counter", key, "add", amount, argument)
        case _:
            return _request("Counter", key, "add", amount, amount)


def _choose_log(random: Random, key: str, item: str) -> Request:
    match random.choice(["read", "append", "append", "detour"]):
        case "read":
            return _request("Log", key, "read", None, None)
        case "detour":
            return _detour("Log", key, "append", item, {"key": key, "item": item})
        case _:
            return _request("Log", key, "append", item, item)


def _request(  # noqa: PLR0913  # the parts of one
    name: str, key: str, operation: str, value: Any, argument: Any, *, path: str = ""
) -> Request:
    target = f"{name}/{key}"
    return Request(
        target=target,
        asked=(operation, value),
        path=f"/{target}/{path or operation}",
        argument=argument,
    )


def _detour(name: str, key: str, operation: str, value: Any, argument: Any) -> Request:
    """The same by a service that calls the object."""
    return Request(
        target=f"{name}/{key}",
        asked=(operation, value),
        path=f"/Detour/{operation}",
        argument=argument,
    )
