"""Who listens at URLs: told how invocations have ended, by POSTs over a network that loses some.

The runtime's own service makes them; only what would open a socket is replaced. Each POST is looked
at when it leaves the process, and what whoever listens has taken is kept for the end.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Final

from holdfast import step_info
from holdfast.journal import keys
from holdfast.journal.entry import Failure
from holdfast.journal.records import decode_outcome
from holdfast.objects.identity import parse_invocation_id

if TYPE_CHECKING:
    from .process import Process
    from .world import World

HOST: Final = "https://hooks.example/"
AGAIN_SECONDS: Final = 2
"""What an answer says that wants to be asked later."""

_SLACK_MS: Final = 2
_GONE: Final = 410
_ANSWERS: Final = (200, 200, 200, 200, 204, 302, 404, 500, 503, 503, _GONE, 0)
"""0: nobody listens there."""


def make_url(tag: str) -> str:
    """Where somebody listens to how the invocation of this order ends."""
    return HOST + tag


class _Post:
    """One that is under way."""

    def __init__(
        self, process: "Process", url: str, id_: str, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.process = process
        self.url = url
        self.id = id_
        self.answer: asyncio.Future[tuple[int, str | None]] = loop.create_future()

    @property
    def is_waiting(self) -> bool:
        """Whether anybody would hear of its answer."""
        return not self.answer.done() and self.process.is_alive

    def fail(self, error: Exception) -> None:
        """There is no answer."""
        if self.is_waiting:
            self.answer.set_exception(error)


class Hooks:
    """All who listen."""

    def __init__(self, world: "World", random: Random) -> None:
        """Nobody has heard anything yet."""
        self.world = world
        self._random = random
        self._bodies: dict[str, bytes] = {}
        """What was posted first, by invocation."""
        self._urls: dict[str, str] = {}
        self._over: set[str] = set()
        """Invocations whose end was taken, or of which nobody wants to hear."""
        self._gone: set[str] = set()
        # Before when nobody asks again, as the process of then was told; by invocation.
        self._not_before: dict[str, tuple[Process, int]] = {}
        self._posting: dict[Process, int] = {}

    @property
    def known(self) -> dict[str, Any]:
        """What was told, and taken, so far."""
        return {name: getattr(self, name) for name in ("_bodies", "_urls", "_over", "_gone")}

    @known.setter
    def known(self, known: dict[str, Any]) -> None:
        for name, value in known.items():
            setattr(self, name, value)

    async def post(
        self,
        process: "Process",
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        timeout: timedelta,  # noqa: ASYNC109  # as it is there
    ) -> tuple[int, str | None]:
        """As ``ingress.callbacks.Send``."""
        universe, random = self.world.universe, self._random
        self._check(process, url, headers, body)
        post = _Post(process, url, headers["webhook-id"], asyncio.get_running_loop())
        gives_up = universe.after(timeout.total_seconds(), lambda: post.fail(TimeoutError()))
        if self._is_lost():
            self.world.ledger.count("a POST was lost")
        else:
            universe.after(random.random() * 0.01, lambda: self._arrive(post))
        try:
            return await post.answer
        finally:
            gives_up.cancel()
            self._posting[process] -= 1

    def _arrive(self, post: "_Post") -> None:
        status = self._draw_status(post.url)
        if 200 <= status < 300 or status == _GONE:
            self._over.add(post.id)
        if self._is_lost():
            self.world.ledger.count("a reply to a POST was lost")
            return
        seconds = self._random.random() * 0.01
        self.world.universe.after(seconds, lambda: self._reply(post, status))

    def _reply(self, post: "_Post", status: int) -> None:
        ledger = self.world.ledger
        if not post.is_waiting:
            return
        ledger.tell(f"{post.url} answers {status}")
        if not status:
            ledger.count("a POST was refused")
            post.fail(ConnectionRefusedError("nobody listens there"))
            return
        ledger.count(f"a POST was answered {status}")
        retry_after = None
        if status == 503:
            retry_after = str(AGAIN_SECONDS)
            due_ms = self.world.wall.now_ms() + AGAIN_SECONDS * 1000
            self._not_before[post.id] = post.process, due_ms
        post.answer.set_result((status, retry_after))

    def _is_lost(self) -> bool:
        return self.world.network.is_lossy and self._random.random() < 0.05

    def _draw_status(self, url: str) -> int:
        if url in self._gone:
            return _GONE
        if not self.world.network.is_lossy:
            return 200
        status = self._random.choice(_ANSWERS)
        if status == _GONE:
            self._gone.add(url)
        return status

    def _check(self, process: "Process", url: str, headers: Mapping[str, str], body: bytes) -> None:
        """Whether this may leave the process."""
        ledger, now_ms = self.world.ledger, self.world.wall.now_ms()
        said: dict[str, Any] = json.loads(body)
        id_ = headers["webhook-id"]
        ledger.tell(f"{url} is told of {id_[-8:]}: {said['status']}")
        if {id_, headers["idempotency-key"], said["invocation_id"]} != {id_}:
            ledger.violate(f"I10 {url} is told of {id_} by {headers} and {said}")
        if self._urls.setdefault(id_, url) != url:
            ledger.violate(f"I10 {url} is told of {id_}, as {self._urls[id_]} was")
        tag = url.removeprefix(HOST)
        if ledger.ids.get(id_, tag) != tag:
            ledger.violate(f"I10 {url} is told how {ledger.ids[id_]} has ended")
        if self._bodies.setdefault(id_, body) != body:
            ledger.violate(f"I2 {url} is told {body!r:.300} after {self._bodies[id_]!r:.300}")
        disk = process.disk
        if not disk.is_completion_durable(parse_invocation_id(id_)):
            ledger.violate(f"I12 {url} is told how {tag} ended before that is durable")
        own_id = parse_invocation_id(step_info().invocation_id)
        if not disk.is_acceptance_durable(own_id):
            ledger.violate(f"I12 {url} is told by who is not durable")
        if disk.is_completion_durable(own_id):
            ledger.violate(f"I2 {url} is told again by who is done with it")
        asked, due_ms = self._not_before.get(id_, (process, now_ms))
        if asked is process and now_ms < due_ms - _SLACK_MS and ledger.is_wall_steady:
            ledger.violate(f"I9 {url} is told again {due_ms - now_ms} ms before its time")
        self._posting[process] = self._posting.get(process, 0) + 1
        if self._posting[process] > self.world.config.callbacks_max:
            ledger.violate(f"I15 {self._posting[process]} URLs are told at the same time")

    def is_over(self, id_: str) -> bool:
        """Whether whoever listens has taken how an invocation ended, or will not hear of it."""
        return id_ in self._over

    def judge(self) -> Iterator[str]:
        """Whether what was told is what is there in the end."""
        for id_, body in self._bodies.items():
            row = self.world.rows.get(keys.OUTCOME + parse_invocation_id(id_))
            if id_ not in self._over:
                yield f"I10 {self._urls[id_]} was told in vain, and is not told again"
            if row is None:
                continue
            said, outcome = json.loads(body), decode_outcome(row)
            if isinstance(outcome.result, Failure):
                wanted: Any = "failure", None, outcome.result.status_code
                error: dict[str, Any] = said["error"] or {}
                got: Any = said["status"], said["result"], error.get("code")
            else:
                result = None if outcome.result is None else json.loads(outcome.result)
                wanted = "success", result, None
                got = said["status"], said["result"], said["error"]
                got = got if outcome.result is not None else (got[0], None, got[2])
            if got != wanted:
                yield f"I2 {self._urls[id_]} was told {got}, and it is {wanted}"
