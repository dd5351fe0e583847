"""A fingerprint changes with what code does, and with nothing else."""

import functools
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from holdfast import Context, VirtualObject, handler
from holdfast.objects.definition import define
from holdfast.objects.fingerprints import find_code, fingerprint_of
from tests.processes import ROOT, environment

ORIGINAL = '''
async def ask(self, ctx, question="x", *, loud=False):
    """Ask."""
    async def again(n):
        return await ctx.run("again", print, n)
    try:
        for each in sorted({"a", "b", "c"}):
            if each in {"q", "r", "s", "t"} and loud:
                await ctx.run("llm", print, each, 1.5, (1, "two", None), 10**40)
    except ValueError:
        return [await again(n) for n in range(3)]
    finally:
        self.count += 1
    return None
'''

SAME = {
    "further_down": "\n\n\nx = 1\n\n" + ORIGINAL,
    "another_docstring": ORIGINAL.replace("Ask.", "Ask a question.\n\n    At length."),
    "no_docstring": ORIGINAL.replace('    """Ask."""\n', ""),
    "comments": ORIGINAL.replace("    try:", "    # Now for it.\n\n    try:"),
    "another_name": ORIGINAL.replace("def ask", "def inquire"),
    "laid_out_otherwise": ORIGINAL.replace(
        "print, each, 1.5, (1,", "print,\n                    each,\n                    1.5, (1,"
    ),
}

OTHER = {
    "a_step_renamed": ORIGINAL.replace('"llm"', '"model"'),
    "a_number": ORIGINAL.replace("1.5", "2.5"),
    "a_number_of_another_type": ORIGINAL.replace("(1,", "(True,"),
    "a_set_member": ORIGINAL.replace('"t"}', '"u"}'),
    "a_nested_function": ORIGINAL.replace('"again", print', '"once more", print'),
    "a_called_name": ORIGINAL.replace("sorted(", "reversed("),
    "an_attribute": ORIGINAL.replace("self.count", "self.total"),
    "the_exception_caught": ORIGINAL.replace("ValueError", "KeyError"),
    "what_is_tried": ORIGINAL.replace(
        "    try:\n        for each", "    self.n\n    try:\n        for each"
    ),
    "a_parameter": ORIGINAL.replace("loud=False", "loud=False, quiet=False"),
    "a_condition": ORIGINAL.replace("and loud", "or loud"),
    "an_await_removed": ORIGINAL.replace("await again(n) for", "again(n) for"),
    "an_operator": ORIGINAL.replace("count += 1", "count -= 1"),
}


def compiled(source: str, file: str = "assistant.py") -> str:
    names: dict[str, Any] = {}
    code = compile(source, file, "exec")
    exec(code, names)  # noqa: S102  # this test's own text
    (function,) = [each for each in names.values() if hasattr(each, "__code__")]
    return fingerprint_of(function.__code__)


@pytest.mark.parametrize("source", SAME.values(), ids=SAME)
def test_it_stays_when_the_code_does_the_same(source: str) -> None:
    assert source != ORIGINAL
    assert compiled(source) == compiled(ORIGINAL)


@pytest.mark.parametrize("source", OTHER.values(), ids=OTHER)
def test_it_changes_when_the_code_does_something_else(source: str) -> None:
    assert source != ORIGINAL
    assert compiled(source) != compiled(ORIGINAL)


def test_no_two_of_these_changes_have_one_fingerprint() -> None:
    found = [compiled(source) for source in OTHER.values()]

    assert len(set(found)) == len(found)


def test_a_constant_more_does_not_move_it_where_it_is_not_used() -> None:
    """A docstring is a constant, and constants are numbered: past 255 by longer instructions."""
    many = "".join(f"    f({n}.5)\n" for n in range(300))
    jumps = "    while f:\n        if g: break\n"
    text = f"def a(f, g):\n{many}{jumps}    return 'x'\n"

    assert compiled(text) == compiled(text.replace("):\n", '):\n    """Doc."""\n', 1))


def test_it_does_not_depend_on_the_file() -> None:
    assert compiled(ORIGINAL, "a.py") == compiled(ORIGINAL, "elsewhere/b.py")


@pytest.mark.parametrize("seed", ["0", "1", "77"])
def test_it_is_the_same_in_another_process_under_another_hash_seed(seed: str) -> None:
    program = (
        "from tests.objects.test_fingerprints import ORIGINAL, compiled; print(compiled(ORIGINAL))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment(PYTHONHASHSEED=seed),
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == compiled(ORIGINAL)


def test_the_body_of_a_class_counts_but_not_where_it_stands() -> None:
    text = "def a():\n    class B:\n        '''Doc.'''\n        x = 1\n    return B\n"

    assert compiled(text) == compiled("\n\n" + text.replace("Doc", "Other"))
    assert compiled(text) != compiled(text.replace("x = 1", "x = 2"))


def test_a_handler_has_the_fingerprint_of_its_own_code() -> None:
    def noisy(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return await function(*args, **kwargs)

        return wrapper

    class One(VirtualObject):
        @handler
        async def ask(self, ctx: Context) -> int:
            return 1

        @handler
        @noisy
        async def wrapped(self, ctx: Context) -> int:
            return 1

        @handler
        async def other(self, ctx: Context) -> int:
            return 2

    handlers = define(One).handlers
    assert handlers["ask"].fingerprint == handlers["wrapped"].fingerprint
    assert handlers["ask"].fingerprint != handlers["other"].fingerprint
    assert int(handlers["ask"].fingerprint, 16) < 1 << 32
    assert len(handlers["ask"].fingerprint) == 8


class Tool:
    def __init__(self, name: str = "") -> None:
        self.name = name

    def use(self) -> str:
        return self.name

    def __call__(self) -> str:
        return self.name

    @classmethod
    def make(cls) -> "Tool":
        return cls()

    @staticmethod
    def count() -> int:
        return 1


class Evasive:
    def __getattr__(self, name: str) -> Any:
        message = f"no {name} for you"
        raise RuntimeError(message)


@functools.wraps(Tool.use)
def wrapped(tool: Tool) -> str:
    return tool.use()


nothing: list[int] = []
CALLABLES: list[tuple[Any, Any]] = [
    (Tool.use, Tool.use.__code__),
    (Tool().use, Tool.use.__code__),
    (Tool(), Tool.__call__.__code__),
    (Tool, Tool.__init__.__code__),
    (Tool.make, Tool.make.__code__),
    (Tool.count, Tool.count.__code__),
    (functools.partial(functools.partial(Tool.use), Tool()), Tool.use.__code__),
    (wrapped, Tool.use.__code__),
    (print, None),
    (dict, None),
    (nothing.append, None),
    (Evasive(), None),
]


@pytest.mark.parametrize(("function", "code"), CALLABLES, ids=range(len(CALLABLES)))
def test_the_code_behind_whatever_can_be_called(function: Any, code: Any) -> None:
    assert find_code(function) is code
