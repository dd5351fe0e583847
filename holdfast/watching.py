"""Which source files a server was made of, and whether one of them changed.

Watched are the ``.py`` files in every directory from which the process imported something that is
not installed, so that a new module beside the others counts too. Where an import fails, Python
forgets the module, so the directories that the failure names are watched as well. Changes are seen
by asking for modification times a few times a second: that works on every file system, and the
files are few.
"""

import site
import sys
import sysconfig
import time
from collections.abc import Iterable
from pathlib import Path
from traceback import walk_tb

POLL_SECONDS = 0.25


class SourceWatch:
    """The source files of this process, as they were when their import began."""

    def __init__(self, directories: Iterable[Path], started_ns: int) -> None:
        """Begin to watch.

        Args:
            directories: watched in any case, now there or not; the target's own is one.
            started_ns: when the imports began, in nanoseconds since 1970. A file written after
                that moment may have been read before, so it counts as changed.
        """
        self.directories = frozenset({*_project_directories(), *directories})
        """All that are watched."""
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
        for directory in self.directories:
            for path in directory.glob("*.py"):
                try:
                    yield path, path.stat().st_mtime_ns
                except OSError:
                    continue  # Removed since it was listed; the next look will say so.


def directories_of(error: BaseException) -> set[Path]:
    """The directories of the code in which ``error`` came about, but for what is installed."""
    files: list[str | None] = []
    cause: BaseException | None = error
    while cause is not None:
        files += [frame.f_code.co_filename for frame, _ in walk_tb(cause.__traceback__)]
        if isinstance(cause, SyntaxError):
            files.append(cause.filename)
        cause = cause.__cause__
    return _directories_of_files(files)


def _project_directories() -> set[Path]:
    """The directories of imported modules that are nobody's installation."""
    return _directories_of_files(
        getattr(module, "__file__", None) for module in list(sys.modules.values())
    )


def _directories_of_files(files: Iterable[str | None]) -> set[Path]:
    installed = {Path(path).resolve() for path in _installation_paths()}
    directories = {Path(file).resolve().parent for file in files if file and file[:1] != "<"}
    return {
        each for each in directories if not any(each.is_relative_to(path) for path in installed)
    }


def _installation_paths() -> list[str]:
    return [
        sysconfig.get_path("stdlib"),
        sysconfig.get_path("platstdlib"),
        sysconfig.get_path("purelib"),
        sysconfig.get_path("platlib"),
        site.getusersitepackages(),
    ]
