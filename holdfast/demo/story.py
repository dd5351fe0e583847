"""The story of ``holdfast demo``: what is done to the server, and what is said about it.

What is said comes from the record of the model, and ``verdict`` decides the exit code by it.
"""

import os
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from ..testing.llm import LlmRequest, LlmServer
from .agent import STEPS
from .caller import Caller
from .model import BUSY_STEP, RETRY_AFTER_SECONDS, make_model, step_of
from .server import DemoFailedError, ServerProcess, wait_until
from .verdict import TOPIC, VICTIM, Evidence, find_faults

_PATH = "/Researcher/ada/write"
_KEY = "report-1"
_COLUMNS = 80


def tell(pace: float) -> int:
    """Play the story on this terminal, and clean up; gives the exit code.

    Args:
        pace: how many seconds each call of the model takes.
    """
    terminal = _Terminal()
    terminal.introduce()
    try:
        # The model outlives every server, as it is here and they are child processes.
        with (
            tempfile.TemporaryDirectory(prefix="holdfast-demo-") as name,
            make_model(pace) as model,
        ):
            evidence = _Story(Path(name), pace, model, terminal).play()
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


class _Story:
    """One play of it, in one directory."""

    def __init__(
        self, directory: Path, pace: float, model: LlmServer, terminal: "_Terminal"
    ) -> None:
        self._directory = directory
        self._pace = pace
        self._model = model
        self._terminal = terminal
        # When the step to be interrupted was first seen to wait for the model.
        self._victim_since: float | None = None
        # What the reader has been told: the number of a request, and what had become of it.
        self._told: set[tuple[int, str]] = set()

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
        wait_until(self._saw_victim_left, "the model to notice")
        asked_before = len(self._model.requests)
        wait_until(lambda: not caller.is_waiting(), "the caller to notice")
        self._terminal.tell("caller", f"{caller.failure}; asks again with the same key")
        with self._start(port) as second:
            second.wait_ready()
            self._terminal.tell("server", f"process {second.process_id}, on the same directory")
            caller.ask(port)
            wait_until(lambda: self._saw_more(caller, second, asked_before), "a step to run")
            self._explain_replay(asked_before)
            self._follow_until(lambda: not caller.is_waiting(), "the answer")
            repeated = self._ask_once_more(caller, port)
            second.stop()
        return Evidence(
            requests=self._model.requests,
            asked_before=asked_before,
            answer=caller.answer,
            repeated=repeated,
        )

    def _start(self, port: int) -> ServerProcess:
        return ServerProcess(self._directory, port, self._model.url)

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
        if self._victim_since is None and self._victims():
            self._victim_since = time.monotonic()
        return (
            self._victim_since is not None
            and time.monotonic() - self._victim_since >= self._pace / 2
        )

    def _saw_victim_left(self) -> bool:
        # Answered is possible as well, on a slow machine; the judge will say so.
        return all(each.outcome not in {"pending", "stalled"} for each in self._victims())

    def _saw_more(self, caller: Caller, server: ServerProcess, asked_before: int) -> bool:
        self._expect_under_way(caller, server)
        return len(self._model.requests) > asked_before

    def _victims(self) -> list[LlmRequest]:
        return [each for each in self._model.requests if step_of(each) == VICTIM]

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

        wait_until(look, what, expected=len(STEPS) * self._pace)

    def _tell_news(self) -> None:
        for each in self._model.requests:
            self._tell_once(each, "asked", "the model is asked ...")
            if each.outcome == "answered":
                self._tell_once(each, "answered", "... and has answered")
            elif each.outcome == "refused":
                what = f"... and is busy: 429, Retry-After: {RETRY_AFTER_SECONDS}"
                self._tell_once(each, "refused", what)

    def _tell_once(self, request: LlmRequest, event: str, what: str) -> None:
        if (request.number, event) not in self._told:
            self._told.add((request.number, event))
            self._terminal.tell(step_of(request), what)

    def _explain_replay(self, asked_before: int) -> None:
        """Say what the second life did not do again, as the record of the model shows it."""
        asked_again = {step_of(each) for each in self._model.requests[asked_before:]}
        for step in STEPS[: STEPS.index(VICTIM)]:
            if step not in asked_again:
                self._terminal.tell(step, "replayed from the journal; the model was not asked")
        key = self._victims()[0].headers.get("idempotency-key")
        self._terminal.alarm(
            VICTIM, "outcome unknown: it was killed in the middle; asked again with"
        )
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
        self._print("The model is a scripted one, over HTTP too, that records what it is asked.")
        self._print("")

    def tell(self, who: str, what: str) -> None:
        """One line: when, who, what."""
        self._line(who, what, colour="cyan")

    def alarm(self, who: str, what: str) -> None:
        """As ``tell``, for what the reader must not miss."""
        self._line(who, what, colour="red")

    def show_table(self, evidence: Evidence) -> None:
        """What was asked how often, as the model recorded it."""
        self._print("")
        self._print(f"{'step':<8}{'asked':>6}{'answered':>10}   note", bold=True)
        for step in STEPS:
            asked = evidence.of(step)
            row = f"{step:<8}{len(asked):>6}{_count_answered(asked):>10}   {_note(step, evidence)}"
            self._print(row, colour="yellow" if len(asked) > 1 else None)
        asked = evidence.requests
        total = f"{'in all':<8}{len(asked):>6}{_count_answered(asked):>10}"
        self._print(f"{total}   for {len(STEPS)} steps", bold=True)
        self._print("")

    def conclude(self, evidence: Evidence) -> None:
        """Say what was shown."""
        for line in textwrap.wrap(f"The report: {evidence.answer}", _COLUMNS):
            self._print(line)
        self._print(
            "No answered prompt was asked again. The interrupted one was, and says so.",
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


def _count_answered(requests: Sequence[LlmRequest]) -> int:
    return sum(each.outcome == "answered" for each in requests)


def _note(step: str, evidence: Evidence) -> str:
    if step == VICTIM:
        return "outcome unknown when killed; again with the same key"
    if step == BUSY_STEP:
        return f"429, and asked again after {RETRY_AFTER_SECONDS} s, as the model said"
    if all(each.number <= evidence.asked_before for each in evidence.of(step)):
        return "answered before the kill, replayed after it"
    return "asked after the restart"
