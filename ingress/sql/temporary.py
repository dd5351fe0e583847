"""The files into which SQLite sorts what is too much for its memory: bounded, for one query.

Of what a query sorts or compares, SQLite keeps a few megabytes and puts the rest into files, which
may be on the disk of the data directory. A query over long journals, or one that joins without a
condition, would fill that, and a runtime whose disk is full stops.
"""

from typing import Any, Final, cast
from uuid import uuid4

import apsw

TEMPORARY_BYTES_MAX: Final = 1 << 30


class TemporaryFiles(apsw.VFS):
    """Where the files of one query are made. Belongs to its thread, until it is unregistered."""

    def __init__(self, bytes_max: int) -> None:
        """Begin with none; a database is told of it by its name."""
        # Names are those of the process, and who embeds a runtime may use apsw as well.
        self.name: str = f"holdfast {uuid4().hex}"
        self.bytes_left = bytes_max
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> Any:  # noqa: N802  # as apsw calls it
        """A new file."""
        return _TemporaryFile(self, name, flags)


class _TemporaryFile(apsw.VFSFile):
    """One file; what was written counts until the query ends, as SQLite writes on mostly."""

    def __init__(self, files: TemporaryFiles, name: Any, flags: list[int]) -> None:
        self._files = files
        self._size = 0
        super().__init__("", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802  # as apsw calls it
        """Write, if there is room.

        Raises:
            apsw.FullError: there is not.
        """
        grown = max(0, offset + len(data) - self._size)
        if grown > self._files.bytes_left:
            message = "the query sorts or compares too much at once"
            raise apsw.FullError(message)
        self._files.bytes_left -= grown
        self._size += grown
        write: Any = cast("Any", super()).xWrite  # its stubs know no bytes
        write(data, offset)
