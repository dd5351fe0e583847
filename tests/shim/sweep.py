"""A scripted run in which the n-th write, sync, open or rename fails or kills, for every n.

One server runs the script twice: on a new directory, and on one that a killed server left, whose
start moves the log into tables. After each fault the next server must start in good order, what was
acknowledged must be there, once, and the rest of the script must go on as if nothing had been. Then
all rows must agree with one another.
"""

import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any, Literal, Self

from holdfast.journal.directory_view import DirectoryView
from holdfast.runtime.verify import verify_rows
from tests.crash.nursery import Nursery
from tests.processes import Watched, post
from tests.shim.shim import FOREVER, KINDS, Counts, Fault, Kind, build

SERVED = Path(__file__).with_name("served.py")

CALLS = 6
EXIT_SECONDS_MAX = 1.0
"""From the fault to the end of the process."""
GO_ON_SECONDS = 0.7
"""A server that has met a fault and still runs after this goes on: it did not need that call."""
QUIET_SECONDS_MAX = 20.0

Base = Literal["new", "killed"]
BASES: tuple[Base, ...] = ("new", "killed")

HOWS: dict[Kind, tuple[tuple[str, int], ...]] = {
    "write": (("errno:5", 1), ("errno:28", FOREVER), ("kill", 1), ("half", 1), ("short", 1)),
    "sync": (("errno:5", 1), ("errno:28", FOREVER), ("kill", 1)),
    "open": (("errno:5", 1), ("errno:24", 1), ("kill", 1)),
    "rename": (("errno:5", 1), ("errno:28", FOREVER), ("kill", 1)),
}
"""What happens to each kind of call, and to how many of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One fault in one run."""

    base: Base
    fault: Fault

    def __str__(self) -> str:
        return f"{self.fault}, {self.base} directory"


@dataclass(slots=True)
class Found:
    """What one fault, or many, led to."""

    endings: Counter[str] = field(default_factory=Counter[str])
    acknowledged: int = 0
    slowest_exit: float = 0.0
    late: list[str] = field(default_factory=list[str])
    """Ends that took longer than they may; a matter of the machine as well."""
    violations: list[str] = field(default_factory=list[str])

    def add(self, other: "Found") -> None:
        self.endings += other.endings
        self.acknowledged += other.acknowledged
        self.slowest_exit = max(self.slowest_exit, other.slowest_exit)
        self.late += other.late
        self.violations += other.violations


