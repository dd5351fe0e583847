"""One attempt: a handler's code run on its own loop, against its journal.

The attempt reads the journal, starts the handler, and delivers completions one at a time, in
journal order, whenever the handler's loop has nothing left to do. That order is all the handler
can see of the world, and it is recorded, so a later attempt sees the same.

The attempt decides nothing about invocations: it stages its own entries and rows (``commands``),
and asks ``Lifecycle`` for everything that concerns others. It is the only place where handler code
runs.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Protocol

from ..journal.entry import Cancellation, Delivery, Failure, GiveUp
from ..journal.values import FieldValue
from ..objects.context import Context
from ..objects.errors import (
    HandlerStuckError,
    HoldfastError,
    JournalMismatchError,
)
from ..objects.state_edit import EDIT_STATE
from .blocking import BlockingWatch
from .cancellation import failure_of_end
from .commands import Commands
from .config import RuntimeConfig
from .early_order import follow_early_order
from .failures import comes_again, describe, failure_of, find_terminal
from .giving_up import leave_handler, record_give_up, take_give_up
from .handler_loop import HandlerLoop, PumpResult
from .handler_port import HandlerPort
from .left_steps import tell_left_steps
from .lifecycle import Lifecycle, logger
from .mistakes import why_handler_paused
from .object_state import ExclusiveState, NoState, SharedState
from .open_invocation import Concluding, OpenInvocation, Prepared, Result
from .results import result_of
from .retries import Verdict
from .seams import Clock
from .sources import SourceFinder, find_raise
from .state_table import StateTable
from .steering import hand_over
from .steps import Steps
from .tracing import Tracing
from .waits import refuse_deadlock
from .workflow_table import WorkflowTable

DELIVERIES_PER_LOOK = 64
"""Deliveries of one attempt between two looks at the clock."""


class AttemptHost(Protocol):
    """Whoever runs attempts, as far as one attempt needs to know it."""

    def ready(self, attempt: "Attempt") -> None:
        """Have ``advance`` called in this turn or one of the next."""
        ...

    def idle(self, attempt: "Attempt") -> None:
        """The attempt waits for others only; it may be suspended."""
        ...

    def replay(self, attempt: "Attempt") -> None:
        """Drop the attempt and start another one of its invocation."""
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
    watch: BlockingWatch


class Attempt:
    """One attempt of one invocation; implements ``Resident``."""

    commands_type: ClassVar[type[Commands]] = Commands
    """What answers its verbs; ``checking`` has another one."""

    def __init__(self, invocation: OpenInvocation, parts: AttemptParts) -> None:
        """Take a place; all else is made, or read, when ``advance`` is first called."""
        self.invocation = invocation
        self.is_dead = False
        self.is_queued = False
        """Whether ``advance`` is due; kept by the host."""
        self.idle_since: float | None = None
        """When it began to wait for others only; kept by the host."""
        self._parts = parts
        self._lifecycle = parts.lifecycle
        # What is accepted before the journal was read is read with it.
        self._is_loaded = False
        # It has waited with everything delivered, and ``always_replay`` is on: another attempt
        # takes what arrives next.
        self._is_last_rest = False
        self._must_replay = False
        self._missed_cancellation = False
        self._main: asyncio.Task[Any] | None = None
        # The handler has ended, and the tasks it left were told to end.
        self._is_draining = False
        self._has_remains = False
        # What ended the attempt badly, for its span.
        self._error: BaseException | None = None
        # The outcome, once the handler's code was given up and only compensations run.
        self._given_up: Failure | None = None

    def _make_loop(self) -> HandlerLoop:
        return HandlerLoop(
            self._port,
            hash_seed=int.from_bytes(self.invocation.id[-4:], "big"),
            spin_callbacks_max=self._parts.config.spin_callbacks_max,
        )

    # -- Driven by the host ------------------------------------------------------------------

    def accept(self, delivery: Delivery) -> None:
        """As ``Resident.accept``."""
        if self._is_loaded and not self._is_last_rest:
            self._commands.cursor.accept(delivery)
        else:
            self._missed_cancellation |= isinstance(delivery, Cancellation)
            # Not here: handler code may be running, and dropping this attempt runs some too.
            self._must_replay = self._is_last_rest
        self._parts.host.ready(self)

    def look(self) -> None:
        """As ``Resident.look``."""
        self._parts.host.ready(self)

    def advance(self, now: float) -> None:
        """Run the handler as far as it goes, then see what it waits for; ``now`` is monotonic."""
        if self.is_dead:
            return
        if self._must_replay:
            self._parts.host.replay(self)
            return
        self.idle_since = None
        try:
            if not self._is_loaded:
                self._load()
            if self._run_to_quiescence(now + self._parts.config.turn_seconds_max):
                self._rest()
        except JournalMismatchError as error:
            self._commands.fault = error
        fault = self._commands.fault
        if fault is not None and not self.is_dead:
            self._stop_at(fault)

    def step_due(self, index: int) -> None:
        """The next attempt of a step is due."""
        if self._is_loaded and self._commands.step_due(index):
            self._parts.host.ready(self)

    @property
    def was_told_to_end(self) -> bool:
        """Whether a cancellation came during this attempt that its handler has not seen."""
        return self._missed_cancellation or (
            self._is_loaded and self._commands.cursor.has_new_cancellation
        )

    def drop(self) -> None:
        """End the attempt without an outcome. What the handler's clean-up asks for is refused."""
        if self.is_dead:
            return
        self.is_dead = True
        if self._is_loaded:
            self._commands.end()
            self._loop.close()
            if self._port.span is not None:
                self._parts.tracing.end(self._port.span, self._error)
        self._parts.host.left(self)

    # -- The run -----------------------------------------------------------------------------

    def _load(self) -> None:
        invocation, parts = self.invocation, self._parts
        assert invocation.handler is not None, "an attempt without code to run"
        assert invocation.service is not None, "an attempt without code to run"
        # Made not before its turn, or it would have left the processor's cache by then.
        self._handler = invocation.handler
        self._service = invocation.service
        self._port = HandlerPort(invocation)
        self._loop = self._make_loop()
        self._commands = commands = self.commands_type(
            invocation,
            self._loop,
            lifecycle=parts.lifecycle,
            steps=parts.steps,
            sources=parts.sources,
        )
        self._port.connect(self._loop, commands)
        self._is_loaded, self._missed_cancellation = True, False
        commands.use_state(self._make_state())
        if parts.tracing.is_on:
            self._port.span = parts.tracing.begin_attempt(
                str(self._port.target), self._port.invocation_id, commands.input.headers
            )
        try:
            prepared = invocation.prepared or self._handler.decode_argument(commands.input.argument)
        except HoldfastError as error:
            # Code and recorded input no longer agree; new code may.
            self._fail_attempt(error)
            return
        invocation.prepared = None
        self._begin(prepared)

    def _begin(self, prepared: Prepared) -> None:
        context = None if self._commands.input.order else follow_early_order(self._loop)
        self._main = self._loop.start(self._call_handler(*prepared), context)

    async def _call_handler(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        # Made here and not before, because a class's own __init__ is the user's code too.
        instance = self._service.new_instance(self._port)
        try:
            return await self._handler.function(instance, Context(self._port), *args, **kwargs)
        except BaseException as error:
            if not self._commands.is_outcome(error):
                self._loop.drop_ready()  # What others asked for now would be in the journal.
            raise

    def _make_state(self) -> ExclusiveState | SharedState | NoState:
        invocation, table = self.invocation, self._parts.table
        if invocation.object_ is None:
            return NoState()
        if not invocation.record.is_exclusive:
            if self._port.is_workflow:
                table = WorkflowTable(self._lifecycle.commits, self._parts.clock)
            return SharedState(table, invocation.object_, self._commands.cursor)
        is_replaying = self._commands.cursor.has_recorded_commands
        cached = None if is_replaying else self._parts.host.take_values(invocation.object_)
        return ExclusiveState(
            table,
            invocation.object_,
            invocation.record.sequence,
            cached=cached,
            is_replaying=is_replaying,
        )

    def _run_to_quiescence(self, deadline: float) -> bool:
        """Pump and deliver until nothing is left to deliver; ``False`` if the attempt is over."""
        config, clock, watch = self._parts.config, self._parts.clock, self._parts.watch
        commands, deliveries = self._commands, 0
        while not self.is_dead:
            assert self._main is not None, "the handler was not started"
            result = PumpResult.QUIESCENT
            if self._loop.ready:
                watch.begin(self.invocation)
                result = self._loop.pump(config.pump_callbacks_max, deadline, clock.monotonic)
                watch.invocation = None
            has_fault = commands.fault is not None
            if commands.is_frozen and not has_fault:
                self._go_on_without_handler(take_give_up(commands))
                continue
            if has_fault or commands.failing is not None or result is not PumpResult.QUIESCENT:
                self._break_off(result)
                return False
            if self._main.done() and not self._is_draining:
                if self._must_be_retried():
                    return False
                self._drain()
                if self._has_remains:
                    continue
            if (self._is_draining and self._has_ended()) or not commands.deliver_next():
                return True
            deliveries += 1
            if deliveries % DELIVERIES_PER_LOOK == 0 and clock.monotonic() > deadline:
                self._parts.host.ready(self)  # A long replay; others get their turn.
                return False
        return False

    def _break_off(self, result: PumpResult) -> None:
        """The handler is not done and does not wait: others first, or no more of it."""
        failing = self._commands.failing
        if self._commands.fault is not None:
            return  # ``advance`` stops at it.
        if failing is not None:
            self._fail_attempt(self._loop.explain(failing))
        elif result is PumpResult.BOUND:
            self._commands.hold_view()
            self._parts.host.ready(self)
        else:
            self._fail_stuck(f"it spins without end: {self._loop.spinning_at}")

    def _rest(self) -> None:
        """The handler has ended, or waits with everything delivered."""
        assert self._main is not None, "the handler was not started"
        commands = self._commands
        if self._main.done() and (not commands.pending or self._has_ended()):
            self._end()
            return
        commands.start_steps()
        if self.is_dead:
            return  # A step of unknown outcome has paused it; one that failed has queued it.
        has_steps = self.is_queued or self._parts.steps.is_busy(self.invocation.id)
        if not has_steps and not commands.pending:
            self._fail_stuck(self._loop.waits_in_vain)
            return
        self._is_last_rest = self._parts.config.always_replay
        if commands.read_from is not None and hand_over(commands):
            return
        commands.save_while_waiting()
        callees = None if has_steps else commands.find_callees()
        self._lifecycle.blocked(self.invocation, has_steps=has_steps, callees=callees)
        if has_steps:
            return
        self._parts.host.idle(self)
        if callees:
            refuse_deadlock(self._lifecycle, self.invocation)

    # -- The end -----------------------------------------------------------------------------

    def _end(self) -> None:
        """Record the outcome, once no action of this invocation runs any more."""
        commands = self._commands
        if commands.unwritten is not None:
            commands.unwritten.settle()
        commands.cursor.finish()
        if commands.pending:
            tell_left_steps(self.invocation, self._main, commands.pending.values())
            commands.withdraw_all()
        if self._parts.steps.is_busy(self.invocation.id):
            # The key is not released while an action of this turn still touches the world.
            self._lifecycle.blocked(self.invocation, has_steps=True, callees=None)
            return
        result: Result | None = self._given_up
        if result is None:
            main = self._main
            assert main is not None, "the handler was not started"
            result = result_of(main, self.invocation, commands.cancellation)
            self._error = None if main.cancelled() else main.exception()
        try:
            commands.save_last(is_failure=isinstance(result, Failure))
        except HoldfastError as error:
            result = failure_of(error)
        else:
            state, object_ = commands.state, self.invocation.object_
            if (
                isinstance(state, ExclusiveState)
                and object_ is not None
                and not self._handler.is_run  # A workflow has one turn.
                # An edit knows nothing of the types of what a class does not declare.
                and self._handler.name != EDIT_STATE
            ):
                self._parts.host.keep_values(object_, state.values_for_next_turn())
        self.drop()
        if isinstance(result, Failure):
            result = self._amend(result)
        self._lifecycle.complete(self.invocation, result)

    def _drain(self) -> None:
        """The handler has ended: have whatever it left behind end too, in the next pump."""
        self._is_draining = True
        self._commands.drain()
        if self._loop.has_remains:
            self._has_remains = True
            self._loop.cancel_remaining()

    def _has_ended(self) -> bool:
        """Whether the handler, which has returned, has left nothing behind that still runs."""
        return not self._has_remains or not self._loop.has_tasks

    def _must_be_retried(self) -> bool:
        """End the attempt if the handler raised something that is not an outcome."""
        assert self._main is not None, "the handler was not started"
        error = None if self._main.cancelled() else self._main.exception()
        if error is None or find_terminal(error) is not None or comes_again(error):
            return False
        self._fail_attempt(self._loop.explain(error))
        return True

    def _stop_at(self, fault: HoldfastError) -> None:
        """The handler must not get any further: it has left its journal."""
        self.drop()
        mismatch = fault.mismatch if isinstance(fault, JournalMismatchError) else None
        self._lifecycle.pause(self.invocation, mismatch or fault.message)

    def _fail_attempt(self, error: BaseException) -> None:
        policy = self._handler.options.retry or self._parts.config.retry
        self._error = error
        if self._commands.unwritten is not None:
            self._commands.unwritten.forget()
        place = find_raise(error)
        reason = f"{describe(error)} (at {place})" if place else describe(error)
        canceled = self._commands.cursor.find_recorded_cancellation()
        if canceled is not None:
            # It was told to end, and does not even come to where it would hear it.
            self._end_badly(failure_of_end(self.invocation, "canceled", canceled, error), reason)
            return
        verdict = self._lifecycle.retries.judge(self.invocation, policy, error)
        if verdict is Verdict.FAIL:
            self._end_badly(failure_of(error), reason)
            return
        self.drop()
        if verdict is Verdict.PAUSE:
            failures = self.invocation.record.failures
            self._lifecycle.pause(self.invocation, why_handler_paused(failures, error, reason))
        else:
            self._lifecycle.retry_later(self.invocation, reason, verdict, error)
        if self.was_told_to_end:
            # It came too late for this attempt, and is not to wait for the next one.
            self._lifecycle.resume(self.invocation)

    def _fail_stuck(self, reason: str) -> None:
        """No attempt of this code could get further: that is an outcome."""
        error = HandlerStuckError(f"{self.invocation.name} will never end: {reason}")
        logger.error("%s", error.message)
        if self._commands.unwritten is not None:
            self._commands.unwritten.forget()
        self._end_badly(failure_of(error), reason)

    def _end_badly(self, failure: Failure, reason: str) -> None:
        """No attempt follows, and ``failure`` is the outcome, once what is owed was compensated."""
        commands = self._commands
        unreached = commands.cursor.find_unreached()
        compensations = commands.compensations
        if unreached:
            # Only the handler's code knows them, and it does not come to where it tells.
            self.drop()
            self._lifecycle.pause(
                self.invocation,
                f"it fails for good before it comes again to what is to be compensated "
                f"({', '.join(unreached)}): {reason}",
            )
        elif compensations is not None and compensations.owed and self._given_up is None:
            self._go_on_without_handler(record_give_up(commands, failure))
            self._parts.host.ready(self)
        else:
            self.drop()
            self._conclude(self._amend(failure))

    def _go_on_without_handler(self, give_up: GiveUp) -> None:
        """The handler's code is over for good: compensate, on a loop of its own, then end."""
        commands = self._commands
        # What its clean-up asks for is refused.
        commands.is_over, commands.is_frozen = True, False
        self._loop.close()
        self._loop = self._make_loop()
        self._port.connect(self._loop, commands)
        leave_handler(commands, self._loop)
        commands.failing = None
        self._given_up = give_up.failure
        self._is_draining = self._has_remains = False
        context = None if commands.input.order else follow_early_order(self._loop)
        self._main = self._loop.start(self._compensate(give_up.owed), context)

    async def _compensate(self, owed: Sequence[int]) -> None:
        compensations = self._commands.compensations
        assert compensations is not None, "gave up with nothing to take back"
        self._port.report_not_compensated(await compensations.run(owed))

    def _amend(self, failure: Failure) -> Failure:
        """An outcome with the names of what could not be compensated."""
        compensations = self._commands.compensations
        return failure if compensations is None else compensations.amend(failure)

    def _conclude(self, result: Failure) -> None:
        """The attempt was dropped and none follows: record ``result`` once no action runs."""
        self.invocation.attempt = Concluding()
        self._lifecycle.blocked(self.invocation, has_steps=True, callees=None)
        self._parts.steps.end_all(self.invocation.id, partial(self._concluded, result))

    def _concluded(self, result: Failure) -> None:
        self._commands.withdraw_all()
        self._lifecycle.withdraw_open(self.invocation)
        self._lifecycle.complete(self.invocation, result)
