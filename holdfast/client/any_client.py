"""What a ``Runtime`` and a ``Client`` have in common, for code that is given one or the other.

Keywords are written out: a checker takes no ``**options`` of more keywords for one of fewer.
"""

from collections.abc import Awaitable, Mapping
from datetime import timedelta
from typing import Any, Protocol, TypeVar, overload

from ..objects.call_options import Mode
from ..objects.errors import TerminalError
from ..objects.handler import Handler
from ..objects.proxy import NO_ARGUMENT
from ..runtime.state_reads import StateSnapshot

T = TypeVar("T")
V = TypeVar("V")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class AnyInvocation(Protocol[R_co]):
    """One invocation, of either; see ``InvocationHandle``."""

    @property
    def id(self) -> str:
        """``inv_`` and 32 hex digits."""
        ...

    def attach(self) -> Awaitable[R_co]:
        """Wait for its outcome, however long it takes."""
        ...

    def output(self) -> Awaitable[R_co]:
        """Its outcome, if it has one."""
        ...


class AnyPromise(Protocol[V]):
    """A promise of a workflow, of either; see ``PromiseHandle``."""

    def resolve(self, value: V) -> Awaitable[None]:
        """Give it its value, of its type."""
        ...

    def reject(self, reason: str | TerminalError) -> Awaitable[None]:
        """Have everyone who awaits it get a ``TerminalError``."""
        ...

    def peek(self) -> Awaitable[V | None]:
        """What it is resolved with, or ``None`` as long as it is not."""
        ...

    def wait(self) -> Awaitable[V]:
        """What it is resolved with, once it is."""
        ...


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
        delay: timedelta | float | None = None,
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

    @overload
    def promise(self, cls: type | str, key: str, name: str) -> AnyPromise[Any]: ...
    @overload
    def promise(self, cls: type | str, key: str, name: str, type: type[T]) -> AnyPromise[T]: ...
    @overload
    def promise(self, cls: type | str, key: str, name: str, type: Any) -> AnyPromise[Any]: ...
    def promise(self, cls: type | str, key: str, name: str, type: Any = Any) -> AnyPromise[Any]:  # noqa: A002  # it is the type
        """The promise ``name`` of the workflow ``cls`` at ``key``."""
        ...

    @overload
    def invocation(self, invocation_id: str) -> AnyInvocation[Any]: ...
    @overload
    def invocation(self, invocation_id: str, handler: Handler[..., R]) -> AnyInvocation[R]: ...
    def invocation(
        self, invocation_id: str, handler: Handler[..., Any] | None = None
    ) -> AnyInvocation[Any]:
        """What can be done to one invocation."""
        ...

    def find_invocation(
        self,
        service: type | str,
        key: str | None = None,
        handler: Handler[..., Any] | str = "run",
        *,
        idempotency_key: str | None = None,
    ) -> Awaitable[AnyInvocation[Any] | None]:
        """The invocation that is known by something else than its id, if there is one."""
        ...

    def state(
        self, cls: type | str, key: str, *, at: str | None = None, entry: int | None = None
    ) -> Awaitable[Mapping[str, Any]]:
        """What an object holds, now or at a past moment."""
        ...

    def wait_state(
        self,
        cls: type | str,
        key: str,
        *,
        since: str | None = None,
        timeout: timedelta | float | None = None,
    ) -> Awaitable[StateSnapshot]:
        """What an object holds, with a tag; given the tag of before, once it is another state."""
        ...

    def set_state(
        self, cls: type | str, key: str, values: Mapping[str, Any], *, version: str | None = None
    ) -> Awaitable[None]:
        """Leave an object with ``values`` and nothing else, at its turn."""
        ...
