"""``holdfast dev``: a line per invocation, and a new start when a file changes."""

import signal
from pathlib import Path

import pytest

from tests.crash.nursery import fork_holdfast
from tests.processes import holdfast, post

GREETER = """
from holdfast import Context, Service, TerminalError, handler
import words

class Greeter(Service):
    @handler
    async def greet(self, ctx: Context, name: str) -> str:
        if not name:
            raise TerminalError("nobody", status_code=400)
        if name == "bug":
            raise ValueError("oops")
        return f"{words.HELLO} {name}"
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "greeter.py").write_text(GREETER)
    (tmp_path / "words.py").write_text("HELLO = 'hello'\n")
    return tmp_path


def test_every_invocation_gets_a_readable_line(here: Path) -> None:
    with holdfast("dev", "greeter.py", "--port", "0", cwd=here) as server:
        port = server.wait_port()
        assert post(port, "/Greeter/greet", "sam")[0] == 200
        server.wait_line(r"(?m)^\d\d:\d\d:\d\d  Greeter/greet ok .*\d m?s$")
        assert post(port, "/Greeter/greet", "")[0] == 400
        server.wait_line(r"(?m)^\d\d:\d\d:\d\d  Greeter/greet failed .*\d m?s.*: nobody$")


def test_a_failed_attempt_shows_its_level(here: Path) -> None:
    with fork_holdfast("dev", "greeter.py", "--port", "0", cwd=here) as server:
        assert post(server.wait_port(), "/Greeter/greet/send", "bug")[0] == 202
        server.wait_line(r"(?m)^\d\d:\d\d:\d\d  WARNING Greeter/greet.* failed \(attempt 1.*oops")


def test_a_changed_file_is_served_in_the_same_process(here: Path) -> None:
    with fork_holdfast("dev", "greeter.py", "--port", "0", cwd=here) as server:
        assert post(server.wait_port(), "/Greeter/greet", "sam") == (200, "hello sam")
        (here / "words.py").write_text("HELLO = 'good morning'\n")
        server.wait_line("words.py changed")
        port = int(server.wait_line(r"(?s)changed.*? on http://127\.0\.0\.1:(\d+),")[1])
        assert post(port, "/Greeter/greet", "sam") == (200, "good morning sam")
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0


PAGE = """
import asyncio
from holdfast import Context, VirtualObject, handler

class Page(VirtualObject):
    @handler
    async def fetch(self, ctx: Context, url: str) -> str:
        return await asyncio.to_thread(str.upper, url)

    @handler
    async def ping(self, ctx: Context) -> str:
        return "pong"
"""


def test_what_a_mistake_has_paused_is_tried_again_once_it_is_mended(tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text(PAGE)
    with holdfast("dev", "page.py", "--port", "0", cwd=tmp_path) as server:
        assert post(server.wait_port(), "/Page/a/fetch/send", "x")[0] == 202
        server.wait_line(r"is paused: every attempt of its code would fail; .*to_thread at /")
        mended = PAGE.replace("asyncio.to_thread(str.upper, url)", 'ctx.run("up", str.upper, url)')
        (tmp_path / "page.py").write_text(mended)
        server.wait_line("1 failed before and is tried again")
        server.wait_line("Page/a/fetch ok")
        port = int(server.wait_line(r"(?s)changed.*? on http://127\.0\.0\.1:(\d+),")[1])
        assert post(port, "/Page/a/ping") == (200, "pong"), "the key is free"


def test_an_edit_that_does_not_parse_is_waited_out(here: Path) -> None:
    with fork_holdfast("dev", "greeter.py", "--port", "0", cwd=here) as server:
        server.wait_port()
        (here / "greeter.py").write_text("def broken(:\n")
        server.wait_line("greeter.py could not be imported.*; waiting for a change")
        (here / "greeter.py").write_text(GREETER)
        port = int(server.wait_line(r"(?s)changed.*changed.*? on http://127\.0\.0\.1:(\d+),")[1])
        assert post(port, "/Greeter/greet", "sam") == (200, "hello sam")
        assert "Traceback" not in server.stderr


def test_a_target_that_is_gone_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    """As by an editor or a checkout that makes the file anew."""
    (tmp_path / "app").mkdir()
    target = tmp_path / "app" / "greeter.py"
    target.write_text(GREETER)
    (tmp_path / "app" / "words.py").write_text("HELLO = 'hello'\n")
    with fork_holdfast("dev", "app/greeter.py", "--port", "0", cwd=tmp_path) as server:
        server.wait_port()
        target.rename(tmp_path / "aside")
        server.wait_line("there is no file app/greeter.py.*; waiting for a change")
        (tmp_path / "aside").rename(target)
        port = int(server.wait_line(r"(?s)changed.*changed.*? on http://127\.0\.0\.1:(\d+),")[1])
        assert post(port, "/Greeter/greet", "sam") == (200, "hello sam")


@pytest.mark.parametrize("broken", ["def broken(:\n", "HELLO = undefined\n", None])
def test_a_package_that_is_broken_is_waited_out(tmp_path: Path, broken: str | None) -> None:
    (tmp_path / "greeter.py").write_text(GREETER)
    words = tmp_path / "words" / "__init__.py"
    words.parent.mkdir()
    words.write_text("HELLO = 'hello'\n")
    with fork_holdfast("dev", "greeter.py", "--port", "0", cwd=tmp_path) as server:
        server.wait_port()
        if broken is None:
            words.parent.rename(tmp_path / "aside")
        else:
            words.write_text(broken)
        server.wait_line("could not be imported.*; waiting for a change")
        if broken is None:
            (tmp_path / "aside").rename(words.parent)
        words.write_text("HELLO = 'good morning'\n")
        port = int(server.wait_line(r"(?s)changed.*changed.*? on http://127\.0\.0\.1:(\d+),")[1])
        assert post(port, "/Greeter/greet", "sam") == (200, "good morning sam")


def test_a_new_package_that_is_broken_is_waited_out(here: Path) -> None:
    with fork_holdfast("dev", "greeter.py", "--port", "0", cwd=here) as server:
        server.wait_port()
        (here / "more").mkdir()
        (here / "more" / "__init__.py").write_text("def broken(:\n")
        (here / "greeter.py").write_text("import more\n" + GREETER)
        server.wait_line("could not be imported.*; waiting for a change")
        (here / "more" / "__init__.py").write_text("")
        port = int(server.wait_line(r"(?s)changed.*changed.*? on http://127\.0\.0\.1:(\d+),")[1])
        assert post(port, "/Greeter/greet", "sam") == (200, "hello sam")


def test_a_target_that_is_broken_at_the_first_start_ends_it(here: Path) -> None:
    (here / "greeter.py").write_text("def broken(:\n")
    with fork_holdfast("dev", "greeter.py", "--port", "0", cwd=here) as server:
        assert server.wait_exit() == 1
        assert "could not be imported" in server.stderr


def test_ctrl_c_ends_it_while_it_waits_for_an_edit(here: Path) -> None:
    with holdfast("dev", "greeter.py", "--port", "0", cwd=here) as server:
        server.wait_port()
        (here / "greeter.py").write_text("def broken(:\n")
        server.wait_line("waiting for a change")
        server.signal(signal.SIGINT)
        assert server.wait_exit() == 0
        assert "Traceback" not in server.stderr


MOODY = """
import itertools
from holdfast import Context, Service, handler

