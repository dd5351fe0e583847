"""Listening at a path instead of a port.

A socket file outlives its server: after a crash it is still there, and nobody answers. Such a file
is replaced. One whose server is alive is not, and neither is a file of any other kind. Of two
servers that start at the same moment one gets the path: both look and bind under a lock on the
directory, which leaves nothing behind.
"""

import fcntl
import os
import socket
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..objects.errors import InvalidArgumentError


class UnixSocket:
    """A bound socket, and the file that is its address."""

    def __init__(self, path: Path, bound: socket.socket) -> None:
        """Note which file it is, so as not to remove another server's later."""
        self.path = path
        self.socket = bound
        self._identity = _identify(path)

    def remove_file(self) -> None:
        """Remove the file, unless somebody has put another one there meanwhile. Idempotent."""
        with suppress(OSError):
            if _identify(self.path) == self._identity:
                self.path.unlink()


def bind_unix_socket(
    path: str | os.PathLike[str], mode: int, backlog: int, *, flag: str
) -> UnixSocket:
    """A socket that listens at ``path``, whose file has the permissions ``mode``.

    ``flag`` is how the path is chosen on a command line.

    Raises:
        InvalidArgumentError: something is there that must not be replaced, or the path cannot be
            used; what was there is still there.
    """
    place = Path(path)
    try:
        with _lock(place.absolute().parent):
            _clear(place, flag)
            return _bind(place, mode, backlog)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        message = f"cannot listen on the unix socket {place}: {reason}; choose another with {flag}"
        raise InvalidArgumentError(message) from None


def _bind(place: Path, mode: int, backlog: int) -> UnixSocket:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.settimeout(0)
        bound.bind(str(place))
        # Before it listens: until then nobody can connect, whatever the umask let them.
        place.chmod(mode)
        # Under the lock still, or the next server would take this one for dead.
        bound.listen(backlog)
        return UnixSocket(place, bound)
    except BaseException:
        bound.close()
        raise


def _clear(place: Path, flag: str) -> None:
    """Remove the socket of a server that is dead.

    Raises:
        InvalidArgumentError: there is something else.
    """
    try:
        kind = place.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        message = f"{place} is there and is no socket; choose another path with {flag}"
        raise InvalidArgumentError(message)
    if _is_alive(place):
        message = (
            f"a server that is running listens on the unix socket {place}; stop it, or choose "
            f"another with {flag}"
        )
        raise InvalidArgumentError(message)
    place.unlink()


def _is_alive(place: Path) -> bool:
    """Whether somebody listens at ``place``."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0)
        try:
            probe.connect(str(place))
        except ConnectionRefusedError:
            return False
        except BlockingIOError:  # So many are waiting to be accepted that there is no room.
            return True
    return True


@contextmanager
def _lock(directory: Path) -> Generator[None]:
    """Keep other servers from looking at, and binding, the files of a directory.

    Raises:
        InvalidArgumentError: one of them is at it.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"another server is just starting in {directory}; try again"
            raise InvalidArgumentError(message) from None
        yield
    finally:
        os.close(descriptor)


def _identify(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino
