"""``holdfast doctor``: why a data directory is refused, and the repairs that lose nothing."""

import errno
import os
from itertools import islice
from pathlib import Path

import click

from ..journal.data_directory import check_is_data_directory, explained_errors
from ..journal.diagnosis import Diagnosis, Verdict, examine
from ..journal.directory_lock import DirectoryLock
from ..journal.directory_view import DirectoryView
from ..journal.repairing import carry_out
from ..objects.errors import StoreDamagedError, StoreLockedError
from ..runtime.verify import Verification
from .files import read_failures_told

EXIT_UNWELL = 1
EXIT_LOST = 78
PROBLEMS_MAX = 20


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--fix", is_flag=True, help="Do what can be proven to lose nothing.")
def doctor(*, directory: Path, fix: bool) -> int:
    """Say in sentences why a start refuses the data directory DIR, and what to do.

    No server may have DIR open. Without --fix nothing in it changes. With --fix it is repaired if
    that was tried on a copy first, and the copy holds everything that was acknowledged; the files
    that change are kept in DIR as they were. Exits with 0 if DIR is well, or was repaired; with 1
    if there is something to do, which is named; and with 78 if acknowledged data is lost.
    """
    path = Path(os.path.realpath(directory))
    with read_failures_told():
        with explained_errors(path):
            check_is_data_directory(path, directory)
            lock = _lock(path, fix=fix)
        try:
            with explained_errors(path):
                diagnosis = examine(path)
            return _treat(path, diagnosis, fix=fix)
        finally:
            lock.release()


def _lock(path: Path, *, fix: bool) -> DirectoryLock:
    try:
        return DirectoryLock(path)
    except StoreLockedError as error:
        who, _, _ = error.message.partition(", and")
        message = (
            f"{who}, which could open it; a doctor sees what nobody has open, so stop that one "
            f"first. `holdfast verify {path}` reads every row beside a server that runs"
        )
        raise StoreLockedError(message) from None
    except OSError as error:
        # A disk that has failed can often only be read, and then a doctor is asked.
        if fix or error.errno not in {errno.EROFS, errno.EACCES, errno.EPERM}:
            raise
        return DirectoryLock(path, may_write=False)


def _treat(path: Path, diagnosis: Diagnosis, *, fix: bool) -> int:
    if diagnosis.verdict is not Verdict.SOUND:
        click.echo(f"{path} is not well:")
    for finding in diagnosis.findings:
        click.echo(f"- {finding}.")
    if diagnosis.verdict is Verdict.LOST:
        click.echo(
            "What was acknowledged is lost, or cannot be shown not to be, so a start is refused. "
            "Nothing here can bring it back. Keep a copy of the directory, restore a backup, and "
            "see to the disk."
        )
        return EXIT_LOST
    if diagnosis.repair is not None:
        if not fix:
            click.echo(
                "Everything that was acknowledged is there. A repair loses nothing; it was tried "
                f"on a copy. `holdfast doctor --fix {path}` would:"
            )
            for sentence in diagnosis.repair.sentences():
                click.echo(f"- {sentence}")
            return EXIT_UNWELL
        with explained_errors(path):
            kept = carry_out(path, diagnosis.repair)
        click.echo("Done, and everything that was acknowledged is there:")
        for sentence in diagnosis.repair.sentences():
            click.echo(f"- {sentence}")
        click.echo(f"The files as they were are in {kept}; remove it when you please.")
    return _read_everything(path)


def _read_everything(path: Path) -> int:
    """Read each row with its checksum: a start does not, and a server stops at a damaged one."""
    try:
        view = DirectoryView(path, holds_still=True)
        try:
            verification = Verification(view, epoch=view.epoch)
            problems = list(islice(verification.problems(), PROBLEMS_MAX))
        finally:
            view.close()
    except StoreDamagedError as damage:
        click.echo(f"{path} is not well: a start goes through, but {damage.message}.")
        click.echo(
            "A server would stop where it needs such a row. Keep a copy of the directory, restore "
            "a backup, and see to the disk."
        )
        return EXIT_LOST
    for problem in problems:
        click.echo(f"- {problem}")
    if problems:
        click.echo(
            f"Every file of {path} is whole, but these rows do not agree (`holdfast verify {path}` "
            "shows all). No disk does that: please report it."
        )
        return EXIT_UNWELL
    click.echo(
        f"{path} is well: a start goes through, and all {verification.rows:,} rows are whole."
    )
    return 0
