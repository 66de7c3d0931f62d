"""The mechanism of the known circuit: its sentences, and the nodes of each."""

from typing import Any, cast

import numpy as np
import pytest

from sparsetx.circuits.circuit import Circuit, name_of
from sparsetx.circuits.explain import (
    ablation_costs,
    activations,
    descriptions,
    graph,
    mechanism,
)
from sparsetx.circuits.explain.descriptions import Description, Look
from sparsetx.circuits.explain.graph import Graph
from sparsetx.circuits.explain.graph_parts import GraphEdge, GraphNode, Head, Output
from sparsetx.circuits.explain.mechanism import Step
from sparsetx.circuits.explain.node_statistics import NodeStatistics, Sample
from sparsetx.circuits.measure import ablations
from tests.circuits import broken, compiled
from tests.circuits.explain.test_descriptions import token
from tests.circuits.explain.test_graph import drawn
from tests.circuits.test_circuit import ASKED, made


def told(found: Circuit, measured: bool = True) -> list[Step]:
    few = compiled.question(8, 5)
    sample = activations.of(found, ASKED.tokens_BL, ASKED.position_B)
    each = descriptions.of(sample, found.nodes, token)
    named = {name_of(node): one for node, one in each.items()}
    whole = graph.of(found, few, ablation_costs.of(found, few) if measured else None)
    return mechanism.of(whole, named, descriptions.heads(sample, token), sample, token)


@pytest.fixture(scope="module")
def steps() -> list[Step]:
    return told(made())


def test_the_known_circuit_from_the_quote_to_the_answer(
    steps: list[Step],
) -> None:
    differ, kind, detector, head, answer = steps
    assert differ.text == (
        "The two prompts of a pair differ in one token: `(\"` in A, `('` in B."
    )
    assert kind.text.startswith(
        "Neuron 1 of layer 0 reads channel 0 and writes to channel 4. "
        "It is the quote type: fires on `(\"`, not on `('`"
    )
    assert kind.nodes == ("mlp_neuron/0/1", "mlp_in/0/0", "mlp_out/0/4")
    assert kind.text.endswith("Its interchange effect is 100%.")
    assert "It is a quote detector: fires on `(\"` and `('`" in detector.text
    assert "interchange" not in detector.text  # its value is equal in both prompts
    assert head.text.startswith(
        "Head 0 of layer 1 attends from the last token, with 100% of its attention "
        "where the prompts differ (AUC 1.00 against other positions); its keys are "
        "quote detectors; its value 0 is the quote type: tells `(\"` from `('`: "
    )
    assert head.text.endswith(
        " at the last token of A / B). The largest ablation cost of its nodes is 0.69 "
        "nats. The interchange effect of value 0 alone is 100%."
    )
    assert "its values are written to channel 5 (channel 5: +" in head.text
    assert head.nodes == ("k/1/0", "v/1/0", "attn_out/1/5")
    assert answer.text.startswith(
        "The answers are read from the attention of layer 1 in channel 5 (6."
    )
    assert answer.text.endswith("nats of logit towards the right one).")


def test_nodes_of_a_step_are_in_the_circuit(steps: list[Step]) -> None:
    names = {name_of(node) for node in made().nodes}
    assert {name for step in steps for name in step.nodes} <= names


def test_without_costs_there_is_no_mechanism() -> None:
    assert told(made(), measured=False) == []


def test_a_head_without_values() -> None:
    config, params = broken.SINK_CONFIG, broken.sink_head()
    means = ablations.means(config, params, compiled.corpus())
    found = drawn(config, params, broken.SINK_CIRCUIT, means)
    (text,) = [step.text for step in told(found) if step.text.startswith("Head")]
    assert "its values are not kept: all that varies is how much attention" in text


def test_two_heads_that_do_the_same_have_one_sentence() -> None:
    """Each writes too little alone: if one sufficed, neither would have a cost."""
    kept = compiled.CIRCUIT | broken.OWN_OF_TWIN
    params = broken.twin_head()
    params["blocks"]["o"]["w"][1] *= 0.1
    means = ablations.means(compiled.CONFIG, params, compiled.corpus())
    found = drawn(compiled.CONFIG, params, kept, means)
    (heads,) = [step.text for step in told(found) if step.text.startswith("Head")]
    assert heads.startswith("Heads 0 and 1 of layer 1 attend from the last token")
    assert ", with 100% and 100% of their attention where" in heads
    assert "their values are the quote type" in heads


