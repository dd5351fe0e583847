"""A real server on a damaged directory: what it answers, and how it ends."""

import http.client
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.corruption.damage import Came, Damage, Judged
from tests.corruption.images import Image
from tests.crash.nursery import fork_holdfast
from tests.processes import Watched, post

EXIT_CANNOT_START = 1
EXIT_DAMAGED = 78
TARGET = Path(__file__).parent / "till.py"


def serve_damaged(damage: Damage, image: Image, scratch: Path) -> Judged:
    """Damage a copy of ``image``, serve it, and ask again for all that was answered."""
    copy = Path(tempfile.mkdtemp(dir=scratch)) / "data"
    shutil.copytree(image.path, copy)
    damage.inflict(copy)
    options = ["--data", str(copy), "--port", "0", "--admin-port", "none"]
    with fork_holdfast("serve", str(TARGET), *options, cwd=copy.parent) as server:
        came, text = _ask(server, image, Path(damage.file).name)
    shutil.rmtree(copy.parent, ignore_errors=True)
    return Judged(damage, came, text)


def _ask(server: Watched, image: Image, name: str) -> tuple[Came, str]:
    try:
        port = server.wait_port()
    except AssertionError:
        return _ended(server, Came.REFUSED, name)
    for call in image.answered:
        key = {"idempotency-key": f"pay-{call['number']}"}
        try:
            status, answer = post(port, f"/Till/{call['key']}/pay", call["number"], key)
        except (OSError, http.client.HTTPException):
            return _ended(server, Came.STOPPED, name)
        if status >= 500:
            return _ended(server, Came.STOPPED, name)
        if (status, answer) != (200, call["total"]):
            return Came.BROKEN, f"{call} is answered with {status} {answer}"
    return Came.RIGHT, ""


def _ended(server: Watched, came: Came, name: str) -> tuple[Came, str]:
    try:
        code = server.wait_exit()
    except subprocess.TimeoutExpired:
        return Came.BROKEN, f"it neither answers nor ends: {server.stderr}"
    is_format = name == "holdfast.format" and code == EXIT_CANNOT_START
    if code != EXIT_DAMAGED and not is_format:
        return Came.BROKEN, f"it ended with {code}: {server.stderr}"
    if name not in server.stderr and f"*{Path(name).suffix}" not in server.stderr:
        return Came.BROKEN, f"{name} is not named: {server.stderr}"
    return came, server.stderr
