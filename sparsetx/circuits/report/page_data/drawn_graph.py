"""A circuit's nodes and edges as the page draws them, in columns of plain numbers.

Besides weights there are links, which are not counted as edges: from tokens to the
reads of their embedding, from a write to later reads of its channel, from writes to the
answers, and between a query and the key that it is multiplied by. The page derives a
node's site, layer and head from its name. Edges that are too many to be drawn are in
`rest`, without weights, for the drawing of two circuits side by side.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sparsetx.circuits.circuit import Circuit, name_of
from sparsetx.circuits.explain.graph import Graph
from sparsetx.circuits.explain.graph_parts import GraphNode, Input
from sparsetx.data.tokenizer import Tokenizer

DRAWN = 2000  # edges that are drawn of an explored circuit, at most: the strongest
SMALL = 1000  # the same of a circuit that is only compared
TOKENS, LINKS = 8, 12  # tokens that are drawn, and links of each, at most
TOKEN, ANSWER = "token", "answer"
WEIGHT, RESIDUAL, EMBED, SAYS, MEETS = "weight", "residual", "embed", "says", "meets"
KINDS = {
    WEIGHT: "weight",
    RESIDUAL: "through the same channel of the residual",
    EMBED: "embedding",
    SAYS: "unembedding",
    MEETS: "query times key",
}

FREE = "not kept: a constant, scaled by how much attention the sink leaves it"

Link = tuple[str, str, float | None, float | None, str]  # from, to, weight, cost


def rounded(x: float | None) -> float | None:
    return None if x is None else float(f"{x:.4g}")


@dataclass
class Drawing:
    """Nodes in order, and edges and links between them by name."""

    nodes: list[dict[str, Any]] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    rest: list[tuple[str, str]] = field(default_factory=list)  # weaker edges

    def to_json(self, paths: Sequence[Any] = ()) -> dict[str, Any]:
        place = {node["id"]: i for i, node in enumerate(self.nodes)}
        links = [x for x in self.links if x[0] in place and x[1] in place]
        kinds = list(KINDS)
        return {
            "nodes": self.nodes,
            "edges": {
                "src": [place[x[0]] for x in links],
                "dst": [place[x[1]] for x in links],
                "weight": [rounded(x[2]) for x in links],
                "cost": [rounded(x[3]) for x in links],
                "kind": [kinds.index(x[4]) for x in links],
                "kinds": kinds,
            },
            "paths": [
                {
                    "nodes": [place[name] for name in path.nodes],
                    "value": rounded(path.sign * path.strength),
                }
                for path in paths
            ],
            "left_out": len(self.rest),
            "rest": in_steps(
                [
                    (place[a], place[b])
                    for a, b in self.rest
                    if a in place and b in place
                ]
            ),
        }


def in_steps(edges: Sequence[tuple[int, int]]) -> dict[str, list[int]]:
    """Sorted edges by their steps: from source to source, and from target to target of
    the same source. A dense circuit of 17,000 edges is 2 kB so, deflated."""
    src: list[int] = []
    dst: list[int] = []
    before = (0, 0)
    for edge in sorted(edges):
        src.append(edge[0] - before[0])
        dst.append(edge[1] - (0 if src[-1] else before[1]))
        before = edge
    return {"src": src, "dst": dst}


def small(circuit: Circuit) -> dict[str, Any]:
    """A circuit that is only compared: names of nodes, weights of the strongest edges,
    and where the others are."""
    found = sorted(circuit.edges, key=lambda e: -abs(e.weight))
    ends = [(name_of(e.src), name_of(e.dst)) for e in found]
    links: list[Link] = [
        (src, dst, e.weight, None, WEIGHT)
        for (src, dst), e in zip(ends[:SMALL], found, strict=False)
    ]
    names = dict.fromkeys(circuit.facts.nodes)
    names |= dict.fromkeys(name for pair in ends for name in pair)
    nodes = [{"id": name} for name in names]
    return Drawing(nodes, links, ends[SMALL:]).to_json()


def whole(
    graph: Graph, tokenizer: Tokenizer, more: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """A circuit that is explored. `more`: further fields of nodes, by name."""
    strong = sorted(graph.edges, key=lambda e: (-abs(e.cost or 0), -abs(e.weight)))
    kept = strong[:DRAWN]
    links: list[Link] = [(e.src, e.dst, e.weight, e.cost, WEIGHT) for e in kept]
    links += [(c.src, c.dst, None, None, RESIDUAL) for c in graph.couplings]
    links += [
        (m.q, m.k, None, None, MEETS)
        for head in graph.heads
        for m in head.meetings
        if m.q and m.k
    ]
    shown = _decisive(graph.inputs)
    links += _from_tokens(graph, shown)
    links += _to_answers(graph)
    by_head = {(h.layer, h.index): (h.edges, h.whole) for h in graph.heads}
    nodes = [
        {"id": n.name, **_told(n, by_head), **_known(more.get(n.name, {}))}
        for n in graph.nodes
    ]
    known = {n.name for n in graph.nodes}
    nodes += [
        # With a sink, ablated values have edges to kept writes: attention scales them.
        {"id": name, "free": True, "says": FREE}
        for name in dict.fromkeys(e.src for e in kept)
        if name not in known
    ]
    nodes += [_text(TOKEN, i.token, tokenizer) for i in shown]
    answers = dict.fromkeys(o.token for o in graph.outputs)
    nodes += [_text(ANSWER, token, tokenizer) for token in answers]
    drawing = Drawing(nodes, links, [(e.src, e.dst) for e in strong[DRAWN:]])
    return drawing.to_json(graph.paths)


def _told(node: GraphNode, heads: Mapping[tuple[int, int], Any]) -> dict[str, Any]:
    """The fields of a node that are known."""
    told: dict[str, Any] = {
        "says": node.description or None,
        "cost": rounded(node.cost),
        "direct": rounded(node.direct),
        "interchange": rounded(node.interchange),
        "mean": rounded(node.mean),
        "constant": node.constant or None,
    }
    facts = []
    if node.bias:
        facts.append(["bias", f"{node.bias:.3g}"])
    for name, share, total in (
        ("weights in, of all", node.share_in, node.whole_in),
        ("weights out, of all", node.share_out, node.whole_out),
    ):
        if share is not None:
            facts.append([name, f"{round(share * total)} of {total}"])
    if node.head is not None:
        own, total = heads[node.layer, node.head]
        facts.append(["edges of its head, of all", f"{own} of {total}"])
    told["facts"] = facts or None
    return _known(told)


def _known(told: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in told.items() if value is not None}


def _text(kind: str, token: int, tokenizer: Tokenizer) -> dict[str, Any]:
    return {"id": f"{kind}/0/{token}", "text": tokenizer.token(token)}


def _decisive(inputs: Sequence[Input]) -> list[Input]:
    """The tokens that decide; where there are none, the most frequent ones."""
    deciding = [i for i in inputs if i.decides]
    return (deciding or list(inputs))[:TOKENS]


def _from_tokens(graph: Graph, shown: Sequence[Input]) -> Iterator[Link]:
    reads = {c.index: c.reads for c in graph.channels}
    for found in shown:
        strong = sorted(found.weights, key=lambda w: -abs(w[1]))[:LINKS]
        for channel, weight in strong:
            for read in reads.get(channel, ()):
                yield f"{TOKEN}/0/{found.token}", read, weight, None, EMBED


def _to_answers(graph: Graph) -> Iterator[Link]:
    writes = {c.index: c.writes for c in graph.channels}
    for said in graph.outputs:
        for write in writes.get(said.channel, ()):
            yield write, f"{ANSWER}/0/{said.token}", said.weight, None, SAYS
