"""Ablating single edges, and finding the fewest that reach the target."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx import nodes
from sparsetx.circuits.measure import ablations, edges, effective_edges
from sparsetx.model import parameters
from tests.circuits import broken, compiled

CONFIG, PARAMS = compiled.CONFIG, compiled.params()
ASKED = compiled.question(8)
MEANS = ablations.means(CONFIG, PARAMS, compiled.corpus())
TARGET = 0.15
TRUE = edges.listed(CONFIG, PARAMS, compiled.mask())


def noisy(scale: float, seed: int = 0) -> dict[str, Any]:
    """The compiled model with a small weight wherever there was none."""
    rng = np.random.default_rng(seed)
    whole = dict(parameters.leaves(PARAMS))
    new = {
        path: np.where(whole[path] == 0, scale * rng.normal(size=whole[path].shape), 0)
        + whole[path]
        for path in dict.fromkeys(part.path for part in parameters.edges(CONFIG))
    }
    return parameters.replaced(PARAMS, {p: np.float32(w) for p, w in new.items()})


def wider(seed: int, share: float) -> dict[str, Any]:
    """The true circuit and some random nodes."""
    rng = np.random.default_rng(seed)
    return {
        site: jnp.maximum(x, jnp.float32(rng.random(x.shape) < share))
        for site, x in compiled.mask().items()
    }


def places_of(params: Any, keep: Any) -> tuple[effective_edges.Places, int]:
    found = list(edges.located(CONFIG, params, keep))
    return effective_edges.places(CONFIG, found), len(found)


def test_an_ablated_edge_contributes_its_mean() -> None:
    """Layer 0's queries and neurons, compared with a direct computation."""
    params = noisy(0.5)
    means = ablations.means(CONFIG, params, compiled.corpus())
    everything = jax.tree.map(jnp.ones_like, compiled.mask())
    where, count = places_of(params, everything)
    alive = np.random.default_rng(1).random(len(where.row_E)).astype(np.float32)
    fewer = effective_edges.keep_only(CONFIG, params, means, where, jnp.asarray(alive))
    taken = ablations.activations(CONFIG, fewer, ASKED.tokens_BL)

    e = {name: np.ones_like(w) for name, w in edges.matrices(CONFIG, params).items()}
    for (path, place, edge), part in zip(
        edges.located(CONFIG, params, everything), alive, strict=False
    ):
        kinds = [p for p in parameters.edges(CONFIG) if p.path == path]
        (kind,) = [p for p in kinds if p.target == edge.dst.site]
        assert place[:2] == (edge.src.layer, edge.src.index)
        e[kind.name][edge.dst.layer, edge.src.index, edge.dst.index] = part
    for name, source, site in (
        ("W_q", nodes.ATTN_IN, nodes.Q),
        ("W_fc", nodes.MLP_IN, nodes.MLP_NEURON),
    ):
        w = edges.matrices(CONFIG, params)[name][0]
        bias = params["blocks"]["qkv" if site == nodes.Q else "fc"]["b"][0][
            : w.shape[1]
        ]
        x, mean = np.asarray(taken[source][0]), np.asarray(means[source][0])
        wanted = x @ (w * e[name][0]) + mean @ (w * (1 - e[name][0])) + bias
        if site == nodes.MLP_NEURON:
            wanted = jax.nn.gelu(wanted, approximate=False)
        np.testing.assert_allclose(taken[site][0], wanted, rtol=1e-4, atol=1e-4)
    assert count == sum(w.size for w in e.values())


@pytest.mark.parametrize("alive", [0.0, 1.0])
def test_all_edges_are_the_circuit_and_none_a_constant(alive: float) -> None:
    keep = compiled.mask()
    where, _ = places_of(PARAMS, keep)
    part = jnp.full(len(where.row_E), alive)
    fewer = effective_edges.keep_only(CONFIG, PARAMS, MEANS, where, part)
    found = ablations.loss(CONFIG, fewer, ASKED, ablations.mean(keep, MEANS))
    wanted = {0.0: np.log(2), 1.0: 0.00137}[alive]
    assert float(found) == pytest.approx(wanted, abs=2e-4)
    if alive:
        for path, w in parameters.leaves(PARAMS):
            np.testing.assert_array_equal(dict(parameters.leaves(fewer))[path], w)


