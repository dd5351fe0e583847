"""``holdfast backup``: a copy of a data directory, whoever has it open."""

from pathlib import Path

import click

from ..journal.backup import back_up
from .files import read_failures_told

_MIB = 1 << 20


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("target", metavar="TARGET", type=click.Path(path_type=Path))
def backup(*, directory: Path, target: Path) -> None:
    """Copy the data directory DIR to TARGET, a directory that does not exist yet.

    A server may have DIR open and go on meanwhile: the copy holds all that it had answered when the
    copying began. TARGET is durable when this ends, and appears whole or not at all. On the disk of
    DIR it shares files with it; name another disk to survive the loss of one.

    TARGET is a data directory itself. To restore, stop the server, put a copy of TARGET in the
    place of DIR, and start. What was done outside after the backup is done again.
    """
    with read_failures_told():
        info = back_up(directory, target)
    own = info.size_bytes - info.shared_bytes
    click.echo(
        f"{info.path} holds {_size(info.size_bytes)}, {_size(own)} of them its own. "
        f"`holdfast verify {info.path}` reads all of it"
    )


def _size(size_bytes: int) -> str:
    if size_bytes < _MIB:
        return f"{size_bytes / 1024:,.0f} KiB"
    return f"{size_bytes / _MIB:,.1f} MiB"
