"""The known circuit of the compiled model is good by every measure."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx import model, nodes, taps
from sparsetx.circuits.measure import ablations, edges, questions
from sparsetx.nodes import Node
from tests.circuits import compiled

CONFIG, PARAMS = compiled.CONFIG, compiled.params()
ASKED = compiled.question()
MEANS = ablations.means(CONFIG, PARAMS, compiled.corpus())
SCALES = ablations.norm_scales(CONFIG, PARAMS, ASKED)
PATTERN = {n: np.asarray(x) for n, x in edges.patterns(CONFIG, PARAMS).items()}
QUERY = Node(nodes.Q, 1, 0)


def loss(keep: dict, scales: Any = None) -> float:
    tap = ablations.mean(keep, MEANS)
    return float(ablations.loss(CONFIG, PARAMS, ASKED, tap, scales))


def test_the_model_does_the_task_and_the_empty_circuit_does_not() -> None:
    whole = float(ablations.loss(CONFIG, PARAMS, ASKED, taps.IDENTITY))
    assert whole == pytest.approx(0.0014, abs=0.00005)
    assert loss(compiled.mask(set())) == pytest.approx(np.log(2), abs=1e-4)


def test_eleven_nodes_and_nine_edges_suffice() -> None:
    keep = compiled.mask()
    assert loss(keep) == pytest.approx(0.0014, abs=0.00005)
    size = edges.size(CONFIG, PATTERN, keep)
    assert (size.nodes, size.edges, size.constants) == (11, compiled.EDGES, 0)
    assert (size.edges_plus, size.pairs) == (compiled.EDGES, 4 + 4 + 2 + 2 + 1)
    listed = edges.listed(CONFIG, PARAMS, keep)
    found = [(e.src.site, e.src.index, e.dst.site, e.dst.index) for e in listed]
    assert found == [
        ("mlp_in", 0, "mlp_neuron", 0),
        ("mlp_in", 1, "mlp_neuron", 0),
        ("mlp_in", 0, "mlp_neuron", 1),
        ("mlp_neuron", 0, "mlp_out", 3),
        ("mlp_neuron", 0, "mlp_out", 4),
        ("mlp_neuron", 1, "mlp_out", 4),
        ("attn_in", 3, "k", 0),
        ("attn_in", 4, "v", 0),
        ("v", 0, "attn_out", 5),
    ]
    assert [e.weight for e in listed] == [8, 8, 8, 0.5, -0.5, 1, 4, 1, 2]


def test_a_kept_query_counts_as_a_constant() -> None:
    size = edges.size(CONFIG, PATTERN, compiled.mask(compiled.CIRCUIT | {QUERY}))
    assert (size.nodes, size.edges, size.constants) == (12, compiled.EDGES, 1)
    assert size.edges_plus == compiled.EDGES + 1


def test_the_boundary_is_two_quotes_and_two_answers() -> None:
    """MLP reads 0 and 1 read one quote each; channel 5 has weights to both answers."""
    keep = compiled.mask()
    assert edges.boundary(PARAMS, keep, ASKED.tokens_BL, ASKED.answers_B2) == 2 + 2


def test_no_smaller_circuit_reaches_the_target() -> None:
    """All 2048 subsets of the eleven nodes, alone and with all other nodes kept."""
    inside = compiled.subsets()
    outside = {s: np.maximum(x, 1 - compiled.mask()[s]) for s, x in inside.items()}
    few = compiled.question(4)

    @jax.jit
    def every(masks: Any) -> jax.Array:
        kind = functools.partial(ablations.mean, means=MEANS)
        return ablations.losses(CONFIG, PARAMS, few, masks, kind, at_once=256)

    found = np.asarray(every(inside))
    size = edges.size(CONFIG, PATTERN, inside)
    assert size.edges[found <= 0.15].tolist() == [compiled.EDGES]
    assert found[size.edges <= 8].min() > 0.15
    np.testing.assert_allclose(every(outside), found, atol=1e-6)


def test_h_is_within_the_target() -> None:
    keys = jax.random.split(jax.random.key(0), 100)
    honest = jax.jit(ablations.honest_losses, static_argnums=0)
    keep = compiled.mask()
    figures = honest(CONFIG, PARAMS, ASKED, keep, MEANS, SCALES, keys)
    assert set(figures) == {"mean", "frozen", "stochastic", "stochastic_mean"}
    assert float(ablations.honest_loss(figures)) < 0.002


@pytest.mark.parametrize("kind", ["zero", "resample"])
def test_other_kinds_of_ablation_change_nothing(kind: str) -> None:
    """Under zero ablation the query must be kept: else the head cannot attend."""
    if kind == "zero":
        tap = ablations.zero(compiled.mask(compiled.CIRCUIT | {QUERY}))
        broken = ablations.zero(compiled.mask())
        assert float(ablations.loss(CONFIG, PARAMS, ASKED, broken)) > 0.15
    else:
        order = jnp.asarray(np.random.default_rng(0).permutation(len(ASKED)))
        tap = ablations.resample(CONFIG, PARAMS, compiled.mask(), ASKED, order)
    found = float(ablations.loss(CONFIG, PARAMS, ASKED, tap))
    assert found == pytest.approx(0.0014, abs=0.00005)


def test_the_model_without_it_only_guesses() -> None:
    gone = {site: 1 - x for site, x in compiled.mask().items()}
    assert loss(gone) == pytest.approx(np.log(2), abs=1e-4)


def test_margins_are_those_of_the_whole_models_logits() -> None:
    logits = model.apply(CONFIG, PARAMS, ASKED.tokens_BL)
    last = jnp.take_along_axis(logits, ASKED.position_B[:, None, None], 1)[:, 0]
    wanted = questions.margin_of(ASKED, last)
    found = questions.margins(CONFIG, PARAMS, ASKED, taps.IDENTITY)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
