"""Resolving and rejecting awakeables from outside.

Both answer 202 with no body, also where the awakeable had been completed before: the first
completion stands, and whoever repeats one after a lost answer must not be told that it failed. One
that nobody completed and that is closed all the same, because its deadline has passed, is a 409.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ..objects.errors import HoldfastError
from .awakeable_paths import AwakeablePath
from .completions import parse_completion
from .messages import Head, Response
from .methods import check_method
from .port import IngressEngine
from .problems import response_of_error


@dataclass(frozen=True, slots=True)
class Completion:
    """A completion whose head is in order."""

    engine: IngressEngine
    path: AwakeablePath
    headers: Mapping[str, str]

    async def answer(self, body: bytes) -> Response:
        """Complete the awakeable and answer; see ``door.Opened``.

        Raises:
            InvalidArgumentError: the body is not what the verb takes.
        """
        outcome = parse_completion(self.path.verb, self.headers, body, "awakeable")
        try:
            is_new = await self.engine.complete_awakeable(self.path.awakeable, outcome)
        except HoldfastError as error:
            # Its id makes a completion idempotent: the first one stands.
            return response_of_error(error, is_keyed=True, was_submitted=False)
        return taken(is_first=is_new)


def taken(*, is_first: bool) -> Response:
    """What a program is answered, whose completion stands only if it is the first."""
    return Response(202, {} if is_first else {"x-holdfast-unchanged": "1"}, b"")


def open_completion(engine: IngressEngine, path: AwakeablePath, head: Head) -> Completion:
    """Check the method.

    Raises:
        RefusedError: it is not POST.
    """
    check_method(head, "POST")
    return Completion(engine, path, head.headers)
