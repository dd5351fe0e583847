"""The architecture, held as a test: who may import what, who owns which dependency, what is seen.

Tables come first. An entry in an exception table carries its reason; an entry that is no longer
needed fails as well, so that the tables only shrink. A rule is one test over all modules, which
tells every breach at once: a test for each module took longer to count than to run.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from holdfast.objects import errors

ROOT = Path(__file__).resolve().parent.parent

LAYERS = ("objects", "journal", "runtime", "ingress")
"""A room may import itself and those before it."""

OWNERS: dict[str, set[str]] = {
    "rocksdict": {
        "journal/directory_view.py",
        "journal/rocks.py",
        "journal/rocks_open.py",
        "journal/rocks_reading.py",
    },
    # The scripted model answers over HTTP as a provider does; its server is no part of the runtime.
    "aiohttp": {
        "ingress/server.py",
        "ingress/connections.py",
        "ingress/bodies.py",
        "ingress/encoding.py",
        "ingress/exchanges.py",
        "ingress/malformed.py",
        "ingress/aiohttp_app.py",
        "ingress/callbacks.py",
        "holdfast/client/transport.py",
        "holdfast/app.py",  # the type of what `Runtime.app` gives
        "holdfast/testing/llm/door.py",
        "holdfast/testing/llm/delivery.py",
        "holdfast/demo/agent.py",  # as a user's agent, which calls a model over HTTP
    },
    "apsw": {"ingress/sql/database.py", "ingress/sql/query.py", "ingress/sql/temporary.py"},
    "msgpack": {"journal/codec.py"},
    "uvloop": {"holdfast/serving_command.py"},
    "click": {
        "holdfast/access_options.py",
        "holdfast/admin_options.py",
        "holdfast/checking_command.py",
        "holdfast/cli.py",
        "holdfast/commands/awakeables.py",
        "holdfast/commands/backup.py",
        "holdfast/commands/connection.py",
        "holdfast/commands/doctor.py",
        "holdfast/commands/files.py",
        "holdfast/commands/ids.py",
        "holdfast/commands/invocations.py",
        "holdfast/commands/printing.py",
        "holdfast/commands/sql.py",
        "holdfast/commands/rows.py",
        "holdfast/commands/services.py",
        "holdfast/commands/state.py",
        "holdfast/commands/verify.py",
        "holdfast/demo/command.py",
        "holdfast/demo/story.py",
        "holdfast/dev_command.py",
        "holdfast/later.py",
        "holdfast/output.py",
        "holdfast/seconds.py",
        "holdfast/serving_command.py",
        "holdfast/serving_limits.py",
        "holdfast/testing/llm/__main__.py",
    },
    "pytest": {"holdfast/testing/plugin.py"},
    "pytest_asyncio": {"holdfast/testing/plugin.py"},
}
"""The only modules that import a dependency. What is not named here anyone may import."""

NEVER = {
    "pickle": "unpickling runs whatever the bytes say",
    "marshal": "as pickle, and its format changes with Python",
    "shelve": "it is pickle",
    "dill": "it is pickle",
}

WORLD_MODULES = {"time", "secrets", "threading", "concurrent", "multiprocessing", "subprocess"}
"""Modules that reach the world; the rooms below ``ingress`` import them in the seams only."""

WORLD_NAMES = re.compile(
    r"(datetime\.)?datetime\.(now|utcnow|today)|date\.today"
    r"|random\.(?!Random$)\w+|uuid\.uuid[1-8]|os\.urandom"
    r"|asyncio\.(sleep|to_thread|open_connection|open_unix_connection|create_subprocess_\w+)"
)

SEAMS = "runtime/seams.py"

WORLD_EXCEPTIONS: dict[tuple[str, str], str] = {
    ("runtime/testing.py", "asyncio.sleep"): "for tests: `settle` gives the real loop its rounds",
    ("journal/memory.py", "threading"): "a lock: `sync` may run in another thread than `write`",
    ("journal/rocks.py", "threading"): "locks: `sync` may run in another thread than `write`",
    ("journal/rocks_reading.py", "threading"): "a lock: a view is read in another thread",
    ("journal/tide_mark.py", "threading"): "the tide mark is synced beside the commit it follows",
}
"""(module, what it uses): why it may."""

MODULE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60
LONG_MODULES: dict[str, tuple[int, str]] = {}
"""Modules over the limit: the length they may not exceed, and why. It only ever gets smaller."""
LONG_FUNCTIONS: dict[tuple[str, str], tuple[int, str]] = {}
"""(module, function) over the limit: the length it may not exceed, and why."""

DEFERRED_IMPORTS: dict[tuple[str, str], str] = {
    ("objects/retry_after.py", "_parse_date"): "rare, and a tenth of the package's loading time",
    (
        "objects/schema_words.py",
        "load_library",
    ): "jsonschema is loaded when a first value is checked",
    ("objects/pydantic_models.py", "make_adapter"): "pydantic is there only for those who use it",
    ("objects/pydantic_words.py", "_words_of"): "as there",
    ("holdfast/__init__.py", "__getattr__"): "importing the package must not load the runtime",
    (
        "holdfast/testing/__init__.py",
        "__getattr__",
    ): "finding the fixtures must not load the runtime",
    ("holdfast/__main__.py", "main"): "the collector is told to rest before anything is loaded",
    ("holdfast/later.py", "get_command"): "a start waits only for what its own command needs",
    ("holdfast/loading.py", "_import_module"): "what to import is named on the command line",
}
"""(module, function) that imports when called: why."""


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def sources(*folders: str) -> list[Path]:
    """The Python files below ``folders``, each once: symlinked rooms are left to their own name."""
    return sorted(
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if not (folder == "holdfast" and path.relative_to(ROOT).parts[1] in LAYERS)
    )


LIBRARY = sources("holdfast", *LAYERS)
ROOMS = sources(*LAYERS)
OUTSIDE = sources("tests", "examples", "bench")


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """All of a module of the library, the module itself first."""
    return tuple(ast.walk(parse(path)))


def assert_none(breaches: Iterable[str]) -> None:
    found = list(breaches)
    assert not found, "\n".join(found)


def package_of(path: Path) -> list[str]:
    """The package a module's relative imports start from."""
    parts = list(path.relative_to(ROOT).parts[:-1])
    return parts if parts[0] == "holdfast" else ["holdfast", *parts]


