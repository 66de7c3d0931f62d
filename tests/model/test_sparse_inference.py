"""Sparse inference against `model.apply`, at weights with zeros and every option."""

import dataclasses
import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsetx import model, nodes
from sparsetx.config import ModelConfig
from sparsetx.model import parameters, sparse_inference
from sparsetx.topk import columns, keep_largest
from tests.small import FEW, SMALL, TOKENS, params_of

PLAIN = ModelConfig(
    vocab_size=37, context=12, n_layer=2, d_model=24, n_head=3, d_head=8, d_mlp=48,
    afrac=None,
)  # fmt: skip
CONFIGS = {
    "every option": SMALL,
    "plain": PLAIN,
    "gelu and AbsTopK": dataclasses.replace(PLAIN, afrac=0.25),
    "relu": dataclasses.replace(PLAIN, activation="relu", residual="relu", afrac=0.5),
    "added positions": dataclasses.replace(PLAIN, positions="added", sink=True),
    "selected residual": dataclasses.replace(
        PLAIN, afrac=0.5, afrac_sites=(nodes.RESID_POST_ATTN, nodes.MLP_IN)
    ),
}


def thinned(config: ModelConfig, part: float, seed: int, step: float = 0) -> Any:
    """`part` of every matrix; some of its columns and rows are zero. With a `step`,
    weights are multiples of it, and there are ties."""
    rng = np.random.default_rng(seed)
    params, found = params_of(config), {}
    for p in parameters.table(config):
        x = np.array(dict(parameters.leaves(params))[p.path])
        if p.kind == "matrix":
            x[rng.random(x.shape) >= part] = 0
            x[..., rng.random(x.shape[-1]) < 0.1] = 0
        if step:  # with gains of one, or what ties is decided by their rounding
            x = np.ones_like(x) if p.kind == "gain" else np.round(x / step) * step
        found[p.path] = jnp.asarray(x, jnp.float32)
    return parameters.replaced(params, found)


def of(config: ModelConfig, params: Any, tokens_BL: Any) -> np.ndarray:
    prepared = sparse_inference.prepare(config, params)
    return np.asarray(sparse_inference.logits(prepared, tokens_BL))


# Each is a program of its own. Few weights with every option and without any; ties,
# none and all weights where selections differ; the others in slow tests.
QUICK = {
    ("every option", 0.1, 0), ("plain", 0.1, 0), ("relu", 0.1, 0),
    ("selected residual", 0.1, 0.25), ("every option", 0, 0),
    ("gelu and AbsTopK", 1, 0),
}  # fmt: skip
GRID = [
    pytest.param(*one, marks=[] if one in QUICK else pytest.mark.slow)
    for one in itertools.product(CONFIGS, (0.1, 0, 1), (0, 0.25))
    if one[1] == 0.1 or not one[2]
]


@pytest.mark.parametrize(("name", "part", "step"), GRID)
def test_the_same_logits(name: str, part: float, step: float) -> None:
    config = CONFIGS[name]
    params = thinned(config, part, seed=3, step=step)
    wanted = np.asarray(model.apply(config, params, TOKENS))
    np.testing.assert_allclose(of(config, params, TOKENS), wanted, atol=1e-5)


@pytest.mark.slow  # each example is a program of its own
@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**31), st.sampled_from(sorted(CONFIGS)))
def test_the_same_logits_of_any_weights_and_tokens(seed: int, name: str) -> None:
    """Dense programs are compiled once for each configuration."""
    config, rng = CONFIGS[name], np.random.default_rng(seed)
    params = thinned(config, 0.12, seed)
    tokens_BL = jnp.asarray(rng.integers(0, config.vocab_size, TOKENS.shape))
    wanted = np.asarray(model.apply(config, params, tokens_BL))
    found = of(config, params, tokens_BL)
    # What is equal up to rounding may be chosen otherwise: that row differs.
    same_B = (np.abs(found - wanted) < 1e-5).all((1, 2))
    assert same_B.mean() >= (1 if config.afrac is None else 0.5)


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (7, 12)])
def test_any_number_of_sequences_of_any_length(shape: tuple[int, int]) -> None:
    params = thinned(FEW, 0.1, seed=0)
    tokens_BL = jnp.arange(shape[0] * shape[1]).reshape(shape) % FEW.vocab_size
    wanted = np.asarray(model.apply(FEW, params, tokens_BL))
    np.testing.assert_allclose(of(FEW, params, tokens_BL), wanted, atol=1e-5)


