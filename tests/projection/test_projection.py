"""Projection of one matrix: exact budgets, the minimum alive, right axis."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsetx.projection import minimum_alive, project_all, project_matrix
from tests.test_topk import sorted_mask, values


def oracle(w: np.ndarray, k: int, alive: int, neuron_axis: int) -> np.ndarray:
    """Each neuron's own largest first, then the largest of the rest."""
    others = tuple(a for a in range(w.ndim) if a != neuron_axis % w.ndim)
    guarded = sorted_mask(w, alive, others) if alive else np.zeros(w.shape, bool)
    magnitude = np.abs(w.astype(np.float64))
    magnitude[np.isnan(magnitude)] = -1.0
    order = np.argsort(-np.where(guarded, np.inf, magnitude), axis=None, kind="stable")
    # An infinite weight must not pass before a guarded one of low magnitude.
    order = np.concatenate([order[guarded.flat[order]], order[~guarded.flat[order]]])
    mask = np.zeros(w.size, bool)
    mask[order[:k]] = True
    return mask.reshape(w.shape)


project = jax.jit(project_matrix, static_argnames=("alive", "neuron_axis"))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("neuron_axis", [0, 1, -1])
@pytest.mark.parametrize("alive", [0, 1, 4])
@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    palette=st.integers(0, 8),
    share=st.floats(0, 1),
)
def test_against_the_oracle(
    neuron_axis: int, alive: int, dtype: str, seed: int, palette: int, share: float
) -> None:
    w = values(seed, palette, (6, 11), dtype)
    needed = alive * w.shape[neuron_axis]
    k = needed + int(share * (w.size - needed))
    projected = project(w, k, alive=alive, neuron_axis=neuron_axis)
    wanted = np.where(oracle(w, k, alive, neuron_axis), w, np.zeros((), w.dtype))
    np.testing.assert_array_equal(np.asarray(projected).view("u1"), wanted.view("u1"))


@pytest.mark.parametrize("alive", [0, 2])
def test_projecting_twice_changes_nothing(alive: int) -> None:
    w = jnp.asarray(values(0, 9, (8, 12), "float32"))
    once = project(w, 30, alive=alive, neuron_axis=1)
    np.testing.assert_array_equal(once, project(once, 30, alive=alive, neuron_axis=1))
    assert int(jnp.count_nonzero(once)) == 30


def test_every_neuron_stays_alive() -> None:
    """One neuron far below all others: without the minimum it would die."""
    w = np.asarray(values(1, 9, (16, 10), "float32")).copy()
    w[:, 3] *= 1e-6
    died = np.count_nonzero(np.asarray(project(w, 60)), axis=0)
    lived = np.count_nonzero(np.asarray(project(w, 60, alive=4, neuron_axis=1)), axis=0)
    assert died[3] == 0
    assert lived.min() == 4
    assert lived.sum() == died.sum() == 60


def test_a_traced_budget_that_is_too_small_is_still_exact() -> None:
    w = jnp.asarray(values(2, 9, (6, 6), "float32"))
    projected = np.asarray(project(w, 10, alive=3, neuron_axis=0))
    assert np.count_nonzero(projected) == 10
    assert np.count_nonzero(projected, axis=1).tolist() == [3, 3, 3, 1, 0, 0]


def test_more_alive_than_a_neuron_has() -> None:
    w = jnp.asarray(values(3, 9, (5, 3), "float32"))
    np.testing.assert_array_equal(project(w, 15, alive=4, neuron_axis=0), w)


def test_stacked_layers_have_budgets_of_their_own() -> None:
    """Together, stacked and alone are the same."""
    w = np.asarray(values(4, 9, (3, 6, 8), "float32")).copy()
    w[1] *= 100  # would take the whole budget if it were shared
    bias = jnp.asarray(values(5, 9, (3, 8), "float32"))
    together = jax.jit(
        lambda w, bias, k: project_all([w, bias], [k, 3], 2, [1, None], [True, True])
    )(w, bias, 20)
    for layer in range(3):
        alone = project(w[layer], 20, alive=2, neuron_axis=1)
        np.testing.assert_array_equal(together[0][layer], alone)
        np.testing.assert_array_equal(together[1][layer], project(bias[layer], 3))


def test_gradient_passes_kept_weights_only() -> None:
    w = jnp.array([[3.0, 0.1], [0.2, -2.0]])
    gradient = jax.grad(lambda w: jnp.sum(project(w, 2)))(w)
    assert gradient.tolist() == [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 11, "alive": 4}, "alive = 4 for each of 3 neurons needs 12 .* k = 11"),
        ({"k": 11, "alive": 4, "neuron_axis": 1}, "for each of 5 neurons needs 15"),
        ({"k": 5, "neuron_axis": 2}, r"neuron_axis .* of shape \(3, 5\), got 2"),
        ({"k": -1}, "0 or more; got -1"),
        ({"k": 2.0}, "as an integer"),
    ],
)
def test_refusals(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        project_matrix(jnp.ones((3, 5)), **arguments)


@pytest.mark.parametrize("alive", [minimum_alive.FEW, minimum_alive.FEW + 1])
@pytest.mark.parametrize("palette", [0, 3])
def test_a_few_and_one_more_are_found_alike(alive: int, palette: int) -> None:
    """As maxima, or by bisection; ties among them."""
    w = values(1, palette, (4, 12), "float32")
    kept = oracle(w, 4 * alive, alive, 0)
    assert (kept.sum(1) == alive).all()
    np.testing.assert_array_equal(project(w, 4 * alive, alive=alive), w * kept)


def test_nothing_is_projected_to_nothing() -> None:
    for shape in ((3, 0), (0, 3)):
        assert project(jnp.zeros(shape), 0, alive=2).shape == shape
