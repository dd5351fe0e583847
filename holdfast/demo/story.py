"""The story of ``holdfast demo``: what is done to the server, and what is said about it.

Nothing is believed: what ran how often is counted in the ledger, which the model writes and the
runtime never sees. ``find_faults`` is the judge, and decides the exit code.
"""

import os
import sys
import tempfile
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from .agent import STEPS
from .caller import Caller
from .ledger import Ledger, LedgerLine
from .model import answer
from .server import DemoFailedError, ServerProcess, wait_until

VICTIM = "draft"
"""The step in whose middle the server is killed."""

TOPIC = "How do agents survive a crash?"
_PATH = "/Researcher/ada/write"
_KEY = "report-1"
_COLUMNS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that the verdict is made of.

    Attributes:
        lines: the whole ledger.
        killed: the id of the process that was killed.
        answer: what the caller got in the end.
        repeated: what it got when it asked once more with the same idempotency key.
    """

    lines: list[LedgerLine]
    killed: int
    answer: str | None
    repeated: str | None


def tell(pace: float) -> int:
    """Play the story on this terminal, and clean up; gives the exit code.

    Args:
        pace: how many seconds each call of the model takes.
    """
    terminal = _Terminal()
    terminal.introduce()
    try:
        with tempfile.TemporaryDirectory(prefix="holdfast-demo-") as name:
            evidence = _Story(Path(name), pace, terminal).play()
    except DemoFailedError as error:
        terminal.fail([str(error)])
        return 1
    faults = find_faults(evidence)
    terminal.show_table(evidence)
    if faults:
        terminal.fail(faults)
        return 1
    terminal.conclude(evidence)
    return 0


def find_faults(evidence: Evidence) -> list[str]:
    """What is wrong with what was seen, one sentence each; nothing when all is as promised."""
    faults: list[str] = []
    called = Counter(line.step for line in evidence.lines if line.event == "called")
    for step in STEPS:
        expected = 2 if step == VICTIM else 1
        if called[step] != expected:
            faults.append(f"{step} ran {called[step]} times instead of {expected}")
    keys = {line.idempotency_key for line in evidence.lines if line.step == VICTIM}
    if len(keys) != 1:
        faults.append(f"{VICTIM} was given {len(keys)} idempotency keys instead of one")
    if (VICTIM, "answered", evidence.killed) in {
        (line.step, line.event, line.process) for line in evidence.lines
    }:
        faults.append(f"{VICTIM} had finished before the kill, so nothing was interrupted")
    if evidence.answer != expected_answer():
        faults.append(f"the answer is {evidence.answer!r} instead of {expected_answer()!r}")
    if evidence.repeated != evidence.answer:
        faults.append(f"asked again with the same key, the answer is {evidence.repeated!r}")
    return faults


def expected_answer() -> str:
    """The report, made without any runtime: each step's text from the one before."""
    text = TOPIC
    for step in STEPS:
        text = answer(step, text)
    return text


