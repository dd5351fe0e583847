"""The story of ``docs/changing-code.md``, told as printed.

Its blocks are taken in order, in one directory: a Python block is written to the file it names, a
command of a console block is run, and must print what stands under it, in which ``...`` stands for
anything. One that ends in ``&`` is left running. Only the port is another one.
"""

import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.processes import ROOT, Running, environment, free_port
from tests.test_readme import curl_help, matches

PAGE = (ROOT / "docs" / "changing-code.md").read_text(encoding="utf-8")
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def commands_of(block: str) -> list[tuple[str, str]]:
    """Each command with what is printed under it."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]


def test_the_story_goes_as_it_is_told(tmp_path: Path) -> None:
    if shutil.which("curl") is None or "--json" not in curl_help():
        pytest.skip("needs a curl that knows --json (7.82)")
    port, admin_port = str(free_port()), str(free_port())
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "holdfast").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m holdfast "$@"\n')
    (tools / "holdfast").chmod(0o755)
    env = environment()
    env["PATH"] = f"{tools}:{env['PATH']}"
    with ExitStack() as running:
        for kind, text in BLOCKS:
            if kind == "python":
                (tmp_path / text.splitlines()[0].removeprefix("# ")).write_text(text)
                continue
            assert kind == "console"
            for command, output in commands_of(text):
                tell(
                    command.replace("8080", port),
                    output.replace("8080", port).replace("9070", admin_port),
                    running,
                    tmp_path,
                    env,
                )


def tell(command: str, output: str, running: ExitStack, here: Path, env: dict[str, str]) -> None:
    if command.endswith(" &"):
        port, admin_port = re.findall(r":(\d+),", output)
        line = f"exec {command.removesuffix(' &')} --port {port} --admin-port {admin_port}"
        server = running.enter_context(
            Running("/bin/sh", "-c", line, cwd=here, env={"PATH": env["PATH"]})
        )
        server.wait_port()
        assert matches(server.stdout, output)
        return
    done = subprocess.run(
        ["/bin/sh", "-c", command.replace("curl ", "curl -sS ", 1)],
        cwd=here,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert matches(done.stdout, output), f"{command} printed {done.stdout}{done.stderr}"


def test_the_links_lead_somewhere() -> None:
    headings = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    for link in re.findall(r"\]\(([^)]+)\)", PAGE):
        if link.startswith("#"):
            assert link[1:] in anchors
        else:
            assert (ROOT / "docs" / link).is_file()
