"""Every snippet of docs/http-beyond-calls.md, run as printed, in one shell."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.crash.nursery import fork_holdfast
from tests.processes import ROOT, environment, free_port
from tests.test_readme import curl_help, matches

PAGE = (ROOT / "docs" / "http-beyond-calls.md").read_text(encoding="utf-8")
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
CUT = "--8<-- the next command --8<--"


def test_the_console_blocks_print_what_the_page_says(tmp_path: Path) -> None:
    if shutil.which("curl") is None or "--json" not in curl_help():
        pytest.skip("needs a curl that knows --json (7.82)")
    port = free_port()
    ((_, module), *_) = BLOCKS
    (tmp_path / "desk.py").write_text(module)
    stories = [text for language, text in BLOCKS if language == "console"]
    parts = [part for text in stories for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]]
    commands, outputs = zip(*(part.split("\n", 1) for part in parts), strict=True)
    script = f"\necho '{CUT}'\n".join(commands).replace("8080", str(port))
    serving = ["serve", "desk.py", "--port", str(port)]
    serving += ["--admin-port", "none"]
    with fork_holdfast(*serving, cwd=tmp_path) as server:
        server.wait_port()
        done = subprocess.run(
            ["/bin/sh", "-c", script],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split(CUT)
    for command, output, expected in zip(commands, printed, outputs, strict=True):
        assert matches(output, expected), f"{command} printed {output}"


def test_the_page_has_one_module_and_otherwise_commands() -> None:
    first, *others = [language for language, _ in BLOCKS]
    assert (first, set(others)) == ("python", {"console"})


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)", PAGE))
def test_a_link_of_the_page_leads_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).exists()
