"""What users see in their editor: one run of each checker over each ``typing_sample``."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLES = ("tests/objects/typing_sample.py", "tests/client/typing_sample.py")
ROOT = Path(__file__).parents[2]


def _complaints(*command: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    # What a checker finds in other files, it will say when it is run on them.
    lines = [line for line in done.stdout.splitlines() if "typing_sample.py:" in line]
    assert lines or done.returncode in {0, 1}, done.stdout + done.stderr
    return lines


def _for_pyright_alone(text: str) -> str:
    """The sample without what is meant for mypy, which pyright would heed as well."""
    strict = "# pyright: strict"
    assert strict in text
    without = re.sub(r"  # type: ignore\[[\w, -]+\]", "", text)
    return without.replace(strict, f"{strict}, reportUnnecessaryTypeIgnoreComment=true", 1)


def test_mypy_refuses_the_wrong_lines_of_the_samples_and_no_others() -> None:
    pytest.importorskip("mypy")
    assert _complaints("mypy", "--strict", *SAMPLES) == []


def test_pyright_refuses_the_wrong_lines_of_the_samples_and_no_others(
    tmp_path: Path,
) -> None:
    pytest.importorskip("pyright")
    copies: list[str] = []
    for number, sample in enumerate(SAMPLES):
        copy = tmp_path / str(number) / "typing_sample.py"
        copy.parent.mkdir()
        copy.write_text(_for_pyright_alone((ROOT / sample).read_text(encoding="utf-8")))
        copies.append(str(copy))
    assert _complaints("pyright", f"--pythonpath={sys.executable}", *copies) == []