class _Story:
    """One play of it, in one directory."""

    def __init__(self, directory: Path, pace: float, terminal: "_Terminal") -> None:
        self._directory = directory
        self._pace = pace
        self._terminal = terminal
        self._ledger = Ledger(directory / "ledger.jsonl")
        # How many ledger lines the reader has been told of.
        self._lines_told = 0

    def play(self) -> Evidence:
        """Start, kill in the middle, start again, and wait for the answer."""
        caller = Caller(_PATH, TOPIC, _KEY)
        with self._start(port=0) as first:
            port = first.wait_ready()
            self._terminal.tell("server", f"process {first.process_id} listens on port {port}")
            self._terminal.tell("caller", f"POST {_PATH}, idempotency-key: {_KEY}")
            caller.ask(port)
            self._follow_until(lambda: self._saw_middle_of_victim(caller, first), "the middle")
            first.kill()
            self._terminal.alarm("server", f"SIGKILL, in the middle of {VICTIM}")
        wait_until(lambda: not caller.is_waiting(), "the caller to notice")
        self._terminal.tell("caller", f"{caller.failure}; asks again with the same key")
        with self._start(port) as second:
            second.wait_ready()
            self._terminal.tell("server", f"process {second.process_id}, on the same directory")
            caller.ask(port)
            wait_until(lambda: self._saw_restart(caller, second), "a step to run")
            self._explain_replay(second)
            self._follow_until(lambda: not caller.is_waiting(), "the answer")
            repeated = self._ask_once_more(caller, port)
            second.stop()
        return Evidence(
            lines=self._ledger.read(),
            killed=first.process_id,
            answer=caller.answer,
            repeated=repeated,
        )

    def _start(self, port: int) -> ServerProcess:
        return ServerProcess(self._directory, port, self._pace)

    def _ask_once_more(self, caller: Caller, port: int) -> str | None:
        if caller.answer is None:
            message = f"the caller got no answer: {caller.failure}"
            raise DemoFailedError(message)
        self._terminal.tell("caller", "has the report; asks once more with the same key")
        again = Caller(_PATH, TOPIC, _KEY)
        again.ask(port)
        self._follow_until(lambda: not again.is_waiting(), "the answer once more")
        self._terminal.tell("caller", "has the same report again; nothing ran for it")
        return again.answer

    def _saw_middle_of_victim(self, caller: Caller, server: ServerProcess) -> bool:
        self._expect_under_way(caller, server)
        return any(line.step == VICTIM and line.event == "halfway" for line in self._ledger.read())

    def _saw_restart(self, caller: Caller, server: ServerProcess) -> bool:
        self._expect_under_way(caller, server)
        return any(line.process == server.process_id for line in self._ledger.read())

    def _expect_under_way(self, caller: Caller, server: ServerProcess) -> None:
        if not server.is_alive():
            message = f"the server ended by itself and said: {server.said()}"
            raise DemoFailedError(message)
        if not caller.is_waiting():
            message = f"the call ended early: {caller.failure or caller.answer}"
            raise DemoFailedError(message)

    def _follow_until(self, condition: Callable[[], bool], what: str) -> None:
        def look() -> bool:
            held = condition()
            self._tell_news()
            return held

        wait_until(look, what)

    def _tell_news(self) -> None:
        lines = self._ledger.read()
        for line in lines[self._lines_told :]:
            if line.event == "called":
                self._terminal.tell(line.step, "the model is called ...")
            elif line.event == "answered":
                self._terminal.tell(line.step, "... and has answered")
        self._lines_told = len(lines)

    def _explain_replay(self, server: ServerProcess) -> None:
        """Say what the second life did not do again, as the ledger shows it."""
        lines = self._ledger.read()
        ran_again = {line.step for line in lines if line.process == server.process_id}
        for step in STEPS[: STEPS.index(VICTIM)]:
            if step not in ran_again:
                self._terminal.tell(step, "replayed from the journal; the model was not called")
        key = next(line.idempotency_key for line in lines if line.step == VICTIM)
        self._terminal.alarm(VICTIM, "outcome unknown: it was killed in the middle; run again with")
        self._terminal.alarm("", f"the same idempotency key {key}")


class _Terminal:
    """Lines of at most 80 columns, coloured where someone watches."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._is_coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def introduce(self) -> None:
        """Say what is going to happen."""
        self._print("Holdfast demo", bold=True)
        self._print("An agent writes a report in five slow, expensive calls of a model. It is")
        self._print(f"called over HTTP, and its server gets killed in the middle of {VICTIM!r}.")
        self._print("")

    def tell(self, who: str, what: str) -> None:
        """One line: when, who, what."""
        self._line(who, what, colour="cyan")

    def alarm(self, who: str, what: str) -> None:
        """As ``tell``, for what the reader must not miss."""
        self._line(who, what, colour="red")

    def show_table(self, evidence: Evidence) -> None:
        """What ran how often, as the ledger counted it."""
        called = Counter(line.step for line in evidence.lines if line.event == "called")
        self._print("")
        self._print(f"{'step':<10}{'times run':>9}   note", bold=True)
        for step in STEPS:
            again = called[step] > 1
            row = f"{step:<10}{called[step]:>9}   {_note(step, evidence)}"
            self._print(row, colour="yellow" if again else None)
        total = f"{'in all':<10}{called.total():>9}   calls of the model for {len(STEPS)} steps"
        self._print(total, bold=True)
        self._print("")

    def conclude(self, evidence: Evidence) -> None:
        """Say what was shown."""
        for line in textwrap.wrap(f"The report: {evidence.answer}", _COLUMNS):
            self._print(line)
        self._print(
            "No finished step ran again. The interrupted one did, and says so.",
            colour="green",
            bold=True,
        )

    def fail(self, faults: list[str]) -> None:
        """Say what went wrong."""
        for fault in faults:
            for line in textwrap.wrap(f"FAILED: {fault}", _COLUMNS):
                self._print(line, colour="red", bold=True)

    def _line(self, who: str, what: str, *, colour: str) -> None:
        elapsed = f"{time.monotonic() - self._began:5.1f}s"
        name = click.style(f"{who:<8}", fg=colour) if self._is_coloured else f"{who:<8}"
        click.echo(f"{elapsed}  {name}{what}", color=self._is_coloured)

    def _print(self, text: str, *, colour: str | None = None, bold: bool | None = None) -> None:
        shown = click.style(text, fg=colour, bold=bold) if self._is_coloured else text
        click.echo(shown, color=self._is_coloured)


def _note(step: str, evidence: Evidence) -> str:
    lives = {line.process for line in evidence.lines if line.step == step}
    if step == VICTIM:
        return "outcome unknown when killed; run again with the same key"
    if lives == {evidence.killed}:
        return "finished before the kill, replayed after it"
    return "ran after the restart"
