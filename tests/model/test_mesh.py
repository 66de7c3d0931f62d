"""Selection on sharded arrays: the same bits, and nothing but counts is exchanged."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from sparsetx import topk
from sparsetx.config import MeshConfig
from sparsetx.model import mesh
from sparsetx.projection import project_matrix
from tests.collectives import collectives
from tests.test_topk import values

SHAPE = (1024, 512)
LARGEST_RESULT = 64 * 1024  # bytes


def spread(x: Any, devices: int, axis: int) -> jax.Array:
    mesh = jax.make_mesh((devices,), ("shard",), axis_types=(AxisType.Auto,))
    spec = [None] * x.ndim
    spec[axis] = "shard"
    return jax.device_put(x, NamedSharding(mesh, PartitionSpec(*spec)))


def compile_and_run(f: Any, *args: Any) -> tuple[Any, jax.Array]:
    compiled = jax.jit(f).lower(*args).compile()
    return compiled, compiled(*args)


# Palettes of values: 2 is mostly zeros, 8 has ties, 9 has none.
QUICK = [*itertools.product((2, 8), (0, 1), [8]), (1, 0, 8), (4, 0, 2), (4, 1, 9),
         (8, 0, 9), (8, 1, 2)]  # fmt: skip
GRID = [
    pytest.param(*one, marks=[] if one in QUICK else pytest.mark.slow)
    for one in itertools.product((1, 2, 4, 8), (0, 1), (2, 8, 9))
]


@pytest.mark.parametrize(("devices", "axis", "palette"), GRID)
def test_projection(devices: int, axis: int, palette: int) -> None:
    """Bit-equal on any number of devices, over either axis; no matrix travels."""
    w = values(0, palette, SHAPE, "float32")

    def project(w: jax.Array, k: jax.Array) -> jax.Array:
        return project_matrix(w, k, alive=4, neuron_axis=1)

    compiled, projected = compile_and_run(project, spread(w, devices, axis), 9_000)
    np.testing.assert_array_equal(
        np.asarray(projected).view("u4"),
        np.asarray(jax.jit(project)(jnp.asarray(w), 9_000)).view("u4"),
    )
    found = collectives(compiled)
    assert (devices > 1) == bool(found), "a sharded selection must exchange counts"
    assert max((size for _, size in found), default=0) <= LARGEST_RESULT, found
    shard = w.nbytes // devices
    temporary = compiled.memory_analysis().temp_size_in_bytes
    assert temporary < 2 * shard, f"{temporary} bytes beside a shard of {shard}"


@pytest.mark.parametrize("axis", [0, 1])
def test_activations_sharded_over_tokens_exchange_nothing_large(axis: int) -> None:
    x = values(1, 9, SHAPE, "float32")
    compiled, kept = compile_and_run(
        lambda x: topk.keep_largest(x, 128, axis=-1), spread(x, 8, axis)
    )
    np.testing.assert_array_equal(kept, topk.keep_largest(jnp.asarray(x), 128, axis=-1))
    assert max(size for _, size in collectives(compiled)) <= LARGEST_RESULT


def test_the_check_sees_a_gather() -> None:
    """A selection by sorting moves the whole array; the check above must notice."""
    x = spread(values(2, 9, SHAPE, "float32"), 8, 0)
    compiled, _ = compile_and_run(
        lambda x: jnp.where(jnp.abs(x) >= jnp.sort(jnp.abs(x).ravel())[-9_000], x, 0), x
    )
    assert max(size for _, size in collectives(compiled)) > LARGEST_RESULT


def test_only_a_tpu_is_told_to_gather_weights() -> None:
    assert mesh.compiler_options() == mesh.compiler_options("gpu") == {}
    assert mesh.compiler_options("tpu") == {mesh.WINDOWED: mesh.NEVER}
    here = mesh.make(MeshConfig(), 8)
    assert mesh.platform_of(here) == "cpu"
