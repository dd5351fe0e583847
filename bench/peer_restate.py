"""The objects of ``objects`` in Restate's Python SDK, under hypercorn.

The same names, keys and bodies, written as Restate's own examples are. Runs in the
peers' environment; see ``peer_install``.
"""

from typing import Any

import restate

counter = restate.VirtualObject("Counter")
agent = restate.VirtualObject("Agent")
link = restate.VirtualObject("Link")


async def do_nothing() -> str:
    """An action that costs nothing."""
    return "done"


@counter.handler()
async def add(ctx: Any, amount: int) -> int:
    """Add and tell."""
    value: int = (await ctx.get("value", type_hint=int) or 0) + amount
    ctx.set("value", value)
    return value


@agent.handler()
async def ask(ctx: Any, question: str) -> str:  # noqa: ARG001  # as the others take it
    """Three steps, one after the other."""
    await ctx.run_typed("plan", do_nothing)
    await ctx.run_typed("model", do_nothing)
    answer: str = await ctx.run_typed("answer", do_nothing)
    return answer


@link.handler()
async def pull(ctx: Any, below: int) -> int:
    """Call ``below`` more objects."""
    seen: int = await ctx.get("seen", type_hint=int) or 0
    if below:
        seen = await ctx.object_call(pull, f"{ctx.key()}.", below - 1)
        ctx.set("seen", seen)
    return seen + 1


app = restate.app([counter, agent, link])