def node(name: str, cost: float, **more: Any) -> GraphNode:
    site, layer, index = name.split("/")
    head = int(index) // 4 if site in "qkv" else None
    told: dict[str, Any] = {
        "head": head, "constant": False, "bias": 0.0, "mean": 0.0, "whole_in": 1,
        "whole_out": 1, "share_in": None, "share_out": None, "direct": None,
        "interchange": None, "description": "",
    }  # fmt: skip
    return GraphNode(name, site, int(layer), int(index), cost=cost, **(told | more))


def head(number: int, *values: str, sink: float | None = None) -> Head:
    return Head(0, number, sink, (), values, 0, 0)


def by_hand(
    listed: list[GraphNode],
    edges: list[tuple[str, str]],
    heads: list[Head],
    titles: dict[str, str],
    looks: list[dict[str, Any]],
    position_B: tuple[int, int] = (2, 2),
) -> list[str]:
    """The sentences of a graph of which everything is given."""
    tokens_BL = np.array([[0, 1, 5], [0, 2, 5]])
    outputs = tuple(Output(channel, 3, 1.0) for channel in (1, 2))
    whole = Graph(
        "t", 0.1, tuple(listed), tuple(GraphEdge(*e, 1.0, 0.1) for e in edges), (),
        tuple(heads), (), (), outputs, (),
    )  # fmt: skip
    none = cast(NodeStatistics, None)
    told = {
        n.name: Description(titles.get(n.name, ""), "from -1 to +1; and so on", none)
        for n in listed
    }
    usual = {"by_token": {}, "most": 5, "apart": 0.0, "tells": 0.5, "distance": 1.0}
    seen = [
        Look(**({"layer": 0, "text": "", "sink": 0.0} | usual | own)) for own in looks
    ]
    sample = Sample(tokens_BL, np.array(position_B), {}, {})
    found = mechanism.of(whole, told, seen, sample, lambda token: f"t{token}")
    return [step.text for step in found]


def test_nothing_is_said_that_was_not_measured() -> None:
    """Attention to the sink does not count as the head's; only the value of the largest
    cost is described; a neuron whose reads cost nothing is no constant; what costs
    nothing is only counted; a channel that no answer reads is not mentioned."""
    listed = [
        node("v/0/0", 0.3), node("v/0/1", 0.1), node("v/0/2", 0.1),
        node("v/0/4", 0.0001),
        node("attn_out/0/7", 0.2, direct=3.0), node("attn_out/0/1", 0.2, direct=-0.5),
        node("mlp_in/0/3", -0.001), node("mlp_neuron/0/5", 0.2),
        node("mlp_neuron/0/6", 0.3, constant=True),
        node("mlp_out/0/2", 0.1, direct=2.0),
    ]  # fmt: skip
    edges = [
        ("v/0/0", "attn_out/0/7"), ("mlp_in/0/3", "mlp_neuron/0/5"),
        ("mlp_neuron/0/5", "mlp_out/0/2"), ("mlp_neuron/0/6", "mlp_out/0/2"),
    ]  # fmt: skip
    differ, looks, constant, neuron, answer, left = by_hand(
        listed,
        edges,
        [head(0, "v/0/0", "v/0/1", "v/0/2", sink=1.0), head(1, "v/0/4")],
        {"v/0/0": "quote type"},
        [{"head": 0, "apart": 1.0, "sink": 0.9}, {"head": 1}],
    )
    assert differ == (
        "The two prompts of a pair differ in one token: `t1` in A, `t2` in B."
    )
    assert looks == (
        "Head 0 of layer 0 attends from the last token, most to `t5`; its value 0 is "
        "the quote type: from -1 to +1; and so on; its values are written to channel "
        "7. The largest ablation cost of its nodes is 0.30 nats."
    )
    assert constant == (
        "Neuron 6 of layer 0 is a constant and writes to channel 2. Its ablation cost "
        "is 0.30 nats."
    )
    assert neuron == (
        "Neuron 5 of layer 0 reads channel 3 and writes to channel 2. It ranges from "
        "-1 to +1. Its ablation cost is 0.20 nats."
    )
    assert answer == (
        "The answers are read from the MLP of layer 0 in channel 2 (2.00 nats of "
        "logit towards the right one) and the attention of layer 0 in channel 1 (0.50 "
        "nats of logit away from the right one)."
    )
    assert left == (
        "It also keeps 1 head, where no node has an ablation cost above 0.00 nats."
    )


def test_prompts_of_unequal_length() -> None:
    (differ, *others) = by_hand([], [], [], {}, [], position_B=(1, 2))
    assert differ == (
        "The two prompts of a pair are not equally long: A has more of `t1` and B has "
        "more of `t2` and `t5`."
    )
    assert others == []
