"""What commands that read a data directory themselves, without a server, have in common."""

import contextlib
from collections.abc import Generator

import click

from ..objects.errors import StoreFailedError


@contextlib.contextmanager
def read_failures_told() -> Generator[None]:
    """End with 1 where files cannot be read.

    The 75 of a ``StoreFailedError`` says that starting again recovers, and nothing was served here.
    """
    try:
        yield
    except StoreFailedError as error:
        raise click.ClickException(str(error)) from error
