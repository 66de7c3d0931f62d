"""From scores to a circuit: how many nodes to keep, and which can go (section 2.3).

Nodes are ranked by τ; of those that tie, the ones that the task's loss leans on most
come first. The loss is not monotone in the number kept, so many numbers are tried at
once, and more below the smallest that reaches the target. Then nodes go while the
target holds: first those that no path joins to an answer, then those that cost least
for each edge that they save.
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

# Numbers of nodes tried: at a glance, of which every third of the next; below the best
# of these; beyond what a search kept, and between the best and the one below.
GLANCE, SCAN, REFINE = 14, 40, 8
PASSES = 6  # rounds of removals by slope, and as many by what nodes really cost
SINGLES = 16  # nodes left out one by one, to see what each really costs
Mask = npt.NDArray[np.bool_]  # [node]


@dataclass(frozen=True)
class Point:
    """One circuit along a ranking."""

    nodes: int
    edges_plus: int
    loss: float


@dataclass(frozen=True)
class Chosen:
    """The circuit of one ranking, or none; and the curve that it came from."""

    mask: Mask
    loss: float  # the judge's
    curve: list[Point] = field(default_factory=list)

    @property
    def reached(self) -> bool:
        return bool(self.mask.any())


@dataclass(frozen=True, eq=False)
class Cutter:
    """A judge, what counting takes, who hears how far it is, and another judge on
    prompts by which nothing was cut down: the result suits the first one's."""

    judge: Judge
    pattern: edges.Patterns
    answers: Sequence[int]
    name: str = ""
    report: Reporter = silent
    second: Judge | None = None

    def tell(self, done: int, total: int, mask: Mask) -> None:
        size = int(self.sizes(mask[None]).edges_plus[0])
        figures = {"nodes": int(mask.sum()), "edges+": size}
        stage = f"{self.name}, cut down"
        self.report(Progress(stage, done, total, "passes", figures))

    def sizes(self, masks: npt.NDArray[np.bool_]) -> edges.Size:
        """The counts of [N, node] masks."""
        return edges.size(self.judge.config, self.pattern, self.judge.tree(masks))

    def order(self, tau: Nodes) -> npt.NDArray[np.integer]:
        """Nodes by score, those that tie by how much the loss leans on them."""
        sites = self.judge.sites
        score = nodes.flatten(self.judge.config, tau, sites)
        slope, _ = self.judge.slopes(score > 0)
        return np.lexsort((-np.abs(slope), -score))


def scan(
    cutter: Cutter,
    order: npt.NDArray[np.integer],
    counts: Sequence[int] | npt.NDArray[np.integer],
) -> list[Point]:
    """The curve: the first so many nodes of an order, tried at once."""
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    count_N = np.unique(np.asarray(counts))
    masks = place[None, :] < count_N[:, None]
    losses, sizes = cutter.judge(masks), cutter.sizes(masks).edges_plus
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
    """An order of nodes, and the points of its curve that are known."""

    order: npt.NDArray[np.integer]
    kept: int  # by the search
    curve: list[Point] = field(default_factory=list)

    @classmethod
    def of(cls, cutter: Cutter, tau: Nodes) -> "Ranking":
        kept = int(sum((np.asarray(x) > 0).sum() for x in tau.values()))
        return cls(cutter.order(tau), kept)

    def scan(self, cutter: Cutter, counts: npt.NDArray[np.integer]) -> None:
        """Add points, at once."""
        known = {point.nodes for point in self.curve}
        new = np.array([n for n in np.unique(counts) if n not in known])
        if len(new):
            self.curve += scan(cutter, self.order, new)
            self.curve.sort(key=lambda point: point.nodes)

    def first(self, count: int) -> Mask:
        mask = np.zeros(len(self.order), bool)
        mask[self.order[:count]] = True
        return mask


def choose(
    cutter: Cutter, ranking: Ranking, target: float, passes: int = PASSES
) -> Chosen:
    """The smallest circuit found along the ranking, cleaned up."""
    best = start(cutter, ranking, target)
    if best is None:
        least = min(point.loss for point in ranking.curve)
        return Chosen(np.zeros(len(ranking.order), bool), least, ranking.curve)
    mask, loss = clean(cutter, ranking.first(best.nodes), target, passes)[-1]
    return Chosen(mask, loss, ranking.curve)


def glance(cutter: Cutter, ranking: Ranking, target: float) -> Point | None:
    """The smallest point of a coarse curve that reaches the target."""
    ranking.scan(cutter, spaced(len(ranking.order), ranking.kept, GLANCE))
    return smallest(ranking.curve, target)


def start(cutter: Cutter, ranking: Ranking, target: float) -> Point | None:
    """The smallest point of the curve that reaches the target, looked at closely."""
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


def clean(
    cutter: Cutter, mask: Mask, target: float, passes: int = PASSES
) -> list[tuple[Mask, float]]:
    """Remove nodes while the target holds, the cheapest per edge saved first. All masks
    on the way, with their losses, the smallest last."""
    way = [(mask, cutter.judge.one(mask))]
    way.append(_joined(cutter, *way[-1], target))
    for exact in (False, True):
        for number in range(passes):
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
    """Without the nodes that lead nowhere, unless the loss says that they do (they
    move the norms of others)."""
    judge = cutter.judge
    joined = reach.joined(
        judge.config, judge.params, cutter.pattern, judge.tree_of(mask), cutter.answers
    )
    fewer = nodes.flatten(judge.config, joined, judge.sites) > 0
    if not fewer.any() or fewer.sum() == mask.sum():
        return mask, loss
    without = judge.one(fewer)
    return (fewer, without) if without <= target else (mask, loss)


def _fewer(
    cutter: Cutter, mask: Mask, target: float, exact: bool
) -> tuple[Mask, float] | None:
    """As many nodes fewer as the target allows; None if it allows none.

    What a node costs is guessed from the slope of the loss, and, if `exact`, measured
    for the cheapest."""
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
    order = _cheapest(-slope[kept], saved)
    if exact:
        order = order[:SINGLES]
        cost = judge.under(kind, without[order]) - here
        order = order[_cheapest(cost, saved[order])]
    counts = [n for n in _prefixes(len(order)) if n < len(kept)]
    tried = np.repeat(mask[None], len(counts), 0)
    for row, n in enumerate(counts):
        tried[row, kept[order[:n]]] = False
    return furthest(list(tried), target, judge.one)


def furthest(
    masks: Sequence[Mask], target: float, figure: Callable[[Mask], float]
) -> tuple[Mask, float] | None:
    """The last of masks that grow smaller whose figure reaches the target, and the
    figure, found by halving, as if it rose along them; None if not even the first's
    does."""
    found, low, high = None, 0, len(masks)
    while low < high:
        middle = (low + high) // 2
        here = figure(masks[middle])
        if here <= target:
            found, low = (masks[middle], here), middle + 1
        else:
            high = middle
    return found


def _cheapest(
    cost: npt.NDArray[np.floating], saved: npt.NDArray[np.integer]
) -> npt.NDArray[np.integer]:
    """Cost per edge saved; where leaving a node out lowers the loss, it goes first."""
    each = np.where(cost > 0, cost / np.maximum(saved, 0.5), cost)
    return np.argsort(each, kind="stable")


def _prefixes(count: int) -> list[int]:
    """1, 2, 4, …, all: how many to remove at once, eight numbers at most."""
    return sorted({int(x) for x in np.geomspace(1, count, 8).round()})
