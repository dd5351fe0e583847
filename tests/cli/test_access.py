"""Tokens and addresses, as they are said on the command line and in the environment."""

import json
import re
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from holdfast.access_options import read_http_options
from holdfast.ingress.options import tokens_of
from holdfast.objects.errors import InvalidArgumentError
from tests.crash.nursery import fork_holdfast

FIRST = "a-first-token-0123456789"
SECOND = "a-second-token-0123456789"
COUNTER = """
from holdfast import Context, VirtualObject, handler

class Counter(VirtualObject):
    @handler
    async def add(self, ctx: Context, amount: int) -> int:
        return amount
"""


def admits(variable: str, file: Path | None, token: str) -> bool:
    options = read_http_options(variable, file, hosts=(), allow_anonymous=False)
    return tokens_of(options).admit({"authorization": f"Bearer {token}"})


@pytest.mark.parametrize("divider", [",", "\n", ", ", "\r\n", ",\n,"])
def test_a_variable_may_hold_several_tokens(divider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_TOKEN", f"{FIRST}{divider}{SECOND}\n")
    assert admits("HOLDFAST_TOKEN", None, FIRST)
    assert admits("HOLDFAST_TOKEN", None, SECOND)
    assert not admits("HOLDFAST_ADMIN_TOKEN", None, FIRST)


@pytest.mark.parametrize("content", ["", " ", ",,\n"])
def test_a_variable_that_is_set_and_empty_does_not_open_the_door(
    content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_TOKEN", content)
    with pytest.raises(InvalidArgumentError, match="HOLDFAST_TOKEN is set and holds no token"):
        admits("HOLDFAST_TOKEN", None, FIRST)


def test_tokens_of_a_file_and_of_the_variable_all_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"\n{SECOND}  \n\n")
    monkeypatch.setenv("HOLDFAST_TOKEN", FIRST)
    assert admits("HOLDFAST_TOKEN", file, FIRST)
    assert admits("HOLDFAST_TOKEN", file, SECOND)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "there is no token in"),
        (b"\n  \n", "there is no token in"),
        (b"short-secret\n", "has 12 characters"),
        (f"{FIRST}\nhas a blank, and that cannot be sent\n".encode(), "token 2 cannot be sent"),
        (b"\xff\xfe", "it is not UTF-8"),
        (None, "No such file"),
    ],
)
def test_a_file_that_holds_no_good_token_is_refused_and_not_shown(
    content: bytes | None, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "tokens"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidArgumentError, match=said) as refused:
        read_http_options("HOLDFAST_TOKEN", file, hosts=(), allow_anonymous=False)
    assert "short-secret" not in refused.value.message
    assert "blank, and" not in refused.value.message


def ask(port: int, token: str | None) -> int:
    headers = {"content-type": "application/json"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/Counter/a/add", json.dumps(5).encode(), headers
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_server_that_strangers_reach_asks_for_a_token_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "counter.py").write_text(COUNTER)
    (tmp_path / "tokens").write_text(f"{FIRST}\n{SECOND}\n")
    arguments = ("--host", "0.0.0.0", "--port", "0", "--token-file", "tokens")  # noqa: S104 - on purpose
    with fork_holdfast("serve", "counter.py", *arguments, cwd=tmp_path) as server:
        port = int(server.wait_line(r"http://127\.0\.0\.1:(\d+)")[1])
        assert [ask(port, each) for each in (None, FIRST, SECOND, FIRST[:-1])] == [
            401,
            200,
            200,
            401,
        ]
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0
        assert FIRST not in server.stdout + server.stderr


def test_a_server_that_strangers_reach_is_refused_without_tokens_unless_told(
    tmp_path: Path,
) -> None:
    (tmp_path / "counter.py").write_text(COUNTER)
    arguments = ("serve", "counter.py", "--host", "0.0.0.0", "--port", "0")  # noqa: S104 - what is refused
    with fork_holdfast(*arguments, cwd=tmp_path) as refused:
        assert refused.wait_exit() == 1
        assert refused.stderr.startswith("holdfast: will not listen on 0.0.0.0 without tokens")
        assert "--allow-anonymous" in refused.stderr
    # It does not open the operators' port as well.
    both = ("--allow-anonymous", "--admin-host", "0.0.0.0")  # noqa: S104 - what is refused
    with fork_holdfast(*arguments, *both, cwd=tmp_path) as refused:
        assert refused.wait_exit() == 1
        assert "might see and change everything" in refused.stderr
        assert "--admin-allow-anonymous" in refused.stderr
    with fork_holdfast(*arguments, "--allow-anonymous", cwd=tmp_path) as server:
        assert ask(int(server.wait_line(r"http://127\.0\.0\.1:(\d+)")[1]), None) == 200
        assert "anyone who can reach 0.0.0.0 may call every handler" in server.stderr
        assert re.search(r"on http://127\.0\.0\.1:\d+ \(every address\)", server.stdout)


HOOKS = """
from datetime import timedelta
from typing import Any
from holdfast import Context, Service, Stripe, VirtualObject, handler, state

class Hooks(Service):
    @handler(webhook=Stripe(secret_env="TEST_WEBHOOK_SECRET"))
    async def stripe(self, ctx: Context, event: dict[str, Any]) -> None: ...

class Expense(VirtualObject):
    link: str = state("")

    @handler
    async def ask(self, ctx: Context) -> bool:
        awakeable = ctx.awakeable(bool, message="May sam?")
        self.link = awakeable.link("resolve", True, expires_in=timedelta(days=1))
        return await awakeable
"""


def test_a_server_does_not_start_without_the_secret_of_its_webhooks(tmp_path: Path) -> None:
    (tmp_path / "hooks.py").write_text(HOOKS)
    with fork_holdfast("serve", "hooks.py", "--port", "0", cwd=tmp_path) as refused:
        assert refused.wait_exit() == 1
        assert refused.stderr.count("\n") == 1
        assert "Hooks/stripe takes webhooks. Stripe: there is no secret in TEST_WEBHOOK_SECRET" in (
            refused.stderr
        )


def ask_for(
    port: int, path: str, body: bytes | None = None, token: str | None = None
) -> tuple[int, str]:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_link_outlives_a_kill_of_the_process_that_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_TOKEN", FIRST)
    monkeypatch.setenv("TEST_WEBHOOK_SECRET", "whsec_of_the_endpoint")
    (tmp_path / "hooks.py").write_text(HOOKS)
    with fork_holdfast("serve", "hooks.py", "--port", "0", cwd=tmp_path) as server:
        port = server.wait_port()
        assert ask_for(port, "/Expense/sam/ask/send", b"", FIRST)[0] == 202
        state = ""
        while "signature=" not in state:
            state = ask_for(port, "/Expense/sam?wait=5s", token=FIRST)[1]
        link: str = json.loads(state)["link"]
        server.signal(signal.SIGKILL)
        server.wait_exit()
    with fork_holdfast("serve", "hooks.py", "--port", "0", cwd=tmp_path) as server:
        port = server.wait_port()
        shown = ask_for(port, link)
        assert (shown[0], "May sam?" in shown[1]) == (200, True)
        assert ask_for(port, link.replace("true", "false"), b"")[0] == 403
        pressed = ask_for(port, link, b"")  # As a form: urllib says so by itself.
        assert (pressed[0], "Your answer was taken" in pressed[1]) == (200, True)
        assert "Nothing left to do" in ask_for(port, link)[1]
        assert FIRST not in server.stdout + server.stderr
        assert link.partition("signature=")[2] not in server.stdout + server.stderr
