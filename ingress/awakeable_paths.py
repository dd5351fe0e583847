"""Paths of awakeables.

awakeable  := "/restate/" ("awakeables" | "a") "/" id "/" ("resolve" | "reject")
"""

from dataclasses import dataclass
from typing import Literal

from ..objects.errors import InvalidArgumentError
from ..objects.identity import AwakeableId, parse_awakeable_id
from ..objects.registry import Registry
from .problems import Refusal, RefusedError


@dataclass(frozen=True, slots=True)
class AwakeablePath:
    """The completion of an awakeable, which may not exist."""

    awakeable: AwakeableId
    verb: Literal["resolve", "reject"]


def parse_awakeable(segments: list[str], registry: Registry) -> AwakeablePath:
    """What a path below ``/restate/awakeables`` asks for.

    Raises:
        InvalidArgumentError: this is no awakeable id.
        RefusedError: there is no such page.
    """
    del registry
    match segments[2:]:
        case [text, "resolve" | "reject" as verb]:
            try:
                awakeable = parse_awakeable_id(text)
            except InvalidArgumentError as error:
                message = f"bad awakeable id {text!r:.80}: {error.message}"
                raise InvalidArgumentError(message) from None
            return AwakeablePath(awakeable, verb)
        case _:
            raise RefusedError(Refusal.NOT_FOUND, "not found")
