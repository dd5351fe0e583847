"""What is looked up in the journal of an invocation that need not be in memory. Decides nothing."""

from ..journal import codec, keys
from ..journal.entry import Completion
from ..objects.identity import InvocationId
from .commits import Commits


def find_completion(
    commits: Commits, id_: InvocationId, index: int
) -> tuple[int, Completion] | None:
    """The completion of command ``index``, and where it is; reads the journal from there on."""
    _, end = keys.prefix_range(keys.JOURNAL + id_)
    for key, row in commits.scan(keys.journal(id_, index + 1), end):
        entry = codec.decode_entry(row)
        if isinstance(entry, Completion) and entry.index == index:
            return int.from_bytes(key[-4:], "big"), entry
    return None
