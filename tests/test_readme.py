"""Every snippet of the README and of the reference, run as printed.

Python blocks are files, named by their first line, and are checked by running them. Lines of
console blocks that begin with ``$`` are run by a shell; a command that serves is left running until
the end of its block's story. The only thing changed is the port, so that the test can run beside
anything. In expected output ``...`` stands for anything.

The reference has whole programs, each with what it prints in the block under it.
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
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast import Context, RuntimeConfig
from tests.crash.nursery import fork_holdfast, fork_python
from tests.processes import ROOT, Running, environment, free_port, post, wait_until

README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
A_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS: list[tuple[str, str]] = A_BLOCK.findall(README)
REFERENCE_BLOCKS: list[tuple[str, str]] = A_BLOCK.findall(REFERENCE)
PROGRAMS = list(zip(REFERENCE_BLOCKS[::2], REFERENCE_BLOCKS[1::2], strict=True))

NOT_RUN = {
    "make demo": "it installs into .venv; tests/cli/test_demo.py runs what it runs",
    ". .venv/bin/activate": "the environment that make demo makes is not there in a test",
}

IN_OTHER_UNITS = {"retained_bytes_max", "state_cache_bytes"}
"""Fields whose default the reference gives in MiB or GiB."""


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
    return free_port()


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
    admin_port = free_port()
    env = environment()
    env["PATH"] = f"{tools}:{env['PATH']}"
    with ExitStack() as stack:
        for command, output in console_commands():
            if command in NOT_RUN:
                continue
            local = command.replace("8080", str(port))
            expected = output.replace("8080", str(port)).replace("9070", str(admin_port))
            if command.startswith("holdfast dev "):
                local += f" --port {port} --admin-port {admin_port}"
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
    ports = ("--port", str(port), "--admin-port", "0")
    with fork_holdfast("serve", "payment.py", *ports, cwd=here) as server:
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


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", REFERENCE))
def test_a_link_of_the_reference_leads_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).exists()


@pytest.mark.parametrize("anchor", re.findall(r"\]\(#([^)]+)\)", REFERENCE))
def test_a_link_within_the_reference_names_a_heading(anchor: str) -> None:
    headings = re.findall(r"^## (.+)$", REFERENCE, re.MULTILINE)
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    ("program", "printed"), PROGRAMS, ids=[text.splitlines()[0] for (_, text), _ in PROGRAMS]
)
def test_a_program_of_the_reference_prints_what_stands_under_it(
    program: tuple[str, str], printed: tuple[str, str], tmp_path: Path
) -> None:
    assert (program[0], printed[0]) == ("python", "text")
    name = re.match(r"# (\w+\.py)\n", program[1])
    assert name, "a program without a file name"
    (tmp_path / name[1]).write_text(program[1])
    with fork_python(name[1], cwd=tmp_path) as running:
        assert running.wait_exit() == 0, running.stderr
        assert running.stdout == printed[1]


@pytest.mark.parametrize("name", holdfast.__all__)
def test_the_reference_names_what_is_public(name: str) -> None:
    assert name == "__version__" or re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", REFERENCE)


@pytest.mark.parametrize("verb", [name for name in vars(Context) if not name.startswith("_")])
def test_the_reference_names_every_verb_of_the_context(verb: str) -> None:
    table = section("The context")
    assert re.search(rf"`{verb}[`(]", table), f"{verb} is not in the table"


@pytest.mark.parametrize("field", fields(RuntimeConfig), ids=lambda field: field.name)
def test_the_reference_gives_every_limit_its_default(field: "Field[Any]") -> None:
    row = re.search(rf"^\| `{field.name}` \| (.+?) \|", section("Runtime"), re.MULTILINE)
    assert row, f"{field.name} is not in the table"
    if isinstance(field.default, int | float) and field.name not in IN_OTHER_UNITS:
        assert ast.literal_eval(row[1].strip("`")) == field.default


def test_the_reference_names_every_error_code() -> None:
    pages = {page.stem for page in (ROOT / "objects" / "error_codes").glob("*.md")}
    assert set(re.findall(r"\| (HF\d{4}) \|", REFERENCE)) == pages


def section(heading: str) -> str:
    return REFERENCE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


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
