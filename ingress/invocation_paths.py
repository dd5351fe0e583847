"""Paths that name an invocation somebody made: by its id, as a workflow, by an idempotency key.

    named      := "/restate/" verb "/" id
                | "/restate/invocation/" id "/" verb
                | "/restate/invocation/" call "/" idempotency key "/" verb       see ``call_paths``
                | "/restate/workflow/" workflow "/" key "/" verb
                | part                                                         see ``part_paths``
                | "/restate/" ("attach" | "output" | "lookup")            the body names it
    verb       := "attach" | "output"

A name says nothing of whether there is such an invocation.
"""

from dataclasses import dataclass
from typing import Literal

from ..objects.errors import InvalidArgumentError
from ..objects.identity import InvocationId, parse_invocation_id
from ..objects.registry import Registry
from ..objects.service import RUN
from ..runtime.requests import IdNamed, KeyNamed, Named, WorkflowNamed
from .call_paths import NOT_PUBLIC, find_service, parse_key, parse_target
from .headers import check_idempotency_key
from .part_paths import (
    EffectsPath,
    PromisePath,
    SignalPath,
    name_effects,
    name_promise,
    name_signal,
)
from .problems import Refusal, RefusedError


@dataclass(frozen=True, slots=True)
class OutcomePath:
    """The question how an invocation ended."""

    named: Named
    verb: Literal["attach", "output"]


@dataclass(frozen=True, slots=True)
class LookupPath:
    """The same where the body names the invocation; ``lookup`` asks for its id."""

    verb: Literal["attach", "output", "lookup"]


def parse_verb(segments: list[str], registry: Registry) -> OutcomePath | LookupPath:
    """What ``/restate/attach``, ``/restate/output`` and ``/restate/lookup`` ask for.

    Raises:
        InvalidArgumentError: this is no invocation id.
        RefusedError: there is no such page.
    """
    del registry
    match segments[1:]:
        case ["attach" | "output" | "lookup" as verb]:
            return LookupPath(verb)
        case ["attach" | "output" as verb, id_]:
            return OutcomePath(IdNamed(parse_id(id_)), verb)
        case _:
            raise _not_found()


def parse_invocation(
    segments: list[str], registry: Registry
) -> OutcomePath | SignalPath | EffectsPath:
    """What a path below ``/restate/invocation`` asks for.

    Raises:
        InvalidArgumentError: this is no invocation id, no path of a call, or no name of a signal.
        UnknownTargetError: there is no such class or handler.
        RefusedError: there is no such page.
    """
    match segments[2:]:
        case [id_, "attach" | "output" as verb]:
            return OutcomePath(IdNamed(parse_id(id_)), verb)
        case [id_, "signals", name, "resolve" | "reject" as verb]:
            return name_signal(parse_id(id_), name, verb)
        case [id_, "effects"]:
            return name_effects(parse_id(id_))
        case [_, _, _, *_, "attach" | "output" as verb] as below:
            return OutcomePath(name_call(below[:-2], below[-2], registry), verb)
        case _:
            raise _not_found()


def parse_workflow(segments: list[str], registry: Registry) -> OutcomePath | PromisePath:
    """What a path below ``/restate/workflow`` asks for.

    Raises:
        InvalidArgumentError: this is no workflow, no key, or no name of a promise.
        UnknownTargetError: there is no such class.
        RefusedError: there is no such page.
    """
    match segments[2:]:
        case [name, key, "attach" | "output" as verb]:
            return OutcomePath(name_workflow(name, key, registry), verb)
        case [name, key, "promises", promise]:
            return name_promise(name_workflow(name, key, registry), promise, None)
        case [name, key, "promises", promise, "resolve" | "reject" as verb]:
            return name_promise(name_workflow(name, key, registry), promise, verb)
        case _:
            raise _not_found()


def name_call(call: list[str], idempotency_key: str, registry: Registry) -> KeyNamed:
    """The call of a class, a key where it has one, and a handler that came with that key.

    Raises:
        InvalidArgumentError: a key is missing, or there is one too many, or one cannot be a key.
        UnknownTargetError: there is no such class or handler.
    """
    target = parse_target(call, find_service(call, registry))
    return KeyNamed(target, check_idempotency_key(idempotency_key, "the idempotency key"))


def name_workflow(name: str, key: str, registry: Registry) -> WorkflowNamed:
    """The ``run`` of the workflow ``name`` at ``key``; raises as ``parse_workflow``."""
    service = find_service([name], registry)
    if service.kind != "workflow":
        kind = service.kind.removeprefix("virtual ")
        message = f"{name} is no workflow but a class of kind {kind!r}"
        raise InvalidArgumentError(message)
    if service.handlers[RUN].options.ingress_private:
        raise InvalidArgumentError(NOT_PUBLIC)
    return WorkflowNamed(name, parse_key(key))


def parse_id(text: str) -> InvocationId:
    """The invocation whose id this is.

    Raises:
        InvalidArgumentError: it is none.
    """
    try:
        return parse_invocation_id(text)
    except InvalidArgumentError as error:
        message = f"bad invocation id {text!r:.80}: {error.message}"
        raise InvalidArgumentError(message) from None


def _not_found() -> RefusedError:
    return RefusedError(Refusal.NOT_FOUND, "not found")
