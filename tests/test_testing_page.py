"""Every program and every test of ``docs/testing.md``, run as printed.

A block whose name begins with ``test_`` is run by pytest, any other as a program. In what is
printed ``...`` stands for anything, and a number of seconds for any other.
"""

import re
import sys
from pathlib import Path

import pytest

from holdfast import testing
from tests.crash.nursery import fork_python
from tests.processes import ROOT, Running

PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
BLOCKS: list[tuple[str, str]] = re.findall(
    r"^```(python|text)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
)
PROGRAMS = list(zip(BLOCKS[::2], BLOCKS[1::2], strict=True))


PYTEST_INI = """[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
"""


def matches(printed: str, expected: str) -> bool:
    pattern = re.escape(expected.strip()).replace(re.escape("..."), ".*")
    pattern = re.sub(r"in\\ \d+\\\.\d+s", r"in [0-9.]+s", pattern)
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


@pytest.mark.parametrize(
    ("program", "printed"), PROGRAMS, ids=[text.splitlines()[0] for (_, text), _ in PROGRAMS]
)
def test_a_program_of_the_page_prints_what_stands_under_it(
    program: tuple[str, str], printed: tuple[str, str], tmp_path: Path
) -> None:
    assert (program[0], printed[0]) == ("python", "text")
    name = re.match(r"# (\w+\.py)\n", program[1])
    assert name, "a program without a file name"
    (tmp_path / name[1]).write_text(program[1])
    if not name[1].startswith("test_"):
        running = fork_python(name[1], cwd=tmp_path)
    else:
        (tmp_path / "pytest.ini").write_text(PYTEST_INI)
        # By its module, whether or not this environment has the entry point installed.
        plugin = ["-p", "no:holdfast", "-p", "holdfast.testing.plugin"]
        # A real start: pytest wants to be there before what it looks into.
        command = [sys.executable, "-m", "pytest", "-q", "-W", "error", *plugin, name[1]]
        running = Running(*command, cwd=tmp_path)
    with running:
        assert running.wait_exit() == 0, running.stdout + running.stderr
        assert matches(running.stdout, printed[1]), running.stdout


@pytest.mark.parametrize("name", testing.__all__)
def test_the_page_names_what_is_public(name: str) -> None:
    assert re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", PAGE)


def test_a_link_within_the_page_names_a_heading() -> None:
    headings = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= anchors
