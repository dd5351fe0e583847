"""One data directory belongs to one store of one process."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import holdfast
from holdfast.journal.rocks import RocksStore
from holdfast.objects.errors import StoreLockedError

IMPORTABLE = {**os.environ, "PYTHONPATH": str(Path(holdfast.__file__).parent.parent)}

OPEN_ELSEWHERE = """
import sys
from holdfast.journal.rocks import RocksStore
from holdfast.objects.errors import StoreLockedError
try:
    RocksStore(sys.argv[1], ballast_bytes=0).close()
except StoreLockedError as refused:
    print(refused)
else:
    print("opened")
"""

FORK = """
import gc, os, sys
from holdfast.journal.rocks import RocksStore
from holdfast.objects.errors import StoreFailedError

path, tide_mark = sys.argv[1:]
store = RocksStore(path, ballast_bytes=0, tide_mark=tide_mark)
store.write({b"parent": b"1"})


ready, go = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    refused = 0
    for use in (
        lambda: store.get(b"parent"),
        lambda: store.write({b"child": b"1"}),
        lambda: store.sync(),
        lambda: store.maintain(),
        lambda: list(store.scan(b"", None)),
    ):
        try:
            use()
        except StoreFailedError as error:
            refused += "forked child" in str(error)
    store.close()
    del store, use
    gc.collect()  # RocksDB's destructor would wait for threads that are not here
    os.write(ready[1], b"%d" % refused)
    os.read(go[0], 1)
    os._exit(0)
print("refused", os.read(ready[0], 9).decode())
store.write({b"later": b"1"})
store.sync()
store.close()
store = RocksStore(path, ballast_bytes=0)
print("reopened with", [key.decode() for key, _ in store.scan(b"", None)])
store.close()
os.write(go[1], b"x")
print("child ended with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def run(program: str, *arguments: str) -> str:
    """What a program says on its standard output; it must end well and soon."""
    return subprocess.run(
        [sys.executable, "-P", "-c", program, *arguments],
        env=IMPORTABLE,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_the_same_process_cannot_open_a_directory_twice(data_dir: Path) -> None:
    store = RocksStore(data_dir, ballast_bytes=0)

    with pytest.raises(StoreLockedError, match=f"{data_dir}.*this process.*{os.getpid()}"):
        RocksStore(data_dir, ballast_bytes=0)
    store.close()


def test_another_path_to_the_same_directory_is_the_same_directory(data_dir: Path) -> None:
    store = RocksStore(data_dir, ballast_bytes=0)
    alias = data_dir.with_name("alias")
    alias.symlink_to(data_dir)

    with pytest.raises(StoreLockedError, match=str(data_dir)):
        RocksStore(alias, ballast_bytes=0)
    store.close()


def test_another_process_is_refused_and_told_who_has_it(data_dir: Path) -> None:
    store = RocksStore(data_dir, ballast_bytes=0)

    said = run(OPEN_ELSEWHERE, str(data_dir))

    assert said.startswith("[HF0031]")
    assert str(data_dir) in said
    assert f"pid {os.getpid()}" in said
    store.close()


def test_copying_an_open_directory_does_not_let_another_process_in(data_dir: Path) -> None:
    """RocksDB's own lock is lost as soon as this process closes any handle of its LOCK file."""
    store = RocksStore(data_dir, ballast_bytes=0)
    shutil.copytree(data_dir, data_dir.with_name("copy"))

    assert run(OPEN_ELSEWHERE, str(data_dir)).startswith("[HF0031]")
    store.close()


def test_a_refused_open_does_not_disturb_the_holder(data_dir: Path) -> None:
    store = RocksStore(data_dir, ballast_bytes=0)
    store.write({b"a": b"1"})
    with pytest.raises(StoreLockedError):
        RocksStore(data_dir, ballast_bytes=0)
    store.write({b"b": b"1"})
    store.sync()

    assert run(OPEN_ELSEWHERE, str(data_dir)).startswith("[HF0031]")
    store.close()


def test_a_closed_directory_is_free(data_dir: Path) -> None:
    RocksStore(data_dir, ballast_bytes=0).close()

    assert run(OPEN_ELSEWHERE, str(data_dir)) == "opened\n"
    RocksStore(data_dir, ballast_bytes=0).close()


@pytest.mark.parametrize("tide_mark", ["overlapped", "strict"])
def test_a_forked_child_can_use_nothing_and_holds_nothing(data_dir: Path, tide_mark: str) -> None:
    said = run(FORK, str(data_dir), tide_mark)

    assert said.splitlines() == [
        "refused 5",
        "reopened with ['later', 'parent']",
        "child ended with 0",
    ]
