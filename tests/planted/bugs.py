"""The bugs that the simulation has to find: each a mistake that somebody could make, or has made.

They come from the faults of other systems (Restate's release notes, NATS, the fsync papers), from
what this runtime had to get right, and from what its comments warn of. Each one leaves the happy
path alone: a test that kills nothing and races with nothing passes with nearly all of them.
"""

from dataclasses import dataclass

from tests.planted.planting import Edit


@dataclass(frozen=True, slots=True)
class Bug:
    """One bug."""

    name: str
    says: str
    """What the runtime does wrong, for the table."""
    breaks: str
    """The promise that is broken first, as ``tests.proof.invariants`` numbers them."""
    edits: tuple[Edit, ...]


def _bug(name: str, breaks: str, says: str, *edits: tuple[str, str, str]) -> Bug:
    return Bug(name, says, breaks, tuple(Edit(*edit) for edit in edits))


DURABILITY = (
    _bug(
        "ack before sync",
        "I12",
        "lets effects out once their batch is written",
        ("runtime.commits:Commits._release", "gated[0][0] <= self._durable", "gated"),
    ),
    _bug(
        "sync counts what came later",
        "I12",
        "takes for durable what was written while the sync ran",
        (
            "runtime.commits:Commits._synced",
            "self._durable = position",
            "self._durable = self._written",
        ),
    ),
    _bug(
        "retry a failed sync",
        "I16",
        "syncs again when a sync fails, as if the kernel still had the pages",
        (
            "runtime.commits:Commits._synced",
            'self._stop(error or AssertionError("a sync returned no position"))',
            "self._sync()",
        ),
    ),
    _bug(
        "go on after a failed write",
        "I16",
        "takes a batch for written although the store refused it",
        (
            "runtime.commits:Commits.write",
            (
                "                self._stop(error)\n"
                "                if not isinstance(error, Exception):\n"
                "                    raise\n                return\n"
            ),
            "                pass\n",
        ),
    ),
    _bug(
        "torn transition",
        "I11",
        "writes the rows of one turn in two batches",
        (
            "runtime.commits:Commits.write",
            "self._written = self._store.write(batch)",
            (
                "rows = list(batch.items())\n"
                "                self._store.write(dict(rows[: len(rows) // 2]))\n"
                "                self._written = self._store.write(dict(rows[len(rows) // 2 :]))"
            ),
        ),
    ),
    _bug(
        "duplicate answered too early",
        "I8",
        "answers at once what was decided in an earlier turn, durable or not",
        (
            "runtime.commits:Commits.when_durable",
            "elif self._durable >= self._written and not self._gated:",
            "elif True:",
        ),
    ),
    _bug(
        "action before its intent is durable",
        "I12",
        "starts a step's action in the turn that asks for it",
        (
            "runtime.steps:Steps._gate",
            "self._commits.when_durable(partial(self._launch, step))",
            "self._launch(step)",
        ),
    ),
)

MAILBOXES = (
    _bug(
        "last come, first served",
        "I6",
        "passes the turn to whoever came last",
        (
            "runtime.mailboxes:Mailboxes.leave",
            "next(iter(mailbox.lane or mailbox.waiting), None)",
            "next(reversed(mailbox.lane or mailbox.waiting), None)",
        ),
    ),
    _bug(
        "turn forgotten with the process",
        "I5",
        "takes an object for free that nobody in this process has called",
        ("runtime.mailboxes:Mailboxes._find", "if row is None:", "if True:"),
    ),
    _bug(
        "interrupting call lost with its copy",
        "I15",
        "reads the queue back from rows, and not the lane",
        (
            "runtime.mailboxes:Mailboxes._read",
            "in self._commits.scan(*keys.prefix_range(keys.LANE + object_)):",
            "in ():",
        ),
    ),
    _bug(
        "interrupting call behind those who wait",
        "I5",
        "has a call that interrupts wait with the others, where others wait",
        (
            "runtime.mailboxes:Mailboxes.arrive",
            "mode is CallMode.INTERRUPT:",
            "mode is CallMode.INTERRUPT and not mailbox.waiting:",
        ),
    ),
    _bug(
        "turn kept by a paused one that is killed",
        "I17",
        "passes the turn on from what runs, and not from what is paused",
        (
            "runtime.lifecycle:Lifecycle.complete",
            "if record.is_exclusive and record.state is not InvocationState.SCHEDULED:",
            (
                "if record.is_exclusive and record.state not in"
                " {InvocationState.SCHEDULED, InvocationState.PAUSED}:"
            ),
        ),
    ),
    _bug(
        "place from the time of sending",
        "I5",
        "gives a delayed call the place it would have had when it was sent",
        (
            "runtime.lifecycle:Lifecycle._fire",
            "record.sequence = self.next_sequence()",
            "pass",
        ),
    ),
    _bug(
        "sequences begin again",
        "I6",
        "counts places from one at each start",
        (
            "runtime.lifecycle:Lifecycle.__init__",
            "self._last_sequence = epoch << SEQUENCE_BITS",
            "self._last_sequence = 0",
        ),
    ),
    _bug(
        "key released under a running action",
        "I5",
        "ends a turn while an action of it still runs",
        (
            "runtime.attempt:Attempt._end",
            "if self._parts.steps.is_busy(self.invocation.id):",
            "if False:",
        ),
    ),
)

