"""Binarisation: the nodes of the known circuit have two values already."""

import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx.circuits.controls import binarisation
from tests.circuits import trials


def test_a_node_changes_from_its_activation_to_a_step() -> None:
    x = jnp.array([[[-1.0, 0.2, 0.8, 3.0]]])
    values = jnp.tile(jnp.array([[0.0, 1.0]]), (4, 1))

    def at(t: float, where: float = 1.0) -> list[float]:
        here = {"v": (values, jnp.full(4, where), jnp.full(4, t))}
        y, take = binarisation._step("v", x, here)
        assert take is None
        return np.asarray(y).ravel().tolist()

    assert at(1.0) == pytest.approx([-1, 0.2, 0.8, 3])
    assert at(0.0) == [0, 0, 1, 1]
    assert at(0.0, where=0.0) == pytest.approx([-1, 0.2, 0.8, 3])
    half = np.array(at(0.5))
    assert (np.diff(half) > 0).all()
    assert half[0] > -1


@pytest.mark.slow
def test_the_known_circuit_is_binary() -> None:
    own = trials.made(trials.KNOWN)
    found = binarisation.binarise(own, steps=50)
    told = binarisation.told(found)
    assert told["nodes"] == told["at the target"] == 11
    assert told["loss before"] < 0.002
    assert told["loss"] < 0.05
    assert found.counts[0] == 0
    assert found.counts[-1] == 11
    assert set(told["order"]) >= {"mlp_neuron/0/0", "v/1/0"}
    assert "11 of them can be binarised within the target" in binarisation.words(told)


@pytest.mark.slow
def test_the_fit_corrects_wrong_values() -> None:
    """All are a fifth of their distance too high."""
    own = trials.made(trials.KNOWN)
    starts = binarisation._starts(own)[1]
    moved = {site: x + 0.2 * (x[..., 1:] - x[..., :1]) for site, x in starts.items()}
    kept = np.flatnonzero(binarisation._flat(own, own.keep) > 0)
    every = np.array([len(kept)])
    before = binarisation._curve(own, moved, kept, every)[0]
    fitted = binarisation._fitted(own, moved, kept, 300)
    assert before > 0.3
    assert binarisation._curve(own, fitted, kept, every)[0] < 0.1
