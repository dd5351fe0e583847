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

_STDERR = 2


def tell(line: str, *, err: bool = False) -> None:
    """Print a line, or go on without it where it cannot be written."""
    with contextlib.suppress(OSError):
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
    """Writes log lines, and goes on without one that cannot be written."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Say nothing of a stream that takes nothing; any other error is told as always."""
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)


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
