"""Whoever calls a runtime from outside, and asks again when it died.

A client behaves as one should: each call has an idempotency key, and whoever got no answer from a
runtime that died asks the next one again, with the same key. So a call is one invocation, however
often the runtime dies under it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from ..objects.errors import RuntimeClosedError, StoreFailedError
from ..runtime.core import Core
from ..runtime.outside import Health, Outside
from ..runtime.requests import Answer, CallRequest
from ..runtime.testing import ManualClock
from .virtual import VirtualRuntime

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class Asked:
    """One call of a client."""

    request: CallRequest
    waits: bool
    """Whether the outcome is awaited; else the acceptance is."""
    answer: asyncio.Future[Answer]


class Stage(Protocol):
    """Where runtimes come and go, as far as a client knows it."""

    @property
    def clock(self) -> ManualClock:
        """The time."""
        ...

    @property
    def runtime(self) -> VirtualRuntime:
        """The runtime of the moment, dead or alive."""
        ...

    def request(self, request: CallRequest, *, waits: bool) -> "asyncio.Future[Answer]":
        """Ask the runtime of the moment, and after its death the next one."""
        ...

    async def next_runtime(self, after: VirtualRuntime | None) -> VirtualRuntime:
        """The runtime that works, once it is another one than ``after``."""
        ...


class Client(Outside):
    """A caller outside, who outlives every runtime.

    Calls as with a ``Runtime``: ``await client.object(Cart, "sam").add("tea")``. What has no
    idempotency key of its own is given one. Everything else that a runtime can be asked from
    outside reaches the runtime of the moment, and fails when that dies; see ``ask``.
    """

    def __init__(self, stage: Stage) -> None:
        """Call whatever runtime is on ``stage``."""
        self._stage = stage
        self._count = 0

    @property
    def clock(self) -> ManualClock:
        """The time; ``await client.sleep(seconds)`` waits for it."""
        return self._stage.clock

    def submit(self, request: CallRequest, *, wait: bool) -> "asyncio.Future[Answer]":
        """As ``Runtime.submit``; answered by whichever runtime lives long enough."""
        if request.idempotency_key is None:
            self._count += 1
            request = replace(request, idempotency_key=f"client call {self._count}")
        return self._stage.request(request, waits=wait)

    async def ask(self, question: Callable[[VirtualRuntime], Awaitable[T]]) -> T:
        """What ``question`` gives, asked of one runtime after the other until one answers.

        For what has no idempotency key: ``client.ask(lambda runtime: runtime.invocation(id)
        .resume())``. It may be asked again after it was done, when the answer was lost.
        """
        runtime: VirtualRuntime | None = None
        while True:
            runtime = await self._stage.next_runtime(runtime)
            try:
                return await question(runtime)
            except (StoreFailedError, RuntimeClosedError):
                continue

    async def sleep(self, seconds: float) -> None:
        """Wait until the virtual time has moved that far."""
        await self.clock.sleep(seconds)

    # What a runtime has for good, a client has of the runtime of the moment.

    @property
    def health(self) -> Health:  # type: ignore[override]  # it is another runtime's each time
        """As ``Runtime.health``, of the runtime of the moment."""
        return self._stage.runtime.health

    @property
    def _core(self) -> Core:  # type: ignore[override]  # as health
        return self._stage.runtime.core

    def _check_open(self) -> None:
        self._core.check_open()
