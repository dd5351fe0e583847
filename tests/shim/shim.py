"""The preloaded library of ``shim.c`` as Python sees it: built, told what to do, and read."""

import mmap
import shutil
import struct
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

SOURCE = Path(__file__).with_name("shim.c")

Kind = Literal["write", "sync", "open", "rename"]
KINDS: tuple[Kind, ...] = ("write", "sync", "open", "rename")

_COUNTS = struct.Struct("<8Q")
FOREVER = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to which calls."""

    kind: Kind
    first: int
    """The number of the first such call that it happens to, 1 for the first of the process."""
    how: str
    """``errno:N``, ``kill``, ``half``, ``short`` or ``late:MICROSECONDS``; see ``shim.c``."""
    times: int = 1

    def __str__(self) -> str:
        return f"{self.how} at {self.kind} {self.first}"


class Counts:
    """How often a process called what, readable while it runs and after it was killed."""

    def __init__(self, path: Path) -> None:
        """Begin at zero, in a file at ``path``."""
        path.write_bytes(bytes(_COUNTS.size))
        self._path = path
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _COUNTS.size)

    def environment(self, directory: Path, fault: Fault | None) -> Mapping[str, str]:
        """What a process is given in order to be counted, and to meet ``fault``."""
        told = {"SHIM_DIRECTORY": str(directory), "SHIM_COUNTS": str(self._path)}
        if fault is not None:
            told |= {
                "SHIM_KIND": str(KINDS.index(fault.kind)),
                "SHIM_FROM": str(fault.first),
                "SHIM_TIMES": str(fault.times),
                "SHIM_HOW": fault.how,
            }
        return told

    def of(self, kind: Kind) -> int:
        return int(_COUNTS.unpack(self._shared[:])[KINDS.index(kind)])

    @property
    def fault_seconds(self) -> float | None:
        """When the fault happened, by ``time.monotonic``; ``None`` if it has not."""
        nanoseconds = int(_COUNTS.unpack(self._shared[:])[len(KINDS)])
        return nanoseconds / 1e9 if nanoseconds else None

    def close(self) -> None:
        self._shared.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def find_obstacle() -> str:
    """Why it cannot be used here; empty if it can."""
    if shutil.which("cc") is None:
        return "there is no C compiler"
    return ""


def build(directory: Path) -> Path:
    """Compile it into ``directory``; gives what is to be preloaded."""
    library = directory / "shim.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
    done = subprocess.run(
        [*command, "-o", str(library), str(SOURCE), "-ldl"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return library
