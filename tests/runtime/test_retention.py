"""How long what a completed invocation leaves behind is kept, and how it goes."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from holdfast import (
    Context,
    InvalidArgumentError,
    RuntimeConfig,
    VirtualObject,
    Workflow,
    handler,
    shared,
    state,
)
from holdfast.journal import keys
from holdfast.journal.records import Kept, decode_outcome
from holdfast.objects.identity import InvocationId, Target, parse_invocation_id
from holdfast.runtime.requests import CallRequest
from holdfast.runtime.retention import IN_ORDER_MS
from holdfast.runtime.testing import ManualClock, settle
from holdfast.testing import crash_everywhere, worlds
from holdfast.testing.dying_store import DyingStore

from .agents import Agent, Counter, act
from .worlds import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from holdfast.journal.store import Store
    from holdfast.testing import Client, VirtualRuntime

SECONDS = timedelta(seconds=1)
MARGIN = IN_ORDER_MS // 1000


class Brief(VirtualObject, journal_retention=10 * SECONDS):
    """Keeps outcomes as long as anybody, and journals for a moment."""

    seen: list[str] = state(default_factory=list)

    @handler
    async def work(self, ctx: Context, steps: int) -> int:
        for number in range(steps):
            self.seen.append(await ctx.run(f"step {number}", act, f"{ctx.key}:{number}"))
        return len(self.seen)

    @handler(journal_retention=0 * SECONDS)
    async def secret(self, ctx: Context) -> str:
        return await ctx.run("secret", act, "secret")

    @handler(journal_retention=1000 * SECONDS, retention=20 * SECONDS)
    async def contrary(self, ctx: Context) -> str:
        return await ctx.run("contrary", act, "contrary")

    @handler(idempotency_retention=5 * SECONDS)
    async def forgetful(self, ctx: Context, text: str) -> str:
        return text

    @handler(idempotency_retention=500 * SECONDS)
    async def mindful(self, ctx: Context, text: str) -> str:
        return await ctx.run("mind", act, text)

    @handler(retention=500 * SECONDS)
    async def lasting(self, ctx: Context, text: str) -> str:
        return text

    @handler
    async def nap(self, ctx: Context, seconds: float) -> str:
        await ctx.sleep(seconds)
        return "slept"

    @handler
    async def sign_up(self, ctx: Context, name: str) -> str:
        return await ctx.workflow(Signup, name).run(name)


class Signup(Workflow, workflow_retention=300 * SECONDS):
    """Kept for longer than anything else."""

    stage: str = state("unknown")

    @handler
    async def run(self, ctx: Context, name: str) -> str:
        self.stage = await ctx.run("greet", act, f"hello {name}")
        return self.stage

    @shared
    async def look(self, ctx: Context) -> str:
        return self.stage


class Bulky(VirtualObject):
    """Writes what cannot be compressed."""

    @handler
    async def fetch(self, ctx: Context, size: int) -> int:
        return len(await ctx.run("fetch", os.urandom, size))


class BriefBulky(Bulky, journal_retention=20 * SECONDS):
    """Whose journals go long before their outcomes."""


class BulkyWorkflow(Workflow):
    """Keeps in its state what cannot be compressed."""

    content: bytes = state(b"")

    @handler
    async def run(self, ctx: Context, size: int) -> int:
        self.content = os.urandom(size)
        return len(self.content)


CLASSES = [Agent, Brief, Counter, Signup]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World(CLASSES, RuntimeConfig(retention=100 * SECONDS))
    yield world
    world.close()


def size_of(directory: Path) -> int:
    """Of all files but the ballast, which is there to be dropped."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return sum(path.stat().st_size for path in files if "ballast" not in path.name)


def count(world: World, table: bytes) -> int:
    return sum(1 for _ in world.store.scan(*keys.prefix_range(table)))


def kept(world: World, invocation_id: str) -> tuple[bool, bool]:
    """Whether the outcome is there, and whether the journal is."""
    id_ = parse_invocation_id(invocation_id)
    journal = list(world.store.scan(*keys.prefix_range(keys.JOURNAL + id_)))
    return world.store.get(keys.outcome(id_)) is not None, bool(journal)


