"""A circuit verified: its own figure reaches the target, on both pools of a search.

A ranking of nodes is judged by a loss of few draws on one pool, and nodes are removed
by it. What is asked of the circuit is its loss under mean ablation (plain), H (honest)
or F (faithful), with some standard errors to spare, on that pool and on another one.
"""

from collections.abc import Sequence

import numpy as np

from sparsetx.circuits.facts import CircuitKind
from sparsetx.circuits.search import discretisation
from sparsetx.circuits.search.discretisation import Begin, Chosen, Cutter, Ranking

TRIES, TIGHTER = 6, 0.97  # again with lower targets, where a figure is above it
LONGER = 12  # lengths of the ranking that are tried where nothing else helps
NEAR = 0.9  # of the target: a figure above that leaves no room for removals
# The loss, H or F plus so many standard errors should reach the target; if nothing
# does, fewer.
ERRORS = {"plain": (1.0,), "honest": (2.0, 1.0), "faithful": (1.5, 1.0, 0.5)}
DRAWS = 16  # of stochastic ablation in H and F while circuits are chosen


def verified(
    cutter: Cutter, ranking: Ranking, kind: CircuitKind, target: float
) -> Chosen:
    """The smallest circuit of a ranking of which the figure of its kind reaches the
    target on both pools."""
    begins = discretisation.start, discretisation.wide
    for errors in ERRORS[kind]:
        each = [_reaching(cutter, ranking, target, errors, b) for b in begins]
        found = [Chosen(*one, ranking.curve) for one in each if one]
        if found:
            return smallest(cutter, found)
    longer = _longer(cutter, ranking, target, errors)
    if longer:
        return Chosen(*longer, ranking.curve)
    none = np.zeros(len(ranking.order), bool)
    return Chosen(none, min(p.loss for p in ranking.curve), ranking.curve)


def size_of(cutter: Cutter, chosen: Chosen) -> int | None:
    """The edges⁺ of a circuit, if there is one."""
    sizes = cutter.sizes(chosen.mask[None])
    return int(sizes.edges_plus[0]) if chosen.reached else None


def smallest(cutter: Cutter, found: Sequence[Chosen]) -> Chosen:
    def rank(chosen: Chosen) -> tuple[float, float]:
        size = size_of(cutter, chosen)
        return (np.inf if size is None else size, chosen.loss)

    return min(found, key=rank)


def _reaching(
    cutter: Cutter, ranking: Ranking, target: float, errors: float, begin: Begin
) -> tuple[discretisation.Mask, float] | None:
    """A mask whose figure reaches the target, and the figure. The judge's loss may be
    lower: where the figure of the starting circuit is above the target, the judge's
    target is lowered in proportion."""
    held = target
    for _ in range(TRIES):
        point = begin(cutter, ranking, held)
        if point is None:
            return None
        mask = ranking.first(point.nodes)
        figure = _figure(cutter, mask, errors, target)
        if figure <= target:
            return _reduced(cutter, (mask, figure), held, target, errors)
        held = TIGHTER * min(point.loss, held * target / figure)
    return None


def _longer(
    cutter: Cutter, ranking: Ranking, target: float, errors: float
) -> tuple[discretisation.Mask, float] | None:
    """The same where lower targets do not help: the shortest part of the ranking found
    whose figure itself reaches the target, up to the whole model."""
    counts = np.geomspace(len(ranking.order), 1, LONGER).round().astype(int)
    found = discretisation.furthest(
        [ranking.first(int(n)) for n in counts],
        target,
        lambda mask: _figure(cutter, mask, errors, target),
    )
    if found is None:
        return None
    return _reduced(cutter, found, cutter.judge.one(found[0]), target, errors)


def _reduced(
    cutter: Cutter,
    best: tuple[discretisation.Mask, float],
    held: float,
    target: float,
    errors: float,
) -> tuple[discretisation.Mask, float]:
    """Remove nodes while the figure reaches the target: as many as the judge's target
    allows; and where it is then still well below, more, with the judge's target raised.
    """
    for _ in range(TRIES):
        way = [each for each, _ in discretisation.clean(cutter, best[0], held)]
        fewer = _smallest_reaching(cutter, way, target, errors)
        if fewer is None or fewer[0].sum() == best[0].sum():
            return best
        best = fewer
        if best[1] > NEAR * target:
            return best
        held *= target / best[1]
    return best


def _smallest_reaching(
    cutter: Cutter, way: Sequence[discretisation.Mask], target: float, errors: float
) -> tuple[discretisation.Mask, float] | None:
    """Of masks in order of decreasing size, the last whose figure reaches the target,
    and the figure. It usually is the very last, which is tried first."""

    def figure(mask: discretisation.Mask) -> float:
        return _figure(cutter, mask, errors, target)

    last = figure(way[-1])
    if last <= target:
        return way[-1], last
    return discretisation.furthest(way[:-1], target, figure)


def _figure(
    cutter: Cutter, mask: discretisation.Mask, errors: float, enough: float = np.inf
) -> float:
    """The loss of a plain circuit, else H or F, plus `errors` standard errors, on the
    pool where it is larger, since it should hold on other prompts. If it is above
    `enough` on one, the other is left out."""
    keep = cutter.judge.tree_of(mask)
    worst = -np.inf
    for judge in (cutter.judge, cutter.second):
        if judge is None or worst > enough:
            continue
        if judge.honest:
            here = judge.figures(keep, DRAWS, errors, enough)["worst"]
        else:
            here = judge.one(mask)  # with one standard error
        worst = max(worst, here)
    return worst
