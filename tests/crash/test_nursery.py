"""A forked server is a process like any other."""

import signal
from pathlib import Path

from tests.crash.nursery import Nursery
from tests.processes import wait_until


def test_a_forked_command_has_its_own_output_directory_and_exit_code(tmp_path: Path) -> None:
    with Nursery() as nursery:
        with nursery.holdfast("--version", cwd=tmp_path) as good:
            assert good.wait_exit() == 0
            assert good.stdout.startswith("holdfast ")
        with nursery.holdfast("serve", "no.py", cwd=tmp_path) as bad:
            assert bad.wait_exit() == 1
            assert "no.py" in bad.stderr
            assert "Traceback" not in bad.stderr


def test_what_a_nursery_forked_dies_with_it(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import signal\nsignal.pause()\n")
    with Nursery() as nursery:
        waiting = nursery.holdfast("check", "app.py", cwd=tmp_path)
        with nursery.holdfast("check", "app.py", cwd=tmp_path) as killed:
            killed.signal(signal.SIGKILL)
            assert killed.wait_exit() == -signal.SIGKILL
        assert not waiting.has_ended()
    with waiting:
        wait_until(waiting.has_ended, "the other one to end")
