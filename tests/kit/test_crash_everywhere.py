"""``crash_everywhere`` passes what is durable, and says what is not and where."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any, cast

import pytest
import uvloop

from holdfast import (
    ConflictError,
    Context,
    InvalidArgumentError,
    UnknownTargetError,
    VirtualObject,
    Workflow,
    handler,
    state,
)
from holdfast.runtime.outside import Outside
from holdfast.runtime.steps import Steps
from holdfast.testing import Client, Ending, NeverEnds, Raised, StepEffects, crash_everywhere

from .shops import BANK, EFFECTS, SHOPS, Shop, Stock


async def sell(client: Client) -> str:
    return await client.object(Shop, "berlin").sell("lamp")


@pytest.mark.parametrize("crash_again", [False, True])
@pytest.mark.parametrize("suspending", [False, True])
async def test_a_durable_call_ends_alike_wherever_it_dies(
    *, crash_again: bool, suspending: bool
) -> None:
    report = await crash_everywhere(
        sell, SHOPS, effects=EFFECTS, crash_again=crash_again, suspending=suspending
    )

    assert report.ending == Ending(
        outcome="paid, 9 left",
        state={
            "Shop/berlin": {"sold": ["lamp"]},
            "Stock/lamp": {"left": 9, "notes": ["sold by berlin"]},
        },
        effects=(
            StepEffects("Shop/berlin/sell: pay", (("paid", 1200),)),
            StepEffects("Shop/berlin/sell: post", ("lamp",)),
        ),
    )
    assert report.commits >= 3
    assert report.cases == report.commits * (6 if crash_again else 3)
    assert any("pay ran again" in sentence for sentence in report.repeated)


async def test_a_failure_is_an_ending_like_any_other() -> None:
    async def refused(client: Client) -> None:
        await client.object(Shop, "berlin").refuse()

    report = await crash_everywhere(refused, SHOPS, effects=EFFECTS)

    assert report.ending.outcome == Raised("TerminalError", "sold out", 409)


class Forgetful(VirtualObject):
    """Keeps in the process what belongs into its state, and acts outside of steps."""

    seen: int = state(0)
    calls = 0

    @handler
    async def count(self, ctx: Context) -> int:
        Forgetful.calls += 1
        number = Forgetful.calls
        await ctx.run("mark", mark, number)
        self.seen = number
        return number

    @handler
    async def shout(self, ctx: Context) -> None:
        EFFECTS.add("hey")
        await ctx.run("mark", mark, 0)


async def mark(number: int) -> None:
    EFFECTS.add("mark", number)


def forget() -> None:
    Forgetful.calls = 0


async def test_what_a_handler_keeps_in_the_process_is_found_out_with_both_sides() -> None:
    async def count(client: Client) -> int:
        return await client.object(Forgetful, "f").count()

    with pytest.raises(AssertionError) as caught:
        await crash_everywhere(count, [Forgetful], effects=EFFECTS, reset=forget)

    assert str(caught.value).splitlines() == [
        "the call ends otherwise when the process is killed before commit 1 of 2, which is:",
        "    Forgetful/f/count called",
        "    Forgetful/f/count is begun",
        "    Forgetful/f/count asks for step 'mark'",
        "    and 1 x turn",
        "    and 1 x live",
        "    and 1 x idempotency",
        "outcome",
        "    undisturbed: 1",
        "    here:        2",
        "state of Forgetful/f: seen",
        "    undisturbed: 1",
        "    here:        2",
        "effects",
        """    undisturbed: ["Forgetful/f/count: mark [('mark', 1)]"]""",
        """    here:        ["Forgetful/f/count: mark [('mark', 2)]"]""",
    ]


async def test_an_effect_outside_of_a_step_is_found_to_happen_twice() -> None:
    async def shout(client: Client) -> None:
        await client.object(Forgetful, "f").shout()

    with pytest.raises(AssertionError, match=r"outside of any step \['hey', 'hey'\]"):
        await crash_everywhere(shout, [Forgetful], effects=EFFECTS)


async def test_a_step_that_may_not_run_again_does_not_and_the_end_may_be_another() -> None:
    async def careful(client: Client) -> str:
        return await client.object(Shop, "berlin").careful()

    report = await crash_everywhere(
        careful,
        SHOPS,
        effects=EFFECTS,
        compare=lambda ending: ending.outcome in {"paid", "nobody knows"},
    )

    assert report.repeated == ()
    with pytest.raises(AssertionError, match=r"here: .*'nobody knows'"):
        await crash_everywhere(careful, SHOPS, effects=EFFECTS)


async def test_a_pause_is_an_ending_unless_somebody_resumes() -> None:
    async def held(client: Client) -> str:
        return await client.object(Shop, "berlin").held()

    with pytest.raises(AssertionError, match=r"is paused: step 'pay': the outcome .* unknown"):
        await crash_everywhere(held, SHOPS, effects=EFFECTS)

    report = await crash_everywhere(held, SHOPS, effects=EFFECTS, resume_paused=True)
    assert report.repeated == (
        "Shop/berlin/held: pay ran again: the crash cut it off, and its outcome was unknown",
    )


async def test_whoever_resumes_does_so_as_often_as_it_takes() -> None:
    """A crash leaves both steps unknown, and each of them pauses by itself."""

    async def held(client: Client) -> tuple[str, str]:
        return await client.object(Shop, "berlin").held_twice()

    report = await crash_everywhere(held, SHOPS, effects=EFFECTS, resume_paused=True)
    assert len(report.repeated) == 2


async def test_a_pause_that_no_resume_ends_is_an_ending() -> None:
    async def lost(client: Client) -> str:
        return await client.object(Shop, "berlin").loses_its_way()

    with pytest.raises(AssertionError, match=r"is paused: entry 1: the journal recorded"):
        await crash_everywhere(lost, SHOPS, compare=lambda each: each.paused, resume_paused=True)


async def test_a_step_that_no_resume_makes_known_is_an_ending() -> None:
    async def held(client: Client) -> str:
        return await client.object(Shop, "berlin").never_knows()

    def look(ending: Ending) -> Any:
        raise LookupError(ending.outcome)

    with pytest.raises(LookupError, match="NeverEnds"):
        await crash_everywhere(held, SHOPS, compare=look, resume_paused=True)


async def test_a_verified_step_happens_once() -> None:
    payments: list[int] = []

    async def verified(client: Client) -> str:
        return await client.object(Shop, "berlin").verified()

    def count(ending: Ending) -> Any:
        payments.append(len(BANK))
        return ending

    await crash_everywhere(verified, SHOPS, effects=EFFECTS, reset=BANK.clear, compare=count)

    assert set(payments) == {1}


async def test_ids_count_as_equal() -> None:
    async def offer(client: Client) -> str:
        return await client.object(Shop, "berlin").offer()

    report = await crash_everywhere(offer, SHOPS)

    assert isinstance(report.ending.outcome, NeverEnds)
    assert "awakeable (no result yet)" in report.ending.outcome.waits


class Asker(VirtualObject):
    links: list[str] = state(default_factory=list)

    @handler
    async def ask(self, ctx: Context) -> str:
        yes = ctx.awakeable(bool, timeout=60)
        self.links.append(
            yes.link("resolve", value=True, expires_in=3600, base="https://a.example")
        )
        await ctx.run("mail", mail, self.links[-1])
        try:
            return str(await yes)
        except TimeoutError:
            return f"nobody used {self.links[-1]}"


async def mail(link: str) -> None:
    EFFECTS.add("mailed", {"href": f"<a href='{link}'>yes</a>"})


async def test_links_count_as_equal_but_for_what_they_say() -> None:
    """Each case has a key of its own to sign them with."""

    async def ask(client: Client) -> str:
        return await client.object(Asker, "a").ask()

    report = await crash_everywhere(ask, [Asker], effects=EFFECTS)

    assert "/resolve?expires=" in report.ending.outcome


class Approval(Workflow):
    @handler
    async def run(self, ctx: Context, item: str) -> str:
        await ctx.run("notify", mark, 1)
        decision = await ctx.promise("decision", str)
        return f"{item}: {decision}"


async def test_a_client_asks_again_whatever_a_crash_left_without_an_answer() -> None:
    """Also what has no idempotency key, such as the promise of a workflow."""

    async def approve(client: Client) -> str:
        asked = asyncio.ensure_future(client.workflow(Approval, "a").run("lamp"))
        decision = client.promise(Approval, "a", "decision", str)
        with suppress(ConflictError):  # It was resolved, and the answer was lost.
            await decision.resolve("yes")
        assert await decision.peek() == "yes"
        return await asked

    report = await crash_everywhere(approve, [Approval], effects=EFFECTS, crash_again=True)

    assert report.ending.outcome == "lamp: yes"
    assert report.ending.state == {"Approval/a": {"promise decision": "yes"}}


async def test_a_person_who_resumes_outside_is_asked_again_too() -> None:
    async def held(client: Client) -> str:
        id_ = await client.object(Shop, "berlin").held.send()
        await client.sleep(60)
        with suppress(UnknownTargetError):  # It is completed.
            await client.invocation(id_).resume()
        return await client.object(Shop, "berlin").verified()

    await crash_everywhere(
        held,
        SHOPS,
        effects=EFFECTS,
        reset=BANK.clear,
        compare=lambda ending: (ending.outcome, ending.paused),
    )


class Clockwork(VirtualObject):
    ticks: int = state(0)

    @handler
    async def tick(self, ctx: Context) -> None:
        self.ticks += 1
        await ctx.object(Clockwork, ctx.key).tick.send(delay=timedelta(minutes=10))


async def test_what_goes_on_without_end_is_watched_for_an_hour() -> None:
    async def wind(client: Client) -> None:
        await client.object(Clockwork, "c").tick()

    report = await crash_everywhere(wind, [Clockwork])

    assert report.ending.state["Clockwork/c"]["ticks"] == 7


async def test_a_mistake_in_the_call_itself_comes_out_as_it_is() -> None:
    async def misspelt(client: Client) -> None:
        await client.call_by_name("Shop", "berlin", "sel")

    async def wrong(client: Client) -> None:
        assert await client.object(Stock, "lamp").take() == 1, "of the test"

    with pytest.raises(AssertionError, match=r"^of the test"):
        await crash_everywhere(wrong, SHOPS)
    with pytest.raises(UnknownTargetError, match="'sel'"):
        await crash_everywhere(misspelt, SHOPS)


async def test_what_the_call_raised_after_a_crash_is_the_cause_of_the_failure() -> None:
    async def count(client: Client) -> None:
        number = await client.object(Forgetful, "f").count()
        if number != 1:
            raise ZeroDivisionError

    with pytest.raises(AssertionError) as caught:
        await crash_everywhere(count, [Forgetful], effects=EFFECTS, reset=forget)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_it_runs_on_a_loop_that_does_not_tell_what_is_ready() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(crash_everywhere(sell, SHOPS, effects=EFFECTS))
    assert report.ending.outcome == "paid, 9 left"


async def test_actions_and_clients_may_take_real_time() -> None:
    async def slow(client: Client) -> str:
        await asyncio.sleep(0.002)
        return await client.object(Slow, "s").work()

    report = await crash_everywhere(slow, [Slow])
    assert report.ending.outcome == "done"


class Slow(VirtualObject):
    @handler
    async def work(self, ctx: Context) -> str:
        # The timeout is virtual, and does not pass while the action really works.
        step = ctx.step(timeout=timedelta(milliseconds=1))
        return await step.run("work", work)


async def work() -> str:
    await asyncio.sleep(0.005)
    return "done"


async def test_a_step_that_runs_again_and_must_not_fails_whatever_is_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where the ending is the same: a second payment may go unnoticed there."""

    def run_again(steps: Any, step: Any, _: str) -> None:
        step.attempt += 1
        steps._start_attempt(step)  # noqa: SLF001  # a runtime that is wrong

    async def careful(client: Client) -> str:
        return await client.object(Shop, "berlin").careful()

    monkeypatch.setattr(Steps, "_unknown", run_again)
    with pytest.raises(AssertionError, match='pay ran again although it says on_unknown="fail"'):
        await crash_everywhere(careful, SHOPS, effects=EFFECTS, compare=lambda _: None)