def request(handler_name: str, argument: bytes, key: str | None = None) -> CallRequest:
    target = Target("Brief", "b", handler_name)
    return CallRequest(target=target, argument=argument, idempotency_key=key)


async def ask(world: World, *args: Any) -> str:
    return (await world.finish(world.runtime.submit(request(*args), wait=True))).invocation_id


# -- How long ---------------------------------------------------------------------------------


async def test_a_journal_and_its_undo_rows_go_before_the_outcome(world: World) -> None:
    await world.start()
    first = await ask(world, "work", b"3")
    assert kept(world, first) == (True, True)
    assert count(world, keys.UNDO) > 0
    await world.clock.advance(11)

    assert kept(world, first) == (True, False)
    assert count(world, keys.UNDO) == 0
    await world.clock.advance(100 + MARGIN)
    assert kept(world, first) == (False, False)


async def test_an_outcome_says_that_its_journal_is_gone(world: World) -> None:
    await world.start()
    first = await ask(world, "work", b"3")
    await world.clock.advance(11)
    row = world.store.get(keys.outcome(parse_invocation_id(first)))
    assert row is not None
    outcome = decode_outcome(row)

    assert outcome.kept.name == "OUTCOME"
    assert outcome.result == b"3"


async def test_a_journal_kept_for_no_time_goes_with_the_next_round(world: World) -> None:
    await world.start()
    first = await ask(world, "secret", b"")
    await world.clock.advance(2)

    assert kept(world, first) == (True, False)


async def test_a_journal_never_outlives_its_outcome(world: World) -> None:
    await world.start()
    first = await ask(world, "contrary", b"")
    await world.clock.advance(15)
    assert kept(world, first) == (True, True)
    await world.clock.advance(7)

    assert kept(world, first) == (False, False)


async def test_a_key_may_cease_to_count_before_the_outcome_goes(world: World) -> None:
    runtime = await world.start()
    first = await ask(world, "forgetful", b'"a"', "k")
    await world.clock.advance(4)
    assert await ask(world, "forgetful", b'"b"', "k") == first
    await world.clock.advance(2)
    second = await runtime.submit(request("forgetful", b'"b"', "k"), wait=True)

    assert (second.is_duplicate, second.outcome) == (False, b'"b"')
    assert kept(world, first) == (True, False)
    await world.clock.advance(7)
    assert count(world, keys.IDEMPOTENCY) == 0
    assert kept(world, first) == kept(world, second.invocation_id) == (True, False)


async def test_a_key_that_was_given_to_a_later_call_stays_that_ones(world: World) -> None:
    await world.start()
    first = await ask(world, "forgetful", b'"a"', "k")
    world.clock.jump(5.5)
    second = await ask(world, "forgetful", b'"b"', "k")
    await world.clock.advance(2)  # Retention has seen to the first one's key by now.

    assert first != second
    assert await ask(world, "forgetful", b'"c"', "k") == second


async def test_a_key_that_counts_for_longer_keeps_the_outcome_with_it(world: World) -> None:
    await world.start()
    with_key = await ask(world, "mindful", b'"a"', "k")
    without = await ask(world, "mindful", b'"a"')
    await world.clock.advance(100 + MARGIN + 2)
    assert kept(world, without) == (False, False)
    assert kept(world, with_key) == (True, False)  # The journal went after its own ten seconds.
    await world.clock.advance(300)
    assert await ask(world, "mindful", b'"a"', "k") == with_key
    await world.clock.advance(100)

    assert kept(world, with_key) == (False, False)
    assert count(world, keys.IDEMPOTENCY) == 0


async def test_a_journal_may_be_kept_longer_than_an_outcome_without_a_key(world: World) -> None:
    world.config = RuntimeConfig(
        retention=100 * SECONDS,
        journal_retention=200 * SECONDS,
        idempotency_retention=400 * SECONDS,
    )
    runtime = await world.start()
    sent = await runtime.object(Agent, "a", idempotency_key="k").work.send(2)
    await world.clock.advance(195)
    assert kept(world, sent) == (True, True)
    await world.clock.advance(10)

    assert kept(world, sent) == (True, False)


