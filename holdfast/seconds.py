"""How many seconds, as the command line says it: a number in a range, and nothing else.

``nan`` is a number to Python that is in no range and beyond none.
"""

import math
from typing import Any

import click


class Seconds(click.FloatRange):
    """A ``click.FloatRange`` that refuses ``nan`` as well."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number; ends the command where it is none."""
        seconds: float = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is no number of seconds.", param, ctx)
        return seconds
