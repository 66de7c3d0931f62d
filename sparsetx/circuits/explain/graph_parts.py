"""The records that a circuit's graph consists of, and the strongest paths through it.

Paths lead from tokens to answers. The strength of a path is the smallest ablation cost
of its nodes and edges: ablating that one part breaks the path, so the path cannot
matter more than that. Where no costs were measured, edges count by the size of their
weights.
"""

import heapq
import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GraphNode:
    """`constant`: none of its inputs is kept, so that it acts as a bias. `share_in`,
    `share_out`: the fraction of its nonzero weights that are edges of the circuit."""

    name: str  # "site/layer/index", as in circuit.json
    site: str
    layer: int
    index: int
    head: int | None  # of q, k and v
    constant: bool
    bias: float
    mean: float  # its value when it is ablated
    whole_in: int  # its nonzero weights in the whole model
    whole_out: int
    share_in: float | None  # None where there are none
    share_out: float | None
    cost: float | None  # its ablation cost, in nats
    direct: float | None  # nats of logit that it adds towards the right answer
    interchange: float | None  # its interchange effect
    description: str


@dataclass(frozen=True, slots=True)
class GraphEdge:
    src: str
    dst: str
    weight: float  # the gain of a read folded in
    cost: float | None  # its ablation cost, in nats


@dataclass(frozen=True, slots=True)
class Coupling:
    """A write and a later read of the same residual channel."""

    src: str
    dst: str
    channel: int


@dataclass(frozen=True, slots=True)
class Meeting:
    """One channel of a head in which a query is multiplied by a key. None: that side is
    not kept and stays at its mean."""

    channel: int
    q: str | None
    k: str | None
    q_mean: float
    k_mean: float


@dataclass(frozen=True, slots=True)
class Head:
    layer: int
    index: int
    sink: float | None  # logit of its attention sink
    meetings: tuple[Meeting, ...]
    values: tuple[str, ...]
    edges: int  # between kept nodes, into and out of its channels
    whole: int  # nonzero weights there in the whole model


@dataclass(frozen=True, slots=True)
class Channel:
    """A residual channel that a kept node writes or reads. Indices beyond the model's
    width are channels that only hold positions."""

    index: int
    writes: tuple[str, ...]
    reads: tuple[str, ...]
    position: float | None  # standard deviation of position embeddings in it


@dataclass(frozen=True, slots=True)
class Input:
    """A token of the prompts, and its embedding in channels that kept nodes read."""

    token: int
    count: int  # how often it occurs in the prompts
    decides: bool  # it occurs where the two prompts of a pair differ
    weights: tuple[tuple[int, float], ...]  # (channel, weight)


@dataclass(frozen=True, slots=True)
class Output:
    """An unembedding weight from a channel to an answer, the last gain folded in."""

    channel: int
    token: int
    weight: float


# --- paths ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Path:
    nodes: tuple[str, ...]  # from the first read to the last write
    strength: float  # nats of task loss, or a weight where no costs were measured
    sign: int  # of the product of its weights


@dataclass(frozen=True)
class Connections:
    """What paths may follow. `costs`: of nodes; `weights`: (from, to, weight, cost);
    `links`: connections without a weight, such as a channel of the residual."""

    costs: Mapping[str, float | None]
    weights: Sequence[tuple[str, str, float, float | None]]
    links: Sequence[tuple[str, str]]
    starts: set[str]
    ends: set[str]


def best_paths(joined: Connections, most: int) -> Iterator[Path]:
    """Best-first search backwards from the answers: the partial path whose weakest part
    is strongest is extended first, so the first to reach a start is the strongest."""
    back = _backwards(joined)
    number = itertools.count()  # among equals the longest first: it is nearly complete
    heap: list[tuple[float, int, int, int, tuple[str, ...]]] = [
        (-_cost(joined, end), 0, next(number), 1, (end,)) for end in sorted(joined.ends)
    ]
    heapq.heapify(heap)
    found = 0
    while heap and found < most:
        cost, depth, _, sign, path = heapq.heappop(heap)
        first = path[0]
        if first in joined.starts:
            found += 1
            yield Path(path, -cost, sign)
        for before, strength, turn in back[first]:
            weakest = min(-cost, strength, _cost(joined, before))
            step = (-weakest, depth - 1, next(number), sign * turn, (before, *path))
            heapq.heappush(heap, step)


def _backwards(joined: Connections) -> dict[str, list[tuple[str, float, int]]]:
    """{node: [(the node before it, strength of the connection, sign of its weight)]}"""
    back: dict[str, list[tuple[str, float, int]]] = defaultdict(list)
    for src, dst, weight, cost in joined.weights:
        strength = abs(weight) if cost is None else cost
        back[dst].append((src, strength, 1 if weight > 0 else -1))
    for src, dst in joined.links:
        back[dst].append((src, float("inf"), 1))
    return back


def _cost(joined: Connections, node: str) -> float:
    cost = joined.costs.get(node)
    return float("inf") if cost is None else cost
