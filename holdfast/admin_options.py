"""Where operators are served, as the command line says it: ``--admin-port``, ``--admin-unix``.

Unless said it is port 9070 on loopback. With ``--port 0`` it is any free port as well: whoever
starts several servers beside each other wants neither to be taken. With ``--admin-unix``, or with
``--unix`` and no port, there is none: every user of the machine can reach a port, and a socket was
chosen so that they cannot.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

DEFAULT_ADMIN_PORT = 9070
"""Restate's, so that its users' curl lines work."""

Command = TypeVar("Command", bound=Callable[..., Any])


def _read_port(_: click.Context, __: click.Parameter, text: str | None) -> int | None:
    """The number; -1 for ``none``, and ``None`` where nothing is said.

    Raises:
        click.BadParameter: it is neither a port nor ``none``.
    """
    if text is None:
        return None
    if text == "none":
        return -1
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        message = f"{text!r:.80} is neither a port, 0 to 65535, nor none"
        raise click.BadParameter(message)
    return int(text)


def admin_options(command: Command) -> Command:
    """Give ``command`` the options that say where operators are served."""
    for decorate in (
        click.option(
            "--admin-host",
            default="127.0.0.1",
            show_default=True,
            metavar="HOST",
            help="The address for operators.",
        ),
        click.option(
            "--admin-unix",
            type=click.Path(path_type=Path),
            metavar="PATH",
            help="A unix socket for operators; a port only where --admin-port is given as well.",
        ),
        click.option(
            "--admin-port",
            callback=_read_port,
            metavar="PORT|none",
            help="The port for operators; 0 takes any free one, none leaves them out. Unless said "
            f"{DEFAULT_ADMIN_PORT}, with --port 0 any free one, and with --unix alone, as with "
            "--admin-unix, none.",
        ),
    ):
        command = decorate(command)
    return command


def choose_admin_port(
    said: int | None, port: int | None, unix: Path | None, admin_unix: Path | None
) -> int | None:
    """The port for operators, or ``None``: by what was said of it and of where callers come in."""
    if said is not None:
        return None if said < 0 else said
    if admin_unix is not None or (port is None and unix is not None):
        return None
    return 0 if port == 0 else DEFAULT_ADMIN_PORT
