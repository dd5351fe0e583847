"""A forked server is a process like any other."""

import signal
from pathlib import Path

from tests.crash.nursery import Nursery, fork_python
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


PROGRAM = """
import atexit
import sys
import threading

class Mine:
    pass

def go_on():
    threading.main_thread().join()
    print("a thread is waited for", flush=True)

atexit.register(print, "and the handlers run")
threading.Thread(target=go_on).start()
print(__name__, Mine.__module__, sys.argv, __file__, sys.path[0] == sys.argv[1])
sys.stdout.write("what is buffered is written\\n")
raise KeyError("with a traceback")
"""


def test_a_forked_file_is_the_main_program_and_ends_as_an_interpreter_does(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    with fork_python("program.py", str(tmp_path), cwd=tmp_path) as program:
        assert program.wait_exit() == 1
        assert program.stdout.splitlines() == [
            f"__main__ __main__ ['program.py', '{tmp_path}'] program.py True",
            "what is buffered is written",
            "a thread is waited for",
            "and the handlers run",
        ]
        assert 'File "program.py", line 17, in <module>' in program.stderr
        assert program.stderr.endswith("KeyError: 'with a traceback'\n")


def test_a_forked_module_is_run_as_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("import sys\nprint(__name__, sys.argv)\nsys.exit(3)\n")
    with fork_python("-m", "module", "--quick", cwd=tmp_path) as program:
        assert program.wait_exit() == 3
        assert program.stdout == f"__main__ ['{tmp_path / 'module.py'}', '--quick']\n"