MOODS = itertools.count(1)

class Moody(Service):
    @handler
    async def ask(self, ctx: Context) -> str:
        mood = f"mood {next(MOODS)}"
        await ctx.run(mood, print, mood)
        return mood
"""


def test_code_that_is_not_deterministic_is_paused_in_its_first_run(tmp_path: Path) -> None:
    (tmp_path / "moody.py").write_text(MOODY)
    with fork_holdfast("dev", "moody.py", "--port", "0", cwd=tmp_path) as server:
        assert post(server.wait_port(), "/Moody/ask/send")[0] == 202
        server.wait_line(r"(?s)ERROR Moody/ask.* is paused: .*mood 1.*mood 2")


def test_it_runs_through_where_nothing_replays_it(tmp_path: Path) -> None:
    (tmp_path / "moody.py").write_text(MOODY)
    for command in (["dev", "--no-replay"], ["serve"]):
        name, *flags = command
        with fork_holdfast(name, "moody.py", "--port", "0", *flags, cwd=tmp_path) as server:
            assert post(server.wait_port(), "/Moody/ask") == (200, "mood 1")


SHOP = """
from holdfast import Context, VirtualObject, handler

class Order(VirtualObject):
    @handler
    async def place(self, ctx: Context, cents: int) -> None:
        await ctx.run("reserve", reserve)
        await ctx.sleep(3600)

async def reserve() -> str:
    return "reserved"
"""


def test_a_change_that_open_invocations_follow_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    with fork_holdfast("dev", "shop.py", "--port", "0", cwd=tmp_path) as server:
        port = server.wait_port()
        assert "journal" not in server.stdout, "nothing is open yet, so there is nothing to say"
        assert post(port, "/Order/a/place/send", 500)[0] == 202
        assert post(port, "/Order/b/place/send", 500)[0] == 202
        (tmp_path / "shop.py").write_text("# A remark.\n" + SHOP)
        server.wait_line(
            r"shop.py changed, starting again\n2 open invocations follow their journals\nHoldfast "
        )


def test_a_change_that_open_invocations_do_not_follow_is_shown_with_both_sides(
    tmp_path: Path,
) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    with fork_holdfast("dev", "shop.py", "--port", "0", cwd=tmp_path) as server:
        port = server.wait_port()
        assert post(port, "/Order/a/place/send", 500)[0] == 202
        (tmp_path / "shop.py").write_text(SHOP.replace('"reserve"', '"reserve goods"'))
        server.wait_line(
            r"(?s)starting again\nOrder/a/place \(inv_\w+\) diverges\n"
            r"  entry 1 is not what the handler asks for\n"
            r'    recorded   ctx.run\("reserve"\) .*'
            r'    attempted  ctx.run\("reserve goods"\) .*'
            r"1 open invocation: 0 safe, 1 diverges\nHoldfast "
        )


def test_a_paused_mismatch_is_shown_as_a_block_in_dev_and_as_a_line_in_serve(
    tmp_path: Path,
) -> None:
    (tmp_path / "moody.py").write_text(MOODY)
    with fork_holdfast("dev", "moody.py", "--port", "0", cwd=tmp_path) as server:
        assert post(server.wait_port(), "/Moody/ask/send")[0] == 202
        server.wait_line(
            r"(?s)ERROR Moody/ask \(inv_\w+\) is paused: entry 1 is not what the handler asks for\n"
            r'  recorded   ctx.run\("mood 1"\) .*\n  attempted  ctx.run\("mood 2"\) .*'
            r"is the same code as then"
        )
