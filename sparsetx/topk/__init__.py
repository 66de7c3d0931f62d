"""Keep exactly k entries of largest magnitude: the operation the whole method rests on.

Both uses of the paper go through here: AbsTopK on activations (per token, along the
width of a site) and the projection of weights after each optimiser step (per matrix).
"Exactly" is meant: ties are broken by lowest index, so the kept set is the same on
every machine and every device count.

How. A float's magnitude, read as an integer (its *rank*), orders as the float does, so
the k-th largest is found by deciding its bits from the top (`bisection.py`). Counting
is all that is asked of the data: a sharded array exchanges counts and never entries, k
may be traced (one program serves every step of an anneal), and nothing is sorted.

Gradients pass through kept entries only. Threshold and cut carry names, so that
rematerialisation can save them (`REMAT_NAMES`) instead of selecting again.
"""

import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.ad_checkpoint import checkpoint_name

from sparsetx.topk import bisection, pieces
from sparsetx.topk.bisection import Arrays, Axes, Counts

Axis = int | tuple[int, ...] | None
# (x, k) -> threshold and cut of each row: what `bisection.py` finds (see `kernel.py`).
Search = Callable[[jax.Array, int], tuple[jax.Array, jax.Array]]
Find = Callable[[Arrays, Axes, Counts], tuple[Counts, Counts]]

REMAT_NAMES = ("topk_threshold", "topk_cut")

# What a float of each type is read as, and how its infinity reads.
_LAYOUT: dict[jnp.dtype, tuple[type[np.signedinteger], int]] = {
    jnp.dtype("float32"): (np.int32, 0x7F800000),
    jnp.dtype("bfloat16"): (np.int16, 0x7F80),
    jnp.dtype("float16"): (np.int16, 0x7C00),
}


def keep_largest(x: jax.Array, k: int | jax.Array, axis: Axis = None) -> jax.Array:
    """x with all but its k entries of largest magnitude set to zero.

    Args:
      x: float32, bfloat16 or float16, of any shape.
      k: how many to keep; exactly min(k, n) are. An int, or a traced integer. A NaN
        is kept only where fewer than k numbers are left (see `nonfinite`).
      axis: None for the k largest of the whole array; else an axis or several, and
        each slice along them keeps k of its own.
    """
    x = check_array(x)
    kept: jax.Array = jnp.where(keep_mask(x, k, axis), x, jnp.zeros((), x.dtype))
    return kept


def keep_largest_each(
    xs: Sequence[jax.Array], ks: Sequence[int | jax.Array], axis: Axis = None
) -> list[jax.Array]:
    """`keep_largest` of several arrays, decided together."""
    xs, ks = [check_array(x) for x in xs], [check_count(k) for k in ks]
    masks = _masks(xs, ks, [axis] * len(xs))
    zeros = [jnp.zeros((), x.dtype) for x in xs]
    return [jnp.where(*one) for one in zip(masks, xs, zeros, strict=True)]


def keep_largest_rows(
    xs: Sequence[jax.Array], ks: Sequence[int], search: Search | None = None
) -> list[jax.Array]:
    """`keep_largest_each` of rows (the last axis), with another search if one is given:
    it must lead to the same mask."""
    if search is None:
        return keep_largest_each(xs, ks, -1)
    return [_rows_kept(check_array(x), k, search) for x, k in zip(xs, ks, strict=True)]


def _rows_kept(x: jax.Array, k: int, search: Search) -> jax.Array:
    found = search(lax.stop_gradient(x), k)
    threshold, cut = (
        checkpoint_name(y, name) for y, name in zip(found, REMAT_NAMES, strict=True)
    )
    over = [(x.ndim - 1,)]
    (mask,) = bisection.kept([rank(x)], over, [threshold], [cut])
    return jnp.where(mask, x, jnp.zeros((), x.dtype))


def keep_mask(x: jax.Array, k: int | jax.Array, axis: Axis = None) -> jax.Array:
    """True where `keep_largest` keeps."""
    mask: jax.Array = _keep_mask(check_array(x), check_count(k), axis)
    return mask


@functools.partial(jax.jit, static_argnames="axis", inline=True)
def _keep_mask(x: jax.Array, k: int | jax.Array, axis: Axis) -> jax.Array:
    return _masks([x], [k], [axis])[0]


