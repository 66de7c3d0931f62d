"""The explanation of a circuit: graph, descriptions of nodes and heads, mechanism."""

from dataclasses import dataclass

from sparsetx.circuits.circuit import Circuit, name_of
from sparsetx.circuits.explain import (
    ablation_costs,
    descriptions,
    graph,
    mechanism,
    supernodes,
)
from sparsetx.circuits.explain.descriptions import Description, Look, Token
from sparsetx.circuits.explain.graph import Graph
from sparsetx.circuits.explain.mechanism import Step
from sparsetx.circuits.explain.node_statistics import Sample
from sparsetx.circuits.explain.supernodes import Grouping
from sparsetx.circuits.measure import questions
from sparsetx.nodes import Node
from sparsetx.tasks.pairs import Pairs

PAIRS = 16  # pairs of the test pool on which everything is measured


@dataclass(frozen=True)
class Explanation:
    graph: Graph
    told: dict[Node, Description]
    looks: list[Look]  # of each head of which something is kept
    steps: list[Step]
    groups: Grouping  # the nodes in a few boxes


def of(
    circuit: Circuit,
    pairs: Pairs,
    sample: Sample,
    token: Token,
    text: Sample | None = None,
    edges: int | None = ablation_costs.MOST,
) -> Explanation:
    """Explain a circuit on some pairs. `sample`: its activations there; `text`: those
    on running text. `edges`: how many edges are ablated one by one; None: no costs and
    effects are measured, so there is no mechanism either."""
    measured = None
    if edges is not None:
        asked = questions.of(pairs, pairs.tokens_BL.shape[1])
        measured = ablation_costs.of(circuit, asked, edges)
    told = descriptions.of(sample, circuit.nodes, token, text)
    named = {name_of(node): one for node, one in told.items()}
    says = {name: one.text for name, one in named.items()}
    drawn = graph.of(circuit, pairs, measured, says)
    looks = descriptions.heads(sample, token)
    return Explanation(
        drawn,
        told,
        looks,
        mechanism.of(drawn, named, looks, sample, token),
        supernodes.of(drawn, named, looks, sample, token),
    )
