"""``holdfast serve``, and what ``dev`` has in common with it: a server that lives until a signal.

Signals, log output, the loop and the garbage collector of the process are chosen here. That a
server ended for a reason of its own is an error that ``cli`` makes an exit code of.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from .access_options import (
    CALLERS_VARIABLE,
    OPERATORS_VARIABLE,
    access_options,
    read_http_options,
)
from .admin_options import admin_options, choose_admin_port
from .app import DEFAULT_PORT, Runtime, make_url
from .first_process import end_at_once_by, hear_stop_while_starting
from .ingress.admin.door import ADMIN_OPTIONS
from .ingress.options import HttpOptions
from .loading import LoadedTarget, load_target
from .objects.errors import StoreFailedError
from .output import LineHandler, tell
from .runtime.config import RuntimeConfig
from .seconds import Seconds
from .serving_limits import limit_options, raise_descriptor_limit, with_limits
from .version import __version__
from .watching import POLL_SECONDS, SourceWatch

LAST_SECONDS = 0.5
"""How long the tasks of a server that has stopped may take to end."""

# For whoever implements tasks; it has asyncio forget one.
_unregister_task: Callable[[asyncio.Task[Any]], None] = asyncio._unregister_task  # noqa: SLF001

try:
    import uvloop
except ImportError:  # It does not exist everywhere, and asyncio's own loop serves as well.
    new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
else:
    new_event_loop = uvloop.new_event_loop

EVERY_ADDRESS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared

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


def serving_options(command: Command) -> Command:
    """The argument and the options that ``serve`` and ``dev`` have in common."""
    for decorate in (
        click.option(
            "--grace",
            type=Seconds(0, 86_400),
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


@click.command()
@serving_options
def serve(**options: Any) -> None:
    """Serve the objects of TARGET, a .py file or a module, over HTTP."""
    chosen = ServeOptions(**options)
    hear_stop_while_starting()
    log_to_stderr()
    run(serve_until_left(load_served(chosen.target), chosen, watch=None))


async def serve_until_left(
    loaded: LoadedTarget,
    options: ServeOptions,
    watch: SourceWatch | None,
    on_started: Callable[[Runtime], Awaitable[None]] | None = None,
) -> Stopped | Changed:
    """Serve until a signal, a change that ``watch`` sees, or a failure; stop gracefully then.

    ``on_started`` is awaited before anybody can call.
    """
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
    _tune_collector()
    try:
        await runtime.start()
    except OSError as error:
        message = f"the data directory {_show_path(options.data)} cannot be used: {_reason(error)}"
        raise click.ClickException(message) from error
    except StoreFailedError as error:
        # Nothing ran yet, so there is nothing that starting again would recover.
        raise click.ClickException(str(error)) from error
    raise_descriptor_limit()
    # First, so that whoever sees a socket of ours can already ask us to stop.
    leaving = asyncio.ensure_future(_wait_leave(runtime, options, watch))
    starting = None if on_started is None else on_started(runtime)
    serving = asyncio.ensure_future(_serve_http(runtime, options, callers, operators, starting))
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


def load_served(target: str) -> LoadedTarget:
    """As ``load_target``. The garbage collector rests: what is imported stays."""
    gc.disable()
    try:
        return load_target(target)
    finally:
        gc.enable()


def run(serving: Coroutine[Any, Any, Stopped | Changed]) -> Stopped | Changed:
    """Run ``serving`` on the fastest loop there is. What does not end by then ends with us."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        try:
            return runner.run(serving)
        finally:
            runner.run(_forget_stubborn())


async def _forget_stubborn() -> None:
    """Cancel what still runs, and have nobody wait for what goes on all the same.

    A runner waits for every task without a limit, and the action of a step may swallow whatever it
    is told. The stop of the runtime has named it.
    """
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        _, stubborn = await asyncio.wait(left, timeout=LAST_SECONDS)
        for task in stubborn:
            _unregister_task(task)
            with contextlib.suppress(AttributeError):
                # Else it would complain as it goes; a loop of asyncio's says so of its own tasks.
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001


def log_to_stderr() -> None:
    """Show what handlers and libraries log, from INFO on."""
    logging.basicConfig(
        handlers=[LineHandler(sys.stderr)],
        level=logging.INFO,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        datefmt="%H:%M:%S",
    )


async def _serve_http(
    runtime: Runtime,
    options: ServeOptions,
    callers: HttpOptions,
    operators: HttpOptions,
    starting: Awaitable[None] | None,
) -> None:
    if starting is not None:
        await starting
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
        end_at_once_by(number)
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


def _tune_collector() -> None:
    """Let the garbage collector look less often, and never at what is here already.

    The process is ours, what was imported stays, and a call leaves no cycles behind: looking for
    some at the default pace takes a tenth to a fifth of the loop's time. Nothing is collected
    before: whoever waits for the first answer would wait for that, for a few cycles of imports.
    """
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