TIMERS = (
    _bug(
        "timer before the cursor",
        "I9",
        "does not look for timers that are earlier than the last one that fired",
        ("runtime.timers:Timers.add", "self.cursor.lower(key)", "pass"),
    ),
    _bug(
        "timer early",
        "I9",
        "fires what is due within the next ten seconds",
        ("runtime.timers:Timers.fire_due", "> now_ms", "> now_ms + 10_000"),
    ),
    _bug(
        "timer fires again",
        "I9",
        "leaves the row of a timer that has fired",
        ("runtime.timers:Timers.fire_due", "self._commits.delete(key)", "pass"),
    ),
    _bug(
        "alarm not moved forward",
        "I9",
        "keeps the alarm it has when an earlier timer comes",
        (
            "runtime.timers:Timers.add",
            "(self._alarm is None or due_ms < self._alarm_ms)",
            "self._alarm is None",
        ),
    ),
    _bug(
        "retry stays due",
        "I15",
        "does not note that the next attempt has fallen due",
        (
            "runtime.lifecycle:Lifecycle._fire",
            (
                "            record.next_attempt_ms = 0\n"
                "            self.commits.put(keys.invocation(id_), record)\n"
            ),
            "",
        ),
    ),
)

WAKING = (
    _bug(
        "lost wake-up",
        "I15",
        "gives a completion to whoever is in memory, and to nobody else",
        (
            "runtime.lifecycle:Lifecycle.deliver",
            "self.wake(invocation)",
            "pass",
        ),
    ),
    _bug(
        "woken but not live",
        "I15",
        "starts an attempt of what was suspended without a row that says so",
        (
            "runtime.lifecycle:Lifecycle.wake",
            "            self._set_live(invocation)\n            self._start(invocation)",
            "            self._start(invocation)",
        ),
    ),
    _bug(
        "begun but not live",
        "I15",
        "begins a turn without a row that says so",
        ("runtime.lifecycle:Lifecycle._begin", "self._set_live(invocation)", "pass"),
    ),
    _bug(
        "steps do not keep it live",
        "I15",
        "takes one that waits for its steps for one that waits for others",
        ("runtime.lifecycle:Lifecycle.blocked", "if has_steps:", "if False:"),
    ),
    _bug(
        "recovery stops early",
        "I15",
        "takes up the first one that was live",
        (
            "runtime.recovery:Recovery.go_on",
            "for key, _ in rows:",
            "for key, _ in rows[:1]:",
        ),
    ),
    _bug(
        "recovery takes up one turn's worth",
        "I15",
        "takes up no more than fits into the first turn",
        (
            "runtime.recovery:Recovery.go_on",
            "return len(rows) == count",
            "return False",
        ),
    ),
    _bug(
        "caller asleep",
        "I15",
        "tells the outcome of a call to a caller that is in memory",
        (
            "runtime.lifecycle:Lifecycle.complete",
            "if record.caller is not None:",
            "if record.caller in self._open:",
        ),
    ),
    _bug(
        "completion not recorded",
        "I3",
        "hands a completion to a resident handler and does not write it down",
        (
            "runtime.lifecycle:Lifecycle.deliver",
            "self.append(invocation, entry)",
            "invocation.attempt or self.append(invocation, entry)",
        ),
    ),
    _bug(
        "awakeable resolved while asleep",
        "I18",
        "drops a resolution whose handler is not in memory",
        (
            "runtime.lifecycle:Lifecycle.complete_awakeable",
            "self.complete_command(awakeable.invocation_id, awakeable.index, result)",
            (
                "awakeable.invocation_id not in self._open or self.complete_command("
                "awakeable.invocation_id, awakeable.index, result)"
            ),
        ),
    ),
)

