"""The callers: a mixed load on a server that comes and goes, every acknowledgement written down.

A request with an idempotency key is sent until a whole 2xx has been read, through as many servers
as it takes. One without is sent once, and may or may not have happened. Which requests are made is
decided by the seed alone; how far a client gets is not.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.crash.ledger import Answered, Asked, Began, Ledger, LedgerReader, Line, Resolved, Settled
from tests.ingress.http_caller import Connection, Reply, connect, post

PATIENCE_SECONDS = 30.0
"""A server that is up and says nothing for so long has forgotten the request."""

RETRIED = frozenset({503})
"""What a server that stops or has failed answers: nothing is known, send it again."""

GONE = frozenset({400, 404, 409, 410})
"""What is answered to who resolves what is gone, or was resolved before."""

KEYS = 5
"""Objects of each class: few, so that calls meet in mailboxes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call of one handler."""

    token: str
    target: str
    """``Counter/c1``, or ``Fan`` for a service."""
    handler: str
    argument: dict[str, Any] | str | None
    is_keyed: bool = True

    def encode(self, *, is_send: bool = False) -> bytes:
        path = f"/{self.target}/{self.handler}{'/send' if is_send else ''}"
        key = [f"idempotency-key: {self.token}"] if self.is_keyed else []
        body = b"" if self.argument is None else json.dumps(self.argument).encode()
        return post(path, body, *key)


class UnexpectedAnswerError(Exception):
    """The server answered what it never should."""


class Caller:
    """One connection to the server, opened again whenever it breaks."""

    def __init__(
        self,
        port: int,
        ledger: Ledger,
        *,
        patience: float = PATIENCE_SECONDS,
        retried: frozenset[int] = RETRIED,
        refusals: Counter[int] | None = None,
    ) -> None:
        """
        Args:
            port: where the server comes and goes.
            ledger: what is asked and answered is written down here.
            patience: seconds after which an answer is missing.
            retried: the statuses after which a request is sent again.
            refusals: counts those.
        """
        self._port = port
        self._patience = patience
        self._retried = retried
        self._refusals = Counter[int]() if refusals is None else refusals
        self.ledger = ledger
        self._stack = AsyncExitStack()
        self._connection: Connection | None = None

    async def ask(self, request: Request, *, is_send: bool = False) -> Any:
        """Send until it is acknowledged, and write that down; gives the result."""
        reply = await self._send_until_answered(request.encode(is_send=is_send), request.token)
        return self._acknowledge(request, reply, is_send=is_send)

    async def ask_once(self, request: Request) -> None:
        """Send once; what becomes of it nobody knows, unless it is acknowledged."""
        reply = await self._exchange(request.encode())
        if reply is not None and reply.status == 200:
            self._acknowledge(request, reply, is_send=False)

    def note(self, request: Request) -> None:
        """Write down that it is about to be made."""
        self.ledger.append(
            Asked(
                token=request.token,
                target=request.target,
                handler=request.handler,
                argument=request.argument,
            )
        )

    async def fetch(self, path: str) -> Any:
        """The JSON that a shared handler answers; nothing is written down."""
        return json.loads((await self._send_until_answered(post(path), path)).body)

    async def hang_up_on(self, request: Request) -> None:
        """Send it and go away before the answer."""
        await self.close()
        try:
            async with connect(self._port) as connection:
                connection.writer.write(request.encode())
                await connection.writer.drain()
        except OSError:
            return  # Nobody was there.

    async def resolve(
        self, path: str, value: str, token: str, refusals: frozenset[int] = frozenset()
    ) -> bool:
        """Resolve what is there, until that is acknowledged or refused with one of these."""
        data = post(f"{path}/resolve", json.dumps(value).encode())
        return (await self._send_until_answered(data, token, refusals)).status not in refusals

    async def change(self, path: str, token: str, refusals: frozenset[int]) -> bool:
        """Have an operator's change made, until that is acknowledged or refused so."""
        data = post(path).replace(b"POST", b"PATCH", 1)
        return (await self._send_until_answered(data, token, refusals)).status not in refusals

    def make_another(self) -> "Caller":
        """A caller with a connection of its own."""
        return Caller(
            self._port,
            self.ledger,
            patience=self._patience,
            retried=self._retried,
            refusals=self._refusals,
        )

    async def close(self) -> None:
        self._connection = None
        await self._stack.aclose()

    def _acknowledge(self, request: Request, reply: Reply, *, is_send: bool) -> Any:
        body = json.loads(reply.body) if reply.body else None
        self.ledger.append(
            Answered(
                token=request.token,
                invocation=reply.headers["x-restate-id"],
                is_send=is_send,
                result=None if is_send else body,
            )
        )
        return body

    async def _send_until_answered(
        self, data: bytes, token: str, refusals: frozenset[int] = frozenset()
    ) -> Reply:
        while True:
            try:
                reply = await self._exchange(data)
            except TimeoutError:
                message = (
                    f"{token} was not answered within {self._patience} s by a server that is up"
                )
                raise UnexpectedAnswerError(message) from None
            if reply is not None and reply.status in {200, 202, *refusals}:
                return reply
            if reply is not None and reply.status not in self._retried:
                message = f"{token} was answered with {reply.status}: {reply.body.decode()}"
                raise UnexpectedAnswerError(message)
            if reply is not None:
                self._refusals[reply.status] += 1
            await asyncio.sleep(0.02)

    async def _exchange(self, data: bytes) -> Reply | None:
        """The answer, or ``None`` when the connection broke."""
        try:
            if self._connection is None:
                self._connection = await self._stack.enter_async_context(connect(self._port))
            return await asyncio.wait_for(self._connection.ask(data), self._patience)
        except (ConnectionError, EOFError):
            await self.close()
            return None
        except BaseException:
            await self.close()
            raise


