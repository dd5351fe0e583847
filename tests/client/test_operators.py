"""What operators do, through a client of a runtime's second port."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from holdfast import (
    AnswerLostError,
    CanceledError,
    Client,
    ConflictError,
    InvalidArgumentError,
    NotKeptError,
    NotReachedError,
    Runtime,
    TerminalError,
    UnknownTargetError,
)
from tests.client.shop import Cart, Owner, Patience, Pet, open_awakeables
from tests.client.wires import Fate, Wire, wire_to


@pytest.fixture
async def ports(runtime: Runtime) -> AsyncIterator[tuple[int, int]]:
    """Where callers and operators are served."""
    admin: list[int] = []
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.ensure_future(
        runtime.serve(
            port=0,
            admin_port=0,
            on_admin_listening=admin.append,
            on_listening=listening.set_result,
        )
    )
    yield await listening, admin[0]
    serving.cancel()
    await asyncio.wait({serving})


@pytest.fixture
async def wire(ports: tuple[int, int]) -> AsyncIterator[Wire]:
    """What is between the client and the operators' port."""
    async with wire_to(ports[1]) as wire:
        yield wire


@pytest.fixture
async def client(ports: tuple[int, int], wire: Wire, patience: Patience) -> AsyncIterator[Client]:
    url, admin_url = (f"http://127.0.0.1:{port}" for port in (ports[0], wire.port))
    async with Client(url, admin_url=admin_url, seams=patience.seams()) as client:
        yield client


async def waiting(client: Client, runtime: Runtime, key: str = "sam") -> str:
    """The id of an invocation that waits for somebody."""
    id_ = await client.object(Cart, key).ask.send()
    await open_awakeables(runtime, key)
    return id_


async def test_an_invocation_is_canceled_and_told_why(client: Client, runtime: Runtime) -> None:
    invocation = client.invocation(await waiting(client, runtime))
    assert await invocation.cancel("too slow") is True
    with pytest.raises(CanceledError, match="too slow"):
        await invocation.attach()
    assert await invocation.cancel() is False


async def test_an_invocation_is_killed(client: Client, runtime: Runtime) -> None:
    invocation = client.invocation(await waiting(client, runtime))
    assert await invocation.kill("broken") is True
    with pytest.raises(CanceledError, match="broken"):
        await invocation.attach()
    assert await invocation.kill() is False


async def test_an_invocation_is_paused_and_resumed(client: Client, runtime: Runtime) -> None:
    id_ = await waiting(client, runtime)
    invocation = client.invocation(id_)
    assert await invocation.pause() is True
    assert await invocation.pause() is False
    assert (await invocation.describe()).status == "paused"
    assert await invocation.resume() is True
    assert await invocation.resume() is False


async def test_both_refuse_alike(client: Client, runtime: Runtime) -> None:
    await waiting(client, runtime)
    queued = await client.object(Cart, "sam").add.send("tea")
    done = await client.object(Cart, "joe").add.send("tea")
    await client.invocation(done).attach()
    unknown = "inv_" + "0" * 32
    for caller in (client, runtime):
        with pytest.raises(ConflictError):
            await caller.invocation(queued).pause()
        assert await caller.invocation(queued).resume() is False
        with pytest.raises(ConflictError):
            await caller.invocation(queued).restart()
        with pytest.raises(ConflictError):
            await caller.invocation(queued).purge()
        for verb in ("pause", "resume"):
            with pytest.raises(UnknownTargetError):
                await getattr(caller.invocation(done), verb)()
        with pytest.raises(NotKeptError):
            await caller.invocation(done).restart()
        assert await caller.invocation(done).purge_journal() is False
        for verb in ("cancel", "kill", "pause", "resume", "restart", "purge", "describe"):
            with pytest.raises(UnknownTargetError):
                await getattr(caller.invocation(unknown), verb)()


async def test_a_description_is_that_of_the_runtime(client: Client, runtime: Runtime) -> None:
    running = await waiting(client, runtime)
    queued = await client.object(Cart, "sam", idempotency_key="k").add.send("tea")
    failed = await client.object(Cart, "joe").refuse.send(402)
    with pytest.raises(TerminalError):
        await client.invocation(failed).attach()
    for id_ in (running, queued, failed):
        told, known = (
            await client.invocation(id_).describe(),
            await runtime.invocation(id_).describe(),
        )
        for name in known.__dataclass_fields__:
            if name != "error":
                assert getattr(told, name) == getattr(known, name), name
    error = (await client.invocation(failed).describe()).error
    assert error is not None
    assert (error.status_code, error.message) == (402, "sold out")


async def test_a_failed_invocation_is_run_again_and_forgotten(
    client: Client, ran: list[str]
) -> None:
    id_ = await client.object(Cart, "sam").refuse.send(402)
    with pytest.raises(TerminalError):
        await client.invocation(id_).attach()
    again = await client.invocation(id_).restart()
    with pytest.raises(TerminalError):
        await client.invocation(again).attach()
    assert ran == ["refuse", "refuse"]
    await client.invocation(id_).purge()
    with pytest.raises(UnknownTargetError):
        await client.invocation(id_).describe()


