"""Imported by a nursery, it takes the syncs of small files and directories from its servers."""

import os
from typing import Any

import holdfast.cli  # noqa: F401  # a nursery imports one module, and this is what it needs


def _forget(file: Any) -> None:
    """Say that it is on disk."""


os.fsync = _forget
os.fdatasync = _forget
