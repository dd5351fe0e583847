"""A server on a disk whose every fsync takes 300 ms, under load.

Nothing may be acknowledged early, the loop may not stall meanwhile, and the health says so. The
shim notes how many syncs have been asked for; a call with one step needs two after it was accepted.
"""

import http.client
import json
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.processes import Watched, holdfast, post
from tests.shim.shim import FOREVER, Counts, Fault, build
from tests.shim.sweep import SERVED

SYNC_SECONDS = 0.3
STALL_SECONDS_MAX = 0.05
DEGRADED_SECONDS_MAX = 1.0
CALLERS = 4


@dataclass(slots=True)
class SlowDisk:
    """What was seen."""

    calls: int = 0
    fastest: float = float("inf")
    """Seconds of the fastest call."""
    stalls: list[float] = field(default_factory=list[float])
    """Seconds of each question that waits for no disk."""
    degraded_after: float | None = None
    violations: list[str] = field(default_factory=list[str])

    def stall(self, share: float) -> float:
        """So much of the questions took no longer."""
        return sorted(self.stalls)[int(share * (len(self.stalls) - 1))]


def watch_slow_disk(directory: Path, seconds: float) -> SlowDisk:
    """Serve, load and watch for so long."""
    library = build(directory)
    data = (directory / "data").resolve()
    late = Fault(kind="sync", first=1, times=FOREVER, how=f"late:{round(SYNC_SECONDS * 1e6)}")
    options = ("--port", "0", "--admin-port", "none", "--data", str(data))
    seen = SlowDisk()
    with Counts(directory / "counts") as counts:
        env = {"LD_PRELOAD": str(library), **counts.environment(data, late)}
        with holdfast("serve", str(SERVED), *options, cwd=directory, env=env) as server:
            _watch(server, seconds, seen)
            server.signal(signal.SIGTERM)
            if (code := server.wait_exit()) != 0:
                seen.violations.append(f"ended with {code}: {server.stderr[-1000:]}")
    if seen.fastest < 2 * SYNC_SECONDS:
        seen.violations.append(f"a call was answered too early, after {seen.fastest:.3f} s")
    if seen.degraded_after is None:
        seen.violations.append("the health never said that the disk is slow")
    return seen


def _watch(server: Watched, seconds: float, seen: SlowDisk) -> None:
    port = server.wait_port()
    begun = time.monotonic()
    end = begun + seconds

    def call(caller: int) -> None:
        number = 0
        while time.monotonic() < end:
            token = f"{caller} {number}"
            asked = time.monotonic()
            status, _ = post(port, f"/Account/{caller}/put", token, {"idempotency-key": token})
            if status != 200:
                seen.violations.append(f"a call was answered {status}")
            seen.fastest = min(seen.fastest, time.monotonic() - asked)
            seen.calls += 1
            number += 1

    callers = [threading.Thread(target=call, args=(number,)) for number in range(CALLERS)]
    for each in callers:
        each.start()
    while time.monotonic() < end:
        asked = time.monotonic()
        word = ask_health(port)["status"]
        answered = time.monotonic()
        seen.stalls.append(answered - asked)
        if word == "degraded" and seen.degraded_after is None:
            seen.degraded_after = answered - begun
        time.sleep(0.005)
    for each in callers:
        each.join()


def ask_health(port: int) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/restate/health")
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        return answer
    finally:
        connection.close()
