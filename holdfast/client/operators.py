"""What operators ask of a server, at its second port: invocations told what to do, and SQL."""

from typing import Any, Final, cast

import msgspec

from ..objects.errors import InvalidArgumentError, UnknownTargetError
from .asking import Asker
from .calls import JSON, segment
from .exchange import Ask

_ROWS: Final = {**JSON, "accept": "application/json"}


class Operators:
    """The operators' door of one server; without its URL every question is refused."""

    def __init__(self, asker: Asker | None) -> None:
        """Nothing is opened here."""
        self._asker = asker

    async def query(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a query.

        Raises:
            InvalidArgumentError: it is no query, or this client has no ``admin_url``.
        """
        body = msgspec.json.encode({"query": sql})
        ask = Ask(
            method="POST",
            path="/query",
            is_question=True,
            what="the query",
            body=body,
            headers=_ROWS,
            is_operators=True,
        )
        answered = await self.asker.get(ask, 200)
        rows = msgspec.json.decode(answered.reply.body, type=dict[str, Any])["rows"]
        return cast("list[dict[str, Any]]", rows)

    async def describe(self, id_: str) -> bytes:
        """What is known of an invocation, as JSON.

        Raises:
            UnknownTargetError: there is no such invocation.
        """
        path = f"/invocations/{segment(id_)}"
        ask = Ask(
            method="GET",
            is_question=True,
            path=path,
            what=f"the description of {id_}",
            is_operators=True,
        )
        return (await self.asker.get(ask, 200)).reply.body

    async def tell(self, id_: str, verb: str, *, query: str = "", over: int | None = None) -> bool:
        """Tell an invocation to do something that may be told twice.

        ``False``: it changed nothing. ``over`` is the status that says so as well, since the
        invocation is where the verb means nothing.

        Raises:
            HoldfastError: as the verb of ``InvocationHandle``.
        """
        ask = self._ask(id_, verb, query, may_repeat=True)
        reply = (await self.asker.get(ask, *_DONE, *([] if over is None else [over]))).reply
        return reply.status != over and "x-holdfast-unchanged" not in reply.headers

    async def restart(self, id_: str, query: str) -> str:
        """Make a new invocation of a completed one; gives its id.

        Raises:
            AnswerLostError: it may have been made; it is not asked for again.
        """
        ask = self._ask(id_, "restart-as-new", query, may_repeat=False)
        answered = await self.asker.get(ask, *_DONE)
        body = msgspec.json.decode(answered.reply.body, type=dict[str, Any])
        return str(body["new_invocation_id"])

    async def purge(self, id_: str) -> None:
        """Forget an invocation.

        Raises:
            HoldfastError: as ``InvocationHandle.purge``.
        """
        ask = self._ask(id_, "purge", "", may_repeat=True)
        answered = await self.asker.ask(ask)
        try:
            self.asker.check(ask, answered, *_DONE)
        except UnknownTargetError:
            if not answered.was_lost:
                raise
            # It is gone, most likely by the sending whose answer was lost.

    def _ask(self, id_: str, verb: str, query: str, *, may_repeat: bool) -> Ask:
        return Ask(
            method="PATCH",
            path=f"/invocations/{segment(id_)}/{verb}{f'?{query}' if query else ''}",
            what=f"the {verb} of {id_}",
            may_repeat=may_repeat,
            is_operators=True,
            hint="" if may_repeat else "look for it before you ask again",
        )

    @property
    def asker(self) -> Asker:
        """Asks the operators' port.

        Raises:
            InvalidArgumentError: this client was not told where that is.
        """
        if self._asker is None:
            message = (
                "this is for operators, and the client has no admin_url; make it with "
                "Client(url, admin_url='http://localhost:9070')"
            )
            raise InvalidArgumentError(message)
        return self._asker


_DONE: Final = (200, 202)
