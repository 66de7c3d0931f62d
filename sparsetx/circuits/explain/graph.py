"""A circuit as a graph: its nodes, edges, heads, ends and strongest paths.

From tokens to answers: tokens are embedded in residual channels, reads take them from
there, weights lead from reads to q, k, v and neurons and on to writes, later reads take
those, and the answers are read from the last residual. Gains of norms are folded into
the weights that follow them, so that a read stands for the normalised residual itself.
Only weights are edges (section 2.3); pairs of a write and a later read of its channel,
and of a query and the key that it is multiplied by, are listed separately.

All of it is NumPy: what is measured by running the model (ablation_costs.py) and the
descriptions of nodes (descriptions.py) are arguments.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparsetx import nodes
from sparsetx.circuits import circuit_arrays
from sparsetx.circuits.circuit import Circuit, name_of
from sparsetx.circuits.circuit_arrays import HEADS, Arrays
from sparsetx.circuits.explain import text_ends
from sparsetx.circuits.explain.ablation_costs import Costs
from sparsetx.circuits.explain.graph_parts import (
    Channel,
    Connections,
    Coupling,
    GraphEdge,
    GraphNode,
    Head,
    Input,
    Meeting,
    Output,
    Path,
    best_paths,
)
from sparsetx.circuits.explain.text_ends import Prompts
from sparsetx.circuits.measure import edges
from sparsetx.circuits.measure.edges import Edge
from sparsetx.nodes import Node

PATHS = 24


@dataclass(frozen=True)
class Graph:
    task: str
    loss: float | None  # of the circuit, uncalibrated, where costs were measured
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
        """The graph as dicts, lists, numbers and strings."""
        return dataclasses.asdict(self)


def of(
    circuit: Circuit,
    asked: Prompts,
    costs: Costs | None = None,
    descriptions: Mapping[str, str] | None = None,
) -> Graph:
    """The graph of a circuit, with the tokens and the answers of these prompts.
    `descriptions`: by name of node."""
    own = circuit_arrays.of(circuit)
    listed = tuple(_nodes(own, costs, descriptions or {}))
    joined = tuple(_edges(own, costs))
    couplings = tuple(_couplings(own))
    connections = Connections(
        costs={node.name: node.cost for node in listed},
        weights=[(e.src, e.dst, e.weight, e.cost) for e in joined],
        links=[(c.src, c.dst) for c in couplings] + list(_attention(own)),
        starts=text_ends.starts(own, asked),
        ends=text_ends.ends(own, asked),
    )
    # The parts of a path are compared: all in nats, or all by weight, never mixed.
    comparable = costs is None or len(costs.edge) > 0 or not own.edges
    return Graph(
        task=circuit.task,
        loss=costs.loss if costs else None,
        nodes=listed,
        edges=joined,
        couplings=couplings,
        heads=tuple(_head(own, *which) for which in own.heads),
        channels=tuple(text_ends.channels(own, asked)),
        inputs=tuple(text_ends.inputs(own, asked)),
        outputs=tuple(text_ends.outputs(own, asked)),
        paths=tuple(best_paths(connections, PATHS)) if comparable else (),
    )


def _nodes(
    own: Arrays, costs: Costs | None, descriptions: Mapping[str, str]
) -> Iterator[GraphNode]:
    inputs = Counter(edge.dst for edge in own.edges)
    outputs = Counter(edge.src for edge in own.edges)
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
            constant=computed and not inputs[node],
            bias=own.bias(node),
            mean=own.mean(node),
            whole_in=whole_in,
            whole_out=whole_out,
            share_in=inputs[node] / whole_in if whole_in else None,
            share_out=outputs[node] / whole_out if whole_out else None,
            cost=costs.node.get(node) if costs else None,
            direct=costs.direct.get(node) if costs else None,
            interchange=costs.interchange.get(node) if costs else None,
            description=descriptions.get(name, ""),
        )


def _whole(own: Arrays, node: Node) -> tuple[int, int]:
    """Nonzero weights into and out of a node in the whole model."""
    if node.site in nodes.END_SITES:
        return 0, 0
    into = out = 0
    for part, w in own.parts(node.layer):
        if part.target == node.site:
            into += int(np.count_nonzero(w[:, node.index]))
        if part.source == node.site:
            out += int(np.count_nonzero(w[node.index]))
    return into, out


def _edges(own: Arrays, costs: Costs | None) -> Iterator[GraphEdge]:
    for edge in own.edges:
        weight = edge.weight * own.gain(edge.src)
        cost = costs.edge.get((edge.src, edge.dst)) if costs else None
        yield GraphEdge(name_of(edge.src), name_of(edge.dst), weight, cost)


def _couplings(own: Arrays) -> Iterator[Coupling]:
    writes = [n for n in own.kept if n.site in edges.WRITES]
    for read in own.kept:
        if read.site not in text_ends.READS:
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
    """Channels of a head in which q or k is kept and the other side is not zero."""
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
    """(query or key, write): the writes that the values of its head have edges to."""
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
