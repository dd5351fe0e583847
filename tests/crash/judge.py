"""The judge: compares the ledger outside with what the objects remember.

Nothing here knows a server. ``find_violations`` is given what was written down and the histories
that the objects had in the end, and says in sentences which promises were broken.

Places in the ledger stand for moments: of two lines, the earlier one happened earlier.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from tests.crash.ledger import Answered, Asked, Began, Ended, Finished, Killed, Line, Resolved

Histories = Mapping[str, Sequence[str]]
"""The tokens of the turns of each object, ``Counter/c1`` for one, in order."""


def find_violations(lines: Sequence[Line], histories: Histories) -> list[str]:
    """Every broken promise, as a sentence. An empty list: all were kept."""
    return [
        *find_lost_and_doubled(lines, histories),
        *find_disorder(lines, histories),
        *find_changed_answers(lines),
        *find_wrong_answers(lines, histories),
        *find_repeated_steps(lines),
        *find_late_steps(lines),
        *find_changed_steps(lines),
        *find_mixed_turns(lines),
        *find_early_timers(lines),
    ]


def expected_turns(asked: Asked) -> Iterator[tuple[str, str]]:
    """The turns a request leads to: (object, token)."""
    if "/" not in asked.target or asked.handler == "read":
        return
    yield asked.target, asked.token
    match asked.argument:
        case {"inboxes": [*inboxes]}:
            for number, inbox in enumerate(inboxes):
                yield f"Inbox/{inbox}", f"{asked.token}>{number}"
        case {"depth": int(depth)}:
            start = asked.target.rpartition("-")[0]
            yield from ((f"{start}-{number}", asked.token) for number in range(1, depth + 1))
        case _:
            pass


def find_lost_and_doubled(lines: Sequence[Line], histories: Histories) -> Iterator[str]:
    """Each acknowledged request had its turns once; no other turn was had.

    So delayed sends and timers fired once as well, and no repeated request ran twice.
    """
    answered = {line.token for line in lines if isinstance(line, Answered)}
    turns = {object_: Counter(history) for object_, history in histories.items()}
    for asked in _asked(lines):
        for object_, token in expected_turns(asked):
            count = turns.get(object_, Counter()).pop(token, 0)
            if count > 1:
                yield f"{token} had {count} turns at {object_}"
            if count == 0 and asked.token in answered:
                yield f"{token} was acknowledged and had no turn at {object_}"
    for object_, rest in turns.items():
        for token in rest:
            yield f"{token} had a turn at {object_} and nobody asked for it"


def find_disorder(lines: Sequence[Line], histories: Histories) -> Iterator[str]:
    """A request made after another one was acknowledged has its turn after that one."""
    asked_at: dict[str, int] = {}
    answered_at: dict[str, int] = {}
    for place, line in enumerate(lines):
        if isinstance(line, Asked):
            asked_at[line.token] = place
        elif isinstance(line, Answered):
            answered_at.setdefault(line.token, place)
    for object_, history in histories.items():
        # Of the turns so far, the one that was asked for last.
        latest = ""
        for token in history:
            if token not in asked_at:
                continue  # A delayed send: its place is when it is due.
            if latest and asked_at[latest] > answered_at.get(token, len(lines)):
                yield f"{latest} was made after {token} was acknowledged and ran first at {object_}"
            if not latest or asked_at[token] > asked_at[latest]:
                latest = token


def find_changed_answers(lines: Sequence[Line]) -> Iterator[str]:
    """All answers to one token name one invocation and one result."""
    invocations: dict[str, str] = {}
    results: dict[str, object] = {}
    for line in lines:
        if not isinstance(line, Answered):
            continue
        invocation = invocations.setdefault(line.token, line.invocation)
        if invocation != line.invocation:
            yield f"{line.token} was {invocation} and then {line.invocation}"
        if not line.is_send:
            result = results.setdefault(line.token, line.result)
            if result != line.result:
                yield f"the result of {line.token} was {result} and then {line.result}"


def find_wrong_answers(lines: Sequence[Line], histories: Histories) -> Iterator[str]:
    """What was answered is what follows from the ledger and the histories."""
    by_token = {asked.token: asked for asked in _asked(lines)}
    words = {line.token: line.value for line in lines if isinstance(line, Resolved)}
    # A counter that nobody was told to change has no history, and can be read all the same.
    counters = {
        asked.target: _CounterTruth(histories.get(asked.target, ()), by_token)
        for asked in by_token.values()
        if asked.target.startswith("Counter/")
    }
    for line in lines:
        if isinstance(line, Asked) and line.handler == "read":
            counters[line.target].note_read(line.token)
        if not isinstance(line, Answered) or line.is_send or line.token not in by_token:
            continue
        asked = by_token[line.token]
        if asked.target.startswith("Counter/"):
            is_right = counters[asked.target].is_right(asked, line.result)
        else:
            is_right = _is_right(asked, line.result, words)
        if not is_right:
            yield f"{asked.target}/{asked.handler} of {line.token} answered {line.result}"


def _is_right(asked: Asked, result: object, words: Mapping[str, str]) -> bool:
    match asked.handler, asked.argument:
        case "ask" | "hear" | "register", _:
            return result == words.get(asked.token)
        case "regret" | "lock_up", _:
            return result == f"{asked.token} canceled"
        case "scatter", {"inboxes": [*inboxes]}:
            return result == len(inboxes)
        case "relay", {"depth": int(depth)}:
            return result == depth
        case "race", _:
            return result in {f"{asked.token} late", f"{asked.token} in time"}
        case _:
            return asked.token in str(result)


def find_repeated_steps(lines: Sequence[Line]) -> Iterator[str]:
    """A step whose result the handler had never runs again.

    And no process runs one step twice, and what finished in a process that stopped in good order
    was recorded.
    """
    passed: dict[tuple[str, str], str] = {}
    ran: set[tuple[str, str, int]] = set()
    finished: dict[int, set[tuple[str, str]]] = defaultdict(set)
    recorded: set[tuple[str, str]] = set()
    for line in lines:
        match line:
            case Began(invocation=invocation, step=step):
                name = f"step {step!r} of {line.target} ({invocation}, {line.payload})"
                if (invocation, step) in passed:
                    yield f"{name} ran again after {passed[invocation, step]!r} had begun"
                if (invocation, step) in recorded:
                    yield f"{name} ran again although it finished before a graceful stop"
                if (invocation, step, line.process) in ran:
                    yield f"{name} ran twice in process {line.process}"
                ran.add((invocation, step, line.process))
                passed.update({(invocation, earlier): step for earlier in line.after})
            case Finished():
                finished[line.process].add((line.invocation, line.step))
            case Ended(how="stopped"):
                recorded |= finished.pop(line.process, set())
            case _:
                pass


def find_late_steps(lines: Sequence[Line]) -> Iterator[str]:
    """Once its invocation was answered, or its kill, no step begins."""
    over: dict[str, str] = {}
    for line in lines:
        match line:
            case Began(invocation=invocation, step=step) if invocation in over:
                name = f"step {step!r} of {line.target} ({invocation}, {line.payload})"
                yield f"{name} began after {over[invocation]}"
            case Answered(is_send=False):
                over[line.invocation] = f"{line.token} was answered"
            case Killed():
                over[line.invocation] = "it was killed"
            case _:
                pass


def find_changed_steps(lines: Sequence[Line]) -> Iterator[str]:
    """Every execution of a step has its payload and its idempotency key, and a later attempt."""
    first: dict[tuple[str, str], Began] = {}
    attempts: dict[tuple[str, str], int] = {}
    owners: dict[str, tuple[str, str]] = {}
    for line in lines:
        if not isinstance(line, Began):
            continue
        id_ = (line.invocation, line.step)
        name = f"step {line.step!r} of {line.target} ({line.invocation})"
        before = first.setdefault(id_, line)
        if (before.payload, before.after) != (line.payload, line.after):
            yield f"{name} got {before.payload!r} and then {line.payload!r}"
        if before.key != line.key or owners.setdefault(line.key, id_) != id_:
            yield f"{name} has not one idempotency key of its own: {line.key}"
        if line.attempt <= attempts.get(id_, 0):
            yield f"{name} began attempt {line.attempt} after attempt {attempts[id_]}"
        attempts[id_] = line.attempt


def find_mixed_turns(lines: Sequence[Line]) -> Iterator[str]:
    """Once another invocation has acted at an object, the one before it never does again."""
    holders: dict[str, str] = {}
    left: dict[str, set[str]] = defaultdict(set)
    for line in lines:
        if not isinstance(line, Began) or "/" not in line.target:
            continue
        holder = holders.get(line.target, line.invocation)
        holders[line.target] = line.invocation
        if holder != line.invocation:
            left[line.target].add(holder)
            if line.invocation in left[line.target]:
                yield f"{line.invocation} acted at {line.target} again after {holder} had"


def find_early_timers(lines: Sequence[Line]) -> Iterator[str]:
    """Nothing happens before its time."""
    for line in lines:
        if isinstance(line, Began) and line.at_ms < line.not_before_ms:
            early_ms = line.not_before_ms - line.at_ms
            yield f"step {line.step!r} of {line.target} began {early_ms} ms early ({line.payload})"


def _asked(lines: Iterable[Line]) -> Iterator[Asked]:
    return (line for line in lines if isinstance(line, Asked))


class _CounterTruth:
    """What one counter must have answered, by its history; lines are shown to it in order."""

    def __init__(self, history: Sequence[str], by_token: Mapping[str, Asked]) -> None:
        amounts = [
            by_token[token].argument["amount"] if token in by_token else 0 for token in history
        ]
        self._totals = list(accumulate(amounts, initial=0))
        self._counts = {token: count for count, token in enumerate(history, start=1)}
        # The largest count that any caller has been told of so far.
        self._told = 0
        # The same when each read was asked for: it must not see less.
        self._told_before: dict[str, int] = {}

    def note_read(self, token: str) -> None:
        self._told_before[token] = self._told

    def is_right(self, asked: Asked, result: Mapping[str, int]) -> bool:
        count, total = result["count"], result["total"]
        if asked.handler == "add":
            is_right = self._counts.get(asked.token) == count
        else:
            is_right = self._told_before[asked.token] <= count < len(self._totals)
        self._told = max(self._told, count)
        return is_right and total == self._totals[count]
