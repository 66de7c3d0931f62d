"""A circuit's own weights against the tapped model: every option, ties, one place."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsetx import model, nodes
from sparsetx.circuits.measure import ablations, inference
from sparsetx.circuits.measure.inference import folding, table
from sparsetx.config import ModelConfig
from tests.model.test_sparse_inference import thinned

BASE = ModelConfig(
    vocab_size=37, context=12, n_layer=2, d_model=24, n_head=3, d_head=8, d_mlp=48,
    afrac=0.25,
)  # fmt: skip
CHANGES: dict[str, dict[str, Any]] = {
    "plain": {},
    "a sink": {"sink": True},
    "added positions": {"positions": "added"},
    "concatenated positions": {"positions": "concatenated", "d_pos": 5, "sink": True},
    "relu": {"residual": "relu", "activation": "relu"},
    "no AbsTopK": {
        "afrac": None, "sink": True, "final_bias": True, "bigram": "random"
    },
    "AbsTopK at some sites": {"afrac_sites": (nodes.ATTN_IN, nodes.Q)},
}  # fmt: skip


def drawn(
    config: ModelConfig, seed: int, part: float, step: float = 0, final: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A mask and means; with a `step`, means are multiples of it."""
    rng = np.random.default_rng(seed)
    sites = (*nodes.NODE_SITES, *((nodes.FINAL,) if final else ()))
    shapes = nodes.shapes(config, sites).items()
    keep = {s: (rng.random(n) < part).astype(np.float32) for s, n in shapes}
    means = {s: rng.normal(0, 0.5, n).astype(np.float32) for s, n in shapes}
    if step:
        means = {s: np.round(x / step) * np.float32(step) for s, x in means.items()}
        # The sum of a pattern is 1 up to rounding, which would decide what ties.
        means[nodes.V] *= 0
    return keep, means


def compared(config: ModelConfig, params: Any, keep: Any, means: Any, seed: int) -> Any:
    """Differences from the tapped model, [B, L]; and at one place of each row, [B]."""
    rng = np.random.default_rng(seed)
    tokens_BL, place_B = rng.integers(0, 37, (3, 11)), rng.integers(0, 11, 3)
    tap = ablations.mean(keep, means)
    wanted = np.asarray(model.apply(config, params, jnp.asarray(tokens_BL), tap))
    folded = inference.fold(config, params, keep, means)
    assert folded is not None
    at_place = folded.logits_at(tokens_BL, place_B) - wanted[np.arange(3), place_B]
    everywhere = folded.logits(tokens_BL) - wanted
    again = folded.logits(tokens_BL)  # the table is full now
    np.testing.assert_array_equal(again - wanted, everywhere)
    return np.abs(everywhere).max(-1), np.abs(at_place).max(-1)


# The final read makes another program of the tapped model: for two in quick tests.
FINAL = ("concatenated positions", "AbsTopK at some sites")
GRID = [
    pytest.param(name, *one, marks=[pytest.mark.slow] * (one[2] and name not in FINAL))
    for name in CHANGES
    for one in ((0.1, 0, False), (0.7, 0, True), (0.3, 0.25, False), (0, 0, False))
]


@pytest.mark.parametrize(("name", "part", "step", "final"), GRID)
def test_the_same_logits(name: str, part: float, step: float, final: bool) -> None:
    config = dataclasses.replace(BASE, **CHANGES[name])
    params = thinned(config, 0.2, seed=1, step=step)
    keep, means = drawn(config, 2, part, step, final)
    for differences in compared(config, params, keep, means, 3):
        assert differences.max() < 1e-5


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**31), st.sampled_from(sorted(CHANGES)), st.floats(0, 1))
def test_the_same_logits_of_any_circuit(seed: int, name: str, part: float) -> None:
    config = dataclasses.replace(BASE, **CHANGES[name])
    keep, means = drawn(config, seed, part)
    found_BL, _ = compared(config, thinned(config, 0.2, seed), keep, means, seed)
    # What is equal up to rounding may be chosen otherwise: that row differs.
    assert (found_BL.max(-1) < 1e-5).mean() >= (1 if config.afrac is None else 0.5)


