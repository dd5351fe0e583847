"""The seams to the real world, where a stand-in would hide what they do."""

from holdfast.journal import keys
from holdfast.journal.memory import MemoryStore
from holdfast.runtime.engine import Engine

from .agents import Agent


async def test_an_alarm_of_the_runtime_set_while_a_handler_runs_is_no_timer_of_the_handler() -> (
    None
):
    """The running loop is the handler's then, and every call it takes is a durable command."""
    store = MemoryStore()
    async with Engine([Agent], store=store) as runtime:
        # The first alarm of all is set at the start, so only the second nap needs one of its own.
        await runtime.object(Agent, "s").nap(0.01)
        await runtime.object(Agent, "s").nap(0.01)
        entries = list(store.scan(*keys.prefix_range(keys.JOURNAL)))

    assert len(entries) == 2 * 3, "an input, a sleep and its completion of each"
