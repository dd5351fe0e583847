"""Commands that ask a server, which is a real process; the commands run in this one."""

import io
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast import SyncClient
from tests.cli.test_mistakes import CommandLine
from tests.client.shop import Cart, Mailer
from tests.crash.nursery import fork_holdfast
from tests.processes import ROOT, Watched, free_port, wait_until

SHOP = ROOT / "tests" / "client" / "shop.py"
UNKNOWN = "inv_" + "0" * 32


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    here = tmp_path_factory.mktemp("server")
    with fork_holdfast("serve", str(SHOP), "--port", "0", cwd=here) as server:
        server.wait_line(r"data in ")
        yield server


@pytest.fixture
def client(server: Watched, monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncClient]:
    """A client of the server, which is also the one that commands ask."""
    ports = re.findall(r"http://127\.0\.0\.1:(\d+)", server.stdout)
    url, admin_url = (f"http://127.0.0.1:{port}" for port in ports)
    monkeypatch.setenv("HOLDFAST_URL", url)
    monkeypatch.setenv("HOLDFAST_ADMIN_URL", admin_url)
    with SyncClient(url, admin_url=admin_url) as client:
        yield client


@pytest.fixture
def run(
    client: SyncClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> CommandLine:
    assert client.health().is_ok
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [])
    return CommandLine(tmp_path, capsys)


def waiting(client: SyncClient, key: str) -> str:
    """The id of an invocation that waits for an awakeable."""
    id_ = client.wait(client.object(Cart, key).ask.send())
    wait_until(lambda: bool(asked(client, key)), "the question")
    return id_


def asked(client: SyncClient, key: str) -> str:
    """The id of the awakeable that the cart at ``key`` waits for; none as long as it does not."""
    return client.wait(client.object(Cart, key).question())


def test_several_are_canceled_with_yes_and_each_has_its_line(
    client: SyncClient, run: CommandLine
) -> None:
    ids = [waiting(client, key) for key in ("c1", "c2")]
    said = run.run_wrong("invocations", "cancel", *ids, code=2)
    assert said == "holdfast: cancel of 2 wants --yes, for nobody can be asked here\n"
    assert run.run("invocations", "cancel", *ids, "--yes", "--reason", "too slow") == 0
    assert run.printed == "".join(f"{id_}  canceled\n" for id_ in ids)
    assert run.run("invocations", "cancel", ids[0]) == 0
    assert run.printed == f"{ids[0]}  unchanged: it is over, or was canceled before\n"


class Terminal(io.StringIO):
    """Somebody who can be asked."""

    def isatty(self) -> bool:
        return True