async def test_a_restart_from_an_entry_runs_at_a_key_of_its_own(client: Client) -> None:
    id_ = await client.object(Cart, "sam").spill.send()
    with pytest.raises(TerminalError):
        await client.invocation(id_).attach()
    forked = await client.invocation(id_).restart(from_entry=1, fork="copy")
    with pytest.raises(TerminalError):
        await client.invocation(forked).attach()
    assert (await client.invocation(forked).describe()).target.key == "copy"
    with pytest.raises(InvalidArgumentError, match="needs from_entry"):
        await client.invocation(id_).restart(fork="copy")


@pytest.mark.parametrize("fate", [Fate.RESET_BEFORE, Fate.RESET_AFTER])
async def test_a_restart_that_may_have_been_made_is_not_made_again(
    fate: Fate, client: Client, wire: Wire, ran: list[str]
) -> None:
    id_ = await client.object(Cart, "sam").refuse.send(402)
    with pytest.raises(TerminalError):
        await client.invocation(id_).attach()
    wire.fates.append(fate)
    with pytest.raises(AnswerLostError, match="look for it before"):
        await client.invocation(id_).restart()
    assert len(ran) <= 2


async def test_a_lost_purge_is_done_and_no_unknown_invocation(client: Client, wire: Wire) -> None:
    id_ = await client.object(Cart, "sam").add.send("tea")
    await client.invocation(id_).attach()
    wire.fates.append(Fate.RESET_AFTER)
    await client.invocation(id_).purge()
    with pytest.raises(UnknownTargetError):
        await client.invocation(id_).purge()


async def test_a_second_completion_of_an_awakeable_is_told_so(
    client: Client, runtime: Runtime
) -> None:
    id_ = await waiting(client, runtime)
    (asked,) = await open_awakeables(runtime, "sam")
    assert await client.resolve_awakeable(asked, "yes") is True
    assert await client.invocation(id_).attach() == "yes"
    assert await client.resolve_awakeable(asked, "no") is False


async def test_without_an_admin_url_operators_are_told_what_is_missing() -> None:
    async with Client("http://localhost:1") as client:
        with pytest.raises(InvalidArgumentError, match="admin_url"):
            await client.invocation("inv_" + "0" * 32).cancel()
        with pytest.raises(InvalidArgumentError, match="admin_url"):
            await client.sql("SELECT 1")


async def test_sql_gives_rows_and_says_what_is_wrong_with_a_query(
    client: Client, runtime: Runtime
) -> None:
    id_ = await waiting(client, runtime)
    rows = await client.sql(f"SELECT id, status FROM sys_invocation WHERE id = '{id_}'")  # noqa: S608
    assert rows == [{"id": id_, "status": "suspended"}]
    with pytest.raises(InvalidArgumentError, match="nope"):
        await client.sql("SELECT * FROM nope")


async def test_a_state_is_set_as_the_runtime_sets_it(client: Client, runtime: Runtime) -> None:
    for key, caller in (("a", client), ("b", runtime)):
        await caller.set_state(Owner, key, {"pets": [Pet("Rex", {"new"})]})
        assert await runtime.state(Owner, key) == {"pets": [Pet("Rex", {"new"})]}
        seen = await caller.wait_state(Owner, key)
        await caller.set_state(Owner, key, {}, version=seen.tag)
        assert await caller.state(Owner, key) == {}
        with pytest.raises(TerminalError) as caught:
            await caller.set_state(Owner, key, {"pets": []}, version=seen.tag)
        assert caught.value.status_code == 409
        with pytest.raises(InvalidArgumentError, match="pets"):
            await caller.set_state(Owner, key, {"pets": [5]})
        with pytest.raises(InvalidArgumentError):
            await caller.set_state("Mailer", key, {})


@pytest.mark.parametrize("fate", [Fate.RESET_BEFORE, Fate.RESET_AFTER, Fate.TRUNCATED])
async def test_a_lost_edit_is_made_once(fate: Fate, client: Client, wire: Wire) -> None:
    wire.fates.append(fate)
    await client.set_state(Cart, "sam", {"items": ["tea"]})
    rows = await client.sql("SELECT id FROM sys_invocation WHERE target_service_key = 'sam'")
    assert len(rows) == 1


async def test_a_page_or_another_programs_json_is_no_answer_to_an_operator(
    client: Client, wire: Wire
) -> None:
    one = client.invocation("inv_" + "1" * 32)
    page = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<html></html>"
    other = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    asked = (one.kill, one.cancel, one.pause, one.resume, one.purge, one.purge_journal)
    told = (one.describe, one.restart, client.operators.services)
    for ask, answer in [(ask, page) for ask in asked] + [(ask, other) for ask in told]:
        wire.fates = [answer]
        with pytest.raises(NotReachedError, match="look whether this is its URL and port"):
            await ask()


async def test_the_callers_port_is_named_as_such_when_it_is_asked_with_sql(
    ports: tuple[int, int],
) -> None:
    url = f"http://127.0.0.1:{ports[0]}"
    async with Client(url, admin_url=url) as client:
        with pytest.raises(NotReachedError, match="is the port for calls"):
            await client.sql("SELECT 1")
