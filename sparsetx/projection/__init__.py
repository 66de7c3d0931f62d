"""Which weights are zero: the projection after each optimiser step (section 2.2).

The nearest array with k nonzero entries keeps the k of largest magnitude. Under the
paper's minimum, each neuron's (or channel's) own `alive` largest weights are kept
first, and count towards k: they are ranked above all others, so one selection serves
and its budget is always exact.
"""

import dataclasses
import functools
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from sparsetx import topk
from sparsetx.config import RunConfig
from sparsetx.model import parameters
from sparsetx.model.parameters import Parameter
from sparsetx.projection import interpolation, minimum_alive, schedules
from sparsetx.projection.wanted import Wanted


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
    wanted = [
        Wanted(k, 0 if axis is None else alive, axis, layers)
        for k, axis, layers in zip(ks, neuron_axes, stacked, strict=True)
    ]
    found = list(arrays)
    quick = [interpolation.fits(w, one) for w, one in zip(arrays, wanted, strict=True)]
    for kind, project in ((True, _on_this_platform), (False, by_bisection)):
        of = [i for i, q in enumerate(quick) if q == kind]
        if of:
            some = project([arrays[i] for i in of], [wanted[i] for i in of])
            for i, w in zip(of, some, strict=True):
                found[i] = w
    return found


def _on_this_platform(arrays: list[jax.Array], wanted: list[Wanted]) -> list[jax.Array]:
    """Matrices that are all on one device: on a CPU there is a faster way."""
    ks = [jnp.asarray(one.k) for one in wanted]

    def told(ks: list[jax.Array]) -> list[Wanted]:
        return [dataclasses.replace(w, k=k) for w, k in zip(wanted, ks, strict=True)]

    def on_a_cpu(arrays: list[jax.Array], ks: list[jax.Array]) -> list[jax.Array]:
        ends = [interpolation.ends(w, o) for w, o in zip(arrays, told(ks), strict=True)]
        settled = functools.reduce(operator.and_, (e.settled for e in ends))
        found: list[jax.Array] = lax.cond(
            settled,
            lambda: [
                interpolation.kept(*one)
                for one in zip(arrays, ends, wanted, strict=True)
            ],
            lambda: by_bisection(arrays, told(ks), short=True),
        )
        return found

    def elsewhere(arrays: list[jax.Array], ks: list[jax.Array]) -> list[jax.Array]:
        return by_bisection(arrays, told(ks))

    projected: list[jax.Array] = lax.platform_dependent(
        arrays, ks, cpu=on_a_cpu, default=elsewhere
    )
    return projected


def by_bisection(
    arrays: list[jax.Array], wanted: list[Wanted], short: bool = False
) -> list[jax.Array]:
    """All arrays in one loop over the bits of their ranks; `short` as in topk."""
    ranks = minimum_alive.lifted([topk.rank(w) for w in arrays], wanted)
    axes = [
        tuple(range(one.stacked, r.ndim)) for r, one in zip(ranks, wanted, strict=True)
    ]
    masks = topk.select(ranks, [one.k for one in wanted], axes, short)
    return [
        jnp.where(mask, w, jnp.zeros((), w.dtype))
        for mask, w in zip(masks, arrays, strict=True)
    ]