@cache
def imported_modules(path: Path) -> tuple[str, ...]:
    """The full names of the modules that ``path`` imports from, wherever in the file."""
    return tuple(_imported_modules(path))


def _imported_modules(path: Path) -> Iterator[str]:
    # Parsed for this alone: to keep the trees of all tests would give the collector work.
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = package_of(path)
            start = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*start, *filter(None, [node.module])])
            yield module
            # `from . import errors` names a module, `from .errors import X` a thing in one.
            yield from (f"{module}.{alias.name}" for alias in node.names)


def functions(path: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in nodes_of(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node


def test_the_rooms_are_relative_symlinks_into_the_package() -> None:
    for room in LAYERS:
        link = ROOT / "holdfast" / room
        assert link.is_symlink(), f"holdfast/{room} must be a symlink to ../{room}"
        assert link.readlink() == Path("..") / room


def imports(paths: list[Path]) -> Iterator[tuple[Path, str]]:
    """Who of ``paths`` imports what."""
    for path in paths:
        yield from ((path, module) for module in imported_modules(path))


def absolute_imports(paths: list[Path]) -> Iterator[tuple[Path, str]]:
    """As ``imports``, without those that start with a dot."""
    for path in paths:
        for node in nodes_of(path):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                yield path, node.module or ""


def test_imports_point_to_the_left() -> None:
    def knows_too_much(path: Path, module: str) -> bool:
        room = path.relative_to(ROOT).parts[0]
        package, *inside = module.split(".")
        allowed = LAYERS[: LAYERS.index(room) + 1]
        return package == "holdfast" and bool(inside) and inside[0] not in allowed

    assert_none(
        f"{name_of(path)} must not know {module}"
        for path, module in imports(ROOMS)
        if knows_too_much(path, module)
    )


def test_the_package_imports_itself_relatively() -> None:
    assert_none(
        f"{name_of(path)} imports {module}"
        for path, module in absolute_imports(LIBRARY)
        if module.split(".")[0] in {"holdfast", *LAYERS}
    )


def test_nobody_outside_imports_a_room_by_its_folder() -> None:
    """From the root ``journal`` resolves too, to a second copy of every module in it."""
    assert_none(
        f"{name_of(path)} imports {module}"
        for path, module in imports(OUTSIDE)
        if module.split(".")[0] in LAYERS
    )


def test_every_dependency_has_its_owners() -> None:
    everybody = {name_of(path) for path in LIBRARY}
    assert_none(
        f"{name_of(path)} imports {module}, which belongs to others"
        for path, module in imports(LIBRARY)
        if name_of(path) not in OWNERS.get(module.split(".")[0], everybody)
    )


@pytest.mark.parametrize(("package", "owners"), OWNERS.items(), ids=OWNERS)
def test_every_owner_uses_what_it_owns(package: str, owners: set[str]) -> None:
    for owner in owners:
        assert any(module.split(".")[0] == package for module in imported_modules(ROOT / owner))


def evaluations(path: Path) -> Iterator[str]:
    for node in nodes_of(path):
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Name) and called.id in {"eval", "exec"}:
            yield f"{name_of(path)}:{called.lineno} calls {called.id}"


def test_nothing_is_unpickled_or_evaluated() -> None:
    readers = [*LIBRARY, *sources("examples", "bench")]
    assert_none(
        f"{name_of(path)} imports {module}: {NEVER[module.split('.')[0]]}"
        for path, module in imports(readers)
        if module.split(".")[0] in NEVER
    )
    assert_none(found for path in readers for found in evaluations(path))


def world_uses(path: Path) -> set[str]:
    """What of the world a module reaches: modules it imports, names it spells out."""
    uses = {module.split(".")[0] for module in imported_modules(path)} & WORLD_MODULES
    for node in nodes_of(path):
        if isinstance(node, ast.Attribute):
            dotted = ast.unparse(node)
            if WORLD_NAMES.fullmatch(dotted):
                uses.add(dotted)
    for module in imported_modules(path):
        if WORLD_NAMES.fullmatch(module):  # from random import choice
            uses.add(module)
    return uses


def test_the_world_comes_in_through_the_seams() -> None:
    inside = [path for path in sources("objects", "journal", "runtime") if name_of(path) != SEAMS]
    assert {(name_of(path), use) for path in inside for use in world_uses(path)} == set(
        WORLD_EXCEPTIONS
    )


def is_import(node: ast.AST) -> bool:
    called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
    by_name = {"import_module", "importlib.import_module", "__import__"}
    return isinstance(node, ast.Import | ast.ImportFrom) or called in by_name


def test_imports_are_at_the_top() -> None:
    defers = [
        (name_of(path), name, any(is_import(node) for node in ast.walk(function)))
        for path in LIBRARY
        for name, function in functions(path)
    ]
    assert_none(
        f"{module} {name} {'imports when called' if does else 'needs its entry no longer'}"
        for module, name, does in defers
        if does != ((module, name) in DEFERRED_IMPORTS)
    )


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function without its docstring: a long contract is no long function."""
    assert function.end_lineno is not None
    doc = ast.get_docstring(function, clean=False)
    return function.end_lineno - function.lineno + 1 - (doc.count("\n") + 1 if doc else 0)


def too_long(path: Path) -> Iterator[str]:
    module = name_of(path)
    lines = len(path.read_text(encoding="utf-8").splitlines())
    if lines > LONG_MODULES.get(module, (MODULE_LINES_MAX, ""))[0]:
        yield f"{module} has {lines} lines"
    for name, function in functions(path):
        length = lines_of(function)
        if length > LONG_FUNCTIONS.get((module, name), (FUNCTION_LINES_MAX, ""))[0]:
            yield f"{module} {name} has {length} lines"


def test_modules_and_functions_fit_a_head() -> None:
    assert_none(found for path in LIBRARY for found in too_long(path))


def test_the_ratchets_hold_what_is_still_too_long() -> None:
    for module in LONG_MODULES:
        assert len((ROOT / module).read_text().splitlines()) > MODULE_LINES_MAX, f"free {module}"
    for module, name in LONG_FUNCTIONS:
        long = [
            each
            for found, each in functions(ROOT / module)
            if found == name and lines_of(each) > FUNCTION_LINES_MAX
        ]
        assert long, f"free {module} {name}"


def documented(path: Path) -> bool:
    module = nodes_of(path)[0]
    return isinstance(module, ast.Module) and bool(ast.get_docstring(module))


def test_every_module_says_what_it_owns() -> None:
    assert_none(name_of(path) for path in LIBRARY if not documented(path))


def error_classes() -> list[type[errors.HoldfastError]]:
    found = [errors.HoldfastError]
    for cls in found:
        found.extend(cls.__subclasses__())
    return [cls for cls in dict.fromkeys(found) if cls.__module__.startswith("holdfast.")]


@pytest.mark.parametrize("cls", error_classes()[1:], ids=lambda cls: cls.__name__)
def test_every_error_has_a_page(cls: type[errors.HoldfastError]) -> None:
    page = ROOT / "objects" / "error_codes" / f"{cls.code}.md"
    assert page.is_file(), f"{cls.__name__} needs objects/error_codes/{cls.code}.md"
    assert cls.__name__ in page.read_text(encoding="utf-8")
    assert f"{cls.__name__} " in (errors.__doc__ or ""), "and a line in the tree of errors.py"


def test_no_two_errors_share_a_code() -> None:
    codes = [cls.code for cls in error_classes()]
    assert len(codes) == len(set(codes))


def test_every_page_belongs_to_an_error() -> None:
    pages = {page.stem for page in (ROOT / "objects" / "error_codes").glob("*.md")}
    assert pages == {cls.code for cls in error_classes()[1:]}


@pytest.mark.parametrize("room", LAYERS)
def test_every_room_says_why_it_is_as_it_is(room: str) -> None:
    assert (ROOT / room / "DESIGN.md").is_file()


def tracked_texts() -> Iterator[tuple[str, str]]:
    """Every text file of the project."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode != 0:
        pytest.skip("needs a git checkout to know which files are the project's")
    for name in listing.stdout.splitlines():
        path = ROOT / name
        if path.is_file() and not path.is_symlink():
            yield name, path.read_text(encoding="utf-8", errors="replace")


def test_no_file_names_the_machine_it_was_written_on() -> None:
    private = re.compile(r"(?<![\w.])/(work|home|root|Users)/\w")
    for name, text in tracked_texts():
        found = private.search(text)
        assert found is None, f"{name} names {found[0] if found else ''}..."


def test_every_news_fragment_has_a_kind_and_a_sentence() -> None:
    for path in (ROOT / "changes").iterdir():
        if path.name == "README.md":
            continue
        kind = path.name.split(".")[1:]
        assert kind in [[each, "md"] for each in ("added", "changed", "fixed", "removed", "format")]
        assert path.read_text(encoding="utf-8").strip().endswith(".")


def test_importing_the_package_loads_neither_store_nor_http() -> None:
    program = (
        "import sys, holdfast; holdfast.AnyClient; "
        "print(*[name for name in ('rocksdict', 'aiohttp', 'uvloop', 'opentelemetry', 'pydantic') "
        "if name in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == []
