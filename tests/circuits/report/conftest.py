"""A run with a known circuit, made once for all tests of the page."""

from pathlib import Path

import pytest

from tests import runs
from tests.circuits import known


@pytest.fixture(scope="session")
def run() -> Path:
    return runs.once("known", lambda folder: known.made(folder) and None) / "run"