def test_whoever_sits_there_is_asked_before_several_are_ended(
    client: SyncClient, run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [waiting(client, key) for key in ("y1", "y2")]
    for answer, code, done in (("n\n", 1, 0), ("y\n", 0, 2)):
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        assert run.run("invocations", "kill", *ids) == code
        assert run.printed.count("killed") == done


def test_ids_come_from_another_command(
    client: SyncClient, run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [waiting(client, key) for key in ("s1", "s2")]
    table = "".join(["ID  TARGET\n", *(f"{id_}  Cart/x/ask  suspended\n" for id_ in ids), "\n"])
    monkeypatch.setattr(sys, "stdin", io.StringIO(table))
    assert run.run("invocations", "kill", "-", "--yes") == 0
    assert run.printed == "".join(f"{id_}  killed\n" for id_ in ids)
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert "there is no id" in run.run_wrong("invocations", "kill", "-", code=2)


def test_where_one_of_several_cannot_be_told_the_others_are(
    client: SyncClient, run: CommandLine
) -> None:
    id_ = waiting(client, "partly")
    assert run.run("invocations", "cancel", UNKNOWN, id_, "--yes") == 1
    assert run.printed == f"{id_}  canceled\n"


def test_an_invocation_is_paused_resumed_and_described(
    client: SyncClient, run: CommandLine
) -> None:
    id_ = waiting(client, "p1")
    assert run.run("invocations", "pause", id_) == 0
    assert run.run("invocations", "describe", id_) == 0
    assert re.search(r"^target +Cart/p1/ask$", run.printed, re.MULTILINE)
    assert re.search(r"^status +paused$", run.printed, re.MULTILINE)
    assert re.search(r"^awakeable +awk_\w+", run.printed, re.MULTILINE)
    assert re.search(r"^2 +tell +done", run.printed, re.MULTILINE)
    assert "\x1b" not in run.printed
    assert run.run("invocations", "resume", id_) == 0
    assert run.printed == f"{id_}  resumed\n"
    assert run.run("invocations", "describe", id_, "--json") == 0
    told: dict[str, Any] = json.loads(run.printed)
    assert (told["target"], told["status"]) == ("Cart/p1/ask", "suspended")
    assert [each["name"] for each in told["effects"]] == ["tell"]


def test_an_awakeable_is_resolved_and_its_invocation_attached_to(
    client: SyncClient, run: CommandLine
) -> None:
    id_ = waiting(client, "a1")
    assert run.run("awakeables", "resolve", asked(client, "a1"), '"yes"') == 0
    assert run.run("invocations", "attach", id_) == 0
    assert run.printed == '"yes"\n'
    id_ = waiting(client, "a2")
    assert run.run("awakeables", "reject", asked(client, "a2"), "no time") == 0
    said = run.run_wrong("invocations", "attach", id_, code=1)
    assert said == f"holdfast: {id_} failed with 500: no time\n"


def test_a_second_answer_to_an_awakeable_is_told_that_the_first_stands(
    client: SyncClient, run: CommandLine
) -> None:
    waiting(client, "a3")
    awakeable = asked(client, "a3")
    assert run.run("awakeables", "resolve", awakeable, '"yes"') == 0
    for again in (("reject", awakeable, "no"), ("resolve", awakeable, '"no"')):
        assert run.run("awakeables", *again) == 0
        assert run.printed == f"{awakeable}  unchanged: it was completed before, and that stands\n"


def test_a_result_that_is_no_json_is_printed_as_its_bytes(
    client: SyncClient, run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = client.wait(client.service(Mailer).stamp.send())
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, "utf-8"))
    assert run.run("invocations", "attach", id_) == 0
    sys.stdout.flush()
    assert printed.getvalue() == b"\x89\x00"


@pytest.mark.parametrize("value", ["yes", "NaN", "[Infinity]"])
def test_a_value_that_is_no_json_is_refused_before_anybody_is_asked(
    run: CommandLine, value: str
) -> None:
    said = run.run_wrong("awakeables", "resolve", "awk_" + "0" * 40, value, code=2)
    assert f"VALUE is JSON, and '{value}' is none" in said
    assert "note is JSON" in run.run_wrong("state", "set", "Cart", "a", f"note={value}", code=2)


def test_a_field_that_is_given_two_values_is_refused(run: CommandLine) -> None:
    said = run.run_wrong("state", "set", "Cart", "twice", "items=[]", 'items=["tea"]', code=2)
    assert "items is given two values" in said


def test_a_failed_invocation_is_restarted_and_purged(client: SyncClient, run: CommandLine) -> None:
    id_ = client.wait(client.object(Cart, "r1").refuse.send(402))
    assert "sold out" in run.run_wrong("invocations", "attach", id_, code=1)
    assert run.run("invocations", "restart", id_) == 0
    again = run.printed.strip()
    assert "sold out" in run.run_wrong("invocations", "attach", again, code=1)
    assert run.run("invocations", "purge", id_, again, "--yes") == 0
    assert "does not exist" in run.run_wrong("invocations", "describe", id_, code=1)


def test_a_state_is_printed_whole_or_a_field_of_it(client: SyncClient, run: CommandLine) -> None:
    client.wait(client.object(Cart, "g1").add("tea"))
    assert run.run("state", "get", "Cart", "g1") == 0
    assert json.loads(run.printed) == {"items": ["tea"]}
    assert run.run("state", "get", "Cart", "g1", "items") == 0
    assert json.loads(run.printed) == ["tea"]
    said = run.run_wrong("state", "get", "Cart", "g1", "item", code=1)
    assert "it has stored items" in said
    assert "did you mean 'Cart'" in run.run_wrong("state", "get", "Carts", "g1", code=1)


def test_an_id_that_is_none_is_refused_here(run: CommandLine) -> None:
    assert "an invocation id" in run.run_wrong("invocations", "cancel", "awk_7", code=1)
    assert "an awakeable id" in run.run_wrong("awakeables", "reject", UNKNOWN, "no", code=1)
    assert "does not exist" in run.run_wrong("invocations", "cancel", UNKNOWN, code=1)


@pytest.mark.parametrize(
    "command",
    [("invocations", "cancel", UNKNOWN), ("state", "get", "Cart", "sam")],
    ids=lambda command: command[0],
)
def test_without_a_server_one_sentence_says_so(
    command: tuple[str, ...], run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOLDFAST_URL", "HOLDFAST_ADMIN_URL"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    said = run.run_wrong(*command, code=1)
    assert "nobody listens there" in said
    assert "`holdfast serve`" in said


def test_the_wrong_port_is_named(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    url, admin_url = (os.environ[name] for name in ("HOLDFAST_URL", "HOLDFAST_ADMIN_URL"))
    monkeypatch.setenv("HOLDFAST_ADMIN_URL", url)
    said = run.run_wrong("invocations", "cancel", UNKNOWN, code=1)
    assert f"{url} is the port for calls" in said
    assert "--admin-url" in said
    monkeypatch.setenv("HOLDFAST_URL", admin_url)
    said = run.run_wrong("state", "get", "Cart", "sam", code=1)
    assert f"{admin_url} is the port for operators" in said


def test_a_missing_token_is_named(
    run: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("a-token-of-operators\n")
    serve = ("serve", str(SHOP), "--port", "0", "--admin-token-file", "token")
    with fork_holdfast(*serve, cwd=tmp_path) as server:
        server.wait_line("data in ")
        admin = re.findall(r"http://127\.0\.0\.1:(\d+)", server.stdout)[1]
        monkeypatch.setenv("HOLDFAST_ADMIN_URL", f"http://127.0.0.1:{admin}")
        said = run.run_wrong("invocations", "cancel", UNKNOWN, code=1)
        assert f"http://127.0.0.1:{admin} (the port for operators): unauthorized" in said
        assert "HOLDFAST_ADMIN_TOKEN" in said
        told = ("--admin-token-file", "token")
        said = run.run_wrong("invocations", "cancel", UNKNOWN, *told, code=1)
        assert "does not exist" in said
        monkeypatch.setenv("HOLDFAST_ADMIN_TOKEN", "a-token-of-operators, another-one-of-them")
        assert "does not exist" in run.run_wrong("invocations", "cancel", UNKNOWN, code=1)


def test_invocations_are_listed_and_filtered(client: SyncClient, run: CommandLine) -> None:
    ids = [waiting(client, key) for key in ("l/1", "l'2")]
    failed = client.wait(client.object(Cart, "l/1").refuse.send(402))
    for id_ in ids:
        assert run.run("invocations", "list", "--limit", "1000") == 0
        assert re.search(
            rf"^{id_}  Cart/l.[12]/ask +suspended +\d+s ago$", run.printed, re.MULTILINE
        )
    assert run.run("invocations", "list", "--key", "l'2", "--handler", "ask") == 0
    head, line = run.printed.splitlines()
    assert head.split() == ["ID", "TARGET", "STATUS", "CREATED", "FAILURE"]
    assert line.startswith(ids[1])
    assert head.index("STATUS") == line.index("suspended")
    assert run.run("invocations", "list", "--key", "l/1", "--status", "pending", "--json") == 0
    assert [row["id"] for row in json.loads(run.printed)] == [failed]
    assert run.run("invocations", "list", "--key", "nobody") == 0
    assert run.printed == "no invocations\n"
    assert run.run("invocations", "kill", *ids, failed, "--yes") == 0


def test_a_misspelt_filter_is_told_what_there_is(run: CommandLine) -> None:
    said = run.run_wrong("invocations", "list", "--service", "cart", code=1)
    assert "there is no class 'cart'; did you mean Cart?" in said
    said = run.run_wrong("invocations", "list", "--status", "runing", code=2)
    assert "backing-off" in said


def test_awakeables_are_listed_with_who_waits(client: SyncClient, run: CommandLine) -> None:
    waiting(client, "w1")
    assert run.run("awakeables", "list", "--service", "Cart", "--key", "w1") == 0
    _, line = run.printed.splitlines()
    assert line.startswith(asked(client, "w1"))
    assert "Cart/w1/ask" in line
    assert run.run("awakeables", "list", "--key", "nobody") == 0
    assert run.printed == "no open awakeables\n"
    assert "did you mean Cart" in run.run_wrong("awakeables", "list", "--service", "Car", code=1)
    assert run.run("awakeables", "list", "--key", "w1", "--json") == 0
    assert json.loads(run.printed)[0]["service_key"] == "w1"


def test_services_are_listed_and_described(run: CommandLine) -> None:
    assert run.run("services", "list") == 0
    assert re.search(r"^Mailer +Service +.*deliver", run.printed, re.MULTILINE)
    assert run.run("services", "describe", "Cart") == 0
    assert re.search(r"^look +Shared", run.printed, re.MULTILINE)
    assert run.run("services", "describe", "Cart", "--json") == 0
    assert json.loads(run.printed)["name"] == "Cart"
    assert "did you mean Cart" in run.run_wrong("services", "describe", "Cat", code=1)


def test_a_state_is_set_and_cleared_at_its_turn(client: SyncClient, run: CommandLine) -> None:
    assert run.run("state", "set", "Cart", "e1", 'items=["tea"]', 'awaited="x"') == 0
    assert run.printed == "Cart/e1  set items, awaited\n"
    assert client.state(Cart, "e1") == {"items": ["tea"], "awaited": "x"}
    assert run.run("state", "get", "Cart", "e1", "--tag") == 0
    tag = run.printed.strip()
    assert run.run("state", "clear", "Cart", "e1", "awaited", "--version", tag) == 0
    assert client.state(Cart, "e1") == {"items": ["tea"]}
    stale = ("state", "set", "Cart", "e1", "items=[]", "--version", tag)
    assert tag in run.run_wrong(*stale, code=1) or client.state(Cart, "e1") == {"items": ["tea"]}
    assert "wants --yes" in run.run_wrong("state", "clear", "Cart", "e1", code=2)
    assert run.run("state", "clear", "Cart", "e1", "--yes") == 0
    assert client.state(Cart, "e1") == {}


def test_a_state_that_does_not_fit_is_refused_whole(client: SyncClient, run: CommandLine) -> None:
    assert run.run("state", "set", "Cart", "e2", 'items=["tea"]') == 0
    said = run.run_wrong("state", "set", "Cart", "e2", "awaited=5", "items=[]", code=1)
    assert "awaited" in said
    assert client.state(Cart, "e2") == {"items": ["tea"]}
    assert "NAME=JSON" in run.run_wrong("state", "set", "Cart", "e2", "items", code=2)
    assert "items is JSON" in run.run_wrong("state", "set", "Cart", "e2", "items=tea", code=2)
    assert "did you mean Cart" in run.run_wrong("state", "set", "Carts", "e2", "items=[]", code=1)
