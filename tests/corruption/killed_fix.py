"""Repairs one copy of a directory after another, each time killed a little later.

    python -m tests.corruption.killed_fix DIR COPIES

Copy n is repaired by a forked child that kills itself just before its n-th change to a file: before
it opens one for writing, renames, cuts, removes, makes a directory, or syncs. The first child that
ends by itself is the last; how many were killed is printed.
"""

# ruff: noqa: T201  # a program talks to whoever started it

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from click.testing import CliRunner

from holdfast.cli import commands

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

CHANGES = frozenset({"os.rename", "os.truncate", "os.remove", "os.mkdir", "os.rmdir"})
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
STEPS_MAX = 200


def main(directory: Path, copies: Path) -> None:
    """Go on until a child survives."""
    for number in range(1, STEPS_MAX):
        copy = shutil.copytree(directory, copies / f"{number}")
        child = os.fork()
        if child == 0:
            _repair(copy, number)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            assert os.waitstatus_to_exitcode(status) == 0, "the repair failed"
            print(number - 1)
            return
    raise AssertionError


def _repair(copy: Path, number: int) -> None:
    """In the child: repair, and die before change ``number``."""
    seen = 0

    def count() -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        if event not in CHANGES and event != "open":
            return
        path, flags = arguments[0], arguments[-1]
        is_change = event in CHANGES or (isinstance(flags, int) and flags & WRITING)
        # What is scratch elsewhere is nobody's loss.
        if is_change and (isinstance(path, int) or str(path).startswith(str(copy))):
            count()

    sync = os.fsync

    def counted_sync(fd: "FileDescriptorLike") -> None:
        count()
        sync(fd)

    os.fsync = counted_sync
    sys.addaudithook(audit)
    said = CliRunner().invoke(commands, ["doctor", "--fix", str(copy)], standalone_mode=False)
    os._exit(0 if said.return_value == 0 else 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
