"""Imported by a nursery, it takes the syncs of small files and directories from its servers."""

import importlib
import os
from typing import Any

importlib.import_module(
    "holdfast.serving_command"
)  # A nursery imports one module; its servers need this one.


def _forget(fd: Any) -> None:
    """Say that it is on disk."""


os.fsync = _forget
os.fdatasync = _forget
