"""The same request to everybody, in turn, round after round; what came of it, as medians.

A round begins with the first and ends with the last, so a neighbour on the machine disturbs all of
them about alike. Who cannot be started stays in the table, with the reason.
"""

import contextlib
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .contenders import Absent, Contender, find_contenders
from .harness import BenchmarkError, Figure, Options, median, scratch, show
from .load import Outcome, Request, put_load
from .servers import Server

_SETTLE_STEP_SECONDS = 0.25
_SETTLE_STEPS_MAX = 40
_IDLE_SHARE_MAX = 0.15


@dataclass(slots=True)
class Result:
    """What came of one of them: its rounds, or why there are none."""

    name: str
    outcomes: list[Outcome] = field(default_factory=list[Outcome])
    why_not: str = ""

    def median_of(self, measure: Callable[[Outcome], float]) -> float | None:
        """Over the rounds; ``None`` when there are none."""
        return median(measure(each) for each in self.outcomes) if self.outcomes else None

    def parts(self) -> str:
        """Processor time per call, by the parts of the server."""
        if not self.outcomes:
            return ""
        times = {
            name: median(each.processor_seconds_of_parts[name] for each in self.outcomes)
            for name in self.outcomes[0].processor_seconds_of_parts
        }
        return ", ".join(f"{name} {seconds * 1e6:,.0f} us" for name, seconds in times.items())


@contextlib.contextmanager
def started(
    options: Options, names: Sequence[str]
) -> Generator[tuple[dict[str, Server], dict[str, Result]]]:
    """Everybody named who can be started, each with data of its own on the same disk."""
    servers: dict[str, Server] = {}
    results: dict[str, Result] = {}
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(scratch(options))
        # The user who runs PostgreSQL has to come by.
        place.chmod(0o711)
        for contender in find_contenders(*names):
            results[contender.name] = _start(contender, place, stack, servers)
        yield servers, results


def _start(
    contender: Contender | Absent,
    place: Path,
    stack: contextlib.ExitStack,
    servers: dict[str, Server],
) -> Result:
    if isinstance(contender, Absent):
        return Result(contender.name, why_not=contender.why)
    directory = place / contender.name.replace(" ", "-")
    directory.mkdir(mode=0o711)
    try:
        servers[contender.name] = stack.enter_context(contender.start(directory))
    except (BenchmarkError, OSError) as error:
        return Result(contender.name, why_not=" ".join(str(error).split())[-300:])
    return Result(contender.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """How a contest is held."""

    names: Sequence[str]
    connections: int
    rounds: int
    seconds: int


def hold(request: Request, rounds: Rounds, options: Options) -> dict[str, Result]:
    """Put the same load on everybody in turn; gives what came of each, by name."""
    with started(options, rounds.names) as (servers, results):
        for server in servers.values():
            warm_up = 1 + rounds.seconds // 3
            put_load(server, request, connections=rounds.connections, seconds=warm_up)
            wait_idle(server)
        for _ in range(rounds.rounds):
            for name, server in servers.items():
                outcome = put_load(
                    server, request, connections=rounds.connections, seconds=rounds.seconds
                )
                results[name].outcomes.append(outcome)
                wait_idle(server)
    return results


def wait_idle(server: Server) -> None:
    """Let it end what it was asked by those who hung up, so that the next is alone."""
    for _ in range(_SETTLE_STEPS_MAX):
        before = server.processor_seconds()
        time.sleep(_SETTLE_STEP_SECONDS)
        if server.processor_seconds() - before < _SETTLE_STEP_SECONDS * _IDLE_SHARE_MAX:
            return


def per_second(result: Result) -> float | None:
    """Answered calls per second."""
    return result.median_of(lambda each: each.per_second)


def throughput_figures(results: Iterable[Result], what: str) -> Iterable[Figure]:
    """Two lines for everybody: calls per second, and processor time per call."""
    measured = list(results)
    for result in measured:
        each_round = " ".join(show(round(each.per_second)) for each in result.outcomes)
        yield Figure(
            what=result.name,
            value=per_second(result),
            unit="/s",
            note=result.why_not or f"rounds: {each_round}",
            chart=f"{what}: calls per second",
            bar=result.name,
        )
    for result in measured:
        used = result.median_of(lambda each: each.processor_seconds)
        yield Figure(
            what=f"{result.name}, processor time",
            value=None if used is None else used * 1e6,
            unit="us",
            note=result.why_not or f"per call; {result.parts()}",
            chart=f"{what}: processor time per call, us",
            bar=result.name,
        )


def ratio_figures(results: Mapping[str, Result], targets: Mapping[str, float]) -> Iterable[Figure]:
    """Holdfast by each of those named, with its target: calls per second, and processor time.

    Processor time says the same on a busy machine as on an idle one; calls per second say what a
    user sees.
    """
    ours = results["holdfast"]
    for name, at_least in targets.items():
        theirs = results[name]
        note = theirs.why_not
        yield Figure(
            what=f"holdfast by {name}",
            value=_ratio(per_second(ours), per_second(theirs)),
            unit="",
            at_least=at_least,
            note=note,
        )
        ours_used = ours.median_of(lambda each: each.processor_seconds)
        theirs_used = theirs.median_of(lambda each: each.processor_seconds)
        yield Figure(
            what=f"processor time, {name} by holdfast",
            value=_ratio(theirs_used, ours_used),
            unit="",
            note=note or f"{(theirs_used or 0) * 1e6:,.0f} and {(ours_used or 0) * 1e6:,.0f} us",
        )


def _ratio(upper: float | None, lower: float | None) -> float | None:
    return None if upper is None or lower is None else upper / lower
