"""Load on a server: ``wrk`` where it is installed, else our own generator in its own process.

Both keep their connections open, send the next request of a connection when the answer to the one
before is complete, and walk through the keys in turn.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .harness import ROOT, BenchmarkError
from .servers import Server

_SCRIPT = Path(__file__).resolve().parent / "load.lua"
_SECONDS_MAX = 30
_ANSWER_SECONDS_MAX = 60
"""How late an answer may be: the slowest of the peers takes seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent again and again; ``*`` in the path stands for the key."""

    path: str
    body: str
    keys: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one round. Every request was answered with a 2xx."""

    per_second: float
    p50_seconds: float
    p99_seconds: float
    processor_seconds: float
    """Of the server, per request. It says the same on a busy machine as on an idle one."""
    processor_seconds_of_parts: Mapping[str, float]
    """The same by the parts of the server."""


def generator_name() -> str:
    """What makes the load here, and what to install where it is not wrk."""
    if shutil.which("wrk"):
        return "wrk, 1 thread"
    return "our own, in asyncio (slower than wrk; on Debian: apt install wrk)"


def put_load(
    server: Server,
    request: Request,
    *,
    connections: int,
    seconds: int,
    per_second: float | None = None,
) -> Outcome:
    """Load the server, as fast as it goes or at a rate, and wait for the end.

    At a rate it is our own generator that does it, and waiting counts from when a request was due.
    A time that was too short for a single answer is doubled, a few times.

    Raises:
        BenchmarkError: a request failed or was refused, or the generator did.
    """
    arguments = [request.path, str(request.keys), request.body]
    if per_second is None and shutil.which("wrk"):
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(_SCRIPT)]
        command += ["--timeout", f"{_ANSWER_SECONDS_MAX}s"]
        command += [f"http://127.0.0.1:{server.port}", "--", *arguments]
    else:
        command = [sys.executable, "-m", "bench.generator", str(server.port), str(connections)]
        command += [str(seconds), *arguments]
        command += [] if per_second is None else [str(per_second)]
    before = server.processor_seconds_of_parts()
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=seconds + 30, check=False
    )
    after = server.processor_seconds_of_parts()
    lines = ended.stdout.strip().splitlines()
    if ended.returncode or not lines:
        message = f"{command[0]} failed: {(ended.stderr or ended.stdout).strip()[-1000:]}"
        raise BenchmarkError(message)
    counted: dict[str, float] = json.loads(lines[-1])
    if not counted["failures"] and not counted["requests"] and seconds < _SECONDS_MAX:
        return put_load(
            server, request, connections=connections, seconds=2 * seconds, per_second=per_second
        )
    if counted["failures"] or not counted["requests"]:
        message = f"{counted['failures']:.0f} requests to {request.path} failed: {ended.stdout}"
        raise BenchmarkError(message)
    of_parts = {name: (after[name] - before[name]) / counted["requests"] for name in after}
    return Outcome(
        per_second=counted["requests"] / counted["seconds"],
        p50_seconds=counted["p50_us"] / 1e6,
        p99_seconds=counted["p99_us"] / 1e6,
        processor_seconds=sum(of_parts.values()),
        processor_seconds_of_parts=of_parts,
    )
