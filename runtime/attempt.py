"""One attempt: a handler's code run on its own loop, against its journal.

The attempt answers the handler's system calls. Each is a command: matched with the journal while
there is one to follow, and appended to it afterwards. Completions are delivered one at a time, in
journal order, whenever the handler's loop has nothing left to do; that order is all the handler
can see of the world, and it is recorded, so a later attempt sees the same.

The attempt decides nothing about invocations: it stages its own entries and rows, and asks
``Lifecycle`` for everything that concerns others. It is the only place where handler code runs.
"""

import asyncio
import hashlib
from asyncio import Future
from collections.abc import Mapping
from contextvars import copy_context
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from functools import partial
from logging import Logger
from random import Random
from typing import Any, Protocol

from ..journal import codec, keys
from ..journal.entry import (
    Call,
    Cancel,
    Command,
    CompleteAwakeable,
    Completion,
    Failure,
    Input,
    MakeAwakeable,
    Run,
    Send,
    Sleep,
)
from ..journal.records import TimerKind
from ..journal.replay import ReplayCursor
from ..journal.values import FieldValue
from ..objects.actions import result_serde_of
from ..objects.context import Context
from ..objects.errors import (
    ContextMisuseError,
    HandlerStuckError,
    HoldfastError,
    JournalMismatchError,
    StepFailedError,
    TerminalError,
)
from ..objects.fields import StateField
from ..objects.identity import AwakeableId, InvocationId, Target, format_invocation_id
from ..objects.serde import Serde
from ..objects.syscalls import Action, StepOptions
from .config import RuntimeConfig
from .failures import error_of, failure_of
from .handler_log import HandlerLogger
from .handler_loop import HandlerLoop, PumpResult
from .lifecycle import Lifecycle, OpenInvocation, describe, logger
from .loop_futures import HandlerFuture
from .object_state import ExclusiveState, NoState, SharedState, StateTable
from .seams import Clock
from .sources import SourceFinder
from .steps import StepPlan, Steps
from .tracing import Tracing, end_span
from .waits import find_deadlock

DIGEST_BYTES = 8


class AttemptHost(Protocol):
    """Whoever runs attempts, as far as one attempt needs to know it."""

    def ready(self, attempt: "Attempt") -> None:
        """Have ``advance`` called in this turn or one of the next."""
        ...

    def idle(self, attempt: "Attempt") -> None:
        """The attempt waits for others only; it may be suspended."""
        ...

    def left(self, attempt: "Attempt") -> None:
        """The attempt is over."""
        ...

    def take_values(self, object_: bytes) -> dict[str, FieldValue] | None:
        """The live values the last turn at the object left, if any; they are the caller's now."""
        ...

    def keep_values(self, object_: bytes, values: dict[str, FieldValue]) -> None:
        """Keep live values for the next turn at the object."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptParts:
    """What all attempts of one runtime share."""

    lifecycle: Lifecycle
    clock: Clock
    config: RuntimeConfig
    steps: Steps
    table: StateTable
    host: AttemptHost
    sources: SourceFinder
    tracing: Tracing


class Awaited(Enum):
    """What a command without a completion waits for."""

    STEP = auto()
    TIMER = auto()
    CALL = auto()
    AWAKEABLE = auto()


@dataclass(slots=True)
class Pending:
    """A command that the handler has issued and that has no completion."""

    awaited: Awaited
    future: "DurableFuture | None" = None
    result: Serde[Any] | None = None
    timer: "DurableTimer | None" = None
    due_ms: int = 0
    callee: InvocationId | None = None
    plan: StepPlan | None = None
    is_recorded: bool = False
    is_started: bool = False


@dataclass(slots=True, eq=False)
class DurableTimer:
    """A timer command, for the handler's loop to hold."""

    index: int


class DurableFuture(HandlerFuture[Any]):
    """The future of a command. Cancelling it is a command of its own."""

    __slots__ = ("attempt", "index")

    attempt: "Attempt"
    index: int

    def cancel(self, msg: Any | None = None) -> bool:
        """As ``Future.cancel``; recorded, and what runs for it is told to end."""
        if not self.done():
            self.attempt.cancel_command(self.index)
        return super().cancel(msg)


class Concluding:
    """Stands in for an attempt that is over while its last actions end."""

    def accept(self, completion: Completion) -> None:
        """As ``Resident.accept``: nobody is left to be told."""


