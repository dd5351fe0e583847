"""``holdfast dev``: as ``serve``, for whoever edits: it says what runs, and starts again."""

import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import click

from .app import Runtime
from .checking_command import check_before_serving
from .dev_retries import try_again
from .first_process import hear_stop_while_starting
from .objects.errors import HoldfastError
from .objects.mismatch import Mismatch
from .output import LineHandler, say, tell
from .serving_command import (
    Changed,
    ServeOptions,
    load_served,
    log_to_stderr,
    run,
    serve_until_left,
    serving_options,
)
from .watching import POLL_SECONDS, SourceWatch, directories_of

_RELOADED_VARIABLE = "HOLDFAST_RELOADED"
"""Set by ``dev`` for the process it becomes: a broken target then waits for the next edit, also in
these directories, which a broken import does not come to."""


@click.command()
@serving_options
@click.option(
    "--no-replay",
    is_flag=True,
    help="Let a handler go on where it waited, as serve does. Without this it runs again from its "
    "top each time, against its journal, so that code that is not deterministic shows at once.",
)
def dev(**options: Any) -> None:
    """As serve, with a line per invocation, and started again when a source file changes.

    A handler is replayed each time it has waited: see --no-replay. What failed before is tried
    again at each start.
    """
    chosen = ServeOptions(**options)
    hear_stop_while_starting()
    log_to_stderr()
    _log_invocations()
    reloaded = os.environ.pop(_RELOADED_VARIABLE, None)
    started_ns = time.time_ns()
    try:
        loaded = load_served(chosen.target)
    except HoldfastError as error:
        if reloaded is None:
            raise
        before = [Path(path) for path in json.loads(reloaded)]
        watch = SourceWatch([*before, *directories_of(error)], started_ns)
        try:
            say(f"{error}; waiting for a change")
            changed = _wait_change(watch)
        except KeyboardInterrupt:
            sys.exit(0)
        _become_new(changed, watch)
    watch = SourceWatch([loaded.directory], started_ns)
    check_before_serving(loaded.classes, chosen.data)
    ended = run(serve_until_left(loaded, chosen, watch, _try_again))
    if isinstance(ended, Changed):
        _become_new(ended.path, watch)


async def _try_again(runtime: Runtime) -> None:
    count = await try_again(runtime)
    if count:
        tell(f"{count} failed before and {'is' if count == 1 else 'are'} tried again")


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
    lines = LineHandler(sys.stdout)
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


def _become_new(changed: Path, watch: SourceWatch) -> NoReturn:
    """Replace this process by a fresh one with the same command line.

    The process id stays, so whoever started or supervises this one still can.
    """
    tell(f"{changed.name} changed, starting again")
    os.environ[_RELOADED_VARIABLE] = json.dumps([str(path) for path in watch.directories])
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # our own command
