"""``python -m holdfast.testing.llm SCRIPT``: the scripted model in a process of its own.

So it outlives whatever a test kills. ``GET /requests`` tells what was asked, ``POST /release`` ends
silences. Exits with 0 on Ctrl-C and SIGTERM, with 1 when it cannot start.
"""

import asyncio
import contextlib
import signal
import sys
from pathlib import Path

import click

from ...objects.errors import InvalidArgumentError
from ...seconds import Seconds
from .bounds import REQUESTS_MAX, SECONDS_MAX, show
from .script_file import read_script
from .server import LlmServer


@click.command()
@click.argument("script", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="The address.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8089,
    show_default=True,
    help="The port to listen on; 0 takes any free one.",
)
@click.option(
    "--pace",
    type=Seconds(0, SECONDS_MAX),
    default=0,
    show_default=True,
    metavar="SECONDS",
    help="How long each piece of a message takes, which is about a word.",
)
def main(script: Path, host: str, port: int, pace: float) -> None:
    """Answer from SCRIPT, a JSON file, over OpenAI's HTTP API."""
    try:
        items = read_script(script)
        server = LlmServer(items, host=host, port=port, pace=pace)
        asyncio.run(_serve(server, f"{len(items)} replies of {script.name}"))
    except InvalidArgumentError as error:
        click.echo(f"llm: {error.message}", err=True)
        sys.exit(1)


async def _serve(server: LlmServer, what: str) -> None:
    """Serve until a signal, with a line for each request."""
    loop = asyncio.get_running_loop()
    leaving = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, leaving.set)
    async with server:
        click.echo(f"Scripted model on {server.url}, {what}")
        telling = asyncio.ensure_future(_tell(server))
        await leaving.wait()
        telling.cancel()


async def _tell(server: LlmServer) -> None:
    """A line for each request, for as long as requests are recorded."""
    told = 0
    while told < REQUESTS_MAX:
        with contextlib.suppress(TimeoutError):
            requests = await server.wait_requests(told + 1, within=SECONDS_MAX)
            for each in requests[told:]:
                reply = each.reply or "no reply in the script"
                click.echo(f"{each.number:>4}  {each.api}  {show(each.last_text)}  {reply}")
            told = len(requests)


if __name__ == "__main__":
    main()
