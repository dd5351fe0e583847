"""Errors of the operating system that say which file they are about.

Python names a file that cannot be opened, and not one that is open and cannot be read, written or
synced; and who is told of an input/output error has to know where to look.
"""

import contextlib
from collections.abc import Generator
from pathlib import Path


@contextlib.contextmanager
def naming(path: Path) -> Generator[None]:
    """Give an ``OSError`` that names no file the name of this one."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise
