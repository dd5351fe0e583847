"""What the figures were measured on; printed beside them, because they mean nothing without it."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .harness import fsync_seconds, median

PACKAGES = ("aiohttp", "msgpack", "msgspec", "rocksdict", "uvloop")

_IN_MEMORY = {"tmpfs", "ramfs"}


def describe_machine(directory: Path, load_generator: str) -> dict[str, str]:
    """Names and values, in the order in which they are printed."""
    file_system = _file_system(directory)
    if file_system in _IN_MEMORY:
        file_system += " (in memory: fsync costs nothing; choose a disk with --directory)"
    fsync_us = median(fsync_seconds(directory)) * 1e6
    return {
        "when": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        "file system": f"{file_system} at {directory}",
        "one fsync": f"{fsync_us:.0f} us (200 bytes and fdatasync, median of 100)",
        "load before": f"{os.getloadavg()[0]:.2f} (others at work make every figure worse)",
        "load generator": load_generator,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "is missing"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"model name", "Model"}:
            return value.strip()
    return platform.machine()


def _file_system(directory: Path) -> str:
    """The type of the mount that holds ``directory``: the longest mount point above it."""
    path = directory.resolve()
    found = (Path("/"), "?")
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, point, kind, *_ = line.split()
        mount = Path(point)
        if path.is_relative_to(mount) and len(mount.parts) >= len(found[0].parts):
            found = (mount, kind)
    return found[1]
