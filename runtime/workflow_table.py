"""The state of a workflow as its shared handlers read it: none, once the workflow is forgotten.

Rows of a forgotten workflow may be there for a while, and fewer and fewer of them. A shared handler
may begin meanwhile, or have begun before.
"""

from .state_table import Rows, StateTable
from .workflows import is_forgotten


class WorkflowTable(StateTable):
    """The state rows of all workflows, for those who only read."""

    def read_field(self, object_: bytes, name: str) -> Rows:
        """As ``StateTable.read_field``."""
        rows = super().read_field(object_, name)
        return {} if rows and is_forgotten(self._commits, object_) else rows

    def names(self, object_: bytes) -> set[str]:
        """As ``StateTable.names``."""
        names = super().names(object_)
        return set() if names and is_forgotten(self._commits, object_) else names
