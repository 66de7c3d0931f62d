"""Every broken variant fails the measure that is meant to find it."""

import functools
from typing import Any

import jax
import numpy as np

from sparsetx import taps
from sparsetx.circuits.measure import ablations, edges
from sparsetx.config import ModelConfig
from tests.circuits import broken, compiled

CONFIG = compiled.CONFIG
ASKED = compiled.question()
FEW = compiled.question(4)
TARGET = 0.15
KEYS = jax.random.split(jax.random.key(0), 100)
honest = jax.jit(ablations.honest_losses, static_argnums=0)


def figures(params: Any, kept: set, config: ModelConfig = CONFIG) -> dict[str, float]:
    means = ablations.means(config, params, compiled.corpus())
    scales = ablations.norm_scales(config, params, ASKED)
    keep = compiled.mask(kept)
    found = honest(config, params, ASKED, keep, means, scales, KEYS)
    found["whole"] = ablations.loss(config, params, ASKED, taps.IDENTITY)
    found["honest"] = ablations.honest_loss(found)
    return {name: float(x) for name, x in found.items()}


def loss_without(params: Any, nodes: set) -> float:
    """The loss of the whole model with these nodes ablated."""
    means = ablations.means(CONFIG, params, compiled.corpus())
    keep = {site: 1 - x for site, x in compiled.mask(nodes).items()}
    return float(ablations.loss(CONFIG, params, ASKED, ablations.mean(keep, means)))


def test_a_norm_crutch_fails_under_frozen_norms() -> None:
    found = figures(broken.norm_crutch(), compiled.CIRCUIT)
    assert max(found["whole"], found["mean"]) < 0.01
    assert found["frozen"] > TARGET
    assert found["honest"] > TARGET


def test_a_cancelling_pair_fails_under_stochastic_ablation() -> None:
    found = figures(broken.cancelling_pair(), compiled.CIRCUIT)
    assert max(found["whole"], found["mean"], found["frozen"]) < 0.005
    assert found["stochastic"] > 1
    assert found["honest"] == found["stochastic"]


def test_the_constant_values_of_a_sink_head_are_counted() -> None:
    """It has six weights between its nodes, fewer than any circuit of the task. It
    passes every ablation: only the count with its constant values shows it."""
    params, config = broken.sink_head(), broken.SINK_CONFIG
    found = figures(params, broken.SINK_CIRCUIT, config)
    assert found["honest"] < 0.005
    keep = compiled.mask(broken.SINK_CIRCUIT)
    with_sink, without = (
        edges.size(c, edges.patterns(c, params), keep) for c in (config, CONFIG)
    )
    assert int(without.edges) == 6 < compiled.EDGES
    assert int(with_sink.edges) == 6 + 4 > compiled.EDGES
    assert (int(without.constants), int(with_sink.constants)) == (2, 1)
    listed = edges.listed(config, params, keep)
    assert [e.weight for e in listed if e.src.site == "v"] == [1, 1, 1, 1]
    params["blocks"]["o"]["w"][1, :4, 5] = 0
    means = ablations.means(config, params, compiled.corpus())
    without = ablations.loss(config, params, ASKED, ablations.mean(keep, means))
    assert float(without) >= np.log(2)


def test_a_sink_crutch_fails_under_stochastic_ablation() -> None:
    """It has the nodes of the sink head, but here the model uses a value: an ablation
    that leaves a part of that value shows it."""
    found = figures(broken.sink_crutch(), broken.SINK_CIRCUIT, broken.SINK_CONFIG)
    assert max(found["whole"], found["mean"], found["frozen"]) < 0.005
    assert found["stochastic"] > 1


def test_permuted_weights_have_no_circuit() -> None:
    """All 2048 masks are tried. So few weights may do the task by chance when permuted:
    the first of these four models does."""
    masks = compiled.subsets()

    @jax.jit
    def every(params: Any, means: Any) -> jax.Array:
        kind = functools.partial(ablations.mean, means=means)
        return ablations.losses(CONFIG, params, FEW, masks, kind, at_once=256)

    whole, best = [], []
    for seed in range(1, 5):
        params = broken.permuted(seed)
        means = ablations.means(CONFIG, params, compiled.corpus())
        losses = np.asarray(every(params, means))
        whole.append(losses[-1])
        best.append(losses.min())
    assert (np.array(whole) > TARGET).tolist() == [False, True, True, True]
    assert (np.array(best) > TARGET).tolist() == [False, True, True, True]


def test_permuting_keeps_the_zeros_and_the_values() -> None:
    ours, theirs = compiled.params(), broken.permuted(0)
    pattern, other = (edges.patterns(CONFIG, tree) for tree in (ours, theirs))
    for name, x in pattern.items():
        np.testing.assert_array_equal(x, other[name])
    pools = [
        np.sort(np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)]))
        for tree in (ours, theirs)
    ]
    np.testing.assert_array_equal(*pools)


def test_a_second_head_is_seen_by_its_ablation_cost() -> None:
    """Each of the two heads is in a good circuit of this size; none is necessary."""
    params, plain = broken.twin_head(), compiled.params()
    other = compiled.CIRCUIT - broken.OWN_OF_HEAD | broken.OWN_OF_TWIN
    pattern = edges.patterns(CONFIG, params)
    for kept in (compiled.CIRCUIT, other):
        assert figures(params, kept)["honest"] < 0.005
        size = edges.size(CONFIG, pattern, compiled.mask(kept))
        assert (int(size.nodes), int(size.edges_plus)) == (11, compiled.EDGES)
    assert loss_without(params, broken.OWN_OF_HEAD) < 0.005
    assert loss_without(plain, broken.OWN_OF_HEAD) > 0.69
    assert loss_without(params, compiled.CIRCUIT) > 0.69
