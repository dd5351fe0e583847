"""How a data directory is repaired, so that a crash at any moment leaves it no worse.

    repair := copy each file that will change to holdfast.before-fix.partial/, durably
              rename that to holdfast.before-fix-<n>/, durably
              write a new CURRENT, if it named nothing
              cut the manifest
              remove the logs behind a hole, newest first, then cut the one with the hole
              make the names durable

Each step leaves a directory that ``diagnosis`` finds repairable again, or sound. So whoever died
meanwhile is followed by somebody who examines it anew, and does what is left to do; the files as
they were are then in two of the copies.
"""

import os
import shutil
from pathlib import Path

from .data_directory import DATABASE
from .diagnosis import CURRENT, Repair
from .format import sync_directory, sync_file

KEPT = "holdfast.before-fix-"
_PARTIAL = "holdfast.before-fix.partial"


def carry_out(path: Path, repair: Repair) -> Path:
    """Repair the data directory at ``path``; gives the directory in which the old files are.

    The caller holds its lock, and the repair is what ``examine`` has just found.

    Raises:
        OSError: the disk refused. What was done so far is what a crash would have left.
    """
    database = path / DATABASE
    kept = _keep(path, repair)
    if repair.manifest is not None:
        # The name of a file that RocksDB removes if it finds it.
        temporary = database / "000000.dbtmp"
        temporary.write_text(f"{repair.manifest}\n", "ascii")
        sync_file(temporary)
        temporary.replace(database / CURRENT)
        sync_directory(database)
    manifests = [each for each in repair.cuts if each[0].startswith("MANIFEST-")]
    for name, size in manifests:
        _cut(database / name, size)
    for name in repair.removed:
        (database / name).unlink()
    for name, size in repair.cuts:
        if (name, size) not in manifests:
            _cut(database / name, size)
    sync_directory(database)
    return kept


def _keep(path: Path, repair: Repair) -> Path:
    """Copy what will change; a copy that somebody has begun before is begun again."""
    partial = path / _PARTIAL
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    for name in repair.changed:
        original = path / DATABASE / name
        # A CURRENT that is to be written may be missing.
        if original.exists():
            shutil.copyfile(original, partial / name)
            sync_file(partial / name)
    sync_directory(partial)
    number = 1
    while (kept := path / f"{KEPT}{number}").exists():
        number += 1
    partial.rename(kept)
    sync_directory(path)
    return kept


def _cut(file: Path, size: int) -> None:
    os.truncate(file, size)
    sync_file(file)
