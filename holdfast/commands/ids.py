"""What a command is told: ids, as arguments or one a line, values, and whether it is meant so."""

import json
import sys
from collections.abc import Callable, Sequence

import click

_MANY = 1


def read_ids(arguments: Sequence[str], check: Callable[[str], object]) -> list[str]:
    """The ids of the command line; ``-`` stands for those on standard input, one a line.

    Of a line the first word counts, so that the rows of a table will do.

    Raises:
        click.UsageError: there is none.
        InvalidArgumentError: one is no id; nothing was done.
    """
    ids: list[str] = []
    for argument in arguments:
        if argument == "-":
            ids.extend(line.split()[0] for line in sys.stdin if line.strip())
        else:
            ids.append(argument)
    found = [id_ for id_ in dict.fromkeys(ids) if id_ != "ID"]
    if not found:
        message = "there is no id; name some, or pass - to read them from standard input"
        raise click.UsageError(message)
    for id_ in found:
        check(id_)
    return found


def confirm(verb: str, ids: Sequence[str], *, is_told: bool) -> None:
    """Ask before something is done to several, unless the command line says yes.

    Raises:
        click.UsageError: nobody can be asked.
        click.ClickException: whoever was asked says no.
    """
    if is_told or len(ids) <= _MANY:
        return
    if not sys.stdin.isatty():
        message = f"{verb} of {len(ids)} wants --yes, for nobody can be asked here"
        raise click.UsageError(message)
    _ask(f"{verb} {len(ids)}?")


def confirm_all(what: str, *, is_told: bool) -> None:
    """Ask before ``what`` is forgotten, unless the command line says yes; raises as ``confirm``."""
    if is_told:
        return
    if not sys.stdin.isatty():
        message = f"to forget {what} wants --yes, for nobody can be asked here"
        raise click.UsageError(message)
    _ask(f"forget {what}?")


def _ask(question: str) -> None:
    """Ask whoever sits there.

    Raises:
        click.ClickException: the answer is no.
    """
    if not click.confirm(question, err=True):
        message = "nothing was done"
        raise click.ClickException(message)


def _refuse_constant(constant: str) -> None:
    message = f"JSON has no {constant}"
    raise ValueError(message)


def check_json_value(name: str, value: str) -> bytes:
    """``value``, when it is JSON.

    Raises:
        click.UsageError: it is none.
    """
    try:
        json.loads(value, parse_constant=_refuse_constant)
    except ValueError as error:
        message = f"{name} is JSON, and {value!r:.80} is none ({error}); a text is written '\"so\"'"
        raise click.UsageError(message) from error
    return value.encode()
