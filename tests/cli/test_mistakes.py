"""What a person can get wrong on the command line: one sentence each.

In this process, because each would cost a start of Python; ``test_serve.py`` has one of each kind
as a real process.
"""

import sys
from pathlib import Path

import pytest

from holdfast.cli import main


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of ``holdfast`` with these arguments."""
    monkeypatch.setattr(sys, "argv", ["holdfast", *arguments])
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def assert_one_sentence(text: str) -> None:
    assert text.startswith("holdfast: ")
    assert text.count("\n") == 1, text
    assert "Traceback" not in text


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
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    source: str,
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(source)
    assert run(monkeypatch, "serve", name) == 1
    said = capsys.readouterr().err
    assert_one_sentence(said)
    assert expected in said
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("target", ["nowhere.py", "no_such_module", "some/where"])
def test_a_target_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "serve", target) == 1
    said = capsys.readouterr().err
    assert_one_sentence(said)
    assert target in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "--nonsense"],
        ["serve"],
        ["serve", "x.py", "--port", "http"],
        ["serve", "x.py", "--port", "65536"],
        ["serve", "x.py", "--durability", "none"],
        ["nonsense"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_exits_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert run(monkeypatch, *arguments) == 2
    assert_one_sentence(capsys.readouterr().err)


def test_the_bare_command_shows_what_there_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch) == 0
    shown = capsys.readouterr().out
    for command in ("serve", "dev", "demo", "--version"):
        assert command in shown
