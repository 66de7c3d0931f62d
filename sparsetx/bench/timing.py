"""Timing on machines that are busy with other things.

Contestants take turns, round after round, so that a slow minute slows all of them;
medians are compared, as ratios to one of them. Beside a median stand the least time,
which others' work can only lengthen, and the spread. Compilation happens before the
clock.
"""

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from sparsetx.system.progress import Progress, Reporter, silent

STAT = Path("/proc/stat")
SHORTEST = 0.02  # seconds of a turn: shorter ones would time the clock and the caches


@dataclass(frozen=True)
class Asked:
    """What the caller of a benchmark wants."""

    rounds: int | None = None  # None: each race its own
    quick: bool = False  # small sizes and few rounds: does everything work?
    report: Reporter = silent

    def turns(self, usual: int) -> int:
        """Rounds of a race that usually has so many."""
        return self.rounds or (min(usual, 3) if self.quick else usual)


USUAL = Asked()
BUSY = 0.1  # the part of all cores that others may use before a race is unfair


@functools.cache
def others() -> float:
    """The part of all cores that is used while this process does nothing: seen once,
    for half a second; 0 where the system does not say."""
    if not STAT.exists():
        return 0.0

    def seen() -> tuple[int, int]:
        ticks = [int(x) for x in STAT.read_text().splitlines()[0].split()[1:9]]
        return sum(ticks), ticks[3] + ticks[4]  # all, and idle or waiting for a disk

    total, idle = seen()
    time.sleep(0.5)
    later, still = seen()
    return 1 - (still - idle) / max(later - total, 1)


def warning() -> str | None:
    """What to say where others want the cores too."""
    if others() < BUSY:
        return None
    return (
        f"this machine is busy: others use {others():.0%} of its cores, so times will "
        "be long and ratios unfair"
    )


@dataclass(frozen=True)
class Took:
    """What a contestant returns that was timed elsewhere: in a process of its own."""

    seconds: float


class Withdrawn(RuntimeError):
    """A contestant cannot run here; the race goes on without it."""


@dataclass(frozen=True)
class Row:
    """One contestant: median seconds, and how many times the reference's median. One
    that was withdrawn has 0 of both, and a note that says why.

    tokens, elements: what it works on in one turn, where a rate says more than a time.
    """

    group: str
    name: str
    seconds: float
    ratio: float
    tokens: int = 0
    note: str = ""  # what else is worth a look
    least: float = 0.0  # seconds
    spread: float = 0.0  # interquartile range / median
    rounds: int = 0
    elements: int = 0
    memory: float = 0.0  # bytes, at most, while it runs
    plot: str = ""  # the growth plot that it is a point of
    size: float = 0.0  # where it stands on that plot's horizontal axis
    unit: str = ""  # of this axis

    @property
    def nanoseconds(self) -> float:
        """Per element; 0 where no elements are counted."""
        return 1e9 * self.seconds / self.elements if self.elements else 0.0


def race(
    group: str,
    contestants: Mapping[str, Callable[[], Any]],
    rounds: int = 7,
    tokens: int = 0,
    warm: bool = True,
    report: Reporter = silent,
    shortest: float = 0.0,
) -> list[Row]:
    """Median seconds of each; ratios are to the first. `warm`: a turn before the clock,
    for what is compiled when it first runs. A turn repeats what is faster than
    `shortest`, and counts the mean."""
    total, done = (rounds + warm) * len(contestants), 0
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    times, out = dict.fromkeys(contestants, 1), dict[str, str]()

    def turn(name: str) -> float:
        nonlocal done
        report(Progress(group, done, total, "turns", {"now": name}))
        done += 1
        return _seconds(contestants[name], times[name])

    if warm:
        for name in contestants:
            try:
                turn(name)
            except Withdrawn as reason:
                out[name] = str(reason)
    names = [name for name in contestants if name not in out]
    for name in names if shortest else ():  # now known without compilation
        once = _seconds(contestants[name], 1)
        times[name] = max(1, round(shortest / max(once, 1e-6)))
    for i in range(rounds):  # there and back, so that none always follows the same
        for name in names if i % 2 == 0 else reversed(names):
            taken[name].append(turn(name))
    first = statistics.median(taken[names[0]])
    rows = [_row(group, name, taken[name], first, tokens) for name in names]
    return rows + [Row(group, name, 0, 0, note=text) for name, text in out.items()]


def _seconds(run: Callable[[], Any], times: int) -> float:
    """Mean of so many calls."""
    began = time.perf_counter()
    found = [jax.block_until_ready(run()) for _ in range(times)]
    seconds = time.perf_counter() - began
    if isinstance(found[0], Took):
        seconds = sum(one.seconds for one in found)
    return seconds / times


def _row(
    group: str, name: str, taken: Sequence[float], first: float, tokens: int
) -> Row:
    median = statistics.median(taken)
    return Row(
        group, name, median, median / first, tokens, least=min(taken),
        spread=spread(taken), rounds=len(taken),
    )  # fmt: skip


def spread(taken: Sequence[float]) -> float:
    """The interquartile range as a part of the median; 0 of a single time."""
    if len(taken) < 2:
        return 0.0
    low, median, high = statistics.quantiles(taken, n=4, method="inclusive")
    return (high - low) / median


def changed(rows: Sequence[Row], **fields: Any) -> list[Row]:
    """The rows with some fields the same in all."""
    return [dataclasses.replace(row, **fields) for row in rows]
