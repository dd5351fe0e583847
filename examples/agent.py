"""An agent with tools: it asks a model, does what the model wants, and asks again, until the end.

Each answer of the model and each result of a tool is a step. Whatever is killed, and whenever:
no answer that arrived is paid for again, and no tool that finished runs again.

    python -m holdfast.testing.llm examples/agent.json   # a scripted model, on port 8089
    OPENAI_BASE_URL=http://127.0.0.1:8089/v1 OPENAI_API_KEY=any holdfast dev examples/agent.py
    curl localhost:8080/Agent/sam/ask --json '"What do I take to Oslo and Rome?"'
"""

import asyncio
import json
import os
import tempfile
from typing import Any

import aiohttp

from holdfast import (
    Context,
    RetryableError,
    Runtime,
    TerminalError,
    VirtualObject,
    handler,
    state,
    step_info,
)
from holdfast.testing import LlmServer, call_tool, say, together

ANSWERS_MAX = 10


class Agent(VirtualObject):
    """One conversation per key."""

    messages: list[dict[str, Any]] = state(default_factory=list)

    @handler
    async def ask(self, ctx: Context, question: str) -> str:
        self.messages.append({"role": "user", "content": question})
        for _ in range(ANSWERS_MAX):
            message = await ctx.run("model", ask_model, [*self.messages])
            self.messages.append(message)
            calls = message.get("tool_calls", [])
            if not calls:
                return str(message["content"])
            # Side by side, and each of them journaled by itself.
            used = [ctx.run(call["function"]["name"], use_tool, call) for call in calls]
            self.messages.extend(await asyncio.gather(*used))
        message = f"no end after {ANSWERS_MAX} answers of the model"
        raise TerminalError(message)


async def ask_model(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The next message of the model, which may be calls of tools."""
    url = f"{os.environ['OPENAI_BASE_URL']}/chat/completions"
    headers = {
        "authorization": f"Bearer {os.environ['OPENAI_API_KEY']}",
        "idempotency-key": step_info().idempotency_key,
    }
    body = {"model": "gpt-5", "messages": messages, "tools": [WEATHER]}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json=body, headers=headers) as response,
    ):
        if response.status == 429:
            retry_after = response.headers.get("retry-after")
            raise RetryableError(await response.text(), retry_after=retry_after)
        response.raise_for_status()
        message: dict[str, Any] = (await response.json())["choices"][0]["message"]
        return message


async def use_tool(call: dict[str, Any]) -> dict[str, Any]:
    """Do what the model wants; what it asks for wrongly, it is told."""
    function = call["function"]
    try:
        result = await TOOLS[function["name"]](**json.loads(function["arguments"]))
    except (KeyError, TypeError, ValueError) as error:
        result = f"cannot be called like this: {error!r}"
    return {"role": "tool", "tool_call_id": call["id"], "content": result}


async def weather(city: str) -> str:
    """Your tool goes here."""
    return {"Oslo": "rain"}.get(city, "sun")


TOOLS = {"weather": weather}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of tomorrow",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}

SCRIPT = [
    together(call_tool("weather", city="Oslo"), call_tool("weather", city="Rome")),
    say("An umbrella for Oslo, a hat for Rome."),
]


async def main() -> None:
    """Ask once, with a model that answers from a script, and show what it was asked."""
    with tempfile.TemporaryDirectory() as directory:
        async with LlmServer(SCRIPT) as model, Runtime([Agent], data_dir=directory) as runtime:
            os.environ |= {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "any"}
            print(await runtime.object(Agent, "sam").ask("What do I take to Oslo and Rome?"))
            for request in model.requests:
                print(f"{request.number}. {request.last_text} -> {request.outcome}")


if __name__ == "__main__":
    asyncio.run(main())
