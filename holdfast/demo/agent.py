"""The agent of the demo, written as any user would write it."""

import os

import aiohttp

from .. import Context, RetryableError, VirtualObject, handler, shared, state, step_info

STEPS = ("plan", "search", "draft", "review", "polish")


class Researcher(VirtualObject):
    """Writes reports, one researcher per key."""

    reports: list[str] = state(default_factory=list)

    @handler
    async def write(self, ctx: Context, topic: str) -> str:
        """A report about ``topic``, in five calls of the model, each reading the one before."""
        text = topic
        for step in STEPS:
            text = await ctx.run(step, ask_model, f"{step}: {text}")
        self.reports.append(text)
        return text

    @shared
    async def read(self, ctx: Context) -> list[str]:
        """All reports written so far."""
        return self.reports


async def ask_model(prompt: str) -> str:
    """Ask a model that speaks OpenAI's API; the environment says where it is."""
    url = f"{os.environ['OPENAI_BASE_URL']}/chat/completions"
    body = {"model": "gpt-5", "messages": [{"role": "user", "content": prompt}]}
    headers = {
        "authorization": f"Bearer {os.environ['OPENAI_API_KEY']}",
        "idempotency-key": step_info().idempotency_key,
    }
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json=body, headers=headers) as response,
    ):
        if response.status == 429:
            retry_after = response.headers.get("retry-after")
            raise RetryableError(await response.text(), retry_after=retry_after)
        response.raise_for_status()
        answer = await response.json()
    return str(answer["choices"][0]["message"]["content"])
