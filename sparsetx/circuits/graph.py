"""A circuit as a graph: what its nodes are, what joins them, what each is worth.

From tokens to answers: tokens write to residual channels, reads find them there,
weights lead from reads to q, k, v and neurons and on to writes, later reads find those,
and the answers are read off the last residual. Gains of norms are folded into the
weights that follow them, so that a read stands for the normalised residual itself. Only
weights are edges (section 2.3); that a write meets a later read in its channel, and
that queries meet keys, is listed beside them.

All of it is NumPy: what has to be measured by running the model is handed in
(effects.py), and so are descriptions (describe.py).
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparsetx import nodes
from sparsetx.circuits import arrays, edges, text
from sparsetx.circuits.arrays import HEADS, Arrays
from sparsetx.circuits.circuit import Circuit, name_of
from sparsetx.circuits.edges import Edge
from sparsetx.circuits.effects import Effects
from sparsetx.circuits.parts import (
    Channel,
    Coupling,
    GraphEdge,
    GraphNode,
    Head,
    Input,
    Meeting,
    Output,
)
from sparsetx.circuits.routes import Path, Roads, best_paths
from sparsetx.circuits.text import Prompts
from sparsetx.nodes import Node

PATHS = 24


@dataclass(frozen=True)
class Graph:
    task: str
    loss: float | None  # of the circuit, uncalibrated, where effects were measured
    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    couplings: tuple[Coupling, ...]
    heads: tuple[Head, ...]
    channels: tuple[Channel, ...]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    paths: tuple[Path, ...]  # from tokens to answers, the strongest first

    def node(self, name: str) -> GraphNode:
        return next(node for node in self.nodes if node.name == name)

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and texts."""
        return dataclasses.asdict(self)


def of(
    circuit: Circuit,
    asked: Prompts,
    effects: Effects | None = None,
    descriptions: Mapping[str, str] | None = None,
) -> Graph:
    """The graph of a circuit, with the tokens and the answers of these prompts."""
    own = arrays.of(circuit)
    listed = tuple(_nodes(own, effects, descriptions or {}))
    joined = tuple(_edges(own, effects))
    couplings = tuple(_couplings(own))
    roads = Roads(
        worth={node.name: node.effect for node in listed},
        weights=[(e.src, e.dst, e.weight, e.effect) for e in joined],
        carried=[(c.src, c.dst) for c in couplings] + list(_attention(own)),
        starts=text.starts(own, asked),
        ends=text.ends(own, asked),
    )
    # A path is as strong as its weakest part: all in nats, or all by weight.
    comparable = effects is None or len(effects.edge) > 0 or not own.edges
    return Graph(
        task=circuit.task,
        loss=effects.loss if effects else None,
        nodes=listed,
        edges=joined,
        couplings=couplings,
        heads=tuple(_head(own, *which) for which in own.heads),
        channels=tuple(text.channels(own, asked)),
        inputs=tuple(text.inputs(own, asked)),
        outputs=tuple(text.outputs(own, asked)),
        paths=tuple(best_paths(roads, PATHS)) if comparable else (),
    )


def _nodes(
    own: Arrays, effects: Effects | None, descriptions: Mapping[str, str]
) -> Iterator[GraphNode]:
    fed = Counter(edge.dst for edge in own.edges)
    heard = Counter(edge.src for edge in own.edges)
    for node in own.kept:
        whole_in, whole_out = _whole(own, node)
        name = name_of(node)
        computed = node.site not in (*edges.READS, *nodes.END_SITES)
        yield GraphNode(
            name=name,
            site=node.site,
            layer=node.layer,
            index=node.index,
            head=own.head(node),
            constant=computed and not fed[node],
            bias=own.bias(node),
            mean=own.mean(node),
            whole_in=whole_in,
            whole_out=whole_out,
            share_in=fed[node] / whole_in if whole_in else None,
            share_out=heard[node] / whole_out if whole_out else None,
            effect=effects.node.get(node) if effects else None,
            direct=effects.direct.get(node) if effects else None,
            swap=effects.swap.get(node) if effects else None,
            description=descriptions.get(name, ""),
        )


def _whole(own: Arrays, node: Node) -> tuple[int, int]:
    """Nonzero weights into and out of a node in the whole model."""
    if node.site in nodes.END_SITES:
        return 0, 0
    came = went = 0
    for part, w in own.parts(node.layer):
        if part.target == node.site:
            came += int(np.count_nonzero(w[:, node.index]))
        if part.source == node.site:
            went += int(np.count_nonzero(w[node.index]))
    return came, went


def _edges(own: Arrays, effects: Effects | None) -> Iterator[GraphEdge]:
    for edge in own.edges:
        weight = edge.weight * own.gain(edge.src)
        effect = effects.edge.get((edge.src, edge.dst)) if effects else None
        yield GraphEdge(name_of(edge.src), name_of(edge.dst), weight, effect)


def _couplings(own: Arrays) -> Iterator[Coupling]:
    writes = [n for n in own.kept if n.site in edges.WRITES]
    for read in own.kept:
        if read.site not in text.READS:
            continue
        before = set(nodes.writers(own.config, read.site, read.layer))
        for write in writes:
            if write.index == read.index and (write.site, write.layer) in before:
                yield Coupling(name_of(write), name_of(read), read.index)


def _head(own: Arrays, layer: int, head: int) -> Head:
    inside = _channels(own, head)
    whole = sum(
        int(np.count_nonzero(w[:, inside] if part.target in HEADS else w[inside]))
        for part, w in own.parts(layer)
        if part.target in HEADS or part.source == nodes.V
    )
    return Head(
        layer=layer,
        index=head,
        sink=own.sink(layer, head),
        meetings=tuple(_meetings(own, layer, inside)),
        values=tuple(_of_head(own, layer, inside, nodes.V)),
        edges=sum(_touches(edge, layer, inside) for edge in own.edges),
        whole=whole,
    )


def _meetings(own: Arrays, layer: int, inside: range) -> Iterator[Meeting]:
    """Channels in which something kept meets something that is not zero."""
    for i in inside:
        sides = [Node(site, layer, i) for site in (nodes.Q, nodes.K)]
        kept = [bool(own.keep[side.site][layer, i]) for side in sides]
        q_mean, k_mean = map(own.mean, sides)
        if any(kept) and (kept[0] or q_mean) and (kept[1] or k_mean):
            q, k = (
                name_of(side) if own_one else None
                for side, own_one in zip(sides, kept, strict=True)
            )
            yield Meeting(i, q, k, q_mean, k_mean)


def _attention(own: Arrays) -> Iterator[tuple[str, str]]:
    """From queries and keys to the writes that values of their head lead to."""
    for layer, head in own.heads:
        inside = _channels(own, head)
        writes = {
            name_of(edge.dst)
            for edge in own.edges
            if edge.src.site == nodes.V and _touches(edge, layer, inside)
        }
        for site in (nodes.Q, nodes.K):
            for name in _of_head(own, layer, inside, site):
                for write in sorted(writes):
                    yield name, write


def _channels(own: Arrays, head: int) -> range:
    wide = own.config.d_head
    return range(head * wide, (head + 1) * wide)


def _of_head(own: Arrays, layer: int, inside: range, site: str) -> Iterator[str]:
    for i in inside:
        if own.keep[site][layer, i]:
            yield name_of(Node(site, layer, i))


def _touches(edge: Edge, layer: int, inside: range) -> bool:
    """Whether an edge leads into or out of a head."""
    own = edge.dst if edge.dst.site in HEADS else edge.src
    return own.site in HEADS and own.layer == layer and own.index in inside
