"""Group a circuit's nodes by what they do, so that it can be drawn as a few boxes.

First every node is put where it belongs: queries, keys and values with their head; a
neuron with those of its layer that have the same title; reads and writes with the head
or the neurons that they share the largest weights with. Then boxes are merged, the most
similar two first. Similarity is the mean of three figures from 0 to 1: whether the
titles are equal, whether the weights lead to and from the same boxes (cosine), and how
well the activations agree over the prompts (mean absolute correlation). Boxes of one
sublayer are merged before boxes of neighbouring ones, and boxes that are nearly the
same are merged even where there are few.

Only weights are edges, so most boxes meet in residual channels. An arrow between boxes
therefore counts, besides weights, what a box takes from the channels that another
writes: the absolute weights out of the read, shared equally by all writes of its
channel.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparsetx import nodes
from sparsetx.circuits.circuit import name_of
from sparsetx.circuits.explain import descriptions
from sparsetx.circuits.explain.descriptions import Description, Look, Token
from sparsetx.circuits.explain.graph import Graph
from sparsetx.circuits.explain.graph_parts import GraphNode
from sparsetx.circuits.explain.node_statistics import Sample
from sparsetx.circuits.explain.supernodes.names import (
    ATTENTION,
    HEADS,
    Names,
    title_of,
)

MOST = 12  # boxes
SAME = 0.95  # similarity from which boxes of a sublayer are always merged
Matrix = npt.NDArray[np.float64]
Stage = tuple[int, int]  # layer, and whether it is the MLP
Key = tuple[Stage, str, str]  # where a node belongs: sublayer, kind, head or title


@dataclass(frozen=True)
class Supernode:
    name: str  # what it does, in measured facts
    layers: tuple[int, int]  # the first and the last
    nodes: tuple[str, ...]
    incoming: float  # the sum of its arrows from other boxes
    outgoing: float
    interchange: float | None  # the largest effect of one of its nodes; None: unknown
    carrier: str | None  # that node


@dataclass(frozen=True)
class Arrow:
    src: int  # places in the list of boxes
    dst: int
    weight: float


@dataclass(frozen=True)
class Grouping:
    boxes: tuple[Supernode, ...]
    arrows: tuple[Arrow, ...]


def of(
    graph: Graph,
    described: Mapping[str, Description],
    looks: Sequence[Look],
    sample: Sample,
    token: Token,
    most: int = MOST,
) -> Grouping:
    """The boxes of a circuit, in the order of computation: at most `most`. The order
    in which nodes and edges are listed makes no difference."""
    found = sorted(graph.nodes, key=_order)
    flow_NN, alike_NN = _flow(graph, found), _agreement(found, sample)
    titles = {n.name: title_of(described.get(n.name)) for n in found}
    groups = _merged(_first(graph, found, titles), flow_NN, alike_NN, most)
    groups.sort(key=lambda group: min(group.members))
    between = _sums(groups, flow_NN)
    np.fill_diagonal(between, 0)
    by_head = {(look.layer, look.head): look for look in looks}
    names = Names(described, by_head, descriptions.decided(sample, token), token)
    own = [[found[i] for i in group.members] for group in groups]
    boxes = tuple(
        _box(name, box, between[:, row], between[row])
        for row, (box, name) in enumerate(zip(own, names.of(own, between), strict=True))
    )
    arrows = (
        Arrow(int(a), int(b), float(between[a, b])) for a, b in np.argwhere(between)
    )
    return Grouping(boxes, tuple(arrows))


def _box(
    name: str, own: Sequence[GraphNode], incoming: Matrix, outgoing: Matrix
) -> Supernode:
    effects = {n.name: n.interchange for n in own if n.interchange is not None}
    # Rounded, so that of nodes on one path noise does not choose.
    carrier = max(effects, key=lambda node: round(effects[node], 6), default=None)
    return Supernode(
        name,
        (min(n.layer for n in own), max(n.layer for n in own)),
        tuple(n.name for n in own),
        float(incoming.sum()),
        float(outgoing.sum()),
        None if carrier is None else effects[carrier],
        carrier,
    )


def _order(node: GraphNode) -> tuple[int, int, int]:
    return (*_stage(node), 100_000 * _place(node.site) + node.index)


def _place(site: str) -> int:
    """The place of a site in the order of computation."""
    every = (nodes.EMBED, *nodes.BLOCK_SITES, *nodes.END_SITES[1:])
    return every.index(site)


def _stage(node: GraphNode) -> Stage:
    if node.site == nodes.EMBED:
        return -1, 0
    if node.site in nodes.END_SITES:
        return 10_000, 0
    return node.layer, int(node.site not in ATTENTION)


# --- where nodes belong, and what joins them ------------------------------------------


@dataclass(frozen=True)
class _Group:
    stage: Stage
    title: str
    members: tuple[int, ...]  # places in the order of computation


def _first(
    graph: Graph, found: Sequence[GraphNode], titles: Mapping[str, str]
) -> list[_Group]:
    """Each node where it belongs."""
    keys: dict[str, Key] = {}
    for node in found:
        if node.head is not None:
            keys[node.name] = _stage(node), "head", str(node.head)
        elif node.site == nodes.MLP_NEURON:
            keys[node.name] = _stage(node), "neurons", titles[node.name]
    joined: dict[str, dict[Key, float]] = {}
    for edge in sorted(graph.edges, key=lambda e: (e.src, e.dst)):
        for own, other in ((edge.src, edge.dst), (edge.dst, edge.src)):
            if own not in keys and other in keys:
                sums = joined.setdefault(own, {})
                sums[keys[other]] = sums.get(keys[other], 0.0) + abs(edge.weight)
    groups: dict[Key, list[int]] = {}
    for place, node in enumerate(found):
        sums = joined.get(node.name, {})
        best = max(sorted(sums), key=lambda key: sums[key], default=None)
        alone = _stage(node), node.site, titles[node.name]
        groups.setdefault(keys.get(node.name, best or alone), []).append(place)
    return [
        _Group(key[0], _usual(found, members, titles), tuple(members))
        for key, members in sorted(groups.items())
    ]


def _usual(
    found: Sequence[GraphNode], members: Iterable[int], titles: Mapping[str, str]
) -> str:
    """The most frequent title of the nodes that compute, or of all if none does."""
    own = [found[i] for i in members]
    computing = [n for n in own if n.site in (*HEADS, nodes.MLP_NEURON)] or own
    each = [titles[n.name] for n in computing]
    return max(sorted(set(each)), key=each.count)


def _flow(graph: Graph, found: Sequence[GraphNode]) -> Matrix:
    weights = sorted((e.src, e.dst, e.weight) for e in graph.edges)
    channels = sorted((c.src, c.dst) for c in graph.couplings)
    return flow([node.name for node in found], weights, channels)


def flow(
    names: Sequence[str],
    weights: Iterable[tuple[str, str, float]],
    channels: Iterable[tuple[str, str]],
) -> Matrix:
    """[from, to]: absolute weights, and what reads take from writes. `channels`: writes
    with the reads of their channel."""
    place = {name: i for i, name in enumerate(names)}
    flow_NN = np.zeros((len(names), len(names)))
    for src, dst, weight in weights:
        if src in place and dst in place:
            flow_NN[place[src], place[dst]] += abs(weight)
    taken_N = flow_NN.sum(1)
    writes: dict[str, list[str]] = {}
    for src, dst in channels:
        writes.setdefault(dst, []).append(src)
    for read, before in writes.items():
        for write in before:
            flow_NN[place[write], place[read]] += taken_N[place[read]] / len(before)
    return flow_NN


def _agreement(found: Sequence[GraphNode], sample: Sample) -> Matrix:
    """Absolute correlations of activations; 0 with a constant."""
    values = {name_of(node): x for node, x in sample.values.items()}
    real_BL = sample.real_BL
    x_NT = np.zeros((len(found), int(real_BL.sum())))
    for row, node in enumerate(found):
        if node.name in values:
            x = np.asarray(values[node.name], np.float64)[real_BL]
            spread = x.std()
            if spread > 1e-6 * max(1.0, float(np.abs(x).max())):
                x_NT[row] = (x - x.mean()) / spread
    alike: Matrix = np.abs(x_NT @ x_NT.T) / max(1, x_NT.shape[1])
    return alike


# --- merging --------------------------------------------------------------------------


def _sums(groups: Sequence[_Group], x_NN: Matrix) -> Matrix:
    """Sums of the entries of each two groups."""
    own_GN = np.zeros((len(groups), len(x_NN)))
    for row, group in enumerate(groups):
        own_GN[row, list(group.members)] = 1
    found: Matrix = own_GN @ x_NN @ own_GN.T
    return found


def _merged(
    groups: list[_Group], flow_NN: Matrix, alike_NN: Matrix, most: int
) -> list[_Group]:
    while len(groups) > 1:
        groups.sort(key=lambda g: (g.stage, g.members))
        pairs = _candidates(groups)
        if not pairs and len(groups) <= most:
            break
        near = _similarity(groups, flow_NN, alike_NN)
        pairs = pairs or [(i, i + 1) for i in range(len(groups) - 1)]
        # Of equally similar pairs, the smaller ones and then the earlier ones. Rounded,
        # so that the order of a sum does not decide.
        best = min(pairs, key=functools.partial(_rank, groups, near))
        same_stage = groups[best[0]].stage == groups[best[1]].stage
        if len(groups) <= most and not (same_stage and near[best] >= SAME):
            break
        one, other = (groups[i] for i in best)
        larger = max(one, other, key=lambda g: (len(g.members), g.stage))
        members = tuple(sorted(one.members + other.members))
        rest = [g for i, g in enumerate(groups) if i not in best]
        groups = [*rest, _Group(min(one.stage, other.stage), larger.title, members)]
    return groups


def _candidates(groups: Sequence[_Group]) -> list[tuple[int, int]]:
    """Pairs in the same sublayer."""
    return [
        (i, j)
        for i in range(len(groups))
        for j in range(i + 1, len(groups))
        if groups[i].stage == groups[j].stage
    ]


def _rank(
    groups: Sequence[_Group], near: Matrix, pair: tuple[int, int]
) -> tuple[float, int, tuple[int, int]]:
    size = sum(len(groups[i].members) for i in pair)
    return -round(float(near[pair]), 9), size, pair


def _similarity(groups: Sequence[_Group], flow_NN: Matrix, alike_NN: Matrix) -> Matrix:
    size = np.array([len(g.members) for g in groups], np.float64)
    agree = _sums(groups, alike_NN) / np.outer(size, size)
    flow = _sums(groups, flow_NN)
    partners = np.concatenate([flow, flow.T], 1)
    length = np.maximum(np.linalg.norm(partners, axis=1), 1e-12)
    cosine = partners @ partners.T / np.outer(length, length)
    titles = np.array([g.title for g in groups])
    found: Matrix = ((titles[:, None] == titles[None]) + cosine + agree) / 3
    return found
