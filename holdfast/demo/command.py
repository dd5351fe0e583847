"""``holdfast demo`` on the command line."""

import click

from ..seconds import Seconds
from .story import tell


@click.command()
@click.option(
    "--pace",
    type=Seconds(0.05, 60),
    default=1.8,
    show_default=True,
    help="Seconds that each call of the pretended model takes.",
)
def demo(pace: float) -> int:
    """Kill a server in the middle of an agent's work and watch the work be finished."""
    return tell(pace)
