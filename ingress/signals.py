"""Signals to an invocation, from outside.

Both verbs answer 202 once the signal is durable. A signal is no question: each one that is sent is
kept until the handler awaits one of its name, so sending the same again sends another one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from .completions import parse_completion
from .messages import Head, Response
from .methods import check_method
from .part_paths import SignalPath
from .port import IngressEngine
from .queries import refuse_parameters


@dataclass(frozen=True, slots=True)
class SignalSend:
    """A signal whose head is in order."""

    engine: IngressEngine
    path: SignalPath
    headers: Mapping[str, str]

    async def answer(self, body: bytes) -> Response:
        """Send it; see ``door.Opened``."""
        path = self.path
        outcome = parse_completion(path.verb, self.headers, body, "signal")
        await self.engine.invocation(path.invocation_id).deliver_signal(path.name, outcome)
        return Response(202, {"x-restate-id": path.invocation_id}, b"")


def open_signal(engine: IngressEngine, path: SignalPath, query: str, head: Head) -> SignalSend:
    """Check the method and the query.

    Raises:
        RefusedError: it is another method than POST.
        InvalidArgumentError: there are query parameters.
    """
    check_method(head, "POST")
    refuse_parameters(query)
    return SignalSend(engine, path, head.headers)
