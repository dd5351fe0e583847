"""What a handler's verbs become, at a port that only remembers."""

import asyncio
import random
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial, wraps
from typing import Any
from uuid import UUID

import pytest

from holdfast import (
    Context,
    ContextMisuseError,
    InvalidArgumentError,
    RetryPolicy,
    Service,
    StepInfo,
    StepOptions,
    TerminalError,
    VirtualObject,
    handler,
    shared,
    state,
    step_info,
)
from holdfast.objects.actions import result_serde_of
from holdfast.objects.definition import define
from holdfast.objects.identity import AwakeableId, InvocationId, Target
from holdfast.objects.serde import packed_serde
from holdfast.objects.step_info import current_step
from holdfast.objects.syscalls import Action
from tests.objects.fakes import FakeSyscalls


@pytest.fixture
async def port() -> FakeSyscalls:
    return FakeSyscalls(asyncio.get_running_loop())


@dataclass
class Order:
    city: str


class Cart(VirtualObject):
    items: list[str] = state(default_factory=list)
    owner: str | None = state(None, name="customer")

    @handler
    async def add(self, ctx: Context, item: str, count: int = 1) -> int:
        return count

    @handler(name="check-out")
    async def check_out(self, ctx: Context, order: Order) -> Order:
        return order

    @shared
    async def total(self, ctx: Context) -> int:
        return len(self.items)


class Mailer(Service, name="mail"):
    @handler
    async def deliver(self, ctx: Context, to: str) -> None: ...


async def charge(amount: int, *, name: str = "") -> Order:
    return Order(f"{name}{amount}")


async def test_a_step_is_a_name_a_function_and_its_arguments(port: FakeSyscalls) -> None:
    Context(port).run("charge", charge, 5, name="sam")
    assert port.asked == [
        ("run", "charge", Action(charge, (5,), {"name": "sam"}), StepOptions()),
    ]


async def test_a_step_may_have_options_of_its_own(port: FakeSyscalls) -> None:
    retry = RetryPolicy(max_attempts=3)
    step = Context(port).step(retry=retry, timeout=timedelta(seconds=1), on_unknown="fail")
    step.run("charge", charge, 5)
    options = StepOptions(retry=retry, timeout=timedelta(seconds=1), on_unknown="fail")
    assert port.asked == [("run", "charge", Action(charge, (5,), {}), options)]


async def test_a_step_that_cannot_be_run_is_refused_at_once(port: FakeSyscalls) -> None:
    run: Any = Context(port).run
    for bad, message in (
        ((charge, 5), "a step begins with its name"),
        (("", charge), "has 1 to 256 characters"),
        (("x" * 257, charge), "has 1 to 256 characters"),
        (("\ud800", charge), "lone surrogate"),
        (("charge", charge(5)), "given a call instead of a function; write ctx.run"),
        (("charge", 5), "needs a function to run, but was given int"),
    ):
        with pytest.raises(InvalidArgumentError, match=message):
            run(*bad)
    step: Any = Context(port).step
    for options, message in (
        ({"retry": 3}, "retry is a RetryPolicy"),
        ({"timeout": -3}, "timeout is a timedelta or a number of seconds, above zero"),
        ({"timeout": timedelta(0)}, "timeout is a timedelta or a number of seconds, above zero"),
        ({"timeout": True}, "timeout is a timedelta or a number of seconds, above zero"),
        ({"timeout": float("nan")}, "nan seconds is no duration"),
        (
            {"heartbeat_timeout": "5"},
            "heartbeat_timeout is a timedelta or a number of seconds, but this is str",
        ),
        ({"on_unknown": "ignore"}, "on_unknown is 'retry', 'fail', 'pause' or a function"),
    ):
        with pytest.raises(InvalidArgumentError, match=message):
            step(**options)
    assert port.asked == []


