"""``holdfast check``: open invocations against code, also beside whoever serves the directory."""

import asyncio
import json
import re
import signal
import subprocess
from pathlib import Path

import pytest

from holdfast import Context, Runtime, VirtualObject, handler
from tests.crash.nursery import fork_holdfast
from tests.processes import complaints, free_port, holdfast, post, wait_until

SHOP = """
from holdfast import Context, VirtualObject, handler

class Order(VirtualObject):
    @handler
    async def place(self, ctx: Context, cents: int) -> None:
        print("an order of", cents)
        await ctx.run("reserve", reserve)
        await ctx.run("charge", charge, cents)
        await ctx.sleep(3600)

async def reserve() -> str:
    open("effects", "a").write("reserved\\n")
    return "reserved"

async def charge(cents: int) -> str:
    open("effects", "a").write(f"charged {cents}\\n")
    return f"charged {cents}"
"""
RENAMED = SHOP.replace('"charge"', '"charge_card"')


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A directory with three open orders in its data."""
    (tmp_path / "shop.py").write_text(SHOP)
    with fork_holdfast("serve", "shop.py", "--port", "0", cwd=tmp_path) as server:
        port = server.wait_port()
        for key in ("a", "b", "c"):
            assert post(port, f"/Order/{key}/place/send", 500)[0] == 202
        wait_for_effects(tmp_path, 6)
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0
    return tmp_path


def wait_for_effects(here: Path, count: int) -> None:
    effects = here / "effects"
    wait_until(
        lambda: effects.exists() and effects.read_text().count("\n") == count, "the steps to run"
    )


def check(here: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    with fork_holdfast("check", "shop.py", *arguments, cwd=here) as checking:
        code = checking.wait_exit()
        said = complaints(checking.stderr)
        return subprocess.CompletedProcess(arguments, code, checking.stdout, said)


def look(here: Path) -> dict[str, tuple[int, int]]:
    return {
        str(file): (file.stat().st_size, file.stat().st_mtime_ns)
        for file in (here / "data").rglob("*")
    }


def test_code_that_follows_every_journal_is_safe_and_leaves_no_trace(here: Path) -> None:
    before, effects = look(here), (here / "effects").read_text()
    done = check(here)

    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "3 open invocations follow their journals\n",
        "",
    )
    assert look(here) == before
    assert (here / "effects").read_text() == effects
    assert check(here, "--all").stdout.count(" is safe\n") == 3


def test_code_that_diverges_shows_both_sides_and_ends_with_3(here: Path) -> None:
    (here / "shop.py").write_text("\n\n" + RENAMED)
    done = check(here)

    assert done.returncode == 3
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Order/a/place (inv_")
    assert lines[0].endswith(") diverges")
    assert lines[1] == "  entry 3 is not what the handler asks for"
    recorded, attempted = (" ".join(line.split()) for line in lines[2:4])
    assert recorded == (
        'recorded ctx.run("charge") shop.py:9 after 1 result function at shop.py:16'
    )
    assert attempted == (
        'attempted ctx.run("charge_card") shop.py:11 after 1 result function at shop.py:18'
    )
    assert lines[4] == "    likely renamed: both run the same function"
    assert "has changed since" in lines[5]
    assert lines[-1] == "3 open invocations: 0 safe, 3 diverge"


def test_what_cannot_be_told_ends_with_4_and_says_why(here: Path) -> None:
    (here / "shop.py").write_text(SHOP.replace("class Order(", "class Orders("))
    done = check(here)

    assert done.returncode == 4
    assert "cannot be told: there is no 'Order'; did you mean 'Orders'?" in done.stdout
    assert done.stdout.endswith("3 open invocations: 0 safe, 3 cannot be told\n")


def test_a_handler_that_blocks_ends_with_4_in_time(here: Path) -> None:
    (here / "shop.py").write_text(
        SHOP.replace(
            "        await ctx.sleep(3600)", "        await ctx.run('x', reserve)"
        ).replace(
            '        await ctx.run("charge"',
            '        while cents: pass\n        await ctx.run("charge"',
        )
    )
    done = check(here, "--timeout", "0.3")

    assert done.returncode == 4
    assert done.stdout.count("cannot be told: it holds its thread at ") == 3
    assert "shop.py:9 for more than 0.3 s" in done.stdout


def test_json_is_one_object_with_every_invocation(here: Path) -> None:
    done = check(here, "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 0
    assert told["counts"] == {"safe": 3, "diverges": 0, "unknown": 0}
    assert [each["target"] for each in told["invocations"]] == [
        f"Order/{key}/place" for key in ("a", "b", "c")
    ]

    (here / "shop.py").write_text(RENAMED)
    done = check(here, "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 3
    assert told["counts"] == {"safe": 0, "diverges": 3, "unknown": 0}
    first = told["invocations"][0]
    assert (first["verdict"], first["status"], first["entries"]) == ("diverges", "begun", 6)
    assert first["mismatch"]["recorded"]["command"] == 'ctx.run("charge")'
    assert first["mismatch"]["cause"] == "renamed"
    assert first["mismatch"]["is_code_changed"] is True


def test_what_the_target_prints_as_it_is_imported_is_no_part_of_the_json(here: Path) -> None:
    (here / "shop.py").write_text("print('loading')\n" + SHOP)
    done = check(here, "--json")

    assert json.loads(done.stdout)["counts"] == {"safe": 3, "diverges": 0, "unknown": 0}
    assert done.stderr == "loading\n"


def test_it_works_beside_a_server_that_has_the_directory_open(here: Path) -> None:
    with fork_holdfast("serve", "shop.py", "--port", "0", cwd=here) as server:
        port = server.wait_port()
        assert post(port, "/Order/d/place/send", 700)[0] == 202
        wait_for_effects(here, 8)
        (here / "shop.py").write_text(RENAMED)
        done = check(here)

        assert done.returncode == 3
        assert done.stdout.endswith("4 open invocations: 0 safe, 4 diverge\n")
        assert post(port, "/Order/e/place/send", 900)[0] == 202
        wait_for_effects(here, 10)
        assert complaints(server.stderr) == ""


def test_what_holdfast_itself_has_under_way_is_told_as_well(here: Path) -> None:
    """A callback that waits for its URL to answer is an invocation of a class nobody wrote."""

    class Order(VirtualObject):
        @handler
        async def close(self, ctx: Context) -> None: ...

    async def close_one() -> None:
        async with Runtime([Order], data_dir=here / "data") as runtime:
            told = f"http://127.0.0.1:{free_port()}/"
            await runtime.object(Order, "z", callback=told).close()

    asyncio.run(close_one())
    done = check(here, "--all")

    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^holdfast.Callbacks/deliver \(inv_\w+\) is safe$", done.stdout, re.MULTILINE)


def test_nothing_open_is_safe(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    with fork_holdfast("serve", "shop.py", "--port", "0", cwd=tmp_path) as server:
        server.wait_port()

    done = check(tmp_path)
    assert (done.returncode, done.stdout) == (0, "no invocation is open\n")


def test_the_command_is_whole_in_an_interpreter_of_its_own(tmp_path: Path) -> None:
    with holdfast("check", "missing.py", cwd=tmp_path) as checking:
        assert checking.wait_exit() == 1
        assert "there is no file missing.py" in checking.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["shop.py", "--data", "nowhere"], "there is no data directory at nowhere"),
        (["shop.py", "--data", "."], "is not a data directory"),
        (["missing.py"], "there is no file missing.py"),
        (["shop.py", "--timeout", "0"], "Invalid value for '--timeout'"),
        ([], "Missing argument 'TARGET'"),
    ],
)
def test_a_slip_on_the_command_line_is_one_sentence(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    with fork_holdfast("check", *arguments, cwd=tmp_path) as checking:
        assert checking.wait_exit() in {1, 2}
        assert checking.stderr.startswith("holdfast: ")
        assert said in checking.stderr
        assert checking.stderr.count("\n") == 1
    assert not (tmp_path / "nowhere").exists()
