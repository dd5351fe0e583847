"""Planting a bug: a decision of the real runtime says something else, for as long as a block lasts.

A bug is one edit of the source or a few, each within a function that it names. The module's text is
edited and compiled, and the function gets the new code; so whoever has imported the function, and
every object whose method it is, has the bug at once, and nothing else is touched. An edit whose
text is not there exactly once is refused: the code was changed, and the bug has to be planted anew.
"""

import ast
import importlib
import inspect
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of the source."""

    place: str
    """Module and function within ``holdfast``: ``runtime.timers:Timers.fire_due``."""
    old: str
    new: str


class GoneError(Exception):
    """What an edit changes is not there, or is there twice."""


@contextmanager
def planted(edits: Iterable[Edit]) -> Generator[None]:
    """Have the runtime of this process say what the edits say.

    Raises:
        GoneError: an edit does not fit the source. Nothing was changed.
    """
    changed = [(function, function.__code__, code) for function, code in _compile_all(list(edits))]
    try:
        for function, _, code in changed:
            function.__code__ = code
        yield
    finally:
        for function, code, _ in changed:
            function.__code__ = code


def _compile_all(edits: list[Edit]) -> list[tuple[FunctionType, CodeType]]:
    texts: dict[str, str] = {}
    for edit in edits:
        module, _, name = edit.place.partition(":")
        texts[module] = _apply(edit, texts.get(module) or _read(module), name)
    found: dict[str, tuple[FunctionType, CodeType]] = {}
    for edit in edits:
        module, _, name = edit.place.partition(":")
        code = compile(texts[module], f"<{edit.place}, with a bug>", "exec", dont_inherit=True)
        found[edit.place] = _find_function(module, name), _find_code(code, name)
    return list(found.values())


def _read(module: str) -> str:
    path = importlib.import_module(f"holdfast.{module}").__file__
    assert path is not None, f"{module} has no source"
    return Path(path).read_text("utf-8")


def _apply(edit: Edit, text: str, name: str) -> str:
    node: ast.AST = ast.parse(text)
    for part in name.split("."):
        node = _find_definition(edit, node, part)
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef), f"{name} is no function"
    assert node.end_lineno is not None, "a definition without an end"
    lines = text.splitlines(keepends=True)
    first, last = node.lineno - 1, node.end_lineno
    body = "".join(lines[first:last])
    if (count := body.count(edit.old)) != 1:
        message = f"{edit.place} holds {edit.old!r} {count} times; see what has become of it"
        raise GoneError(message)
    return "".join([*lines[:first], body.replace(edit.old, edit.new), *lines[last:]])


def _find_definition(edit: Edit, node: ast.AST, name: str) -> ast.AST:
    for child in ast.iter_child_nodes(node):
        is_definition = isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if is_definition and getattr(child, "name", "") == name:
            return child
    message = f"there is no {edit.place} any more"
    raise GoneError(message)


def _find_function(module: str, name: str) -> FunctionType:
    found: Any = importlib.import_module(f"holdfast.{module}")
    for part in name.split("."):
        found = inspect.getattr_static(found, part)
    if isinstance(found, property):
        found = found.fget
    assert isinstance(found, FunctionType), f"{module}:{name} is no function"
    return found


def _find_code(code: CodeType, name: str) -> CodeType:
    for part in name.split("."):
        code = next(
            each for each in code.co_consts if isinstance(each, CodeType) and each.co_name == part
        )
    return code