async def test_the_limits_of_a_step_are_durations_or_seconds(port: FakeSyscalls) -> None:
    step = Context(port).step
    step(timeout=90, heartbeat_timeout=0.5).run("charge", charge, 5)
    step(timeout=timedelta(minutes=1.5), heartbeat_timeout=timedelta(0, 0.5)).run("c", charge, 5)
    said = [options for *_, options in port.asked]
    assert [(each.timeout, each.heartbeat_timeout) for each in said] == [
        (timedelta(seconds=90), timedelta(milliseconds=500))
    ] * 2


async def test_sleep_takes_a_duration_or_seconds(port: FakeSyscalls) -> None:
    ctx = Context(port)
    for duration in (timedelta(minutes=1), 60, 60.0, -5):
        ctx.sleep(duration)
    assert [duration.total_seconds() for _, duration in port.asked] == [60, 60, 60, 0]
    for bad in (float("nan"), 1e300, "60"):
        with pytest.raises(InvalidArgumentError):
            ctx.sleep(bad)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_a_call_through_a_proxy_is_a_target_a_body_and_a_typed_result(
    port: FakeSyscalls,
) -> None:
    ctx = Context(port)
    port.answer = b'{"city":"Bonn"}'
    assert await ctx.object(Cart, "sam").check_out(Order("Bonn")) == Order("Bonn")
    port.answer = b"2"
    assert await ctx.object(Cart, "sam").add("tea", count=2) == 2
    port.answer = b""
    assert await ctx.service(Mailer).deliver("sam") is None  # type: ignore[func-returns-value]
    assert port.asked == [
        ("call", Target("Cart", "sam", "check-out"), b'{"city":"Bonn"}'),
        ("call", Target("Cart", "sam", "add"), b'{"item":"tea","count":2}'),
        ("call", Target("mail", None, "deliver"), b'"sam"'),
    ]


async def test_a_call_exists_before_it_is_awaited(port: FakeSyscalls) -> None:
    port.answer = b"2"
    pending = Context(port).object(Cart, "sam").total()
    assert port.asked == [("call", Target("Cart", "sam", "total"), b"")]
    assert await pending == 2


async def test_a_send_through_a_proxy_carries_its_delay(port: FakeSyscalls) -> None:
    cart = Context(port).object(Cart, "sam")
    assert await cart.add.send("tea") == "inv_sent"
    await cart.add.send("tea", count=2, delay=timedelta(hours=1))
    await cart.add.send("tea", delay=1.5)
    assert [asked[2:] for asked in port.asked] == [
        (b'{"item":"tea"}', None),
        (b'{"item":"tea","count":2}', timedelta(hours=1)),
        (b'{"item":"tea"}', timedelta(seconds=1.5)),
    ]
    send: Any = cart.add.send
    with pytest.raises(InvalidArgumentError, match="delay is a timedelta"):
        send("tea", delay="5")
    for negative in (timedelta(-1), -0.5):
        with pytest.raises(InvalidArgumentError, match="must not be negative"):
            send("tea", delay=negative)


async def test_what_is_no_handler_is_no_attribute_of_a_proxy(port: FakeSyscalls) -> None:
    cart: Any = Context(port).object(Cart, "sam")
    assert repr(cart) == "<Cart/sam>"
    assert dir(cart) == ["add", "check_out", "total"]
    with pytest.raises(
        AttributeError, match=r"no handler 'totl'; did you mean 'total'\? \(it has add"
    ):
        _ = cart.totl
    with pytest.raises(AttributeError, match=r"Cart\.items is state"):
        _ = cart.items
    with pytest.raises(AttributeError):
        cart.items = []


async def test_a_proxy_needs_a_class_of_its_kind_and_a_key(port: FakeSyscalls) -> None:
    ctx = Context(port)
    with pytest.raises(InvalidArgumentError, match=r"use service\(Mailer\)"):
        ctx.object(Mailer, "sam")
    with pytest.raises(InvalidArgumentError, match=r"use object\(Cart, key\)"):
        ctx.service(Cart)
    unknown: Any = {"idempotency_key": "k"}
    with pytest.raises(InvalidArgumentError, match="in a handler, where it is made exactly once"):
        ctx.object(Cart, "sam", **unknown)
    with pytest.raises(InvalidArgumentError, match="must not be empty"):
        ctx.object(Cart, "")


