"""Schedules against values worked out by hand."""

import dataclasses

import jax
import numpy as np
import pytest

from sparsetx.config import OptimConfig, SparsityConfig
from sparsetx.projection import schedules

SPARSITY = SparsityConfig()
OPTIM = OptimConfig(lr=2.0)


@pytest.mark.parametrize(
    ("t", "wanted"),
    [(0.0, 1.0), (0.01, 1.0), (0.255, 0.5 + 0.5 / 64), (0.5, 1 / 64), (1.0, 1 / 64)],
)
def test_linear_annealing(t: float, wanted: float) -> None:
    found = schedules.kept_fraction(SPARSITY, 1 / 64, t)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize("anneal", ["linear", "exponential", "power"])
def test_every_annealing_falls_from_one_to_its_end(anneal: str) -> None:
    sparsity = dataclasses.replace(SPARSITY, anneal=anneal)  # type: ignore[arg-type]
    ts = np.linspace(0, 1, 101)
    kept = np.array([schedules.kept_fraction(sparsity, 1 / 16, t) for t in ts])
    assert kept[0] == 1
    np.testing.assert_allclose(kept[50:], 1 / 16, rtol=1e-6)
    assert (np.diff(kept) <= 1e-7).all()
    middle = {"linear": 0.53125, "exponential": 0.25, "power": 0.1796875}[anneal]
    halfway = schedules.kept_fraction(sparsity, 1 / 16, 0.255)
    np.testing.assert_allclose(halfway, middle, rtol=1e-5)


def test_abrupt_embeddings_fall_at_once() -> None:
    abrupt = dataclasses.replace(SPARSITY, embed_schedule="abrupt")
    kept = [schedules.kept_embedding_fraction(abrupt, 0.1, t) for t in (0.01, 0.011, 1)]
    np.testing.assert_allclose(kept, [1.0, 0.1, 0.1], rtol=1e-6)
    gradual = schedules.kept_embedding_fraction(SPARSITY, 0.1, 0.255)
    np.testing.assert_allclose(gradual, 0.55, rtol=1e-6)


def test_learning_rate_is_a_shark_fin() -> None:
    """Rises through the warm-up, peaks where annealing ends, falls to nothing."""
    final = 1 / 16
    ts = np.linspace(0.001, 1, 1000)
    rates = jax.vmap(lambda t: schedules.learning_rate(OPTIM, SPARSITY, final, t))(ts)
    assert abs(ts[np.argmax(rates)] - 0.5) < 0.002
    # Linear decay has 50/99 left at the peak, and there the sharkfin factor is 1.
    np.testing.assert_allclose(np.max(rates), 2.0 * 50 / 99, rtol=0.01)
    np.testing.assert_allclose(rates[4], 2.0 * 0.5 * 0.25, rtol=1e-3)
    assert abs(float(rates[-1])) < 1e-6


def test_without_the_fin_or_the_warm_up() -> None:
    plain = dataclasses.replace(OPTIM, sharkfin=False)
    rate = schedules.learning_rate(plain, SPARSITY, 1 / 16, 0.01)
    np.testing.assert_allclose(rate, 2.0, rtol=1e-6)
    cold = dataclasses.replace(plain, warmup=0.0)
    np.testing.assert_allclose(
        [schedules.learning_rate(cold, SPARSITY, 1, t) for t in (0.0, 0.5, 1.0)],
        [2.0, 1.0, 0.0],
    )
