"""What is printed where nobody can take it: to a full disk, or to a terminal that has gone.

A command whose answer is lost has failed, and says so. A server has not: what it prints is for
whoever looks on, and a log on a full disk must not end what still answers calls.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Generator
from traceback import walk_tb
from typing import NoReturn, TextIO

import click

from .line_writer import SECONDS_MAX, LineWriter, is_ready

_STDERR = 2


def tell(line: str, *, err: bool = False) -> None:
    """Print a line, or go on without it where it cannot be written, or nobody reads."""
    descriptor = _descriptor_of(sys.stderr if err else sys.stdout)
    with contextlib.suppress(OSError):
        if descriptor is None or is_ready(descriptor, SECONDS_MAX):
            click.echo(line, err=err)


def say(sentence: str) -> None:
    """As ``tell``, on stderr: what is wrong, as one line."""
    tell(f"holdfast: {' '.join(sentence.split())}", err=True)


def occupy_standard_streams() -> None:
    """Put ``/dev/null`` where whoever started this process has closed stdin, stdout or stderr.

    Their numbers would be given to whatever is opened next. The loop of a server aborts the process
    when it is to close one of them, and a library that complains would write into a file of ours.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(number)


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes log lines, and goes on without one that cannot be written, or that nobody reads."""

    def __init__(self, stream: TextIO) -> None:
        """Write to ``stream``, which others may write whole lines to."""
        super().__init__(stream)
        descriptor = _descriptor_of(stream)
        self._writer = None if descriptor is None else LineWriter(descriptor)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line of ``record`` without waiting for whoever reads."""
        if self._writer is None:
            super().emit(record)
            return
        try:
            line = self.format(record) + self.terminator
            self._writer.write(line.encode(self.stream.encoding, "backslashreplace"))
        except Exception:  # noqa: BLE001  # as logging's own handlers do
            self.handleError(record)

    def flush(self) -> None:
        """Wait a moment for lines that were not read yet."""
        if self._writer is None:
            super().flush()
        else:
            self._writer.drain()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Say nothing of a stream that takes nothing; any other error is told as always."""
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)


def _descriptor_of(stream: TextIO | None) -> int | None:
    """The descriptor of a stream, ``None`` where it has none: it is closed, or in memory."""
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def explained_output() -> Generator[None]:
    """Turn a failure to print into one sentence; other failures pass.

    Raises:
        click.ClickException: something that was to be printed is lost.
    """
    try:
        yield
    except OSError as error:
        if error.__traceback__ is None or not _is_of_printing(error):
            raise
        message = f"what it prints cannot be written: {error.strerror or error}"
        raise click.ClickException(message) from error


def leave(code: int) -> NoReturn:
    """Exit with ``code``, although something that was printed cannot be written.

    The interpreter would try again as it ends, and then exit with 120.
    """
    for stream in (sys.stdout, sys.stderr):
        _forget_unwritten(stream)
    sys.exit(code)


def _is_of_printing(error: OSError) -> bool:
    """Whether ``click``, by which everything is printed, has failed to."""
    frame, _ = list(walk_tb(error.__traceback__))[-1]
    return bool(frame.f_globals["__name__"] == click.echo.__module__)


def _forget_unwritten(stream: TextIO | None) -> None:
    if stream is None:
        return  # Closed by whoever started this.
    try:
        stream.flush()
    except OSError:
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
