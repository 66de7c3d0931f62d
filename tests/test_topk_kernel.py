"""The kernel that selects from rows, interpreted on a CPU, against its twin."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsetx import topk
from sparsetx.topk import kernel
from tests import kernel_counts
from tests.test_topk import PALETTES, sorted_mask, values

INTERPRETED = functools.partial(kernel.search, interpret=True)
SLOW = pytest.mark.slow
SHAPES = [
    (2, 5, 33),
    (129, 16),
    *(pytest.param(s, marks=SLOW) for s in ((3, 8), (1, 130))),
]


@functools.partial(jax.jit, static_argnums=1)
def kept(x: jax.Array, k: int) -> jax.Array:
    (found,) = topk.keep_largest_rows([x], [k], INTERPRETED)
    return found


@functools.partial(jax.jit, static_argnums=1)
def twin(x: jax.Array, k: int) -> jax.Array:
    (found,) = topk.keep_largest_rows([x], [k])
    return found


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    palette=st.integers(0, len(PALETTES) + 1),
    part=st.sampled_from([0.01, 0.25, 0.6, 1.0]),
)
def test_bit_for_bit_the_twin(
    shape: tuple[int, ...], seed: int, palette: int, part: float
) -> None:
    """Ties, both zeros, subnormals, infinities and NaN included; and by a sort."""
    x = values(seed, palette, shape, "float32")
    k = max(1, int(part * shape[-1]))
    ours, theirs = (np.asarray(f(jnp.asarray(x), k)) for f in (kept, twin))
    np.testing.assert_array_equal(ours.view(np.int32), theirs.view(np.int32))
    nonzero = ours[sorted_mask(x, k, -1)]
    assert np.count_nonzero(nonzero) == np.count_nonzero(ours)


def test_gradients_pass_through_kept_entries_also_where_they_are_zero() -> None:
    x = jnp.zeros((2, 16))
    slope = jax.grad(lambda x: jnp.sum(kept(x, 5) * 3))(x)
    np.testing.assert_array_equal(slope, [np.where(np.arange(16) < 5, 3.0, 0.0)] * 2)


def test_lanes_of_a_search_each_have_their_own() -> None:
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 2, 4, 24)), "float32")
    found = jax.vmap(lambda x: kept(x, 6))(x)
    np.testing.assert_array_equal(found, twin(x, 6))


@pytest.mark.slow
@pytest.mark.parametrize("wide", [24, 1024, 4096, 16384])
def test_the_stated_cost(wide: int) -> None:
    """That of the kernel's code, with each search's trips counted in full."""
    count = 2 * kernel.block_rows(wide)
    x = jnp.zeros((count, wide))

    def counted(trips: float) -> float:
        return kernel_counts.of(lambda x: kernel.search(x, 3), x, trips=trips)["vector"]

    # Both searches are loops of unknown length. A trip of the first is three operations
    # for an entry, and so is one of the second.
    once = counted(1) - counted(0)
    assert once == pytest.approx(2 * 3 * x.size, rel=0.02 + 12 / wide)
    whole = counted(0) + 3 * x.size * (kernel.PASSES + kernel.places(wide))
    own = kernel.cost(count, wide)
    assert own.vector == pytest.approx(whole, rel=0.02 + 12 / wide)
    assert own.bytes == 4 * x.size + 8 * count


def test_fewer_operations_than_where_each_pass_reads_the_data() -> None:
    """There, eleven passes of seven candidates, and four more for ties."""
    elsewhere = (11 + 4) * 7 * 3
    assert kernel.cost(128, 1024).vector < 128 * 1024 * elsewhere / 2


def test_blocks_fit_a_core() -> None:
    for wide in (8, 1024, 4097, 2**15):
        rows = kernel.block_rows(wide)
        assert rows % 8 == 0
        assert 4 * rows * wide <= kernel.BLOCK
    assert kernel.block_rows(1024) == kernel.ROWS
