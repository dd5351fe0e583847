"""Calls and sends through a client, to a real runtime behind a real server."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from holdfast import (
    AccessDeniedError,
    Client,
    ConflictError,
    Context,
    InvalidArgumentError,
    MemoryStore,
    NotReachedError,
    Origin,
    Runtime,
    RuntimeClosedError,
    RuntimeConfig,
    StepFailedError,
    Target,
    TerminalError,
    UnknownTargetError,
    VirtualObject,
    handler,
)
from holdfast.ingress.options import HttpOptions
from holdfast.ingress.server import HttpServer, serve
from tests.client.shop import CLASSES, Cart, Mailer, Order, open_awakeables
from tests.processes import free_port


async def test_typed_calls_reach_objects_workflows_and_services(client: Client) -> None:
    assert await client.object(Cart, "sam").add("tea", times=2) == ["tea", "tea"]
    assert await client.object(Cart, "sam").look() == ["tea", "tea"]
    assert await client.workflow(Order, "7").run("tea") == "tea: True"
    assert await client.service(Mailer).deliver("sam", text="hi") == "sam: hi"
    result: object = await client.object(Cart, "sam").clear()  # type: ignore[func-returns-value]  # it is what is tested
    assert result is None


@pytest.mark.parametrize("key", ["a/b", "..", ".", "%ff", "ü\n ?#", "send", "a%2Fb"])
async def test_every_key_reaches_the_object_that_it_names(
    key: str, client: Client, runtime: Runtime
) -> None:
    await client.object(Cart, key).add("tea")
    assert await runtime.object(Cart, key).look() == ["tea"]


async def test_a_send_gives_the_id_of_the_invocation(client: Client, runtime: Runtime) -> None:
    id_ = await client.object(Cart, "sam").add.send("tea")
    assert await runtime.invocation(id_).attach() == ["tea"]
    later = await client.object(Cart, "sam").add.send("milk", delay=timedelta(hours=1))
    assert (await runtime.invocation(later).describe()).status == "scheduled"


async def test_a_mode_arrives(client: Client, runtime: Runtime) -> None:
    id_ = await client.object(Cart, "sam", mode="interrupt").ask.send()
    assert (await runtime.invocation(id_).describe()).mode == "interrupt"
    with pytest.raises(InvalidArgumentError, match="steer"):
        await client.object(Cart, "sam", mode="steer").add("tea")


async def test_calls_by_name_need_no_class(client: Client) -> None:
    assert await client.call_by_name("Cart", "sam", "look") == []
    assert await client.call_by_name("Cart", "sam", "add", {"item": "tea"}) == ["tea"]
    assert (await client.send_by_name("Mailer", None, "deliver", {"to": "sam"})).startswith("inv_")
    assert await client.call_by_name("Order", "7", "run", "tea") == "tea: True"
    with pytest.raises(ConflictError):
        await client.call_by_name("Order", "7", "run", "tea")


async def test_a_key_of_the_callers_is_used_and_a_second_call_is_a_duplicate(
    client: Client, ran: list[str]
) -> None:
    cart = client.object(Cart, "sam", idempotency_key="ördér 7")
    assert await cart.add("tea") == ["tea"]
    assert await cart.add("tea") == ["tea"]
    assert ran == ["add tea"]


async def test_a_call_with_the_key_of_a_message_that_was_read_gives_none(client: Client) -> None:
    cart = client.object(Cart, "sam")
    reader = await cart.read.send()
    steering = client.object(Cart, "sam", mode="steer", idempotency_key="k")
    message = await steering.add.send("tea")
    assert await client.invocation(reader, Cart.read).attach() == {"item": "tea"}
    assert await client.invocation(message, Cart.add).attach() is None
    assert await client.object(Cart, "sam", idempotency_key="k").add("tea") is None


async def test_two_calls_without_a_key_are_two_calls(client: Client, ran: list[str]) -> None:
    for _ in range(2):
        await client.object(Cart, "sam").add("tea")
    assert ran == ["add tea", "add tea"]


async def test_a_terminal_error_comes_back_as_the_runtime_gives_it(
    client: Client, runtime: Runtime
) -> None:
    for caller in (client, runtime):
        with pytest.raises(TerminalError) as caught:
            await caller.object(Cart, "sam").refuse(402)
        error = caught.value
        assert (type(error), error.code) == (TerminalError, "HF0001")
        assert (error.message, error.status_code) == ("sold out", 402)
        assert error.metadata == {"shelf": "3"}
        assert error.origin is not None
        assert error.origin.target == Target("Cart", "sam", "refuse")


async def test_a_failed_step_comes_back_as_the_runtime_gives_it(
    client: Client, runtime: Runtime
) -> None:
    for caller in (client, runtime):
        with pytest.raises(StepFailedError, match="all over the floor") as caught:
            await caller.object(Cart, "sam").spill()
        assert (caught.value.code, caught.value.type_name) == ("HF0002", "KeyError")


async def test_the_origin_is_whoever_failed_first(client: Client) -> None:
    with pytest.raises(TerminalError) as caught:
        await client.object(Cart, "sam").pass_on()
    assert isinstance(caught.value.origin, Origin)
    assert caught.value.origin.target == Target("Cart", "other", "refuse")


async def test_an_outcome_of_503_is_an_outcome_and_not_asked_for_again(
    client: Client, ran: list[str]
) -> None:
    with pytest.raises(TerminalError) as caught:
        await client.object(Cart, "sam").refuse(503)
    assert caught.value.status_code == 503
    assert ran == ["refuse"]


async def test_an_object_whose_run_ends_with_400_has_run_once(ran: list[str]) -> None:
    class Agent(VirtualObject):
        @handler
        async def run(self, ctx: Context, question: str) -> None:
            ran.append(question)
            message = "that is no question"
            raise TerminalError(message, status_code=400)

    async with Runtime([Agent], store=MemoryStore()) as runtime:
        server = await serve(runtime, port=0)
        async with Client(f"http://127.0.0.1:{server.port}") as client:
            with pytest.raises(TerminalError, match="no question"):
                await client.object(Agent, "sam").run("typed")
            with pytest.raises(TerminalError, match="no question"):
                await client.call_by_name("Agent", "sam", "run", "named")
            with pytest.raises(InvalidArgumentError, match="str"):
                await client.call_by_name("Agent", "sam", "run", 5)
        await server.close(timedelta(0))
    assert ran == ["typed", "named"]


async def test_refusals_are_those_of_the_runtime(client: Client) -> None:
    class Unserved(Cart):
        pass

    with pytest.raises(UnknownTargetError, match="Unserved"):
        await client.object(Unserved, "sam").look()
    with pytest.raises(UnknownTargetError, match="did you mean 'look'"):
        await client.call_by_name("Cart", "sam", "lock")
    with pytest.raises(InvalidArgumentError, match="times"):
        await client.call_by_name("Cart", "sam", "add", {"item": "tea", "times": "two"})
    await client.workflow(Order, "7").run("tea")
    with pytest.raises(ConflictError):
        await client.workflow(Order, "7").run("tea")


async def test_a_strict_runtime_refuses_a_key_with_another_body() -> None:
    config = RuntimeConfig(idempotency_strict=True)
    async with Runtime(CLASSES, store=MemoryStore(), config=config) as runtime:
        server = await serve(runtime, port=0)
        async with Client(f"http://127.0.0.1:{server.port}") as client:
            cart = client.object(Cart, "sam", idempotency_key="7")
            await cart.add("tea")
            with pytest.raises(ConflictError, match="another body"):
                await cart.add("milk")
        await server.close(timedelta(0))


async def test_arguments_that_do_not_fit_are_refused_here(client: Client) -> None:
    with pytest.raises(InvalidArgumentError, match="times"):
        await client.object(Cart, "sam").add("tea", count=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with pytest.raises(InvalidArgumentError, match="begins or ends with a space"):
        client.object(Cart, "sam", idempotency_key=" 7")
    with pytest.raises(InvalidArgumentError, match="no option oops"):
        client.service(Mailer, oops=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with pytest.raises(InvalidArgumentError, match="a handler of the server's"):
        client.service(Mailer, callback="https://example.com")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with pytest.raises(InvalidArgumentError, match="timeout"):
        client.service(Mailer, timeout="1 s")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("localhost:8080", "does not begin with http"),
        ("http://", "names no host"),
        ("http://a:bad", "is no URL"),
        ("unix:/tmp", None),
        ("unix://tmp/x.sock", "three slashes"),
        ("http://localhost?x=1", "has a query"),
    ],
)
async def test_a_url_that_is_none_is_refused_when_the_client_is_made(
    url: str, said: str | None
) -> None:
    if said is None:
        Client(url)
        return
    with pytest.raises(InvalidArgumentError, match=said):
        Client(url)


@pytest.mark.parametrize("retry", [3, "no", timedelta(seconds=1)])
def test_a_retry_that_is_no_policy_is_refused(retry: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="retry is a RetryPolicy, or None for no retry"):
        Client("http://localhost:1", retry=retry)


async def test_a_password_in_a_url_is_refused_and_not_shown() -> None:
    with pytest.raises(InvalidArgumentError, match="pass token=") as caught:
        Client("http://sam:s3cret@localhost")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "token", ["s3cr3t-0123456789\n", "Bearer s3cr3t-0123456789", "für", 5, b"x"]
)
@pytest.mark.parametrize("name", ["token", "admin_token"])
def test_a_token_that_no_header_carries_is_refused_and_not_shown(name: str, token: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^.HF0011. {name} (is a str|holds)") as caught:
        Client("http://localhost:1", **{name: token})
    assert "s3cr3t" not in str(caught.value)


async def test_an_empty_token_is_none(server: HttpServer) -> None:
    async with Client(f"http://127.0.0.1:{server.port}", token="") as client:
        assert await client.object(Cart, "sam").look() == []


async def test_tokens_are_not_shown() -> None:
    client = Client(token="s3cret")  # of a test
    assert "s3cret" not in repr(client) + repr(vars(client))


async def test_health_is_told(client: Client) -> None:
    health = await client.health()
    assert (health.status, health.is_ok) == ("ok", True)
    assert health.services == ("Cart", "Mailer", "Order", "Owner")


async def test_health_says_at_once_that_nobody_is_there() -> None:
    async with Client(f"http://127.0.0.1:{free_port()}") as client:
        with pytest.raises(NotReachedError, match="nobody listens there"):
            await client.health()


async def test_awakeables_are_resolved_and_rejected(client: Client, runtime: Runtime) -> None:
    for verb in ("resolve", "reject"):
        id_ = await client.object(Cart, verb).ask.send()
        (awakeable,) = await open_awakeables(runtime, verb)
        if verb == "resolve":
            assert await client.resolve_awakeable(awakeable, "yes")
            assert await runtime.invocation(id_).attach() == "yes"
        else:
            assert await client.reject_awakeable(awakeable, "no time")
            with pytest.raises(TerminalError, match="no time"):
                await runtime.invocation(id_).attach()


async def test_an_awakeable_that_is_none_is_refused(client: Client, runtime: Runtime) -> None:
    await client.object(Cart, "sam").ask.send()
    (awakeable,) = await open_awakeables(runtime, "sam")
    with pytest.raises(InvalidArgumentError):
        await client.resolve_awakeable(awakeable, 5)
    with pytest.raises(InvalidArgumentError, match="an awakeable id"):
        await client.resolve_awakeable("inv_7")
    with pytest.raises(UnknownTargetError):
        await client.resolve_awakeable("awk_" + "0" * 40)


async def test_a_closed_client_says_so(client: Client) -> None:
    await client.object(Cart, "sam").look()
    await client.close()
    with pytest.raises(RuntimeClosedError, match="the client was closed"):
        await client.object(Cart, "sam").look()


async def test_a_token_opens_the_door_and_without_it_nothing_is_accepted(
    runtime: Runtime, ran: list[str]
) -> None:
    token = "a-token-of-this-test"  # of a test
    server = await serve(runtime, port=0, options=HttpOptions(tokens=[token]))
    url = f"http://127.0.0.1:{server.port}"
    async with Client(url) as stranger, Client(url, token=token) as caller:
        with pytest.raises(AccessDeniedError):
            await stranger.object(Cart, "sam").add("milk")
        assert await caller.object(Cart, "sam").add("tea") == ["tea"]
        assert (await stranger.health()).is_ok
    assert ran == ["add tea"]
    await server.close(timedelta(0))


async def test_a_unix_socket_is_an_address(runtime: Runtime, tmp_path: Path) -> None:
    path = tmp_path / "holdfast.sock"
    server = await serve(runtime, port=None, unix_path=path)
    async with Client(f"unix://{path}") as client:
        assert await client.object(Cart, "sam").add("tea") == ["tea"]
    async with Client(f"unix://{path}.not", retry=None) as client:
        with pytest.raises(NotReachedError, match="cannot be reached"):
            await client.object(Cart, "sam").add("tea")
    await server.close(timedelta(0))


@pytest.mark.parametrize("key", ["sam", "a/b", "..", "ü\n ?#"])
async def test_a_path_behind_the_url_is_where_the_runtime_is_mounted(
    key: str, runtime: Runtime
) -> None:
    app = web.Application()
    app.add_subapp("/agents", runtime.app())
    async with TestServer(app) as outer, Client(str(outer.make_url("/agents/"))) as client:
        assert await client.object(Cart, key).add("tea") == ["tea"]
        assert await runtime.object(Cart, key).look() == ["tea"]
