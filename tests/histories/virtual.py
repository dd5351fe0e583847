"""The same clients and objects in one process: many crashes and power cuts, and time that is moved.

The runtime is the real one, on a store in memory that keeps at a power cut what was synced and a
part, drawn from the seed, of what was written after it. A sync takes as many rounds of the loop as
the seed says. Replies get lost, and requests come twice at once. Nothing waits for real time, so a
seed gives the same history again.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any

from holdfast import RuntimeConfig
from holdfast.journal.memory import MemoryStore
from holdfast.objects.call_options import CallOptions, Mode
from holdfast.objects.errors import TerminalError
from holdfast.objects.identity import Target
from holdfast.runtime.requests import Answer, CallRequest, request_of
from holdfast.runtime.testing import InlineThreads, ManualClock
from holdfast.testing.virtual import UNHURRIED, VirtualRuntime
from tests.histories import served
from tests.histories.operations import Recorder, freeze
from tests.histories.requests import Request, choose, free
from tests.histories.rounds import Verdict, judge

CLIENTS = 6
SYNC_ROUNDS_MAX = 12
LIFE_ROUNDS_MAX = 400
QUIET_ROUNDS_MAX = 20_000
STEP_MS_MAX = 5_000
"""Time goes on to the next alarm, but not to one so far away: what is kept is to stay kept."""

CLASSES = (
    served.Register,
    served.Counter,
    served.Log,
    served.Desk,
    served.Decision,
    served.Detour,
)


def run_virtual(seed: str, *, ends: int) -> Verdict:
    """Record histories through so many crashes and power cuts, and judge them."""
    verdict = Verdict(seed=seed)
    seconds, served.CHECK_SECONDS = served.CHECK_SECONDS, 0
    try:
        asyncio.run(_Round(verdict).run(ends))
    finally:
        served.CHECK_SECONDS = seconds
    verdict.violations += judge(verdict.histories)
    return verdict


class _SlowThreads(InlineThreads):
    """Syncs take a while, during which the loop goes on."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random

    def run(
        self,
        lane: str,
        function: Callable[[], Any],
        done: Callable[[Any, BaseException | None], None],
        afterwards: Callable[[], None] | None = None,
    ) -> None:
        again = partial(super().run, lane, function, done, afterwards)
        self._wait(self._random.randrange(SYNC_ROUNDS_MAX) if lane == "store" else 0, again)

    def _wait(self, rounds: int, then: Callable[[], None]) -> None:
        if self._is_closed:
            return
        if rounds == 0:
            then()
        else:
            self.post(partial(self._wait, rounds - 1, then))


