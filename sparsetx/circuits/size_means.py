"""Geometric means of circuit sizes over tasks, with bootstrap intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparsetx.circuits.facts import REACHED, Facts

DRAWS = 2000
EXEMPT = ("else_elif",)  # left out of all means: a bigram solves it


@dataclass(frozen=True)
class Mean:
    """A geometric mean and its 95 % bootstrap interval over tasks."""

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.value:,.1f} [{self.low:,.1f}, {self.high:,.1f}]"


def geometric_mean(values: Sequence[float], seed: int = 0) -> Mean | None:
    """None for no values. A size of 0 counts as 1: a circuit may need no edge."""
    logs = np.log(np.maximum(np.asarray(values, float), 1.0))
    return _mean(logs, seed)


def ratio(above: Sequence[float], below: Sequence[float], seed: int = 0) -> Mean | None:
    """The geometric mean of the ratios above/below of each task."""
    one, other = (np.log(np.maximum(np.asarray(x, float), 1.0)) for x in (above, below))
    return _mean(one - other, seed)


def ratio_of_trainings(
    each: Sequence[tuple[Sequence[float], Sequence[float]]], seed: int = 0
) -> Mean:
    """The same over several trainings of both models, each with its own (above, below):
    a draw takes trainings, and of each of them tasks."""
    logs = [
        np.log(np.maximum(np.asarray(above, float), 1.0))
        - np.log(np.maximum(np.asarray(below, float), 1.0))
        for above, below in each
    ]
    rng = np.random.default_rng(seed)
    drawn = [
        np.mean(
            [
                logs[i][rng.integers(0, len(logs[i]), len(logs[i]))].mean()
                for i in rng.integers(0, len(logs), len(logs))
            ]
        )
        for _ in range(DRAWS)
    ]
    middle = np.mean([x.mean() for x in logs])
    ends = np.percentile(drawn, [2.5, 97.5])
    value, low, high = map(float, np.exp([middle, *ends]))
    return Mean(value, low, high, sum(map(len, logs)))


def _mean(logs: np.ndarray, seed: int) -> Mean | None:
    if not len(logs):
        return None
    rng = np.random.default_rng(seed)
    drawn = logs[rng.integers(0, len(logs), (DRAWS, len(logs)))].mean(1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    value, low, high = map(float, np.exp([logs.mean(), low, high]))
    return Mean(value, low, high, len(logs))


def counted(found: Sequence[Facts]) -> list[Facts]:
    """The circuits that enter a mean: those that reached the target, but for EXEMPT."""
    return [f for f in found if f.status == REACHED and f.task not in EXEMPT]
