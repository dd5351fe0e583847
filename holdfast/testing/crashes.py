"""``crash_everywhere``: whatever commit a process dies at, the end is as if it had not.

A call is played once undisturbed, and then for each of its commits: killed just before the commit,
killed just after it, and with the power cut, which loses what was written in the last half minute
and nobody had waited for. After each death another runtime recovers what survived, and the client
asks again with the same idempotency keys. The outcome, the state of all objects and what the
actions did outside must be what they were.

One difference no system can rule out, and it is allowed: a step whose action had begun, and whose
end nobody saw, may have run again. ``on_unknown`` says whether it may; a step with
``on_unknown="fail"`` or ``"pause"`` may not, and then the end may be another one, which ``compare``
has to allow for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from ..journal import keys
from ..journal.records import InvocationState
from ..objects.errors import HoldfastError, InvalidArgumentError, TerminalError
from ..objects.identity import InvocationId, format_invocation_id
from ..runtime.config import RuntimeConfig
from ..runtime.testing import come_to_rest
from .clients import Client
from .effects import Effects
from .endings import Ending, NeverEnds, Raised, show_differences, without_ids
from .journals import read_entries
from .rows import describe_batch, open_invocations, read_state
from .stage import Death, Stage
from .virtual import unhurried

WRITE_BACK_MS: Final = 30_000
"""When a system writes to the disk what nobody has told it to: Linux's default."""

SUSPENDING: Final = "when every waiting attempt leaves memory at every rest"

RESUMES_MAX: Final = 3
"""How often what is paused is resumed without its journal growing: a step may never be known."""

