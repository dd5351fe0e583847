"""Write the fixture of a release: a data directory with work in flight, as a kill leaves it.

    python -m tests.upgrades.record NAME [--source TREE] [--stories first second ...]

NAME becomes ``fixtures/NAME.tar.gz``. TREE is a checkout of the release, this one unless said. Do
it once for each release whose format file or rows differ from the last one's (a fragment of kind
``format`` in ``changes/`` says so), and never again: the bytes of a fixture are what that release
wrote. ``test_upgrades.py`` takes every fixture that it finds. For a new kind of row, tell its story
in a module beside ``third``, and name that in ``STORIES``; those that are there stay as they are.
"""

# ruff: noqa: T201  # a program talks to whoever started it

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FIXTURES = HERE / "fixtures"
STORIES = ("first", "second", "third", "fourth")


def record(directory: Path, source: Path, stories: tuple[str, ...]) -> None:
    """Have the release in ``source`` write ``data`` and ``seen.json`` into ``directory``."""
    # Under a name of their own: the old release has tests, too, and in ``tests`` others.
    package = directory / "path" / "upgrade_stories"
    package.mkdir(parents=True)
    for name in ("outside", "recorder", *stories):
        shutil.copyfile(HERE / f"{name}.py", package / f"{name}.py")
    (package / "__init__.py").touch()
    path = os.pathsep.join([str(source), str(directory / "path")])
    subprocess.run(
        [sys.executable, "-m", "upgrade_stories.recorder", str(directory), *stories],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
        check=True,
    )
    shutil.rmtree(directory / "path")


def pack(directory: Path, path: Path) -> None:
    """Write a recorded directory as one file, without what is of no release."""
    with tarfile.open(path, "w:gz") as archive:
        for file in sorted(directory.rglob("*")):
            if file.is_file() and not file.name.startswith("LOG") and file.name != "LOCK":
                archive.add(file, str(file.relative_to(directory)), filter=_anonymous)


def unpack(path: Path, directory: Path) -> None:
    """Make the recorded directory again."""
    with tarfile.open(path) as archive:
        if hasattr(tarfile, "data_filter"):  # Python 3.11.4 and later
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(directory)  # noqa: S202 - it is of our own making


def main() -> None:
    """As the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("name")
    parser.add_argument("--source", type=Path, default=ROOT)
    parser.add_argument("--stories", nargs="+", choices=STORIES, default=STORIES)
    options = parser.parse_args()
    path = FIXTURES / f"{options.name}.tar.gz"
    if path.exists():
        parser.error(f"{path} exists, and a fixture is never written again")
    with tempfile.TemporaryDirectory() as directory:
        record(Path(directory), options.source.resolve(), tuple(options.stories))
        pack(Path(directory), path)
    print(f"{path}: {path.stat().st_size:,} bytes")


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = 0
    return info


if __name__ == "__main__":
    main()
