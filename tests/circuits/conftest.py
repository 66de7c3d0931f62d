"""Tests of circuits measure on two devices, which is quicker than on eight."""

from collections.abc import Iterator

import pytest

from tests.circuits import devices


@pytest.fixture(autouse=True, scope="module")
def two_devices() -> Iterator[None]:
    with devices.two():
        yield
