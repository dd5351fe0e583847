"""A PostgreSQL of its own for one benchmark, with the settings that Debian's package ships."""

import contextlib
import os
import pwd
import subprocess
from collections.abc import Generator
from pathlib import Path

from .harness import BenchmarkError
from .processes import free_port, running, wait_until

_MUST_BE_ON = ("fsync", "synchronous_commit", "full_page_writes")


@contextlib.contextmanager
def postgres(programs: Path, directory: Path) -> Generator[tuple[str, int]]:
    """The URL of an empty database, and the process; it is checked that it is durable."""
    user = _user()
    place = directory / "postgres"
    place.mkdir(mode=0o700)
    if user is not None:
        # Its server refuses to run as root.
        os.chown(place, pwd.getpwnam(user).pw_uid, -1)
    data = place / "data"
    initdb = [str(programs / "initdb"), "-D", str(data), "-U", "bench", "-A", "trust"]
    _run(initdb, user)
    port = free_port()
    command = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-k", str(place)]
    log = directory / "postgres.log"
    arguments = ["-h", str(place), "-p", str(port), "-U", "bench"]
    with running([*command, "-c", "listen_addresses=127.0.0.1"], log, user=user) as process:
        is_ready = [str(programs / "pg_isready"), "-q", *arguments]
        wait_until(
            lambda: subprocess.run(is_ready, check=False, timeout=10).returncode == 0, process, log
        )
        _run([str(programs / "createdb"), *arguments, "bench"], user)
        ask = [str(programs / "psql"), *arguments, "-At", "-c"]
        for name in _MUST_BE_ON:
            setting = _run([*ask, f"SHOW {name}", "bench"], user)
            if setting != "on":
                message = f"PostgreSQL has {name} = {setting}, so it would be measured not durable"
                raise BenchmarkError(message)
        yield f"postgresql://bench@127.0.0.1:{port}/bench", process.pid


def _user() -> str | None:
    """Who runs it: we, or when we are root, the user that the package made for it."""
    return "postgres" if os.geteuid() == 0 else None


def _run(command: list[str], user: str | None) -> str:
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, user=user, cwd="/"
    )
    if ended.returncode:
        message = f"{command[0]} failed: {(ended.stderr or ended.stdout).strip()[-500:]}"
        raise BenchmarkError(message)
    return ended.stdout.strip()