async def test_what_a_handler_leaves_open_the_runtime_says(world: World) -> None:
    world.config = RuntimeConfig(
        retention=100 * SECONDS,
        journal_retention=50 * SECONDS,
        idempotency_retention=200 * SECONDS,
    )
    runtime = await world.start()
    sent = await runtime.object(Agent, "a", idempotency_key="k").work.send(2)
    longer = await ask(world, "lasting", b'"x"')
    await world.clock.advance(45)
    assert kept(world, sent) == (True, True)
    await world.clock.advance(10)
    assert kept(world, sent) == (True, False)
    await world.clock.advance(140)
    assert kept(world, sent) == (True, False)
    assert kept(world, longer) == (True, False)
    await world.clock.advance(10)
    assert kept(world, sent) == (False, False)
    await world.clock.advance(400)

    assert kept(world, longer) == (False, False)
    assert count(world, keys.EXPIRY) == 0


async def test_a_workflow_is_kept_for_its_own_time(world: World) -> None:
    runtime = await world.start()
    assert await runtime.workflow(Signup, "sam").run("sam") == "hello sam"
    await world.clock.advance(200 + MARGIN)
    assert await runtime.workflow(Signup, "sam").look() == "hello sam"
    await world.clock.advance(100)
    assert count(world, keys.WORKFLOW) == count(world, keys.STATE) == 0

    assert await runtime.workflow(Signup, "sam").run("again") == "hello again"


async def test_an_outcome_without_a_word_of_its_own_follows_a_new_configuration(
    world: World,
) -> None:
    await world.start()
    plain = await ask(world, "work", b"0")
    own = await ask(world, "lasting", b'"x"')
    await world.crash()
    world.config = RuntimeConfig(retention=1000 * SECONDS)
    await world.start()
    await world.clock.advance(200 + MARGIN)
    assert kept(world, plain) == kept(world, own) == (True, False)
    await world.clock.advance(320)

    assert kept(world, plain) == (True, False)
    assert kept(world, own) == (False, False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retention": -SECONDS}, "retention is -1 day, 23:59:59, and it must be from 0"),
        ({"journal_retention": -SECONDS}, "journal_retention is"),
        ({"idempotency_retention": timedelta.max}, "idempotency_retention is .* 36,500 days"),
        ({"workflow_retention": -SECONDS}, "workflow_retention is"),
    ],
)
def test_a_time_that_cannot_be_meant_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        RuntimeConfig(**options)


# -- How it goes ------------------------------------------------------------------------------


