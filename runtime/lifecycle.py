"""The life of an invocation: accepted, inboxed, begun, completed; failed attempts and pauses.

Every method here is one decision: plain synchronous code that stages rows and tells the ``Host``
which attempts to run. Nothing here waits, and nothing leaves the process from here but through
``Commits.when_durable``.

    scheduled --due--> inboxed --turn--> begun --> completed
                          ^                |  ^
        accepted ---------+--- turn free --+  |   begun: an attempt runs, is suspended,
                                           v  |          or the next one is due later
                                         paused      resumed by a person

What survives is in the rows; ``OpenInvocation`` is the copy of those that are in memory now.

Rule 1: the live row exists exactly while an invocation has to be taken up at the next start
without anything else happening: it runs, or a step of it is under way. One that waits for a timer,
a call, an awakeable or its next attempt has none, so that opening costs what must run.

Rule 2: a decision stages its rows whole. What can be refused is refused before the first row.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Protocol

from ..journal import codec, keys
from ..journal.entry import Completion, Delivery, Failure, Input
from ..journal.records import (
    CallMode,
    InvocationDetails,
    InvocationRecord,
    InvocationState,
    TimerKind,
    decode_invocation,
)
from ..objects.call_options import Mode
from ..objects.definition import HandlerDefinition, ServiceDefinition
from ..objects.identity import (
    AwakeableId,
    InvocationId,
    Target,
    new_invocation_id,
    printable,
)
from ..objects.mismatch import Mismatch
from ..objects.registry import Registry
from .callbacks import RecordedCallback, call_back
from .commits import Commits
from .config import RuntimeConfig
from .failures import expiry_of, failure_of_invocation
from .links import LinkKeys
from .logs import make_logger
from .mailboxes import Mailboxes
from .open_invocation import OpenInvocation, Prepared, Resident, Result, journal_length, object_key
from .outcomes import Outcomes
from .raw_results import as_json
from .retries import Retries
from .seams import Clock, Randomness
from .timers import RETRY_INDEX, Timers, forget_due, make_step_due
from .withdrawal import close_awakeable, forget_signals, withdraw_open

logger = make_logger("holdfast.invocations")

SEQUENCE_BITS = 40
"""A sequence is the epoch, then this many bits of a counter: never given twice, even when the
invocation that took one was lost in a crash before it was durable."""

INPUT_BYTES = 40
"""About what an input row takes beside its argument; it is encoded too late to be measured."""


class Host(Protocol):
    """Whoever runs attempts."""

    def start(self, invocation: "OpenInvocation") -> bool:
        """Begin an attempt in this turn or one of the next; sets ``invocation.attempt``.

        ``False``: memory is full. It will be woken when there is room, or before if need be.
        """
        ...

    def step_due(self, invocation: "OpenInvocation", index: int) -> None:
        """The next attempt of a step of a resident invocation is due."""
        ...

    def has_arrived(self, id_: InvocationId) -> None:
        """A delayed invocation has taken its place behind others."""
        ...


class Lifecycle:
    """All decisions about invocations. Belongs to the loop's thread."""

    def __init__(  # noqa: PLR0913  # the parts of one runtime, each by keyword, at one place
        self,
        *,
        commits: Commits,
        registry: Registry,
        clock: Clock,
        randomness: Randomness,
        config: RuntimeConfig,
        epoch: int,
    ) -> None:
        """Begin with nothing in memory; ``connect`` before the first decision."""
        self.commits = commits
        self.registry = registry
        self.clock = clock
        self.config = config
        self.mailboxes = Mailboxes(commits)
        self.outcomes = Outcomes(commits, clock, config)
        self.timers = Timers(commits, clock, self._fire)
        self.retries = Retries(clock, randomness)
        self.links = LinkKeys(commits, clock, randomness)
        self._randomness = randomness
        self._last_sequence = epoch << SEQUENCE_BITS
        # Invocations with an attempt, and those a decision under way has loaded.
        self._open: dict[InvocationId, OpenInvocation] = {}
        self._host: Host | None = None
        self.accepted_count = 0
        self.completed_count = 0

    def connect(self, host: Host) -> None:
        """Name who runs attempts."""
        self._host = host

    # -- Beginning ---------------------------------------------------------------------------

    def accept(  # noqa: PLR0913  # all by keyword, and a value would cost on the hot path
        self,
        target: Target,
        argument: bytes,
        *,
        service: ServiceDefinition | None,
        handler: HandlerDefinition | None,
        headers: Mapping[str, str],
        object_: bytes | None,
        prepared: Prepared | None = None,
        caller: InvocationId | None = None,
        caller_index: int = 0,
        idempotency_key: str | None = None,
        delay_ms: int = 0,
        mode: Mode = "queue",
        callback: RecordedCallback | None = None,
        details: InvocationDetails | None = None,
        id_: InvocationId | None = None,
        is_mere_read: bool = False,
    ) -> InvocationId:
        """A new invocation, with its place in the mailbox or its due time.

        ``object_`` is what ``object_key`` gives for the target. That a workflow was not started
        before is for the caller to see, and that one which is no plain call ``has_arrived``.
        """
        now_ms = self.clock.now_ms()
        id_ = id_ or new_invocation_id(now_ms, self._randomness.token(10))
        input_ = Input(argument=argument, headers=headers)
        invocation = OpenInvocation(
            id=id_,
            record=InvocationRecord(
                target=target,
                state=InvocationState.SCHEDULED,
                sequence=self.next_sequence(),
                is_exclusive=object_ is not None and (handler is None or not handler.shared),
                caller=caller,
                caller_index=caller_index,
                idempotency_key=idempotency_key,
                details=details,
            ),
            service=service,
            handler=handler,
            object_=object_,
            next_index=1,
            stored_bytes=len(argument) + INPUT_BYTES,
            input=input_,
            prepared=prepared,
            is_mere_read=is_mere_read,
        )
        if mode != "queue":
            invocation.record.need_details().mode = CallMode[mode.upper()]
        if callback is not None:
            invocation.record.need_details().callback = callback
        self.accepted_count += 1
        self.commits.put_new(keys.journal(id_, 0), codec.InputRow(input_))
        self.commits.put_new(keys.invocation(id_), invocation.record)
        if handler is not None and handler.is_run:
            assert target.key is not None, "a workflow without a key"
            self.commits.put_new(keys.workflow(target.service, target.key), id_)
        if delay_ms > 0:
            invocation.record.next_attempt_ms = now_ms + delay_ms
            self.timers.add(now_ms + delay_ms, id_, 0, TimerKind.START)
        else:
            self._take_place(invocation)
        return id_

    def new_id(self) -> InvocationId:
        """An id that nobody has, for an invocation that is made now or later."""
        return new_invocation_id(self.clock.now_ms(), self._randomness.token(10))

    def take_up(self, invocation: OpenInvocation) -> None:
        """Begin with one whose journal was written by whoever made it; its key, if any, is free."""
        if invocation.record.is_exclusive and invocation.object_ is not None:
            self.mailboxes.arrive(invocation.object_, invocation.record.sequence, invocation.id)
        self.accepted_count += 1
        self.commits.put_new(keys.invocation(invocation.id), invocation.record)
        self._set_live(invocation)
        self._start(invocation)

    def revive(self, id_: InvocationId) -> None:
        """Start an attempt of one that has a live row, unless something else has done so."""
        invocation = self.find(id_)
        if invocation is not None and invocation.attempt is None:
            self._start(invocation)

    def find(self, id_: InvocationId) -> OpenInvocation | None:
        """The invocation, when it is not completed."""
        invocation = self._open.get(id_)
        if invocation is not None:
            return invocation
        row = self.commits.get(keys.invocation(id_))
        if row is None:
            return None
        record = decode_invocation(row)
        target = record.target
        service, handler = self.registry.find_code(target)
        return OpenInvocation(
            id=id_,
            record=record,
            service=service,
            handler=handler,
            object_=object_key(target),
            next_index=journal_length(self.commits, id_),
            is_live=self.commits.get(keys.live(id_)) is not None,
            is_waiting=self.commits.get(keys.waiting(id_)) is not None,
            keeps_journal=record.details is not None and record.details.restarted_at > 0,
        )

    def append(self, invocation: OpenInvocation, entry: bytes) -> int:
        """Write the next entry of a journal; gives its index."""
        index = invocation.next_index
        invocation.next_index = index + 1
        key = keys.journal(invocation.id, index)
        invocation.stored_bytes += len(key) + len(entry)
        self.commits.put_new(key, entry)
        return index

    # -- Completions -------------------------------------------------------------------------

    def complete_command(self, id_: InvocationId, index: int, result: Result | None) -> None:
        """Accept the completion of a command; the caller has checked that it is still open."""
        invocation = self._open.get(id_) or self.find(id_)
        if invocation is not None:
            completion = Completion(index, self.clock.now_ms(), result)
            self.deliver(invocation, completion, codec.encode_completion(completion))

    def deliver(self, invocation: OpenInvocation, delivery: Delivery, entry: bytes) -> None:
        """Append ``entry``, which is ``delivery``, and see that the handler gets it.

        A resident attempt gets it in its next slice; otherwise one is started. Whoever suspends
        looks for what is undelivered first, and this looks for an attempt first: whichever of the
        two comes second sees what the other did.
        """
        self.append(invocation, entry)
        if invocation.is_waiting:
            self._clear_waiting(invocation)
        self.wake(invocation)
        attempt = invocation.attempt
        if attempt is not None:
            attempt.accept(delivery)

    def wake(self, invocation: OpenInvocation) -> Resident | None:
        """Begin an attempt, at the next start if not now; gives the one that there was."""
        attempt, record = invocation.attempt, invocation.record
        if attempt is not None:
            self._set_live(invocation)
        elif record.state is InvocationState.BEGUN and record.next_attempt_ms == 0:
            self._set_live(invocation)
            self._start(invocation)
        return attempt

    def complete_awakeable(self, awakeable: AwakeableId, result: Result) -> bool:
        """Resolve or reject an awakeable; ``False``: it is not open, and nothing was changed."""
        if not close_awakeable(awakeable, self.commits, self.timers):
            return False
        self.complete_command(awakeable.invocation_id, awakeable.index, result)
        return True

    def blocked(
        self, invocation: OpenInvocation, *, has_steps: bool, callees: Iterable[InvocationId] | None
    ) -> None:
        """The attempt waits: for its steps, or else only for what comes from elsewhere.

        Args:
            invocation: whose attempt waits.
            has_steps: a step is under way or due, so the next start has to take it up.
            callees: the outstanding calls, when nothing but their outcomes can move it.
        """
        if has_steps:
            self._set_live(invocation)
            return
        if invocation.is_live:
            self.commits.delete(keys.live(invocation.id))
            invocation.is_live = False
        if callees is not None:
            put = self.commits.put if invocation.is_waiting else self.commits.put_new
            put(keys.waiting(invocation.id), b"".join(callees))
            invocation.is_waiting = True

    def suspended(self, invocation: OpenInvocation) -> None:
        """The attempt has left memory; the rows already say that nothing needs to run."""
        invocation.attempt = None
        self._open.pop(invocation.id, None)
        if invocation.object_ is not None and invocation.record.is_exclusive:
            self.mailboxes.forget(invocation.object_)

    # -- Ending ------------------------------------------------------------------------------

    def complete(self, invocation: OpenInvocation, result: Result) -> None:
        """Record the outcome, tell who awaits it, and pass the turn on: one batch.

        Had the turn been passed in a second one, a crash in between would leave the object with
        nobody running and a queue that nothing drains.
        """
        id_, record = invocation.id, invocation.record
        if isinstance(result, Failure):
            result = failure_of_invocation(result, record.target, id_)
        commits = self.commits
        commits.delete(keys.invocation(id_))
        if invocation.is_live:
            commits.delete(keys.live(id_))
        if invocation.is_waiting:
            self._clear_waiting(invocation)
        invocation.attempt = None
        self._open.pop(id_, None)
        self.completed_count += 1
        self.outcomes.keep(invocation, result)
        if logger.isEnabledFor(logging.DEBUG):
            self.outcomes.log(invocation, result)
        if record.caller is not None:
            self.complete_command(record.caller, record.caller_index, result)
        if record.details is not None:
            self._complete_rare(invocation, record.details, result)
        self.outcomes.tell(id_, result)
        if record.details is not None and record.details.callback is not None:
            call_back(self, invocation, record.details.callback, result)
        if record.is_exclusive and record.state is not InvocationState.SCHEDULED:
            assert invocation.object_ is not None, "an exclusive handler without an object"
            successor_id = self.mailboxes.leave(invocation.object_, id_)
            successor = None if successor_id is None else self.find(successor_id)
            if successor is not None:
                commits.put(keys.invocation(successor.id), successor.record)
                self._begin(successor)

    def retry_later(
        self, invocation: OpenInvocation, reason: str, delay_ms: int, error: BaseException
    ) -> None:
        """An attempt failed and has left memory; the next one is due after ``delay_ms``."""
        record = invocation.record
        logger.warning(
            "%s failed (attempt %d, next in %d ms): %s",
            invocation.name,
            record.failures,
            delay_ms,
            printable(reason),
            # The whole story once; what follows is mostly the same again.
            exc_info=error if record.failures == 1 else None,
        )
        record.last_failure = reason
        record.next_attempt_ms = self.clock.now_ms() + delay_ms
        self.timers.add(record.next_attempt_ms, invocation.id, RETRY_INDEX, TimerKind.RETRY)
        self._rest(invocation)

    def pause(
        self, invocation: OpenInvocation, reason: str | Mismatch, *, level: int = logging.ERROR
    ) -> None:
        """Stop trying until a person resumes it; it keeps its turn."""
        logger.log(level, "%s is paused: %s", invocation.name, reason)
        invocation.record.state = InvocationState.PAUSED
        invocation.record.last_failure = str(reason)
        self._rest(invocation)

    def resume(self, invocation: OpenInvocation) -> None:
        """Begin an attempt now of an invocation that is paused or waits for its next attempt."""
        self.rouse(invocation)
        self.wake(invocation)

    def rouse(self, invocation: OpenInvocation) -> None:
        """End a pause, and the wait for a next attempt: whatever is delivered next begins it."""
        assert invocation.attempt is None, "roused what runs"
        invocation.record.state = InvocationState.BEGUN
        invocation.record.failures = 0
        forget_due(self.timers, invocation)
        self.commits.put(keys.invocation(invocation.id), invocation.record)

    def withdraw_open(self, invocation: OpenInvocation) -> None:
        """Take back all that could still complete a command, whichever attempt issued it.

        For an invocation that ends without its last attempt having issued everything again.
        """
        withdraw_open(invocation, self.commits, self.timers)

    # -- Parts -------------------------------------------------------------------------------

    def _complete_rare(
        self, invocation: OpenInvocation, details: InvocationDetails, result: Result
    ) -> None:
        id_ = invocation.id
        if details.has_signals:
            forget_signals(id_, self.commits)
        if details.is_attached:
            told = as_json(invocation.handler, result)
            for waiter, index in self.outcomes.take_attached(id_):
                self.complete_command(waiter, index, told)

    def _take_place(self, invocation: OpenInvocation) -> None:
        """Have it begin, or wait. Its row is staged already, and encoded when it is written."""
        record = invocation.record
        if invocation.record.is_exclusive:
            assert invocation.object_ is not None, "an exclusive handler without an object"
            mode = CallMode.QUEUE if record.details is None else record.details.mode
            if not self.mailboxes.arrive(invocation.object_, record.sequence, invocation.id, mode):
                record.state = InvocationState.INBOXED
                return
        self._begin(invocation)

    def _begin(self, invocation: OpenInvocation) -> None:
        """Start the first attempt; as to its row, see ``_take_place``."""
        record = invocation.record
        if record.state is InvocationState.INBOXED:
            # The rows of an object tell its past by the sequences of its turns, in the order in
            # which turns began; a place in the mailbox does not say that.
            record.sequence = self.next_sequence()
        record.state = InvocationState.BEGUN
        record.begun_ms = self.clock.now_ms()
        self._set_live(invocation)
        self._start(invocation)

    def _start(self, invocation: OpenInvocation) -> None:
        assert self._host is not None, "connect() comes first"
        if invocation.handler is None:
            # The live row stays, so that the first start with the class back takes it up.
            logger.error("%s waits: no class with its handler is registered", invocation.name)
            return
        self._open[invocation.id] = invocation
        if not self._host.start(invocation):
            self.suspended(invocation)

    def _rest(self, invocation: OpenInvocation) -> None:
        """Leave memory without anything to do at the next start but what a timer says."""
        if invocation.is_live:
            self.commits.delete(keys.live(invocation.id))
            invocation.is_live = False
        if invocation.is_waiting:
            self._clear_waiting(invocation)
        self.commits.put(keys.invocation(invocation.id), invocation.record)
        self.suspended(invocation)

    def _fire(self, kind: TimerKind, id_: InvocationId, index: int) -> None:
        if kind is TimerKind.SLEEP:
            self.complete_command(id_, index, None)
            return
        if kind is TimerKind.AWAKEABLE:
            self.complete_awakeable(AwakeableId(id_, index), expiry_of(id_, index))
            return
        invocation = self.find(id_)
        if invocation is None:
            return
        record = invocation.record
        if kind is TimerKind.START:
            self.commits.put(keys.invocation(id_), record)
            # Its place is the moment it fell due, decided here, not the moment it was sent.
            record.sequence = self.next_sequence()
            record.next_attempt_ms = 0
            self._take_place(invocation)
            if record.details is not None and record.state is InvocationState.INBOXED:
                assert self._host is not None, "connect() comes first"
                self._host.has_arrived(id_)
        elif kind is TimerKind.RETRY:
            record.next_attempt_ms = 0
            self.commits.put(keys.invocation(id_), record)
            self.wake(invocation)
        else:
            make_step_due(self.commits, id_, index)
            if self.wake(invocation) is not None:
                assert self._host is not None, "connect() comes first"
                # Live in the batch that forgets the timer: the attempt may run in a later one.
                self._host.step_due(invocation, index)

    def _set_live(self, invocation: OpenInvocation) -> None:
        if not invocation.is_live:
            invocation.is_live = True
            self.commits.put_new(keys.live(invocation.id), b"")

    def _clear_waiting(self, invocation: OpenInvocation) -> None:
        invocation.is_waiting = False
        self.commits.delete(keys.waiting(invocation.id))

    def next_sequence(self) -> int:
        """A number that is greater than all that were given before, across restarts too."""
        self._last_sequence += 1
        return self._last_sequence
