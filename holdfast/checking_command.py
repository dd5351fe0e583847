"""``holdfast check``: would the invocations that are open follow this code?

Nothing is written and no action runs, and a server may have the directory open meanwhile. The exit
code is for a pipeline that is about to put the code into service:

    0    every open invocation asks again for all that its journal holds
    3    at least one asks for something else, and would be paused
    4    none does, but of at least one it cannot be told

``holdfast dev`` says the same before it serves.
"""

import json
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import click

from .app import Runtime
from .journal.directory_view import DirectoryView
from .loading import load_target
from .objects.errors import HoldfastError, StoreFailedError
from .objects.registry import Registry
from .runtime.checking import CheckedInvocation, Verdict
from .seconds import Seconds
from .watched_check import check_open_invocations, silence

EXIT_DIVERGES = 3
EXIT_UNKNOWN = 4

DEV_SECONDS_MAX = 5.0
"""How long ``dev`` checks before it serves; the rest is checked when it is replayed."""
DEV_SECONDS_OF_ONE_MAX = 1.0
DEV_SHOWN_MAX = 10

Echo = Callable[[str], None]


@dataclass(slots=True)
class Tally:
    """How many came out how."""

    counts: Counter[Verdict] = field(default_factory=Counter[Verdict])

    def add(self, checked: CheckedInvocation) -> None:
        """Count one more."""
        self.counts[checked.verdict] += 1

    @property
    def total(self) -> int:
        """All of them."""
        return self.counts.total()

    @property
    def exit_code(self) -> int:
        """For the whole check."""
        if self.counts[Verdict.DIVERGES]:
            return EXIT_DIVERGES
        return EXIT_UNKNOWN if self.counts[Verdict.UNKNOWN] else 0

    def __str__(self) -> str:
        """One line."""
        if not self.total:
            return "no invocation is open"
        noun = "invocation" if self.total == 1 else "invocations"
        if self.counts[Verdict.SAFE] == self.total:
            verb = "follows its journal" if self.total == 1 else "follow their journals"
            return f"{self.total} open {noun} {verb}"
        parts = [f"{self.counts[Verdict.SAFE]} safe"]
        if diverging := self.counts[Verdict.DIVERGES]:
            parts.append(f"{diverging} {'diverges' if diverging == 1 else 'diverge'}")
        if unknown := self.counts[Verdict.UNKNOWN]:
            parts.append(f"{unknown} cannot be told")
        return f"{self.total} open {noun}: {', '.join(parts)}"


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path("data"),
    show_default=True,
    help="The data directory; a server may have it open.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, safe ones included.")
@click.option("--all", "shows_all", is_flag=True, help="Print a line for those that are safe, too.")
@click.option(
    "--timeout",
    type=Seconds(0.1, 3_600),
    default=5,
    show_default=True,
    metavar="SECONDS",
    help="How long one handler may hold its thread before it counts as blocked.",
)
@click.argument("target")
def check(*, target: str, data: Path, as_json: bool, shows_all: bool, timeout: float) -> int:
    """Replay every open invocation against the code of TARGET, without any effect.

    Lists those that would not follow their journals, and why. Exits with 0 if all would, with 3 if
    any would not, and with 4 if of any it cannot be told.
    """
    echo = _echo_to(sys.stdout)
    # What a target prints as it is imported must not stand in the middle of an object.
    with redirect_stdout(sys.stderr if as_json else sys.stdout):
        registry = _registry_of(load_target(target).classes, data)
    try:
        with (
            closing(DirectoryView(data)) as view,
            silence(),
            closing(check_open_invocations(view, registry, seconds_max=timeout)) as found,
        ):
            report = _print_json if as_json else _print_text
            return report(found, echo, shows_all=shows_all).exit_code
    except StoreFailedError as error:
        # Nothing of ours failed to be written, so there is nothing that starting again recovers.
        raise click.ClickException(str(error)) from error


def check_before_serving(classes: tuple[type, ...], data: Path) -> None:
    """Say how the open invocations in ``data`` would fare with ``classes``, if there are any.

    Bounded in time and length. A directory that cannot be read is left to whoever opens it next.
    """
    deadline = time.monotonic() + DEV_SECONDS_MAX
    tally, echo = Tally(), _echo_to(sys.stdout)
    try:
        registry, seconds_max = _registry_of(classes, data), DEV_SECONDS_OF_ONE_MAX
        with (
            closing(DirectoryView(data)) as view,
            silence(),
            closing(check_open_invocations(view, registry, seconds_max=seconds_max)) as found,
        ):
            for checked in found:
                tally.add(checked)
                shown = tally.total - tally.counts[Verdict.SAFE]
                if checked.verdict is not Verdict.SAFE and shown <= DEV_SHOWN_MAX:
                    echo(describe(checked))
                if time.monotonic() > deadline:
                    echo(f"the first {tally}; the others are checked when they are replayed")
                    return
    except HoldfastError:
        return
    if tally.total:
        echo(str(tally))


def describe(checked: CheckedInvocation) -> str:
    """One invocation for a terminal: a line, and where it diverges both sides below it."""
    name = (
        f"{checked.target} ({checked.invocation_id})" if checked.target else checked.invocation_id
    )
    match checked.verdict:
        case Verdict.SAFE:
            return f"{name} is safe"
        case Verdict.UNKNOWN:
            return f"{name} cannot be told: {checked.reason}"
        case Verdict.DIVERGES:
            shown = checked.mismatch.block if checked.mismatch else checked.reason
            return f"{name} diverges\n{textwrap.indent(shown, '  ')}"


def _registry_of(classes: tuple[type, ...], data: Path) -> Registry:
    """What a runtime of ``classes`` serves, Holdfast's own classes included; none is started."""
    return Runtime(classes, data_dir=data).registry


def _echo_to(out: TextIO) -> Echo:
    """Print to what is standard output now, whatever stands in its place while handlers run."""

    def echo(text: str) -> None:
        click.echo(text, file=out)

    return echo


def _print_text(found: Iterator[CheckedInvocation], echo: Echo, *, shows_all: bool) -> Tally:
    tally = Tally()
    for checked in found:
        tally.add(checked)
        if shows_all or checked.verdict is not Verdict.SAFE:
            echo(describe(checked))
    echo(str(tally))
    return tally


def _print_json(found: Iterator[CheckedInvocation], echo: Echo, *, shows_all: bool) -> Tally:  # noqa: ARG001  # all are in it
    """One object, printed as it comes, so that memory does not grow with the invocations."""
    tally = Tally()
    echo('{"invocations": [')
    for checked in found:
        echo(("," if tally.total else "") + json.dumps(checked.as_json()))
        tally.add(checked)
    counts = {str(verdict): tally.counts[verdict] for verdict in Verdict}
    echo(f'], "counts": {json.dumps(counts)}}}')
    return tally
