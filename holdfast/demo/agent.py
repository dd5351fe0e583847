"""The agent of the demo, written as any user would write it."""

from .. import Context, VirtualObject, handler, shared, state
from .model import call_model

STEPS = ("plan", "search", "draft", "review", "polish")


class Researcher(VirtualObject):
    """Writes reports, one researcher per key."""

    reports: list[str] = state(default_factory=list)

    @handler
    async def write(self, ctx: Context, topic: str) -> str:
        """A report about ``topic``, in five calls of the model, each reading the one before."""
        text = topic
        for step in STEPS:
            text = await ctx.run(step, call_model, step, text)
        self.reports.append(text)
        return text

    @shared
    async def read(self, ctx: Context) -> list[str]:
        """All reports written so far."""
        return self.reports
