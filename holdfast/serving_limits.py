"""What ``serve`` and ``dev`` take beside an address: a socket file, and how much at a time."""

import resource
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from .ingress.options import DEFAULT_OPTIONS, HttpOptions

Command = TypeVar("Command", bound=Callable[..., Any])


def limit_options(command: Command) -> Command:
    """Give ``command`` the options ``--unix`` and ``--max-concurrent``."""
    for decorate in (
        click.option(
            "--max-concurrent",
            type=click.IntRange(1),
            metavar="N",
            help="Requests being answered at a time, waiting calls included; further ones get a "
            f"429. {DEFAULT_OPTIONS.requests_max:,} unless said.",
        ),
        click.option(
            "--unix",
            type=click.Path(path_type=Path),
            metavar="PATH",
            help="Listen on this unix socket, for this user only, and on a port only where --port "
            "is given as well.",
        ),
    ):
        command = decorate(command)
    return command


def with_limits(options: HttpOptions, max_concurrent: int | None) -> HttpOptions:
    """The same with what the command line says."""
    return options if max_concurrent is None else replace(options, requests_max=max_concurrent)


def raise_descriptor_limit() -> None:
    """Let this process open as many files and sockets as it may: a connection is one.

    The lower limit is the usual one because old programs cannot count higher, and is not meant for
    servers.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Some systems say there is no limit, and then refuse to set that.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
