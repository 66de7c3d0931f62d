"""The graph of circuits whose every weight is known."""

import dataclasses
import json
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx import nodes
from sparsetx.circuits import circuit, facts
from sparsetx.circuits.circuit import Circuit, name_of
from sparsetx.circuits.explain import ablation_costs, graph, text_ends
from sparsetx.circuits.explain.ablation_costs import Costs
from sparsetx.circuits.measure import ablations, inference
from sparsetx.config import ModelConfig
from sparsetx.model import parameters
from sparsetx.nodes import Node
from tests.circuits import broken, compiled
from tests.circuits.test_circuit import ASKED, MEANS, PARAMS, made

FEW = compiled.question(8, 5)


def drawn(
    config: ModelConfig, params: Any, kept: set[Node], means: Any = None
) -> Circuit:
    """A circuit of any nodes of a model."""
    keep = {s: np.zeros(n, np.float32) for s, n in nodes.shapes(config).items()}
    for node in kept:
        keep[node.site][node.layer, node.index] = 1
    if means is None:
        means = {site: np.zeros_like(x) for site, x in keep.items()}
    order = sorted(kept, key=lambda n: nodes.flat_index(config, n))
    told = facts.Facts(
        task="drawn",
        model=facts.Model(config),
        nodes=tuple(map(circuit.name_of, order)),
    )
    return Circuit(told, params, keep, means)


@pytest.fixture(scope="module")
def measured() -> Costs:
    return ablation_costs.of(made(), FEW)


def test_the_known_circuit_is_in_the_graph(measured: Costs) -> None:
    found = graph.of(made(), ASKED, measured, {"k/1/0": "the key"})
    assert {n.name for n in found.nodes} == {name_of(n) for n in compiled.CIRCUIT}
    assert len(found.edges) == compiled.EDGES
    assert [(c.src, c.dst, c.channel) for c in found.couplings] == [
        ("mlp_out/0/3", "attn_in/1/3", 3),
        ("mlp_out/0/4", "attn_in/1/4", 4),
    ]
    (head,) = found.heads
    assert (head.layer, head.index, head.edges, head.whole) == (1, 0, 3, 3)
    assert head.values == ("v/1/0",)
    (meeting,) = head.meetings
    assert (meeting.q, meeting.k, meeting.q_mean) == (None, "k/1/0", 8)
    said = [(o.channel, o.token, o.weight) for o in found.outputs]
    assert said == [(5, compiled.CLOSE_DOUBLE, 4), (5, compiled.CLOSE_SINGLE, -4)]
    assert found.node("k/1/0").description == "the key"
    assert found.node("mlp_neuron/0/0").bias == -4
    assert found.node("attn_in/1/3").share_out == 1
    assert not any(n.constant for n in found.nodes)
    json.dumps(found.to_json(), allow_nan=False)


def test_the_tokens_that_decide_come_first() -> None:
    first, second, *others = graph.of(made(), ASKED).inputs
    assert {first.token, second.token} == {compiled.DOUBLE, compiled.SINGLE}
    assert first.decides
    assert second.decides
    assert dict(first.weights) in ({0: 2.0}, {1: 2.0})
    assert not any(other.decides or other.weights for other in others)
    assert first.count == len(ASKED) // 2


def test_paths_lead_from_the_quote_to_the_answer(measured: Costs) -> None:
    paths = graph.of(made(), ASKED, measured).paths
    assert len(paths) == 5
    strengths = [path.strength for path in paths]
    assert strengths == sorted(strengths, reverse=True)
    for path in paths:
        assert path.nodes[0] in ("mlp_in/0/0", "mlp_in/0/1")
        assert path.nodes[-1] == "attn_out/1/5"
    by_key = [path for path in paths if "k/1/0" in path.nodes]
    assert [path.sign for path in by_key] == [1, 1]
    inhibits = [p for p in paths if p.sign < 0]
    assert all("mlp_neuron/0/0" in path.nodes for path in inhibits)


def test_costs_are_what_ablation_costs(measured: Costs) -> None:
    keep = compiled.mask()
    base = float(
        ablations.loss(compiled.CONFIG, PARAMS, FEW, ablations.mean(keep, MEANS))
    )
    assert measured.loss == pytest.approx(base, abs=1e-6)
    for node in (Node(nodes.K, 1, 0), Node(nodes.MLP_NEURON, 0, 1)):
        fewer = compiled.mask(compiled.CIRCUIT - {node})
        tap = ablations.mean(fewer, MEANS)
        loss = float(ablations.loss(compiled.CONFIG, PARAMS, FEW, tap))
        assert measured.node[node] == pytest.approx(loss - base, abs=1e-6)
    # A value's only edge carries all that the value does.
    value, write = Node(nodes.V, 1, 0), Node(nodes.ATTN_OUT, 1, 5)
    assert measured.edge[value, write] == pytest.approx(measured.node[value], abs=1e-4)


