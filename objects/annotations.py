"""What annotations mean, resolved when a class is registered rather than when it is written.

Until then a class may name types that are defined further down its module. This module knows
neither handlers nor fields; it answers about one annotation at a time, so that one that cannot be
resolved spoils no other.
"""

import sys
from collections.abc import Callable, Mapping
from functools import partial
from inspect import unwrap
from pathlib import PurePath
from types import CodeType, SimpleNamespace
from typing import Any, get_type_hints

if sys.version_info >= (3, 14):
    from annotationlib import Format, get_annotations

    def raw_annotations(owner: Any) -> Mapping[str, Any]:
        """The annotations written on a class or function itself, not yet resolved."""
        return get_annotations(owner, format=Format.FORWARDREF)

else:
    from inspect import get_annotations

    def raw_annotations(owner: Any) -> Mapping[str, Any]:
        """The annotations written on a class or function itself, not yet resolved."""
        return get_annotations(owner)


def resolve_annotation(
    raw: Any, names: Mapping[str, Any], local_names: Mapping[str, Any] | None = None
) -> Any:
    """The type that an annotation says, where it was written in a module of these ``names``.

    ``local_names`` are those of the class around it. They come second: a handler that is called
    ``list`` must not change what ``list[str]`` means.

    Raises:
        Exception: whatever evaluating the annotation raises, ``NameError`` for the most part.
    """
    holder = SimpleNamespace(__annotations__={"it": raw})
    try:
        hints = get_type_hints(holder, dict(names), include_extras=True)
    except NameError:
        if not local_names:
            raise
        hints = get_type_hints(holder, dict(names), dict(local_names), include_extras=True)
    return hints["it"]


def resolve_in_class(owner: type, raw: Any) -> Any:
    """The type that an annotation in the body of ``owner`` says.

    Raises:
        Exception: as ``resolve_annotation``.
    """
    module = sys.modules.get(owner.__module__)
    return resolve_annotation(raw, vars(module) if module else {}, vars(owner))


def underlying_function(function: Callable[..., Any]) -> Any:
    """What is called in the end: without ``partial``, ``functools.wraps`` and a bound ``self``."""
    while isinstance(function, partial):
        function = function.func
    # A bound method forwards its attributes to its function; anything callable has __call__.
    return unwrap(getattr(function, "__func__", function))


def describe_source(function: Any) -> str:
    """``assistant.py:12``, where a function is written, or ``<built in>``."""
    code = getattr(underlying_function(function), "__code__", None)
    if type(code) is not CodeType:  # Also a mock's, see ``fingerprints``.
        return "<built in>"
    return f"{PurePath(code.co_filename).name}:{code.co_firstlineno}"


def describe_name(function_or_class: Any) -> str:
    """``Assistant.ask``: the qualified name, without the functions it is defined in."""
    name: str = function_or_class.__qualname__
    return name.rpartition("<locals>.")[2]
