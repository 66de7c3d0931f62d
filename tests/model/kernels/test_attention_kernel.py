"""The attention kernel, interpreted on a CPU, against its twin in the model."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax.sharding import AxisType

from sparsetx.model.block import attention_pattern, contract
from sparsetx.model.kernels import attention_kernel
from sparsetx.model.kernels.plan import LANES, Plan
from tests import kernel_counts

Arrays = list[jax.Array]


def twin(
    q_BLC: jax.Array, k_BLC: jax.Array, v_BLC: jax.Array, sink_H: Any, d_head: int
) -> jax.Array:
    q, k, v = (
        x.reshape(*x.shape[:2], x.shape[2] // d_head, d_head)
        for x in (q_BLC, k_BLC, v_BLC)
    )
    pattern = attention_pattern(q, k, sink_H).astype(q.dtype)
    mix = contract("BHLM,BMHA->BLHA", pattern, v)
    return mix.reshape(q_BLC.shape).astype(q_BLC.dtype)


def drawn(
    batch: int, length: int, n_head: int, d_head: int, sink: bool, large: float = 1.5
) -> tuple[Arrays, jax.Array | None, jax.Array]:
    """q, k, v; the sink; and the gradient of the result."""
    rng = np.random.default_rng(length + 7 * n_head + 31 * d_head)
    shape = batch, length, n_head * d_head
    *qkv, grad = (
        jnp.asarray(rng.normal(size=shape) * large, "float32") for _ in "qkvg"
    )
    sink_H = jnp.asarray(rng.normal(size=n_head), "float32") if sink else None
    return qkv, sink_H, grad


@functools.partial(jax.jit, static_argnums=(0, 4))
def results(f: Any, qkv: Arrays, sink_H: Any, grad: jax.Array, kind: str) -> Arrays:
    """The result and all gradients, as float32; one program for each function."""
    y, backwards = jax.vjp(f, *[x.astype(kind) for x in qkv], sink_H)
    found = [y, *backwards(grad.astype(kind))]
    return [x.astype("float32") for x in found if x is not None]


def both(
    shape: tuple[int, int, int, int], sink: bool, kind: str, large: float = 1.5
) -> tuple[Arrays, Arrays]:
    d_head = shape[-1]
    given = drawn(*shape, sink, large)

    def ours(q: Any, k: Any, v: Any, sink_H: Any) -> jax.Array:
        mix: jax.Array = attention_kernel.attention(q, k, v, sink_H, d_head, True)
        return mix

    def theirs(q: Any, k: Any, v: Any, sink_H: Any) -> jax.Array:
        return twin(q, k, v, sink_H, d_head)

    return results(ours, *given, kind), results(theirs, *given, kind)


def worst(found: Arrays, wanted: Arrays) -> list[float]:
    """The largest difference of each, as a part of the largest that is wanted."""
    return [
        float(np.abs(x - y).max() / np.abs(y).max())
        for x, y in zip(map(np.asarray, found), map(np.asarray, wanted), strict=True)
    ]


MORE = [
    (2, 12, 3, 6),  # heads of fewer channels than a register has rows
    (1, 130, 9, 16),  # two tiles, two blocks, both with padding
    (1, 17, 5, 8),
    (1, 128, 8, 16),  # one tile, one block
    (2, 300, 2, 64),
    (1, 40, 3, 24),  # channels are padded to a power of two
    (1, 257, 1, 128),
]
SHAPES = [*MORE[:3], *(pytest.param(one, marks=pytest.mark.slow) for one in MORE[3:])]


@pytest.mark.parametrize("shape", SHAPES)
def test_float32_agrees_to_rounding(shape: tuple[int, int, int, int]) -> None:
    """Result and gradients, with and without a sink."""
    sink = shape[1] % 2 == 0
    ours, theirs = both(shape, sink, "float32")
    assert len(ours) == (5 if sink else 4)
    assert max(worst(ours, theirs)) < 5e-6


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 130, 9, 16), (2, 64, 3, 8), (1, 140, 1, 128)])
def test_bfloat16_is_as_near_to_the_truth_as_the_twin(
    shape: tuple[int, int, int, int],
) -> None:
    """Of the same rounded inputs, float32 arithmetic is the truth. (The twin's own
    gradients are products of float32 here, where the kernel's are of bfloat16.)"""
    qkv, sink_H, grad = drawn(*shape, sink=True)
    rounded = [x.astype("bfloat16").astype("float32") for x in (*qkv, grad)]
    d_head = shape[-1]
    exact = results(
        lambda *x: twin(*x, d_head), rounded[:3], sink_H, rounded[3], "float32"
    )
    ours, theirs = both(shape, True, "bfloat16")
    for own, other in zip(worst(ours, exact), worst(theirs, exact), strict=True):
        assert own < max(2 * other, 0.008)  # two units in the last place


@pytest.mark.slow
@settings(max_examples=4, deadline=None)
@given(
    length=st.integers(1, 150),
    n_head=st.integers(1, 5),
    d_head=st.sampled_from([5, 8, 16, 32]),
    sink=st.booleans(),
)
@example(length=1, n_head=1, d_head=8, sink=True)
def test_any_shape(length: int, n_head: int, d_head: int, sink: bool) -> None:
    ours, theirs = both((1, length, n_head, d_head), sink, "float32")
    for own, other in zip(ours, theirs, strict=True):
        scale = float(jnp.abs(other).max()) + 1  # gradients of one token cancel out
        np.testing.assert_allclose(own, other, atol=1e-5 * scale)


def test_scores_far_apart_stay_finite() -> None:
    """Exponentials of hundreds: maxima are taken off first, tile after tile."""
    ours, theirs = both((1, 260, 2, 16), True, "float32", large=20.0)
    assert all(bool(jnp.isfinite(x).all()) for x in ours)
    assert max(worst(ours, theirs)) < 5e-4  # scores of a thousand, to seven digits


def test_a_sink_of_minus_infinity_is_none() -> None:
    qkv, _, _ = drawn(1, 40, 2, 16, sink=False)
    nothing = jnp.full(2, -jnp.inf)
    found = [attention_kernel.attention(*qkv, s, 16, True) for s in (None, nothing)]
    np.testing.assert_array_equal(*found)


def test_nothing_is_read_of_later_tokens() -> None:
    """Of a NaN in a later tile nothing is computed; in the same tile it is the twin's:
    zero times NaN."""
    (q, k, v), _, _ = drawn(1, 200, 1, 16, sink=False)
    k, v = (x.at[:, 150].set(jnp.nan) for x in (k, v))
    mix = attention_kernel.attention(q, k, v, None, 16, True)
    assert bool(jnp.isfinite(mix[:, :128]).all())
    assert bool(jnp.isnan(mix[:, 150:]).all())


@pytest.mark.slow
@pytest.mark.parametrize("sink", [False, True])
def test_every_device_does_its_own_sequences(sink: bool) -> None:
    """Under a mesh of data x fsdp, gradients too; the sink's is summed over all."""
    qkv, sink_H, grad = drawn(8, 24, 2, 16, sink)

    def ours(q: Any, k: Any, v: Any, sink_H: Any) -> jax.Array:
        mix: jax.Array = attention_kernel.attention(q, k, v, sink_H, 16, True)
        return mix

    def whole(*qkv: jax.Array) -> Arrays:
        return results(ours, list(qkv), sink_H, grad, "float32")

    alone = whole(*qkv)
    axes = (AxisType.Auto, AxisType.Auto)
    devices = jax.make_mesh((2, 4), ("data", "fsdp"), axis_types=axes)
    with jax.set_mesh(devices):
        spread = jax.jit(whole)
        found = spread(*qkv)
        text = spread.lower(*qkv).compile().as_text()
    assert max(worst(found, alone)) < 1e-6
    assert "all-gather" not in text


def test_lanes_of_a_search_each_have_their_own() -> None:
    """vmap adds an axis to the grid."""
    qkv, sink_H, _ = drawn(3, 20, 2, 16, sink=True)
    lanes = [jnp.stack([x, 2 * x]) for x in qkv]

    def ours(q: Any, k: Any, v: Any) -> jax.Array:
        mix: jax.Array = attention_kernel.attention(q, k, v, sink_H, 16, True)
        return mix

    found = jax.vmap(ours)(*lanes)
    for i, own in enumerate(found):
        np.testing.assert_allclose(own, ours(*[x[i] for x in lanes]), rtol=1e-6)


COUNTED = [
    (2, 256, 64, 16, "bfloat16"),
    (1, 384, 8, 16, "float32"),
    (1, 1024, 4, 128, "bfloat16"),
    (1, 256, 16, 8, "bfloat16"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("batch", "length", "n_head", "d_head", "kind"), COUNTED)
def test_the_stated_cost(
    batch: int, length: int, n_head: int, d_head: int, kind: str
) -> None:
    """Passes and vector operations are those of the kernel's own code; products those
    of the twin, of the tiles that causality leaves, and scores once more backwards."""
    x = jnp.zeros((batch, length, n_head * d_head), kind)
    plan = Plan.of(x, d_head)
    totals = jnp.zeros((batch, plan.blocks, plan.heads, plan.length))
    trips = (plan.tiles - 1) / 2

    def forwards(x: jax.Array) -> Any:
        return attention_kernel.forward(plan, x, x, x, None)

    def backwards(x: jax.Array, totals: jax.Array) -> Any:
        return attention_kernel.backward(plan, x, x, x, x, totals, x)

    square = batch * n_head * length**2
    left = (plan.tiles + 1) / (2 * plan.tiles)
    exact = 6 if kind == "float32" else 1
    calls = [(forwards, (x,), 2), (backwards, (x, totals), 5)]
    for f, args, dots in calls:
        counted = kernel_counts.of(f, *args, trips=trips)
        own = attention_kernel.cost(plan, f is forwards)
        assert own.passes == counted["passes"]
        assert own.vector == pytest.approx(counted["vector"], rel=0.02)
        assert own.transcendental == pytest.approx(counted["exp"], rel=0.02)
        assert own.products == pytest.approx(left * dots * 2 * square * d_head)
        assert own.passes / own.products == LANES / d_head * exact


def test_the_twin_has_the_products_that_are_stated() -> None:
    """Counted of the twin's compiled program: two products of the whole square."""
    qkv, _, _ = drawn(1, 256, 8, 16, sink=False)
    compiled = jax.jit(lambda *x: twin(*x, None, 16)).lower(*qkv).compile()
    own = attention_kernel.cost(Plan.of(qkv[0], 16), True)
    from sparsetx.aot import operation_counts

    counted = operation_counts.tally(compiled.as_text()).products
    assert own.products == counted * 3 / 4  # of four tiles, causality leaves three
