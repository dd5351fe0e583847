"""One life of the server: a runtime and its door on a loop of their own, from start to death."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any, TypeVar

from holdfast import Runtime, RuntimeConfig
from holdfast.ingress.admin.door import AdminDoor
from holdfast.ingress.admin.route import About
from holdfast.ingress.callbacks import Send, make_callbacks
from holdfast.ingress.callers import CallersDoor
from holdfast.ingress.messages import Head, Request, Response
from holdfast.ingress.options import DEFAULT_OPTIONS, HttpOptions
from holdfast.journal.memory import MemoryStore
from holdfast.runtime.testing import SeededRandomness

from .actors import CLASSES
from .ledger import Ledger
from .seams import SimClock, SimDisk, SimThreads, WallClock
from .universe import SimLoop, Universe

T = TypeVar("T")

EXIT_SECONDS_MAX = 1.0
"""A process whose store has failed is gone after so long."""


Post = Callable[
    ["Process", str, Mapping[str, str], bytes, timedelta], Awaitable[tuple[int, str | None]]
]


class SimRuntime(Runtime):
    """A runtime whose POSTs go to the world outside."""

    def __init__(self, send: Send, *args: Any, **kwargs: Any) -> None:
        self._send = send
        super().__init__(*args, **kwargs)

    def _own_classes(self) -> Sequence[type]:
        return (make_callbacks(self.config, self._send),)


class Process:
    """A server; ``on_exit`` is called once when it has ended by itself or was killed in a call."""

    def __init__(  # noqa: PLR0913  # what it stands on, each by name
        self,
        universe: Universe,
        wall: WallClock,
        memory: MemoryStore,
        *,
        config: RuntimeConfig,
        seed: str,
        ledger: Ledger,
        on_exit: Callable[["Process"], None],
        post: Post,
        tokens: tuple[str, str] | None,
    ) -> None:
        self.universe = universe
        self.loop = SimLoop(universe, "server", self._complain)
        self.loop.on_killed = self._killed
        self.disk = SimDisk(memory, self.loop, Random(f"{seed}/disk"))
        self.is_ready = False
        self.is_stopping = False
        self._ledger = ledger
        self._on_exit = on_exit
        self._tokens = tokens
        self.runtime = SimRuntime(
            partial(post, self),
            CLASSES,
            store=self.disk,
            config=config,
            clock=SimClock(wall, self.loop),
            randomness=SeededRandomness(Random(seed).getrandbits(62)),
            threads=SimThreads(universe, self.loop, self.disk, Random(f"{seed}/threads")),
        )
        self._door: CallersDoor | None = None
        self._admin_door: AdminDoor | None = None
        self._main = self.loop.spawn(self._run())

    @property
    def is_alive(self) -> bool:
        return self.loop.is_alive

    @property
    def is_serving(self) -> bool:
        """Whether it answers requests, and its disk works."""
        return self.is_ready and not self.disk.has_failed

    def kill(self) -> None:
        """SIGKILL: nothing of it happens any more, and nobody is told."""
        self.loop.kill()

    def stop(self) -> None:
        """SIGTERM: it stops in good order and ends."""
        self.is_stopping = True
        self._ledger.running.is_ending = True
        self._stopping = self.loop.spawn(self._stop())

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> Any:
        """A task of this process."""
        return self.loop.spawn(coroutine)

    async def respond(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> Response:
        """What its door answers."""
        assert self._door is not None, "a request came before the process listened"
        return await self._door.respond(Request(Head(method, path, headers), body))

    async def respond_to_operator(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> Response:
        """What its door for operators answers."""
        assert self._admin_door is not None, "a request came before the process listened"
        return await self._admin_door.respond(Request(Head(method, path, headers), body))

    def authorize(self, token: str | None, *, is_operator: bool) -> dict[str, str]:
        """The header that shows this token, or that of the door; none where no door has any."""
        if token is None and self._tokens is not None:
            token = self._tokens[is_operator]
        return {} if token is None else {"authorization": f"Bearer {token}"}

    async def _run(self) -> None:
        try:
            await self.runtime.start()
        except Exception as error:  # noqa: BLE001  # the process ends; why is the question
            self._ledger.tell(f"the start failed: {error!r:.200}")
            if not self.disk.has_failed:
                self._ledger.violate(f"I15 the start failed by itself: {error!r:.300}")
            self._exit()
            return
        callers, operators = [HttpOptions(tokens=[each]) for each in self._tokens or ()] or (
            DEFAULT_OPTIONS,
            DEFAULT_OPTIONS,
        )
        about = About("0", lambda: None)
        self._door = CallersDoor(self.runtime, callers)
        self._admin_door = AdminDoor(self.runtime, operators, about=about)
        self.is_ready = True
        self._ledger.tell("the process is ready")
        failure = await self.runtime.wait_failed()
        self.is_ready = False
        self._ledger.tell("the store has failed, and the process ends")
        if not self.disk.has_failed:
            self._ledger.violate(f"I15 the runtime failed by itself: {failure.__cause__!r:.300}")
        await self.runtime.stop()
        self._exit()

    async def _stop(self) -> None:
        await self.runtime.stop()
        self.is_ready = False
        self._ledger.tell("the process has stopped")
        self._exit()

    def _exit(self) -> None:
        if self.is_alive:
            self.loop.kill()
            self._on_exit(self)

    def _killed(self) -> None:
        self._ledger.tell("the process dies in the middle of a write")
        self._ledger.count("died in the middle of a write")
        self._on_exit(self)

    def _complain(self, what: str) -> None:
        self._ledger.violate(f"I21 an error that nobody caught: {what:.300}")
