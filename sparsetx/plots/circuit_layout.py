"""The layout of a drawn circuit: which nodes, tokens and lines there are, and where.

Tokens of one prompt stand at the left, kept nodes in columns by layer and site, answers
at the right. q, k and v share a column, in which each head keeps its nodes together.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sparsetx import nodes
from sparsetx.circuits import circuit_arrays
from sparsetx.circuits.circuit import Circuit
from sparsetx.circuits.explain import text_ends
from sparsetx.circuits.explain.graph import Graph
from sparsetx.circuits.explain.graph_parts import GraphNode
from sparsetx.circuits.explain.text_ends import Prompts

TOKEN, ANSWER = "token", "answer"  # the columns at both ends; the others are of sites
HEAD = (nodes.Q, nodes.K, nodes.V)
PROMPT = 24  # tokens of the prompt that are drawn: the last ones
EMBEDDED = 3  # embedding weights of a token that are drawn: the largest
EDGES = 3000  # edges that are drawn: the largest
SWEEPS = 24  # over all columns, to untangle the lines
COLUMN, ROW, TALLEST = 1.07, 0.15, 30.0  # inches
GAP = 1.6  # rows between two heads
Key = tuple[int, str]  # (layer, site) of a column


@dataclass(frozen=True)
class Line:
    src: str
    dst: str
    weight: float | None  # None: both ends have to do with each other by no weight
    edge: bool = False  # an edge of the circuit


@dataclass(frozen=True)
class Layout:
    """Places are in inches, from the left and from the bottom of the columns."""

    columns: Mapping[Key, Sequence[str]]  # names from the top to the bottom
    lines: Sequence[Line]
    texts: Mapping[str, str]  # of tokens and answers
    emphasised: frozenset[str]  # tokens in which the pair differs; the right answer
    heads: Mapping[tuple[int, int], Sequence[str]]
    places: Mapping[str, tuple[float, float]]
    tall: float

    @property
    def joined(self) -> set[str]:
        """Nodes that have an edge."""
        return {end for x in self.lines if x.edge for end in (x.src, x.dst)}


def of(
    circuit: Circuit, graph: Graph, pair: Prompts, token: Callable[[int], str]
) -> Layout:
    """Of a circuit and the first prompt of a pair. `token`: the text of an id."""
    rows = text_ends.real(pair)
    shown = dict(list(enumerate(rows[0]))[-PROMPT:])
    right, wrong = (int(t) for t in np.asarray(pair.answers_B2)[0])
    texts = {f"{TOKEN}/{i}": visible(token(t)) for i, t in shown.items()}
    if len(rows[0]) == len(rows[1]):  # what the other prompt of the pair has there
        texts |= {
            f"{TOKEN}/{i}": f"{visible(token(t))} or {visible(token(rows[1][i]))}"
            for i, t in shown.items()
            if t != rows[1][i]
        }
    texts |= {f"{ANSWER}/{t}": visible(token(t)) for t in (right, wrong)}
    decides = text_ends.deciding(rows)
    emphasised = {f"{TOKEN}/{i}" for i, t in shown.items() if t in decides}
    emphasised.add(f"{ANSWER}/{right}")
    columns = _columns(graph, texts)
    lines = [*_embedded(circuit, graph, shown), *_edges(graph), *_answers(graph)]
    known = {name for column in columns.values() for name in column}
    lines = [x for x in lines if x.src in known and x.dst in known]
    heads: dict[tuple[int, int], list[str]] = defaultdict(list)
    for node in graph.nodes:
        if node.head is not None:
            heads[node.layer, node.head].append(node.name)
    columns = untangled(columns, lines, heads)
    longest = max(len(_rows(column, heads)) for column in columns.values())
    tall = min(max(ROW * longest, 0.42 * COLUMN * len(columns)), TALLEST)
    places = {
        name: (x * COLUMN, tall * y)
        for x, column in enumerate(columns.values())
        for name, y in heights(column, heads, tall).items()
    }
    return Layout(columns, lines, texts, frozenset(emphasised), heads, places, tall)


def visible(text: str) -> str:
    """A token with its spaces and line ends made visible, and not too long."""
    shown = text.replace("\n", "⏎").replace(" ", "␣").replace("\t", "⇥")
    shown = "".join(c if c.isprintable() else "·" for c in shown)
    return shown if len(shown) <= 13 else shown[:12] + "…"


def _columns(graph: Graph, texts: Mapping[str, str]) -> dict[Key, list[str]]:
    """Names by layer and site, in the order of computation, with the two ends."""
    found: dict[Key, list[GraphNode]] = defaultdict(list)
    last = max((node.layer for node in graph.nodes), default=0) + 1
    for node in graph.nodes:
        site = nodes.Q if node.site in HEAD else node.site
        found[last if site == nodes.FINAL else node.layer, site].append(node)
    order = {site: i for i, site in enumerate((*nodes.BLOCK_SITES, *nodes.END_SITES))}
    keys = sorted(found, key=lambda key: (key[0], order[key[1]]))
    ends = {
        end: [name for name in texts if name.startswith(end)] for end in (TOKEN, ANSWER)
    }
    return {
        (-1, TOKEN): ends[TOKEN],
        **{key: [node.name for node in found[key]] for key in keys},
        (last + 1, ANSWER): ends[ANSWER],
    }


def _embedded(
    circuit: Circuit, graph: Graph, shown: Mapping[int, int]
) -> Iterator[Line]:
    """The largest embedding weights of each token, into a channel's first read."""
    embed_VD = circuit_arrays.of(circuit).embed_VD
    first: dict[int, str] = {}
    for channel in graph.channels:
        if channel.reads and channel.index < embed_VD.shape[1]:
            first[channel.index] = channel.reads[0]
    for place, token in shown.items():
        weights = {c: float(embed_VD[token, c]) for c in first}
        for c in sorted(weights, key=lambda c: -abs(weights[c]))[:EMBEDDED]:
            if weights[c]:
                yield Line(f"{TOKEN}/{place}", first[c], weights[c])


