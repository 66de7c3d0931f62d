"""The definition of a study: a base configuration, axes, and what is searched for.

An axis is a named list of values, and a value is a label with overrides, written as on
the command line (`model.d_model=64`). A cell is one value of each axis: one training,
and the circuits of its model. Selectors such as `width=64,seed=0` name cells; values of
one axis are alternatives, and all axes of a selector must match.
"""

import dataclasses
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sparsetx.circuits.facts import KINDS, CircuitKind
from sparsetx.circuits.search.cutting import Request
from sparsetx.config import RunConfig
from sparsetx.model import parameters
from sparsetx.system import fields
from sparsetx.system.errors import Refusal, refuse_all
from sparsetx.tasks.table import TASKS

Axes = Mapping[str, Mapping[str, Sequence[str]]]
LABEL = r"[A-Za-z0-9][A-Za-z0-9_.+-]*"  # of an axis and of a value: parts of a path
SPARSE, DENSE = "sparse", "dense"
MOST_CELLS = 10_000


@dataclass(frozen=True)
class Study:
    """A grid of runs and the circuits that are searched in each."""

    base: RunConfig
    axes: Axes  # {axis: {label: overrides}}
    tasks: Sequence[str]
    kinds: Sequence[CircuitKind] = KINDS
    search: Request = field(default_factory=Request)  # kinds and shuffling are not here
    only: Sequence[Mapping[str, str]] = ()  # cells; empty: all combinations
    dense: Sequence[str] = ()  # selectors of the dense partners
    shuffled: Sequence[str] = ()  # selectors of models also cut with shuffled weights
    shuffles: Sequence[int] = (0,)  # seeds by which these are shuffled
    lines: str = "width"  # the axis that has a line of its own in the plot
    markers: str = "density"  # the axis along a line
    repeats: str = "seed"  # the axis whose values are pooled

    def cells(self) -> list["Cell"]:
        """All cells, in the order of the axes."""
        return [Cell(self, dict(values)) for values in self._places()]

    def _places(self) -> Iterator[Mapping[str, str]]:
        if self.only:
            yield from self.only
            return
        for labels in itertools.product(*self.axes.values()):
            yield dict(zip(self.axes, labels, strict=True))

    def request(self, shuffle: int | None, memory: float) -> Request:
        """The search's settings for the model, or for a shuffled one."""
        aim = dataclasses.replace(
            self.search.aim,
            honest=(self.search.aim.honest or 1.0) if "honest" in self.kinds else 0.0,
            faithful=1.0 if "faithful" in self.kinds else 0.0,
        )
        return dataclasses.replace(
            self.search, aim=aim, memory=memory, shuffled=shuffle
        )


@dataclass(frozen=True)
class Cell:
    """One training of a study, and the searches in its model."""

    study: Study
    values: Mapping[str, str]  # {axis: label}

    @property
    def name(self) -> str:
        """Also its folder, and a selector of it."""
        return ",".join(f"{axis}={label}" for axis, label in self.values.items())

    @property
    def config(self) -> RunConfig:
        overrides = [
            text for axis, label in self.values.items()
            for text in self.study.axes[axis][label]
        ]  # fmt: skip
        what = f"cell {self.name} cannot be used"
        return fields.override(self.study.base, overrides, what)

    @property
    def kind(self) -> str:
        """Of its model: sparse or dense."""
        return DENSE if chosen(self, self.study.dense) else SPARSE

    @property
    def shuffles(self) -> list[int | None]:
        """Searches in its model: None for the model itself, seeds for shuffled ones."""
        again = chosen(self, self.study.shuffled)
        return [None, *(self.study.shuffles if again else ())]


def chosen(cell: Cell, selectors: Sequence[str]) -> bool:
    """Whether one of the selectors names the cell."""
    return any(_matches(cell, parsed(text, cell.study.axes)) for text in selectors)


def selected(study: Study, selector: str | None) -> list[Cell]:
    """The cells that a selector names; all for None. Refuses one that names none."""
    cells = study.cells()
    if selector is None:
        return cells
    wanted = parsed(selector, study.axes)
    found = [cell for cell in cells if _matches(cell, wanted)]
    if not found:
        raise Refusal(f"wanted cells of the study, got {selector}: it names none")
    return found