class _Round:
    """One world and its clients."""

    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict
        self._seed = verdict.seed
        self._random = Random(f"{verdict.seed} nemesis")
        self._recorder = Recorder(verdict.histories)
        self._clock = ManualClock()
        self._store = MemoryStore()
        self._starts = 0
        self._runtime: VirtualRuntime | None = None
        self._is_up = asyncio.Event()
        self._is_over = False
        # Who waits for an answer, in order: a runtime that dies tells them in any.
        self._waiting: dict[asyncio.Future[bytes | TerminalError | None], None] = {}

    async def run(self, ends: int) -> None:
        """Start and end runtimes under the clients, then let them finish."""
        clients = [asyncio.create_task(self._play(f"c{number}")) for number in range(CLIENTS)]
        for _ in range(ends):
            await self._start()
            await self._let_time_pass(self._random.randrange(1, LIFE_ROUNDS_MAX), clients)
            await self._end()
        self._is_over = True
        await self._start()
        await self._let_time_pass(QUIET_ROUNDS_MAX, clients)
        for number, client in enumerate(clients):
            if not client.done():
                self._verdict.violations.append(f"client {number} was never answered")
                client.cancel()
            elif (error := client.exception()) is not None:
                self._verdict.violations.append(f"client {number}: {error!r}")
        await asyncio.wait(clients)
        reads = asyncio.create_task(self._read_all())
        await self._let_time_pass(QUIET_ROUNDS_MAX, [reads])
        await reads
        assert self._runtime is not None, "it was started"
        self._runtime.crash()

    async def _start(self) -> None:
        self._starts += 1
        served.AT_WORK.clear()
        self._runtime = VirtualRuntime(
            CLASSES,
            store=self._store,
            clock=self._clock,
            config=self._draw_config(),
            seed=hash_seed(f"{self._seed} {self._starts}"),
            threads=_SlowThreads(self._random),
        )
        await self._runtime.start()
        self._is_up.set()

    def _draw_config(self) -> RuntimeConfig:
        """Now and then a turn runs one attempt only, and what is ready waits for the next one."""
        pumps_max = self._random.choice((1, 2, UNHURRIED.turn_pumps_max))
        return replace(UNHURRIED, turn_pumps_max=pumps_max)

    async def _end(self) -> None:
        """Kill the process, or cut its power."""
        assert self._runtime is not None, "it was started"
        self._is_up.clear()
        is_kill = self._random.random() < 0.3
        self._verdict.faults["kill" if is_kill else "power cut"] += 1
        unsynced = self._store.unsynced_batches
        written = self._store.statistics().batches_written
        spared = self._random.randrange(unsynced + 1)
        survivor = self._store.crash(keep_written=is_kill, through=written - unsynced + spared)
        for heard in list(self._waiting):
            if not heard.done():
                heard.set_result(None)
        self._runtime.crash()
        self._store = survivor
        await asyncio.sleep(0)

    async def _let_time_pass(self, rounds: int, until: list["asyncio.Task[None]"]) -> None:
        for number in range(rounds):
            if all(task.done() for task in until):
                return
            await asyncio.sleep(0)
            next_ms = self._clock.next_ms() if number % 8 == 0 else None
            if next_ms is not None and next_ms - self._clock.now_ms() < STEP_MS_MAX:
                self._clock.step()

    # -- Clients -----------------------------------------------------------------------------

    async def _play(self, name: str) -> None:
        random = Random(f"{self._seed} client {name}")
        made = 0
        while not self._is_over:
            made += 1
            token = f"{name}.{made}"
            request = choose(random, self._recorder, token)
            if request.is_freed:
                await self._do_until_freed(request, token, random)
            else:
                await self._do(request, token, random)
            await self._pause(random)

    async def _do_until_freed(self, request: Request, token: str, random: Random) -> None:
        waiting = asyncio.create_task(self._do(request, token, random))
        number = 0
        while not waiting.done():
            number += 1
            # Less and less often, or those who interrupt never let anyone come to be interrupted.
            for _ in range(number):
                await self._pause(random)
            again = f"{token}.{number}"
            await self._do(free(random, request, again), again, random)
        await waiting

    async def _pause(self, random: Random) -> None:
        for _ in range(random.randrange(20)):
            await asyncio.sleep(0)

    async def _read_all(self) -> None:
        for number, target in enumerate(list(self._recorder.histories)):
            path, asked = f"/{target}/read", ("read", None)
            request = Request(target=target, asked=asked, path=path, argument=None)
            await self._do(request, f"last.{number}", Random(0))

    async def _do(self, request: Request, token: str, random: Random) -> None:
        begun = self._recorder.now()
        is_read = request.asked[0] == "read"
        if not (is_read or request.is_freed) and random.random() < 0.04:
            answer = await self._ask_once(_call_of(request, None))
        else:
            call = _call_of(request, None if is_read else token)
            answer = await self._insist(call, random)
        if isinstance(answer, TerminalError):
            if not (request.may_be_canceled and answer.status_code == 409):
                raise answer
            self._verdict.count.canceled += 1
        elif answer is None:
            self._verdict.count.unknown += 1
            self._recorder.add(request.target, token, request.asked, begun)
        else:
            self._verdict.count.answered += 1
            result = freeze(json.loads(answer) if answer else None)
            self._recorder.add(request.target, token, request.asked, begun, result)

    async def _insist(self, call: CallRequest, random: Random) -> bytes | TerminalError:
        """Ask until there is an answer that is not lost; now and then twice at once."""
        while True:
            twice: Awaitable[bytes | TerminalError | None] | None = None
            if call.idempotency_key is not None and random.random() < 0.1:
                self._verdict.count.doubled += 1
                twice = asyncio.ensure_future(self._ask_once(call))
            answer = await self._ask_once(call)
            if twice is not None and (other := await twice) is not None and answer is not None:
                assert repr(other) == repr(answer), (
                    f"{call.idempotency_key} gave {answer!r} and {other!r}"
                )
            if answer is not None and random.random() > 0.04:
                return answer
            self._verdict.count.repeated += 1
            await asyncio.sleep(0)

    async def _ask_once(self, call: CallRequest) -> bytes | TerminalError | None:
        """The answer; ``None`` if the process ended first."""
        await self._is_up.wait()
        assert self._runtime is not None, "it is up"
        future = self._runtime.submit(call, wait=True)
        heard: asyncio.Future[bytes | TerminalError | None] = asyncio.Future()
        self._waiting[heard] = None
        future.add_done_callback(partial(_hear, heard))
        try:
            return await heard
        finally:
            del self._waiting[heard]


def _hear(
    heard: "asyncio.Future[bytes | TerminalError | None]", future: "asyncio.Future[Answer]"
) -> None:
    """A runtime has answered; what a dead one says is not heard."""
    error = None if future.cancelled() else future.exception()
    if heard.done():
        return
    if error is None:
        heard.set_result(future.result().outcome or b"")
    else:
        heard.set_exception(error)


def hash_seed(text: str) -> int:
    """A number for the text, the same in every process."""
    return Random(text).getrandbits(60)


def _call_of(request: Request, key: str | None) -> CallRequest:
    service, *keys, handler = request.path.strip("/").split("/")
    argument = b"" if request.argument is None else json.dumps(request.argument).encode()
    target = Target(service, keys[0] if keys else None, handler)
    mode: Mode = "interrupt" if request.mode == "interrupt" else "queue"
    return request_of(target, argument, CallOptions(idempotency_key=key, mode=mode))
