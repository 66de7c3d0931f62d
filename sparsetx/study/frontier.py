"""Sizes of circuits against pretraining loss, and the slopes of that relation.

A point is a model without its seed: its width, its density, and whether its weights are
shuffled. A task is reached by a point if every seed's circuit reaches the target. Sizes
can only be compared over the same tasks, so means are over the tasks that all compared
points reach. A point that reaches fewer than half of the tasks would leave none to the
others: it is not compared, but shown apart, over the tasks that it reaches itself.
Shuffled models are compared among themselves, over tasks of that same set.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsetx.circuits import size_means
from sparsetx.circuits.facts import CircuitKind
from sparsetx.study.definition import DENSE, SPARSE, Study
from sparsetx.study.table import Row

DRAWS = 2000
LEAST = 0.5  # of the tasks, which a compared point reaches
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Point:
    """A model of some seeds, and its circuits of one kind."""

    model: str  # sparse, dense or shuffled-N
    line: str  # its width
    marker: str  # its density
    seeds: tuple[str, ...]
    loss: Mapping[str, float]  # {seed: pretraining loss}
    edges: Mapping[tuple[str, str], int | None]  # {(seed, task)}; None: not reached

    @property
    def tasks(self) -> list[str]:
        """Tasks of which all seeds have a circuit, reached or not."""
        found = dict.fromkeys(task for _, task in self.edges)
        return [t for t in found if all((s, t) in self.edges for s in self.seeds)]

    @property
    def reached(self) -> list[str]:
        tasks = self.tasks
        return [
            t for t in tasks if all(self.edges[s, t] is not None for s in self.seeds)
        ]

    @property
    def mean_loss(self) -> float:
        return float(np.mean(list(self.loss.values())))

    @property
    def failures(self) -> int:
        """Circuits that did not reach the target."""
        return sum(edges is None for edges in self.edges.values())

    def sizes(self, tasks: Sequence[str]) -> list[int]:
        """Edges of all seeds' circuits of these tasks."""
        return [self.edges[s, t] or 0 for s in self.seeds for t in tasks]


@dataclass(frozen=True)
class Placed:
    """A point in the plot; `size` is None where it reaches no task."""

    point: Point
    compared: bool
    tasks: tuple[str, ...]
    size: size_means.Mean | None


@dataclass(frozen=True)
class Slope:
    """d log(edges) / d loss along points, and its 95 % bootstrap interval."""

    name: str
    points: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Panel:
    """What is known of one kind of circuit."""

    kind: CircuitKind
    placed: tuple[Placed, ...]
    tasks: tuple[str, ...]  # that all compared sparse and dense points reach
    shuffled_tasks: tuple[str, ...]
    slopes: tuple[Slope, ...]
    circuits: int
    failures: int


def panels(study: Study, table: Sequence[Row]) -> list[Panel]:
    """A panel for every kind of circuit that the table has."""
    found = []
    for kind in study.kinds:
        points = list(_points(study, [r for r in table if r["circuit"] == kind]))
        if points:
            found.append(panel(kind, points))
    return found


def _points(study: Study, table: Sequence[Row]) -> Iterator[Point]:
    """Points in the order of the table; all axes but the seed's tell them apart."""
    other = [axis for axis in study.axes if axis != study.repeats]
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in table:
        if row["task"] in size_means.EXEMPT or row["validation_loss"] is None:
            continue
        key = (row["model"], *(row[axis] for axis in other))
        groups.setdefault(key, []).append(row)
    for (model, *_), own in groups.items():
        seeds = [str(row.get(study.repeats, "")) for row in own]
        given = list(zip(seeds, own, strict=True))
        first = own[0]
        beside = [axis for axis in other if axis != study.lines]
        yield Point(
            model,
            str(first.get(study.lines, "")),
            " ".join(str(first[axis]) for axis in beside),
            tuple(dict.fromkeys(seeds)),
            {seed: float(row["validation_loss"]) for seed, row in given},
            {(seed, row["task"]): row["edges"] for seed, row in given},
        )


