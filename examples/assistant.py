"""One assistant per session id: state, a journaled step, and a reader beside it.

holdfast dev examples/assistant.py
curl localhost:8080/Assistant/sam/ask --json '"What is durable execution?"'
curl -X POST localhost:8080/Assistant/sam/transcript
"""

import asyncio
import tempfile

from holdfast import Context, Runtime, VirtualObject, handler, shared, state


class Assistant(VirtualObject):
    """One assistant per session id."""

    history: list[dict[str, str]] = state(default_factory=list)

    @handler
    async def ask(self, ctx: Context, question: str) -> str:
        answer = await ctx.run(
            "llm", call_model, [*self.history, {"role": "user", "content": question}]
        )
        self.history.append({"role": "user", "content": question})
        self.history.append({"role": "assistant", "content": answer})
        return answer

    @shared
    async def transcript(self, ctx: Context) -> list[dict[str, str]]:
        return self.history


async def call_model(messages: list[dict[str, str]]) -> str:
    """Your model client goes here; this one needs no key and no network."""
    await asyncio.sleep(0.2)
    return f"Answer {len(messages) // 2 + 1}, to: {messages[-1]['content']}"


async def main() -> None:
    """Ask twice, embedded, and show what the session remembers."""
    with tempfile.TemporaryDirectory() as directory:
        async with Runtime([Assistant], data_dir=directory) as runtime:
            sam = runtime.object(Assistant, "sam")
            print(await sam.ask("What is durable execution?"))
            print(await sam.ask("And why?"))
            for message in await sam.transcript():
                print(f"{message['role']:>9}: {message['content']}")


if __name__ == "__main__":
    asyncio.run(main())
