"""One directory to damage for all tests; each damages copies."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.corruption.images import Image, make_image, memory_directory


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """A directory with work in flight, as a killed process left it."""
    return make_image(tmp_path_factory.mktemp("corruption"))


@pytest.fixture
def scratch() -> Iterator[Path]:
    """An empty directory without a disk, if the machine has such: no start here needs one."""
    path = Path(tempfile.mkdtemp(prefix="holdfast-corruption-", dir=memory_directory()))
    yield path
    shutil.rmtree(path)