def nonfinite(x: jax.Array) -> jax.Array:
    """How many entries are NaN or infinite. Selection itself never looks."""
    return jnp.sum(~jnp.isfinite(x), dtype=jnp.int32)


def rank(x: jax.Array) -> jax.Array:
    """Integers that order as |x| does: 0 for NaN, 1 for zero, and on up to infinity."""
    integer, infinity = _LAYOUT[x.dtype]
    bits = lax.bitcast_convert_type(lax.stop_gradient(x), integer)
    magnitude = bits & jnp.array(np.iinfo(integer).max, integer)
    return jnp.where(magnitude > infinity, 0, magnitude + 1).astype(integer)


def above_all(ranks: jax.Array) -> jax.Array:
    """A rank above infinity's: an entry that is given it is kept before any other."""
    return jnp.array(np.iinfo(ranks.dtype).max - 1, ranks.dtype)


def select(
    ranks: Sequence[jax.Array],
    ks: Sequence[int | jax.Array],
    axes: Sequence[Axis],
    short: bool = False,
) -> list[jax.Array]:
    """Masks of the k highest ranks of each array (per slice), ties by lowest index.
    `short`: for what seldom runs, a program that compiles faster.

    All arrays are decided in one loop, so on many devices a pass costs one exchange
    of a few counts however many matrices there are.
    """
    find = bisection.ends_by_bits if short else _ends_of_ranks
    return _select(ranks, ks, axes, find)


def _ends_of_ranks(ranks: Arrays, over: Axes, wanted: Counts) -> tuple[Counts, Counts]:
    return bisection.ends(ranks, over, wanted, ranks, lambda r: r)


def _masks(xs: Arrays, ks: Sequence[int | jax.Array], axes: Sequence[Axis]) -> Counts:
    """`select` of the ranks of arrays."""
    floats = [lax.stop_gradient(x) for x in xs]
    find = functools.partial(bisection.ends, xs=floats, rank=rank)
    return _select([rank(x) for x in xs], ks, axes, find)


def _select(
    ranks: Arrays, ks: Sequence[int | jax.Array], axes: Sequence[Axis], find: Find
) -> Counts:
    over = [_normal_axes(r, axis) for r, axis in zip(ranks, axes, strict=True)]
    sizes = [
        math.prod(r.shape[i] for i in axis) for r, axis in zip(ranks, over, strict=True)
    ]
    if max(sizes, default=0) >= 2**31:
        raise ValueError(
            f"wanted at most 2**31 - 1 entries in one selection, got {max(sizes)}: "
            "select per slice (axis=...)"
        )
    wanted = [
        jnp.broadcast_to(jnp.clip(k, 0, n), pieces.count_shape(r, axis))
        for r, axis, k, n in zip(ranks, over, ks, sizes, strict=True)
    ]
    threshold, cut = find(ranks, over, wanted)
    threshold = [checkpoint_name(t, REMAT_NAMES[0]) for t in threshold]
    cut = [checkpoint_name(c, REMAT_NAMES[1]) for c in cut]
    return bisection.kept(ranks, over, threshold, cut)


def _normal_axes(x: jax.Array, axis: Axis) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    outside = [a for a in axes if not -x.ndim <= a < x.ndim]
    normal = tuple(sorted({a % x.ndim for a in axes if a not in outside}))
    if outside or len(normal) != len(axes):
        raise ValueError(
            f"wanted distinct axes of an array of shape {x.shape}, got axis={axis}"
        )
    return normal


def check_array(x: jax.Array) -> jax.Array:
    """x as an array of a type that can be ranked, or a ValueError that says why not."""
    x = jnp.asarray(x)
    if x.dtype not in _LAYOUT:
        known = ", ".join(str(dtype) for dtype in _LAYOUT)
        raise ValueError(f"wanted an array of {known} to select from, got {x.dtype}")
    return x


def check_count(k: int | jax.Array) -> jax.Array:
    """k as an integer array, or a ValueError: it is traced from here on."""
    count = jnp.asarray(k)
    if count.dtype == bool or not jnp.issubdtype(count.dtype, jnp.integer):
        raise ValueError(f"wanted k, how many to keep, as an integer; got {k!r}")
    if not isinstance(count, jax.core.Tracer) and bool((count < 0).any()):
        raise ValueError(f"wanted k, how many to keep, 0 or more; got {k}")
    return count.astype(jnp.int32)
