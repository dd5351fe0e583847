"""What a ``Runtime`` and a ``Client`` have in common, for code that is given one or the other.

Keywords are written out: a checker takes no ``**options`` of more keywords for one of fewer.
"""

from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from ..objects.call_options import Mode
from ..objects.errors import TerminalError
from ..objects.proxy import NO_ARGUMENT

T = TypeVar("T")


class AnyClient(Protocol):
    """A ``Runtime`` in this process, or a ``Client`` of one elsewhere: callers need not know.

    ``async def checkout(shop: AnyClient) -> None: await shop.object(Cart, "sam").pay()``
    """

    def object(
        self, cls: type[T], key: str, *, mode: Mode = "queue", idempotency_key: str | None = None
    ) -> T:
        """The typed proxy of one object."""
        ...

    def workflow(
        self, cls: type[T], key: str, *, mode: Mode = "queue", idempotency_key: str | None = None
    ) -> T:
        """The typed proxy of one workflow."""
        ...

    def service(
        self, cls: type[T], *, mode: Mode = "queue", idempotency_key: str | None = None
    ) -> T:
        """The typed proxy of a service."""
        ...

    def call_by_name(  # noqa: PLR0913  # as those of the two
        self,
        service: str,
        key: str | None,
        handler: str,
        argument: Any = NO_ARGUMENT,
        *,
        mode: Mode = "queue",
        idempotency_key: str | None = None,
    ) -> Awaitable[Any]:
        """Call a handler without its class; ``argument`` is any JSON value, or left out."""
        ...

    def send_by_name(  # noqa: PLR0913  # as those of the two
        self,
        service: str,
        key: str | None,
        handler: str,
        argument: Any = NO_ARGUMENT,
        *,
        delay: timedelta | None = None,
        mode: Mode = "queue",
        idempotency_key: str | None = None,
    ) -> Awaitable[str]:
        """Send to a handler without its class; gives the invocation's id."""
        ...

    def resolve_awakeable(self, awakeable_id: str, value: Any = None) -> Awaitable[bool]:
        """Give an awakeable its value; ``False`` where it was completed before, which stands."""
        ...

    def reject_awakeable(self, awakeable_id: str, reason: str | TerminalError) -> Awaitable[bool]:
        """Have whoever awaits it get a ``TerminalError``."""
        ...
