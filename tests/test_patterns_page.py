"""Every program of ``docs/patterns.md``, run as printed."""

import re
from pathlib import Path

import pytest

from tests.crash.nursery import fork_python
from tests.processes import ROOT

PAGE = (ROOT / "docs" / "patterns.md").read_text(encoding="utf-8")
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PROGRAMS = list(zip(BLOCKS[::2], BLOCKS[1::2], strict=True))


@pytest.mark.parametrize(
    ("program", "printed"), PROGRAMS, ids=[text.splitlines()[0] for (_, text), _ in PROGRAMS]
)
def test_a_pattern_prints_what_stands_under_it(
    program: tuple[str, str], printed: tuple[str, str], tmp_path: Path
) -> None:
    assert (program[0], printed[0]) == ("python", "text")
    name = re.match(r"# (\w+\.py)\n", program[1])
    assert name, "a program without a file name"
    (tmp_path / name[1]).write_text(program[1])
    with fork_python(name[1], cwd=tmp_path) as running:
        assert running.wait_exit() == 0, running.stderr
        assert running.stdout == printed[1]


def test_a_link_within_the_page_names_a_heading() -> None:
    headings = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) == anchors
