"""A promise of a workflow behind a server."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar, cast

from ..objects.errors import InvalidArgumentError, NotReadyError, TerminalError
from ..objects.identity import check_key, check_label
from ..objects.promise import encode_checked
from ..objects.proxy import define_workflow
from ..objects.serde import Serde, asked_serde, json_serde
from .asking import Asker
from .calls import JSON, segment
from .exchange import Ask

T = TypeVar("T")

_TEXT: Final = json_serde(str)
WAIT_MS: Final = 60_000
"""One request waits for so long; then the next one does."""
NOT_READY: Final = 470
_REPEAT: Final = "completing it again is refused if it was completed"


class RemotePromise(Generic[T]):
    """One promise of one workflow; ``client.promise(Order, "42", "paid", bool)`` makes these.

    As ``runtime.promise``: whether the workflow was started makes no difference.
    """

    def __init__(self, asker: Asker, service: str, key: str, name: str, serde: Serde[T]) -> None:
        """``Client.promise`` makes these."""
        self._asker = asker
        self._what = f"promise {name!r} of {service}/{key}"
        self._path = f"/restate/workflow/{segment(service)}/{segment(key)}/promises/{segment(name)}"
        self._serde = serde

    async def peek(self) -> T | None:
        """What it is resolved with, or ``None`` as long as it is not.

        Raises:
            TerminalError: it was rejected.
            InvalidArgumentError: its value is of another type.
        """
        ask = Ask(method="GET", is_question=True, path=self._path, what=f"the look at {self._what}")
        try:
            answered = await self._asker.get(ask, 200)
        except NotReadyError:
            return None
        return self._serde.decode(answered.reply.body)

    async def wait(self) -> T:
        """What it is resolved with, once it is, however long that takes.

        Raises:
            TerminalError: it is rejected.
            InvalidArgumentError: its value is of another type.
        """
        ask = Ask(
            method="GET",
            is_question=True,
            path=f"{self._path}?wait={WAIT_MS}",
            what=f"waiting for {self._what}",
        )
        while True:
            answered = await self._asker.ask(ask)
            if answered.reply.status != NOT_READY:
                self._asker.check(ask, answered, 200)
                return self._serde.decode(answered.reply.body)

    async def resolve(self, value: T) -> None:
        """Give it its value, of its type.

        Raises:
            InvalidArgumentError: the value is of another type; nothing happened.
            ConflictError: it was completed before, and stays as it is.
        """
        body = encode_checked(self._serde, value)

        async def stands() -> bool:
            try:
                return encode_checked(self._serde, cast("T", await self.peek())) == body
            except (TerminalError, InvalidArgumentError):
                return False  # It was rejected, or is of another type.

        await self._complete("resolve", body, stands)

    async def reject(self, reason: str | TerminalError) -> None:
        """Have everyone who awaits it get a ``TerminalError``.

        Raises:
            ConflictError: it was completed before, and stays as it is.
        """
        message = reason_text(reason)

        async def stands() -> bool:
            try:
                await self.peek()
            except TerminalError as error:
                return error.message == message
            except InvalidArgumentError:
                pass  # It has a value, which is of another type.
            return False

        await self._complete("reject", _TEXT.encode(message), stands)

    async def _complete(
        self, verb: str, body: bytes, stands: Callable[[], Awaitable[bool]]
    ) -> None:
        ask = Ask(
            method="POST",
            path=f"{self._path}/{verb}",
            what=f"the {verb} of {self._what}",
            body=body,
            headers=JSON,
            hint=_REPEAT,
        )
        answered = await self._asker.ask(ask)
        if answered.reply.status == 409 and answered.was_lost and await stands():
            return  # It is as this would have made it, most likely by the sending that was lost.
        self._asker.check(ask, answered, 200, 202)


def reason_text(reason: str | TerminalError) -> str:
    """Why something is rejected, as a server takes it: the message of an error and no more."""
    return reason.message if isinstance(reason, TerminalError) else reason


def make_promise(
    asker: Asker, cls: type | str, key: str, name: str, annotation: Any
) -> RemotePromise[Any]:
    """As ``Client.promise``."""
    service = cls if isinstance(cls, str) else define_workflow(cls).name
    checked = check_label(name, "promise")
    return RemotePromise[Any](asker, service, check_key(key), checked, asked_serde(annotation))