class Watched(DyingStore):
    """Tells of each batch that was written, and of each scan."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.deletes: list[int] = []
        self.scanned: list[bytes] = []
        self.gets = 0
        self.check: Callable[[], None] = lambda: None

    def write(self, batch: Mapping[bytes, bytes | None]) -> int:
        position = super().write(batch)
        self.deletes.append(sum(row is None for row in batch.values()))
        self.check()
        return position

    def get(self, key: bytes) -> bytes | None:
        self.gets += 1
        return super().get(key)

    def scan(
        self, start: bytes, end: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        self.scanned.append(start)
        return super().scan(start, end, reverse=reverse)


async def test_nobody_ever_reads_half_a_journal(world: World) -> None:
    world.config = replace(world.config, collect_rows_max=10)
    watched = Watched(world.store)
    await world.start(store=watched)
    first = await ask(world, "work", b"40")
    whole = count(world, keys.JOURNAL)
    left: list[int] = []

    def check() -> None:
        left.append(count(world, keys.JOURNAL))
        row = world.store.get(keys.outcome(parse_invocation_id(first)))
        if row is not None and decode_outcome(row).kept is Kept.JOURNAL:
            assert left[-1] == whole

    watched.check = check
    watched.deletes.clear()
    await world.clock.advance(20)

    assert whole == 81
    assert 0 < min(count for count in left if count) < whole
    assert left[-1] == count(world, keys.UNDO) == count(world, keys.REMAINS) == 0
    assert max(watched.deletes) <= 11  # And once the row that says there are remains.


async def test_remains_are_cleared_by_the_next_process(world: World) -> None:
    world.config = replace(world.config, collect_rows_max=10)
    watched = Watched(world.store)
    runtime = await world.start(store=watched)
    await ask(world, "work", b"40")
    world.clock.jump(11)
    runtime.core.retention.collect()
    await settle()
    assert count(world, keys.REMAINS) == 1
    await world.restart()
    assert 0 < count(world, keys.JOURNAL) < 81
    await world.clock.advance(2)

    assert count(world, keys.REMAINS) == count(world, keys.JOURNAL) == count(world, keys.UNDO) == 0


async def test_a_journal_is_deleted_without_being_read(world: World) -> None:
    watched = Watched(world.store)
    await world.start(store=watched)
    await ask(world, "work", b"40")
    watched.scanned.clear()
    await world.clock.advance(20)

    assert count(world, keys.JOURNAL) == 0
    assert not [start for start in watched.scanned if start.startswith(keys.JOURNAL)]


async def test_a_journal_of_unknown_length_is_deleted_too(world: World) -> None:
    await world.start()
    first = await ask(world, "work", b"3")
    key = keys.outcome(parse_invocation_id(first))
    row = world.store.get(key)
    assert row is not None
    outcome = decode_outcome(row)
    assert outcome.details is not None
    assert outcome.details.entries == 7
    await world.crash()
    details = structs.replace(outcome.details, entries=0, stored_bytes=0)
    world.store.write({key: structs.replace(outcome, details=details).encode()})
    await world.start()
    await world.clock.advance(20)

    assert count(world, keys.JOURNAL) == count(world, keys.UNDO) == 0


async def test_a_slice_ends_when_its_time_is_over() -> None:
    class Ticking(ManualClock):
        def monotonic(self) -> float:
            self.jump(0.0001)
            return super().monotonic()

    world = World([Counter], RuntimeConfig(retention=SECONDS, collect_seconds_max=0.001))
    world.clock = Ticking()
    watched = Watched(world.store)
    runtime = await world.start(store=watched)
    for number in range(1_000):
        await runtime.object(Counter, str(number % 7)).add(1)
    world.clock.jump(MARGIN + 2)
    watched.deletes.clear()
    await world.clock.advance(60)

    assert count(world, keys.OUTCOME) == 0
    assert sum(watched.deletes) >= 1_000
    assert max(watched.deletes) <= 16 * 12
    world.close()


async def test_no_table_is_read_from_its_front_again_also_after_a_restart(world: World) -> None:
    world.config = replace(world.config, retention=50 * SECONDS)
    runtime = await world.start()
    for number in range(20):
        await runtime.object(Agent, f"a{number}").work(1)
        await ask(world, "work", b"1")
        await runtime.object(Agent, f"n{number}").nap.send(1)
        await world.clock.advance(10)
    await world.clock.advance(30)
    await world.crash()
    watched = Watched(world.store)
    await world.start(store=watched)
    await world.clock.advance(5)
    runtime = world.runtime
    await runtime.object(Agent, "late").nap.send(1)
    await world.clock.advance(60)

    read = {start for start in watched.scanned if start[:1] in {b"o", b"x", b"t"}}
    assert {start[:1] for start in read} == {b"o", b"x", b"t"}
    assert not read & {b"o", b"x", b"t"}


async def test_a_timer_earlier_than_the_cursor_fires_after_a_crash(world: World) -> None:
    runtime = await world.start()
    late = runtime.submit(request("nap", b"1000"), wait=True)
    await world.clock.advance(30)  # The cursor is at the late one now, and written down.
    early = runtime.object(Agent, "early").nap(2)
    task = asyncio.ensure_future(early)
    await settle()
    late.cancel()
    task.cancel()
    runtime = await world.restart(keep_written=True)
    await world.clock.advance(3)

    assert await runtime.object(Agent, "early").work(0) == []


async def test_what_completes_behind_the_walk_is_listed_and_goes(world: World) -> None:
    runtime = await world.start()
    slow = await runtime.send_by_name("Agent", "slow", "nap", 400)
    for _ in range(30):
        await runtime.object(Counter, "a").add(1)
        await world.clock.advance(12)
    assert world.store.get(keys.meta("outcomes walked")) is not None
    await world.clock.advance(60)
    assert kept(world, slow) == (True, True)
    await world.restart()
    await world.clock.advance(90)

    assert kept(world, slow) == (False, False)
    assert count(world, keys.OUTCOME) == count(world, keys.EXPIRY) == 0


async def test_outcomes_of_a_clock_that_was_set_back_go_as_well(world: World) -> None:
    runtime = await world.start()
    await runtime.object(Counter, "a").add(1)
    await world.clock.advance(400)
    world.clock.jump(-300)
    for number in range(5):
        await runtime.object(Counter, "a", idempotency_key=str(number)).add(1)
        await ask(world, "work", b"1")
    await world.clock.advance(400)

    tables = (keys.OUTCOME, keys.EXPIRY, keys.JOURNAL)
    assert [count(world, table) for table in tables] == [0, 0, 0]


@pytest.mark.parametrize("cls", [Bulky, BulkyWorkflow, BriefBulky])
async def test_disk_space_comes_back(tmp_path: Path, cls: type) -> None:
    config = RuntimeConfig(retention=100 * SECONDS, maintenance_ms=1_000)
    world = worlds.World([cls], config, data_dir=tmp_path / "data")
    runtime = await world.start()
    handler_name = "run" if cls is BulkyWorkflow else "fetch"
    for number in range(100):
        await runtime.call_by_name(cls.__name__, str(number), handler_name, 400_000)
    full = size_of(tmp_path)
    await world.clock.advance(50 if cls is BriefBulky else 100 + MARGIN + 2)

    assert full > 40_000_000
    assert size_of(tmp_path) < full / 10
    world.close()


# -- What is too much -------------------------------------------------------------------------


async def test_too_much_goes_oldest_first_and_keeps_what_may_not_run_again(world: World) -> None:
    world.config = RuntimeConfig(retention=400 * SECONDS, retained_bytes_max=3_000)
    runtime = await world.start()
    keyed = await runtime.object(Agent, "keyed", idempotency_key="k").work.send(5)
    flow = await runtime.workflow(Signup, "sam").run.send("sam")
    sent = [await runtime.object(Agent, "s").work.send(3) for _ in range(20)]
    await world.clock.advance(5)
    there = [kept(world, each) for each in sent]

    assert kept(world, keyed) == kept(world, flow) == (True, False)
    assert there == sorted(there)
    assert (False, False) in there
    assert (True, True) in there
    assert await runtime.object(Agent, "keyed", idempotency_key="k").work(5) == [
        f"keyed:{number}" for number in range(5)
    ]
    assert await runtime.workflow(Signup, "sam").look() == "hello sam"
    await world.clock.advance(500)
    assert count(world, keys.OUTCOME) == count(world, keys.IDEMPOTENCY) == 0


@pytest.mark.parametrize("name", ["lasting", "nap"])
async def test_the_bound_holds_for_what_is_kept_longer_and_what_took_long(
    world: World, name: str
) -> None:
    argument = b'"' + b"x" * 500 + b'"' if name == "lasting" else b"700"
    world.config = RuntimeConfig(retention=100 * SECONDS, retained_bytes_max=5_000)
    await world.start()
    for _ in range(60):
        world.runtime.submit(request(name, argument), wait=False)
        if name == "nap":  # Each waits for the one before, so each takes longer.
            world.runtime.submit(request("lasting", b'"y"'), wait=False)
        await world.clock.advance(20)
    await world.clock.advance(5)
    kept_bytes = sum(
        len(key) + len(row)
        for table in (keys.OUTCOME, keys.JOURNAL)
        for key, row in world.store.scan(*keys.prefix_range(table))
        if table == keys.OUTCOME or world.store.get(keys.outcome(InvocationId(key[1:17])))
    )

    assert kept_bytes <= 5_000 + 700


async def test_a_bound_that_keys_alone_exceed_costs_one_pass_and_not_one_a_second(
    world: World,
) -> None:
    world.config = RuntimeConfig(retained_bytes_max=100)
    watched = Watched(world.store)
    runtime = await world.start(store=watched)
    for number in range(50):
        await runtime.object(Counter, "a", idempotency_key=str(number)).add(1)
    await world.clock.advance(5)
    reads = watched.gets
    await world.clock.advance(50)

    assert watched.gets - reads < 50
    assert count(world, keys.OUTCOME) == 50


async def test_what_was_forgotten_before_a_crash_is_counted_no_more_after_it(world: World) -> None:
    runtime = await world.start()
    for _ in range(3):
        ids = [await runtime.object(Brief, "b").work.send(5) for _ in range(4)]
        for id_ in ids:
            await runtime.invocation(id_).attach()
        await world.clock.advance(2)
        for id_ in ids:
            await runtime.invocation(id_).purge()
        runtime = await world.restart()
    assert runtime.statistics().retained_bytes < 100
    world.config = RuntimeConfig(retained_bytes_max=2_000)
    runtime = await world.restart()

    id_ = await runtime.object(Counter, "a").add.send(1)
    await runtime.invocation(id_).attach()
    await world.clock.advance(10)
    assert await runtime.invocation(id_).attach() == 1


# -- Whatever happens -------------------------------------------------------------------------


async def collect_all(client: Client) -> list[list[str]]:
    await asyncio.gather(
        client.object(Brief, "b").work(12),
        client.object(Brief, "b").secret(),
        client.object(Brief, "c").contrary(),
        client.object(Brief, "b").nap(30),
        client.object(Counter, "n").add(1),
        client.object(Brief, "d").sign_up("sam"),
    )
    await client.sleep(500)

    async def tables(runtime: VirtualRuntime) -> list[str]:
        return sorted({key[:1].decode() for key, _ in runtime.store.scan(b"", None)})

    return [await client.ask(tables)]


async def test_wherever_the_process_dies_all_is_collected_and_nothing_else() -> None:
    config = RuntimeConfig(retention=50 * SECONDS, collect_rows_max=6, maintenance_ms=15_000)
    report = await crash_everywhere(collect_all, CLASSES, config=config, crash_again=True)

    assert report.ending.outcome == [["m", "s"]]
    assert report.cases > 50


@pytest.mark.parametrize("seed", range(12))
async def test_nothing_goes_before_its_time_nor_stays(world: World, seed: int) -> None:
    random = Random(seed)  # repeatable is the point
    world.config = replace(world.config, collect_rows_max=random.choice([3, 17, 2_000]))
    await world.start()
    names = ("work", "secret", "contrary", "forgetful", "mindful", "lasting", "nap")
    arguments = {"work": b"3", "nap": b"45", "secret": b"", "contrary": b""}
    known: dict[str, tuple[str, bool]] = {}
    for _ in range(60):
        name, key = random.choice(names), random.choice([None, str(random.random())])
        answer = await world.runtime.submit(
            request(name, arguments.get(name, b'"x"'), key), wait=False
        )
        known[answer.invocation_id] = (name, key is not None)
        await world.clock.advance(random.choice([0.1, 3, 30]))
        if random.random() < 0.1:
            await world.restart()
        check_all(world, known)
    await world.clock.advance(45 * 60 + 600)
    check_all(world, known)

    left = {key[:1] for key, _ in world.store.scan(b"", None)}
    assert left == {keys.STATE, keys.META}


JOURNAL_S = {"secret": 0, "contrary": 1000}
RETENTION_S = {"contrary": 20, "lasting": 500}
KEY_S = {"forgetful": 5, "mindful": 500}
completions: dict[bytes, int] = {}


def check_all(world: World, known: dict[str, tuple[str, bool]]) -> None:
    now_ms = world.clock.now_ms()
    for invocation_id, (name, has_key) in known.items():
        id_ = parse_invocation_id(invocation_id)
        if world.store.get(keys.invocation(id_)) is not None:
            continue
        row = world.store.get(keys.outcome(id_))
        if row is not None:
            completions[id_] = decode_outcome(row).completed_ms
        elif id_ not in completions:
            continue  # It completed and went between two looks, or the test would never know.
        age_s = (now_ms - completions[id_]) / 1000
        retention_s = RETENTION_S.get(name, 100)
        key_s = KEY_S.get(name, retention_s) if has_key else 0
        outcome_s = max(retention_s, key_s)
        journal_s = min(JOURNAL_S.get(name, 10), outcome_s)
        is_there, has_journal = kept(world, invocation_id)
        assert is_there or age_s >= outcome_s, name
        assert not is_there or age_s <= outcome_s + MARGIN + 2, name
        if name not in {"forgetful", "lasting"}:
            assert has_journal or age_s >= journal_s, name
            assert not has_journal or age_s <= journal_s + MARGIN + 2, name
