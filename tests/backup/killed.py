"""A backup whose process dies just before a chosen call that changes files."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.processes import ROOT, environment

if TYPE_CHECKING:
    from pathlib import Path

EXIT_KILLED = 9

KILLED = """
import os, shutil, sys
from pathlib import Path
from holdfast.journal import backup

at, calls = int(sys.argv[3]), 0

def dying(function):
    def call(*args, **kwargs):
        global calls
        calls += 1
        if calls == at:
            os._exit(9)
        return function(*args, **kwargs)
    return call

for place, name in ((shutil, "copyfile"), (Path, "hardlink_to"), (os, "fsync"), (Path, "rename")):
    setattr(place, name, dying(getattr(place, name)))
backup.back_up(sys.argv[1], sys.argv[2])
print(calls)
"""


def run_killed(source: Path, target: Path, at: int) -> subprocess.CompletedProcess[str]:
    """Back up in a process that dies at call ``at``; at 0 it lives, and prints how many it made."""
    return subprocess.run(
        [sys.executable, "-c", KILLED, str(source), str(target), str(at)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
