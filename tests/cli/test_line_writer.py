"""Nobody reads what a server prints: it answers all the same, and ends."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from holdfast.line_writer import BYTES_MAX, LineWriter
from holdfast.output import LineHandler
from tests.processes import Running, free_port, post, wait_until

TALKER = """
from holdfast import Context, Service, handler

class Talker(Service):
    @handler
    async def talk(self, ctx: Context, number: int) -> int:
        ctx.log.info("%d %s", number, "x" * 20_000)
        return number
"""


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    reads, writes = os.pipe()
    with os.fdopen(reads, "rb"), os.fdopen(writes, "w", encoding="utf-8") as stream:
        yield reads, stream


def read_lines(reads: int, last: str) -> list[str]:
    """What comes, until a line ends with ``last``."""
    text = b""
    while not text.endswith(f"{last}\n".encode()):
        text += os.read(reads, 65_536)
    return text.decode().splitlines()


def test_lines_of_one_who_reads_late_come_in_order(pipe: tuple[int, TextIO]) -> None:
    reads, stream = pipe
    writer = LineWriter(stream.fileno())
    lines = [f"{number} {'x' * 1_000}" for number in range(500)]
    for line in lines:
        writer.write(f"{line}\n".encode())
    writer.write(b"the last\n")
    assert read_lines(reads, "the last") == [*lines, "the last"]
    writer.drain()
    writer.write(b"later\n")
    assert read_lines(reads, "later") == ["later"]


def test_what_is_too_much_to_be_kept_is_counted(pipe: tuple[int, TextIO]) -> None:
    reads, stream = pipe
    writer = LineWriter(stream.fileno())
    line = b"x" * 9_999 + b"\n"
    written = 2 * BYTES_MAX // len(line)
    for _ in range(written):
        writer.write(line)
    *came, told = read_lines(reads, "nobody read")
    assert set(map(len, came)) == {9_999}
    assert told == f"holdfast: {written - len(came):,} lines were lost here: nobody read"


def test_where_no_thread_can_begin_the_next_line_tries_again(
    pipe: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    reads, stream = pipe
    writer = LineWriter(stream.fileno())
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for _ in range(100):
            writer.write(b"x" * 9_999 + b"\n")
    writer.write(b"the next\n")
    *_, told = read_lines(reads, "nobody read")
    assert told.startswith("holdfast: ")


def test_a_handler_writes_what_no_encoding_has(pipe: tuple[int, TextIO]) -> None:
    reads, stream = pipe
    handler = LineHandler(stream)
    handler.handle(logging.makeLogRecord({"msg": "für \ud800"}))
    assert read_lines(reads, "d800") == ["für \\ud800"]


def test_one_whose_reader_has_gone_goes_on(pipe: tuple[int, TextIO]) -> None:
    reads, stream = pipe
    writer = LineWriter(stream.fileno())
    for _ in range(100):
        writer.write(b"x" * 10_000)
    os.dup2(os.open(os.devnull, os.O_RDONLY), reads)
    writer.drain()
    with pytest.raises(BrokenPipeError):
        writer.write(b"gone\n")


@pytest.mark.parametrize(("name", "what"), [("serve", "2>"), ("dev", ">"), ("dev", "2>&1 >")])
def test_a_server_answers_and_ends_although_nobody_reads_what_it_prints(
    tmp_path: Path, name: str, what: str
) -> None:
    (tmp_path / "talker.py").write_text(TALKER)
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    port = free_port()
    serve = (name, "talker.py", "--port", str(port), "--admin-port", "none")
    script = f'exec "$0" -m holdfast "$@" {what} pipe'
    with Running("sh", "-c", script, sys.executable, *serve, cwd=tmp_path) as server:

        def answers() -> bool:
            try:
                return post(port, "/Talker/talk", 0) == (200, 0)
            except OSError:
                return False

        wait_until(answers, "the server")
        for number in range(100):
            assert post(port, "/Talker/talk", number) == (200, number)
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0
    os.close(reader)
