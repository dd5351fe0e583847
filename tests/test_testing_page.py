"""Every program and every test of ``docs/testing.md``, run as printed.

A block whose name begins with ``test_`` is run by pytest, any other as a program. In what is
printed ``...`` stands for anything.
"""

import re
import sys
from pathlib import Path

import pytest

from holdfast.testing import llm
from tests.processes import ROOT, Running

PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
BLOCKS: list[tuple[str, str]] = re.findall(
    r"^```(python|text)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
)
PROGRAMS = list(zip(BLOCKS[::2], BLOCKS[1::2], strict=True))


def matches(printed: str, expected: str) -> bool:
    pattern = re.escape(expected.strip()).replace(re.escape("..."), ".*")
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
    command = [sys.executable, name[1]]
    if name[1].startswith("test_"):
        plugin = "holdfast.testing.llm.fixtures"
        command = [sys.executable, "-m", "pytest", "-q", "-p", plugin, name[1]]
    with Running(*command, cwd=tmp_path) as running:
        assert running.wait_exit() == 0, running.stdout + running.stderr
        assert matches(running.stdout, printed[1]), running.stdout


@pytest.mark.parametrize("name", llm.__all__)
def test_the_page_names_every_word_of_a_script(name: str) -> None:
    assert re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", PAGE)
