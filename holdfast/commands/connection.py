"""Which server a command asks, and what is said when that does not go well.

    HOLDFAST_URL            the port for calls, http://localhost:8080 unless given
    HOLDFAST_ADMIN_URL      the port for operators, http://localhost:9070 unless given
    HOLDFAST_TOKEN          the token of callers; of several, the first
    HOLDFAST_ADMIN_TOKEN    the token of operators

A token is never an argument, as for ``serve``: arguments are shown to everybody who lists
processes. Commands do not try again: whoever typed one is told at once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from ..access_options import CALLERS_VARIABLE, OPERATORS_VARIABLE, find_token
from ..client.client import Client
from ..objects.errors import AccessDeniedError, NotReachedError

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])

_FILE: Final = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Which server, as the command line and the environment say."""

    url: str
    admin_url: str
    token_file: Path | None
    admin_token_file: Path | None

    def open(self) -> Client:
        """A client of it.

        Raises:
            InvalidArgumentError: a URL is none, or a token cannot be read.
        """
        return Client(
            self.url,
            token=find_token(CALLERS_VARIABLE, self.token_file),
            admin_url=self.admin_url,
            admin_token=find_token(OPERATORS_VARIABLE, self.admin_token_file),
            retry=None,
        )


def asks_server(command: Command) -> Command:
    """Give ``command`` the options that say which server; ``connect`` takes them from it."""
    for decorate in (
        click.option(
            "--admin-token-file",
            type=_FILE,
            metavar="FILE",
            help=f"The token of operators; else it is taken from {OPERATORS_VARIABLE}.",
        ),
        click.option(
            "--token-file",
            type=_FILE,
            metavar="FILE",
            help=f"The token of callers; else it is taken from {CALLERS_VARIABLE}.",
        ),
        click.option(
            "--admin-url",
            envvar="HOLDFAST_ADMIN_URL",
            show_envvar=True,
            default="http://localhost:9070",
            show_default=True,
            help="The server's port for operators; also unix:///path.sock.",
        ),
        click.option(
            "--url",
            envvar="HOLDFAST_URL",
            show_envvar=True,
            default="http://localhost:8080",
            show_default=True,
            help="The server's port for calls; also unix:///path.sock.",
        ),
    ):
        command = decorate(command)
    return command


def connect(options: dict[str, Any], work: Callable[[Client], Awaitable[T]]) -> T:
    """Do ``work`` with a client of the server that ``options`` name, and take these out of them.

    Raises:
        click.ClickException: nobody answers there, or the token is missing.
        HoldfastError: as ``work``.
    """
    connection = Connection(**{name: options.pop(name) for name in _NAMES})

    async def run() -> T:
        async with connection.open() as client:
            return await work(client)

    try:
        return asyncio.run(run())
    except NotReachedError as error:
        message = (
            f"{error.message}. Start a server with `holdfast serve`, or say where it is with "
            f"--url and --admin-url"
        )
        raise click.ClickException(message) from error
    except AccessDeniedError as error:
        message = (
            f"{error.message}; the token of callers is taken from {CALLERS_VARIABLE}, that of "
            f"operators from {OPERATORS_VARIABLE}"
        )
        raise click.ClickException(message) from error


_NAMES: Final = ("url", "admin_url", "token_file", "admin_token_file")
