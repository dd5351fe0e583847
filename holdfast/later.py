"""Groups of commands: one that names what comes near, one that loads what it is asked for."""

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click


class Commands(click.Group):
    """Says what there is to whoever asks for what there is not."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As the group it is made from.

        Raises:
            click.UsageError: there is no such command.
        """
        name, known = args[0], self.list_commands(ctx)
        if name not in known and not name.startswith("-"):
            near = get_close_matches(name[:80], known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(known)}"
            ctx.fail(f"there is no command {name!r:.80} of {ctx.command_path!r}; {hint}")
        return super().resolve_command(ctx, args)


class LaterCommands(Commands):
    """Knows its commands by name; what one of them needs is loaded when that one is run.

    To list them all with what they do, all are loaded.
    """

    def __init__(self, *args: Any, modules: Mapping[str, str], **kwargs: Any) -> None:
        """Load nothing yet.

        Args:
            args: as for any group.
            kwargs: as for any group.
            modules: for each command the module of this package that has it, under its name.
        """
        super().__init__(*args, **kwargs)
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """All of them, in the order of names."""
        return sorted(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        """The command, or ``None`` where there is none of this name."""
        module = self._modules.get(cmd_name)
        if module is None:
            return None
        command = getattr(import_module(f".{module}", __package__), cmd_name)
        assert isinstance(command, click.Command), f"{module} has another {cmd_name}"
        return command