async def test_a_handler_is_reached_by_its_names_alone(port: FakeSyscalls) -> None:
    ctx = Context(port)
    port.answer = b'{"city":"Bonn"}'
    assert await ctx.call("Cart", "sam", "check-out", Order("Bonn")) == {"city": "Bonn"}
    await ctx.call("Cart", "sam", "total")
    await ctx.send("mail", None, "deliver", None, delay=timedelta(1))
    assert port.asked == [
        ("call", Target("Cart", "sam", "check-out"), b'{"city":"Bonn"}'),
        ("call", Target("Cart", "sam", "total"), b""),
        ("send", Target("mail", None, "deliver"), b"null", timedelta(1)),
    ]
    with pytest.raises(InvalidArgumentError, match="a call by name takes a service"):
        ctx.call(Cart, "sam", "total")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_an_awakeable_is_an_id_and_a_typed_promise(port: FakeSyscalls) -> None:
    port.answer = b'{"city":"Bonn"}'
    awakeable = Context(port).awakeable(Order)
    assert awakeable.id == "awk_" + "0" * 32 + "00000003"
    assert await awakeable == Order("Bonn")
    assert await awakeable.future == Order("Bonn")


async def test_an_awakeable_is_resolved_and_rejected_by_its_id(port: FakeSyscalls) -> None:
    ctx = Context(port)
    identifier = AwakeableId(InvocationId(bytes(16)), 3)
    ctx.resolve_awakeable(str(identifier), Order("Bonn"))
    ctx.resolve_awakeable(str(identifier))
    ctx.reject_awakeable(str(identifier), "too late")
    outcomes = [outcome for _, _, outcome in port.asked]
    assert outcomes[:2] == [b'{"city":"Bonn"}', b"null"]
    assert isinstance(outcomes[2], TerminalError)
    assert outcomes[2].message == "too late"
    with pytest.raises(InvalidArgumentError, match="is an invocation id"):
        ctx.resolve_awakeable("inv_" + "0" * 32)


async def test_state_is_reached_by_names_known_only_at_run_time(port: FakeSyscalls) -> None:
    ctx = Context(port)
    assert ctx.get("colour") is None
    assert ctx.get("colour", str, "red") == "red"
    ctx.set("colour", "blue")
    assert ctx.get("colour", str) == "blue"
    assert ctx.keys() == ["colour"]
    ctx.clear("colour")
    assert ctx.keys() == []
    unusable: list[Any] = ["", "x" * 257, "\ud800", 5]
    for bad in unusable:
        with pytest.raises(InvalidArgumentError, match="a state name is"):
            ctx.get(bad)
    with pytest.raises(InvalidArgumentError, match="cannot be stored"):
        ctx.get("colour", complex)


async def test_a_field_of_a_bound_instance_is_the_ports_value(port: FakeSyscalls) -> None:
    cart = define(Cart).new_instance(port)
    assert cart.items == []
    cart.owner = "sam"
    assert port.stored == {"customer": "sam"}
    assert cart.owner == "sam"
    del cart.owner
    assert cart.owner is None


def test_a_factory_makes_a_default_for_each_object() -> None:
    field = define(Cart).fields["items"]
    assert field.make_default() == []
    assert field.make_default() is not field.make_default()


def test_an_instance_of_your_own_has_no_state_and_no_turn() -> None:
    cart: Any = Cart()
    for use in (
        lambda: cart.items,
        lambda: setattr(cart, "owner", ""),
        lambda: delattr(cart, "owner"),
    ):
        with pytest.raises(ContextMisuseError, match="objects live in a runtime"):
            use()
    for use in (cart.total, lambda: cart.add.send("tea")):
        with pytest.raises(ContextMisuseError, match=r"use ctx\.object\(Cart, key\)\.\w+\("):
            use()