@dataclass(slots=True)
class Client:
    """Makes one request after the other."""

    name: str
    prefix: str
    """What its tokens and the keys it calls begin with."""
    caller: Caller
    random: Random
    doing: str = ""
    """The token it waits for."""
    made: list[Request] = field(default_factory=list[Request])
    """The requests with a key that were acknowledged."""
    _count: int = 0

    async def run(self, is_over: Callable[[], bool]) -> None:
        """Work until it is over and what was begun is acknowledged."""
        try:
            while not is_over():
                await self._work()
                await asyncio.sleep(self.random.random() * 0.02)
        finally:
            await self.caller.close()

    async def _work(self) -> None:
        chance = self.random.random()
        if chance < 0.08:
            await self._read()
        elif chance < 0.14 and self.made:
            await self._ask(self.random.choice(self.made))
        elif chance < 0.18:
            request = self._request("Counter", "add", {"amount": 7}, is_keyed=False)
            self._note(request)
            await self.caller.ask_once(request)
        else:
            request = self._choose()
            self._note(request)
            await self._ask(request)
            self.made.append(request)

    async def _ask(self, request: Request) -> None:
        chance = self.random.random()
        if chance < 0.25:
            await self.caller.ask(request, is_send=True)
        elif chance < 0.3:
            # Two at once; the second one goes by a connection of its own.
            other = self.caller.make_another()
            try:
                await asyncio.gather(self.caller.ask(request), other.ask(request))
            finally:
                await other.close()
        else:
            if chance < 0.35:
                await self.caller.hang_up_on(request)
            await self.caller.ask(request)

    async def _read(self) -> None:
        request = self._request("Counter", "read", None, is_keyed=False)
        self._note(request)
        await self.caller.ask_once(request)

    def _note(self, request: Request) -> None:
        self.doing = request.token
        self.caller.note(request)

    def _choose(self) -> Request:
        random = self.random
        kinds: list[tuple[int, Callable[[], Request]]] = [
            (8, lambda: self._request("Counter", "add", {"amount": random.randrange(100)})),
            (5, lambda: self._request("Agent", "turn", None)),
            (3, lambda: self._request("Agent", "compute", None)),
            (3, self._scatter),
            (
                2,
                lambda: self._request(
                    "Sleeper", "nap", {"milliseconds": random.choice([0, 5, 50, 400])}
                ),
            ),
            (3, lambda: self._request("Sleeper", "race", {"milliseconds": random.randrange(60)})),
            (3, lambda: self._request("Approval", "ask", None)),
            (2, lambda: self._request("Listener", "hear", None)),
            (2, lambda: self._request("Registrar", "register", None)),
            (2, self._regret),
            (1, self._lock_up),
            (3, lambda: self._request("Chain", "relay", {"depth": random.randrange(6)})),
            (3, lambda: self._request("Fan", "spread", None)),
        ]
        (_, make), *_ = random.choices(kinds, [weight for weight, _ in kinds])
        return make()

    def _scatter(self) -> Request:
        inboxes = [f"{self.prefix}{self.random.randrange(KEYS)}" for _ in range(3)]
        delay_ms = self.random.choice([0, 0, 100, 700])
        return self._request("Sender", "scatter", {"inboxes": inboxes, "delay_ms": delay_ms})

    def _regret(self) -> Request:
        patient = f"{self.prefix}{self.random.randrange(KEYS)}"
        return self._request("Regret", "regret", {"patient": patient})

    def _lock_up(self) -> Request:
        prisoner = f"{self.prefix}{self.random.randrange(KEYS)}"
        return self._request("Warden", "lock_up", {"prisoner": prisoner})

    def _request(
        self, name: str, handler: str, arguments: dict[str, Any] | None, *, is_keyed: bool = True
    ) -> Request:
        """A request; ``arguments`` are those beside the token, ``None``: it stands alone."""
        self._count += 1
        token = f"{self.prefix}{self.name}.{self._count}"
        key = f"{self.prefix}{self.random.randrange(KEYS)}"
        if name == "Chain":
            key += "-0"
        argument: dict[str, Any] | str | None = token if arguments is None else None
        if handler == "read":
            argument = None
        elif arguments is not None:
            argument = {"token": token, **arguments}
        return Request(
            token=token,
            target=name if name == "Fan" else f"{name}/{key}",
            handler=handler,
            argument=argument,
            is_keyed=is_keyed,
        )


