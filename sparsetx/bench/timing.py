"""Timing on machines that are busy with other things.

Contestants take turns, round after round, so that a slow minute slows all of them;
medians are compared, as ratios to one of them. Compilation happens before the clock.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax


@dataclass(frozen=True)
class Row:
    """One contestant: median seconds, and how many times the reference's median.

    tokens: what it reads or writes in one turn, where a rate says more than a time.
    """

    group: str
    name: str
    seconds: float
    ratio: float
    tokens: int = 0
    note: str = ""  # what else is worth a look


def race(
    group: str,
    contestants: Mapping[str, Callable[[], Any]],
    rounds: int = 7,
    tokens: int = 0,
    warm: bool = True,
) -> list[Row]:
    """Median seconds of each; ratios are to the first. `warm`: a turn before the clock,
    for what is compiled when it first runs."""
    for run in contestants.values() if warm else ():
        jax.block_until_ready(run())
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            began = time.perf_counter()
            jax.block_until_ready(run())
            taken[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(times) for name, times in taken.items()}
    reference = next(iter(medians.values()))
    return [Row(group, name, s, s / reference, tokens) for name, s in medians.items()]
