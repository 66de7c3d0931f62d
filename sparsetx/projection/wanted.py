"""What a projection shall leave of one array."""

from dataclasses import dataclass

import jax


@dataclass(frozen=True)
class Wanted:
    """Of a stacked array, axis 0 numbers layers, and all of this is said of each."""

    k: int | jax.Array  # entries, exactly
    alive: int = 0  # of them for every neuron, at least
    neuron_axis: int | None = None  # of a layer; None: no minimum
    stacked: bool = False
