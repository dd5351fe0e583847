"""Programs that start in a moment: forked from a process that has imported everything.

Most of a start of ``holdfast serve`` is the interpreter and its imports, which no crash can hurt.
Tests that start hundreds of programs leave them out: a nursery imports once, and each program is a
fork of it, a process of its own with its own session, directory, environment and pipes, which runs
as always. What an interpreter reads of its environment when it starts (``PYTHON...``) is the
nursery's. All die with the nursery, and that with whoever made it.

Forks of the nursery that all tests share also end as always: threads are waited for, exit handlers
run, all is cleared away. Forks of other nurseries leave that out as well; most of them are killed.
"""

import array
import atexit
import contextlib
import gc
import json
import os
import random
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType, TracebackType
from typing import IO, Any, NoReturn, Self

from tests.processes import WAIT_SECONDS, Watched, environment

_MESSAGE_BYTES_MAX = 1 << 20


class Nursery:
    """Forks programs; one thread at a time is served. Ends them all at the end of the block."""

    def __init__(
        self,
        importing: str = "holdfast.serving_command",
        env: Mapping[str, str] | None = None,
        *,
        ends_at_once: bool = True,
    ) -> None:
        """
        Args:
            importing: the module that every program finds imported.
            env: what is added to the environment of the process that forks.
            ends_at_once: a program that is over leaves without the end of an interpreter.
        """
        self.ends_at_once = ends_at_once
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.crash.nursery", str(theirs.fileno()), importing],
                env=environment(**(env or {})),
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        # Guards the socket: a request is followed by its answer.
        self._turn = threading.Lock()
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._turn:
            self._is_closed = True
            self._socket.close()
        self._process.wait(WAIT_SECONDS)

    def holdfast(self, *arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> Watched:
        """Start ``holdfast`` with these arguments in ``cwd``."""
        return Watched(_Forked(self, "", arguments, cwd, environment(**(env or {}))))

    def python(
        self, file: str, *arguments: str, cwd: Path, env: Mapping[str, str] | None = None
    ) -> Watched:
        """Start ``python file`` with these arguments in ``cwd``; ``-m`` names a module."""
        return Watched(_Forked(self, file, arguments, cwd, environment(**(env or {}))))

    def start(self, order: dict[str, Any], pipes: list[int]) -> int:
        """Fork; gives the process id."""
        with self._turn:
            socket.send_fds(self._socket, [json.dumps(order).encode()], pipes)
            return self._read_number()

    def reap(self, pid: int) -> int:
        """The exit code of a server that has ended, negative for a signal."""
        with self._turn:
            if self._is_closed:
                return -signal.SIGKILL  # It died with the nursery.
            self._socket.send(json.dumps({"reap": pid}).encode())
            return self._read_number()

    def _read_number(self) -> int:
        data = self._socket.recv(_MESSAGE_BYTES_MAX)
        assert data, "the nursery is gone"
        return int(data)


@cache
def _shared() -> Nursery:
    nursery = Nursery(ends_at_once=False)
    atexit.register(nursery.__exit__, None, None, None)
    return nursery


def fork_holdfast(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> Watched:
    """``holdfast`` of ``tests.processes``, forked from a nursery that all tests share."""
    return _shared().holdfast(*arguments, cwd=cwd, env=env)


def fork_python(
    file: str, *arguments: str, cwd: Path, env: Mapping[str, str] | None = None
) -> Watched:
    """``python file``, forked from a nursery that all tests share."""
    return _shared().python(file, *arguments, cwd=cwd, env=env)


class _Forked:
    """A process that the nursery forked, used like a ``subprocess.Popen``."""

    def __init__(
        self,
        nursery: Nursery,
        file: str,
        arguments: tuple[str, ...],
        cwd: Path,
        env: dict[str, str],
    ) -> None:
        self._nursery = nursery
        out, theirs_out = os.pipe()
        err, theirs_err = os.pipe()
        order = {
            "file": file,
            "arguments": arguments,
            "cwd": str(cwd),
            "env": env,
            "ends_at_once": nursery.ends_at_once,
        }
        try:
            self.pid = nursery.start(order, [theirs_out, theirs_err])
        finally:
            os.close(theirs_out)
            os.close(theirs_err)
        # Its process id is nobody else's until it is reaped, which only ``wait`` does.
        self._pidfd = os.pidfd_open(self.pid)
        self.stdout: IO[str] | None = os.fdopen(out)
        self.stderr: IO[str] | None = os.fdopen(err)
        # None: it has not been reaped.
        self._code: int | None = None

    def send_signal(self, sig: int) -> None:
        if self._code is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, sig)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        if self._code is None:
            watch = select.poll()
            watch.register(self._pidfd, select.POLLIN)
            if not watch.poll(None if timeout is None else timeout * 1000):
                message = f"process {self.pid} has not ended within {timeout} s"
                raise TimeoutError(message)
            self._code = self._nursery.reap(self.pid)
            os.close(self._pidfd)
        return self._code


def _serve_orders(orders: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Fork and reap as told, until the other side is gone; then end what is left.

    Returns:
        In a fork, at once: what it is to be, and its pipes. None when there is nothing to do.
    """
    alive: set[int] = set()
    while True:
        try:
            data, pipes, _, _ = socket.recv_fds(orders, _MESSAGE_BYTES_MAX, 2)
        except ConnectionError:
            data, pipes = b"", array.array("i").tolist()
        if not data:
            break
        order = json.loads(data)
        if "reap" in order:
            _, status = os.waitpid(order["reap"], 0)
            alive.discard(order["reap"])
            orders.send(str(os.waitstatus_to_exitcode(status)).encode())
            continue
        pid = os.fork()
        if pid == 0:
            orders.close()
            return order, pipes
        for pipe in pipes:
            os.close(pipe)
        alive.add(pid)
        orders.send(str(pid).encode())
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
    return None


def _become(order: dict[str, Any], pipes: list[int]) -> None:
    """Be the program of the order, in a process that was just forked."""
    os.setsid()
    for number, pipe in enumerate(pipes, start=1):
        os.dup2(pipe, number)
        os.close(pipe)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    random.seed()
    sys.path[0] = order["cwd"]
    if order["file"]:
        _run_file(order["file"], order["arguments"])
        return
    sys.argv = ["holdfast", *order["arguments"]]
    # With which it starts itself anew.
    sys.orig_argv = [sys.executable, "-m", *sys.argv]

    from holdfast.__main__ import main  # noqa: PLC0415  # imported before the fork, if at all

    main()


def _become_and_leave(order: dict[str, Any], pipes: list[int]) -> NoReturn:
    code: object = 1
    try:
        _become(order, pipes)
        code = 0
    except SystemExit as error:
        code = error.code
    except BaseException:  # noqa: BLE001  # nobody above would say it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def _run_file(name: str, arguments: list[str]) -> None:
    """As the interpreter runs the file, or the module, that it is given."""
    sys.argv = [name, *arguments]
    sys.orig_argv = [sys.executable, *sys.argv]
    if name == "-m":
        sys.argv = arguments
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        return
    path = Path(name).resolve()
    sys.path[0] = str(path.parent)
    module = ModuleType("__main__")
    module.__file__ = name
    sys.modules["__main__"] = module
    exec(compile(path.read_bytes(), name, "exec"), module.__dict__)  # noqa: S102  # a test's own


def _main() -> None:
    # What the person at the keyboard does is for whoever made the nursery to answer.
    os.setsid()
    __import__(sys.argv[2])
    # All this stays; no fork has to look through it, nor to copy it for that.
    gc.freeze()
    mine = _serve_orders(socket.socket(fileno=int(sys.argv[1])))
    if mine is not None:
        become = _become_and_leave if mine[0]["ends_at_once"] else _become
        become(*mine)


if __name__ == "__main__":
    _main()
