"""The ``holdfast`` command: serve, dev, check, demo, and what ``commands`` asks a server.

This module owns the process: its arguments, signals, log output and exit code. Every error a
person can cause comes out as one sentence on stderr, never as a traceback.

    0    done, or stopped by Ctrl-C or SIGTERM
    1    it cannot start: the target, the port, the data directory; or a server is away or refuses;
         or ``verify`` has found something
    2    the command line is wrong
    3    ``check``: an open invocation would not follow its journal
    4    ``check``: none would not, but of one it cannot be told
    75   the disk failed while serving or stopping; start again, which recovers
    78   the data directory is damaged or has lost acknowledged data; a person has to look
    130  Ctrl-C while nothing was being served

75 and 78 are EX_TEMPFAIL and EX_CONFIG of sysexits, so that a supervisor can tell "start me again"
from "do not".
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar

import click

from .access_options import (
    CALLERS_VARIABLE,
    OPERATORS_VARIABLE,
    access_options,
    read_http_options,
)
from .admin_options import admin_options, choose_admin_port
from .app import DEFAULT_PORT, Runtime, make_url
from .checking_command import check, check_before_serving
from .commands.awakeables import awakeables
from .commands.backup import backup
from .commands.doctor import doctor
from .commands.invocations import invocations
from .commands.services import services
from .commands.sql import sql
from .commands.state import state
from .commands.verify import verify
from .demo import story
from .ingress.admin.door import ADMIN_OPTIONS
from .ingress.options import HttpOptions
from .loading import LoadedTarget, load_target
from .objects.errors import (
    HoldfastError,
    InvalidArgumentError,
    StoreDamagedError,
    StoreFailedError,
)
from .objects.mismatch import Mismatch
from .output import explained_output, leave, tell
from .runtime.config import RuntimeConfig
from .serving_limits import limit_options, raise_descriptor_limit, with_limits
from .version import __version__
from .watching import POLL_SECONDS, SourceWatch

try:
    import uvloop
except ImportError:  # It does not exist everywhere, and asyncio's own loop serves as well.
    new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
else:
    new_event_loop = uvloop.new_event_loop

EXIT_CANNOT_START = 1
EXIT_INTERRUPTED = 130
EXIT_STORE_FAILED = 75
EXIT_STORE_DAMAGED = 78

EVERY_ADDRESS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared

_RELOADED_VARIABLE = "HOLDFAST_RELOADED"
"""Set by ``dev`` for the process it becomes: a broken target then waits for the next edit."""

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What ``serve`` and ``dev`` are told on the command line."""

    target: str
    host: str
    port: int | None
    """``None`` where it listens on a unix socket only."""
    unix: Path | None
    max_concurrent: int | None
    data: Path
    durability: Literal["fsync", "process"]
    grace: float
    """Seconds that running steps have to end at a stop."""
    token_file: Path | None
    admin_token_file: Path | None
    allow_host: tuple[str, ...]
    allow_anonymous: bool
    admin_allow_anonymous: bool
    admin_port: int | None
    """What ``choose_admin_port`` makes of it."""
    admin_host: str
    admin_unix: Path | None
    no_replay: bool = True
    """Whether a handler that has waited goes on where it is; ``dev`` replays it instead."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """A signal asked the server to stop, and it did."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A source file changed, and the server stopped to be started again."""

    path: Path


def main() -> NoReturn:
    """Run the command line of this process, then exit."""
    leave(_main())


def _main() -> int:
    try:
        with explained_output():
            return commands.main(prog_name="holdfast", standalone_mode=False) or 0
    except click.ClickException as error:
        _say(error.format_message())
        return error.exit_code
    except HoldfastError as error:
        # A code has a page, but nobody looks one up for a slip on the command line.
        _say(error.message if isinstance(error, InvalidArgumentError) else str(error))
        return _exit_code(error)
    except (click.Abort, KeyboardInterrupt):
        # Nothing was being served; a server takes signals another way, and exits with 0.
        return EXIT_INTERRUPTED