async def test_what_cannot_be_played_is_refused_with_a_sentence() -> None:
    def not_async(_: Client) -> str:
        return "sold"

    sold = sell(cast("Client", None))
    with pytest.raises(
        InvalidArgumentError, match="takes an async function that is given a client"
    ):
        await crash_everywhere(cast("Any", sold), SHOPS)
    sold.close()
    with pytest.raises(InvalidArgumentError, match="takes a list of classes"):
        await crash_everywhere(sell, cast("Any", Shop))
    with pytest.raises(InvalidArgumentError, match="nothing to await; is it an `async def`"):
        await crash_everywhere(cast("Any", not_async), SHOPS)


async def test_a_call_that_calls_nothing_is_no_test() -> None:
    async def idle(client: Client) -> None:
        await client.sleep(1)

    with pytest.raises(AssertionError, match="wrote nothing, so there is no commit to die at"):
        await crash_everywhere(idle, SHOPS)


MADE_OF_OTHERS = {
    *("object", "workflow", "service", "call", "send", "call_by_name", "send_by_name"),
    *("resolve_awakeable", "reject_awakeable", "find_handler"),
}
"""What a client has from ``Outside`` as it is: it asks by ``submit`` or ``complete_awakeable``."""


@pytest.mark.parametrize(
    "verb", [name for name in vars(Outside) if not name.startswith("_") and name != "health"]
)
def test_a_client_outlives_a_crash_whatever_it_asks(verb: str) -> None:
    """A new verb of a runtime is asked again too, or stands in the table with the reason."""
    assert (verb in vars(Client)) is not (verb in MADE_OF_OTHERS)
