"""A circuit looked at from all sides: its graph, what its nodes do, how it decides."""

from dataclasses import dataclass

from sparsetx.circuits import account, describe, effects, graph, question
from sparsetx.circuits.account import Step
from sparsetx.circuits.circuit import Circuit, name_of
from sparsetx.circuits.describe import Description, Look, Token
from sparsetx.circuits.drive import Sample
from sparsetx.circuits.graph import Graph
from sparsetx.nodes import Node
from sparsetx.tasks.pairs import Pairs

PAIRS = 16  # of the test pool, on which all of it is measured


@dataclass(frozen=True)
class Portrait:
    graph: Graph
    told: dict[Node, Description]
    looks: list[Look]  # of each head of which something is kept
    steps: list[Step]


def of(
    circuit: Circuit,
    pairs: Pairs,
    sample: Sample,
    token: Token,
    text: Sample | None = None,
    edges: int | None = effects.MOST,
) -> Portrait:
    """On some pairs, of which `sample` says what nodes did there, and on running text.
    `edges`: how many are removed one by one; None: it is not measured what anything is
    worth."""
    measured = None
    if edges is not None:
        asked = question.of(pairs, pairs.tokens_BL.shape[1])
        measured = effects.of(circuit, asked, edges)
    told = describe.of(sample, circuit.nodes, token, text)
    named = {name_of(node): one for node, one in told.items()}
    says = {name: one.text for name, one in named.items()}
    drawn = graph.of(circuit, pairs, measured, says)
    looks = describe.heads(sample, token)
    return Portrait(drawn, told, looks, account.of(drawn, named, looks, sample, token))