Script = Callable[[Client], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashReport:
    """What ``crash_everywhere`` did, when nothing was wrong."""

    commits: int
    """How many the undisturbed call took."""
    cases: int
    """How many deaths it was put through."""
    ending: Ending
    """How the undisturbed call ended."""
    repeated: tuple[str, ...]
    """Steps that ran again after some death because their outcome was unknown, a sentence each."""


def as_it_is(ending: Ending) -> Any:
    """The default of ``compare``: all of the ending must be the same."""
    return ending


async def crash_everywhere(  # noqa: PLR0913  # options by keyword, each with a default
    call: Script,
    classes: Iterable[type],
    *,
    effects: Effects | None = None,
    reset: Callable[[], object] | None = None,
    compare: Callable[[Ending], Any] = as_it_is,
    config: RuntimeConfig | None = None,
    crash_again: bool = False,
    suspending: bool = False,
    resume_paused: bool = False,
) -> CrashReport:
    """Run ``call`` once for each of its commits, and have the process die there.

    Every case begins with an empty store, the time at the same moment, and ``effects`` cleared. Ids
    of invocations and awakeables differ from case to case and count as equal, also within texts.

    Args:
        call: what a client does: ``async def buy(client): return await client.object(Shop,
            "berlin").buy("lamp")``. It may make several calls, at the same time too. It lives
            outside, so no crash touches it.
        classes: the objects and services to serve.
        effects: what the actions write to. Without it, which steps ran is compared all the same.
        reset: called before each case, to put back what your fakes remember.
        compare: what must be equal, made of an ending; for values that differ by nature, such as
            a ``uuid4``, or where more than one end is right.
        config: limits and delays.
        crash_again: do each case a second time, with another death during its recovery.
        suspending: have every attempt that only waits leave memory at every rest, in all cases.
        resume_paused: play the person who resumes whatever is paused.

    Raises:
        AssertionError: an ending differs, a step ran again that may not, or a case never ends.
            The message names the commit, what was written there, and both sides.
        InvalidArgumentError, InvalidDefinitionError: ``call`` or ``classes`` cannot be played.

    What the undisturbed call raises is raised as it is, but for a ``HoldfastError`` after the first
    commit, which is how the call ends.
    """
    __tracebackhide__ = True
    if not callable(call):
        message = (
            f"crash_everywhere takes an async function that is given a client and can be called "
            f"again and again, not {call!r:.80}"
        )
        raise InvalidArgumentError(message)
    case = _Case(
        call=call,
        classes=classes if isinstance(classes, type) else tuple(classes),
        effects=effects,
        reset=reset,
        compare=compare,
        config=unhurried(config),
        resume_paused=resume_paused,
    )
    expected, stage = await case.run(None, suspends=False)
    if stage.witness.faults:
        raise AssertionError("\n".join(stage.witness.faults))
    reference = _Reference(expected, compare(without_ids(expected)))
    if suspending:
        ending, stage = await case.run(None, suspends=True)
        case.check(reference, ending, stage, lambda: SUSPENDING)
    commits = stage.disks[0].writes
    if not commits:
        message = "the call wrote nothing, so there is no commit to die at; does it call anything?"
        raise stage.error or AssertionError(message)
    cases = 0
    repeated: dict[str, None] = {}
    for death in deaths(commits, crash_again=crash_again):
        ending, stage = await case.run(death, suspends=suspending)
        case.check(reference, ending, stage, partial(_describe, death, commits, stage))
        repeated |= dict.fromkeys(stage.witness.repeated)
        cases += 1
    return CrashReport(commits=commits, cases=cases, ending=expected, repeated=tuple(repeated))


def deaths(commits: int, *, crash_again: bool) -> Iterator[Death]:
    """Every way to die at each of so many commits."""
    for at_write in range(commits):
        for is_applied, is_power_cut in ((False, False), (True, False), (False, True)):
            yield Death(at_write, is_applied, is_power_cut)
            if crash_again:
                yield Death(at_write, is_applied, is_power_cut, at_write % 3)


@dataclass(frozen=True, slots=True)
class _Reference:
    """The undisturbed ending, and what of it must be the same."""

    ending: Ending
    compared: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """What all cases have in common."""

    call: Script
    classes: Iterable[type]
    effects: Effects | None
    reset: Callable[[], object] | None
    compare: Callable[[Ending], Any]
    config: RuntimeConfig
    resume_paused: bool

    async def run(self, death: Death | None, *, suspends: bool) -> tuple[Ending, "_CallStage"]:
        """Play it, with this death; gives how it ended, and the stage it was played on."""
        if self.reset is not None:
            self.reset()
        stage = _CallStage(
            self.classes,
            self.config,
            death=death,
            suspends=suspends,
            write_back_ms=WRITE_BACK_MS,
        )
        stage.resumes = self.resume_paused
        if self.effects is not None:
            self.effects.begin(stage.witness)
        try:
            task = await stage.play(self.call)
            outcome = await _outcome(task, stage, is_disturbed=death is not None)
            return (
                Ending(
                    outcome=outcome,
                    state=read_state(stage.store),
                    effects=stage.witness.effects(),
                    paused=tuple(stage.paused()),
                ),
                stage,
            )
        except AssertionError as error:
            error.add_note(f"with {death}" if death else "undisturbed")
            raise
        finally:
            if self.effects is not None:
                self.effects.end()
            stage.close()
            await come_to_rest()

    def check(
        self,
        reference: _Reference,
        ending: Ending,
        stage: "_CallStage",
        describe: Callable[[], str],
    ) -> None:
        """Compare one ending with the undisturbed one.

        Raises:
            AssertionError: it differs, or a step ran again that may not.
        """
        __tracebackhide__ = True
        compared = self.compare(without_ids(ending))
        if compared == reference.compared and not stage.witness.faults:
            return
        lines = [f"the call ends otherwise {describe()}", *stage.witness.faults]
        lines += dict.fromkeys(stage.witness.repeated)
        lines += show_differences((reference.ending, reference.compared), (ending, compared))
        raise AssertionError("\n".join(lines)) from stage.error


class _CallStage(Stage):
    """A stage that plays the person who resumes, and keeps what is needed to tell of a death."""

    resumes = False
    """Whether what is paused is resumed, each time everything is at rest."""
    error: BaseException | None = None
    """What the call raised."""
    # Entries of all journals when nothing but a resume could move anything.
    _entries = -1

    def __init__(self, classes: Iterable[type], config: RuntimeConfig, **options: Any) -> None:
        super().__init__(classes, config, **options)
        # How many entries each paused one had at its last resume, and how many resumes in a row
        # have found as many.
        self._resumed: dict[InvocationId, tuple[int, int]] = {}

    async def _move(self, task: "asyncio.Task[Any]") -> bool:
        has_moved = await super()._move(task)
        if has_moved or not (self.resumes and any(self.paused())):
            return has_moved
        # What its resume has paused once more is resumed again, if it got further.
        entries = sum(1 for _ in self.store.scan(*keys.prefix_range(keys.JOURNAL)))
        was, self._entries = self._entries, entries
        return entries != was

    def at_rest(self) -> None:
        """Resume what is paused, if that is wanted."""
        if self.resumes:
            for id_, record in list(open_invocations(self.store)):
                if record.state is InvocationState.PAUSED and self._may_resume(id_):
                    handle = self.runtime.invocation(format_invocation_id(id_))
                    handle.resume().add_done_callback(_look_at)

    def _may_resume(self, id_: InvocationId) -> bool:
        """Whether another resume can be hoped to help; counts it."""
        entries = len(read_entries(self.store, id_))
        was, times = self._resumed.get(id_, (entries, 0))
        times = times + 1 if entries == was else 1
        self._resumed[id_] = (entries, times)
        return times <= RESUMES_MAX

    def paused(self) -> Iterator[str]:
        """What is paused and why, a sentence each."""
        for _, record in open_invocations(self.store):
            if record.state is InvocationState.PAUSED:
                yield f"{record.target} is paused: {record.last_failure}"

    def describe_death(self) -> Iterator[str]:
        """What the dying processes were about to write, or had just written."""
        for disk in self.disks:
            if disk.last_batch:
                yield from (f"    {line}" for line in describe_batch(self.store, disk.last_batch))


async def _outcome(task: "asyncio.Task[Any]", stage: _CallStage, *, is_disturbed: bool) -> Any:
    if not task.done():
        waits = "\n".join(stage.runtime.describe_open())
        task.cancel()
        await asyncio.wait([task])
        return NeverEnds(waits)
    stage.error = error = task.exception()
    if error is None:
        return task.result()
    if not is_disturbed and not isinstance(error, HoldfastError):
        raise error  # The test itself is wrong, or has found something.
    message = error.message if isinstance(error, HoldfastError) else str(error)
    status_code = error.status_code if isinstance(error, TerminalError) else None
    type_name = error.type_name if isinstance(error, TerminalError) else type(error).__name__
    return Raised(type_name, message, status_code)


def _describe(death: Death, commits: int, stage: _CallStage) -> str:
    number = death.at_write + 1
    if death.is_power_cut:
        lost = stage.lost_writes[0] if stage.lost_writes else 0
        how = f"with a power cut at commit {number} of {commits}, which loses it"
        if lost:
            how += f" and the {lost} before it that were not synced"
    elif death.is_applied:
        how = f"when the process is killed after commit {number} of {commits}"
    else:
        how = f"when the process is killed before commit {number} of {commits}"
    if stage.crashes > 1:
        how += f", and the next one at commit {(death.again_at_write or 0) + 1} of its own"
    return "\n".join([f"{how}, which is:", *stage.describe_death()])


def _look_at(future: "asyncio.Future[bool]") -> None:
    """A process that dies meanwhile is no surprise here."""
    if not future.cancelled():
        future.exception()