@click.group(invoke_without_command=True)
@click.version_option(__version__, prog_name="holdfast", message="holdfast %(version)s")
@click.pass_context
def commands(context: click.Context) -> None:
    """Durable virtual objects: a session goes on exactly where a crash stopped it."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _serving_options(command: Command) -> Command:
    """The argument and the options that ``serve`` and ``dev`` have in common."""
    for decorate in (
        click.option(
            "--grace",
            type=click.FloatRange(0, 86_400),
            default=5,
            show_default=True,
            metavar="SECONDS",
            help="How long running steps may take to end when the server is stopped.",
        ),
        click.option(
            "--durability",
            type=click.Choice(["fsync", "process"]),
            default="fsync",
            show_default=True,
            help="What an answer waits for: fsync survives a power cut, process a killed process.",
        ),
        click.option(
            "--data",
            type=click.Path(path_type=Path),
            default=Path("data"),
            show_default=True,
            help="The data directory; made when it is missing.",
        ),
        click.option(
            "--port",
            type=click.IntRange(0, 65535),
            help=f"The port to listen on; 0 takes any free one. {DEFAULT_PORT} unless said.",
        ),
        click.option("--host", default="127.0.0.1", show_default=True, help="The address."),
        limit_options,
        click.argument("target"),
    ):
        command = decorate(command)
    return admin_options(access_options(command))


@commands.command()
@_serving_options
def serve(**options: Any) -> None:
    """Serve the objects of TARGET, a .py file or a module, over HTTP."""
    chosen = ServeOptions(**options)
    _log_to_stderr()
    _run(_serve(load_target(chosen.target), chosen, watch=None))


@commands.command()
@_serving_options
@click.option(
    "--no-replay",
    is_flag=True,
    help="Let a handler go on where it waited, as serve does. Without this it runs again from its "
    "top each time, against its journal, so that code that is not deterministic shows at once.",
)
def dev(**options: Any) -> None:
    """As serve, with a line per invocation, and started again when a source file changes.

    A handler is replayed each time it has waited: see --no-replay.
    """
    chosen = ServeOptions(**options)
    _log_to_stderr()
    _log_invocations()
    reloaded = os.environ.pop(_RELOADED_VARIABLE, None) is not None
    started_ns = time.time_ns()
    try:
        loaded = load_target(chosen.target)
    except HoldfastError as error:
        if not reloaded:
            raise
        try:
            _say(f"{error}; waiting for a change")
            changed = _wait_change(SourceWatch(Path(sys.path[0]), started_ns))
        except KeyboardInterrupt:
            sys.exit(0)
        _become_new(changed)
    watch = SourceWatch(loaded.directory, started_ns)
    check_before_serving(loaded.classes, chosen.data)
    ended = _run(_serve(loaded, chosen, watch))
    if isinstance(ended, Changed):
        _become_new(ended.path)


commands.add_command(check)
for group in (invocations, awakeables, state, services, sql, backup, doctor, verify):
    commands.add_command(group)


@commands.command()
@click.option(
    "--pace",
    type=click.FloatRange(0.05, 60),
    default=1.8,
    show_default=True,
    help="Seconds that each call of the pretended model takes.",
)
def demo(pace: float) -> int:
    """Kill a server in the middle of an agent's work and watch the work be finished."""
    return story.tell(pace)


async def _serve(
    loaded: LoadedTarget, options: ServeOptions, watch: SourceWatch | None
) -> Stopped | Changed:
    """Serve until a signal, a change that ``watch`` sees, or a failure; stop gracefully then."""
    callers = read_http_options(
        CALLERS_VARIABLE,
        options.token_file,
        hosts=options.allow_host,
        allow_anonymous=options.allow_anonymous,
    )
    operators = read_http_options(
        OPERATORS_VARIABLE,
        options.admin_token_file,
        hosts=options.allow_host,
        allow_anonymous=options.admin_allow_anonymous,
        over=ADMIN_OPTIONS,
    )
    runtime = Runtime(
        loaded.classes,
        data_dir=options.data,
        durability=options.durability,
        config=RuntimeConfig(always_replay=not options.no_replay),
    )
    try:
        await runtime.start()
    except OSError as error:
        message = f"the data directory {_show_path(options.data)} cannot be used: {_reason(error)}"
        raise click.ClickException(message) from error
    except StoreFailedError as error:
        # Nothing ran yet, so there is nothing that starting again would recover.
        raise click.ClickException(str(error)) from error
    raise_descriptor_limit()
    _tune_collector()
    serving = asyncio.ensure_future(_serve_http(runtime, options, callers, operators))
    leaving = asyncio.ensure_future(_wait_leave(runtime, options, watch))
    try:
        await asyncio.wait({serving, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving  # It ends by itself only when it fails.
        ended = await leaving
    finally:
        leaving.cancel()
        await runtime.stop(timedelta(seconds=options.grace))
        await asyncio.wait({serving})
    if runtime.failure is not None:
        raise runtime.failure
    return ended


async def _serve_http(
    runtime: Runtime, options: ServeOptions, callers: HttpOptions, operators: HttpOptions
) -> None:
    admin_ports: list[int] = []

    def announce(port: int) -> None:
        tell(_startup_line(runtime, options, port, admin_ports))

    await runtime.serve(
        host=options.host,
        port=options.port,
        unix_path=options.unix,
        options=with_limits(callers, options.max_concurrent),
        admin_host=options.admin_host,
        admin_port=choose_admin_port(
            options.admin_port, options.port, options.unix, options.admin_unix
        ),
        admin_unix_path=options.admin_unix,
        admin_options=operators,
        on_admin_listening=admin_ports.append,
        on_listening=announce,
    )


async def _wait_leave(
    runtime: Runtime, options: ServeOptions, watch: SourceWatch | None
) -> Stopped | Changed:
    """Wait for SIGINT, SIGTERM or a change. The next signal of that kind ends the process."""
    loop = asyncio.get_running_loop()
    signalled = asyncio.Event()

    def leave(number: signal.Signals) -> None:
        signalled.set()
        # From here on the system answers, so a second Ctrl-C works whatever the loop is doing.
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)
        tell("stopping; once more ends it at once")
        if options.grace and runtime.statistics().attempts_resident:
            tell(f"waiting up to {options.grace:g} s for running steps")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, leave, number)
    while not signalled.is_set():
        changed = watch.find_change() if watch is not None else None
        if changed is not None:
            return Changed(changed)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(signalled.wait(), POLL_SECONDS if watch is not None else None)
    return Stopped()


