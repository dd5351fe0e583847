"""What operators do to invocations, with Restate's statuses and words, against the real engine."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from holdfast import ConflictError, Context, VirtualObject, Workflow, handler, shared, state
from holdfast.ingress.admin.batch import TURN_MAX
from holdfast.journal.memory import MemoryStore
from holdfast.objects.identity import Target
from holdfast.runtime.requests import CallRequest
from holdfast.runtime.testing import settle
from tests.ingress.admin.operator import Answered, operate
from tests.runtime.worlds import World

NOBODY = "inv_" + "0" * 32


class Desk(VirtualObject):
    """Works until somebody outside says so."""

    log: list[str] = state(default_factory=list)

    @handler
    async def wait(self, ctx: Context, name: str = "") -> str:
        self.log.append(name)
        return await ctx.awakeable(str)

    @handler
    async def fail(self, ctx: Context) -> None:
        await ctx.run("look", look)
        message = "the bank is closed"
        raise RuntimeError(message)

    @handler
    async def append(self, ctx: Context, name: str) -> list[str]:
        self.log.append(await ctx.run("look", look))
        self.log.append(name)
        return self.log

    @shared
    async def read(self, ctx: Context) -> list[str]:
        return self.log


class Signup(Workflow):
    """Ends at once."""

    @handler
    async def run(self, ctx: Context) -> str:
        return "done"


def look() -> str:
    return "seen"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World([Desk, Signup])
    await world.start()
    yield world
    world.close()


async def send(world: World, path: str, argument: str = "", *, delay_ms: int = 0) -> str:
    service, key, name = path.split("/")
    request = CallRequest(
        target=Target(service, key, name), argument=argument.encode(), delay_ms=delay_ms
    )
    answer = await world.runtime.submit(request, wait=False)
    await settle()
    return answer.invocation_id


async def patch(world: World, id_: str, verb: str) -> Answered:
    return await operate(world.runtime, "PATCH", f"/invocations/{id_}/{verb}")


async def status_of(world: World, id_: str) -> str:
    return (await world.runtime.invocation(id_).describe()).status


async def end(world: World, id_: str) -> None:
    await world.runtime.invocation(id_).kill()
    await settle()


# --- cancel ---


async def test_cancelling_what_runs_is_accepted_and_what_is_over_is_a_conflict(
    world: World,
) -> None:
    id_ = await send(world, "Desk/a/wait")
    assert (await patch(world, id_, "cancel")).status == 202
    await settle()
    refused = await patch(world, id_, "cancel")
    assert refused.status == 409
    assert refused.message == f"The invocation '{id_}' was already completed."
    assert refused.headers["x-holdfast-error"] == ConflictError.code


async def test_cancelling_what_has_not_begun_is_done_at_once(world: World) -> None:
    holder = await send(world, "Desk/a/wait")
    waiting = await send(world, "Desk/a/wait")
    delayed = await send(world, "Desk/b/wait", delay_ms=60_000)
    assert (await patch(world, waiting, "cancel")).status == 200
    assert (await patch(world, delayed, "cancel")).status == 200
    assert await status_of(world, waiting) == await status_of(world, delayed) == "completed"
    assert await status_of(world, holder) == "suspended"


async def test_a_cancel_beside_the_end_of_what_holds_the_turn_tells_the_truth(
    world: World,
) -> None:
    """Both orders of "the turn is passed on" and "the next one is cancelled"."""
    for is_cancel_first in (True, False):
        holder = await send(world, "Desk/race/wait")
        waiting = await send(world, "Desk/race/wait")
        cancelling = patch(world, waiting, "cancel")
        killing = patch(world, holder, "kill")
        if is_cancel_first:
            cancelled, _ = await asyncio.gather(cancelling, killing)
            assert cancelled.status == 200
        else:
            _, cancelled = await asyncio.gather(killing, cancelling)
            assert cancelled.status == 202
        await settle()
        assert await status_of(world, waiting) == "completed"


# --- kill, pause, resume ---


async def test_killing_ends_it_and_killing_again_is_a_conflict(world: World) -> None:
    id_ = await send(world, "Desk/a/wait")
    assert (await patch(world, id_, "kill")).status == 200
    assert await status_of(world, id_) == "completed"
    refused = await patch(world, id_, "kill")
    assert (refused.status, refused.message) == (
        409,
        f"The invocation '{id_}' was already completed.",
    )


async def test_pausing_is_accepted_once_and_resuming_is_always_done(world: World) -> None:
    id_ = await send(world, "Desk/a/wait")
    assert (await patch(world, id_, "pause")).status == 202
    assert (await patch(world, id_, "pause")).status == 200
    assert await status_of(world, id_) == "paused"
    assert (await patch(world, id_, "resume")).status == 200
    assert (await patch(world, id_, "resume?deployment=latest")).status == 200
    await settle()
    assert await status_of(world, id_) == "suspended"


async def test_what_has_not_begun_is_neither_paused_nor_resumed(world: World) -> None:
    id_ = await send(world, "Desk/a/wait", delay_ms=60_000)
    paused = await patch(world, id_, "pause")
    assert (paused.status, paused.message) == (
        409,
        f"The invocation '{id_}' is not running, cannot be paused.",
    )
    resumed = await patch(world, id_, "resume")
    assert (resumed.status, resumed.message) == (
        425,
        f"The invocation '{id_}' is either inboxed or scheduled, cannot be resumed.",
    )


async def test_what_is_completed_is_neither_paused_nor_resumed(world: World) -> None:
    id_ = await send(world, "Desk/a/wait")
    await end(world, id_)
    assert (await patch(world, id_, "pause")).status == 409
    resumed = await patch(world, id_, "resume")
    assert (resumed.status, resumed.message) == (
        409,
        f"The invocation '{id_}' is completed, cannot be resumed.",
    )


# --- restart ---


async def test_a_completed_one_is_run_again_as_a_new_one(world: World) -> None:
    id_ = await send(world, "Desk/a/wait", '"again"')
    await end(world, id_)
    again = await patch(world, id_, "restart-as-new")
    assert again.status == 200
    new_id = again.body["new_invocation_id"]
    assert new_id != id_
    await settle()
    assert (await world.runtime.invocation(new_id).describe()).restarted_from == id_


async def test_a_restart_from_an_entry_keeps_that_entry(world: World) -> None:
    id_ = await send(world, "Desk/a/append", '"x"')
    again = await patch(world, id_, "restart-as-new?from=2")
    assert again.status == 200, again
    await settle()
    handle = world.runtime.invocation(again.body["new_invocation_id"])
    assert await handle.attach() == ["seen", "x"]


async def test_a_restart_is_refused_in_the_words_of_restate(world: World) -> None:
    running = await send(world, "Desk/a/wait")
    waiting = await send(world, "Desk/a/wait")
    workflow = await send(world, "Signup/sam/run")
    refused = await patch(world, running, "restart-as-new")
    assert (refused.status, refused.message) == (
        409,
        f"The invocation '{running}' is still running.",
    )
    refused = await patch(world, waiting, "restart-as-new")
    assert (refused.status, refused.message) == (
        425,
        f"The invocation '{waiting}' cannot be restarted because it's not running yet.",
    )
    refused = await patch(world, workflow, "restart-as-new")
    assert refused.status == 422
    assert refused.message.startswith(f"Restarting the invocation '{workflow}' is not supported.")
    await end(world, running)
    await patch(world, running, "purge-journal")
    refused = await patch(world, running, "restart-as-new")
    assert refused.status == 410
    assert "cannot be restarted because the input is not available" in refused.message


@pytest.mark.parametrize(
    "query", ["form=3", "from=x", "from=-1", "from=", "from=1&from=2", "fork=b", "from=0&fork=b"]
)
async def test_a_restart_that_is_misspelled_restarts_nothing(world: World, query: str) -> None:
    id_ = await send(world, "Desk/a/wait")
    await end(world, id_)
    refused = await patch(world, id_, f"restart-as-new?{query}")
    assert refused.status == 400
    assert "The query parameter" in refused.message
    accepted = world.runtime.statistics().invocations_accepted
    await settle()
    assert world.runtime.statistics().invocations_accepted == accepted == 1


async def test_an_entry_that_there_is_not_is_refused(world: World) -> None:
    id_ = await send(world, "Desk/a/append", '"x"')
    refused = await patch(world, id_, "restart-as-new?from=4000000000")
    assert refused.status == 400
    assert "entries" in refused.message


# --- purge ---


async def test_only_what_is_completed_is_purged_and_then_it_is_gone(world: World) -> None:
    id_ = await send(world, "Desk/a/wait")
    for verb in ("purge", "purge-journal"):
        refused = await patch(world, id_, verb)
        assert (refused.status, refused.message) == (
            409,
            f"The invocation '{id_}' is not yet completed.",
        )
    await end(world, id_)
    assert (await patch(world, id_, "purge-journal")).status == 200
    assert (await patch(world, id_, "purge-journal")).status == 200
    assert (await patch(world, id_, "purge")).status == 200
    refused = await patch(world, id_, "purge")
    assert refused.status == 404
    assert refused.message == f"The requested invocation '{id_}' does not exist"


# --- all verbs ---

VERBS = ("cancel", "kill", "pause", "resume", "purge", "purge-journal", "restart-as-new")


@pytest.mark.parametrize("verb", VERBS)
async def test_nobody_and_nonsense_are_told_apart(world: World, verb: str) -> None:
    unknown = await patch(world, NOBODY, verb)
    assert (unknown.status, unknown.message) == (
        404,
        f"The requested invocation '{NOBODY}' does not exist",
    )
    bogus = await patch(world, "inv_bogus", verb)
    assert bogus.status == 400
    assert bogus.message.startswith("The request field 'invocation_id' is invalid. Reason: ")


async def test_the_old_way_to_end_one_is_still_there(world: World) -> None:
    id_ = await send(world, "Desk/a/wait")
    path = f"/invocations/{id_}"
    assert (await operate(world.runtime, "DELETE", f"{path}?mode=purge")).status == 409
    assert (await operate(world.runtime, "DELETE", f"{path}?mode=stop")).status == 400
    assert (await operate(world.runtime, "DELETE", path)).status == 202
    await settle()
    assert await status_of(world, id_) == "completed"
    assert (await operate(world.runtime, "DELETE", f"{path}?mode=Purge")).status == 202
    assert (await operate(world.runtime, "DELETE", path)).status == 404


async def test_an_invocation_is_described(world: World) -> None:
    id_ = await send(world, "Desk/a/wait")
    found = await operate(world.runtime, "GET", f"/invocations/{id_}")
    assert found.status == 200
    assert found.body["target"] == "Desk/a/wait"
    assert found.body["status"] == "suspended"
    assert [each["kind"] for each in found.body["awaiting"]] == ["awakeable"]


async def test_what_a_refusal_tells_is_durable_before_it_leaves() -> None:
    """An outcome that a power cut takes back must not have been told."""
    world = World([Desk])
    await world.start()
    try:
        id_ = await send(world, "Desk/a/wait")
        assert isinstance(world.store, MemoryStore)
        killing = world.runtime.invocation(id_).kill()
        refusing = asyncio.ensure_future(patch(world, id_, "kill"))
        await asyncio.sleep(0)
        assert not refusing.done()
        await killing
        assert (await refusing).status == 409
    finally:
        world.close()


# --- batches ---


async def batch(world: World, verb: str, ids: list[str]) -> Answered:
    path = f"/internal/invocations_batch_operations/{verb}"
    return await operate(world.runtime, "POST", path, {"invocation_ids": ids})


async def test_a_batch_does_what_can_be_done_and_names_the_rest(world: World) -> None:
    running = await send(world, "Desk/a/wait")
    waiting = await send(world, "Desk/a/wait")
    answered = await batch(world, "cancel", [running, NOBODY, waiting, "nonsense"])
    assert answered.status == 200
    assert answered.body["succeeded"] == [running, waiting]
    assert [each["invocation_id"] for each in answered.body["failed"]] == [NOBODY, "nonsense"]
    assert "does not exist" in answered.body["failed"][0]["error"]


async def test_a_batch_of_restarts_says_what_became_of_each(world: World) -> None:
    first, second = await send(world, "Desk/a/wait"), await send(world, "Desk/b/wait")
    await end(world, first)
    answered = await batch(world, "restart-as-new", [first, second])
    (made,) = answered.body["succeeded"]
    assert made["old_invocation_id"] == first
    assert made["new_invocation_id"] != first
    assert answered.body["failed"][0]["invocation_id"] == second


async def test_the_same_one_twice_in_a_batch_is_killed_once(world: World) -> None:
    id_ = await send(world, "Desk/a/wait")
    answered = await batch(world, "kill", [id_, id_])
    assert answered.body["succeeded"] == [id_]
    assert [each["invocation_id"] for each in answered.body["failed"]] == [id_]


@pytest.mark.parametrize(("verb", "may_repeat"), [("restart-as-new", False), ("purge", True)])
async def test_a_batch_of_which_nobody_knows_what_was_done_does_not_say_it_was_not(
    world: World, verb: str, *, may_repeat: bool
) -> None:
    ids = [await send(world, "Desk/a/wait"), await send(world, "Desk/b/wait")]
    for id_ in ids:
        await end(world, id_)
    world.store.fail_next_sync()
    answered = await batch(world, verb, ids)
    assert answered.status == 503
    assert "the outcome of what was under way is unknown" in answered.message
    assert ("retry-after" in answered.headers) == may_repeat
    assert ("may do it twice" in answered.message) != may_repeat


async def test_others_have_their_turns_while_a_long_batch_is_decided(world: World) -> None:
    ids = [await send(world, f"Desk/k{number}/wait") for number in range(2 * TURN_MAX + 1)]
    written = world.store.statistics().batches_written
    answered = await batch(world, "kill", ids)
    assert answered.body == {"succeeded": ids, "failed": []}
    assert world.store.statistics().batches_written == written + 3


async def test_a_batch_that_is_too_large_does_nothing(world: World) -> None:
    id_ = await send(world, "Desk/a/wait")
    answered = await batch(world, "kill", [id_] * 1001)
    assert (answered.status, answered.message) == (
        400,
        "Batch size 1001 exceeds maximum allowed size of 1000",
    )
    assert await status_of(world, id_) == "suspended"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"ids": []}', b'{"invocation_ids": [1]}', b'{"invocation_ids": "all"}'],
)
async def test_a_body_that_is_no_batch_is_refused(world: World, body: bytes) -> None:
    path = "/internal/invocations_batch_operations/kill"
    answered = await operate(world.runtime, "POST", path, body)
    assert answered.status == 400
    assert answered.message


# --- the door ---


async def test_it_says_how_it_is_and_who_it_is(world: World) -> None:
    assert (await operate(world.runtime, "GET", "/health")).body == {"status": "ok"}
    assert (await operate(world.runtime, "GET", "/version")).body == {
        "version": "0.0.0",
        "min_admin_api_version": 2,
        "max_admin_api_version": 4,
        "ingress_endpoint": "http://127.0.0.1:8080/",
        "features": {},
    }
    await world.runtime.stop()
    assert (await operate(world.runtime, "GET", "/health")).status == 503
    refused = await patch(world, NOBODY, "kill")
    assert refused.status == 503
    assert refused.message


async def test_unknown_paths_and_wrong_methods_are_refused(world: World) -> None:
    assert (await operate(world.runtime, "GET", "/nope")).status == 404
    assert (await operate(world.runtime, "GET", "/")).status == 404
    refused = await operate(world.runtime, "GET", f"/invocations/{NOBODY}/kill")
    assert (refused.status, refused.headers["allow"]) == (405, "PATCH")
    refused = await operate(world.runtime, "PUT", f"/invocations/{NOBODY}")
    assert (refused.status, refused.headers["allow"]) == (405, "DELETE, GET")


async def test_pages_of_other_sites_are_refused(world: World) -> None:
    id_ = await send(world, "Desk/a/wait")
    path = f"/invocations/{id_}/kill"
    headers = {"origin": "https://evil.example"}
    assert (await operate(world.runtime, "PATCH", path, headers=headers)).status == 403
    headers = {"host": "evil.example:9070"}
    assert (await operate(world.runtime, "PATCH", path, headers=headers)).status == 421
    assert await status_of(world, id_) == "suspended"
