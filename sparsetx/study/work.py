"""Do the cells of a study that are not done, together with any other processes.

A cell is a run's folder below the study's. Training and searches resume by themselves,
and their locks keep two processes off one run or one task: a cell that another live
process has is left to it and looked at again at the end, where its tasks are shared.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparsetx.circuits import circuit
from sparsetx.circuits.search import batch_job, lanes
from sparsetx.data.batches import open_data
from sparsetx.run import ENVIRONMENT, checkpoints, load_run
from sparsetx.study.definition import Cell, Study
from sparsetx.study.outlook import PRUNE, TRAIN, Outlook, Stage
from sparsetx.system import fields, files, lock
from sparsetx.system.errors import refuse_all
from sparsetx.system.progress import Progress, Reporter, silent
from sparsetx.system.signals import Stop
from sparsetx.training import launch, loop

SEARCH = "search.json"  # the search's settings, in the study's folder
Words = Callable[[str], None]


@dataclass(frozen=True)
class Place:
    """A study and its folder."""

    study: Study
    path: Path

    def folder(self, cell: Cell) -> Path:
        return self.path / cell.name

    def circuits(self, cell: Cell, shuffle: int | None) -> Path:
        name = "circuits" if shuffle is None else f"circuits-shuffled-{shuffle}"
        return self.folder(cell) / name

    def is_trained(self, cell: Cell) -> bool:
        saved = checkpoints.steps(self.folder(cell))
        return bool(saved) and saved[-1] >= cell.config.train.steps

    def missing(self, cell: Cell) -> list[tuple[int | None, str]]:
        """(shuffle, task) of the searches that are not done."""
        kinds = self.study.kinds
        return [
            (shuffle, task)
            for shuffle in cell.shuffles
            for task in self.study.tasks
            if not all(
                (
                    batch_job.folder_of(self.circuits(cell, shuffle), task, kind, kinds)
                    / circuit.JSON
                ).is_file()
                for kind in kinds
            )
        ]

    def shares_left(self, cell: Cell) -> dict[str, float]:
        """{stage: the part of it that is left}."""
        saved = checkpoints.steps(self.folder(cell))
        done = saved[-1] if saved else 0
        searches = len(self.study.tasks) * len(cell.shuffles)
        return {
            TRAIN: max(0.0, 1 - done / cell.config.train.steps),
            PRUNE: len(self.missing(cell)) / searches,
        }

    def is_done(self, cell: Cell) -> bool:
        return self.is_trained(cell) and not self.missing(cell)


@dataclass
class Work:
    """One process's part in a study."""

    place: Place
    stop: Stop
    clock: Callable[[float], str]
    report: Reporter = silent
    say: Words = lambda text: None

    def __post_init__(self) -> None:
        self.outlook = Outlook()
        self.failed: dict[str, str] = {}

    def run(self, cells: Sequence[Cell]) -> Iterator[Cell]:
        """Do what is left, and yield each cell that is done here. `failed` has those
        whose training did not end well; what is then still not done, others do."""
        record(self.place)
        for cell in self.place.study.cells():
            folder = self.place.folder(cell)
            self.outlook.add(cell, self.place.shares_left(cell), folder)
        for again in (False, True):
            for cell in cells:
                if cell.name in self.failed or self.place.is_done(cell):
                    self._left_to_others(cell)
                    continue
                with contextlib.suppress(lock.Held):
                    self._cell(cell, again)
                if self.stop:
                    return
                if self.place.is_done(cell):
                    yield cell

    def _left_to_others(self, cell: Cell) -> None:
        """What another process did of a cell meanwhile is not left any more."""
        for stage in (TRAIN, PRUNE):
            self.outlook.left[cell.name, stage] = 0.0

    def _cell(self, cell: Cell, again: bool) -> None:
        if not self.place.is_trained(cell):
            try:
                self._train(cell, again)
            except (loop.Diverged, checkpoints.Unsaved) as error:
                self.failed[cell.name] = str(error)
                return
        if self.stop or not self.place.missing(cell):
            return
        folder = self.place.folder(cell) / "searches"
        with contextlib.nullcontext() if again else lock.held(folder, patient=False):
            self._prune(cell)

    def _train(self, cell: Cell, patient: bool) -> None:
        config, folder = cell.config, self.place.folder(cell)
        stage = Stage(self.outlook, cell, TRAIN, self.report, self.clock)
        self._prepared(cell, stage)
        with launch.opened(config, folder, (), stage, self.say, patient) as ready:
            self.say(f"{cell.name}: training from step {ready.step:,}")
            first = ready.step
            state = ready.train(self.stop, _following(stage, first))
        left = config.train.steps - int(state.step)
        stage.end(folder, left / max(1, config.train.steps - first))

    def _prepared(self, cell: Cell, report: Reporter) -> None:
        """Its tokens; where another process is making the same, wait for it."""
        if (self.place.folder(cell) / ENVIRONMENT).is_file():
            return
        while True:
            try:
                open_data(cell.config, report)
                return
            except lock.Held:
                time.sleep(1)

    def _prune(self, cell: Cell) -> None:
        study, memory = self.place.study, lanes.memory_here()
        stage = Stage(self.outlook, cell, PRUNE, self.report, self.clock)
        before = len(self.place.missing(cell))
        run = load_run(self.place.folder(cell))
        for shuffle in cell.shuffles:
            request = study.request(shuffle, memory)
            tasks, unfit = batch_job.of_names(run, study.tasks, request)
            refuse_all(f"cell {cell.name} cannot do all tasks", unfit.values())
            out = self.place.circuits(cell, shuffle)
            job = batch_job.of_run(run, tasks, request, out)
            for _ in batch_job.work(job, stage):
                stage.left(len(self.place.missing(cell)) / before)
        after = len(self.place.missing(cell))
        stage.end(self.place.folder(cell), after / before)


def _following(stage: Stage, first: int) -> Reporter:
    """A reporter of a training that also moves the study's progress."""

    def report(progress: Progress) -> None:
        if progress.total > first and progress.unit == "steps":
            stage.left((progress.total - progress.done) / (progress.total - first))
        stage(progress)

    return report


def record(place: Place) -> None:
    """Write the search's settings once; refuse others later, since a table of circuits
    that were searched in different ways would compare nothing."""
    files.check_writable(place.path)
    check_record(place)
    files.write_json(place.path / SEARCH, _settings(place.study))


def check_record(place: Place) -> None:
    """Refuse a study whose folder was begun with another search."""
    path = place.path / SEARCH
    if not path.is_file():
        return
    old = files.read_json(path, "the search of a study")
    changed = [
        f"{key}: was {json.dumps(old.get(key))}, now {json.dumps(value)}"
        for key, value in _settings(place.study).items()
        if old.get(key) != value
    ]
    what = f"{place.path} was begun with another search (name another --out)"
    refuse_all(what, changed)


def _settings(study: Study) -> dict[str, Any]:
    """The search's settings as JSON gives them back; memory changes no circuit."""
    found = fields.to_json(study.request(None, 0.0)) | {"kinds": list(study.kinds)}
    return dict(json.loads(json.dumps(found)))
