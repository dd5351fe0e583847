"""Every snippet of the README, run as printed.

Python blocks are files, named by their first line, and are checked by running them. Lines of
console blocks that begin with ``$`` are run by a shell; a command that serves is left running until
the end of its block's story. The only thing changed is the port, so that the test can run beside
anything. In expected output ``...`` stands for anything.
"""

import ast
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.processes import ROOT, Running, environment, post, wait_until

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)

NOT_RUN = {
    "make demo": "it installs into .venv; tests/cli/test_demo.py runs what it runs",
    "make test": "it is what runs this",
}


def python_files() -> dict[str, str]:
    """The Python blocks by the name on their first line."""
    files: dict[str, str] = {}
    for language, text in BLOCKS:
        if language == "python":
            first = text.splitlines()[0]
            assert re.fullmatch(r"# \w+\.py", first), f"a block without a file name: {first}"
            files[first[2:]] = text
    return files


def console_commands() -> Iterator[tuple[str, str]]:
    """Each command of the console blocks with the output printed under it."""
    for language, text in BLOCKS:
        if language == "console":
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                yield command, output


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def here(tmp_path: Path, port: int) -> Path:
    """A directory with the README's files in it, and a ``holdfast`` command."""
    for name, text in python_files().items():
        (tmp_path / name).write_text(text.replace("8080", str(port)))
    return tmp_path


def matches(printed: str, expected: str) -> bool:
    pattern = re.escape(expected.strip()).replace(re.escape("..."), ".*")
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def test_no_block_is_of_a_kind_that_nobody_runs() -> None:
    assert {language for language, _text in BLOCKS} == {"python", "console"}


def test_the_console_blocks_print_what_the_readme_says(here: Path, port: int) -> None:
    if shutil.which("curl") is None or "--json" not in curl_help():
        pytest.skip("needs a curl that knows --json (7.82)")
    tools = here / "bin"
    tools.mkdir()
    script = tools / "holdfast"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m holdfast "$@"\n')
    script.chmod(0o755)
    env = environment()
    env["PATH"] = f"{tools}:{env['PATH']}"
    with ExitStack() as stack:
        for command, output in console_commands():
            if command in NOT_RUN:
                continue
            local = command.replace("8080", str(port))
            expected = output.replace("8080", str(port))
            if command.startswith("holdfast dev "):
                local += f" --port {port}"
                server = stack.enter_context(
                    Running("/bin/sh", "-c", f"exec {local}", cwd=here, env={"PATH": env["PATH"]})
                )
                server.wait_port()
                assert server.stdout == expected
                continue
            done = subprocess.run(
                ["/bin/sh", "-c", f"{local.replace('curl ', 'curl -sS ', 1)}"],
                cwd=here,
                env=env,
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert matches(done.stdout, expected), f"{command} printed {done.stdout}"


def test_what_is_left_out_is_still_in_the_readme() -> None:
    assert NOT_RUN.keys() <= {command for command, _output in console_commands()}


def test_the_embedded_program_answers_serves_and_stops(here: Path, port: int) -> None:
    with Running(sys.executable, "-u", "embedded.py", cwd=here) as program:
        program.wait_line("Answer 1, to: And why")
        wait_until(lambda: accepts(port), "the port to be served")
        status, transcript = post(port, "/Assistant/sam/transcript")
        assert (status, transcript[0]["content"]) == (200, "And why?")
        program.signal(signal.SIGINT)
        program.wait_exit()
        assert "KeyboardInterrupt" in program.stderr.splitlines()[-1]


def test_the_payment_step_gets_an_idempotency_key(here: Path, port: int) -> None:
    command = [sys.executable, "-m", "holdfast", "serve", "payment.py", "--port", str(port)]
    with Running(*command, cwd=here) as server:
        server.wait_port()
        status, answer = post(port, "/Payment/order-7/charge", 1200)
        assert status == 200
        assert re.fullmatch(r"charged 1200 once, as \S+", answer)


def test_every_python_file_of_the_readme_is_run_by_a_test() -> None:
    assert set(python_files()) == {"assistant.py", "embedded.py", "payment.py"}


def test_the_example_file_has_the_class_of_the_readme() -> None:
    """Compared as code: the formatter breaks a line that the README keeps in one piece."""
    example = (ROOT / "examples" / "assistant.py").read_text(encoding="utf-8")
    assert class_in(example) == class_in(python_files()["assistant.py"])


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", README))
def test_a_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def class_in(source: str) -> str:
    (found,) = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    return ast.dump(found)


def curl_help() -> str:
    done = subprocess.run(
        ["curl", "--help", "all"], capture_output=True, text=True, timeout=30, check=False
    )
    return done.stdout


def accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
