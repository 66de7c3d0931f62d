"""Paths through a circuit, from tokens to answers, the strongest first.

A path is as strong as its weakest part: of all nodes and edges on it, the one whose
ablation costs least. To cut it there is to cut it, so no path can matter more than
that. Where nothing was measured, edges count by the size of their weights.
"""

import heapq
import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Path:
    nodes: tuple[str, ...]  # from the first read to the last write
    strength: float  # nats of task loss, or a weight where nothing was measured
    sign: int  # of the product of its weights


@dataclass(frozen=True)
class Roads:
    """What leads where. `worth`: of nodes; `weights`: (from, to, weight, effect);
    `carried`: ways on which nothing is weighed, such as a residual channel."""

    worth: Mapping[str, float | None]
    weights: Sequence[tuple[str, str, float, float | None]]
    carried: Sequence[tuple[str, str]]
    starts: set[str]
    ends: set[str]


def best_paths(roads: Roads, most: int) -> Iterator[Path]:
    """Walked back from the answers, always on where the weakest part so far is
    strongest; the first to arrive is therefore the best."""
    back = _backwards(roads)
    number = itertools.count()  # equal ones: the longest first, which soon arrive
    heap: list[tuple[float, int, int, int, tuple[str, ...]]] = [
        (-_worth(roads, end), 0, next(number), 1, (end,)) for end in sorted(roads.ends)
    ]
    heapq.heapify(heap)
    found = 0
    while heap and found < most:
        cost, depth, _, sign, path = heapq.heappop(heap)
        first = path[0]
        if first in roads.starts:
            found += 1
            yield Path(path, -cost, sign)
        for before, strength, turn in back[first]:
            weakest = min(-cost, strength, _worth(roads, before))
            step = (-weakest, depth - 1, next(number), sign * turn, (before, *path))
            heapq.heappush(heap, step)


def _backwards(roads: Roads) -> dict[str, list[tuple[str, float, int]]]:
    """{node: (the one before, how much passes, its sign)}."""
    back: dict[str, list[tuple[str, float, int]]] = defaultdict(list)
    for src, dst, weight, effect in roads.weights:
        strength = abs(weight) if effect is None else effect
        back[dst].append((src, strength, 1 if weight > 0 else -1))
    for src, dst in roads.carried:
        back[dst].append((src, float("inf"), 1))
    return back


def _worth(roads: Roads, node: str) -> float:
    worth = roads.worth.get(node)
    return float("inf") if worth is None else worth
