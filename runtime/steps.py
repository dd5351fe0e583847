"""Steps: the action of a ``ctx.run``, from its durable intent to its recorded result.

A step is one of three things after a crash: not started, *unknown* (its intent is durable, its
result is not) or done. The intent of attempt 1 is the Run command itself; that of a later attempt
is the step's row. An action starts only when its intent is durable, and an intent never holds the
arguments.

An attempt of an action ends in one of three ways, and each has its own rule:

* it returned or raised ``TerminalError``: that is the step's completion;
* it raised anything else: the retry policy says when, and whether, it is tried again;
* it was cut off (a crash, a timeout, a stop): nobody knows what it did, and ``on_unknown`` says
  what happens. Cut off within this process (by its timeout, or by a cancellation of its own) and
  to be run again, it counts as a failed attempt, so that it does not spin.

Steps belong to invocations and not to attempts: an action that runs while the handler fails or is
paused goes on, and its result is recorded for the next attempt to find.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, cast

from ..journal import keys
from ..journal.entry import Failure
from ..journal.records import InvocationState, StepRecord, StepState, TimerKind, decode_step
from ..objects.errors import HoldfastError, OutcomeUnknownError, StepFailedError
from ..objects.groups import is_a
from ..objects.identity import InvocationId, printable
from ..objects.retry import RetryPolicy
from ..objects.syscalls import Happened, NeverHappened
from .blocking import BlockingWatch
from .failures import describe, failure_of, find_terminal
from .lifecycle import Lifecycle
from .logs import make_logger
from .mistakes import is_mistake, why_step_paused
from .open_invocation import OpenInvocation
from .seams import Clock, Threads
from .step_actions import Actions, tell_to_end
from .step_heartbeats import Heartbeats
from .step_plan import Step, StepPlan
from .step_rows import begin_anew, forget_row
from .timers import make_step_due
from .tracing import Tracing

logger = make_logger("holdfast.steps")


class Owner(Protocol):
    """Whoever runs the attempts that steps belong to."""

    def steps_changed(self, invocation_id: InvocationId) -> None:
        """A step ended, or waits for its next attempt; the handler may be able to end now."""
        ...

    def pause(self, invocation: OpenInvocation, reason: str) -> None:
        """Drop the attempt and stop trying until a person resumes the invocation."""
        ...


class Steps:
    """All steps whose action is about to run, runs, or has been told to end."""

    def __init__(  # noqa: PLR0913  # its surroundings, each by keyword
        self,
        *,
        lifecycle: Lifecycle,
        clock: Clock,
        threads: Threads,
        tracing: Tracing,
        watch: BlockingWatch,
        owner: Owner,
    ) -> None:
        """Begin with none."""
        self._lifecycle = lifecycle
        self._commits = lifecycle.commits
        self._clock = clock
        self._owner = owner
        heartbeats = Heartbeats(
            clock, threads, lifecycle.config.heartbeat_write_ms, self._write_details
        )
        self._actions = Actions(
            clock=clock,
            threads=threads,
            tracing=tracing,
            heartbeats=heartbeats,
            watch=watch,
            ended=self._ended,
        )
        # Invariant: no inner mapping is empty.
        self._steps: dict[InvocationId, dict[int, Step]] = {}
        # What to do when the last action of an invocation has ended.
        self._when_ended: dict[InvocationId, Callable[[], None]] = {}
        # Actions of killed invocations that have not ended; nobody wants their results.
        self._abandoned: set[Step] = set()
        # Invocations with a step that a stop left over, for the next start to take up.
        self._left_over: set[InvocationId] = set()
        self._is_stopping = False
        # Set when no action runs any more; ``None`` while nobody waits for that.
        self._idle: asyncio.Event | None = None
        self.started_count = 0
        self.on_launch: Callable[[Step], None] | None = None
        """Told of each action, and each ``verify``, just before it runs; for tests."""

    def __len__(self) -> int:
        """How many actions are about to run, run, or have been told to end."""
        return sum(len(steps) for steps in self._steps.values()) + len(self._abandoned)

    def is_busy(self, invocation_id: InvocationId) -> bool:
        """Whether an action of the invocation is to run: now, or at the start after this stop."""
        return invocation_id in self._steps or invocation_id in self._left_over

    def begin(self, invocation: OpenInvocation, index: int, plan: StepPlan) -> None:
        """A new step, whose command was staged in this turn: run it once that is durable."""
        now_ms = self._clock.now_ms()
        step = Step(invocation_id=invocation.id, index=index, plan=plan, began_ms=now_ms)
        if (plan.options.retry or self._handlers_policy(invocation)).max_duration is not None:
            # Its command does not say when it was asked for, and a crash must not reset the time.
            self._put_row(step, step.record(StepState.STARTED))
        self._gate(step)

    def take_up(self, invocation: OpenInvocation, index: int, plan: StepPlan) -> None:
        """A step found in the journal without a result: find out where it stands, and go on."""
        if index in self._steps.get(invocation.id, {}):
            return  # Its action has been running since before this attempt of the handler.
        row = self._commits.get(keys.step(invocation.id, index))
        record = StepRecord() if row is None else decode_step(row)
        step = Step(
            invocation_id=invocation.id,
            index=index,
            plan=plan,
            attempt=record.attempt,
            failures=record.failures,
            began_ms=record.began_ms or self._clock.now_ms(),
            details=record.details,
            has_row=row is not None,
        )
        if record.next_attempt_ms > self._clock.now_ms():
            return  # Its timer will bring it back here.
        if record.next_attempt_ms:
            # Overdue: its timer must not ring for the attempt after this one.
            self._lifecycle.timers.remove(record.next_attempt_ms, invocation.id, index)
            make_step_due(self._commits, invocation.id, index)
        if record.state in {StepState.STARTED, StepState.HELD}:
            self._unknown(step, "it was interrupted by a crash or a stop")
            return
        if record.state is StepState.FAILED:
            step.attempt += 1
        if step.attempt == 1:
            step.began_ms = self._clock.now_ms()  # None has begun.
        if too_late := self._find_too_late(step):
            said = record.last_failure
            self._run_out(step, f"{too_late}; the last one ended with {said}" if said else too_late)
        else:
            self._start_attempt(step)

    def cancel(self, invocation_id: InvocationId, index: int) -> None:
        """The handler no longer wants the result: stop the action, forget the step's row."""
        forget_row(self._lifecycle, invocation_id, index)
        step = self._steps.get(invocation_id, {}).get(index)
        if step is not None:
            tell_to_end(step)

    def end_all(self, invocation_id: InvocationId, then: Callable[[], None]) -> None:
        """Stop the actions of an invocation without touching rows; ``then``, once all ended."""
        steps = self._steps.get(invocation_id)
        if steps is None:
            then()
            return
        self._when_ended[invocation_id] = then
        for step in steps.values():
            tell_to_end(step)

    def abandon(self, invocation_id: InvocationId) -> None:
        """The invocation is killed: its actions are told to end, and nobody waits until they do."""
        self._when_ended.pop(invocation_id, None)
        self._left_over.discard(invocation_id)
        steps = self._steps.pop(invocation_id, {}).values()
        for step in steps:
            step.is_current = False
            self._abandoned.add(step)
            tell_to_end(step)
        self._launch_again(steps)

    def never_began(self, invocation_id: InvocationId, index: int) -> None:
        """A new step whose attempt ends before ``begin``: its action certainly did not run."""
        record = StepRecord(state=StepState.NOT_STARTED)
        self._commits.put(keys.step(invocation_id, index), record)

    def resume(self, invocation: OpenInvocation) -> None:
        """A person resumed the invocation: counters restart, what waited for them runs again."""
        begin_anew(self._lifecycle, invocation.id, self._steps.get(invocation.id, {}))

    def stop_starting(self) -> None:
        """From now on no action starts; intents that wait are recorded as not started."""
        self._is_stopping = True
        for steps in list(self._steps.values()):
            self._launch_again(steps.values())

    async def wait_idle(self) -> None:
        """Return once no action runs."""
        if self._steps or self._abandoned:
            self._idle = self._idle or asyncio.Event()
            await self._idle.wait()

    def cut_off(self) -> "list[asyncio.Task[Any]]":
        """Cancel what still runs and record nothing of it; gives the tasks that are ending."""
        running = [step for steps in self._steps.values() for step in steps.values()]
        running += self._abandoned
        self._steps.clear()
        self._abandoned.clear()
        self._when_ended.clear()
        self._look_idle()
        for step in running:
            step.is_current = False
            tell_to_end(step)
        return [step.task for step in running if step.task]

    # -- One attempt -------------------------------------------------------------------------

    def _start_attempt(self, step: Step) -> None:
        """Make the intent of a later attempt durable, then run it."""
        self._put_row(step, step.record(StepState.STARTED))
        self._gate(step)

    def _run_again(self, step: Step) -> None:
        """Run the action of the next attempt, once the invocation is resumed where it is paused."""
        step.attempt += 1
        if self._invocation_of(step).record.state is InvocationState.PAUSED:
            self._put_row(step, step.record(StepState.NOT_STARTED))
        else:
            self._start_attempt(step)

    def _gate(self, step: Step) -> None:
        step.is_current = True
        self._steps.setdefault(step.invocation_id, {})[step.index] = step
        self._commits.when_durable(partial(self._launch, step))

    def _launch(self, step: Step) -> None:
        if not step.is_current:
            self._forget_abandoned(step)
            return  # Cut off before it began.
        if step.is_running:
            return  # It was waited for, and has begun meanwhile.
        if step.is_cancelled:
            self._leave(step)
            self._owner.steps_changed(step.invocation_id)
            return
        if self._is_stopping:
            self._leave(step)
            self._left_over.add(step.invocation_id)
            # What was to be verified stays unknown; anything else certainly did not happen.
            state = StepState.STARTED if step.is_verifying else StepState.NOT_STARTED
            self._put_row(step, step.record(state))
            return
        if step.plan.waits_for_ends and self._is_ending(step.invocation_id):
            return  # Launched again when the last of those has ended.
        self.started_count += 1
        if self.on_launch is not None:
            self.on_launch(step)
        step.is_running = True
        self._actions.run(step)

    def _is_ending(self, invocation_id: InvocationId) -> bool:
        """Whether an action runs that nobody wants any more."""
        steps = self._steps.get(invocation_id, {}).values()
        return any(step.is_running and step.is_cancelled for step in steps)

    def _launch_waiting(self, invocation_id: InvocationId) -> None:
        """Begin what has waited for such an action, once there is none."""
        if not self._is_ending(invocation_id):
            self._launch_again(self._steps.get(invocation_id, {}).values())

    def _launch_again(self, steps: Iterable[Step]) -> None:
        for step in list(steps):
            if step.plan.waits_for_ends and not step.is_running:
                self._commits.when_durable(partial(self._launch, step))

    # -- How it ended ------------------------------------------------------------------------

    def _ended(self, step: Step, result: Any, error: BaseException | None) -> None:
        if not step.is_current:
            self._forget_abandoned(step)
            # Killed, or the runtime has stopped: what became of the action is not recorded.
            return
        self._commits.guard(partial(self._end, step, result, error))

    def _end(self, step: Step, result: Any, error: BaseException | None) -> None:
        self._actions.finish(step, error)
        step.is_running = False
        self._leave(step)
        if step.is_cancelled:
            self._launch_waiting(step.invocation_id)
        else:
            self._settle(step, result, error)
        self._owner.steps_changed(step.invocation_id)

    def _settle(self, step: Step, result: Any, error: BaseException | None) -> None:
        if error is None:
            if step.is_verifying:
                self._verified(step, result)
            else:
                self._complete(step, self._encode(step, result))
        elif step.is_verifying:
            self._put_off_verification(step, error)
        elif (terminal := find_terminal(error)) is not None:
            self._complete(step, failure_of(terminal))
        elif step.timed_out and (step.task is not None or is_a(error, asyncio.CancelledError)):
            step.cut_off_by = TimeoutError(step.timed_out)
            self._unknown(step, step.timed_out)
        elif is_a(error, asyncio.CancelledError):
            if self._is_stopping:
                self._left_over.add(step.invocation_id)
                return  # Unknown, and not counted; the next start takes it up.
            step.cut_off_by = error
            self._unknown(step, "its action was cancelled from within")
        else:
            self._failed(step, error)

    def _failed(self, step: Step, error: BaseException) -> None:
        """The action raised: try again later, or give up as the policy says."""
        step.failures += 1
        policy, reason = self._policy_of(step), describe(error)
        # What its policy looks at is what the action raised; what cut it off is for `on_unknown`.
        if step.cut_off_by is None and not policy.retries(error):
            self._complete(step, failure_of(error, StepFailedError))
            return
        delay_ms = self._find_delay_ms(step, policy, error)
        if delay_ms is None or (is_mistake(error) and self._pauses(step)):
            why = why_step_paused(step.plan.name, step.failures, error)
            self._give_up(step, failure_of(error, StepFailedError), StepState.FAILED, reason, why)
            return
        logger.warning(
            "step %r of %s failed (attempt %d, next in %d ms): %s",
            step.plan.name,
            self._invocation_of(step).name,
            step.attempt,
            delay_ms,
            printable(reason),
        )
        self._put_off(step, StepState.FAILED, delay_ms, reason)

    def _give_up(
        self, step: Step, failure: Failure, state: StepState, reason: str, why: str
    ) -> None:
        """No attempt is left: ``failure``, or a pause because of ``why``, as the policy says."""
        if not self._pauses(step):
            self._complete(step, failure)
        else:
            self._put_off(step, state, None, reason)
            self._owner.pause(self._invocation_of(step), why)

    def _pauses(self, step: Step) -> bool:
        """Whether its invocation waits for a person when no attempt is left."""
        on_max = self._policy_of(step).on_max_attempts
        return (on_max or ("pause" if step.plan.options.retry is None else "fail")) == "pause"

    def _find_too_late(self, step: Step) -> str:
        """Why no attempt may begin any more, although one is due; nothing where it may."""
        return self._lifecycle.retries.find_too_late(self._policy_of(step), since_ms=step.began_ms)

    def _run_out(self, step: Step, why: str) -> None:
        """Give up a step that certainly did not happen, because its time is over."""
        why = f"step {step.plan.name!r}: {why}"
        late = failure_of(TimeoutError(why), StepFailedError)
        self._give_up(step, late, StepState.FAILED, why, why)

    def _unknown(self, step: Step, reason: str) -> None:
        """The outcome of this attempt is unknown: do as ``on_unknown`` says."""
        on_unknown = step.plan.options.on_unknown
        if callable(on_unknown):
            step.begin_again(verifies=True)
            self._gate(step)
            return
        message = (
            f"step {step.plan.name!r}: the outcome of attempt {step.attempt} is unknown: {reason}"
        )
        if on_unknown == "fail":
            self._complete(step, failure_of(OutcomeUnknownError(message)))
        elif on_unknown == "pause":
            self._put_off(step, StepState.HELD, None, reason)
            self._owner.pause(self._invocation_of(step), message)
        elif step.cut_off_by is not None:
            self._failed(step, step.cut_off_by)
        elif too_late := self._find_too_late(step):
            why = f"{message}, and {too_late}"
            self._give_up(step, failure_of(OutcomeUnknownError(why)), StepState.HELD, reason, why)
        else:
            logger.info("%s; it runs again as %s", message, step.idempotency_key)
            self._run_again(step)

    def _put_off_verification(self, step: Step, error: BaseException) -> None:
        """``verify`` itself failed: the outcome stays unknown, and it is asked again later."""
        if self._is_stopping:
            self._left_over.add(step.invocation_id)
            return
        step.failures += 1
        reason = f"verify failed with {describe(error)}"
        delay_ms = self._find_delay_ms(step, self._lifecycle.config.retry, error)
        self._put_off(step, StepState.STARTED, delay_ms, reason)
        if delay_ms is None:
            self._owner.pause(self._invocation_of(step), f"step {step.plan.name!r}: {reason}")

    def _verified(self, step: Step, answer: Any) -> None:
        kind = cast("type[object]", type(answer))  # A match asks for its class: see `odd_values`.
        if issubclass(kind, Happened):
            result = self._encode(step, answer.result)
            if isinstance(result, Failure):
                # The step has happened; only what says so is wrong, and may be mended.
                self._put_off_verification(step, TypeError(result.message))
            else:
                self._complete(step, result)
        elif not issubclass(kind, NeverHappened):
            wrong = TypeError(f"it returned {kind.__name__}, not Happened or NeverHappened")
            self._put_off_verification(step, wrong)
        elif step.cut_off_by is not None:
            self._failed(step, step.cut_off_by)
        elif too_late := self._find_too_late(step):
            self._run_out(step, f"it never happened, and {too_late}")
        else:
            step.begin_again(verifies=False)
            self._run_again(step)

    # -- Rows --------------------------------------------------------------------------------

    def _encode(self, step: Step, result: Any) -> bytes | Failure:
        try:
            return step.plan.result.encode(result)
        except Exception as error:  # noqa: BLE001  # a stranger's types may raise anything
            found = error.message if isinstance(error, HoldfastError) else describe(error)
            message = f"the result of step {step.plan.name!r} cannot be recorded: {found}"
            return replace(failure_of(error, StepFailedError), message=message)

    def _complete(self, step: Step, result: bytes | Failure) -> None:
        if step.has_row:
            forget_row(self._lifecycle, step.invocation_id, step.index)
        self._lifecycle.complete_command(step.invocation_id, step.index, result)

    def _put_off(self, step: Step, state: StepState, delay_ms: int | None, reason: str) -> None:
        """Write down where the step stands; without a delay, only a person brings it back."""
        now_ms = self._clock.now_ms()
        next_attempt_ms = 0 if delay_ms is None else now_ms + delay_ms
        record = step.record(
            state, next_attempt_ms=next_attempt_ms, last_failure=reason, failed_ms=now_ms
        )
        self._put_row(step, record)
        if next_attempt_ms:
            self._lifecycle.timers.add(
                next_attempt_ms, step.invocation_id, step.index, TimerKind.STEP_RETRY
            )

    def _write_details(self, step: Step) -> None:
        """Keep what a running action has said; a step that nobody wants has no row."""
        if step.is_current and not step.is_cancelled:
            self._commits.guard(lambda: self._put_row(step, step.record(StepState.STARTED)))

    def _put_row(self, step: Step, record: StepRecord) -> None:
        step.has_row = True
        self._commits.put(keys.step(step.invocation_id, step.index), record)

    def _leave(self, step: Step) -> None:
        step.is_current = False
        steps = self._steps[step.invocation_id]
        del steps[step.index]
        if not steps:
            del self._steps[step.invocation_id]
            self._look_idle()
            then = self._when_ended.pop(step.invocation_id, None)
            if then is not None:
                then()

    def _find_delay_ms(self, step: Step, policy: RetryPolicy, error: BaseException) -> int | None:
        retries, since_ms = self._lifecycle.retries, step.began_ms
        return retries.find_delay_ms(policy, error, failures=step.failures, since_ms=since_ms)

    def _forget_abandoned(self, step: Step) -> None:
        if step in self._abandoned:
            self._abandoned.remove(step)
            self._actions.finish(step, None)
            self._look_idle()

    def _look_idle(self) -> None:
        if self._idle is not None and not self._steps and not self._abandoned:
            self._idle.set()
            self._idle = None

    def _policy_of(self, step: Step) -> RetryPolicy:
        own = step.plan.options.retry
        return own or self._handlers_policy(self._invocation_of(step))

    def _handlers_policy(self, invocation: OpenInvocation) -> RetryPolicy:
        own = None if invocation.handler is None else invocation.handler.options.retry
        return own or self._lifecycle.config.retry

    def _invocation_of(self, step: Step) -> OpenInvocation:
        invocation = self._lifecycle.find(step.invocation_id)
        assert invocation is not None, "a step outlived its invocation"
        return invocation
