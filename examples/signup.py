"""A workflow: a user signs up once, and has a day to follow the link in the mail.

``run`` executes once per user name, however often it is started. It waits for a promise that a
shared handler resolves: before ``run`` waits or after, and across restarts.

    holdfast dev examples/signup.py
    curl localhost:8080/Signup/sam/run/send --json '"sam@example.com"'
    curl -X POST localhost:8080/Signup/sam/follow_link
    curl -X POST localhost:8080/Signup/sam/look
"""

import asyncio
import tempfile

from holdfast import (
    ConflictError,
    Context,
    Runtime,
    TerminalError,
    Workflow,
    handler,
    shared,
    state,
)

DAY_SECONDS = 86_400


class Signup(Workflow):
    """One per user name."""

    stage: str = state("unknown")

    @handler
    async def run(self, ctx: Context, email: str) -> str:
        self.stage = "waiting for the link to be followed"
        await ctx.run("mail", send_mail, email, ctx.key)
        try:
            async with asyncio.timeout(DAY_SECONDS):
                await ctx.promise("followed")
        except TimeoutError:
            self.stage = "forgotten"
        else:
            self.stage = "welcome"
        return f"{self.stage}, {ctx.key}"

    @shared
    async def follow_link(self, ctx: Context) -> str:
        try:
            await ctx.promise("followed").resolve("yes")
        except TerminalError:
            return "you have been here before"
        return "thank you"

    @shared
    async def look(self, ctx: Context) -> str:
        return self.stage


async def send_mail(email: str, name: str) -> None:
    """Your mail client goes here."""
    print(f"to {email}: is this you, {name}?")


async def wait_mailed(signup: Signup) -> None:
    """Look at the workflow until it waits for its user."""
    while True:
        if (await signup.look()).startswith("waiting"):
            return
        await asyncio.sleep(0.01)


async def main() -> None:
    """Sign up, try it a second time, follow the link."""
    with tempfile.TemporaryDirectory() as directory:
        async with Runtime([Signup], data_dir=directory) as runtime:
            signup = runtime.workflow(Signup, "sam")
            running = asyncio.ensure_future(signup.run("sam@example.com"))
            await wait_mailed(signup)
            try:
                await signup.run("eve@example.com")
            except ConflictError as error:
                print(error.message.partition(",")[0])
            print(await signup.follow_link())
            print(await signup.follow_link())
            print(await running)


if __name__ == "__main__":
    asyncio.run(main())
