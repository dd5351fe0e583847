"""The server of the demo: a real child process, with a real data directory, that can be killed."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

_WAIT_SECONDS = 30.0
_POLL_SECONDS = 0.02


class DemoFailedError(Exception):
    """The demo did not go as it has to; the message says what was seen instead."""


def wait_until(condition: Callable[[], bool], what: str, *, expected: float = 0.0) -> None:
    """Look again and again until ``condition`` holds.

    Raises:
        DemoFailedError: it did not within half a minute beyond the ``expected`` seconds; ``what``
            says what was waited for.
    """
    seconds = expected + _WAIT_SECONDS
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            message = f"waited {seconds:.0f} seconds for {what}"
            raise DemoFailedError(message)
        time.sleep(_POLL_SECONDS)


class ServerProcess:
    """One life of the server. Leaving the ``with`` block kills it if it is still there."""

    def __init__(self, directory: Path, port: int, model_url: str) -> None:
        """Start ``holdfast serve`` as a child process.

        Args:
            directory: for its data and its output.
            port: where it listens; 0 takes any free one.
            model_url: where its agent finds the model.
        """
        self._output = directory / "server.log"
        # A restart appends, and must not find the line of the life before.
        self._output_offset = self._output.stat().st_size if self._output.exists() else 0
        environment = os.environ | {"OPENAI_BASE_URL": model_url, "OPENAI_API_KEY": "demo"}
        command = [sys.executable, "-m", "holdfast", "serve", "holdfast.demo.agent"]
        command += ["--data", str(directory / "data")]
        command += ["--port", str(port), "--admin-port", "none"]
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603  # the command is ours, word by word
                command, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )
        self._port: int | None = None

    def __enter__(self) -> Self:
        """Give the running server."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave no process behind."""
        self.kill()

    @property
    def process_id(self) -> int:
        """The id of the process, while it lives and after."""
        return self._process.pid

    def wait_ready(self) -> int:
        """Wait until the server says that it listens, and give the port.

        Raises:
            DemoFailedError: it ended instead; the message holds what it said.
        """
        wait_until(self._is_ready_or_dead, "the server to start")
        if self._port is None:
            message = f"the server ended while starting and said: {self.said()}"
            raise DemoFailedError(message)
        return self._port

    def said(self) -> str:
        """All that this life of the server wrote to its terminal."""
        with self._output.open("rb") as output:
            output.seek(self._output_offset)
            return output.read().decode(errors="replace").strip()

    def kill(self) -> None:
        """SIGKILL: the process gets no chance to do anything. Returns when it is gone."""
        self._process.kill()
        self._process.wait()

    def is_alive(self) -> bool:
        """Whether the process is still there."""
        return self._process.poll() is None

    def stop(self) -> int:
        """SIGTERM: the server stops in its own way. Gives its exit code."""
        self._process.terminate()
        wait_until(lambda: not self.is_alive(), "the server to stop")
        return self._process.returncode

    def _is_ready_or_dead(self) -> bool:
        listening = re.search(r" on http://127\.0\.0\.1:(\d+),", self.said())
        if listening is not None:
            self._port = int(listening[1])
        return listening is not None or not self.is_alive()
