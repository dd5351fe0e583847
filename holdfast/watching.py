"""Which source files a server was made of, and whether one of them changed.

Watched are the ``.py`` files in every directory from which the process imported something that is
not installed, so that a new module beside the others counts too. Changes are seen by asking for
modification times a few times a second: that works on every file system, and the files are few.
"""

import site
import sys
import sysconfig
import time
from collections.abc import Iterable
from pathlib import Path

POLL_SECONDS = 0.25


class SourceWatch:
    """The source files of this process, as they were when their import began."""

    def __init__(self, directory: Path, started_ns: int) -> None:
        """Begin to watch.

        Args:
            directory: watched in any case; the target's own.
            started_ns: when the imports began, in nanoseconds since 1970. A file written after
                that moment may have been read before, so it counts as changed.
        """
        self._directories = _project_directories() | {directory}
        now_ns = time.time_ns()
        # A file dated in the future has not changed just now; reloading would find it there again.
        self._seen = {
            path: 0 if started_ns < written_ns <= now_ns else written_ns
            for path, written_ns in self._list_files()
        }

    def find_change(self) -> Path | None:
        """A file that was written, made or removed since, or ``None``."""
        files = dict(self._list_files())
        for path, written_ns in files.items():
            if self._seen.get(path) != written_ns:
                return path
        return next((path for path in self._seen if path not in files), None)

    def _list_files(self) -> Iterable[tuple[Path, int]]:
        for directory in self._directories:
            for path in directory.glob("*.py"):
                try:
                    yield path, path.stat().st_mtime_ns
                except OSError:
                    continue  # Removed since it was listed; the next look will say so.


def _project_directories() -> set[Path]:
    """The directories of imported modules that are nobody's installation."""
    installed = {Path(path).resolve() for path in _installation_paths()}
    directories: set[Path] = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file is None:
            continue
        directory = Path(file).resolve().parent
        if not any(directory.is_relative_to(path) for path in installed):
            directories.add(directory)
    return directories


def _installation_paths() -> list[str]:
    return [
        sysconfig.get_path("stdlib"),
        sysconfig.get_path("platstdlib"),
        sysconfig.get_path("purelib"),
        sysconfig.get_path("platlib"),
        site.getusersitepackages(),
    ]