class Attempt:
    """One attempt of one invocation; implements ``Syscalls``, ``LoopHost`` and ``Resident``."""

    def __init__(self, invocation: OpenInvocation, parts: AttemptParts) -> None:
        """Prepare; the journal is read when ``advance`` is first called."""
        assert invocation.handler is not None, "an attempt without code to run"
        assert invocation.service is not None, "an attempt without code to run"
        self.invocation = invocation
        self.is_dead = False
        self.is_queued = False
        """Whether ``advance`` is due; kept by the host."""
        self.idle_since: float | None = None
        """When it began to wait for others only; kept by the host."""
        self._parts = parts
        self._lifecycle = parts.lifecycle
        self._handler = invocation.handler
        self._service = invocation.service
        self._cursor = ReplayCursor()
        # Completions accepted before the journal was read are read with it.
        self._is_loaded = False
        self._loop = HandlerLoop(
            self,
            hash_seed=int.from_bytes(invocation.id[-4:], "big"),
            spin_callbacks_max=parts.config.spin_callbacks_max,
        )
        self._main: asyncio.Task[Any] | None = None
        self._is_draining = False
        self._pending: dict[int, Pending] = {}
        # Steps that were asked for and wait for the end of replay. Indexes into ``_pending``.
        self._unstarted: list[int] = []
        self._input = Input(argument=b"", headers={})
        self._now_ms = invocation.record.begun_ms
        self._random: Random | None = None
        self._log: Logger | None = None
        # Why the attempt must not go on, although the handler may have caught the exception.
        self._fault: HoldfastError | None = None
        self._state: ExclusiveState | SharedState | NoState = NoState()
        # Numbers of deliveries at which earlier attempts waited and stored changes.
        self._waits: set[int] = set()
        # The attempt's span, where tracing is on, and what ended it badly.
        self._span: Any = None
        self._error: BaseException | None = None

    # -- Driven by the host ------------------------------------------------------------------

    def accept(self, completion: Completion) -> None:
        """As ``Resident.accept``."""
        if self._is_loaded:
            self._cursor.accept(completion)
        self._parts.host.ready(self)

    def advance(self) -> None:
        """Run the handler as far as it goes now, then see what it waits for."""
        if self.is_dead:
            return
        self.idle_since = None
        try:
            if not self._is_loaded:
                self._load()
            if self._run_to_quiescence():
                self._rest()
        except JournalMismatchError as error:
            self._fault = error
        if self._fault is not None and not self.is_dead:
            self.drop()
            self._lifecycle.pause(self.invocation, self._fault.message)

    def step_due(self, index: int) -> None:
        """The next attempt of a step is due."""
        pending = self._pending.get(index)
        if pending is not None and pending.plan is not None and pending.is_started:
            self._parts.steps.take_up(self.invocation, index, pending.plan)
            self._parts.host.ready(self)

    def drop(self) -> None:
        """End the attempt without an outcome. What the handler's clean-up asks for is refused."""
        if self.is_dead:
            return
        self.is_dead = True
        for index in self._unstarted:
            pending = self._pending.get(index)
            if pending is not None and not (pending.is_recorded or pending.is_started):
                self._parts.steps.never_began(self.invocation.id, index)
        self._loop.close()
        end_span(self._span, self._error)
        self._parts.host.left(self)

    # -- The run -----------------------------------------------------------------------------

    def _load(self) -> None:
        invocation = self.invocation
        if invocation.input is not None and invocation.next_index == 1:
            # Accepted in this process and not begun before: there is nothing else to read.
            self._input = invocation.input
        else:
            start, end = keys.prefix_range(keys.JOURNAL + invocation.id)
            rows = self._lifecycle.commits.scan(start, end)
            self._cursor = ReplayCursor(
                (int.from_bytes(key[-4:], "big"), codec.decode_entry(row)) for key, row in rows
            )
            assert self._cursor.input is not None, "a journal without its input"
            self._input = self._cursor.input
        self._is_loaded = True
        invocation.input = None
        self._state = self._make_state()
        if isinstance(self._state, ExclusiveState):
            self._waits = self._cursor.waits_at(self._state.stored_at)
        if self._parts.tracing.is_on:
            self._span = self._parts.tracing.begin_attempt(
                str(self.target), self.invocation_id, self._input.headers
            )
        try:
            prepared = invocation.prepared or self._handler.decode_argument(self._input.argument)
        except HoldfastError as error:
            # Code and recorded input no longer agree; new code may.
            self._fail_attempt(error)
            return
        invocation.prepared = None
        self._main = self._loop.start(self._call_handler(*prepared))

    async def _call_handler(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        # Made here and not before, because a class's own __init__ is the user's code too.
        instance = self._service.new_instance(self)
        return await self._handler.function(instance, Context(self), *args, **kwargs)

    def _make_state(self) -> ExclusiveState | SharedState | NoState:
        invocation, table = self.invocation, self._parts.table
        if invocation.object_ is None:
            return NoState()
        if not invocation.is_exclusive:
            return SharedState(table, invocation.object_, self._cursor)
        is_replaying = self._cursor.has_recorded_commands
        cached = None if is_replaying else self._parts.host.take_values(invocation.object_)
        return ExclusiveState(
            table,
            invocation.object_,
            invocation.record.sequence,
            cached=cached,
            is_replaying=is_replaying,
        )

    def _run_to_quiescence(self) -> bool:
        """Pump and deliver until nothing is left to deliver; ``False`` if the attempt is over."""
        config = self._parts.config
        while not self.is_dead:
            assert self._main is not None, "the handler was not started"
            result = self._loop.pump(
                config.pump_callbacks_max, config.turn_seconds_max, self._parts.clock.monotonic
            )
            if self._fault is not None:
                return False
            if result is PumpResult.BOUND:
                self._parts.host.ready(self)
                return False
            if result is PumpResult.SPINNING:
                self._fail_stuck(f"it spins without end: {self._loop.spinning_at}")
                return False
            if self._main.done():
                if not self._is_draining:
                    if self._must_be_retried():
                        return False
                    self._is_draining = True
                    self._loop.cancel_remaining()
                    continue
                if not self._loop.has_tasks:
                    return True
            if self._cursor.deliveries in self._waits:
                self._waits.discard(self._cursor.deliveries)
                if isinstance(self._state, ExclusiveState):
                    self._state.settle_waiting()
            completion = self._cursor.next_delivery()
            if completion is None:
                return True
            self._deliver(completion)
        return False

    def _deliver(self, completion: Completion) -> None:
        self._now_ms = max(self._now_ms, completion.at_ms)
        pending = self._pending.pop(completion.index, None)
        if pending is None:
            return  # Its waiter is gone; it only takes its place in the order.
        if pending.timer is not None:
            self._loop.fire_timer(pending.timer)
            return
        future, result = pending.future, completion.result
        assert future is not None, "a command without a future"
        if isinstance(result, Failure):
            self._loop.deliver(future, exception=error_of(result))
        elif result is None or pending.result is None:
            self._loop.deliver(future, result=None)
        else:
            try:
                value = pending.result.decode(result)
            except HoldfastError as error:
                # The annotation does not tell the truth about what was recorded. It will say the
                # same on every replay, so trying again would not help.
                failure = failure_of(error, StepFailedError)
                self._loop.deliver(future, exception=error_of(failure))
            else:
                self._loop.deliver(future, result=value)

    def _rest(self) -> None:
        """The handler has ended, or waits with everything delivered."""
        assert self._main is not None, "the handler was not started"
        if self._main.done() and (not self._loop.has_tasks or not self._pending):
            self._end()
            return
        self._start_steps()
        if self.is_dead:
            return  # A step of unknown outcome has paused the invocation.
        has_steps = self._parts.steps.is_busy(self.invocation.id)
        if not has_steps and not self._pending:
            self._fail_stuck("it waits for something that nothing can bring about")
            return
        self._save_while_waiting()
        callees = None
        if all(pending.awaited is Awaited.CALL for pending in self._pending.values()):
            callees = [pending.callee for pending in self._pending.values() if pending.callee]
        self._lifecycle.blocked(self.invocation, has_steps=has_steps, callees=callees or None)
        if has_steps:
            return
        self._parts.host.idle(self)
        if callees:
            deadlock = find_deadlock(self._lifecycle, self.invocation)
            if deadlock is not None:
                self._lifecycle.refuse(deadlock[0], failure_of(deadlock[1]))

    def _start_steps(self) -> None:
        """Replay is over: start what was asked for and is still wanted."""
        if self._cursor.is_replaying:
            return
        for index in self._unstarted:
            pending = self._pending.get(index)
            if pending is None or pending.plan is None or self.is_dead:
                continue
            pending.is_started = True
            if pending.is_recorded:
                self._parts.steps.take_up(self.invocation, index, pending.plan)
            else:
                self._parts.steps.begin(self.invocation, index, pending.plan)
        self._unstarted.clear()

    # -- The end -----------------------------------------------------------------------------

    def _end(self) -> None:
        """Record the outcome, once no action of this invocation runs any more."""
        self._cursor.finish()
        for index in list(self._pending):
            self._withdraw(index, self._pending.pop(index))
        if self._parts.steps.is_busy(self.invocation.id):
            # The key is not released while an action of this turn still touches the world.
            self._lifecycle.blocked(self.invocation, has_steps=True, callees=None)
            return
        result = self._result()
        has_journal = self.invocation.next_index > 1
        try:
            self._save_last(has_journal=has_journal)
        except HoldfastError as error:
            result = failure_of(error)
        else:
            if isinstance(self._state, ExclusiveState) and self.invocation.object_ is not None:
                self._parts.host.keep_values(
                    self.invocation.object_, self._state.values_for_next_turn()
                )
        self.drop()
        self._lifecycle.complete(self.invocation, result)

    def _result(self) -> bytes | Failure:
        main = self._main
        assert main is not None, "the handler was not started"
        if main.cancelled():
            return failure_of(TerminalError("the handler cancelled itself", status_code=409))
        error = main.exception()
        if error is not None:
            self._error = error
            return failure_of(error)
        try:
            return self._handler.result.encode(main.result())
        except Exception as raised:  # noqa: BLE001  # a stranger's types may raise anything
            message = f"the result of {self._handler.name} cannot be encoded: {describe(raised)}"
            return failure_of(TerminalError(message, type_name=type(raised).__name__))

    def _save_last(self, *, has_journal: bool) -> None:
        state = self._state
        if isinstance(state, ExclusiveState):
            state.save_last(self.invocation.next_index if has_journal else None)
        elif isinstance(state, SharedState):
            state.check_unchanged()

    def _save_while_waiting(self) -> None:
        """Let others see what the handler has set before it waits: an awakeable's id, say."""
        if self._cursor.is_replaying or not isinstance(self._state, ExclusiveState):
            return
        try:
            self._state.save_waiting(self.invocation.next_index)
        except HoldfastError:
            return  # The next command, or the end, says it where the handler can see it.

    def _must_be_retried(self) -> bool:
        """End the attempt if the handler raised something that is not an outcome."""
        assert self._main is not None, "the handler was not started"
        if self._main.cancelled():
            return False
        error = self._main.exception()
        if error is None or isinstance(error, TerminalError):
            return False
        self._fail_attempt(self._loop.explain(error))
        return True

    def _fail_attempt(self, error: BaseException) -> None:
        policy = self._handler.options.retry or self._parts.config.retry
        self._error = error
        self.drop()
        if not self._lifecycle.fail_attempt(self.invocation, describe(error), policy):
            self._conclude(failure_of(error))

    def _fail_stuck(self, reason: str) -> None:
        """No attempt of this code could get further: that is an outcome."""
        error = HandlerStuckError(f"{self.invocation.name} will never end: {reason}")
        logger.error("%s", error.message)
        self.drop()
        self._conclude(failure_of(error))

    def _conclude(self, result: Failure) -> None:
        """The attempt was dropped and none follows: record ``result`` once no action runs."""
        self.invocation.attempt = Concluding()
        self._lifecycle.blocked(self.invocation, has_steps=True, callees=None)
        self._parts.steps.end_all(self.invocation.id, partial(self._concluded, result))

    def _concluded(self, result: Failure) -> None:
        for index in list(self._pending):
            self._withdraw(index, self._pending.pop(index))
        self._lifecycle.complete(self.invocation, result)

    # -- Syscalls: commands ------------------------------------------------------------------

    def run(self, name: str, action: Action, options: StepOptions) -> "Future[Any]":
        """As ``Syscalls.run``."""
        command = Run(name)
        index, recorded = self._follow(command)
        if recorded is None:
            index = self._append(command)
        plan = StepPlan(
            name=name,
            action=action,
            options=options,
            result=result_serde_of(action.function),
            context=copy_context(),
            span=self._span,
        )
        self._unstarted.append(index)
        return self._await(
            index,
            Pending(Awaited.STEP, result=plan.result, plan=plan, is_recorded=recorded is not None),
        )

    def sleep(self, duration: timedelta) -> "Future[None]":
        """As ``Syscalls.sleep``."""
        due_ms = self._now_ms + max(0, round(duration.total_seconds() * 1000))
        return self._await(*self._set_timer(due_ms))

    def call(self, target: Target, argument: bytes, result: Serde[Any]) -> "Future[Any]":
        """As ``Syscalls.call``."""
        command = Call(target, _digest(argument), InvocationId(b""))
        service, handler = self._lifecycle.registry.get_handler(target)
        prepared = handler.decode_argument(argument)
        index, recorded = self._follow(command)
        if isinstance(recorded, Call):
            callee = recorded.callee
        else:
            self._save()
            callee = self._lifecycle.accept(
                target,
                argument,
                service=service,
                handler=handler,
                headers={},
                prepared=prepared,
                caller=self.invocation.id,
                caller_index=self.invocation.next_index,
            )
            index = self._write(Call(target, command.digest, callee))
        return self._await(index, Pending(Awaited.CALL, result=result, callee=callee))

    def send(self, target: Target, argument: bytes, delay: timedelta | None) -> "Future[str]":
        """As ``Syscalls.send``."""
        delay_ms = 0 if delay is None else max(0, round(delay.total_seconds() * 1000))
        command = Send(target, _digest(argument), delay_ms, InvocationId(b""))
        service, handler = self._lifecycle.registry.get_handler(target)
        prepared = handler.decode_argument(argument)
        _, recorded = self._follow(command)
        if isinstance(recorded, Send):
            callee = recorded.callee
        else:
            self._save()
            callee = self._lifecycle.accept(
                target,
                argument,
                service=service,
                handler=handler,
                headers={},
                prepared=prepared,
                delay_ms=delay_ms,
            )
            self._write(Send(target, command.digest, delay_ms, callee))
        future: Future[str] = self._loop.create_future()
        future.set_result(format_invocation_id(callee))
        return future

    def awakeable(self, result: Serde[Any]) -> "tuple[str, Future[Any]]":
        """As ``Syscalls.awakeable``."""
        command = MakeAwakeable()
        index, recorded = self._follow(command)
        if recorded is None:
            index = self._append(command)
            self._lifecycle.commits.put_new(keys.awakeable(self.invocation.id, index), b"")
        future = self._await(index, Pending(Awaited.AWAKEABLE, result=result))
        return str(AwakeableId(self.invocation.id, index)), future

    def complete_awakeable(self, awakeable: AwakeableId, outcome: bytes | TerminalError) -> None:
        """As ``Syscalls.complete_awakeable``; of one that is not open it has no effect."""
        result = failure_of(outcome) if isinstance(outcome, TerminalError) else outcome
        said = repr(result).encode() if isinstance(result, Failure) else result
        command = CompleteAwakeable(awakeable.invocation_id, awakeable.index, _digest(said))
        if self._follow(command)[1] is None:
            self._append(command)
            self._lifecycle.complete_awakeable(awakeable, result)

    def cancel_command(self, index: int) -> None:
        """The handler no longer wants the completion of a command."""
        if self.is_dead:
            return
        pending = self._pending.get(index)
        if pending is None:
            return
        command = Cancel(index)
        recorded = self._follow(command)[1]
        del self._pending[index]
        if recorded is None:
            self._append(command)
            self._withdraw(index, pending)

    # -- Syscalls: reads ---------------------------------------------------------------------

    @property
    def invocation_id(self) -> str:
        """As ``Syscalls.invocation_id``."""
        return format_invocation_id(self.invocation.id)

    @property
    def target(self) -> Target:
        """As ``Syscalls.target``."""
        return self.invocation.record.target

    @property
    def headers(self) -> Mapping[str, str]:
        """As ``Syscalls.headers``."""
        return self._input.headers

    @property
    def random(self) -> Random:
        """As ``Syscalls.random``."""
        self._check()
        if self._random is None:
            self._random = Random(self._input.seed or bytes(self.invocation.id))  # noqa: S311
        return self._random

    @property
    def log(self) -> Logger:
        """As ``Syscalls.log``."""
        if self._log is None:
            self._log = HandlerLogger(
                self.target.service, lambda: self.is_dead or self._cursor.is_replaying
            )
        return self._log

    def now_ms(self) -> int:
        """As ``Syscalls.now_ms``."""
        return self._now_ms

    def state_get(self, field: StateField[Any]) -> Any:
        """As ``Syscalls.state_get``."""
        self._check()
        return self._state.get(field)

    def state_set(self, field: StateField[Any], value: Any) -> None:
        """As ``Syscalls.state_set``."""
        self._check()
        self._state.set(field, value)

    def state_clear(self, field: StateField[Any]) -> None:
        """As ``Syscalls.state_clear``."""
        self._check()
        self._state.clear(field)

    def state_names(self) -> list[str]:
        """As ``Syscalls.state_names``."""
        self._check()
        return self._state.names()

    # -- LoopHost ----------------------------------------------------------------------------

    def now(self) -> float:
        """As ``LoopHost.now``."""
        return self._now_ms / 1000

    def set_timer(self, when: float) -> DurableTimer:
        """As ``LoopHost.set_timer``."""
        index, pending = self._set_timer(max(self._now_ms, round(when * 1000)))
        pending.timer = DurableTimer(index)
        self._pending[index] = pending
        return pending.timer

    def cancel_timer(self, timer: DurableTimer) -> None:
        """As ``LoopHost.cancel_timer``."""
        self.cancel_command(timer.index)

    def describe(self) -> str:
        """As ``LoopHost.describe``."""
        return self.invocation.name

    def report(self, message: str, exception: BaseException | None) -> None:
        """As ``LoopHost.report``."""
        if not self._cursor.is_replaying:
            logger.warning("%s: %s", self.invocation.name, message, exc_info=exception)

    # -- Parts -------------------------------------------------------------------------------

    def _check(self) -> None:
        """Refuse whatever does not come from the handler's own loop.

        Raises:
            ContextMisuseError: the attempt is over, or this is an action or another handler.
        """
        if self.is_dead:
            message = f"{self.invocation.name}: this attempt is over, so the call had no effect"
            raise ContextMisuseError(message)
        if asyncio._get_running_loop() is not self._loop:  # noqa: SLF001  # in asyncio.__all__
            message = (
                f"{self.invocation.name}: ctx and self belong to the handler and were used "
                f"outside of it, for example in the action of a step; pass the values in as "
                f"arguments of ctx.run and take results out as its return value"
            )
            raise ContextMisuseError(message)

    def _follow(self, command: Command) -> tuple[int, Command | None]:
        """Match a command with the journal: its index, and what was recorded (``None``: new)."""
        self._check()
        if self._fault is not None:
            raise self._fault
        try:
            match = self._cursor.match(command, self._parts.sources.find())
        except JournalMismatchError as error:
            # The handler may catch it, but must not get any further.
            self._fault = error
            raise
        if match is None:
            return self.invocation.next_index, None
        if isinstance(self._state, ExclusiveState):
            self._state.settle()
        return match

    def _append(self, command: Command) -> int:
        """Write a new command, with whatever has to be stored before it."""
        self._save()
        return self._write(command)

    def _save(self) -> None:
        state = self._state
        if isinstance(state, ExclusiveState):
            state.save(self.invocation.next_index)
        elif isinstance(state, SharedState):
            for reads in state.take_reads():
                self._lifecycle.append(self.invocation, codec.encode_reads(reads))

    def _write(self, command: Command) -> int:
        entry = codec.encode_command(command, self._cursor.deliveries, self._parts.sources.find())
        return self._lifecycle.append(self.invocation, entry)

    def _set_timer(self, due_ms: int) -> tuple[int, Pending]:
        command = Sleep(due_ms)
        index, recorded = self._follow(command)
        if recorded is None:
            index = self._append(command)
            self._lifecycle.timers.add(due_ms, self.invocation.id, index, TimerKind.SLEEP)
        return index, Pending(Awaited.TIMER, due_ms=due_ms)

    def _await(self, index: int, pending: Pending) -> "Future[Any]":
        future = DurableFuture(loop=self._loop)
        future.attempt = self
        future.index = index
        pending.future = future
        self._pending[index] = pending
        return future

    def _withdraw(self, index: int, pending: Pending) -> None:
        """Nobody wants the completion any more: take back what would bring it about."""
        match pending.awaited:
            case Awaited.STEP:
                self._parts.steps.cancel(self.invocation.id, index)
            case Awaited.TIMER:
                self._lifecycle.timers.remove(pending.due_ms, self.invocation.id, index)
            case Awaited.AWAKEABLE:
                self._lifecycle.commits.delete(keys.awakeable(self.invocation.id, index))
            case Awaited.CALL:
                # The callee goes on; only its outcome is no longer wanted here.
                pass


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()