STEPS = (
    _bug(
        "unknown means again",
        "I3",
        "runs a step again that is to fail when its outcome is unknown",
        ("runtime.steps:Steps._unknown", 'if on_unknown == "fail":', "if False:"),
    ),
    _bug(
        "unknown is not asked",
        "I3",
        "runs the action again where verify is to be asked first",
        ("runtime.steps:Steps._unknown", "if callable(on_unknown):", "if False:"),
    ),
    _bug(
        "unknown does not pause",
        "I3",
        "runs the action again where a person is to decide",
        ("runtime.steps:Steps._unknown", 'elif on_unknown == "pause":', "elif False:"),
    ),
    _bug(
        "another key for each attempt",
        "I3",
        "gives the second attempt of a step another idempotency key",
        (
            "runtime.step_plan:Step.idempotency_key",
            "idempotency_key_of(self.invocation_id, self.index)",
            "idempotency_key_of(self.invocation_id, self.index + 1000 * (self.attempt - 1))",
        ),
    ),
)

REPLAY = (
    _bug(
        "two deliveries swapped",
        "I4",
        "delivers the newest completion first on replay",
        (
            "journal.replay:ReplayCursor.next_delivery",
            "return self._undelivered.popleft()",
            (
                "return self._undelivered.pop() if self._recorded_deliveries"
                " == len(self._undelivered) - 1 else self._undelivered.popleft()"
            ),
        ),
    ),
    _bug(
        "another random number",
        "I4",
        "seeds a handler's randomness with how often it has been tried",
        (
            "runtime.handler_port:HandlerPort.random",
            "seed = self._commands.input.seed or bytes(self._invocation.id)",
            "seed = bytes(self._invocation.id) + bytes([self._invocation.next_index % 256])",
        ),
    ),
    _bug(
        "time of the attempt",
        "I4",
        "tells a handler when this attempt began, instead of the turn",
        (
            "runtime.commands:Commands.__init__",
            "self.now_ms = invocation.record.begun_ms",
            "self.now_ms = lifecycle.clock.now_ms()",
        ),
    ),
    _bug(
        "turn replayed on its own changes",
        "I11",
        "keeps no undo rows, so a replay changes the state once more",
        ("runtime.state_table:StateTable._keep_old", "if there is None:", "if False:"),
        ("runtime.state_table:StateTable._keep_old", "old = undo_rows.decode(there)", "return 0"),
    ),
    _bug(
        "undo to the latest change",
        "I11",
        "takes a turn back to its last command instead of its beginning",
        (
            "runtime.state_table:StateTable.read_undo",
            "parts.setdefault(part, old.row)",
            "parts[part] = old.row",
        ),
    ),
    _bug(
        "values kept from a failed turn",
        "I19",
        "leaves an object's live values in memory when a turn takes them",
        (
            "runtime.attempts:Attempts.take_values",
            "        self._values_bytes -= entry[1]\n",
            "        self._values_bytes -= entry[1]\n        self._values[object_] = entry\n",
        ),
    ),
    _bug(
        "patch forgotten",
        "I4",
        "does not record that later code runs in an invocation",
        ("runtime.commands:Commands.patched", "self.write(Patched(name))", "pass"),
    ),
    _bug(
        "patch taken out and missed",
        "I15",
        "takes a patch that the code does not ask for any more for a mismatch",
        ("journal.replay:ReplayCursor.match", "type(issued.command) is Patched:", "False:"),
    ),
    _bug(
        "send made again",
        "I10",
        "makes a recorded send again when it is replayed",
        (
            "runtime.handler_port:HandlerPort.send",
            "callee = match[1].callee",
            (
                "callee = accept_call(commands, target, argument, options, caller=None,"
                " again=(0, commands.lifecycle.new_id()))[0]"
            ),
        ),
    ),
)