async def test_time_and_chance_come_from_the_port(port: FakeSyscalls) -> None:
    ctx = Context(port)
    assert ctx.now() == datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=UTC)
    assert ctx.time() == 1_700_000_000.5
    expected = UUID(int=random.Random(7).getrandbits(128), version=4)
    assert ctx.uuid4() == expected
    assert expected.version == 4
    assert ctx.random is port.random


async def test_a_context_says_which_invocation_it_serves(port: FakeSyscalls) -> None:
    ctx = Context(port)
    assert (ctx.key, ctx.invocation_id) == ("sam", "inv_" + "0" * 32)
    assert ctx.headers == {"x-trace": "1"}
    assert ctx.log.name == "test"
    port.target = Target("mail", None, "deliver")
    with pytest.raises(ContextMisuseError, match="mail/deliver is a handler of a service"):
        _ = ctx.key


def test_step_info_is_known_inside_of_a_step_only() -> None:
    with pytest.raises(ContextMisuseError, match="outside of a step"):
        step_info()
    info = StepInfo(name="charge", attempt=2, idempotency_key="k", invocation_id="inv_1")
    token = current_step.set(info)
    try:
        assert step_info() is info
    finally:
        current_step.reset(token)


def sync_order() -> "Order":
    return Order("")


def later_order() -> Awaitable[Order]:
    return charge(1)


def unannotated():  # type: ignore[no-untyped-def] # noqa: ANN201
    return Order("")


def unresolvable() -> None: ...


unresolvable.__annotations__["return"] = "Missing"


def undecodable() -> complex:
    return 1j


@wraps(charge)
def wrapped(*_args: Any) -> Any: ...


class Charger:
    async def charge(self) -> Order:
        return Order("")

    async def __call__(self) -> Order:
        return Order("")


@pytest.mark.parametrize(
    "function",
    [
        *(charge, sync_order, later_order, wrapped, partial(partial(charge), 1)),
        *(Charger().charge, Charger(), Order),
    ],
)
def test_the_result_of_a_step_is_typed_by_its_function(function: Any) -> None:
    assert result_serde_of(function) is packed_serde(Order)


@pytest.mark.parametrize(
    "function", [unannotated, unresolvable, undecodable, lambda: 1, len, partial(len, ())]
)
def test_the_result_of_a_function_that_does_not_say_is_anything(function: Any) -> None:
    anything = [1, {"a": None}, "text"]

    assert result_serde_of(function).decode(packed_serde(Any).encode(anything)) == anything


async def test_an_option_of_a_step_among_the_arguments_says_where_it_goes(
    port: FakeSyscalls,
) -> None:
    def pay(amount: int) -> int:
        return amount

    run: Any = Context(port).run
    with pytest.raises(
        InvalidArgumentError, match=r"takes no 'timeout'; .*ctx.step\(timeout=...\).run\('pay', pay"
    ):
        run("pay", pay, 5, timeout=timedelta(seconds=1))


async def test_a_function_may_take_what_an_option_is_called(port: FakeSyscalls) -> None:
    def fetch(url: str, timeout: float) -> str:
        return f"{url} {timeout}"

    def fetch_with_anything(**options: float) -> int:
        return len(options)

    Context(port).run("fetch", fetch, "here", timeout=1.0)
    Context(port).run("fetch", partial(fetch, "here"), timeout=1.0)
    Context(port).run("fetch", fetch_with_anything, timeout=1.0, retry=2.0)


async def test_an_inbox_is_typed_and_gives_one_message_or_all(port: FakeSyscalls) -> None:
    port.answer = b"5"
    inbox = Context(port).inbox(int)

    assert await inbox.get() == 5
    assert await inbox.drain() == [5]
    assert port.asked == [("read", False), ("read", True)]
    with pytest.raises(InvalidArgumentError):
        Context(port).inbox(str).get()


def test_where_there_is_no_turn_there_is_no_inbox(port: FakeSyscalls) -> None:
    port.target = Target("Order", "7", "run")

    with pytest.raises(ContextMisuseError, match="Order/7/run: only an exclusive handler of a"):
        Context(port).inbox(int)
