"""The positive control: everything that measures circuits must find this one good."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx import model, nodes, taps
from sparsetx.circuits import ablate, edges, question
from sparsetx.nodes import Node
from tests.circuits import compiled

CONFIG, PARAMS = compiled.CONFIG, compiled.params()
ASKED = compiled.question()
MEANS = ablate.means(CONFIG, PARAMS, compiled.corpus())
SCALES = ablate.norm_scales(CONFIG, PARAMS, ASKED)
PATTERN = edges.patterns(CONFIG, PARAMS)


def loss(keep: dict, scales=None) -> float:
    tap = ablate.mean(keep, MEANS)
    return float(ablate.loss(CONFIG, PARAMS, ASKED, tap, scales))


def test_the_model_does_the_task_and_the_empty_circuit_does_not() -> None:
    whole = float(ablate.loss(CONFIG, PARAMS, ASKED, taps.IDENTITY))
    assert whole == pytest.approx(0.0014, abs=0.0008)
    assert loss(compiled.mask(set())) == pytest.approx(np.log(2), abs=1e-4)


def test_eleven_nodes_and_nine_edges_suffice() -> None:
    keep = compiled.mask()
    assert loss(keep) < 0.005
    size = edges.size(CONFIG, PATTERN, keep)
    assert (size.nodes, size.edges, size.constants) == (11, compiled.EDGES, 0)
    assert size.edges_plus == compiled.EDGES
    assert len(edges.listed(CONFIG, PARAMS, keep)) == compiled.EDGES


def test_no_node_can_go() -> None:
    for node in compiled.CIRCUIT:
        assert loss(compiled.mask(compiled.CIRCUIT - {node})) > 0.15, node


def test_it_is_honest() -> None:
    keys = jax.random.split(jax.random.key(0), 100)
    figures = ablate.honest_losses(
        CONFIG, PARAMS, ASKED, compiled.mask(), MEANS, SCALES, keys
    )
    assert set(figures) == {"mean", "frozen", "stochastic", "stochastic_mean"}
    assert float(ablate.honest_loss(figures)) < 0.01


@pytest.mark.parametrize("kind", ["zero", "resample"])
def test_it_stands_every_kind_of_ablation(kind: str) -> None:
    """The query is left to itself: at zero no head could attend by it."""
    keep = compiled.mask(compiled.CIRCUIT | {Node(nodes.Q, 1, 0)})
    if kind == "zero":
        tap = ablate.zero(keep)
    else:
        order = jnp.asarray(np.random.default_rng(0).permutation(len(ASKED)))
        tap = ablate.resample(CONFIG, PARAMS, keep, ASKED, order)
    # The constant channel 2 is not in the circuit: without it norms are smaller.
    assert float(ablate.loss(CONFIG, PARAMS, ASKED, tap)) < 0.15


def test_shuffled_weights_cannot_do_it() -> None:
    """The same zeros, other values in their places: most such models only guess."""
    rng = np.random.default_rng(0)
    losses = []
    for _ in range(4):
        shuffled = jax.tree.map(lambda w: _permuted(np.asarray(w), rng), PARAMS)
        losses.append(float(ablate.loss(CONFIG, shuffled, ASKED, taps.IDENTITY)))
    assert min(losses) > 0.3


def _permuted(w: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    out = w.copy()
    out[w != 0] = rng.permutation(-w[w != 0])
    return out


def test_margins_are_those_of_the_whole_models_logits() -> None:
    logits = model.apply(CONFIG, PARAMS, ASKED.tokens_BL)
    last = jnp.take_along_axis(logits, ASKED.position_B[:, None, None], 1)[:, 0]
    wanted = question.margin_of(ASKED, last)
    found = question.margins(CONFIG, PARAMS, ASKED, taps.IDENTITY)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_many_masks_at_once_are_each_alone() -> None:
    masks = [compiled.mask(), compiled.mask(set()), compiled.mask({*compiled.CIRCUIT})]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *masks)
    one = functools.partial(ablate.loss, CONFIG, PARAMS, ASKED)
    many = jax.jit(jax.vmap(lambda keep: one(ablate.mean(keep, MEANS))))(stacked)
    np.testing.assert_allclose(many, [loss(keep) for keep in masks], atol=1e-6)
