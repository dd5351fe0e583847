"""Every snippet of ``docs/client.md``, run as printed against a server in another process.

The first Python block is what is served; each other one is a program, and prints what stands under
it. Only the ports are changed, so that the test can run beside anything.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.nursery import fork_holdfast, fork_python
from tests.processes import ROOT, Watched

PAGE = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
A_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS: list[tuple[str, str]] = A_BLOCK.findall(PAGE)
PROGRAMS = list(zip(BLOCKS[1::2], BLOCKS[2::2], strict=True))


def name_of(text: str) -> str:
    first = re.match(r"# (\w+\.py)\n", text)
    assert first, "a program without a file name"
    return first[1]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / name_of(BLOCKS[0][1])).write_text(BLOCKS[0][1])
    return tmp_path


@pytest.fixture
def server(here: Path) -> Iterator[Watched]:
    with fork_holdfast("serve", name_of(BLOCKS[0][1]), "--port", "0", cwd=here) as server:
        yield server


@pytest.mark.parametrize(
    ("program", "printed"), PROGRAMS, ids=[name_of(text) for (_, text), _ in PROGRAMS]
)
def test_a_program_of_the_page_prints_what_stands_under_it(
    program: tuple[str, str], printed: tuple[str, str], here: Path, server: Watched
) -> None:
    assert (program[0], printed[0]) == ("python", "text")
    server.wait_line("data in ")
    port, admin_port = re.findall(r"http://127\.0\.0\.1:(\d+)", server.stdout)
    text = program[1].replace("8080", port).replace("9070", admin_port)
    (here / name_of(text)).write_text(text)
    with fork_python(name_of(text), cwd=here) as running:
        assert running.wait_exit() == 0, running.stderr
        assert running.stdout == printed[1]


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", PAGE))
def test_a_link_leads_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).exists()
