"""What clients ask: operations on a few objects at a time, drawn from a seed."""

from dataclasses import dataclass, replace
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
    mode: str = ""
    """How it treats the turn under way, where it is no plain call."""
    is_freed: bool = False
    """It ends only when others act: its client goes on with ``free`` until it has."""
    may_be_canceled: bool = False
    """It may end as canceled, and has done nothing then."""


def choose(random: Random, recorder: Recorder, item: str) -> Request:
    """The next request of a client; an append appends ``item``."""
    generation = recorder.size // (OPERATIONS_PER_KEY * KEYS * 4)
    key = f"{generation}-{random.randrange(KEYS)}"
    match random.choice(["Register", "Counter", "Log", "Desk", "Decision"]):
        case "Register":
            return _choose_register(random, key)
        case "Counter":
            return _choose_counter(random, key)
        case "Desk":
            return _choose_at_desk(random, key, item)
        case "Decision":
            return _choose_decision(random, f"{key}-{random.randrange(4)}")
        case _:
            return _choose_log(random, key, item)


def free(random: Random, request: Request, item: str) -> Request:
    """What may end ``request``, which waits for others."""
    key = request.target.partition("/")[2]
    if request.target.startswith("Desk/"):
        return _append_at_desk(key, item)
    value = random.randrange(100)
    return _request("Decision", key, "complete", value, value)


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


def _choose_at_desk(random: Random, key: str, item: str) -> Request:
    match random.choice(["read", "append", "hold"]):
        case "read":
            return _request("Desk", key, "read", None, None)
        case "append":
            return _append_at_desk(key, item)
        case _:
            hold = _request("Desk", key, "hold", None, None)
            return replace(hold, is_freed=True, may_be_canceled=True)


def _append_at_desk(key: str, item: str) -> Request:
    append = _request("Desk", key, "append", item, item)
    return replace(append, mode="interrupt", may_be_canceled=True)


def _choose_decision(random: Random, key: str) -> Request:
    value = random.randrange(100)
    match random.choice(["read", "complete", "wait", "wait"]):
        case "read":
            return _request("Decision", key, "read", None, None)
        case "complete":
            return _request("Decision", key, "complete", value, value)
        case _:
            return replace(_request("Decision", key, "wait", None, None), is_freed=True)


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
