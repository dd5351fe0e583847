"""Whether the values of ``HttpOptions`` are what they have to be, so that a slip opens no door.

A text where names are asked for is the dangerous one: it is taken apart into letters, and a ``*``
among them is "any".
"""

from typing import cast

from ..objects.errors import InvalidArgumentError

ANY = "*"


def check_names(option: str, given: object) -> frozenset[str]:
    """The names of ``option``, in lower case and without a slash at the end.

    Raises:
        InvalidArgumentError: they are no list of texts, or one cannot be a host or an origin.
    """
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        message = (
            f"HttpOptions: {option} is a list of texts, even where there is only one, and this is "
            f"{type(given).__name__}: {given!r:.80}"
        )
        raise InvalidArgumentError(message)
    return frozenset(_check_name(option, name) for name in cast("list[object]", given))


def check_bool(option: str, value: object) -> None:
    """Refuse what is no bool: the text ``"false"`` is true.

    Raises:
        InvalidArgumentError: it is of another type.
    """
    if not isinstance(value, bool):
        message = f"HttpOptions: {option} is {value!r:.80}, and it must be True or False"
        raise InvalidArgumentError(message)


def check_number(option: str, value: object, *, is_whole: bool) -> None:
    """Refuse a limit that is no number.

    Raises:
        InvalidArgumentError: it is of another type.
    """
    kinds = int if is_whole else int | float
    if not isinstance(value, kinds) or isinstance(value, bool):
        kind = "a whole number" if is_whole else "a number"
        message = f"HttpOptions: {option} is {value!r:.80}, and it must be {kind}"
        raise InvalidArgumentError(message)


def _check_name(option: str, given: object) -> str:
    if not isinstance(given, str):
        message = (
            f"HttpOptions: {option} are texts, and one is {type(given).__name__}: {given!r:.80}"
        )
        raise InvalidArgumentError(message)
    name = given.lower().rstrip("/")
    problem = None
    if name == ANY:
        return name
    if option == "hosts" and not name.startswith("["):  # An IPv6 address is let in by itself.
        host, _, port = name.partition(":")
        # The port does not matter, whoever names it.
        name, problem = host, _find_host_problem(host, port)
    elif option == "origins":
        problem = _find_origin_problem(name)
    if problem is not None:
        message = f"HttpOptions: {given!r:.80} in {option} would let nobody in: {problem}"
        raise InvalidArgumentError(message)
    return name


def _find_host_problem(host: str, port: str) -> str | None:
    if not host or "/" in host or "/" in port or (port and not port.isdecimal()):
        return "a host is a name such as agents.example.com, without https:// and without a path"
    if ANY in host:
        return "'*' stands alone, for any host"
    return None


def _find_origin_problem(origin: str) -> str | None:
    if origin == "null":
        return None
    scheme, separator, host = origin.partition("://")
    if not separator or not scheme or not host or "/" in host:
        return "an origin is a scheme and a host, such as https://app.example.com, without a path"
    if ANY in host:
        return "'*' stands alone, for any origin"
    return None
