"""What pydantic writes as asterisks is refused wherever it is to be read back."""

from datetime import date
from typing import Any

import pydantic
import pytest
from pydantic import SecretStr

from holdfast import (
    Context,
    InvalidArgumentError,
    RetryPolicy,
    StepFailedError,
    TerminalError,
    VirtualObject,
    handler,
    state,
)
from holdfast.objects.promise import encode_checked
from holdfast.objects.serde import json_serde, packed_serde
from holdfast.testing import World


class Account(pydantic.BaseModel):
    name: str = ""
    password: SecretStr


class Written(Account):
    @pydantic.field_serializer("password")
    def write_password(self, password: SecretStr) -> str:
        return password.get_secret_value()


class Team(pydantic.BaseModel):
    accounts: list[Account]


class Dated(pydantic.BaseModel):
    since: pydantic.Secret[date]


class Plain(pydantic.BaseModel):
    name: str


ACCOUNT = Account(password=SecretStr("open sesame"))


def read_account() -> Account:
    return ACCOUNT


class Agent(VirtualObject, retry=RetryPolicy(max_attempts=1, on_max_attempts="fail")):
    account: Account | None = state(None)
    written: Written | None = state(None)

    @handler
    async def log_in(self, ctx: Context, account: Account, times: int = 1) -> str:
        return account.password.get_secret_value() * times

    @handler
    async def keep(self, ctx: Context, account: Written) -> None:
        self.written = account

    @handler
    async def kept(self, ctx: Context) -> str:
        return "" if self.written is None else self.written.password.get_secret_value()

    @handler
    async def lose(self, ctx: Context) -> None:
        self.account = ACCOUNT

    @handler
    async def read(self, ctx: Context) -> None:
        await ctx.run("read", read_account)

    @handler
    async def wait(self, ctx: Context) -> str:
        account = await ctx.signal("account", Account)
        return account.password.get_secret_value()

    @handler
    async def show(self, ctx: Context) -> Account:
        return ACCOUNT


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Account, ACCOUNT),
        (Account | Plain, ACCOUNT),
        (list[Account], [ACCOUNT]),
        (Any, {"account": ACCOUNT}),
        (Team, Team(accounts=[ACCOUNT])),
        (Dated, Dated(since=pydantic.Secret(date(2026, 1, 1)))),
    ],
    ids=str,
)
def test_a_secret_is_not_stored_as_asterisks(annotation: Any, value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="it holds a secret, which pydantic writes as"):
        packed_serde(annotation).encode(value)


def test_asterisks_that_somebody_wrote_are_a_text_like_any_other() -> None:
    stars = Plain(name="*" * 10)
    for make in (packed_serde, json_serde):
        assert make(Plain).decode(make(Plain).encode(stars)) == stars
    written = Written(password=SecretStr("open sesame"))
    assert packed_serde(Written).decode(packed_serde(Written).encode(written)) == written


def test_a_promise_is_not_kept_with_asterisks() -> None:
    with pytest.raises(InvalidArgumentError, match="it holds a secret"):
        encode_checked(json_serde(Account), ACCOUNT)
    assert encode_checked(json_serde(Plain), Plain(name="*" * 10))


async def test_a_secret_arrives_or_is_refused_and_is_shown_as_asterisks() -> None:
    world = World([Agent])
    runtime = await world.start()
    agent = runtime.object(Agent, "a")
    with pytest.raises(InvalidArgumentError, match="Agent/log_in: it holds a secret"):
        await agent.log_in(ACCOUNT)
    sent = {"account": {"password": "open sesame"}, "times": 1}
    assert await runtime.call_by_name("Agent", "a", "log_in", sent) == "open sesame"
    with pytest.raises(TerminalError, match=r"'account'.*it holds a secret"):
        await agent.lose()
    with pytest.raises(StepFailedError, match="it holds a secret"):
        await agent.read()
    await agent.keep(Written(password=SecretStr("open sesame")))
    id_ = await agent.wait.send()
    await runtime.rest()
    with pytest.raises(InvalidArgumentError, match="it holds a secret"):
        await runtime.invocation(id_).signal("account", ACCOUNT)
    with pytest.raises(InvalidArgumentError, match="it holds a secret"):
        await runtime.call_by_name("Agent", "b", "log_in", {"account": ACCOUNT})
    with pytest.raises(InvalidArgumentError, match="it holds a secret"):
        await runtime.resolve_awakeable("awk_" + "0" * 40, [ACCOUNT])
    await runtime.invocation(id_).signal("account", {"password": "open sesame"})
    assert await runtime.invocation(id_).attach() == "open sesame"
    assert (await agent.show()).password.get_secret_value() == "*" * 10

    runtime = await world.restart()
    assert await runtime.object(Agent, "a").kept() == "open sesame"
    world.close()


class Numbered(Account):
    number: str


@pytest.mark.parametrize("annotation", [Numbered, Numbered | None])
def test_long_numbers_beside_a_secret_are_no_reason_to_refuse_a_body(annotation: Any) -> None:
    body = b'{"password":"open sesame","number":"12345678901234567890"}'
    found = json_serde(annotation).decode(body)
    assert found.password.get_secret_value() == "open sesame"


def test_long_numbers_beside_a_secret_are_no_reason_to_refuse_a_result() -> None:
    result = Numbered(password=SecretStr("open sesame"), number="1" * 20)
    assert b'"number":"11111111111111111111"' in json_serde(Numbered).encode(result)
