"""Which weights are zero: the projection after each optimiser step (section 2.2).

The nearest array with k nonzero entries keeps the k of largest magnitude. Under the
paper's minimum, each neuron's (or channel's) own `alive` largest weights are kept
first, and count towards k: they are ranked above all others, so one selection serves
and its budget is always exact.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from sparsetx import topk
from sparsetx.config import RunConfig
from sparsetx.model import parameters
from sparsetx.model.parameters import Parameter
from sparsetx.projection import minimum_alive, schedules


@dataclass(frozen=True)
class Budget:
    """How many entries of a parameter (of each layer's) are left in the end."""

    parameter: Parameter
    fraction: float

    @property
    def size(self) -> int:
        return math.prod(self.parameter.shape)

    @property
    def final(self) -> int:
        return int(self.fraction * self.size)


def budgets(run: RunConfig) -> list[Budget]:
    """The parameters that become sparse. A kept fraction of 1 is no budget at all."""
    block = run.sparsity.kept_block(run.model.d_model)
    embed = run.sparsity.kept_embed(run.model.d_model)
    fractions = {"block": block, "embed": embed}
    if run.sparsity.biases:
        fractions["bias"] = block
    return [
        Budget(parameter, fractions[parameter.sparse])
        for parameter in parameters.table(run.model)
        if parameter.sparse in fractions and fractions[parameter.sparse] < 1
    ]


def kept_now(run: RunConfig, budget: Budget, t: jax.Array) -> jax.Array:
    """Entries kept at progress t. The final count is exact, not a rounded product."""
    schedule = schedules.kept_fraction
    if budget.parameter.sparse == "embed":
        schedule = schedules.kept_embedding_fraction
    fraction = schedule(run.sparsity, budget.fraction, t)
    annealing = jnp.floor(fraction * budget.size).astype(jnp.int32)
    arrived = t >= run.sparsity.anneal_end
    return jnp.where(arrived, budget.final, jnp.maximum(annealing, budget.final))


def kept_share(run: RunConfig, t: jax.Array) -> jax.Array:
    """The kept fraction of a block's matrices at progress t, for people to watch."""
    final = run.sparsity.kept_block(run.model.d_model)
    return schedules.kept_fraction(run.sparsity, final, t)


def project(run: RunConfig, params: Mapping[str, Any], t: jax.Array) -> dict[str, Any]:
    """The parameters, the sparse ones with only their budget of progress t left."""
    found = budgets(run)
    if not found:
        return dict(params)
    leaves = dict(parameters.leaves(params))
    projected = project_all(
        [leaves[b.parameter.path] for b in found],
        [kept_now(run, b, t) for b in found],
        run.sparsity.alive,
        [b.parameter.neuron_axis for b in found],
        [b.parameter.stacked for b in found],
    )
    paths = (b.parameter.path for b in found)
    return parameters.replaced(params, dict(zip(paths, projected, strict=True)))


def project_matrix(
    w: jax.Array, k: int | jax.Array, alive: int = 0, neuron_axis: int = 0
) -> jax.Array:
    """w with all but k entries set to zero, exactly min(k, n) kept.

    Args:
      w: an array; a neuron's own weights are its slice at one place of `neuron_axis`.
      k: entries to keep, an int or a traced integer.
      alive: kept for every neuron, its largest, and counted in k. If a traced k is too
        small for all of them, neurons of low index come first.
      neuron_axis: the axis that numbers neurons or channels.
    """
    w, k = topk.check_array(w), topk.check_count(k)
    if not -w.ndim <= neuron_axis < w.ndim:
        raise ValueError(
            f"wanted neuron_axis to be an axis of an array of shape {w.shape}, "
            f"got {neuron_axis}"
        )
    neuron_axis %= w.ndim
    neurons = w.shape[neuron_axis]
    own = w.size // max(neurons, 1)
    needed = min(alive, own) * neurons
    if not isinstance(k, jax.core.Tracer) and int(k) < min(needed, w.size):
        raise ValueError(
            f"alive = {alive} for each of {neurons} neurons needs {needed} entries, "
            f"but k = {int(k)}: wanted alive <= {int(k) // neurons}, or a larger k"
        )
    return project_all([w], [k], alive, [neuron_axis])[0]


def project_all(
    arrays: Sequence[jax.Array],
    ks: Sequence[int | jax.Array],
    alive: int,
    neuron_axes: Sequence[int | None],
    stacked: Sequence[bool] | None = None,
) -> list[jax.Array]:
    """Several projections, decided together. A stacked array's axis 0 numbers layers,
    each with a budget of k of its own; its neuron axis is that of one layer. A neuron
    axis of None keeps no minimum."""
    stacked = [False] * len(arrays) if stacked is None else stacked
    ranks = [topk.rank(w) for w in arrays]
    ranks = minimum_alive.lifted(ranks, alive, neuron_axes, stacked)
    axes = [tuple(range(s, r.ndim)) for r, s in zip(ranks, stacked, strict=True)]
    masks = topk.select(ranks, ks, axes)
    return [
        jnp.where(mask, w, jnp.zeros((), w.dtype))
        for mask, w in zip(masks, arrays, strict=True)
    ]
