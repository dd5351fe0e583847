"""``holdfast sql``, of a server that runs and of a directory that nobody has open."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast import SyncClient
from tests.cli.test_mistakes import CommandLine
from tests.client.shop import Cart
from tests.crash.nursery import fork_holdfast
from tests.processes import ROOT, Watched

SHOP = ROOT / "tests" / "client" / "shop.py"
ALL = "SELECT target, status FROM sys_invocation ORDER BY created_at"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Watched, Path]]:
    """A server, and where it is."""
    here = tmp_path_factory.mktemp("server")
    with fork_holdfast("serve", str(SHOP), "--port", "0", cwd=here) as server:
        server.wait_line(r"data in ")
        url = re.findall(r"http://127\.0\.0\.1:\d+", server.stdout)[0]
        with SyncClient(url) as client:
            client.wait(client.object(Cart, "sam").add("tea", 1))
        yield server, here


@pytest.fixture
def run(
    served: tuple[Watched, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> CommandLine:
    admin_url = re.findall(r"http://127\.0\.0\.1:\d+", served[0].stdout)[1]
    monkeypatch.setenv("HOLDFAST_ADMIN_URL", admin_url)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [])
    return CommandLine(tmp_path, capsys)


def test_a_server_and_its_directory_say_the_same(
    served: tuple[Watched, Path], run: CommandLine
) -> None:
    assert run.run("sql", ALL) == 0
    printed = run.printed
    assert printed == "TARGET        STATUS\nCart/sam/add  completed\n"
    assert run.run("sql", ALL, "--data", str(served[1] / "data")) == 0
    assert run.printed == printed
    assert run.run("sql", ALL, "--json") == 0
    assert json.loads(run.printed) == [{"target": "Cart/sam/add", "status": "completed"}]


def test_a_target_says_which_classes_a_directory_is_of(
    served: tuple[Watched, Path], run: CommandLine
) -> None:
    services = "SELECT name FROM sys_service WHERE name = 'Cart'"
    data = ("--data", str(served[1] / "data"))
    assert run.run("sql", services, *data) == 0
    assert run.printed == "no rows\n"
    assert run.run("sql", services, str(SHOP), *data) == 0
    assert run.printed == "NAME\nCart\n"
    assert "name that with --data DIR" in run.run_wrong("sql", services, str(SHOP), code=2)


def test_no_rows_are_said_to_be_none(run: CommandLine) -> None:
    assert run.run("sql", "SELECT * FROM sys_inbox") == 0
    assert run.printed == "no rows\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("SELECT nope FROM state",), "SQL error: no such column: nope"),
        (("DROP TABLE state",), "a query may only SELECT"),
        ((ALL, "--admin-url", "http://127.0.0.1:1"), "or read its directory with --data DIR"),
        ((ALL, "--data", "nowhere"), "there is no data directory at nowhere"),
    ],
)
def test_a_mistake_is_one_sentence(run: CommandLine, arguments: tuple[str, ...], said: str) -> None:
    assert said in run.run_wrong("sql", *arguments, code=1)
