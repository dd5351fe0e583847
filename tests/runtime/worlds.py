"""The world that the runtime's tests run in is the one that users get."""

from holdfast.testing.worlds import World

__all__ = ["World"]
