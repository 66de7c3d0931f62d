"""A checkout for the whole folder, and a fresh cloud for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tpu.cloud import Cloud, checkout


@pytest.fixture(scope="session")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout(tmp_path_factory.mktemp("code") / "sparse tx")


@pytest.fixture
def cloud(tmp_path: Path, code: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path / "cloud", code)
    yield made
    made.clean()
