"""Groups of nodes: a partition, bounded, and the same in whatever order they come."""

import dataclasses
import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsetx import nodes
from sparsetx.circuits.circuit import name_of
from sparsetx.circuits.explain import descriptions, graph, supernodes
from sparsetx.circuits.explain.descriptions import Look
from sparsetx.circuits.explain.graph import Graph
from sparsetx.circuits.explain.graph_parts import Coupling, GraphEdge, GraphNode
from sparsetx.circuits.explain.node_statistics import Sample
from sparsetx.circuits.explain.supernodes import Grouping
from sparsetx.nodes import Node
from tests.circuits.explain.test_descriptions import task, token
from tests.circuits.test_circuit import ASKED, made

__all__ = ["task"]
WIDE = 4  # channels of a head
TOKENS_BL = np.array([[1, 2, 3], [1, 4, 3], [5, 2, 3], [5, 4, 3]])
LOOK = Look(0, 0, "", {3: 1.0}, 3, 0.0, 0.5, 0.0, 0.0)


def node(one: Node, interchange: float | None) -> GraphNode:
    head = one.index // WIDE if one.site in supernodes.HEADS else None
    place = one.site, one.layer, one.index
    numbers = 0.0, 0.0, 1, 1, 1.0, 1.0, None, None
    return GraphNode(name_of(one), *place, head, False, *numbers, interchange, "")


def drawn(own: list[Node], seed: int) -> tuple[Graph, Sample]:
    """Any nodes, with any weights inside a sublayer and links between them."""
    r = np.random.default_rng(seed)
    inside = [
        GraphEdge(name_of(a), name_of(b), float(r.normal()), None)
        for a in own
        for b in own
        if a.layer == b.layer
        and (a.site in supernodes.ATTENTION) == (b.site in supernodes.ATTENTION)
        and supernodes._place(a.site) < supernodes._place(b.site)
        and r.random() < 0.4
    ]
    links = [
        Coupling(name_of(a), name_of(b), a.index)
        for a in own
        for b in own
        if a.site in (nodes.ATTN_OUT, nodes.MLP_OUT)
        and b.site in (nodes.ATTN_IN, nodes.MLP_IN)
        and a.layer < b.layer
        and a.index == b.index
    ]
    named = tuple(node(n, float(r.random())) for n in own)
    values = {n: r.normal(size=TOKENS_BL.shape) for n in own}
    whole = Graph("t", None, named, tuple(inside), tuple(links), *[()] * 5)
    return whole, Sample(TOKENS_BL, np.full(4, 2), values)


def grouped(whole: Graph, sample: Sample, most: int = supernodes.MOST) -> Grouping:
    told = descriptions.of(sample, list(sample.values), str)
    named = {name_of(n): one for n, one in told.items()}
    heads = {(n.layer, n.head) for n in whole.nodes if n.head is not None}
    looks = [dataclasses.replace(LOOK, layer=a, head=b) for a, b in heads]
    return supernodes.of(whole, named, looks, sample, str, most)


def title(name: str) -> str:
    """What drawings show of a name, as the page's groups.js takes it."""
    parts = (part.partition(": ") for part in name.split("; "))
    return "; ".join(what or where for where, _, what in parts).replace("`", "")


ANY = st.lists(
    st.builds(
        Node, st.sampled_from(nodes.NODE_SITES), st.integers(0, 8), st.integers(0, 11)
    ),
    unique=True,
    max_size=50,
)


@settings(max_examples=30, deadline=None)
@given(ANY, st.integers(0, 99), st.integers(1, 12))
def test_a_bounded_partition_in_any_order(
    own: list[Node], seed: int, most: int
) -> None:
    whole, sample = drawn(own, seed)
    found = grouped(whole, sample, most)
    members = [name for box in found.boxes for name in box.nodes]
    assert sorted(members) == sorted(map(name_of, own))
    assert len(found.boxes) <= most
    drawn_titles = [title(box.name) for box in found.boxes]
    assert len(set(drawn_titles)) == len(drawn_titles)
    for i, box in enumerate(found.boxes):
        into = sum(arrow.weight for arrow in found.arrows if arrow.dst == i)
        out = sum(arrow.weight for arrow in found.arrows if arrow.src == i)
        np.testing.assert_allclose([box.incoming, box.outgoing], [into, out])
        effects = {
            n.name: n.interchange or 0.0 for n in whole.nodes if n.name in box.nodes
        }
        assert box.carrier is not None
        assert box.interchange == effects[box.carrier] == max(effects.values())
    shuffled = {
        key: tuple(random.Random(seed).sample(part, len(part)))
        for key in ("nodes", "edges", "couplings")
        for part in [getattr(whole, key)]
    }
    values = dict(reversed(sample.values.items()))
    again = dataclasses.replace(sample, values=values)
    assert grouped(dataclasses.replace(whole, **shuffled), again, most) == found


def test_a_large_circuit_fits() -> None:
    own = [
        Node(site, layer, i)
        for layer in range(9)
        for site in nodes.NODE_SITES
        for i in range(4)
    ]
    found = grouped(*drawn(own, 0))
    assert len(own) == 288
    assert len(found.boxes) == supernodes.MOST
    assert sum(len(box.nodes) for box in found.boxes) == 288


def test_nodes_of_one_head_stay_together() -> None:
    own = [Node(site, 1, 5) for site in (nodes.Q, nodes.K, nodes.V)]
    own.append(Node(nodes.ATTN_OUT, 1, 0))
    whole, sample = drawn(own, 0)
    edge = GraphEdge("v/1/5", "attn_out/1/0", 2.0, None)
    (box,) = grouped(dataclasses.replace(whole, edges=(edge,)), sample).boxes
    assert set(box.nodes) == {name_of(n) for n in own}
    assert box.name == "head 1.1: reads `3`, at the last token"


def test_the_known_circuit(task: Sample) -> None:
    whole = graph.of(made(), ASKED)
    told = descriptions.of(task, made().nodes, token)
    named = {name_of(n): one for n, one in told.items()}
    looks = descriptions.heads(task, token)
    found = supernodes.of(whole, named, looks, task, token)
    assert [box.name for box in found.boxes] == [
        "layer 0 neuron: quote detector",
        "layer 0 neuron: quote type",
        "head 1.0: reads the quote, at the last token",
    ]
    assert {(a.src, a.dst) for a in found.arrows} >= {(0, 2), (1, 2)}
    assert all(box.interchange is None for box in found.boxes)  # not measured
