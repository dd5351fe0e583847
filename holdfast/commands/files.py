"""What commands that read a data directory themselves, without a server, have in common."""

import contextlib
from collections.abc import Generator

import click

from ..objects.errors import StoreFailedError
from ..serving_limits import raise_descriptor_limit


@contextlib.contextmanager
def read_failures_told() -> Generator[None]:
    """Read with as many open files as there may be, and end with 1 where that cannot be done.

    The 75 of a ``StoreFailedError`` says that starting again recovers, and nothing was served here.
    """
    raise_descriptor_limit()
    try:
        yield
    except StoreFailedError as error:
        raise click.ClickException(str(error)) from error