ENDING = (
    _bug(
        "canceled one keeps its place",
        "I17",
        "leaves the place of a waiting call that is canceled",
        (
            "runtime.lifecycle:Lifecycle.complete",
            "if record.is_exclusive and record.state is not InvocationState.SCHEDULED:",
            (
                "if record.is_exclusive and record.state not in"
                " {InvocationState.SCHEDULED, InvocationState.INBOXED}:"
            ),
        ),
    ),
    _bug(
        "cancellation of the sleeping",
        "I15",
        "delivers a cancellation only to a handler in memory",
        (
            "runtime.cancellation:_cancel",
            "    lifecycle.deliver(",
            "    invocation.attempt and lifecycle.deliver(",
        ),
    ),
    _bug(
        "kill leaves its open ends",
        "I17",
        "kills without taking back awakeables and timers",
        ("runtime.control:kill", "lifecycle.withdraw_open(invocation)", "pass"),
    ),
    _bug(
        "kill leaves its callees",
        "I17",
        "kills a caller, and not those who work for it",
        ("runtime.control:kill", "doomed += _find_callees(lifecycle, each)", "pass"),
    ),
    _bug(
        "kill leaves its actions",
        "I17",
        "does not let go of the actions of what is killed",
        (
            "runtime.control:kill",
            "core.attempts.abandon(invocation)",
            "core.attempts.drop(invocation)",
        ),
    ),
    _bug(
        "pause forgotten by a crash",
        "I17",
        "leaves a paused one for the next start to take up",
        ("runtime.lifecycle:Lifecycle._rest", "if invocation.is_live:", "if False:"),
    ),
    _bug(
        "interrupt without the interruption",
        "I15",
        "gives an interrupting call its place, and does not tell the holder",
        (
            "runtime.interrupts:has_arrived",
            'cancel(lifecycle, holder, f"interrupted by {format_invocation_id(id_)}")',
            "pass",
        ),
    ),
    _bug(
        "section that holds nothing back",
        "I17",
        "tells a handler to end in the middle of a section",
        ("runtime.commands:Commands.deliver_next", "if self._shields:", "if False:"),
    ),
    _bug(
        "cancellation lost in a section",
        "I17",
        "forgets a cancellation that a section has held back",
        (
            "runtime.commands:Commands.release_cancellation",
            "return self._tell_to_end()",
            "return False",
        ),
    ),
    _bug(
        "shielded call told to end",
        "I17",
        "tells a call to end that is shielded from its caller's cancellation",
        (
            "runtime.commands:Commands.withdraw_all",
            "self.cancellation is not None and not is_shielded(each.future)",
            "self.cancellation is not None",
        ),
    ),
)

WAITING = (
    _bug(
        "signal lost with its wait",
        "I18",
        "drops a signal that was taken by a wait that is given up",
        (
            "runtime.signals:stop_waiting",
            "_hand_on(lifecycle, invocation, name, place, completion.result)",
            "pass",
        ),
    ),
    _bug(
        "signal given twice",
        "I18",
        "keeps a signal that was taken",
        (
            "runtime.signals:take_signal",
            "    commits.delete(key)\n    _keep_place(",
            "    _keep_place(",
        ),
    ),
    _bug(
        "signal sent again",
        "I18",
        "sends a handler's signal again when it is replayed",
        ("runtime.handler_port:HandlerPort.send_signal", "if is_new:", "if True:"),
    ),
    _bug(
        "latest signal first",
        "I18",
        "gives out the signals of one name in the wrong order",
        (
            "runtime.signals:take_signal",
            "commits.scan(*keys.prefix_range(prefix))",
            "commits.scan(*keys.prefix_range(prefix), reverse=True)",
        ),
    ),
    _bug(
        "promise completed twice",
        "I18",
        "lets the second completion of a promise stand",
        (
            "runtime.promises:complete_promise",
            "if commits.get(key) is not None:",
            "if False:",
        ),
    ),
    _bug(
        "state told to one watcher",
        "I19",
        "tells the first of those who wait for another state of an object",
        (
            "runtime.watches:Watches._look",
            "dict.fromkeys(self._watchers.get(watched, ()), watched)",
            "dict.fromkeys(list(self._watchers.get(watched, ()))[:1], watched)",
        ),
    ),
    _bug(
        "promise told to one",
        "I15",
        "tells a promise's value to the first of those who wait",
        (
            "runtime.promises:complete_promise",
            "list(commits.scan(*keys.prefix_range(prefix)))",
            "list(commits.scan(*keys.prefix_range(prefix)))[:1]",
        ),
    ),
    _bug(
        "awakeable stays open",
        "I18",
        "lets an awakeable be resolved again",
        (
            "runtime.withdrawal:close_awakeable",
            "    commits.delete(key)\n",
            "",
        ),
    ),
)

