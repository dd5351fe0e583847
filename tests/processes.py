"""Real child processes for tests: their output as it comes, and conditions instead of sleeps."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from random import Random
from types import TracebackType
from typing import IO, Any, Protocol, Self

ROOT = Path(__file__).resolve().parent.parent
WAIT_SECONDS = 30.0
"""Long enough for a loaded machine; reached only by a test that fails."""

_named_ports: set[int] = set()

_BLOCKED = re.compile(r"^.* has blocked the loop for \d+ ms so far at .*\n(  .*\n)*", re.MULTILINE)


def environment(**extra: str) -> dict[str, str]:
    """This process's environment, in which ``holdfast`` can be imported from anywhere."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    # Plugins of this project's own tests, which take longer to load than most programs run.
    plugins = "-p no:schemathesis -p no:hypothesispytest"
    return os.environ | {"PYTHONPATH": path, "NO_COLOR": "1", "PYTEST_ADDOPTS": plugins} | extra


class Process(Protocol):
    """What is used of a ``subprocess.Popen``."""

    @property
    def pid(self) -> int: ...

    @property
    def stdout(self) -> IO[str] | None: ...

    @property
    def stderr(self) -> IO[str] | None: ...

    def send_signal(self, sig: int) -> None: ...

    def kill(self) -> None: ...

    def wait(self, timeout: float | None = None) -> int: ...


class Watched:
    """A process whose output is read while it runs. Killed at the end of the block."""

    def __init__(self, process: Process) -> None:
        self._process = process
        # Guards the two texts; notified whenever one grows or ends.
        self._news = threading.Condition()
        self._texts = {"stdout": "", "stderr": ""}
        self._readers = [
            threading.Thread(target=self._read, args=(name,), daemon=True) for name in self._texts
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join(WAIT_SECONDS)
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stdout(self) -> str:
        with self._news:
            return self._texts["stdout"]

    @property
    def stderr(self) -> str:
        with self._news:
            return self._texts["stderr"]

    def wait_line(self, pattern: str) -> re.Match[str]:
        """Wait until ``pattern`` is found in the output, and give the match."""

        def find() -> re.Match[str] | None:
            return re.search(pattern, self._texts["stdout"] + self._texts["stderr"])

        with self._news:
            arrived = self._news.wait_for(
                lambda: find() or not any(reader.is_alive() for reader in self._readers),
                WAIT_SECONDS,
            )
            match = find()
        assert arrived, f"waited for {pattern!r}, got:\n{self.stdout}\n{self.stderr}"
        assert match, f"ended without {pattern!r}:\n{self.stdout}\n{self.stderr}"
        return match

    def wait_port(self) -> int:
        """Wait until it says where it listens."""
        return int(self.wait_line(r" on http://127\.0\.0\.1:(\d+),")[1])

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def has_ended(self) -> bool:
        """Whether all that it will ever say is read."""
        return not any(reader.is_alive() for reader in self._readers)

    def wait_exit(self) -> int:
        """Wait until it has ended and its output is read; gives the exit code."""
        code = self._process.wait(WAIT_SECONDS)
        for reader in self._readers:
            reader.join(WAIT_SECONDS)
        return code

    def wait_end(self, seconds: float) -> None:
        """Wait until it has ended; a ``TimeoutError`` says that it has not, after ``seconds``."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError from error

    def _read(self, name: str) -> None:
        stream = self._process.stdout if name == "stdout" else self._process.stderr
        assert stream is not None
        for line in stream:
            with self._news:
                self._texts[name] += line
                self._news.notify_all()
        with self._news:
            self._news.notify_all()


class Running(Watched):
    """A child process that runs a command."""

    def __init__(self, *command: str, cwd: Path, env: Mapping[str, str] | None = None) -> None:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment(**(env or {})),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A group of its own, as a shell gives one: a test can press Ctrl-C.
            start_new_session=True,
        )
        super().__init__(process)


def holdfast(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> Running:
    """Start ``holdfast`` with these arguments in ``cwd``."""
    return Running(sys.executable, "-m", "holdfast", *arguments, cwd=cwd, env=env)


def free_port() -> int:
    """A port that nobody has now, another one each time.

    None of those that the system hands out: other tests start servers on any port, and one of them
    may get this before it is listened on, or while a server is started again.
    """
    for port in range(18_000 + Random().randrange(10_000), 32_000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _named_ports:
                _named_ports.add(port)
                return port
    message = "no port is free"
    raise OSError(message)


def complaints(stderr: str) -> str:
    """What a program said on ``stderr``, but that its loop was blocked: so it is where we are slow.

    That is said of a tenth of a second, which on a loaded machine any import can take.
    """
    return _BLOCKED.sub("", stderr)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Look again and again until ``condition`` holds; fail with ``what`` after half a minute."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.01)


def post(
    port: int, path: str, body: object = None, headers: Mapping[str, str] | None = None
) -> tuple[int, Any]:
    """POST ``body`` as JSON (nothing at all for ``None``); gives the status and the JSON answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)
    try:
        content = None if body is None else json.dumps(body)
        json_type = {} if body is None else {"content-type": "application/json"}
        connection.request("POST", path, content, {**json_type, **(headers or {})})
        response = connection.getresponse()
        data = response.read()
        return response.status, json.loads(data) if data else None
    finally:
        connection.close()
