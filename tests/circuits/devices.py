"""Two of the eight devices, for tests that do not ask how many there are.

Every device measures a mask in each call: of a single mask, eight would measure it
eight times. That eight find the same is tested in test_mask_search and, by commands
that use all, in tests/cli.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import jax


@contextmanager
def two() -> Iterator[None]:
    few = jax.devices()[:2]
    with mock.patch.object(jax, "local_devices", return_value=few):
        yield
