"""What a handler can say, answered: ``Syscalls`` for its context, ``LoopHost`` for its loop.

Each verb becomes a command of the attempt. A verb is refused when it does not come from the
handler's own loop: from a step's action, from another handler, from a finaliser after the attempt
is over.
"""

import asyncio
from asyncio import Future
from collections.abc import Callable, Mapping
from contextvars import copy_context
from datetime import timedelta
from logging import Logger
from random import Random
from typing import Any

from ..journal.entry import (
    Attach,
    AwaitPromise,
    AwaitSignal,
    Call,
    CancelInvocation,
    CompleteAwakeable,
    CompletePromise,
    MakeAwakeable,
    PeekPromise,
    Run,
    Send,
    SendSignal,
)
from ..objects.actions import result_serde_of
from ..objects.call_options import PLAIN, CallOptions
from ..objects.definition import HandlerDefinition
from ..objects.errors import ContextMisuseError, TerminalError
from ..objects.fields import StateField
from ..objects.identity import AwakeableId, InvocationId, Target, format_invocation_id
from ..objects.serde import Serde
from ..objects.syscalls import NO_QUESTION, Action, Question, StepOptions
from .attachments import attach
from .awakeables import command_of, find_refusal, open_awakeable
from .cancellation import cancel, check_reason
from .commands import Commands
from .failures import conflict, failure_of
from .handler_log import HandlerLogger
from .handler_loop import HandlerLoop
from .interrupts import has_arrived
from .lifecycle import logger
from .object_state import ExclusiveState
from .open_invocation import OpenInvocation, Result
from .outgoing import accept_call, call_again, is_reissued
from .pending import Awaited, DurableTimer, Pending
from .promises import add_waiter, complete_promise, describe_completed, find_promise
from .refused_calls import NO_CALLEE, digest_of, raise_refusal
from .saga_verbs import SagaVerbs
from .signals import send_signal, take_signal
from .stack_room import check_room
from .steering import read_messages
from .step_plan import StepPlan
from .timers import FOREVER_MS
from .told_times import tell_time

DEAD_CALLS_MAX = 100
"""Verbs that an attempt which is over, or has left its journal, refuses; further ones wait for ever
instead, so that code which catches everything in a loop gives its thread back."""

_NO_COMMAND = -1


