"""From scores to a circuit: which nodes to keep, and which to remove (section 2.3).

Nodes are ranked by τ; ties are broken by the size of the loss's slope. The loss is not
monotone in the number kept, so many numbers are tried at once, and more below the
smallest that reaches the target. Then nodes are removed while the target is reached:
first those that no path connects to an answer, then those of least ablation cost for
each edge that their removal saves.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sparsetx import nodes
from sparsetx.circuits.measure import edges, reach
from sparsetx.circuits.search.judge import Judge
from sparsetx.nodes import Nodes
from sparsetx.system.progress import Progress, Reporter, silent

# How many numbers of nodes are tried: in the coarse scan; in the scan below its best,
# of which it has about every third; beyond what a search kept, and between the best and
# the one below it.
GLANCE, SCAN, REFINE = 14, 40, 8
PASSES = 6  # rounds of removals by slope, and as many by measured ablation cost
SINGLES = 16  # nodes ablated one by one, to measure what each costs
WIDER, WIDEST = 3, 8 * SINGLES  # times the smallest point; nodes of a wide start
Mask = npt.NDArray[np.bool_]  # [node]


@dataclass(frozen=True)
class Point:
    """The circuit of the first `nodes` nodes of a ranking."""

    nodes: int
    edges_plus: int
    loss: float  # by the judge; a lower bound if it is above what the ranking asks for


@dataclass(frozen=True)
class Chosen:
    """The circuit chosen from a ranking (or an empty mask), and the ranking's curve."""

    mask: Mask
    loss: float  # by the judge
    curve: list[Point] = field(default_factory=list)

    @property
    def reached(self) -> bool:
        return bool(self.mask.any())


@dataclass(frozen=True, eq=False)
class Cutter:
    """A judge, what is needed to count edges, a progress reporter, and a second judge
    on other prompts: the removals fit the first judge's prompts."""

    judge: Judge
    pattern: edges.Patterns
    answers: Sequence[int]
    name: str = ""
    report: Reporter = silent
    second: Judge | None = None

    def tell(self, done: int, total: int, mask: Mask) -> None:
        size = int(self.sizes(mask[None]).edges_plus[0])
        figures = {"nodes": int(mask.sum()), "edges+": size}
        stage = f"{self.name}, removing nodes"
        self.report(Progress(stage, done, total, "passes", figures))

    def sizes(self, masks: npt.NDArray[np.bool_]) -> edges.Size:
        """The counts of [N, node] masks."""
        return edges.size(self.judge.config, self.pattern, self.judge.tree(masks))

    def order(self, tau: Nodes) -> npt.NDArray[np.integer]:
        """Nodes by score, ties by the size of the loss's slope."""
        sites = self.judge.sites
        score = nodes.flatten(self.judge.config, tau, sites)
        slope, _ = self.judge.slopes(score > 0)
        return np.lexsort((-np.abs(slope), -score))


def scan(
    cutter: Cutter,
    order: npt.NDArray[np.integer],
    counts: Sequence[int] | npt.NDArray[np.integer],
    enough: float = np.inf,
) -> list[Point]:
    """Points of a curve: the losses of the first nodes of an order, by count."""
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    count_N = np.unique(np.asarray(counts))
    masks = place[None, :] < count_N[:, None]
    losses, sizes = cutter.judge(masks, enough), cutter.sizes(masks).edges_plus
    return [
        Point(int(n), int(size), float(loss))
        for n, size, loss in zip(count_N, sizes, losses, strict=True)
    ]


def smallest(curve: Sequence[Point], target: float) -> Point | None:
    """Of the points that reach the target, the one with the fewest edges."""
    passing = [point for point in curve if point.loss <= target]
    return min(passing, key=lambda p: (p.edges_plus, p.nodes), default=None)


def spaced(order_length: int, kept: int, count: int) -> npt.NDArray[np.integer]:
    """Numbers of nodes to try, from few to somewhat more than the search kept."""
    most = max(8, min(order_length, int(1.5 * kept)))
    return np.unique(np.geomspace(4, most, count).round().astype(int))


@dataclass
class Ranking:
    """An order of nodes, and the points of its curve that were measured."""

    order: npt.NDArray[np.integer]
    kept: int  # how many the search kept
    curve: list[Point] = field(default_factory=list)
    enough: float = np.inf  # losses above it may be lower bounds: the largest target

    @classmethod
    def of(cls, cutter: Cutter, tau: Nodes, enough: float = np.inf) -> "Ranking":
        kept = int(sum((np.asarray(x) > 0).sum() for x in tau.values()))
        return cls(cutter.order(tau), kept, enough=enough)

    def scan(self, cutter: Cutter, counts: npt.NDArray[np.integer]) -> None:
        """Measure more points of the curve."""
        known = {point.nodes for point in self.curve}
        new = np.array([n for n in np.unique(counts) if n not in known])
        if len(new):
            self.curve += scan(cutter, self.order, new, self.enough)
            self.curve.sort(key=lambda point: point.nodes)

    def first(self, count: int) -> Mask:
        mask = np.zeros(len(self.order), bool)
        mask[self.order[:count]] = True
        return mask


def glance(cutter: Cutter, ranking: Ranking, target: float) -> Point | None:
    """The smallest point of a coarse curve that reaches the target."""
    ranking.scan(cutter, spaced(len(ranking.order), ranking.kept, GLANCE))
    return smallest(ranking.curve, target)