def panel(kind: CircuitKind, points: Sequence[Point]) -> Panel:
    own = [p for p in points if p.model in (SPARSE, DENSE)]
    shuffled = [p for p in points if p.model not in (SPARSE, DENSE)]
    every = list(dict.fromkeys(task for p in points for task in p.tasks))
    tasks, compared = common(own, every)
    shuffled_tasks, also = common(shuffled, tasks)
    placed = []
    for point in points:
        is_compared = point in compared or point in also
        over = tasks if point in compared else shuffled_tasks
        over = list(over) if is_compared else point.reached
        mean = size_means.geometric_mean(point.sizes(over))
        placed.append(Placed(point, is_compared and bool(over), tuple(over), mean))
    return Panel(
        kind,
        tuple(placed),
        tuple(tasks),
        tuple(shuffled_tasks),
        tuple(_slopes(compared, tasks, also, shuffled_tasks)),
        sum(len(p.edges) for p in points),
        sum(p.failures for p in points),
    )


def common(
    points: Sequence[Point], tasks: Sequence[str]
) -> tuple[list[str], list[Point]]:
    """The tasks that all compared points reach, and these points."""
    reached = [[t for t in p.reached if t in tasks] for p in points]
    pairs = zip(points, reached, strict=True)
    compared = [p for p, own in pairs if own and len(own) >= LEAST * len(tasks)]
    shared = [t for t in tasks if compared and all(t in p.reached for p in compared)]
    return shared, compared


def _slopes(
    compared: Sequence[Point],
    tasks: Sequence[str],
    shuffled: Sequence[Point],
    shuffled_tasks: Sequence[str],
) -> Iterator[Slope]:
    """Of each line of sparse points, of all of them with an intercept for each line,
    and the same of shuffled ones."""
    sparse = [p for p in compared if p.model == SPARSE]
    for name, points, over in (
        (SPARSE, sparse, tasks),
        ("shuffled", shuffled, shuffled_tasks),
    ):
        lines = list(dict.fromkeys(p.line for p in points))
        for line in lines:
            own = [p for p in points if p.line == line]
            found = slope(f"{name} {line}".strip(), own, over)
            if found:
                yield found
        every = slope(f"{name}, all lines", points, over)
        if every and len(lines) > 1:
            yield every


def slope(
    name: str, points: Sequence[Point], tasks: Sequence[str], draws: int = DRAWS
) -> Slope | None:
    """Least squares, with an intercept for each line; None where no line has two
    losses. Seeds and tasks are drawn with replacement, the same for all points."""
    if not points or not tasks:
        return None
    seeds = [s for s in points[0].seeds if all(s in p.seeds for p in points)]
    if not seeds:
        return None
    loss_PS = np.array([[p.loss[s] for s in seeds] for p in points])
    sizes = [[[p.edges[s, t] or 0 for t in tasks] for s in seeds] for p in points]
    log_PST = np.log(np.maximum(np.array(sizes, float), 1.0))
    lines = np.array([p.line for p in points])
    value = fitted(lines, loss_PS, log_PST.mean(2))
    if value is None:
        return None
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(draws):
        s = rng.integers(0, len(seeds), len(seeds))
        t = rng.integers(0, len(tasks), len(tasks))
        again = fitted(lines, loss_PS[:, s], log_PST[:, s][:, :, t].mean(2))
        drawn += [] if again is None else [again]
    low, high = np.percentile(drawn, [2.5, 97.5]) if drawn else (value, value)
    return Slope(name, len(points), value, float(low), float(high))


def fitted(lines_P: Array, x_PS: Array, y_PS: Array) -> float | None:
    """The common slope of lines that each have an intercept of their own."""
    above = below = 0.0
    for line in dict.fromkeys(lines_P.tolist()):
        x, y = x_PS[lines_P == line], y_PS[lines_P == line]
        if len(x) > 1:  # of one point alone, seeds would make a slope of noise
            away = x - x.mean()
            above += float((away * (y - y.mean())).sum())
            below += float((away**2).sum())
    return above / below if below > 1e-12 else None
