"""A chat whose person does not wait: steer an answer that is under way, or interrupt it.

holdfast dev examples/chat.py
curl localhost:8080/Chat/sam/ask --json '"Write about the sea"' &
curl "localhost:8080/Chat/sam/ask/send?mode=steer" --json '"make it rhyme"'
curl "localhost:8080/Chat/sam/ask?mode=interrupt" --json '"Write about rain instead"'
"""

import asyncio
import tempfile

from holdfast import CanceledError, Context, Runtime, VirtualObject, handler, shared, state

DRAFTS = 3


class Chat(VirtualObject):
    """One conversation per key."""

    lines: list[str] = state(default_factory=list)

    @handler
    async def ask(self, ctx: Context, question: str) -> str:
        inbox = ctx.inbox(str)
        self.lines.append(question)
        draft = ""
        try:
            for _ in range(DRAFTS):
                draft = await ctx.run("model", call_model, [*self.lines])
                # What the person has said meanwhile; the next draft takes it into account.
                self.lines += await inbox.drain()
        except asyncio.CancelledError:
            self.lines.append("(interrupted)")
            raise
        self.lines.append(draft)
        return draft

    @shared
    async def transcript(self, ctx: Context) -> list[str]:
        return self.lines


async def call_model(lines: list[str]) -> str:
    """Your model client goes here; an interrupt cancels its request at once."""
    await asyncio.sleep(0.2)
    return f"[{' + '.join(line for line in lines if not line.startswith(('[', '(')))}]"


async def main() -> None:
    """Steer one answer, interrupt the next, and show what the chat remembers."""
    with tempfile.TemporaryDirectory() as directory:
        async with Runtime([Chat], data_dir=directory) as runtime:
            chat = runtime.object(Chat, "sam")
            steered = asyncio.create_task(under_way(chat, "the sea"))
            await has_begun(chat, "the sea")
            await runtime.object(Chat, "sam", mode="steer").ask.send("in rhymes")
            print(await steered)

            unwanted = asyncio.create_task(under_way(chat, "a novel"))
            await has_begun(chat, "a novel")
            print(await runtime.object(Chat, "sam", mode="interrupt").ask("a poem"))
            print(await unwanted)
            for line in await chat.transcript():
                print(f"  {line}")


async def under_way(chat: Chat, question: str) -> str:
    """The answer, or that it was interrupted."""
    try:
        return await chat.ask(question)
    except CanceledError as error:
        return f"{question}: {error.status_code}"


async def has_begun(chat: Chat, question: str) -> None:
    """Return once the turn that answers ``question`` is under way."""
    while question not in await chat.transcript():  # noqa: ASYNC110  # there is nothing to await
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    asyncio.run(main())
