"""What operators ask of a server, at its second port: invocations told what to do, and SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ..objects.errors import InvalidArgumentError, UnknownTargetError
from ..objects.identity import check_key
from ..runtime.invocation_info import InvocationInfo
from .asking import Asker
from .calls import JSON, segment
from .descriptions import parse_info
from .exchange import Ask
from .failures import INVOCATION_ID

_NAMES_IN: Final = msgspec.json.Decoder(dict[str, str])
_ROWS_IN: Final = msgspec.json.Decoder(dict[str, list[dict[str, Any]]])
_ROWS: Final = {**JSON, "accept": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """An edit of the state of one object.

    Attributes:
        service: the name of its class.
        key: of the object.
        values: JSON of the new ones, by the names of the fields.
        clear: names that are forgotten.
        keeps_others: whether what is not named stays; else it is forgotten.
        version: the tag that the state must have at that turn.
        idempotency_key: with it the edit may be sent again.
    """

    service: str
    key: str
    values: Mapping[str, msgspec.Raw]
    clear: Sequence[str] = ()
    keeps_others: bool = False
    version: str | None = None
    idempotency_key: str | None = None


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
        return await self.asker.read(ask, lambda body: _ROWS_IN.decode(body)["rows"])

    async def services(self) -> list[dict[str, Any]]:
        """The classes that are served, with handlers and options, as the server describes them."""
        ask = Ask(
            method="GET",
            path="/services",
            what="the list of classes",
            is_question=True,
            is_operators=True,
        )
        return await self.asker.read(ask, lambda body: _ROWS_IN.decode(body)["services"])

    async def edit_state(self, edit: StateChange) -> str:
        """Have a state edited at its turn; gives the id of the invocation that does it.

        Raises:
            InvalidArgumentError: the class has no state, or a value does not fit.
            UnknownTargetError: the server has no such class.
        """
        said: dict[str, Any] = {"object_key": check_key(edit.key), "state": edit.values}
        if edit.keeps_others:
            said["clear"] = list(edit.clear)
        if edit.version is not None:
            said["version"] = edit.version
        key = edit.idempotency_key
        ask = Ask(
            method="PATCH" if edit.keeps_others else "POST",
            path=f"/services/{segment(edit.service)}/state",
            what=f"the edit of {edit.service}/{edit.key}",
            body=msgspec.json.encode(said),
            headers=JSON if key is None else {**JSON, "idempotency-key": key},
            idempotency_key=key,
            may_repeat=key is not None,
            mark=INVOCATION_ID,
            is_operators=True,
        )
        return (await self.asker.get(ask, 202)).reply.headers[INVOCATION_ID]

    async def describe(self, id_: str) -> InvocationInfo:
        """What is known of an invocation.

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
        return await self.asker.read(ask, parse_info)

    async def tell(self, id_: str, verb: str, *, query: str = "", over: int | None = None) -> bool:
        """Tell an invocation to do something that may be told twice.

        ``False``: it changed nothing, perhaps because an earlier sending, whose answer was lost,
        had done it. ``over`` is the status that says so as well, since the invocation is where the
        verb means nothing.

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
        return await self.asker.read(ask, lambda body: _NAMES_IN.decode(body)["new_invocation_id"])

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
