"""A function's code as eight hex digits, to tell later whether it is still the same code.

The fingerprint is of what the function does: its instructions with the names and constants they
use, its parameters, and all that about the functions written inside it. It is the same in every
process and under every hash seed, and it does not change with line numbers, the file's path,
comments, docstrings or what the function is called. Functions that it calls and the values of
globals and defaults are no part of it.

Bytecode is another one in each release of Python, and with it the fingerprint.
"""

import dis
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR, CO_VARARGS, CO_VARKEYWORDS
from types import CodeType
from typing import Any, Final, cast

from .annotations import underlying_function

_FLAGS: Final = CO_VARARGS | CO_VARKEYWORDS | CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR

_NOT_CODE: Final = frozenset({"CACHE", "EXTENDED_ARG", "NOP"})
"""Instructions that do nothing: where they stand depends on how the source is laid out."""

_WRITTEN: Final = frozenset({str, bytes, bool, float, complex, slice, type(None), type(Ellipsis)})
"""Types of constants whose ``repr`` says all there is to say."""

_ABOUT_A_CLASS: Final = frozenset({"__doc__", "__firstlineno__", "__qualname__"})
"""What the body of a class notes of itself."""


def find_code(function: Callable[..., Any]) -> CodeType | None:
    """The code that a call of ``function`` comes to in the end; ``None`` where it is not Python's.

    Looks through ``partial``, ``functools.wraps`` and bound methods, at ``__call__`` of objects
    and at ``__init__`` of classes.
    """
    try:
        found = underlying_function(function)
        if isinstance(found, type):
            found = underlying_function(cast("Any", found).__init__)
        code = getattr(found, "__code__", None)
        if code is None:
            code = getattr(underlying_function(type(found).__call__), "__code__", None)
    except Exception:  # noqa: BLE001  # a stranger's object may answer attributes as it likes
        return None
    # A mock that is to be taken for a function has a mock for its code, which says it is one.
    return code if type(code) is CodeType else None


@lru_cache(maxsize=4096)
def fingerprint_of(code: CodeType) -> str:
    """Eight hex digits that are others when ``code`` does something else."""
    return blake2b(repr(_shape(code)).encode(errors="replace"), digest_size=4).hexdigest()


def _shape(code: CodeType) -> tuple[Any, ...]:
    """What ``code`` does, as nested tuples of text that are the same in every process."""
    bytecode = dis.Bytecode(code)
    instructions = [each for each in bytecode if each.opname not in _NOT_CODE]
    offsets = [each.offset for each in bytecode]
    # Where a jump to each offset arrives, counted in instructions that do something.
    places: dict[int, int] = {}
    kept = {each.offset: number for number, each in enumerate(instructions)}
    place = len(instructions)
    for offset in reversed(offsets):
        place = kept.get(offset, place)
        places[offset] = place
    counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount
    parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    entries: list[Any] = cast("Any", bytecode).exception_entries
    handlers = [
        (places.get(each.start), places.get(each.end), places.get(each.target), each.depth)
        for each in entries
    ]
    body = [_operation(each, places) for each in _without_notes(instructions)]
    return (code.co_flags & _FLAGS, counts, parameters, tuple(handlers), tuple(body))


def _without_notes(instructions: list[dis.Instruction]) -> list[dis.Instruction]:
    """Without what the body of a class notes of itself: its docstring, its line."""
    return [
        each
        for each, following in zip(instructions, [*instructions[1:], None], strict=True)
        if following is None
        or following.opname != "STORE_NAME"
        or following.argval not in _ABOUT_A_CLASS
    ]


def _operation(instruction: dis.Instruction, places: dict[int, int]) -> tuple[str, Any]:
    if instruction.opcode in dis.hasjrel or instruction.opcode in dis.hasjabs:
        return instruction.opname, places.get(instruction.argval)
    return instruction.opname, _operand(instruction.argval, instruction.arg)


def _operand(value: Any, argument: int | None) -> Any:
    """``value`` as text, or nested tuples of text, that no hash seed and no address can change."""
    kind: type[Any] = type(value)
    if kind is CodeType:
        return _shape(value)
    if kind is tuple:
        return tuple(_operand(each, argument) for each in value)
    if kind is frozenset:
        return "set", sorted(repr(_operand(each, argument)) for each in value)
    if kind is int:
        return hex(value)  # repr() refuses very long ones
    if kind in _WRITTEN:
        return kind.__name__, repr(value)
    return str(argument)