def test_groups_of_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse_inference, "TOKENS", 18)
    params = thinned(FEW, 0.1, seed=0)
    tokens_BL = jnp.arange(54).reshape(6, 9) % FEW.vocab_size  # 3 groups of 2
    wanted = np.asarray(model.apply(FEW, params, tokens_BL))
    np.testing.assert_allclose(of(FEW, params, tokens_BL), wanted, atol=1e-5)


def test_wide_rows_are_summed_in_pieces() -> None:
    config = dataclasses.replace(PLAIN, d_mlp=600)
    params = thinned(config, 0.12, seed=1)  # about 70 of 600 are left in a row
    prepared = sparse_inference.prepare(config, params)
    rows = prepared.blocks[parameters.PROJ]
    assert isinstance(rows, sparse_inference.Rows)
    assert max(x.shape[-1] for x in rows.weight) > sparse_inference.WIDTHS[-1]
    wanted = np.asarray(model.apply(config, params, TOKENS))
    np.testing.assert_allclose(of(config, params, TOKENS), wanted, atol=1e-5)


def test_bfloat16_is_close() -> None:
    config = dataclasses.replace(PLAIN, compute="bfloat16", sink=True)
    params = thinned(config, 0.1, seed=0)
    wanted = np.asarray(model.apply(config, params, TOKENS))
    assert np.abs(of(config, params, TOKENS) - wanted).max() < 0.05


def test_work_grows_with_the_nonzeros() -> None:
    """By what is multiplied, and by what the compiled program says of itself."""
    config = dataclasses.replace(PLAIN, d_model=64, d_mlp=256, n_layer=1, vocab_size=64)
    tokens_BL = jnp.zeros((4, 12), jnp.int32)
    products, flops = [], []
    for part in (1 / 64, 1 / 16, 1 / 8):
        prepared = sparse_inference.prepare(config, thinned(config, part, seed=0))
        program = jax.jit(sparse_inference.logits).lower(prepared, tokens_BL).compile()
        cost: Any = program.cost_analysis()
        products.append(prepared.products)
        flops.append(cost["flops"])
    whole = sum(
        x.size for p, x in parameters.leaves(params_of(config)) if p[-1] == parameters.W
    )
    assert products == sorted(products)
    assert flops == sorted(flops)
    assert products[0] < 0.15 * whole  # padded to rows of 8
    assert products[2] < 0.4 * whole


@functools.partial(jax.jit, static_argnums=1)
def both_ways(x: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    return keep_largest(x, k, 1), columns.keep_largest(x, k)


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 2**31),
    st.sampled_from([1, 2, 12, 23, 24]),
    st.sampled_from(["normal", "ties", "zeros", "large", "wide", "broken", "equal"]),
)
def test_columns_are_chosen_as_everywhere(seed: int, k: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, 24, 5)).astype(np.float32)
    scale = {"large": 1e30, "wide": np.exp(20 * x)}
    x = (x * scale.get(kind, 1)).astype(np.float32)
    if kind == "ties":
        x = np.round(2 * x) / 2
    elif kind == "zeros":
        x[rng.random(x.shape) < 0.8] = 0
    elif kind == "broken":
        x[rng.random(x.shape) < 0.2] = np.inf
        x[rng.random(x.shape) < 0.2] = np.nan
    elif kind == "equal":
        x[:] = 1
    wanted, found = both_ways(jnp.asarray(x), k)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(wanted))