def _run(serving: Coroutine[Any, Any, Stopped | Changed]) -> Stopped | Changed:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(serving)


def _tune_collector() -> None:
    """Let the garbage collector look less often, and never at what is here already.

    The process is ours, what was imported stays, and a call leaves no cycles behind: looking for
    some at the default pace takes a tenth to a fifth of the loop's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _startup_line(
    runtime: Runtime, options: ServeOptions, port: int, admin_ports: list[int]
) -> str:
    """``Holdfast 0.1.0: 1 object (Order) on http://…, admin on …, data in ./data (fsync)``."""
    services = runtime.registry.services.values()
    counts = [
        _count(noun, [each.name for each in services if each.kind == kind])
        for noun, kind in (
            ("object", "virtual object"),
            ("workflow", "workflow"),
            ("service", "service"),
        )
    ]
    served = " and ".join(filter(None, counts))
    places = _places(options.host, [port] if port else [], options.unix)
    admin = _places(options.admin_host, admin_ports, options.admin_unix)
    data = f"data in {_show_path(options.data)} ({options.durability})"
    parts = [f"{served} on {places}", *([f"admin on {admin}"] if admin else []), data]
    return f"Holdfast {__version__}: {', '.join(parts)}"


def _places(host: str, ports: list[int], unix: Path | None) -> str:
    # A URL names one address; that strangers may come in must be seen all the same.
    everywhere = " (every address)" if host in EVERY_ADDRESS else ""
    places = [make_url(host, port) + everywhere for port in ports]
    if unix is not None:
        places.append(f"unix:{_show_path(unix)}")
    return " and ".join(places)


def _count(noun: str, names: list[str]) -> str:
    if not names:
        return ""
    plural = "" if len(names) == 1 else "s"
    return f"{len(names)} {noun}{plural} ({', '.join(names)})"


def _show_path(path: Path) -> str:
    shown = str(path)
    return shown if path.is_absolute() or shown.startswith(".") else f"./{shown}"


def _reason(error: OSError) -> str:
    """What the system says, without the number; loops wrap it in sentences of their own."""
    if error.errno is None:
        return str(error)
    return os.strerror(error.errno)[:1].lower() + os.strerror(error.errno)[1:]


def _exit_code(error: HoldfastError) -> int:
    match error:
        case StoreFailedError():
            return EXIT_STORE_DAMAGED if _is_damage(error) else EXIT_STORE_FAILED
        case StoreDamagedError():
            return EXIT_STORE_DAMAGED
        case _:
            return EXIT_CANNOT_START


def _is_damage(error: BaseException | None) -> bool:
    """Whether the store failed because a file is damaged, which no start again recovers."""
    return error is not None and (
        isinstance(error, StoreDamagedError) or _is_damage(error.__cause__)
    )


def _say(sentence: str) -> None:
    tell(f"holdfast: {' '.join(sentence.split())}", err=True)


def _log_to_stderr() -> None:
    """Show what handlers and libraries log, from INFO on."""
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        datefmt="%H:%M:%S",
    )


class _InvocationLines(logging.Formatter):
    """A line per invocation; the level is shown where something is not as it should be."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s  %(message)s", datefmt="%H:%M:%S")
        self._with_level = logging.Formatter(
            "%(asctime)s  %(levelname)s %(message)s", datefmt="%H:%M:%S"
        )

    def format(self, record: logging.LogRecord) -> str:
        if record.levelno >= logging.WARNING:
            line = self._with_level.format(record)
            for each in record.args if isinstance(record.args, tuple) else ():
                if isinstance(each, Mismatch):
                    # Whoever looks at a terminal wants both sides one above the other.
                    line = line.replace(each.line, each.block)
            return line
        return super().format(record)


def _log_invocations() -> None:
    """Show a line per invocation on stdout."""
    lines = logging.StreamHandler(sys.stdout)
    lines.setFormatter(_InvocationLines())
    logger = logging.getLogger("holdfast.invocations")
    logger.addHandler(lines)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False


def _wait_change(watch: SourceWatch) -> Path:
    while True:
        changed = watch.find_change()
        if changed is not None:
            return changed
        time.sleep(POLL_SECONDS)


def _become_new(changed: Path) -> NoReturn:
    """Replace this process by a fresh one with the same command line.

    The process id stays, so whoever started or supervises this one still can.
    """
    tell(f"{changed.name} changed, starting again")
    os.environ[_RELOADED_VARIABLE] = "1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # our own command
