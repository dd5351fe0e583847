"""Which code the lives of a world run: without a patch, with it, and with it taken out again.

It is taken out once no invocation is open that began without it, as the documentation says; what
was recorded with the patch goes on without it then.
"""

from random import Random
from typing import TYPE_CHECKING, Final, Literal

from holdfast.journal import codec, keys
from holdfast.journal.entry import Input
from holdfast.journal.records import decode_invocation
from holdfast.objects.identity import InvocationId

if TYPE_CHECKING:
    from .world import World

Code = Literal["before", "patched", "after"]
_OP: Final = b'"patch"'


class Patching:
    """The code of one world."""

    def __init__(self, world: "World", random: Random) -> None:
        """Draw when it changes."""
        self._world = world
        self.patched_from = random.randrange(1, 5)
        self.removed_from = self.patched_from + random.randrange(1, 3)
        # Those that were open when the patch came: they may have passed its place.
        self.old: list[bytes] | None = None
        self.is_removed = False

    def take_up(self, other: "Patching") -> None:
        """Go on as another world was."""
        self.patched_from, self.removed_from = other.patched_from, other.removed_from
        self.old, self.is_removed = other.old, other.is_removed

    def start(self, life: int) -> Code:
        """What a new process runs."""
        if life < self.patched_from:
            return "before"
        if self.old is None:
            self.old = self._find_with_patches()
        if life >= self.removed_from and not self.is_removed:
            found = self._find_with_patches()
            self.is_removed = not any(key in self.old or self._is_restarted(key) for key in found)
        if not self.is_removed:
            return "patched"
        if found := self._find_with_patches():
            self._world.ledger.count("a patch was taken out under what is open")
            self._world.ledger.tell(f"the patch is out, {len(found)} have it")
        return "after"

    def _find_with_patches(self) -> list[bytes]:
        """The rows of open invocations whose order has the place."""
        rows = self._world.memory
        open_ = [key for key, _ in rows.scan(*keys.prefix_range(keys.INVOCATION))]
        return [key for key in open_ if self._has_place(key)]

    def _has_place(self, key: bytes) -> bool:
        row = self._world.memory.get(keys.journal(InvocationId(key[1:17]), 0))
        entry = None if row is None else codec.decode_entry(row)
        return isinstance(entry, Input) and _OP in entry.argument

    def _is_restarted(self, key: bytes) -> bool:
        row = self._world.memory.get(key)
        details = None if row is None else decode_invocation(row).details
        return details is not None and bool(details.restarted_at)
