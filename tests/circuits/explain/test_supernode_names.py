"""Names of groups: no two titles are alike, and what tells them apart was measured."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsetx import nodes
from sparsetx.circuits.circuit import name_of
from sparsetx.circuits.explain import descriptions
from sparsetx.circuits.explain.graph_parts import GraphNode
from sparsetx.circuits.explain.supernodes.names import Names
from sparsetx.nodes import Node
from tests.circuits.explain.test_supernodes import ANY, LOOK, drawn, node, title

NONE = np.zeros((2, 2))


def boxes_of(*boxes: list[Node]) -> list[list[GraphNode]]:
    return [[node(one, None) for one in box] for box in boxes]


def named(boxes: list[list[GraphNode]], between: np.ndarray = NONE) -> list[str]:
    """Names where nothing is described, and all heads read the same token."""
    heads = {(n.layer, n.head) for box in boxes for n in box if n.head is not None}
    return Names({}, dict.fromkeys(heads, LOOK), "quote", str).of(boxes, between)


@settings(max_examples=60, deadline=None)
@given(ANY.filter(bool), st.integers(0, 99), st.integers(1, 20), st.booleans())
def test_titles_of_any_boxes_differ(
    own: list[Node], seed: int, many: int, alike: bool
) -> None:
    """Also where all nodes have one description, or none, and arrows are equal."""
    r = np.random.default_rng(seed)
    _, sample = drawn(own, seed)
    told = descriptions.of(sample, [] if alike else own[::2], str)
    described = {name_of(n): one for n, one in told.items()}
    at_N = r.integers(0, many, len(own))
    boxes = [
        [node(n, None) for n, at in zip(own, at_N, strict=True) if at == box]
        for box in sorted(set(at_N.tolist()))
    ]
    between = np.ones((len(boxes), len(boxes))) * r.integers(0, 2)
    np.fill_diagonal(between, 0)
    heads = {(n.layer, n.head) for box in boxes for n in box if n.head is not None}
    names = Names(described, dict.fromkeys(heads, LOOK), "quote", str)
    titles = list(map(title, names.of(boxes, between)))
    assert len(set(titles)) == len(titles)


N, OUT, MLP = nodes.MLP_NEURON, nodes.ATTN_OUT, nodes.MLP_OUT


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        ([Node(N, 0, 1)], [Node(OUT, 0, 1), Node(N, 1, 2)], "layer 0|layers 0 to 1"),
        ([Node(OUT, 1, 1)], [Node(MLP, 1, 1)], "layer 1 attention|layer 1 MLP"),
        ([Node(nodes.Q, 1, 1)], [Node(nodes.V, 1, 5)], "head 1.0|head 1.1"),
        ([Node(N, 1, 1)], [Node(N, 1, 7)], "layer 1 MLP neuron 1|layer 1 MLP neuron 7"),
    ],
    ids=["layer", "sublayer", "head", "node"],
)
def test_the_first_fact_that_tells_them_apart(
    one: list[Node], other: list[Node], wanted: str
) -> None:
    found = named(boxes_of(one, other))
    assert "|".join(name.rpartition(" (")[2].rstrip(")") for name in found) == wanted
    assert len({name.rpartition(" (")[0].partition(": ")[2] for name in found}) == 1
    (alone,) = named(boxes_of(one), np.zeros((1, 1)))
    assert not alone.endswith(")")  # a title of its own has no addition


def test_boxes_of_one_sublayer_are_told_apart_by_their_arrows() -> None:
    boxes = boxes_of(
        [Node(N, 1, 1)], [Node(N, 1, 2)], [Node(nodes.Q, 2, 0)], [Node(nodes.Q, 2, 5)]
    )
    between = np.zeros((4, 4))
    between[0, 2] = between[1, 3] = 1.0
    found = named(boxes, between)
    assert found[0] == "layer 1 neuron: not described (to head 2.0)"
    assert found[1] == "layer 1 neuron: not described (to head 2.1)"
    assert named(boxes, between.T)[:2] == [
        name.replace("(to", "(from") for name in found[:2]
    ]


def test_two_facts_where_no_one_does() -> None:
    ways = list(itertools.product((1, 2), (0, 1)))
    own = [[Node(N, layer, 4 + way)] for layer, way in ways]
    boxes = boxes_of(*own, [Node(nodes.Q, 3, 0)], [Node(nodes.Q, 3, 5)])
    between = np.zeros((6, 6))
    for i, (_, way) in enumerate(ways):
        between[i, 4 + way] = 1.0
    assert [name.partition(" (")[2] for name in named(boxes, between)[:4]] == [
        f"layer {layer}, to head 3.{way})" for layer, way in ways
    ]


def test_detectors_are_told_apart_by_their_tokens() -> None:
    own = [Node(N, 1, 1), Node(N, 1, 2)]
    _, sample = drawn(own, 0)
    for one, token in zip(own, (3, 1), strict=True):
        sample.values[one][:] = sample.tokens_BL == token
    told = descriptions.of(sample, own, str)
    described = {name_of(n): one for n, one in told.items()}
    assert {one.title for one in told.values()} == {"number detector"}
    found = Names(described, {}, "quote", str).of(boxes_of(*([n] for n in own)), NONE)
    assert found == [
        "layer 1 neuron: number detector (on `3`)",
        "layer 1 neuron: number detector (on `1`)",
    ]
