"""Attention in pieces, against attention with its whole pattern."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx import model, nodes, taps
from sparsetx.config import ModelConfig
from sparsetx.model import kernels
from sparsetx.model.kernels import attention_pieces
from tests.model.kernels.test_attention_kernel import (
    Arrays,
    drawn,
    results,
    twin,
    worst,
)
from tests.small import FEW, params_of

LONG = dataclasses.replace(FEW, context=attention_pieces.WORTH_TOKENS)
TOKENS = jnp.asarray(np.random.default_rng(3).integers(0, 37, (2, LONG.context)))


@pytest.mark.parametrize("shape", [(2, 64, 3, 6), (1, 70, 2, 16), (1, 2, 1, 4)])
@pytest.mark.parametrize("sink", [True, False])
@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_values_and_gradients(
    shape: tuple[int, int, int, int], sink: bool, kind: str
) -> None:
    d_head = shape[-1]
    given = drawn(*shape, sink)

    def ours(
        q: jax.Array, k: jax.Array, v: jax.Array, s: jax.Array | None
    ) -> jax.Array:
        return attention_pieces.attention(q, k, v, s, d_head).astype(q.dtype)

    def theirs(
        q: jax.Array, k: jax.Array, v: jax.Array, s: jax.Array | None
    ) -> jax.Array:
        return twin(q, k, v, s, d_head)

    found: tuple[Arrays, Arrays] = (
        results(ours, *given, kind), results(theirs, *given, kind)
    )  # fmt: skip
    assert max(worst(*found)) < (1e-5 if kind == "float32" else 0.05)


def test_large_scores_and_a_large_sink_do_not_overflow() -> None:
    scores = jnp.array([[[[1e4, -1e4, -jnp.inf]]]])
    for sink in (-jnp.inf, 0.0, 2e4):
        share = attention_pieces.shares(scores, jnp.full((1, 1, 1, 1), sink))
        wanted = 0.0 if sink > 1e4 else 1.0
        np.testing.assert_array_equal(share[0, 0, 0], [wanted, 0.0, 0.0])
        slope = jax.grad(lambda s, k: attention_pieces.shares(s, k)[..., 0].sum())
        assert np.isfinite(slope(scores, jnp.full((1, 1, 1, 1), sink))).all()


def attends(config: ModelConfig, tap: taps.Tap, length: int) -> kernels.Attend:
    return kernels.attention(config, tap, length)


def test_where_nothing_looks_at_the_pattern_of_many_tokens() -> None:
    few, many = LONG.context - 1, LONG.context
    seen = taps.capture([nodes.ATTN_PATTERN])
    assert attends(LONG, taps.IDENTITY, many) == "pieces"
    assert attends(LONG, taps.capture([nodes.FINAL]), many) == "pieces"
    assert attends(LONG, seen, many) == "no"
    assert attends(LONG, taps.IDENTITY, few) == "no"
    off = dataclasses.replace(LONG, kernels=False)
    assert attends(off, taps.IDENTITY, many) == "no"


def test_a_model_says_the_same_with_and_without() -> None:
    params = params_of(LONG)
    ways = [dataclasses.replace(LONG, kernels=used) for used in (True, False)]
    ours, theirs = (model.apply(config, params, TOKENS) for config in ways)
    assert np.abs(ours - theirs).max() < 1e-4
