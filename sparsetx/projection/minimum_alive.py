"""Each neuron's own few largest weights, which a projection keeps before any others.

A few are found as maxima, one after the other: two readings of the data for each, where
a bisection (topk.py) takes a dozen. And where a neuron's weights lie on one device, as
a rule, nothing is exchanged: a bisection's loop would ask all devices, pass by pass,
whether every neuron is decided.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sparsetx import topk
from sparsetx.projection.wanted import Wanted

FEW = 6  # of more, a bisection takes fewer readings


def lifted(ranks: Sequence[jax.Array], wanted: Sequence[Wanted]) -> list[jax.Array]:
    """Ranks in which each neuron's `alive` largest entries stand above all others."""
    found = list(ranks)
    for i, (rank, one) in enumerate(zip(ranks, wanted, strict=True)):
        if one.neuron_axis is not None and one.alive > 0:
            layers = int(one.stacked)
            neurons = one.neuron_axis + layers
            own = tuple(a for a in range(layers, rank.ndim) if a != neurons)
            few = largest if one.alive <= FEW else _bisected
            kept = few(rank, one.alive, own)
            found[i] = jnp.where(kept, topk.above_all(rank), rank)
    return found


def largest(ranks: jax.Array, count: int, axes: tuple[int, ...]) -> jax.Array:
    """True at the `count` highest ranks along the axes, ties by lowest index."""
    count = min(count, math.prod(ranks.shape[axis] for axis in axes))
    if not ranks.size:
        return jnp.zeros(ranks.shape, bool)
    place = _place(ranks.shape, axes)
    beyond = jnp.int32(np.iinfo(jnp.int32).max)

    def after(last: tuple[jax.Array, jax.Array]) -> jax.Array:
        """What comes after the last one found, in the order of rank and place."""
        top, at = last
        return (ranks < top) | ((ranks == top) & (place > at))

    def following(
        _: int, last: tuple[jax.Array, jax.Array]
    ) -> tuple[jax.Array, jax.Array]:
        left = after(last)
        top = jnp.max(jnp.where(left, ranks, -1), axes, keepdims=True)
        here = jnp.where(left & (ranks == top), place, beyond)
        return top, jnp.min(here, axes, keepdims=True)

    shape = tuple(1 if i in axes else n for i, n in enumerate(ranks.shape))
    first = jnp.full(shape, np.iinfo(ranks.dtype).max, ranks.dtype)
    none = first, jnp.full(shape, beyond)
    return ~after(lax.fori_loop(0, count, following, none))


def _bisected(ranks: jax.Array, count: int, axes: tuple[int, ...]) -> jax.Array:
    return topk.select([ranks], [count], [axes])[0]


def _place(shape: tuple[int, ...], axes: tuple[int, ...]) -> jax.Array:
    """The place of each entry in its slice, row by row."""
    place, stride = jnp.zeros((), jnp.int32), 1
    for axis in reversed(axes):
        along = tuple(n if i == axis else 1 for i, n in enumerate(shape))
        place += stride * lax.broadcasted_iota(jnp.int32, along, axis)
        stride *= shape[axis]
    return place
