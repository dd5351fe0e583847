"""How a server is, as it says itself."""

from dataclasses import dataclass
from typing import Any

import msgspec

from .asking import Asker
from .exchange import Ask
from .failures import error_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHealth:
    """How a server is.

    Attributes:
        status: ``"ok"`` while new work is welcome.
        services: the names of the classes that it serves; none where it wants a token that this
            client has not.
    """

    status: str
    services: tuple[str, ...]

    @property
    def is_ok(self) -> bool:
        """Whether new work is welcome."""
        return self.status == "ok"


async def ask_health(asker: Asker) -> ServerHealth:
    """Ask once: a server that is stopping answers 503, and that is the answer.

    Raises:
        NotReachedError: nobody answers, or somebody else than a Holdfast server.
    """
    ask = Ask(method="GET", is_question=True, path="/restate/health", what="the question how it is")
    reply = await asker.ask_once(ask)
    try:
        body = msgspec.json.decode(reply.body, type=dict[str, Any])
        return ServerHealth(status=str(body["status"]), services=tuple(body.get("services", ())))
    except (msgspec.DecodeError, KeyError, TypeError):
        raise error_of(ask, reply, asker.server) from None
