"""The corpus: handlers that use everything once, and the scripts of those who call them."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from holdfast import (
    Context,
    RetryableError,
    RetryPolicy,
    Service,
    StepFailedError,
    TerminalError,
    UnknownTargetError,
    VirtualObject,
    Workflow,
    handler,
    shared,
    state,
    step_info,
)

from .stage import OUTSIDE, act

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .stage import Play


async def tell(name: str, awakeable_id: str) -> None:
    OUTSIDE.promises[name] = awakeable_id


async def go_on() -> int:
    """Come a little further in each attempt; the second one hangs."""
    info = step_info()
    begin = info.details or 0
    for page in range(begin, 4):
        if page == 2 and OUTSIDE.count(info.idempotency_key) == 1:
            await OUTSIDE.pause(60_000)
        await OUTSIDE.pause(15)
        info.heartbeat(page + 1)
    return 4


async def be_busy_at_first(times: int) -> str:
    if OUTSIDE.count(step_info().idempotency_key) <= times:
        message = "busy"
        raise RetryableError(message, retry_after=0.05)
    return "not busy"


async def be_wrong() -> None:
    message = "wrong"
    raise ValueError(message)


async def fail_at_first(times: int) -> str:
    if OUTSIDE.count(step_info().idempotency_key) <= times:
        message = "not yet"
        raise OSError(message)
    return "at last"


def plain(value: int) -> int:
    return value * 2


class Tally(VirtualObject):
    """Counts what arrives."""

    total: int = state(0)
    arrived: list[str] = state(default_factory=list)

    @handler
    async def add(self, ctx: Context, name: str) -> int:
        self.total += 1
        self.arrived.append(name)
        return self.total

    @handler
    async def keep(self, ctx: Context, name: str, awakeable_id: str) -> None:
        self.arrived.append(await ctx.run("look", act, "look", 0, name))
        ctx.resolve_awakeable(awakeable_id, f"kept {name}")

    @handler
    async def say(self, ctx: Context, to: str, words: list[str]) -> None:
        for word in words:
            ctx.send_signal(to, "word", await ctx.run("say", act, f"say {word}", 0, word))
        ctx.reject_signal(to, "end", TerminalError("over", status_code=410))
        await asyncio.sleep(0.001)
        ctx.send_signal(to, "word", "late")

    @handler
    async def answer(self, ctx: Context, awakeable_id: str) -> list[str]:
        """Wrongly, rightly, and once more."""
        said: list[str] = []
        for value in ("seven", 7, "late"):
            try:
                await ctx.resolve_awakeable(awakeable_id, value)
            except TerminalError as error:
                said.append(str(error.status_code))
            self.arrived.append(await ctx.run("look", act, "look", 0, str(value)))
        return said

    @handler
    async def break_(self, ctx: Context, awakeable_id: str) -> None:
        ctx.reject_awakeable(awakeable_id, TerminalError("not today", status_code=410))


class Pure(Service):
    """No key."""

    @handler
    async def double(self, ctx: Context, value: int) -> int:
        return await ctx.run("double", plain, value)


class Flow(Workflow):
    """Runs once per key."""

    lines: list[str] = state(default_factory=list)

    @handler
    async def run(self, ctx: Context, name: str) -> str:
        self.lines.append(await ctx.run("s0", act, "flow", 0, f"{name} began"))
        await asyncio.sleep(0.03)
        self.lines.append(await ctx.run("s1", act, "flow", 1, f"{name} ended"))
        if name == "asked":
            await ctx.promise("ready").resolve("yes")
            answer = ctx.promise("answer", str)
            try:
                async with asyncio.timeout(0.05):
                    self.lines.append(await answer)
            except TimeoutError:
                self.lines.append("not yet")
            self.lines += await asyncio.gather(answer.value(), answer.value())
            self.lines.append(str(await answer.peek()))
        return name

    @shared
    async def tell(self, ctx: Context, value: str) -> list[str]:
        """Waits until it may, tells, and tells again."""
        await ctx.promise("ready")
        await asyncio.sleep(0.2)
        said = [str(await ctx.promise("answer").peek())]
        for each in (value, "again"):
            try:
                await ctx.promise("answer", str).resolve(each)
            except TerminalError as error:
                said.append(f"{error.status_code}")
        return [*said, await ctx.promise("answer", str)]

    @shared
    async def look(self, ctx: Context) -> list[str]:
        return self.lines


class Desk(VirtualObject):
    """One handler per thing that can go wrong."""

    lines: list[str] = state(default_factory=list)
    facts: dict[str, Any] = state(default_factory=dict)
    total: int = state(0)
    token: str = state(default_factory=lambda: str(uuid4()))

    @handler
    async def sequence(self, ctx: Context, count: int) -> list[str]:
        for number in range(count):
            self.lines.append(await ctx.run(f"s{number}", act, "s", number, f"r{number}"))
            self.facts[f"k{number}"] = {"n": number}
            self.total += 1
        self.facts["k0"]["n"] = 99
        return self.lines

    @handler
    async def group(self, ctx: Context) -> list[str]:
        async def lane(name: str, ms: int) -> str:
            first = await ctx.run(f"{name}0", act, name, 0, name, ms)
            self.lines.append(f"{name}0")
            second = await ctx.run(f"{name}1", act, name, 1, first * 2, ms)
            self.lines.append(f"{name}1")
            return str(second)

        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(lane(name, ms)) for name, ms in (("a", 70), ("b", 0), ("c", 30))
            ]
        return [task.result() for task in tasks]

    @handler
    async def race(self, ctx: Context) -> list[str]:
        slow = ctx.run("slow", act, "slow", 0, "slow", 60_000)
        fast = ctx.run("fast", act, "fast", 0, "fast", 20)
        nap = asyncio.ensure_future(asyncio.sleep(30))
        done, pending = await asyncio.wait([slow, fast, nap], return_when=asyncio.FIRST_COMPLETED)
        for loser in pending:
            loser.cancel()
        self.lines += [str(winner.result()) for winner in done]
        self.lines.append(await ctx.run("after", act, "fast", 1, "after"))
        return self.lines

    @handler
    async def timeouts(self, ctx: Context) -> list[str]:
        try:
            async with asyncio.timeout(0.05):
                await ctx.run("slow", act, "slow", 0, "slow", 60_000)
        except TimeoutError:
            self.lines.append("step timed out")
        promise = ctx.awakeable(str)
        try:
            async with asyncio.timeout(0.2):
                await promise
        except TimeoutError:
            self.lines.append("promise timed out")
        async with asyncio.timeout(5):
            self.lines.append(await ctx.run("quick", act, "slow", 1, "in time", 10))
        return self.lines

    @handler
    async def naps(self, ctx: Context) -> list[float]:
        times = [ctx.time()]
        for seconds in (0.05, 0.0, 0.3):
            await asyncio.sleep(seconds)
            times.append(ctx.time())
        await asyncio.gather(asyncio.sleep(0.2), ctx.sleep(0.1), ctx.sleep(timedelta(0)))
        times.append(ctx.time())
        return [round(time - times[0], 3) for time in times]

    @handler
    async def chain(self, ctx: Context, depth: int) -> int:
        self.total += 1
        below = 0
        if depth:
            below = await ctx.object(Desk, f"{ctx.key}+").chain(depth - 1)
            below += await ctx.service(Pure).double(depth)
        self.lines.append(f"below {below}")
        return below + int(await ctx.run("leaf", act, "leaf", 0, 1))

    @handler
    async def sends(self, ctx: Context) -> int:
        for number in range(3):
            await ctx.object(Tally, "sent").add.send(f"now {number}")
            delay = timedelta(milliseconds=50 * (3 - number))
            await ctx.object(Tally, "sent").add.send(f"later {number}", delay=delay)
        await ctx.run("between", act, "between", 0)
        await ctx.object(Tally, "sent").add.send("last")
        return await ctx.object(Tally, "called").add("call")

    @handler
    async def promises(self, ctx: Context) -> list[str]:
        kept, broken, told = ctx.awakeable(str), ctx.awakeable(str), ctx.awakeable(str)
        await ctx.object(Tally, "keeper").keep.send("word", kept.id)
        self.lines.append(await kept)
        await ctx.object(Tally, "keeper").break_(broken.id)
        try:
            await broken
        except TerminalError as error:
            self.lines.append(f"{error.status_code} {error.message}")
        await ctx.run("tell", tell, "told", told.id)
        self.lines.append(await told)
        return self.lines

    @handler
    async def flows(self, ctx: Context) -> list[Any]:
        """Starts workflows by a call and a send, and again."""
        sent = await ctx.workflow(Flow, "sent").run.send("sent")
        called = await ctx.workflow(Flow, "called").run("called")
        again = await ctx.workflow(Flow, "sent").run.send("again")
        self.lines += [called, str(sent == again)]
        try:
            await ctx.workflow(Flow, "called").run("again")
        except TerminalError as error:
            self.lines.append(f"{error.status_code} {error.type_name}")
        self.lines += await ctx.workflow(Flow, "called").look()
        told = ctx.workflow(Flow, "asked").tell("told")
        self.lines.append(await ctx.workflow(Flow, "asked").run("asked"))
        self.lines += await told
        return self.lines

    @handler
    async def questions(self, ctx: Context) -> list[str]:
        """One is answered, one expires, and one is given up before it does."""
        answered = ctx.awakeable(int, message={"key": ctx.key}, timeout=3600)
        expires = ctx.awakeable(bool, message="nobody answers", timeout=0.05)
        given_up = ctx.awakeable(bool, timeout=3600)
        self.lines += await ctx.object(Tally, "answers").answer(answered.id)
        self.lines.append(str(await answered))
        try:
            await expires
        except TimeoutError as error:
            self.lines.append(type(error).__name__)
        try:
            async with asyncio.timeout(0.01):
                await given_up
        except TimeoutError as error:
            self.lines.append(type(error).__name__)
        await asyncio.sleep(0.3)
        return self.lines

    @handler
    async def signals(self, ctx: Context) -> list[str]:
        """Takes some, gives waits up, and ends with a refusal."""
        ctx.send_signal(ctx.invocation_id, "word", "own")
        waits = [ctx.signal("word", str) for _ in range(3)]
        await ctx.object(Tally, "sayer").say.send(ctx.invocation_id, ["a", "b", "c"])
        self.lines.append(await waits[0])
        waits[1].cancel()
        silences = 0
        while len(self.lines) < 4:
            try:
                async with asyncio.timeout(0.001):
                    self.lines.append(await ctx.signal("word", str))
            except TimeoutError:
                silences += 1
        self.lines.append(await waits[2])
        try:
            await ctx.signal("end")
        except TerminalError as error:
            self.lines.append(f"{error.status_code} {error.message}")
        return self.lines

    @handler
    async def long(self, ctx: Context) -> list[Any]:
        """Long values, changed in place, between commands."""
        self.lines.extend(f"line {number} {'x' * 20}" for number in range(300))
        self.facts.update({f"fact {number}": [number, "y" * 20] for number in range(200)})
        seen = [await ctx.run("s0", act, "s", 0, len(self.lines))]
        self.lines[150] = "changed"
        self.lines.append("tail")
        self.facts["fact 7"].append("more")
        del self.facts["fact 8"]
        seen.append(await ctx.run("s1", act, "s", 1, [len(self.lines), len(self.facts)]))
        del self.lines[10:20]
        self.lines.insert(0, "head")
        self.lines.sort()
        seen.append(await ctx.run("s2", act, "s", 2, self.lines[0]))
        self.facts = dict(sorted(self.facts.items(), reverse=True)[:50])
        await asyncio.sleep(0.01)
        self.lines.pop()
        ctx.set("extra", {"a": [1]})
        ctx.get("extra")["a"].append(2)
        seen.append(await ctx.run("s3", act, "s", 3, len(self.lines)))
        ctx.clear("extra")
        return [seen, self.lines[:2], len(self.facts), ctx.keys()]

    @handler
    async def defaults(self, ctx: Context) -> bool:
        """A default is drawn once, whatever happens."""
        before = self.token
        at_first = await ctx.run("keep", act, "s", 0, before)
        later = await ctx.run("again", act, "s", 1, self.token)
        return {before, at_first, later, self.token} == {before}

    @handler
    async def flaky(self, ctx: Context, times: int) -> list[str]:
        self.lines.append("began")
        self.lines.append(await ctx.run("s0", act, "s", 0, "zero"))
        self.lines.append("not kept by a failed attempt")
        if OUTSIDE.count(f"flaky {ctx.invocation_id}") <= times:
            message = "flaky"
            raise OSError(message)
        self.lines.append(await ctx.run("s1", act, "s", 1, "one"))
        return self.lines

    @handler
    async def flaky_steps(self, ctx: Context) -> list[str]:
        policy = RetryPolicy(max_attempts=3, initial_interval=timedelta(milliseconds=20))
        first, second = await asyncio.gather(
            ctx.run("flaky", fail_at_first, 2),
            ctx.step(retry=policy).run("doomed", fail_at_first, 1_000),
            return_exceptions=True,
        )
        assert isinstance(second, StepFailedError), second
        self.lines += [str(first), f"{second.type_name} {second.message}"]
        return self.lines

    @handler(retry=RetryPolicy(max_attempts=2, initial_interval=timedelta(milliseconds=30)))
    async def retries(self, ctx: Context) -> list[str]:
        """Fails after each step, which is progress each time."""
        policy = RetryPolicy(
            max_duration=timedelta(hours=1), jitter=0.5, retry_on=(OSError,), stop_on=(ValueError,)
        )
        for number in range(3):
            name = f"busy {number}"
            self.lines.append(await ctx.step(retry=policy).run(name, be_busy_at_first, number))
            if OUTSIDE.count(f"retries {number} {ctx.invocation_id}") <= 1:
                message = "once each"
                raise OSError(message)
        try:
            await ctx.step(retry=policy).run("wrong", be_wrong)
        except StepFailedError as error:
            self.lines.append(f"{error.type_name} {error.message}")
        return self.lines

    @handler(retry=RetryPolicy(max_attempts=1, on_max_attempts="fail"))
    async def saga(self, ctx: Context, how: str) -> list[str]:
        """Ends by an outcome, by a time limit, or by what is none and was the last."""
        async with ctx.saga() as outer:
            outer.add("undo outer", act, "undo outer", 0)
            self.lines.append(await ctx.run("outer", act, "outer", 0, "outer"))
            try:
                async with ctx.saga() as inner:
                    for number in range(2):
                        inner.add(f"undo {number}", act, f"undo {number}", 0)
                        await ctx.run(f"do {number}", act, "do", number)
                    if how == "error":
                        message = "broken"
                        raise OSError(message)
                    if how == "terminal":
                        message = "no way"
                        raise TerminalError(message, status_code=422)
                    async with asyncio.timeout(0.05):
                        await ctx.awakeable(str)
            except TimeoutError:
                self.lines.append("timed out")
        return self.lines

    @handler
    async def heartbeats(self, ctx: Context) -> list[str]:
        limit = timedelta(milliseconds=40)
        pages = await ctx.step(heartbeat_timeout=limit, timeout=timedelta(hours=1)).run("go", go_on)
        self.lines.append(f"{pages} pages")
        return self.lines

    @handler
    async def terminal(self, ctx: Context) -> None:
        self.lines.append(await ctx.run("s0", act, "s", 0, "kept"))
        self.total = 7
        message = "no way"
        raise TerminalError(message, status_code=422)

    @handler
    async def cleans_up(self, ctx: Context) -> str:
        async def background() -> None:
            try:
                await asyncio.sleep(1_000)
            finally:
                self.lines.append(await ctx.run("clean", act, "clean", 0, "cleaned"))

        task = asyncio.create_task(background())
        await ctx.run("s0", act, "s", 0)
        assert not task.done()
        return "answer"

    @handler
    async def append(self, ctx: Context, number: int) -> int:
        self.lines.append(f"{number} began")
        await ctx.run("s0", act, "s", 0, number, 5)
        self.lines.append(f"{number} ended")
        return len(self.lines)

    @handler
    async def works_below(self, ctx: Context, depth: int) -> str:
        """Has others work below, and cleans up where it is told to end."""
        await ctx.run("tell", tell, f"depth {depth}", ctx.invocation_id)
        self.lines.append("began")
        try:
            if depth:
                await ctx.object(Desk, f"{ctx.key}+").works_below(depth - 1)
            else:
                await asyncio.gather(ctx.run("work", act, "work", 0, "", 60_000), ctx.sleep(90))
        except asyncio.CancelledError:
            self.lines.append("told to end")
            async with ctx.shield():
                self.lines.append(await ctx.run("clean", act, "clean", 0, "cleaned", 5))
            await ctx.object(Tally, f"cleaned {ctx.key}").add("cleaned")
            raise
        return "worked"

    @handler
    async def listens(self, ctx: Context, count: int, drains: bool) -> list[str]:  # noqa: FBT001
        """Hears messages one by one, is asked to go on, and may hear the rest."""
        inbox = ctx.inbox(str)
        try:
            async with asyncio.timeout(0.05):
                self.lines.append(await inbox.get())
        except TimeoutError:
            self.lines.append("nobody spoke")
        await ctx.run("tell", tell, f"listening {ctx.key}", ctx.invocation_id)
        for number in range(count):
            heard = await inbox.get()
            self.lines.append(await ctx.run("heard", act, "heard", number, heard, 5))
        goes_on = ctx.awakeable(str)
        await ctx.run("tell", tell, f"go on {ctx.key}", goes_on.id)
        self.lines.append(await goes_on)
        if drains:
            self.lines += await inbox.drain()
            self.lines += await inbox.drain()
        return self.lines

    @handler
    async def hear(self, ctx: Context, text: str) -> None:
        self.lines.append(f"called to hear {text}")

    @handler
    async def replaces_itself(self, ctx: Context) -> str:
        """Interrupts its own turn, and has more to do before it can be told."""
        await ctx.object(Desk, ctx.key, mode="interrupt").append.send(30)
        self.lines.append("asked to be replaced")
        try:
            self.lines.append(await ctx.run("work", act, "work", 0, "", 60_000))
        except asyncio.CancelledError:
            self.lines.append("replaced")
        return "replaced"

    @handler
    async def finishes_first(self, ctx: Context) -> str:
        """Holds the end back until it is done with what must not be torn."""
        await ctx.run("tell", tell, "section", ctx.invocation_id)
        try:
            async with ctx.shield():
                for number in range(3):
                    self.lines.append(await ctx.run("part", act, "part", number, f"p{number}", 200))
        except asyncio.CancelledError:
            return "finished first"
        return "not told"

    @handler
    async def joins(self, ctx: Context, ids: list[str]) -> list[str]:
        """Waits for what others made: what runs, what is over, what there never was."""
        joined = [ctx.attach(id_, str) for id_ in [*ids, "inv_" + "0" * 32]]
        for each in await asyncio.gather(*joined, return_exceptions=True):
            self.lines.append(each if isinstance(each, str) else type(each).__name__)
        return self.lines

    @shared
    async def look(self, ctx: Context) -> bool:
        """Reads, asks, and reads again while others change what it reads."""
        first = len(self.lines)
        asked = ctx.run("s0", act, "s", 0, first, 7)
        between = list(self.lines)
        same = await asked == first
        again = len(self.lines)
        same = same and await ctx.run("s1", act, "s", 1, again, 7) == again
        await ctx.object(Tally, "looked").add(ctx.key)
        last = list(self.lines)
        kept = await ctx.run("s2", act, "s", 2, [len(between), len(last)], 7)
        await asyncio.sleep(0.012)
        return bool(same and kept == [len(between), len(last)])


CLASSES: list[type] = [Desk, Tally, Pure, Flow]


def call_once(handler_name: str, argument: Any = None) -> Callable[[Play], Awaitable[Any]]:
    async def script(play: Play) -> None:
        await play.ask("call", f"Desk/d/{handler_name}", argument)

    return script


async def promises(play: Play) -> None:
    asked = play.ask("call", "Desk/d/promises")
    await play.resolve(await play.promise("told"), "from outside")
    await asked


async def queue(play: Play) -> None:
    await asyncio.gather(*(play.ask(f"q{n}", "Desk/d/append", n) for n in range(5)))


async def interrupt(play: Play) -> None:
    """Two go before those who wait; a third one is due while they are done."""
    first = play.ask("call", "Desk/d/works_below", 0)
    behind = [play.ask(f"q{number}", "Desk/d/append", number) for number in range(2)]
    await play.promise("depth 0")
    await OUTSIDE.pause(10)
    before = [
        play.ask(f"i{number}", "Desk/d/append", 10 + number, mode="interrupt")
        for number in range(2)
    ]
    await asyncio.gather(first, *before, *behind)
    again = play.ask("again", "Desk/d/works_below", 0)
    play.ask("late", "Desk/d/append", 20, delay_ms=300, mode="interrupt", waits=False)
    await again
    await play.ask("replaces", "Desk/d/replaces_itself")


async def steer(play: Play) -> None:
    """Of what is said, some is heard, some does not fit, and some comes too late."""
    for key, drains in (("d", False), ("e", True)):
        asked = play.ask(f"call {key}", f"Desk/{key}/listens", {"count": 3, "drains": drains})
        await play.promise(f"listening {key}")

        async def say(number: int, handler_name: str, what: Any, key: str = key) -> None:
            name, path = f"{key}{number}", f"Desk/{key}/{handler_name}"
            await play.ask(name, path, what, mode="steer", waits=False)

        for number in range(2):
            await say(number, "hear", f"m{number}")
        await say(2, "append", 7)
        behind = play.ask(f"behind {key}", f"Desk/{key}/append", 8)
        await say(3, "hear", "m3")
        id_ = await play.promise(f"go on {key}")
        for number in range(4, 6):
            await say(number, "hear", f"m{number}")
        await play.resolve(id_, "go on")
        await asyncio.gather(asked, behind)
        await play.ask(f"last {key}", f"Desk/{key}/append", 9)


async def steer_and_kill(play: Play) -> None:
    """What a killed turn has heard is gone with it; the rest becomes calls."""
    asked = play.ask("call", "Desk/d/listens", {"count": 2, "drains": False})
    id_ = await play.promise("listening d")
    for number in range(3):
        text = f"m{number}"
        await play.ask(text, "Desk/d/hear", text, mode="steer", waits=False)
    await play.promise("go on d")
    await OUTSIDE.pause(10)
    await play.client.ask(lambda runtime: runtime.invocation(id_).kill())
    await asked
    await play.ask("last", "Desk/d/append", 9)


async def lookers(play: Play) -> None:
    asked = [play.ask(f"look {n}", "Desk/d/look") for n in range(2)]
    asked += [play.ask(f"q{n}", "Desk/d/append", n) for n in range(4)]
    asked.append(play.ask("look 3", "Desk/d/look"))
    await asyncio.gather(*asked)


async def duplicates(play: Play) -> None:
    asked = [play.ask(f"ask {n}", "Desk/d/append", 1, idempotency_key="same") for n in range(3)]
    sent = [
        play.ask(f"sent {n}", "Tally/t/add", "once", idempotency_key="one send", waits=n == 1)
        for n in range(3)
    ]
    await asyncio.gather(*asked, *sent)
    await play.ask("late", "Desk/d/append", 1, idempotency_key="same")


async def delayed(play: Play) -> None:
    await asyncio.gather(
        play.ask("b", "Tally/t/add", "b", delay_ms=200, waits=False),
        play.ask("a", "Tally/t/add", "a", delay_ms=100, waits=False),
        play.ask("now", "Tally/t/add", "now"),
    )


async def ask_of(play: Play, name: str, verb: str) -> None:
    """Ask something of the invocation that has told its id by ``name``, until it is heard."""
    id_ = await play.promise(name)
    await play.client.ask(lambda runtime: getattr(runtime.invocation(id_), verb)())


async def cancel(play: Play) -> None:
    """The leaf works when the root is told to end; clean-up goes up the tree."""
    asked = play.ask("call", "Desk/d/works_below", 2)
    await play.promise("depth 0")
    await OUTSIDE.pause(10)
    await ask_of(play, "depth 2", "cancel")
    await asked


async def cancel_the_leaf(play: Play) -> None:
    """Those above get its error, and nobody tells them to end."""
    asked = play.ask("call", "Desk/d/works_below", 2)
    await play.promise("depth 0")
    await OUTSIDE.pause(10)
    await ask_of(play, "depth 0", "cancel")
    await asked


async def cancel_in_a_section(play: Play) -> None:
    asked = play.ask("call", "Desk/d/finishes_first")
    await ask_of(play, "section", "cancel")
    await asked


async def attach(play: Play) -> None:
    asked = play.ask("call", "Desk/d/finishes_first")
    id_ = await play.promise("section")
    joined = [play.ask(f"join {number}", f"Desk/j{number}/joins", [id_]) for number in range(2)]
    await asyncio.gather(asked, *joined)
    await play.ask("late", "Desk/j1/joins", [id_, id_])


async def kill(play: Play) -> None:
    asked = play.ask("call", "Desk/d/works_below", 2)
    behind = [
        play.ask(f"q{number}", f"Desk/{key}/append", number) for number, key in enumerate("d")
    ]
    await play.promise("depth 0")
    await OUTSIDE.pause(10)
    await ask_of(play, "depth 2", "kill")
    await asyncio.gather(asked, *behind)
    await play.ask("after", "Desk/d++/append", 7)


async def take_out(play: Play) -> None:
    """Of those who wait at a key, one is told to end before its turn."""
    first = play.ask("call", "Desk/d/works_below", 0)
    await play.promise("depth 0")
    behind = [play.ask(f"q{number}", "Desk/d/append", number) for number in range(3)]
    request = play.request_of("q1", "Desk/d/append", 1)

    async def take_back(runtime: Any) -> None:
        accepted = await runtime.submit(request, wait=False)
        await runtime.invocation(accepted.invocation_id).cancel()

    await play.client.ask(take_back)
    await ask_of(play, "depth 0", "cancel")
    await asyncio.gather(first, *behind)


async def pause(play: Play) -> None:
    """It is paused and resumed wherever the process leaves it the time to be."""
    asked = play.ask("call", "Desk/d/finishes_first")
    request = play.request_of("call", "Desk/d/finishes_first")

    async def stop_and_go(runtime: Any) -> None:
        accepted = await runtime.submit(request, wait=False)
        invocation = runtime.invocation(accepted.invocation_id)
        with contextlib.suppress(UnknownTargetError):  # It is completed.
            await invocation.pause()
            await OUTSIDE.pause(1)
            await invocation.resume()

    for _ in range(4):
        await OUTSIDE.pause(130)
        await play.client.ask(stop_and_go)
    await asked


SCRIPTS: dict[str, Callable[[Play], Awaitable[Any]]] = {
    "sequence": call_once("sequence", 4),
    "group": call_once("group"),
    "race": call_once("race"),
    "timeouts": call_once("timeouts"),
    "naps": call_once("naps"),
    "chain": call_once("chain", 3),
    "sends": call_once("sends"),
    "promises": promises,
    "flows": call_once("flows"),
    "signals": call_once("signals"),
    "questions": call_once("questions"),
    "long": call_once("long"),
    "defaults": call_once("defaults"),
    "flaky": call_once("flaky", 2),
    "flaky steps": call_once("flaky_steps"),
    "retries": call_once("retries"),
    "heartbeats": call_once("heartbeats"),
    "saga terminal": call_once("saga", "terminal"),
    "saga error": call_once("saga", "error"),
    "saga timeout": call_once("saga", "timeout"),
    "terminal": call_once("terminal"),
    "clean-up": call_once("cleans_up"),
    "queue": queue,
    "interrupt": interrupt,
    "steer": steer,
    "steer and kill": steer_and_kill,
    "lookers": lookers,
    "duplicates": duplicates,
    "delayed": delayed,
    "cancel": cancel,
    "cancel the leaf": cancel_the_leaf,
    "cancel in a section": cancel_in_a_section,
    "attach": attach,
    "kill": kill,
    "take out": take_out,
    "pause": pause,
}