class Sweep:
    """Runs points side by side; a block, which removes what it made."""

    def __init__(self, directory: Path) -> None:
        """Work in ``directory``, or in memory where there is a file system of it."""
        memory = Path("/dev/shm")  # noqa: S108  # a directory of its own is made there
        self._directory = Path(
            tempfile.mkdtemp(prefix="holdfast-", dir=memory if memory.is_dir() else directory)
        ).resolve()
        self._nursery = Nursery(env={"LD_PRELOAD": str(build(self._directory))})
        self._bases: dict[Base, list[str]] = {"new": []}
        self._number = 0
        self._numbering = threading.Lock()

    def __enter__(self) -> Self:
        self._nursery.__enter__()
        self._make_killed_base()
        return self

    def __exit__(self, *_: object) -> None:
        self._nursery.__exit__(None, None, None)
        shutil.rmtree(self._directory, ignore_errors=True)

    def points(self) -> Iterator[Point]:
        """Every one there is: what a run without a fault calls, each as often as it calls it."""
        for base in BASES:
            with self._place(base) as place, Counts(place.counts) as counts:
                found = Found()
                self.run_script(place, base, counts, None, found)
                assert not found.violations, found.violations
                totals = {kind: counts.of(kind) for kind in KINDS}
            for kind, hows in HOWS.items():
                for how, times in hows:
                    for first in range(1, totals[kind] + 1):
                        fault = Fault(kind=kind, first=first, how=how, times=times)
                        yield Point(base=base, fault=fault)

    def run(self, points: Sequence[Point], workers: int) -> Found:
        """All of them."""
        found = Found()
        with ThreadPoolExecutor(workers) as pool:
            for each in pool.map(self.run_one, points):
                found.add(each)
        return found

    def run_one(self, point: Point) -> Found:
        """One fault, the clean start after it, and what is found then."""
        found = Found()
        with self._place(point.base) as place, Counts(place.counts) as counts:
            try:
                answers = self.run_script(place, point.base, counts, point.fault, found)
                found.acknowledged = len(answers)
                self._check(place, point.base, answers, found)
            except (AssertionError, OSError, HTTPException) as error:
                found.violations.append(f"{type(error).__name__}: {error}")
        found.violations = [f"{point}: {each}" for each in found.violations]
        found.late = [f"{point}: {each}" for each in found.late]
        return found

    def run_script(
        self, place: "Place", base: Base, counts: Counts, fault: Fault | None, found: Found
    ) -> dict[str, int]:
        """The script, as far as it comes; gives the answers by token."""
        answers: dict[str, int] = {}
        with self._serve(place, counts.environment(place.data, fault)) as server:
            port = _listens(server)
            if port is not None:
                for number in range(CALLS):
                    token = f"{base} {number}"
                    answer = _put(port, token)
                    if answer is None:
                        break
                    answers[token] = answer
            if fault is None or not self._ends(server, counts):
                server.signal(signal.SIGTERM)
                ending = "went on" if counts.fault_seconds else "met nothing"
            else:
                ending = "ended"
            code = server.wait_exit()
            if ending == "ended" and counts.fault_seconds is not None:
                seconds = time.monotonic() - counts.fault_seconds
                found.slowest_exit = max(found.slowest_exit, seconds)
                if seconds > EXIT_SECONDS_MAX:
                    found.late.append(f"took {seconds:.2f} s to end")
            allowed = {75} if ending == "ended" else {0, 75}
            if fault is not None and fault.how in {"kill", "half"}:
                # Perhaps only when it was told to stop.
                allowed.add(-signal.SIGKILL)
            if port is None:
                allowed |= {1, 78}
            found.endings[f"{ending}, {code}"] += fault is not None
            if code not in allowed or ("Traceback" in server.stderr and code != 75):
                # What the disk said is logged with its stack; else there is none.
                found.violations.append(f"{ending} with {code}: {server.stderr[-1500:]}")
        return answers

    def _check(self, place: "Place", base: Base, answers: dict[str, int], found: Found) -> None:
        """A start without a fault: all of the past is there, and the script can be ended."""
        with self._serve(place, {}) as server:
            port = server.wait_port()
            for token, answer in answers.items():
                if (again := _put(port, token)) != answer:
                    found.violations.append(f"{token} was answered {answer} and is {again} now")
            tokens = [*self._bases[base], *(f"{base} {number}" for number in range(CALLS))]
            for token in tokens:
                assert _put(port, token) is not None, f"{token} is refused: {server.stderr}"
            for name in ("Account/a", "Mirror/a", "Mirror/a%20later"):
                kept = _read_quiet(port, name, len(tokens))
                if sorted(kept) != sorted(tokens) or (name == "Account/a" and kept != tokens):
                    found.violations.append(f"{name} holds {kept}")
            server.signal(signal.SIGTERM)
            code = server.wait_exit()
            if code != 0 or "Traceback" in server.stderr:
                found.violations.append(f"the next server ended with {code}: {server.stderr}")
        found.violations += _verify(place.data)

    def _make_killed_base(self) -> None:
        kept = [f"earlier {number}" for number in range(CALLS)]
        place = Place(self._directory / "killed")
        place.root.mkdir()
        with self._serve(place, {}) as server:
            port = server.wait_port()
            for token in kept:
                assert _put(port, token) is not None, server.stderr
            server.signal(signal.SIGKILL)
            server.wait_exit()
        self._bases["killed"] = kept

    def _serve(self, place: "Place", env: Any) -> Watched:
        options = ("--port", "0", "--admin-port", "none", "--data", str(place.data))
        return self._nursery.holdfast("serve", str(SERVED), *options, cwd=place.root, env=env)

    def _ends(self, server: Watched, counts: Counts) -> bool:
        """Whether it ends by itself now that the fault has happened."""
        if counts.fault_seconds is None:
            return False
        with suppress(TimeoutError):
            server.wait_end(GO_ON_SECONDS)
            return True
        return False

    def _place(self, base: Base) -> "Place":
        with self._numbering:
            self._number += 1
            place = Place(self._directory / f"run-{self._number}")
        place.root.mkdir()
        if base != "new":
            shutil.copytree(self._directory / base / "data", place.data)
        return place


@dataclass(frozen=True, slots=True)
class Place:
    """Where one point lives; a block that removes it."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def counts(self) -> Path:
        return self.root / "counts"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.root)


def _listens(server: Watched) -> int | None:
    """Its port; ``None`` if it ended before it had one."""
    with suppress(AssertionError):
        return server.wait_port()
    return None


def _put(port: int, token: str) -> int | None:
    """The answer; ``None`` for none, or for an error."""
    with suppress(OSError, HTTPException):
        status, answer = post(port, "/Account/a/put", token, {"idempotency-key": token})
        if status == 200:
            return int(answer)
    return None


def _verify(data: Path) -> list[str]:
    """What in the rows of a directory does not agree, though every answer was right."""
    view = DirectoryView(data)
    try:
        return verify_rows(view, epoch=view.epoch)
    finally:
        view.close()


def _read_quiet(port: int, name: str, length: int) -> list[str]:
    """The tokens there, once there are as many as there should be, or time is up."""
    deadline = time.monotonic() + QUIET_SECONDS_MAX
    while True:
        _, tokens = post(port, f"/{name}/read")
        if len(tokens) >= length or time.monotonic() > deadline:
            return list(tokens)
        time.sleep(0.005)
