"""``holdfast verify``: whether a data directory is whole, with nothing running on it."""

from contextlib import closing
from itertools import islice
from pathlib import Path

import click

from ..journal.directory_view import DirectoryView
from ..runtime.verify import Verification
from .files import read_failures_told
from .printing import print_json

EXIT_BROKEN = 1


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--most",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar="NUMBER",
    help="Stop when so many things are wrong.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(*, directory: Path, most: int, as_json: bool) -> int:
    """Read all of the data directory DIR, and say what in it does not agree.

    Every file is read with its checksums, and every row is looked at from the rows that need it:
    whether what waits will be woken, whose turn it is, that nothing is half there. Nothing is
    changed, and a server may have DIR open meanwhile. Exits with 0 if all is right, with 1 if
    anything is wrong, and with 78 if DIR is damaged, or has lost what was acknowledged.
    """
    with read_failures_told(), closing(DirectoryView(directory)) as view:
        verification = Verification(view, epoch=view.epoch)
        problems = list(islice(verification.problems(), most))
    if as_json:
        print_json(
            {
                "path": str(view.path),
                "rows": verification.rows,
                "open": verification.open,
                "completed": verification.completed,
                "problems": problems,
                "is_cut_short": len(problems) == most,
            }
        )
    else:
        for problem in problems:
            click.echo(problem)
        click.echo(_summary(view.path, verification, problems, most))
    return EXIT_BROKEN if problems else 0


def _summary(path: Path, verification: Verification, problems: list[str], most: int) -> str:
    read = (
        f"{verification.rows:,} rows, of invocations {verification.open:,} open and "
        f"{verification.completed:,} completed"
    )
    if len(problems) == most:
        return f"{path}: stopped at {most:,} things that are wrong, after {read}"
    if problems:
        return f"{path}: {len(problems):,} things are wrong, in {read}"
    return f"{path}: nothing is wrong, in {read}"
