"""A model whose fields have one name for what comes in and another one for what goes out."""

from dataclasses import dataclass
from typing import Any

import msgspec
import pydantic
import pytest
from pydantic import AliasChoices, AliasPath, ConfigDict, Field

from holdfast import (
    Context,
    InvalidArgumentError,
    RetryPolicy,
    Service,
    TerminalError,
    VirtualObject,
    handler,
    state,
)
from holdfast.objects.serde import json_serde, packed_serde, result_serde
from holdfast.objects.unread_names import find_unread
from holdfast.testing import World


class User(pydantic.BaseModel):
    """As somebody else's API names it."""

    name: str = Field("nobody", validation_alias="login")
    tags: set[str] = Field(default_factory=set, serialization_alias="labels")
    plan: str = Field("free", alias="planName")


class Deep(pydantic.BaseModel):
    first: str = Field("none", validation_alias=AliasPath("names", 0))
    user: User = Field(default_factory=lambda: User.model_validate({}))


class Cat(pydantic.BaseModel):
    lives: int


@dataclass
class Team:
    lead: User
    others: list[User]


def make_user(**said: Any) -> User:
    return User.model_validate(said)


ADA = make_user(login="ada", tags={"a", "b"}, planName="paid")
DEEP = Deep.model_validate({"names": ["Ada"], "user": {"login": "ada", "planName": "paid"}})


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (User, ADA),
        (Deep, DEEP),
        (Team, Team(ADA, [make_user(), ADA])),
        (User | Cat, ADA),
        (dict[str, list[User | Cat]], {"all": [Cat(lives=9), ADA]}),
    ],
)
def test_it_is_stored_and_read_again(annotation: Any, value: Any) -> None:
    serde = packed_serde(annotation)
    assert serde.decode(serde.encode(value)) == value


def test_what_an_earlier_release_has_stored_is_read() -> None:
    stored = msgspec.msgpack.encode({"name": "lost", "labels": ["lost"], "planName": "paid"})
    assert packed_serde(User).decode(stored) == make_user(planName="paid", login="lost")


def test_where_no_type_is_said_its_names_are_those_that_callers_see() -> None:
    """A handler that takes such a result apart by its names goes on doing so."""
    found = packed_serde(Any).decode(packed_serde(Any).encode(ADA))
    assert found == {"name": "ada", "labels": ["a", "b"], "planName": "paid"}


class TakesBoth(pydantic.BaseModel):
    name: str = Field("nobody", validation_alias=AliasChoices("login", "name"))


class TakesNames(pydantic.BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    name: str = Field("nobody", validation_alias="login")


class Unwritten(pydantic.BaseModel):
    name: str = Field("nobody", validation_alias="login", exclude=True)


class Own(pydantic.BaseModel):
    name: str = Field("nobody", validation_alias="login")

    @pydantic.model_serializer
    def write(self) -> dict[str, str]:
        return {"login": self.name}


@pytest.mark.parametrize("model", [Cat, TakesBoth, TakesNames, Unwritten, Own])
def test_who_reads_what_it_writes_is_left_alone(model: Any) -> None:
    assert find_unread(model) is None
    assert result_serde(model) is json_serde(model)


class Desk(VirtualObject):
    user: User = state(default_factory=make_user)

    @handler
    async def take(self, ctx: Context, user: User) -> str:
        self.user = user
        return user.name

    @handler
    async def fetch(self, ctx: Context) -> str:
        async def ask() -> User:
            return make_user(login="ada")

        self.user = await ctx.run("ask", ask)
        return self.user.name

    @handler
    async def name(self, ctx: Context) -> str:
        return self.user.name

    @handler
    async def show(self, ctx: Context, whom: str = "") -> User:
        return make_user() if whom else self.user


class Front(Service, retry=RetryPolicy(max_attempts=1, on_max_attempts="fail")):
    @handler
    async def hand_on(self, ctx: Context) -> str:
        return await ctx.object(Desk, "d").take(ADA)


async def test_what_a_step_has_fetched_is_there_after_a_crash() -> None:
    world = World([Desk, Front])
    runtime = await world.start()
    assert await runtime.object(Desk, "d").fetch() == "ada"
    runtime = await world.restart()
    assert await runtime.object(Desk, "d").name() == "ada"
    world.close()


async def test_a_program_that_would_read_another_value_is_told() -> None:
    world = World([Desk, Front])
    runtime = await world.start()
    desk = runtime.object(Desk, "d")
    written = (
        r"User\.name is written as 'name' and read as 'login', so a program would read another"
    )
    with pytest.raises(InvalidArgumentError, match=written):
        await desk.take(ADA)
    with pytest.raises(TerminalError, match=written):
        await runtime.service(Front).hand_on()
    assert await desk.take(make_user()) == "nobody"
    assert await runtime.call_by_name("Desk", "d", "take", {"login": "ada"}) == "ada"
    with pytest.raises(InvalidArgumentError, match=r"User\.name is written as"):
        await desk.show()
    assert await desk.show("nobody") == make_user()
    seen = await runtime.call_by_name("Desk", "d", "show", "")
    assert seen == {"name": "ada", "labels": [], "planName": "free"}
    world.close()
