"""Who may come in, as the command line and the environment say it.

    HOLDFAST_TOKEN          tokens of callers, divided by commas or line breaks
    HOLDFAST_ADMIN_TOKEN    the same for operators
    --token-file            tokens of callers, one a line
    --admin-token-file      the same for operators

A token is never an argument: arguments are shown to everybody who lists processes, and kept in the
history of shells. Where both the variable and the file give some, all of them count.
"""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from .ingress.access import Tokens
from .ingress.options import DEFAULT_OPTIONS, HttpOptions
from .objects.errors import InvalidArgumentError

CALLERS_VARIABLE = "HOLDFAST_TOKEN"
OPERATORS_VARIABLE = "HOLDFAST_ADMIN_TOKEN"

_DIVIDERS = re.compile(r"[,\s]+")
_FILE = click.Path(path_type=Path, dir_okay=False)

Command = TypeVar("Command", bound=Callable[..., Any])


def access_options(command: Command) -> Command:
    """Give ``command`` the options that say who may come in."""
    for decorate in (
        click.option(
            "--allow-anonymous",
            is_flag=True,
            help="Listen also where strangers can come, although there are no tokens.",
        ),
        click.option(
            "--admin-allow-anonymous",
            is_flag=True,
            help="Have the port for operators listen where strangers can come, although there are "
            "no tokens; they see and change everything.",
        ),
        click.option(
            "--allow-host",
            multiple=True,
            metavar="NAME",
            help="A host name to answer to, besides localhost and IP addresses. Repeatable.",
        ),
        click.option(
            "--admin-token-file",
            type=_FILE,
            metavar="FILE",
            help=f"Tokens of operators, one a line; more may be in {OPERATORS_VARIABLE}.",
        ),
        click.option(
            "--token-file",
            type=_FILE,
            metavar="FILE",
            help=f"Tokens of callers, one a line; more may be in {CALLERS_VARIABLE}.",
        ),
    ):
        command = decorate(command)
    return command


def read_http_options(
    variable: str,
    file: Path | None,
    *,
    hosts: tuple[str, ...],
    allow_anonymous: bool,
    over: HttpOptions = DEFAULT_OPTIONS,
) -> HttpOptions:
    """The options of a door whose tokens are in ``variable`` and ``file``; the rest as in ``over``.

    Raises:
        InvalidArgumentError: a token is none, or the file cannot be read, or it or the variable
            is there and holds none.
    """
    in_variable = _read_variable(variable)
    if variable in os.environ and not in_variable:
        # As for a file: it is empty by a mistake, such as a secret that was not filled in.
        message = f"{variable} is set and holds no token; unset it where none is meant"
        raise InvalidArgumentError(message)
    tokens = [*in_variable, *_read_file(file)]
    return replace(over, tokens=tokens, hosts=frozenset(hosts), allow_anonymous=allow_anonymous)


def find_token(variable: str, file: Path | None) -> str | None:
    """The token that a client sends: the first one in ``file``, else in ``variable``, if any.

    Raises:
        InvalidArgumentError: what is there is no token, or the file cannot be read or holds none.
    """
    tokens = _read_file(file) if file is not None else _read_variable(variable)
    return tokens[0] if tokens else None


def _read_variable(variable: str) -> list[str]:
    return _checked(filter(None, _DIVIDERS.split(os.environ.get(variable, ""))), variable)


def _read_file(file: Path | None) -> list[str]:
    if file is None:
        return []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        message = f"the tokens in {file} cannot be read: {reason}"
        raise InvalidArgumentError(message) from None
    tokens = _checked([line.strip() for line in lines if line.strip()], str(file))
    if not tokens:
        # Whoever names a file wants tokens to be asked for; an empty one must not open the door.
        message = f"there is no token in {file}; write one a line"
        raise InvalidArgumentError(message)
    return tokens


def _checked(tokens: "filter[str] | list[str]", place: str) -> list[str]:
    found = list(tokens)
    try:
        Tokens(found)
    except InvalidArgumentError as error:
        message = f"{place}: {error.message}"
        raise InvalidArgumentError(message) from None
    return found
