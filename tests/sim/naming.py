"""State by name: what handlers store, read and forget; ``stored`` looks at it later."""

from typing import Any, Final

from holdfast import Context

NAMES: Final = ("first", "second")
OPS: Final = frozenset({"set", "grow", "get", "clear", "keys"})


def use(ctx: Context, kind: str, name: str, mark: str) -> Any:
    """Do one of them; gives what the handler has seen, as a copy."""
    match kind:
        case "set":
            ctx.set(name, mark)
            return mark
        case "grow":
            value: Any = ctx.get(name)
            if isinstance(value, str | None):
                ctx.set(name, [mark])
                return [mark]
            value.append(mark)
            return [*value]
        case "clear":
            ctx.clear(name)
            return None
        case "keys":
            return {"keys": [each for each in ctx.keys() if each in NAMES]}  # noqa: SIM118  # no dict
        case _:
            # By a type that has no place for nothing.
            value = ctx.get(name, list[str] | str)
            return value if isinstance(value, str | None) else [*value]