KEEPING = (
    _bug(
        "idempotency key not written",
        "I8",
        "does not remember the key of a call",
        (
            "runtime.admission:Admission.submit_to",
            "self._commits.put(key, id_ + _digest(request.argument))",
            "pass",
        ),
    ),
    _bug(
        "another body taken for the same",
        "I8",
        "does not look at the body of a request whose idempotency key is known",
        (
            "runtime.admission:Admission._find_duplicate",
            "is_other = row[INVOCATION_ID_BYTES:] != _digest(request.argument)",
            "is_other = False",
        ),
    ),
    _bug(
        "duplicate of what is over",
        "I8",
        "accepts a call again once the first one has completed",
        (
            "runtime.admission:Admission._find_duplicate",
            "outcome.expires_ms <= self._core.clock.now_ms()",
            "outcome.completed_ms <= self._core.clock.now_ms()",
        ),
    ),
    _bug(
        "retention in a hurry",
        "I1",
        "forgets outcomes in half the time",
        (
            "runtime.retention:Retention._collect_due",
            "self._keeping.outcome_until_ms(outcome) <= now_ms",
            "(outcome.completed_ms + self._keeping.outcome_until_ms(outcome)) // 2 <= now_ms",
        ),
        (
            "runtime.retention:Retention._collect_in_order",
            "accepted_ms(id_) + margin_ms > now_ms",
            "accepted_ms(id_) + margin_ms // 2 > now_ms",
        ),
    ),
    _bug(
        "key forgotten of a later call",
        "I8",
        "forgets an idempotency key that another call has by now",
        (
            "runtime.forgetting:Forgetting.forget_key",
            "if row is not None and row.startswith(id_):",
            "if row is not None:",
        ),
    ),
    _bug(
        "key forgotten for want of room",
        "I1",
        "forgets outcomes whose idempotency key counts when too much is kept",
        ("runtime.retention:Retention._relieve_one", "if not still_counts:", "if True:"),
    ),
    _bug(
        "key kept of what is purged",
        "I11",
        "purges an outcome, and leaves the idempotency key that leads to it",
        (
            "runtime.forgetting:Forgetting.forget",
            "self.forget_key(id_, outcome, budget)",
            "pass",
        ),
    ),
    _bug(
        "journal kept in name",
        "I11",
        "forgets a journal, and leaves an outcome that says it is kept",
        (
            "runtime.retention:Retention.forget_journal",
            "self._rewrite(id_, changed, outcome, budget)",
            "pass",
        ),
    ),
    _bug(
        "remains forgotten by a crash",
        "I11",
        "does not write down that a journal is deleted in part",
        (
            "runtime.forgetting:Forgetting._leave",
            "self._commits.put(keys.remains(id_), remains)",
            "pass",
        ),
    ),
)

BEYOND = (
    _bug(
        "query answered too early",
        "I12",
        "answers a query when it is read, and not when what it shows is durable",
        (
            "runtime.views.looking:Looks.look",
            "tell((result, error))",
            "core.answers.settle(told, (result, error))",
        ),
    ),
    _bug(
        "workflow kept by what is left of it",
        "I11",
        "takes a forgotten workflow for started while its rows are being deleted",
        ("runtime.workflows:make_way", "_forget(commits, object_, sys.maxsize)", "return id_"),
    ),
    _bug(
        "first thing taken back first",
        "I10",
        "takes back the effects of a saga in the order in which they happened",
        (
            "runtime.compensations:Compensations.run",
            "for each in reversed(entries) if",
            "for each in entries if",
        ),
    ),
    _bug(
        "nothing heard of the last attempt",
        "I3",
        "does not tell an attempt of a step how far the last one came",
        (
            "runtime.step_actions:Actions.run",
            "None if step.details is None else decode_details(step.details)",
            "None",
        ),
    ),
    _bug(
        "failure told to nobody",
        "I10",
        "tells a callback of results, and not of failures",
        (
            "runtime.lifecycle:Lifecycle.complete",
            "record.details.callback is not None:",
            "record.details.callback is not None and isinstance(result, bytes):",
        ),
    ),
    _bug(
        "any answer is a yes",
        "I10",
        "takes a URL for told, whatever status it answers",
        ("ingress.callbacks:_check", "if 200 <= status < 300:", "if status != _GONE:"),
    ),
    _bug(
        "URL told again too soon",
        "I9",
        "does not heed when a URL wants to be told again",
        ("ingress.callbacks:_check", "retry_after=retry_after", ""),
    ),
    _bug(
        "outcome told to nobody who attached",
        "I15",
        "does not tell a handler the outcome that it waits for, unless it made the call",
        (
            "runtime.lifecycle:Lifecycle._complete_rare",
            "in self.outcomes.take_attached(id_):",
            "in list(self.outcomes.take_attached(id_))[:0]:",
        ),
    ),
    _bug(
        "restarted on top of itself",
        "I11",
        "leaves the state as it is when a turn is restarted from an entry",
        (
            "runtime.rewinds:_Rewind.stage",
            "self._put_back(sequence, name, part, olds, cut)",
            "pass",
        ),
    ),
    _bug(
        "nothing kept as null",
        "I4",
        "stores null for a name that was read where nothing is stored",
        ("runtime.object_state:ExclusiveState.get", "if not field.has_default:", "if False:"),
    ),
    _bug(
        "forked as it is now",
        "I11",
        "begins a fork with the state of now, whatever moment was named",
        (
            "runtime.past:Past.fork",
            "rows = self._find(definition, key, id_, entry)",
            "rows = self._find(definition, key, None, None)",
        ),
    ),
)

