"""Requests from clients to whichever process there is, over a network that loses and delays.

A request takes its way in virtual time, is answered by the real door without a socket, and its
reply takes its way back; each of the two may be lost. What leaves the process is told to the ledger
when it leaves: an answer that is lost on its way counts as well.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from holdfast.ingress.messages import Response

from .inside import Inside, respond
from .ledger import Ledger
from .process import Process
from .universe import SimLoop, Universe


class LostError(Exception):
    """No answer came, so what was asked for has happened or not."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request."""

    method: str
    path: str
    body: Any = None
    key: str = ""
    """Its idempotency key; such a request may be doubled on the way."""
    tag: str = ""
    """Of the order that it brings."""
    names: str = ""
    """The id that the answer is about, where the path has it."""
    inside: Inside | None = None
    """What it is to a program that the runtime is embedded in."""
    leave: Callable[[Response, int], None] | None = None
    """Looks at the answer of the operators' door when it leaves, and when it was asked for."""
    is_wait: bool = True
    """Whether a 200 is the outcome of an invocation."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further ones."""
    token: str | None = None
    """Another one than that of the door, where that has any; an empty text is none."""
    is_harmless: bool = False
    """Whether it may be doubled on the way although it has no key."""


class Network:
    """Between the clients and the process of the moment."""

    def __init__(
        self,
        universe: Universe,
        clients: SimLoop,
        ledger: Ledger,
        random: Random,
        get_process: Callable[[], Process | None],
    ) -> None:
        self.is_lossy = False
        self._universe = universe
        self._clients = clients
        self._ledger = ledger
        self._random = random
        self._get_process = get_process
        # Open requests of clients, by number, with the process that has each.
        self._open: dict[int, tuple[asyncio.Future[Response], Process | None]] = {}
        self._number = 0
        # What the process does for them, which it stops when a client hangs up.
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def ask(self, ask: Ask, patience: float) -> Response:
        """The answer to a request.

        Raises:
            LostError: there was none within ``patience`` seconds, or the process died.
        """
        self._number += 1
        number = self._number
        future: asyncio.Future[Response] = self._clients.create_future()
        self._open[number] = future, None
        random = self._random
        gone = self._universe.after(patience, lambda: self._go_away(number))
        self._send(number, ask)
        if (ask.key or ask.is_harmless) and self.is_lossy and random.random() < 0.2:
            self._ledger.count("a request came twice")
            self._send(number, ask)
        try:
            return await future
        finally:
            gone.cancel()
            self._open.pop(number, None)
            self._tasks.pop(number, None)

    def died(self, process: Process) -> None:
        """A process is gone; whoever waits for it hears that the connection is."""
        for number, (_, holder) in list(self._open.items()):
            if holder is process:
                self._universe.after(0.001, partial(self._lose, number, "connection reset"))

    def _delay(self) -> float:
        random = self._random
        if self.is_lossy and random.random() < 0.05:
            return random.random() * 5
        return 0.0001 + random.random() * 0.003

    def _send(self, number: int, ask: Ask) -> None:
        if self.is_lossy and self._random.random() < 0.03:
            self._ledger.count("a request was lost")
            return
        self._universe.after(self._delay(), lambda: self._arrive(number, ask))

    def _arrive(self, number: int, ask: Ask) -> None:
        process = self._get_process()
        if process is None or not process.is_ready:
            self._universe.after(0.001, lambda: self._lose(number, "connection refused"))
            return
        entry = self._open.get(number)
        if entry is not None:
            self._open[number] = entry[0], process
        task = process.spawn(self._serve(process, number, ask))
        if entry is not None:
            self._tasks[number] = task

    async def _serve(self, process: Process, number: int, ask: Ask) -> None:
        headers = {"content-type": "application/json"} if ask.body is not None else {}
        headers |= ask.headers
        if ask.key:
            headers["idempotency-key"] = ask.key
        if ask.token != "":
            headers |= process.authorize(ask.token, is_operator=ask.leave is not None)
        began_us = self._universe.now_us
        body = b"" if ask.body is None else json.dumps(ask.body).encode()
        if ask.inside is not None:
            self._ledger.count("a call came from the same process")
            response = await respond(process.runtime, ask.inside)
        elif ask.leave is not None:
            response = await process.respond_to_operator(ask.method, ask.path, headers, body)
            ask.leave(response, began_us)
        else:
            response = await process.respond(ask.method, ask.path, headers, body)
        self._leave(ask, response, began_us)
        if self.is_lossy and self._random.random() < 0.03:
            self._ledger.count("a reply was lost")
            return
        self._universe.after(self._delay(), lambda: self._deliver(number, response))

    def _leave(self, ask: Ask, response: Response, began_us: int) -> None:
        """A response leaves the process, to a request that came at that time."""
        ledger = self._ledger
        id_ = response.headers.get("x-restate-id", ask.names)
        source = response.headers.get("x-restate-error-source")
        ledger.tell(f"{ask.method} {ask.path:.60} {ask.key} answered {response.status} {id_[-8:]}")
        if response.status == 500 and source != "invocation":
            ledger.violate(f"I21 {ask.method} {ask.path} was answered 500: {response.body[:200]!r}")
        if not id_:
            return
        if ask.tag:
            ledger.name(id_, ask.tag)
        if response.status == 202 and response.headers.get("x-restate-id"):
            ledger.accept(id_)
            ledger.forgotten.answer(id_, began_us)
        elif ask.is_wait and (response.status == 200 or source == "invocation"):
            ledger.forgotten.answer(id_, began_us)
            ledger.answer(id_, f"{response.status} {response.body.decode()}")

    def _deliver(self, number: int, response: Response) -> None:
        entry = self._open.get(number)
        if entry is not None and not entry[0].done():
            entry[0].set_result(response)

    def _go_away(self, number: int) -> None:
        self._lose(number, "the client goes away")
        task = self._tasks.get(number)
        entry = self._open.get(number)
        if task is not None and entry is not None and entry[1] is not None and entry[1].is_alive:
            task.cancel()

    def _lose(self, number: int, why: str) -> None:
        entry = self._open.get(number)
        if entry is not None and not entry[0].done():
            self._ledger.count(why)
            entry[0].set_exception(LostError(why))
