"""The projection of large matrices on one CPU: the same as by bisection."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx.projection import by_bisection, interpolation, project_all
from sparsetx.projection.wanted import Wanted

SHAPE = 64, 96  # of a matrix, whichever axis numbers its neurons


def drawn(seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    found = np.random.default_rng(seed).standard_normal(shape)
    return found.astype(np.float32)


def uneven(seed: int) -> np.ndarray:
    """Some neurons of either axis far below the others, so that a minimum acts."""
    w = drawn(seed)
    w[:, ::5] *= 1e-2
    w[::7] *= 1e-3
    return w


def dead(seed: int) -> np.ndarray:
    """Some neurons are zero, as are most entries."""
    w = drawn(seed)
    w[w < 1] = 0
    w[:, 3], w[5] = 0, 0
    return w


def with_ties(seed: int) -> np.ndarray:
    """Pairs of equal magnitude, far apart and in different neurons."""
    w = drawn(seed)
    flat = w.reshape(-1)
    half = flat.size // 2
    flat[half:] = -flat[:half][::-1]
    return w


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def both(
    w: jax.Array, k: jax.Array, alive: int, axis: int | None, stacked: bool
) -> tuple[jax.Array, ...]:
    """By interpolation, by bisection, and whether the former was settled."""
    one = Wanted(k, alive, axis, stacked)
    ends = interpolation.ends(w, one)
    (slow,) = by_bisection([w], [one])
    return interpolation.kept(w, ends, one), slow, ends.settled


def compared(
    w: np.ndarray, k: int, alive: int, axis: int | None, stacked: bool = False
) -> bool:
    """Whether it was settled; where it was, the result is that of a bisection."""
    quick, slow, settled = both(jnp.asarray(w), jnp.int32(k), alive, axis, stacked)
    if settled:
        np.testing.assert_array_equal(quick, slow)
    return bool(settled)


KINDS = [(0, 4), (1, 4), (0, 0), (None, 0), (1, 1)]


@pytest.mark.parametrize(("axis", "alive"), KINDS)
@pytest.mark.parametrize("make", [drawn, uneven, dead, with_ties])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_the_same_as_by_bisection(
    axis: int | None, alive: int, make: Any, share: float
) -> None:
    w = make(1)
    assert compared(w, int(share * w.size), alive, axis)
    # An odd budget divides a pair.
    assert compared(w, int(share * w.size) | 1, alive, axis)


@pytest.mark.parametrize("k", [0, 1, 64 * 96 - 1, 64 * 96, 10**6])
def test_none_and_all(k: int) -> None:
    assert compared(drawn(2), k, 0, None)


@pytest.mark.parametrize("axis", [0, 1])
def test_not_a_number_and_infinity(axis: int) -> None:
    w = drawn(3)
    w[4, 5:9], w[6, 7], w[10:12] = np.nan, -np.inf, np.inf
    assert compared(w, 900, 4, axis)
    assert compared(w, w.size - 1, 4, axis)  # one NaN is kept, too


@pytest.mark.parametrize("axis", [0, 1])
def test_what_is_seldom_is_left_to_the_other_way(axis: int) -> None:
    few = np.round(drawn(4))  # many ties
    assert not compared(few, 700, 4, axis)
    too_small = 4 * SHAPE[axis] - 1
    assert not compared(drawn(4), too_small, 4, axis)


def test_ties_within_a_neuron_that_is_short_of_its_minimum() -> None:
    w = drawn(5)
    w[:, 0] = 1e-6  # which of them are its largest?
    assert not compared(w, 600, 4, 1)
    w[3:5, 0] = 2e-6  # but of two it is clear
    assert compared(w, 600, 2, 1)


def test_layers_have_budgets_of_their_own() -> None:
    w = np.stack([drawn(6), uneven(7) * 100, with_ties(8)])
    assert compared(w, 801, 4, 1, True)


def test_it_is_used_for_large_arrays_on_one_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And what it leaves unsettled is settled all the same."""
    monkeypatch.setattr(interpolation, "LEAST", 1)
    monkeypatch.setattr(interpolation.pieces, "on_one_device", lambda: True)
    arrays = [jnp.asarray(drawn(9)), jnp.asarray(np.round(drawn(9)))]
    bias = jnp.asarray(drawn(10, (32,)))
    asked = []
    ends = interpolation.ends

    def seen(w: jax.Array, wanted: Wanted) -> interpolation.Ends:
        asked.append(w.shape)
        return ends(w, wanted)

    monkeypatch.setattr(interpolation, "ends", seen)
    found = jax.jit(lambda a: project_all(a, [700, 700, 5], 4, [1, 0, None]))(
        [*arrays, bias]
    )
    assert asked == [SHAPE, SHAPE]
    monkeypatch.setattr(interpolation, "LEAST", 2**31)
    usual = project_all([*arrays, bias], [700, 700, 5], 4, [1, 0, None])
    for one, other in zip(found, usual, strict=True):
        np.testing.assert_array_equal(one, other)
    assert [int(jnp.count_nonzero(w)) for w in found[::2]] == [700, 5]


def test_gradient_passes_kept_weights_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpolation, "LEAST", 1)
    monkeypatch.setattr(interpolation.pieces, "on_one_device", lambda: True)
    w = jnp.asarray(drawn(11))
    project = jax.jit(lambda w: project_all([w], [700], 4, [1])[0])
    gradient = jax.grad(lambda w: jnp.sum(project(w)))(w)
    np.testing.assert_array_equal(gradient, project(w) != 0)


@pytest.mark.parametrize(
    ("shape", "dtype", "k"),
    [((64, 97), "float32", 5), ((64,), "float32", 5), ((64, 96), "bfloat16", 5)],
)
def test_what_it_is_not_for(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], dtype: str, k: int
) -> None:
    monkeypatch.setattr(interpolation, "LEAST", 1)
    monkeypatch.setattr(interpolation.pieces, "on_one_device", lambda: True)
    assert interpolation.fits(jnp.zeros(SHAPE), Wanted(k, 4, 0))
    assert not interpolation.fits(jnp.zeros(shape, dtype), Wanted(k, 4, 0))