def start(cutter: Cutter, ranking: Ranking, target: float) -> Point | None:
    """The smallest point of a finely scanned curve that reaches the target."""
    most = len(ranking.order)
    best = glance(cutter, ranking, target)
    finer = spaced(most, ranking.kept, SCAN)
    if best is None:
        ranking.scan(cutter, np.append(finer, spaced(most, most, REFINE)))
    else:
        ranking.scan(cutter, finer[finer < best.nodes])
    best = smallest(ranking.curve, target)
    if best is None:
        return None
    below = max([p.nodes for p in ranking.curve if p.nodes < best.nodes], default=1)
    between = np.linspace(below, best.nodes, REFINE + 2).astype(int)[1:-1]
    ranking.scan(cutter, between)
    return smallest(ranking.curve, target)


def wide(cutter: Cutter, ranking: Ranking, target: float) -> Point | None:
    """The largest point that reaches the target, up to twice what the search kept (what
    it dropped last comes first behind that) and `WIDER` times the smallest point.
    Of more than `WIDEST` nodes too few can be ablated one by one: removals then follow
    slopes for long, and end at no smaller circuit. So there is no wide start."""
    best = start(cutter, ranking, target)
    if best is None:
        return None
    broad = min(2 * ranking.kept, WIDER * best.nodes)
    most = min(len(ranking.order), max(SINGLES, broad))
    if most > WIDEST:
        return None
    ranking.scan(cutter, np.array([most]))
    passing = [p for p in ranking.curve if p.loss <= target and p.nodes <= most]
    return max(passing, key=lambda p: p.nodes, default=best)


Begin = Callable[[Cutter, Ranking, float], Point | None]


def choose(
    cutter: Cutter,
    ranking: Ranking,
    target: float,
    passes: int = PASSES,
    begin: Begin = start,
) -> Chosen:
    """The smallest circuit found along a ranking, with unneeded nodes removed."""
    best = begin(cutter, ranking, target)
    if best is None:
        least = min(point.loss for point in ranking.curve)
        return Chosen(np.zeros(len(ranking.order), bool), least, ranking.curve)
    mask, loss = clean(cutter, ranking.first(best.nodes), target, passes)[-1]
    return Chosen(mask, loss, ranking.curve)


def clean(
    cutter: Cutter, mask: Mask, target: float, passes: int = PASSES
) -> list[tuple[Mask, float]]:
    """Remove nodes while the target is reached, those of least ablation cost per edge
    saved first. All masks on the way with their losses, the smallest last. Slopes only
    serve where nodes are too many to ablate each: where attention is saturated, they
    are zero for what it depends on."""
    way = [(mask, cutter.judge.one(mask))]
    way.append(_joined(cutter, *way[-1], target))
    for exact in (False, True):
        for number in range(passes):
            if not exact and way[-1][0].sum() <= SINGLES:
                break
            cutter.tell(number + exact * passes, 2 * passes, way[-1][0])
            fewer = _fewer(cutter, way[-1][0], target, exact)
            if fewer is None:
                break
            way.append(fewer)
    cutter.tell(2 * passes, 2 * passes, way[-1][0])
    way.append(_joined(cutter, *way[-1], target))
    return way


def _joined(
    cutter: Cutter, mask: Mask, loss: float, target: float
) -> tuple[Mask, float]:
    """Without the nodes that no path connects to an answer, unless the loss then
    misses the target (such nodes change the norms of others)."""
    judge = cutter.judge
    joined = reach.joined(
        judge.config, judge.params, cutter.pattern, judge.tree_of(mask), cutter.answers
    )
    fewer = nodes.flatten(judge.config, joined, judge.sites) > 0
    if not fewer.any() or fewer.sum() == mask.sum():
        return mask, loss
    without = judge.one(fewer, target)
    return (fewer, without) if without <= target else (mask, loss)


def _fewer(
    cutter: Cutter, mask: Mask, target: float, exact: bool
) -> tuple[Mask, float] | None:
    """Remove as many nodes as the target allows; None if it allows none.

    A node's ablation cost is estimated by the slope of the loss; if `exact`, it is
    measured for those where it is least."""
    judge, kept = cutter.judge, np.flatnonzero(mask)
    if len(kept) < 2:
        return None
    without = np.repeat(mask[None], len(kept), 0)
    without[np.arange(len(kept)), kept] = False
    saved = (
        int(cutter.sizes(mask[None]).edges_plus[0]) - cutter.sizes(without).edges_plus
    )
    kind = judge.worst(mask)
    slope, here = judge.slopes(mask, kind)
    order = _by_cost(-slope[kept], saved)
    if exact:
        order = order[:SINGLES]
        cost = judge.under(kind, without[order]) - here
        order = order[_by_cost(cost, saved[order])]
    counts = [n for n in _prefixes(len(order)) if n < len(kept)]
    tried = np.repeat(mask[None], len(counts), 0)
    for row, n in enumerate(counts):
        tried[row, kept[order[:n]]] = False
    return furthest(list(tried), target, lambda mask: judge.one(mask, target))


def furthest(
    masks: Sequence[Mask], target: float, figure: Callable[[Mask], float]
) -> tuple[Mask, float] | None:
    """Of masks in order of decreasing size, the last whose figure reaches the target,
    and the figure; None if the first's does not. Found by bisection, which assumes that
    the figure rises along them."""
    found, low, high = None, 0, len(masks)
    while low < high:
        middle = (low + high) // 2
        here = figure(masks[middle])
        if here <= target:
            found, low = (masks[middle], here), middle + 1
        else:
            high = middle
    return found


def _by_cost(
    cost: npt.NDArray[np.floating], saved: npt.NDArray[np.integer]
) -> npt.NDArray[np.integer]:
    """The order of cost per edge saved; nodes that do harm come first."""
    each = np.where(cost > 0, cost / np.maximum(saved, 0.5), cost)
    return np.argsort(each, kind="stable")


def _prefixes(count: int) -> list[int]:
    """1, 2, 4, …, all: how many nodes to remove at once, at most eight numbers."""
    return sorted({int(x) for x in np.geomspace(1, count, 8).round()})