def parsed(selector: str, axes: Axes) -> dict[str, set[str]]:
    """{axis: labels} of `KEY=VALUE,…`."""
    found: dict[str, set[str]] = {}
    offences = []
    for part in selector.split(","):
        axis, equals, label = (text.strip() for text in part.partition("="))
        if not equals:
            offences.append(f"{part!r}: wanted KEY=VALUE")
        elif axis not in axes:
            offences.append(f"{part}: no such axis; {fields.near(axis, list(axes))}")
        elif label not in axes[axis]:
            near = fields.near(label, list(axes[axis]))
            offences.append(f"{part}: no such value; {near}")
        found.setdefault(axis, set()).add(label)
    refuse_all(f"{selector}: this selects no cells", offences)
    return found


def _matches(cell: Cell, wanted: Mapping[str, set[str]]) -> bool:
    return all(cell.values.get(axis) in labels for axis, labels in wanted.items())


def check(study: Study, what: str) -> None:
    """Refuse a study with everything that is wrong with it."""
    refuse_all(what, list(_shape_offences(study)))
    found = list(_selector_offences(study)) + list(_cell_offences(study))
    refuse_all(what, found)


def _shape_offences(study: Study) -> Iterator[str]:
    """What is wrong with axes, cells, tasks and kinds."""
    for axis, values in study.axes.items():
        if not values:
            yield f"axes: {axis} has no values"
        for name in (axis, *values):
            if not re.fullmatch(LABEL, name):
                yield f"axes: {name!r}: wanted a name like 64, dense or 1-16"
        for label, overrides in values.items():
            if isinstance(overrides, str):
                yield f"axes: {axis}={label}: wanted a list of overrides, got text"
    for place in study.only:
        if place.keys() != study.axes.keys():
            yield f"only: {dict(place)}: wanted a value of each of {list(study.axes)}"
        for axis, label in place.items():
            if label not in study.axes.get(axis, {}):
                yield f"only: {axis}={label} is in no axis"
    places = [tuple(place.items()) for place in itertools.islice(
        study._places(), MOST_CELLS + 1)]  # fmt: skip
    if len(places) > MOST_CELLS:
        yield f"axes: wanted at most {MOST_CELLS:,} cells"
    if len(set(places)) < len(places):
        yield "only: a cell is named twice"
    if not study.tasks or len(set(study.tasks)) < len(study.tasks):
        yield f"tasks: wanted one or more, each once, got {list(study.tasks)}"
    for task in study.tasks:
        if task not in TASKS:
            yield f"tasks: there is no {task!r}; {fields.near(task, list(TASKS))}"
    wanted = [kind for kind in KINDS if kind in study.kinds]
    if list(study.kinds) != wanted or "plain" not in study.kinds:
        yield f"kinds: wanted plain, then others of {KINDS}, got {study.kinds}"
    aim, effort = study.search.aim, study.search.aim.effort
    if not 0 < aim.target < 0.69:
        yield f"search.aim.target = {aim.target}: wanted 0 to 0.69 (log 2: guessing)"
    pools = (study.search.sizes.train, study.search.sizes.val, study.search.sizes.test)
    numbers = [*itertools.chain(*effort.rounds), effort.pairs, effort.finalists, *pools]
    if not effort.rounds or min(numbers) < 1:
        yield "search: wanted rounds, pairs, finalists and pools of 1 or more"
    if study.search.shuffled is not None:
        yield "search.shuffled: wanted None; say which models are in `shuffled`"
    if any(seed < 0 for seed in study.shuffles):
        yield f"shuffles: wanted seeds of 0 or more, got {list(study.shuffles)}"


def _selector_offences(study: Study) -> Iterator[str]:
    for name in ("dense", "shuffled"):
        for text in getattr(study, name):
            try:
                parsed(text, study.axes)
            except Refusal as refusal:
                yield f"{name}: {refusal}"


def _cell_offences(study: Study) -> Iterator[str]:
    """Cells whose configuration cannot be used."""
    for cell in study.cells():
        try:
            parameters.check(cell.config, f"cell {cell.name}")
        except Refusal as refusal:
            yield str(refusal)
