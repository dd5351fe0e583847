"""What a person can get wrong on the command line: one sentence each.

In this process, because each would cost a start of Python; ``test_serve.py`` has one of each kind
as a real process.
"""

import sys
from pathlib import Path
from typing import NoReturn

import pytest

from holdfast.cli import main
from holdfast.journal import directory_view
from holdfast.journal.rocks import RocksStore


class CommandLine:
    """``holdfast`` in this process and an empty directory."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self._capsys = capsys
        self.printed = ""

    def run(self, *arguments: str) -> int:
        """The exit code of ``holdfast`` with these arguments."""
        sys.argv = ["holdfast", *arguments]
        with pytest.raises(SystemExit) as ended:
            main()
        self.printed = self._capsys.readouterr().out
        assert isinstance(ended.value.code, int)
        return ended.value.code

    def run_wrong(self, *arguments: str, code: int) -> str:
        """The one sentence said about these arguments, with this exit code."""
        sys.argv = ["holdfast", *arguments]
        with pytest.raises(SystemExit) as ended:
            main()
        said = self._capsys.readouterr().err
        assert ended.value.code == code
        assert said.startswith("holdfast: ")
        assert said.count("\n") == 1, said
        return said


@pytest.fixture
def command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(sys, "path", list(sys.path))
    return CommandLine(tmp_path, capsys)


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("syntax.py", "def broken(:\n", "line 1"),
        ("missing.py", "\nimport no_such_package\n", "missing.py, line 2"),
        ("raises.py", "x = {}\ny = x['k']\n", "KeyError: 'k' (raises.py, line 2)"),
        ("exits.py", "raise SystemExit('bye')\n", "SystemExit: bye"),
        ("nothing.py", "x = 1\n", "no object class found in nothing.py"),
        (
            "wrong.py",
            (
                "from holdfast import *\nclass Wrong(VirtualObject):\n"
                "    @handler\n    def no(self): ...\n"
            ),
            "async",
        ),
    ],
    ids=lambda value: str(value)[:12].split(".")[0],
)
def test_a_broken_target_says_what_and_where(
    command_line: CommandLine, name: str, source: str, expected: str
) -> None:
    (command_line.directory / name).write_text(source)
    assert expected in command_line.run_wrong("serve", name, code=1)
    assert not (command_line.directory / "data").exists()


@pytest.mark.parametrize("target", ["nowhere.py", "no_such_module", "some/where"])
def test_a_target_that_is_not_there_is_named(command_line: CommandLine, target: str) -> None:
    assert target in command_line.run_wrong("serve", target, code=1)


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "--nonsense"],
        ["serve"],
        ["serve", "x.py", "--port", "http"],
        ["serve", "x.py", "--port", "65536"],
        ["serve", "x.py", "--admin-port", "65536"],
        ["serve", "x.py", "--admin-port", "any"],
        ["serve", "x.py", "--durability", "none"],
        ["serve", "x.py", "--grace", "nan"],
        ["check", "x.py", "--timeout", "nan"],
        ["demo", "--pace", "nan"],
        ["nonsense"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_exits_with_2(command_line: CommandLine, arguments: list[str]) -> None:
    command_line.run_wrong(*arguments, code=2)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["sevre", "x.py"], "there is no command 'sevre' of 'holdfast'; did you mean 'serve'?"),
        (["zzz"], "there is awakeables, backup, check, demo, dev, doctor, invocations, serve, "),
        (["invocations", "lst"], "no command 'lst' of 'holdfast invocations'; did you mean 'list'"),
        (["backup", "data"], "Missing argument 'TARGET'. See `holdfast backup --help`"),
    ],
)
def test_a_slip_is_told_what_there_is(
    command_line: CommandLine, arguments: list[str], expected: str
) -> None:
    assert expected in command_line.run_wrong(*arguments, code=2)


@pytest.mark.usefixtures("command_line")
def test_a_group_without_a_command_shows_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    sys.argv = ["holdfast", "invocations"]
    with pytest.raises(SystemExit, match="2"):
        main()
    said = capsys.readouterr().err
    assert said.startswith("Usage: holdfast invocations")
    assert "\n  describe  All that is known of one" in said


def test_the_bare_command_shows_what_there_is(command_line: CommandLine) -> None:
    assert command_line.run() == 0
    for command in ("serve", "dev", "demo", "--version"):
        assert command in command_line.printed


@pytest.mark.parametrize(
    "arguments",
    [
        ("doctor", "data"),
        ("verify", "data"),
        ("backup", "data", "copy"),
        ("sql", "a", "--data", "data"),
    ],
)
def test_a_file_that_cannot_be_read_is_no_disk_that_failed_while_serving(
    arguments: tuple[str, ...], command_line: CommandLine
) -> None:
    """75 says that a start recovers, and whoever looks after a server would try."""
    path = command_line.directory / "data"
    RocksStore(path, ballast_bytes=0).close()
    manifest = next((path / "rocksdb").glob("MANIFEST-*"))
    manifest.unlink()
    manifest.mkdir()

    assert "Is a directory" in command_line.run_wrong(*arguments, code=1)


@pytest.mark.parametrize("failure", ["Too many open files", "No space left on device"])
def test_a_doctor_that_cannot_look_does_not_speak_of_lost_data(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    path = command_line.directory / "data"
    RocksStore(path, ballast_bytes=0).close()

    def fail(*_: object) -> NoReturn:
        message = f"IO error: While open a file for random read: 000012.sst: {failure}"
        raise OSError(message)

    monkeypatch.setattr(directory_view, "Rdict", fail)
    said = command_line.run_wrong("doctor", "data", code=1)

    assert f"{path.resolve()} cannot be read: " in said
    assert failure in said
    assert "lost" not in said
