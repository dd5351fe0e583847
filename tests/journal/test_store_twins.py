"""The two stores, given the same operations, are the same map."""

import tempfile
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.journal.memory import MemoryStore
from holdfast.journal.rocks import RocksStore

keys = st.binary(max_size=3)
batches = st.dictionaries(keys, st.none() | st.binary(max_size=4), max_size=6)


@dataclass(frozen=True)
class Write:
    batch: dict[bytes, bytes | None]


@dataclass(frozen=True)
class Scan:
    start: bytes
    end: bytes | None
    reverse: bool


@dataclass(frozen=True)
class Get:
    key: bytes


operations = st.lists(
    st.one_of(
        st.builds(Write, batches),
        st.builds(Scan, keys, st.none() | keys, st.booleans()),
        st.builds(Get, keys),
        st.sampled_from(["sync", "compact", "reopen"]),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(operations=operations)
def test_any_operations_give_the_same_in_memory_and_on_disk(
    operations: list[Write | Scan | Get | str],
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        memory = MemoryStore()
        rocks = RocksStore(directory, ballast_bytes=0, durability="process")
        try:
            for operation in operations:
                match operation:
                    case Write(batch):
                        assert rocks.write(batch) == memory.write(batch)
                    case Scan(start, end, reverse):
                        assert list(rocks.scan(start, end, reverse=reverse)) == list(
                            memory.scan(start, end, reverse=reverse)
                        )
                    case Get(key):
                        assert rocks.get(key) == memory.get(key)
                    case "sync":
                        assert rocks.sync() == memory.sync()
                    case "compact":
                        rocks.compact(b"", None)
                    case _:
                        rocks.close()
                        rocks = RocksStore(directory, ballast_bytes=0, durability="process")
                        memory = memory.crash(keep_written=True)
                        assert rocks.epoch == memory.epoch
            assert list(rocks.scan(b"", None)) == list(memory.scan(b"", None))
        finally:
            rocks.close()