def _edges(graph: Graph) -> Iterator[Line]:
    """Edges, and what joins two nodes without being an edge."""
    for edge in sorted(graph.edges, key=lambda e: -abs(e.weight))[:EDGES]:
        yield Line(edge.src, edge.dst, edge.weight, edge=True)
    for coupling in graph.couplings:
        yield Line(coupling.src, coupling.dst, None)
    for head in graph.heads:
        for meeting in head.meetings:
            if meeting.q and meeting.k:
                yield Line(meeting.q, meeting.k, None)


def _answers(graph: Graph) -> Iterator[Line]:
    writes = {channel.index: channel.writes for channel in graph.channels}
    for output in graph.outputs:
        for name in writes.get(output.channel, ()):
            yield Line(name, f"{ANSWER}/{output.token}", output.weight)


# --- places -------------------------------------------------------------------------

Heads = Mapping[tuple[int, int], Sequence[str]]


def untangled(
    columns: Mapping[Key, Sequence[str]], lines: Sequence[Line], heads: Heads
) -> dict[Key, list[str]]:
    """Each column ordered by the mean height of what its nodes are joined to, so that
    few lines cross. Tokens and answers keep their order."""
    beside: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for line in lines:
        weight = abs(line.weight or 0.1) if line.edge else 0.1
        beside[line.src].append((line.dst, weight))
        beside[line.dst].append((line.src, weight))
    order = {key: list(column) for key, column in columns.items()}
    at = {n: y for c in order.values() for n, y in heights(c, heads).items()}
    for sweep in range(SWEEPS):
        for key in list(order)[:: -1 if sweep % 2 else 1]:
            if key[1] in (TOKEN, ANSWER):
                continue
            wanted = {n: _mean(beside[n], at) for n in order[key]}
            if key[1] == nodes.Q:
                order[key] = _by_head(order[key], wanted, heads)
            else:
                order[key].sort(key=lambda name: -wanted[name])
            at |= heights(order[key], heads)
    return order


def _mean(beside: Sequence[tuple[str, float]], at: Mapping[str, float]) -> float:
    """Of nodes that are joined to nothing: the bottom."""
    total = sum(weight for _, weight in beside)
    return sum(at[name] * weight for name, weight in beside) / total if total else 0.0


def _by_head(
    column: Sequence[str], wanted: Mapping[str, float], heads: Heads
) -> list[str]:
    """Head by head, and in each its queries, keys and values."""
    found = []
    own = [[n for n in column if n in set(inside)] for inside in heads.values()]
    for inside in sorted(
        filter(None, own), key=lambda g: -np.mean([wanted[n] for n in g])
    ):
        parts = {n: HEAD.index(n.split("/")[0]) for n in inside}
        found += sorted(inside, key=lambda n: (parts[n], -wanted[n]))
    return found


def _rows(column: Sequence[str], heads: Heads) -> list[float]:
    """The row of each name; heads stand apart."""
    of = {name: which for which, inside in heads.items() for name in inside}
    found, row = [], 0.0
    for i, name in enumerate(column):
        row += GAP if i and of.get(name) != of.get(column[i - 1]) else 0.0
        found.append(row)
        row += 1
    return found


def heights(
    column: Sequence[str], heads: Heads, tall: float | None = None
) -> dict[str, float]:
    """Of the names of a column, 1 at the top: evenly spread, a short column in the
    middle."""
    rows = _rows(column, heads)
    if not rows:
        return {}
    span = 1.0 if tall is None else min(1.0, 0.42 * (rows[-1] + 1) / tall)
    step = span / (rows[-1] + 1)
    top = 0.5 + span / 2 - step / 2
    return {name: top - step * row for name, row in zip(column, rows, strict=True)}
