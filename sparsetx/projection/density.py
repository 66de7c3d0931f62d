"""How many weights there are, and where: what a projection left, counted.

NumPy only: it looks at a finished model, and serves any model, sparse or dense.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsetx.config import ModelConfig
from sparsetx.model import parameters
from sparsetx.model.parameters import Parameter


@dataclass(frozen=True)
class Spread:
    """Nonzero weights per neuron (or channel) of a matrix."""

    least: int
    median: float
    most: int
    dead: int  # neurons with none


@dataclass(frozen=True)
class Density:
    """One parameter, or one layer of a stacked one."""

    name: str
    layer: int | None
    size: int
    nonzero: int
    neurons: Spread | None  # None where no axis numbers neurons

    @property
    def fraction(self) -> float:
        return self.nonzero / self.size


def report(model: ModelConfig, params: Mapping[str, Any]) -> list[Density]:
    """A row for every parameter and layer."""
    found = dict(parameters.leaves(params))
    return [
        row
        for parameter in parameters.table(model)
        for row in _rows(parameter, np.asarray(found[parameter.path]) != 0)
    ]


def _rows(parameter: Parameter, nonzero: npt.NDArray[np.bool_]) -> Iterator[Density]:
    layers = enumerate(nonzero) if parameter.stacked else [(None, nonzero)]
    for layer, mask in layers:
        spread = None
        if parameter.neuron_axis is not None:
            own = np.moveaxis(mask, parameter.neuron_axis, 0).reshape(
                mask.shape[parameter.neuron_axis], -1
            )
            spread = _spread(own.sum(1))
        yield Density(parameter.name, layer, mask.size, int(mask.sum()), spread)


def _spread(counts: npt.NDArray[np.integer]) -> Spread:
    dead = int((counts == 0).sum())
    return Spread(int(counts.min()), float(np.median(counts)), int(counts.max()), dead)
