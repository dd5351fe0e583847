"""From the TARGET of a command line to the classes to serve.

A target is a ``.py`` file or the dotted name of a module. A file is loaded as Python runs it: its
directory comes first on the import path, and its module is named after it. Served are the classes
of objects and services that the module defines, and those it imports and lists in ``__all__``;
a name that begins with an underscore is never served, so that a class may be there to inherit
from.

This module runs a stranger's code, so whatever goes wrong there comes out as one sentence with
the file and the line. It does not know what is done with the classes.
"""

import importlib
import importlib.util
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from .objects.errors import HoldfastError, InvalidDefinitionError, UnknownTargetError
from .objects.handler import Handler
from .objects.service import Service, VirtualObject, Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedTarget:
    """What a target turned out to be.

    Attributes:
        module: the module, imported.
        directory: where its file is; what it imports is usually near.
        classes: what to serve, in the order of definition; never empty.
    """

    module: ModuleType
    directory: Path
    classes: tuple[type, ...]


def load_target(target: str) -> LoadedTarget:
    """Import what ``target`` names and find the classes to serve.

    Changes ``sys.path``: the file's directory, or the current one, is its first entry afterwards.

    Raises:
        UnknownTargetError: no such file or module, or nothing to serve in it.
        InvalidDefinitionError: it could not be imported, or a class in it has handlers and is no
            object or service; the message says where and why.
    """
    module = _import_file(target) if target.endswith(".py") else _import_module(target)
    classes = find_classes(module)
    _check_others(module, classes)
    if not classes:
        message = (
            f"no object class found in {target}: define a class that inherits from "
            f"holdfast.VirtualObject, Workflow or Service, or import one and list it in __all__"
        )
        raise UnknownTargetError(message)
    file = Path(module.__file__ or ".").resolve()
    return LoadedTarget(module=module, directory=file.parent, classes=classes)


def find_classes(module: ModuleType) -> tuple[type, ...]:
    """The classes of ``module`` that are to be served, in the order of definition."""
    listed: set[str] = set(getattr(module, "__all__", ()))
    found = {
        value: None
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, VirtualObject | Workflow | Service)
        and not value.__name__.startswith("_")
        and (value.__module__ == module.__name__ or name in listed)
    }
    return tuple(found)


def _check_others(module: ModuleType, classes: tuple[type, ...]) -> None:
    """Refuse a class with handlers that nobody could call; a mixin of a served one is fine.

    Raises:
        InvalidDefinitionError: there is one.
    """
    for value in list(vars(module).values()):
        if (
            isinstance(value, type)
            and value.__module__ == module.__name__
            and not issubclass(value, VirtualObject | Workflow | Service)
            and not value.__name__.startswith("_")
            and any(isinstance(member, Handler) for member in value.__dict__.values())
            and not any(issubclass(served, value) for served in classes)
        ):
            name = value.__name__
            message = (
                f"{name} has handlers but does not derive from VirtualObject, Workflow or "
                f"Service: write "
                f"`class {name}(VirtualObject):`, or call it _{name} if others derive from it"
            )
            raise InvalidDefinitionError(message)


def _import_file(target: str) -> ModuleType:
    path = Path(target).resolve()
    if not path.is_file():
        message = f"there is no file {target}" + _suggest_module(target)
        raise UnknownTargetError(message)
    _put_first_on_path(path.parent)
    # A file may be called like a module that is already there, `calendar.py` for one; taking that
    # name away from whoever imports it next would break strangers.
    name = path.stem if path.stem not in sys.modules else f"{path.stem}_target"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "a path that ends in .py always has a loader"
    assert spec.loader is not None, "a path that ends in .py always has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _explain(target, path.parent, error) from error
    return module


def _import_module(target: str) -> ModuleType:
    if not all(part.isidentifier() for part in target.split(".")):
        as_file = f"; did you mean {target}.py?" if Path(f"{target}.py").is_file() else ""
        message = f"{target!r} is neither a .py file nor the name of a module{as_file}"
        raise UnknownTargetError(message)
    directory = Path.cwd()
    _put_first_on_path(directory)
    try:
        return importlib.import_module(target)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and _is_part_of(error.name, target):
            message = f"there is no module {target!r} here or among the installed packages"
            raise UnknownTargetError(message) from error
        raise _explain(target, directory, error) from error


def _is_part_of(missing: str | None, target: str) -> bool:
    return missing is not None and (missing == target or target.startswith(f"{missing}."))


def _put_first_on_path(directory: Path) -> None:
    if sys.path[:1] != [str(directory)]:
        sys.path.insert(0, str(directory))


def _suggest_module(target: str) -> str:
    module = target.removesuffix(".py").strip("/").replace("/", ".")
    return f" here ({Path.cwd()}); a module is named without .py, as in {module}"


def _explain(target: str, directory: Path, error: BaseException) -> HoldfastError:
    """One sentence for whatever the stranger's code raised, with its file and line."""
    if isinstance(error, HoldfastError):
        # It says what is wrong and how to cure it; the place is all there is to add.
        reason = error.message
    else:
        reason = f"{type(error).__name__}: {error}"
    message = f"{target} could not be imported: {_one_line(reason)}{_place(directory, error)}"
    return InvalidDefinitionError(message)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _place(directory: Path, error: BaseException) -> str:
    """``(file, line 3)`` for the innermost frame that is not a library's, where there is one."""
    if isinstance(error, SyntaxError):
        return ""  # Its own text ends with the file and the line.
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        if Path(frame.filename).is_relative_to(directory) and "site-packages" not in frame.filename:
            return f" ({Path(frame.filename).relative_to(directory)}, line {frame.lineno})"
    return ""
