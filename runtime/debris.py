"""What was deleted and still takes disk space, whichever process has deleted it.

Rows that are deleted take space until they are compacted away, which pays once there is enough of
them. A process that is killed or stopped before that leaves the rest to the next one, so how much
it is, and how far it reaches, is a row.
"""

from ..journal import keys
from ..journal.records import DebrisRecord, decode_debris
from ..objects.identity import InvocationId
from .commits import Commits

_ROW = keys.meta("debris")

STEP_BYTES = 1 << 20
"""The row follows in steps of this size, so a crash loses count of less."""


class Debris:
    """Counts bytes of deleted rows until they are compacted away."""

    def __init__(self, commits: Commits) -> None:
        """Begin with what the last process left."""
        self._commits = commits
        row = commits.get(_ROW)
        # Nobody compacts it yet.
        self._fresh = DebrisRecord() if row is None else decode_debris(row)
        # What is being compacted.
        self._taken = DebrisRecord()
        self._written_bytes = self._fresh.size

    @property
    def fresh_bytes(self) -> int:
        """Of keys and values that were deleted and that no compaction has been told of."""
        return self._fresh.size

    def add(self, size: int) -> None:
        """Rows of so many bytes are deleted in this turn."""
        self._fresh.size += size
        self.write_down()

    def reach(self, id_: InvocationId) -> None:
        """Rows of this invocation are deleted in this turn."""
        self._fresh.latest = max(self._fresh.latest, id_)

    def reach_workflows(self) -> None:
        """State and promises of a workflow are deleted in this turn."""
        self._fresh.has_workflows = True

    def take_ranges(self) -> list[tuple[bytes, bytes]]:
        """Where rows were deleted since the last call, for a compaction that is told of its end.

        Outcomes and journals sort by acceptance, so mostly the front of them; undo rows and
        idempotency keys sort by object, and may be anywhere.
        """
        taken, self._fresh = self._fresh, DebrisRecord()
        self._taken = taken
        until, tables = taken.latest + b"\xff", [keys.UNDO, keys.IDEMPOTENCY]
        if taken.has_workflows:
            tables += [keys.STATE, keys.PROMISE]
        return [
            (keys.OUTCOME, keys.OUTCOME + until),
            (keys.JOURNAL, keys.JOURNAL + until),
            *map(keys.prefix_range, tables),
        ]

    def is_gone(self) -> None:
        """What was taken is compacted away; the next round writes that down."""
        self._taken = DebrisRecord()

    def write_down(self) -> None:
        """Stage what the next start is to know, if that has become another much."""
        fresh, taken = self._fresh, self._taken
        total = fresh.size + taken.size
        if abs(total - self._written_bytes) < STEP_BYTES:
            return
        self._written_bytes = total
        row = DebrisRecord(
            size=total,
            latest=max(fresh.latest, taken.latest),
            has_workflows=fresh.has_workflows or taken.has_workflows,
        )
        self._commits.put(_ROW, row.encode())
