"""How far a study is, and how long it will take.

The cost of a stage is counted in parameters x tokens: of a training, those of its
steps; of a search, those of every lane, pair, task and kind. A unit of either takes
another time, so that each stage has its own rate, measured on the stages that are done
here; until one is, the rate of the other, or of the stage that runs.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sparsetx.config import RunConfig
from sparsetx.model import parameters
from sparsetx.study.definition import Cell
from sparsetx.system import files
from sparsetx.system.progress import Progress, Reporter

TIMES = "times.json"  # in a cell's folder; apart from the table, which has no times
TRAIN, PRUNE = "train", "prune"


def size(config: RunConfig) -> int:
    """Parameters of a model, zeros included."""
    table = parameters.table(config.model)
    return sum(math.prod(parameters.full_shape(config.model, p)) for p in table)


def costs(cell: Cell) -> dict[str, float]:
    """{stage: cost} of a cell; of all its searches together."""
    config, search = cell.config, cell.study.search
    tokens = config.train.steps * config.train.batch * config.model.context
    length = min(search.sizes.length or config.model.context, config.model.context)
    effort = search.aim.effort
    lane_steps = sum(lanes * steps for lanes, steps in effort.rounds)
    each = lane_steps * 2 * effort.pairs * length * len(cell.study.kinds)
    searches = len(cell.study.tasks) * len(cell.shuffles)
    return {
        TRAIN: float(tokens * size(config)),
        PRUNE: float(each * searches * size(config)),
    }


@dataclass
class Outlook:
    """What is left of each cell and stage, and how fast stages were."""

    left: dict[tuple[str, str], float] = field(default_factory=dict)
    total: float = 0.0
    spent: dict[str, float] = field(default_factory=dict)  # seconds by stage
    done: dict[str, float] = field(default_factory=dict)  # cost by stage

    def add(self, cell: Cell, shares: Mapping[str, float], folder: Path) -> None:
        """A cell, with the share of each stage that is left, and its times."""
        for stage, cost in costs(cell).items():
            self.left[cell.name, stage] = cost * shares[stage]
            self.total += cost
        for stage, one in _times(folder).items():
            self.measured(stage, one["cost"], one["seconds"])

    def measured(self, stage: str, cost: float, seconds: float) -> None:
        self.spent[stage] = self.spent.get(stage, 0.0) + seconds
        self.done[stage] = self.done.get(stage, 0.0) + cost

    def seconds_left(self) -> float | None:
        """None while no rate is known."""
        rates = {s: self.spent[s] / self.done[s] for s in self.done if self.done[s]}
        if not rates:
            return None
        other = max(rates.values())
        return sum(
            cost * rates.get(stage, other) for (_, stage), cost in self.left.items()
        )

    @property
    def share(self) -> float:
        """The part of the study that is done."""
        return 1 - sum(self.left.values()) / self.total if self.total else 1.0


class Stage:
    """One stage of a cell while it runs: a Reporter that adds the study's progress to
    the stage's own, and keeps the time."""

    def __init__(
        self,
        outlook: Outlook,
        cell: Cell,
        stage: str,
        report: Reporter,
        clock: Callable[[float], str],
    ):
        self.outlook, self.report, self.clock = outlook, report, clock
        self.key, self.name = (cell.name, stage), stage
        self.first = self.outlook.left[self.key]
        self.began = time.monotonic()

    def left(self, share: float) -> None:
        """A share of what was left at the beginning is still left."""
        self.outlook.left[self.key] = self.first * share

    def __call__(self, progress: Progress) -> None:
        seconds = self.outlook.seconds_left()
        told = f"{100 * self.outlook.share:.0f}%"
        if seconds is not None:
            told += f", {self.clock(seconds)} left"
        figures = dict(progress.figures) | {"study": told}
        self.report(
            Progress(
                progress.stage, progress.done, progress.total, progress.unit, figures
            )
        )

    def end(self, folder: Path, share: float = 0.0) -> None:
        """The stage stops with this share left; its time is written to the cell."""
        self.left(share)
        cost = self.first * (1 - share)
        seconds = time.monotonic() - self.began
        if cost <= 0:
            return
        self.outlook.measured(self.name, cost, seconds)
        found = _times(folder)
        before = found.get(self.name, {"cost": 0.0, "seconds": 0.0})
        found[self.name] = {
            "cost": before["cost"] + cost,
            "seconds": round(before["seconds"] + seconds, 2),
        }
        files.write_json(folder / TIMES, found)


def _times(folder: Path) -> dict[str, dict[str, float]]:
    path = folder / TIMES
    found = files.read_json(path, "times of a cell") if path.is_file() else {}
    return dict(found)
