"""Paths through a circuit, from tokens to answers, the strongest first.

The strength of a path is the smallest ablation cost of its nodes and edges: ablating
that one part breaks the path, so the path cannot matter more than that. Where no costs
were measured, edges count by the size of their weights.
"""

import heapq
import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


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
