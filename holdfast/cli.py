"""The ``holdfast`` command: serve, dev, check, demo, and what ``commands`` asks a server.

This module owns the arguments of the process and its exit code. Every error a person can cause
comes out as one sentence on stderr, never as a traceback. A command is loaded when it is typed, as
whoever starts a server again after a crash waits for everything that is loaded.

    0    done, or stopped by Ctrl-C or SIGTERM
    1    it cannot start: the target, the port, the data directory; or a server is away or refuses;
         or ``verify`` has found something; or what it prints cannot be written
    2    the command line is wrong
    3    ``check``: an open invocation would not follow its journal
    4    ``check``: none would not, but of one it cannot be told
    75   the disk failed while serving or stopping, or is full; start again, which recovers
    78   the data directory is damaged or has lost acknowledged data; a person has to look
    130  Ctrl-C while nothing was being served

75 and 78 are EX_TEMPFAIL and EX_CONFIG of sysexits, so that a supervisor can tell "start me again"
from "do not".
"""

import gc
from typing import Final, NoReturn

import click

from .later import LaterCommands
from .objects.errors import (
    HoldfastError,
    InvalidArgumentError,
    StoreDamagedError,
    StoreFailedError,
    StoreFullError,
)
from .output import explained_output, leave, occupy_standard_streams, say, tell
from .version import __version__

EXIT_CANNOT_START = 1
EXIT_INTERRUPTED = 130
EXIT_STORE_FAILED = 75
EXIT_STORE_DAMAGED = 78

COMMANDS: Final = {
    "serve": "serving_command",
    "dev": "dev_command",
    "check": "checking_command",
    "demo": "demo.command",
    "invocations": "commands.invocations",
    "awakeables": "commands.awakeables",
    "state": "commands.state",
    "services": "commands.services",
    "sql": "commands.sql",
    "backup": "commands.backup",
    "doctor": "commands.doctor",
    "verify": "commands.verify",
}
"""Where each is, as a module of this package; the name in it is the same."""


def main() -> NoReturn:
    """Run the command line of this process, then exit."""
    occupy_standard_streams()
    leave(_main())


def _main() -> int:
    try:
        with explained_output():
            return commands.main(prog_name="holdfast", standalone_mode=False) or 0
    except click.exceptions.NoArgsIsHelpError as error:
        tell(error.format_message(), err=True)
        return error.exit_code
    except click.MissingParameter as error:
        where = "" if error.ctx is None else f" See `{error.ctx.command_path} --help`"
        say(f"{error.format_message()}{where}")
        return error.exit_code
    except click.ClickException as error:
        say(error.format_message())
        return error.exit_code
    except HoldfastError as error:
        say(_sentence(error))
        return _exit_code(error)
    except (click.Abort, KeyboardInterrupt):
        # Nothing was being served; a server takes signals another way, and exits with 0.
        return EXIT_INTERRUPTED


@click.group(cls=LaterCommands, modules=COMMANDS, invoke_without_command=True)
@click.version_option(__version__, prog_name="holdfast", message="holdfast %(version)s")
@click.pass_context
def commands(context: click.Context) -> None:
    """Durable virtual objects: a session goes on exactly where a crash stopped it."""
    gc.enable()
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _sentence(error: HoldfastError) -> str:
    match error:
        case InvalidArgumentError():
            # A code has a page, but nobody looks one up for a slip on the command line.
            return error.message
        case StoreDamagedError():
            return f"{error}; `holdfast doctor DIR` says what can be done"
        case _:
            return str(error)


def _exit_code(error: HoldfastError) -> int:
    match error:
        case StoreFailedError():
            return EXIT_STORE_DAMAGED if _is_damage(error) else EXIT_STORE_FAILED
        case StoreDamagedError():
            return EXIT_STORE_DAMAGED
        case StoreFullError():
            return EXIT_STORE_FAILED
        case _:
            return EXIT_CANNOT_START


def _is_damage(error: BaseException | None) -> bool:
    """Whether the store failed because a file is damaged, which no start again recovers."""
    return error is not None and (
        isinstance(error, StoreDamagedError) or _is_damage(error.__cause__)
    )