class HandlerPort(SagaVerbs):
    """The verbs of one attempt. ``connect`` before the handler starts."""

    def __init__(self, invocation: OpenInvocation) -> None:
        """Stand for an invocation's handler; the loop that it is host to is made afterwards."""
        self._invocation = invocation
        self._commands: Commands
        self._loop: HandlerLoop
        self._random: Random | None = None
        self._log: Logger | None = None
        self._dead_calls = 0
        self.span: Any = None
        """The attempt's span, where tracing is on."""

    def connect(self, loop: HandlerLoop, commands: Commands) -> None:
        """Name the loop that verbs must come from, and where commands go."""
        self._loop = loop
        self._commands = commands

    # -- Syscalls: commands ------------------------------------------------------------------

    def run(self, name: str, action: Action, options: StepOptions) -> "Future[Any]":
        """As ``Syscalls.run``."""
        if self._is_refused(is_brief=True):
            return self._loop.create_future()
        command = Run(name, self._commands.sources.find_action(action.function))
        match = self._commands.follow(command)
        index = self._commands.append(command) if match is None else match[0]
        if match is not None and self._commands.cursor.is_answered(index):
            pending = Pending(Awaited.STEP, result=result_serde_of(action.function))
            return self._commands.await_completion(index, pending)
        plan = StepPlan(
            name=name,
            action=action,
            options=options,
            result=result_serde_of(action.function),
            context=copy_context(),
            span=self.span,
            waits_for_ends=self._commands.is_compensating,
        )
        pending = Pending(
            Awaited.STEP, result=plan.result, plan=plan, is_recorded=match is not None
        )
        return self._commands.await_completion(index, pending)

    def sleep(self, duration: timedelta) -> "Future[None]":
        """As ``Syscalls.sleep``."""
        if self._is_refused(is_brief=True):
            return self._loop.create_future()
        due_ms = tell_time(self._commands) + max(0, round(duration.total_seconds() * 1000))
        return self._commands.await_completion(*self._commands.issue_timer(due_ms))

    def find_handler(self, target: Target) -> HandlerDefinition | None:
        """As ``Caller.find_handler``."""
        return self._commands.lifecycle.registry.find_code(target)[1]

    def call(
        self,
        target: Target,
        argument: bytes,
        result: Serde[Any],
        options: CallOptions = PLAIN,
    ) -> "Future[Any]":
        """As ``Syscalls.call``."""
        if self._is_refused():
            return self._loop.create_future()
        commands, argument_digest = self._commands, digest_of(argument)
        match = commands.follow(Call(target, argument_digest, NO_CALLEE))
        if match is not None and isinstance(match[1], Call):
            index, callee = match[0], match[1].callee
            if is_reissued(commands, index):
                call_again(commands, index, callee, target, argument, options)
            elif callee == NO_CALLEE:
                raise_refusal(commands, index)
        else:
            callee, refusal = accept_call(
                commands, target, argument, options, caller=self._invocation.id
            )
            index = commands.write(Call(target, argument_digest, callee))
            if refusal is not None:
                commands.answer(index, refusal)
            elif options.mode != "queue":
                has_arrived(commands.lifecycle, callee)
        pending = Pending(Awaited.CALL, result=result, callee=callee)
        return commands.await_completion(index, pending)

    def send(self, target: Target, argument: bytes, options: CallOptions = PLAIN) -> "Future[str]":
        """As ``Syscalls.send``."""
        future: Future[str] = self._loop.create_future()
        if self._is_refused():
            return future
        delay_ms = options.delay_ms
        commands, argument_digest = self._commands, digest_of(argument)
        match = commands.follow(Send(target, argument_digest, delay_ms, NO_CALLEE))
        if match is not None and isinstance(match[1], Send):
            callee = match[1].callee
            if callee == NO_CALLEE:
                raise_refusal(commands, match[0])
        else:
            callee, _ = accept_call(commands, target, argument, options, caller=None)
            commands.write(Send(target, argument_digest, delay_ms, callee))
            if options.mode != "queue":
                has_arrived(commands.lifecycle, callee)
        future.set_result(format_invocation_id(callee))
        return future

    def awakeable(
        self, result: Serde[Any], question: Question = NO_QUESTION
    ) -> "tuple[str, Future[Any]]":
        """As ``Syscalls.awakeable``."""
        if self._is_refused():
            return "", self._loop.create_future()
        commands, now_ms = self._commands, tell_time(self._commands)
        match = commands.follow(MakeAwakeable())
        if match is None:
            command = command_of(question, now_ms)
            index = commands.append(command)
            lifecycle, id_ = commands.lifecycle, self._invocation.id
            open_awakeable(lifecycle, id_, index, command, created_ms=now_ms)
        else:
            index = match[0]
        pending = Pending(Awaited.AWAKEABLE, result=result)
        future = self._commands.await_completion(index, pending)
        return str(AwakeableId(self._invocation.id, index)), future

    def complete_awakeable(
        self, awakeable: AwakeableId, outcome: bytes | TerminalError
    ) -> "Future[None]":
        """As ``Syscalls.complete_awakeable``; of one that is not open it has no effect."""
        future: Future[None] = self._loop.create_future()
        if self._is_refused():
            return future
        commands = self._commands
        result, said = _recorded(outcome)
        command = CompleteAwakeable(awakeable.invocation_id, awakeable.index, said)
        index, is_new = commands.issue(command)
        # Only a refusal is recorded as a completion, so a replay can tell one from the other.
        is_refused = not is_new and commands.cursor.is_answered(index)
        if is_new:
            refusal = find_refusal(commands.lifecycle.commits, awakeable, result)
            is_refused = refusal is not None
            if refusal is None:
                commands.lifecycle.complete_awakeable(awakeable, result)
            else:
                logger.warning("%s: %s", self._invocation.name, refusal.message)
                commands.answer(index, refusal)
        if is_refused:
            return commands.await_completion(index, Pending(Awaited.ANSWER))
        future.set_result(None)
        return future

    def sign_link(self, text: bytes) -> str:
        """As ``Syscalls.sign_link``."""
        if self._is_refused():
            return ""
        return self._commands.lifecycle.links.sign_at(text, tell_time(self._commands))

    @property
    def is_workflow(self) -> bool:
        """As ``Syscalls.is_workflow``."""
        service = self._invocation.service
        return service is not None and service.kind == "workflow"

    def await_promise(self, name: str, result: Serde[Any]) -> "Future[Any]":
        """As ``Syscalls.await_promise``."""
        if self._is_refused():
            return self._loop.create_future()
        commands, commits = self._commands, self._commands.lifecycle.commits
        index, is_new = commands.issue(AwaitPromise(name))
        if is_new:
            completed = find_promise(commits, self._object(), name)
            if completed is None:
                add_waiter(commits, self._invocation, name, index)
            else:
                commands.answer(index, completed)
        pending = Pending(Awaited.PROMISE, result=result, name=name)
        return commands.await_completion(index, pending)

    def peek_promise(self, name: str, result: Serde[Any]) -> "Future[Any]":
        """As ``Syscalls.peek_promise``."""
        if self._is_refused():
            return self._loop.create_future()
        commands = self._commands
        index, is_new = commands.issue(PeekPromise(name))
        if is_new:
            commands.answer(index, find_promise(commands.lifecycle.commits, self._object(), name))
        return commands.await_completion(index, Pending(Awaited.ANSWER, result=result))

    def complete_promise(self, name: str, outcome: bytes | TerminalError) -> "Future[None]":
        """As ``Syscalls.complete_promise``."""
        if self._is_refused():
            return self._loop.create_future()
        commands = self._commands
        result, said = _recorded(outcome)
        index, is_new = commands.issue(CompletePromise(name, said))
        if is_new:
            refusal = None
            if not complete_promise(commands.lifecycle, self._object(), name, result):
                workflow = f"{self.target.service}/{self.target.key}"
                refusal = conflict(describe_completed(workflow, name))
            commands.answer(index, refusal)
        return commands.await_completion(index, Pending(Awaited.ANSWER))

    def attach(self, invocation_id: InvocationId, result: Serde[Any]) -> "Future[Any]":
        """As ``Syscalls.attach``."""
        if self._is_refused():
            return self._loop.create_future()
        commands = self._commands
        index, is_new = commands.issue(Attach(invocation_id))
        if is_new:
            outcome = attach(commands.lifecycle, self._invocation, index, invocation_id)
            if outcome is not None:
                commands.answer(index, outcome)
        pending = Pending(Awaited.OUTCOME, result=result, callee=invocation_id)
        return commands.await_completion(index, pending)

    @property
    def has_inbox(self) -> bool:
        """As ``Syscalls.has_inbox``."""
        service, invocation = self._invocation.service, self._invocation
        return (
            invocation.record.is_exclusive
            and service is not None
            and service.kind == "virtual object"
        )

    def read_messages(self, result: Serde[Any], *, takes_all: bool) -> "Future[Any]":
        """As ``Syscalls.read_messages``."""
        if self._is_refused():
            return self._loop.create_future()
        return read_messages(self._commands, result, takes_all=takes_all)

    def cancel_invocation(self, invocation_id: InvocationId, reason: str) -> None:
        """As ``Syscalls.cancel_invocation``; of one that is over it has no effect."""
        if self._is_refused():
            return
        reason = check_reason(reason)
        command = CancelInvocation(invocation_id)
        if self._commands.follow(command) is None:
            self._commands.append(command)
            why = f": {reason}" if reason else ""
            asked_by = f"asked for by {self._invocation.name}{why}"
            cancel(self._commands.lifecycle, invocation_id, asked_by)

    def hold_cancellation(self) -> None:
        """As ``Syscalls.hold_cancellation``."""
        self._check()
        self._commands.hold_cancellation()

    def release_cancellation(self) -> bool:
        """As ``Syscalls.release_cancellation``."""
        return not self._commands.is_over and self._commands.release_cancellation()

    def await_signal(self, name: str, result: Serde[Any]) -> "Future[Any]":
        """As ``Syscalls.await_signal``."""
        if self._is_refused():
            return self._loop.create_future()
        commands = self._commands
        index, is_new = commands.issue(AwaitSignal(name))
        signal = take_signal(commands.lifecycle, self._invocation, name, index) if is_new else None
        if signal is not None:
            commands.answer(index, signal)
        pending = Pending(Awaited.SIGNAL, result=result, name=name)
        return commands.await_completion(index, pending)

    def send_signal(
        self, invocation_id: InvocationId, name: str, outcome: bytes | TerminalError
    ) -> None:
        """As ``Syscalls.send_signal``; to an invocation that is completed it has no effect."""
        if self._is_refused():
            return
        result, said = _recorded(outcome)
        _, is_new = self._commands.issue(SendSignal(invocation_id, name, said))
        if is_new:
            send_signal(self._commands.lifecycle, invocation_id, name, result)

    def patched(self, name: str) -> bool:
        """As ``Syscalls.patched``."""
        return not self._is_refused() and self._commands.patched(name)

    # -- Syscalls: reads ---------------------------------------------------------------------

    @property
    def invocation_id(self) -> str:
        """As ``Syscalls.invocation_id``."""
        return format_invocation_id(self._invocation.id)

    @property
    def target(self) -> Target:
        """As ``Syscalls.target``."""
        return self._invocation.record.target

    @property
    def headers(self) -> Mapping[str, str]:
        """As ``Syscalls.headers``."""
        return dict(self._commands.input.headers)  # The recorded ones are not encoded yet.

    @property
    def random(self) -> Random:
        """As ``Syscalls.random``."""
        self._check()
        if self._random is None:
            seed = self._commands.input.seed or bytes(self._invocation.id)
            self._random = Random(seed)  # noqa: S311  # the same numbers on replay are the point
        return self._random

    @property
    def log(self) -> Logger:
        """As ``Syscalls.log``."""
        if self._log is None:
            self._log = HandlerLogger(self.target.service, self._is_silent)
        return self._log

    def now_ms(self) -> int:
        """As ``Syscalls.now_ms``."""
        return tell_time(self._commands)

    def state_get(self, field: StateField[Any]) -> Any:
        """As ``Syscalls.state_get``."""
        self._check()
        return self._commands.state.get(field)

    def state_set(self, field: StateField[Any], value: Any) -> None:
        """As ``Syscalls.state_set``."""
        self._check()
        self._commands.state.set(field, value)

    def state_clear(self, field: StateField[Any]) -> None:
        """As ``Syscalls.state_clear``."""
        self._check()
        self._commands.state.clear(field)

    def state_names(self) -> list[str]:
        """As ``Syscalls.state_names``."""
        self._check()
        return self._commands.state.names()

    def state_tag(self) -> str:
        """As ``Syscalls.state_tag``."""
        self._check()
        state = self._commands.state
        assert isinstance(state, ExclusiveState), "only an exclusive turn has a tag"
        return state.tag()

    # -- LoopHost ----------------------------------------------------------------------------

    def now(self) -> float:
        """As ``LoopHost.now``."""
        commands = self._commands
        return (commands.now_ms if commands.is_over else tell_time(commands)) / 1000

    def set_timer(self, when: float) -> DurableTimer:
        """As ``LoopHost.set_timer``."""
        if self._commands.is_frozen or (self._commands.fault is not None and self._is_refused()):
            return DurableTimer(_NO_COMMAND)
        due_ms = max(tell_time(self._commands), round(min(when * 1000, FOREVER_MS)))
        index, pending = self._commands.issue_timer(due_ms)
        pending.timer = DurableTimer(index)
        self._commands.pending[index] = pending
        return pending.timer

    def cancel_timer(self, timer: DurableTimer) -> None:
        """As ``LoopHost.cancel_timer``."""
        self._commands.cancel(timer.index)

    def describe(self) -> str:
        """As ``LoopHost.describe``."""
        return self._invocation.name

    def describer(self) -> Callable[[], str]:
        """As ``LoopHost.describer``."""
        invocation = self._invocation
        return lambda: invocation.name

    def report(self, message: str, exception: BaseException | None) -> None:
        """As ``LoopHost.report``."""
        if not self._commands.cursor.is_replaying:
            logger.warning("%s: %s", self._invocation.name, message, exc_info=exception)

    # -- Parts -------------------------------------------------------------------------------

    def _object(self) -> bytes:
        object_ = self._invocation.object_
        assert object_ is not None, "a promise of a service"
        return object_

    def _check(self) -> None:
        """Refuse whatever does not come from the handler's own loop.

        Raises:
            ContextMisuseError: the attempt is over, or this is an action or another handler.
        """
        if self._commands.is_over and not self._commands.is_frozen:
            message = f"{self._invocation.name}: this attempt is over, so the call had no effect"
            raise ContextMisuseError(message)
        if asyncio._get_running_loop() is not self._loop:  # noqa: SLF001  # in asyncio.__all__
            message = (
                f"{self._invocation.name}: ctx and self belong to the handler and were used "
                f"outside of it, for example in the action of a step; pass the values in as "
                f"arguments of ctx.run and take results out as its return value"
            )
            raise ContextMisuseError(message)

    def _is_refused(self, *, is_brief: bool = False) -> bool:  # brief: an entry, and no other row
        """As ``_check``; ``True`` once too many verbs were refused: what is asked never ends."""
        commands = self._commands
        if not commands.is_over and commands.fault is None:
            if asyncio._get_running_loop() is self._loop:  # noqa: SLF001  # in asyncio.__all__
                if not is_brief or commands.unwritten is not None:
                    check_room()
                return False
        elif commands.is_frozen:
            return True
        else:
            self._dead_calls += 1
            if self._dead_calls > DEAD_CALLS_MAX:
                return True
        self._check()
        return False

    def _is_silent(self) -> bool:
        return self._commands.is_over or self._commands.cursor.is_replaying


def _recorded(outcome: bytes | TerminalError) -> tuple[Result, bytes]:
    """What is recorded of a value or an error that is handed to others, and its digest."""
    if isinstance(outcome, TerminalError):
        failure = failure_of(outcome)
        return failure, digest_of(repr(failure).encode())
    return outcome, digest_of(outcome)