def test_equal_channels_go_to_the_lowest_index() -> None:
    """All neurons of a layer compute the same: of 48, the first 12 are kept."""
    params = jax.tree.map(jnp.asarray, thinned(BASE, 0.2, seed=1))
    fc = params["blocks"]["fc"]
    fc["w"], fc["b"] = jnp.zeros_like(fc["w"]), jnp.ones_like(fc["b"])
    for index in (11, 12):
        keep, means = drawn(BASE, 0, 0.2)
        keep[nodes.MLP_NEURON][:] = 0
        keep[nodes.MLP_NEURON][:, index] = 1
        for differences in compared(BASE, params, keep, means, 0):
            assert differences.max() < 1e-5


def test_the_table_forgets_when_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(BASE, positions="added")
    params = thinned(config, 0.2, seed=1)
    folded = inference.fold(config, params, *drawn(config, 2, 0.1))
    assert folded is not None
    first, second = np.arange(24).reshape(2, 12), np.arange(24).reshape(2, 12) + 12
    wanted = folded.logits(first)
    monkeypatch.setattr(table, "ENTRIES", 1)
    folded.logits(second)
    assert len(folded.table.keys_U) == 24
    np.testing.assert_array_equal(folded.logits(first), wanted)


@pytest.mark.parametrize(
    "changes",
    [
        {"afrac_sites": (nodes.ATTN_IN, nodes.RESID_POST_MLP)},
        {"compute": "bfloat16"},
    ],
)
def test_where_there_is_no_such_form(changes: dict[str, Any]) -> None:
    config = dataclasses.replace(BASE, **changes)
    params = thinned(config, 0.2, seed=1)
    assert inference.fold(config, params, *drawn(config, 2, 0.1)) is None


def test_a_circuit_that_is_most_of_its_model_has_none() -> None:
    config = dataclasses.replace(BASE, d_model=256, d_mlp=512)
    params = thinned(config, 0.2, seed=1)
    assert inference.fold(config, params, *drawn(config, 2, 0.9)) is None


def test_work_follows_the_circuit() -> None:
    params = thinned(BASE, 0.2, seed=1)
    found = []
    for part in (0.0, 0.02, 0.1, 0.3):
        folded = inference.fold(BASE, params, *drawn(BASE, 2, part))
        assert folded is not None
        found.append(inference.work(folded))
    assert found == sorted(found)
    assert found[0] == 0
    assert found[1] < found[3] / 10


def test_no_rows() -> None:
    folded = inference.fold(BASE, thinned(BASE, 0.2, seed=1), *drawn(BASE, 2, 0.1))
    assert folded is not None
    assert folded.logits(np.zeros((0, 5), int)).shape == (0, 5, 37)
    assert folded.logits_at(np.zeros((0, 5), int), np.zeros(0, int)).shape == (0, 37)


def test_a_read_that_moves_nowhere_stays_chosen() -> None:
    """A channel above the window must not be counted as in it, however many channels
    that kept nodes write overtake it."""
    config = dataclasses.replace(BASE, afrac_sites=(nodes.MLP_IN,))
    params = thinned(config, 0.2, seed=1)
    for seed in range(4):
        keep, means = drawn(config, seed, 0)
        keep[nodes.ATTN_OUT][0, : 5 + seed] = 1
        keep[nodes.V][:] = keep[nodes.ATTN_IN][:] = 1
        keep[nodes.MLP_IN][:] = keep[nodes.MLP_OUT][:, -1:] = 1
        keep[nodes.MLP_NEURON][:, ::2] = 1
        assert compared(config, params, keep, means, seed)[0].max() < 1e-5


def test_erf() -> None:
    x = np.linspace(-6, 6, 2001).astype(np.float32)
    wanted = [math.erf(float(one)) for one in x]
    np.testing.assert_allclose(folding.erf(x), wanted, atol=2e-7)