def test_the_fewest_are_those_of_trying_every_subset() -> None:
    """At 0.15, eight of the nine edges are enough: the detector may lack one kind of
    quote, since that edge's mean replaces it. No node can be removed, and at 0.05 no
    edge."""
    keep = compiled.mask()
    located = list(edges.located(CONFIG, PARAMS, keep))
    bits = np.arange(512)[:, None] >> np.arange(9) & 1
    where = effective_edges.places(CONFIG, located)
    bench = effective_edges.Bench(CONFIG, PARAMS, MEANS, ASKED, keep, None, where)
    losses = bench.losses(bits.astype(bool))
    for target, count in ((TARGET, 8), (0.05, 9)):
        assert bits[losses <= target].sum(1).min() == count
        found = effective_edges.fewest(CONFIG, PARAMS, MEANS, ASKED, keep, target)
        assert len(found.edges) == count
        assert set(found.edges) <= set(TRUE)
        assert found.loss <= target


@pytest.mark.parametrize("frozen", [False, True])
def test_the_nine_edges_are_found_among_many(frozen: bool) -> None:
    params, keep = noisy(0.02), wider(0, 0.25)
    means = ablations.means(CONFIG, params, compiled.corpus())
    scales = ablations.norm_scales(CONFIG, params, ASKED) if frozen else None
    among = edges.listed(CONFIG, params, keep)
    assert 128 < len(among) <= 256
    found = effective_edges.fewest(CONFIG, params, means, ASKED, keep, 0.03, scales)
    assert [(e.src, e.dst) for e in found.edges] == [(e.src, e.dst) for e in TRUE]
    assert found.loss <= 0.03


def test_none_of_the_edges_found_can_be_removed() -> None:
    """In a model with large noise, where other circuits than the true one exist."""
    params, keep = noisy(0.15, seed=3), wider(1, 0.25)
    means = ablations.means(CONFIG, params, compiled.corpus())
    target = 1.1 * float(
        ablations.loss(CONFIG, params, ASKED, ablations.mean(keep, means))
    )
    found = effective_edges.fewest(CONFIG, params, means, ASKED, keep, target)
    every = edges.listed(CONFIG, params, keep)
    assert 0 < len(found.edges) < len(every)
    located = list(edges.located(CONFIG, params, keep))
    where = effective_edges.places(CONFIG, located)
    bench = effective_edges.Bench(CONFIG, params, means, ASKED, keep, None, where)
    stays = np.array([edge in found.edges for _, _, edge in located])
    without = np.repeat(stays[None], stays.sum(), 0)
    without[np.arange(stays.sum()), np.flatnonzero(stays)] = False
    assert float(bench.losses(stays[None])[0]) == pytest.approx(found.loss, rel=1e-5)
    assert found.loss <= target < bench.losses(without).min()


def test_weights_of_constant_values_are_edges_if_there_is_a_sink() -> None:
    """There are four equal weights from constant values: any of them may stay, but at
    least one must."""
    config, params = broken.SINK_CONFIG, broken.sink_head()
    means = ablations.means(config, params, compiled.corpus())
    keep = compiled.mask(broken.SINK_CIRCUIT)
    found = effective_edges.fewest(config, params, means, ASKED, keep, TARGET)
    kinds = [edge.src.site for edge in found.edges]
    assert 1 <= kinds.count(nodes.V) <= 4
    assert len(kinds) - kinds.count(nodes.V) <= 6


def test_a_circuit_that_misses_the_target_keeps_all_its_edges() -> None:
    found = effective_edges.fewest(CONFIG, PARAMS, MEANS, ASKED, compiled.mask(), 1e-5)
    assert found.edges == TRUE
    assert found.loss > 1e-5


def test_a_circuit_without_edges_has_none() -> None:
    keep = compiled.mask(set())
    assert edges.listed(CONFIG, PARAMS, keep) == []
    found = effective_edges.fewest(CONFIG, PARAMS, MEANS, ASKED, keep, 1.0)
    assert found.edges == []
    assert found.loss == pytest.approx(np.log(2), abs=1e-4)
