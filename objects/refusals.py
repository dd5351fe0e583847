"""What is said when a value or a document is refused: where, what was expected, what was found.

msgspec and pydantic each report in their own way; callers read one. Nothing here decides whether
something is refused.
"""

import re
from typing import Any, cast

import msgspec

from . import pydantic_models
from .errors import HoldfastError, InvalidArgumentError

_EXPECTED_GOT = re.compile(r"Expected `(?P<expected>.+)`, got `(?P<found>.+)`")
_WITH_PATH = re.compile(r"(?P<problem>.*) - at (?P<key>`key` in )?`(?P<path>\$.*)`", re.DOTALL)


class UnsupportedTypeError(TypeError):
    """A value of a type that has no encoding. The argument is the type's name."""


def describe_type(annotation: Any) -> str:
    """``annotation`` as a person would write it: ``str``, ``list[int]``, ``shop.Order``."""
    if not isinstance(annotation, type) or hasattr(cast("object", annotation), "__args__"):
        return "None" if annotation is None else str(annotation).replace("typing.", "")
    if annotation is type(None):
        return "None"
    if annotation.__module__ == "builtins":
        return annotation.__qualname__
    return f"{annotation.__module__}.{annotation.__qualname__}"


def refuse_value(value: object, error: BaseException) -> InvalidArgumentError:
    """What to raise where encoding ``value`` raised ``error``."""
    name = describe_type(type(value))
    match error:
        case UnsupportedTypeError():
            inside = str(error)
            where = f"a {name} cannot" if inside == name else f"a {inside} (in a {name}) cannot"
            problem = "be encoded; use builtins, dataclasses, TypedDict, msgspec or pydantic"
            return InvalidArgumentError(f"{where} {problem}")
        case RecursionError():
            problem = "it contains itself, or is nested too deeply"
        case OverflowError():
            problem = "a whole number in it is beyond 64 bits; pass it as a str"
        case UnicodeDecodeError():
            problem = (
                "bytes in it are no UTF-8, as which pydantic writes them; say ser_json_bytes and "
                "val_json_bytes='base64' in the model_config"
            )
        case UnicodeError():
            problem = "a str in it holds a lone surrogate, which is no valid Unicode"
        case ValueError() if "Out of range float" in str(error):
            problem = "JSON has no NaN and no infinity"
        case HoldfastError():
            problem = error.message
        case _:
            problem = str(error) or type(error).__name__
    return InvalidArgumentError(f"this {name} cannot be encoded: {problem}")


def refuse_document(data: bytes, error: BaseException, expected: str) -> InvalidArgumentError:
    """What to raise where decoding ``data`` as ``expected`` raised ``error``."""
    if not data:
        return InvalidArgumentError(f"expected {expected}, found nothing at all")
    match error:
        case RecursionError():
            return InvalidArgumentError("the document is nested too deeply")
        case OverflowError():
            problem = "a whole number in the document is beyond 64 bits; pass it as a str"
            return InvalidArgumentError(problem)
        case UnicodeError():
            return InvalidArgumentError(f"the document is not valid UTF-8: {error}")
        case msgspec.ValidationError():
            return InvalidArgumentError(_explain(error))
        case msgspec.DecodeError():
            return InvalidArgumentError(f"{error}; expected {expected}, found {show(data)}")
        case _:
            return InvalidArgumentError(_explain(error))


def _explain(error: BaseException) -> str:
    problem, path = str(error) or type(error).__name__, "$"
    if found := _WITH_PATH.fullmatch(problem):
        problem, path = found["problem"], found["path"]
    # A model's own report is in the cause, where msgspec called it for a part of the document.
    for source in (error, error.__cause__):
        if isinstance(source, pydantic_models.UnfitError):
            return "; ".join(f"at {path}{inside}: {what}" for inside, what in source.fields)
    if types := _EXPECTED_GOT.fullmatch(problem):
        problem = f"expected {types['expected']}, found {types['found']}"
    else:
        problem = problem[:1].lower() + problem[1:]
    return f"at {path}: {'a key of it: ' if found and found['key'] else ''}{problem}"


def show(data: bytes) -> str:
    """The beginning of a document, in quotes."""
    return repr(data if len(data) <= 40 else data[:37] + b"...")[1:]
