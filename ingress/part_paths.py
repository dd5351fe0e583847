"""Paths of what belongs to an invocation or a workflow: signals, effects, promises.

    part       := "/restate/invocation/" id "/signals/" name "/" ("resolve" | "reject")
                | "/restate/invocation/" id "/effects"
                | "/restate/workflow/" workflow "/" key "/promises/" name
                | "/restate/workflow/" workflow "/" key "/promises/" name "/" ("resolve" | "reject")

A name is percent-decoded as a key is. A path says nothing of whether there is such a thing.
"""

from dataclasses import dataclass

from ..objects.errors import InvalidArgumentError
from ..objects.identity import InvocationId, check_label, format_invocation_id
from ..runtime.requests import WorkflowNamed
from .completions import Verb
from .queries import parse_parameters

_DIGITS_MAX = 10


@dataclass(frozen=True, slots=True)
class SignalPath:
    """A signal to an invocation."""

    invocation_id: str
    name: str
    verb: Verb


@dataclass(frozen=True, slots=True)
class EffectsPath:
    """The steps of an invocation."""

    invocation_id: str


@dataclass(frozen=True, slots=True)
class PromisePath:
    """A promise of a workflow; without a verb its value is asked for."""

    workflow: str
    key: str
    name: str
    verb: Verb | None


PartPath = SignalPath | EffectsPath | PromisePath


def name_signal(id_: InvocationId, name: str, verb: Verb) -> SignalPath:
    """The signal ``name`` to an invocation.

    Raises:
        InvalidArgumentError: signals cannot be called so.
    """
    return SignalPath(format_invocation_id(id_), check_label(name, "signal"), verb)


def name_effects(id_: InvocationId) -> EffectsPath:
    """The steps of an invocation."""
    return EffectsPath(format_invocation_id(id_))


def name_promise(workflow: WorkflowNamed, name: str, verb: Verb | None) -> PromisePath:
    """The promise ``name`` of a workflow.

    Raises:
        InvalidArgumentError: promises cannot be called so.
    """
    return PromisePath(workflow.workflow, workflow.key, check_label(name, "promise"), verb)


def parse_effects_query(query: str) -> dict[str, int]:
    """Which page of the effects is asked for: ``after`` and ``limit``, where they are given.

    Raises:
        InvalidArgumentError: there are other parameters, or these are no numbers.
    """
    given = parse_parameters(query, ("after", "limit"), "there are 'after' and 'limit'")
    return {name: _parse_number(name, text) for name, text in given.items()}


def _parse_number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
        message = f"bad {name} query parameter, {text!r:.80} is no number"
        raise InvalidArgumentError(message)
    return int(text)