DOORS = (
    _bug(
        "state told as it was",
        "I19",
        "goes on to tell the tag that a state had when it was last looked at",
        ("runtime.watches:Watches._note", "self._tags.pop(watched, None)", "pass"),
    ),
    _bug(
        "promise kept before it is durable",
        "I18",
        "tells whoever completes a promise that it is, whether or not that is durable",
        (
            "runtime.promise_handle:PromiseHandle._complete",
            "return core.answers.when_durable(None)",
            (
                "core.answers.settle(told := core.answers.when_durable(None), None)\n"
                "            return told"
            ),
        ),
    ),
    _bug(
        "whoever waits is sent away",
        "I18",
        "answers at once whoever waits for a promise",
        (
            "runtime.watches:Watches.wait",
            "if timeout_s is not None and timeout_s <= 0:",
            "if timeout_s is not None:",
        ),
    ),
    _bug(
        "webhook without a name",
        "I8",
        "takes each delivery of a webhook for another one",
        (
            "ingress.webhooks:Delivered.answer",
            "call = replace(call, idempotency_key=received.id)",
            "pass",
        ),
    ),
    _bug(
        "old signature counts",
        "I10",
        "takes a webhook whose signature was caught on the way long ago",
        (
            "objects.webhook:TimedWebhook._find_lateness",
            "if abs(now_s - int(signed_at)) <= self.tolerance.total_seconds():",
            "if True:",
        ),
    ),
    _bug(
        "every handler open",
        "I10",
        "lets callers without a token in to all handlers, and not to those of webhooks only",
        (
            "ingress.callers:CallersDoor._is_open",
            "return handler.options.webhook is not None",
            "return True",
        ),
    ),
    _bug(
        "part of a token enough",
        "I10",
        "lets callers in whose token begins as one of the door does",
        (
            "ingress.access:_hash",
            "return sha256(token).digest()",
            "return sha256(token[:16]).digest()",
        ),
    ),
    _bug(
        "revoked link counts",
        "I18",
        "takes links that were signed with a key that is revoked",
        ("runtime.links:LinkKeys.verify", "if not key.is_revoked:", "if True:"),
    ),
    _bug(
        "link not outlived by its key",
        "I18",
        "takes links that were signed with the latest key only",
        (
            "runtime.links:LinkKeys.verify",
            "for key in self._read():",
            "for key in self._read()[-1:]:",
        ),
    ),
    _bug(
        "found by what is forgotten",
        "I11",
        "finds a forgotten workflow by its key while its rows are being deleted",
        (
            "runtime.finding:_find_run",
            "if row is not None and not is_forgotten(core.commits, keys.object_key(name, key)):",
            "if row is not None:",
        ),
    ),
)

_ALL = (
    *DURABILITY,
    *MAILBOXES,
    *TIMERS,
    *WAKING,
    *STEPS,
    *REPLAY,
    *ENDING,
    *WAITING,
    *KEEPING,
    *BEYOND,
    *DOORS,
)

_TOO_WELL_HIDDEN = frozenset(
    {
        "alarm not moved forward",
        "kill leaves its actions",
        "woken but not live",
    }
)

BUGS = tuple(bug for bug in _ALL if bug.name not in _TOO_WELL_HIDDEN)
"""Those that are found, each within a minute of one core."""

HIDDEN = tuple(bug for bug in _ALL if bug.name in _TOO_WELL_HIDDEN)
"""Those that a minute does not find from every seed: what the worlds are too weak for."""