def test_the_tapped_model_finds_the_same(
    measured: Costs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of circuits that are most of their model, say, there is no folded form."""
    monkeypatch.setattr(inference, "fold", lambda *_, **__: None)
    found = ablation_costs.of(made(), FEW)
    assert found.loss == pytest.approx(measured.loss, abs=1e-5)
    for kind in ("node", "edge", "direct", "interchange"):
        own, other = getattr(found, kind), getattr(measured, kind)
        assert own.keys() == other.keys()
        assert own == pytest.approx(other, abs=1e-5)


def test_the_direct_effect_is_the_margin_that_a_write_adds(measured: Costs) -> None:
    """The answers are only read from channel 5, so it has all of the margin."""
    answers = np.asarray(FEW.answers_B2)
    whole = made()
    logits_B2 = np.take_along_axis(
        whole.logits(FEW.tokens_BL)[np.arange(len(answers)), FEW.position_B], answers, 1
    )
    margin = float(np.mean(logits_B2[:, 0] - logits_B2[:, 1]))
    direct = measured.direct[Node(nodes.ATTN_OUT, 1, 5)]
    assert direct == pytest.approx(margin, rel=1e-3)
    assert measured.direct[Node(nodes.MLP_OUT, 0, 3)] == 0


def test_of_very_many_edges_those_that_matter_are_measured() -> None:
    found = ablation_costs.of(made(), FEW, most=8)
    assert len(found.edge) == 8
    assert (Node(nodes.V, 1, 0), Node(nodes.ATTN_OUT, 1, 5)) in found.edge
    drawing = graph.of(made(), FEW, found)
    assert sum(edge.cost is None for edge in drawing.edges) == 1


def test_without_costs_paths_are_by_weight() -> None:
    found = graph.of(made(), ASKED)
    assert found.loss is None
    assert all(n.cost is None and n.direct is None for n in found.nodes)
    assert (
        found.paths[0].strength == 1
    )  # the least weight on the path through the value


def test_gains_are_folded_into_what_reads_carry() -> None:
    params = compiled.params()
    params[parameters.BLOCKS][parameters.MLP_NORM][parameters.GAIN][0, 1] = 3
    params[parameters.FINAL_NORM][parameters.GAIN][5] = 0.5
    found = graph.of(drawn(compiled.CONFIG, params, compiled.CIRCUIT), ASKED)
    weights = {(e.src, e.dst): e.weight for e in found.edges}
    assert weights["mlp_in/0/1", "mlp_neuron/0/0"] == 24
    assert weights["mlp_in/0/0", "mlp_neuron/0/0"] == 8
    assert {o.weight for o in found.outputs} == {2, -2}


def test_constants_and_kept_fractions_of_weights() -> None:
    query = Node(nodes.Q, 1, 0)
    kept = compiled.CIRCUIT - {Node(nodes.MLP_IN, 0, 1)} | {query}
    found = graph.of(drawn(compiled.CONFIG, PARAMS, kept, MEANS), ASKED)
    assert found.node("q/1/0").constant
    assert found.node("mlp_neuron/0/0").share_in == 0.5
    assert found.node("q/1/0").share_in is None  # it has no weight at all
    assert found.heads[0].meetings[0].q == "q/1/0"


def test_a_head_that_only_acts_through_its_sink() -> None:
    params = broken.sink_head()
    own = drawn(broken.SINK_CONFIG, params, broken.SINK_CIRCUIT)
    found = graph.of(own, ASKED)
    assert found.heads[0].sink == 6
    assert found.heads[0].values == ()
    ways = {path.nodes[-2:] for path in found.paths}
    assert ("k/1/0", "attn_out/1/5") in ways
    assert sum(e.dst == "attn_out/1/5" for e in found.edges) == 4


@pytest.mark.slow
def test_the_last_read_may_be_a_node() -> None:
    own = made()
    final = np.zeros(compiled.CONFIG.d_model, np.float32)
    final[5] = 1
    keep = {**own.keep, nodes.FINAL: final}
    names = (*own.facts.nodes, "final/0/5")
    told = dataclasses.replace(own.facts, nodes=names)
    means = {**MEANS, nodes.FINAL: np.zeros_like(final)}
    whole = Circuit(told, own.params, keep, means)
    measured = ablation_costs.of(whole, FEW)
    found = graph.of(whole, FEW, measured)
    assert found.paths[0].nodes[-2:] == ("attn_out/1/5", "final/0/5")
    assert found.node("final/0/5").direct == pytest.approx(
        found.node("attn_out/1/5").direct, abs=1e-4
    )


def test_positions_are_listed_where_they_are_read() -> None:
    config = dataclasses.replace(compiled.CONFIG, positions="added")
    params = compiled.params()
    place = np.zeros((config.context, config.d_model), np.float32)
    place[:, 0] = np.arange(config.context)
    params[parameters.POSITIONS] = {parameters.W: place}
    found = graph.of(drawn(config, params, compiled.CIRCUIT), ASKED)
    spread = {c.index: c.position for c in found.channels}
    assert spread[0] == pytest.approx(np.arange(compiled.LENGTH).std())
    assert spread[1] == 0
    assert spread[5] is None


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [
        ([1, 2, 3], [1, 4, 3], {2, 4}),
        ([1, 2, 3], [1, 3, 2], {2, 3}),  # the same tokens in another order
        ([1, 2, 2], [1, 2], {2}),
        ([1], [1], set()),
    ],
)
def test_deciding_tokens(a: list[int], b: list[int], wanted: set[int]) -> None:
    assert text_ends.deciding([a, b]) == wanted


def test_padding_is_no_token() -> None:
    asked = compiled.question(4, 0)
    short = dataclasses.replace(asked, position_B=jnp.full(8, 2, jnp.int32))
    assert all(len(row) == 3 for row in text_ends.real(short))