class Resolver:
    """Says the word that a handler waits for, whatever it waits with; to some of them twice."""

    def __init__(self, caller: Caller, random: Random) -> None:
        self._caller = caller
        self._random = random
        self._reader = LedgerReader(caller.ledger.path)
        self._resolved: set[str] = set()
        # What was resolved since the last race; of its acknowledgements those of the next are
        # untrue, and the ledger tells of that one later than it is.
        self._doubtful: list[tuple[str, str]] = []

    async def run(self) -> None:
        """Go on until cancelled."""
        try:
            while True:
                for line in self._reader.read():
                    await self._look_at(line)
                await asyncio.sleep(0.02)
        finally:
            await self._caller.close()

    async def _look_at(self, line: Line) -> None:
        match line:
            case Began(step="publish", payload=payload):
                token, awakeable = payload.split(" ")
                await self._resolve(token, f"/restate/awakeables/{awakeable}", frozenset())
            case Began(step="listening", payload=token, invocation=invocation):
                # Gone if the first signal came through and its acknowledgement did not.
                path = f"/restate/invocation/{invocation}/signals/word"
                await self._resolve(token, path, GONE)
            case Began(step="promised", payload=token):
                path = f"/restate/workflow/Confirmation/{token}/promises/word"
                await self._resolve(token, path, GONE)
            case Settled():
                await self._resolve_doubtful()
            case _:
                pass

    async def _resolve(self, token: str, path: str, refusals: frozenset[int]) -> None:
        # Not by token: one whose acknowledgement was lost in a race gets another awakeable.
        if path in self._resolved:
            return
        self._resolved.add(path)
        self._doubtful.append((token, path))
        value = f"yes to {token}"
        await self._caller.resolve(path, value, token, refusals)
        self._caller.ledger.append(Resolved(token=token, value=value))
        if self._random.random() < 0.3:
            await self._caller.resolve(path, "too late", token, refusals)

    async def _resolve_doubtful(self) -> None:
        """Once more, all of them; most are resolved, and some are gone with their invocation."""
        doubtful, self._doubtful = self._doubtful, []
        for token, path in doubtful:
            value = f"yes to {token}"
            await self._caller.resolve(path, value, token, GONE)
            # Also where it is gone: then the word was heard, and the first line taken back.
            self._caller.ledger.append(Resolved(token=token, value=value))
