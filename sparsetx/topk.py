"""Keep exactly k entries of largest magnitude: the operation the whole method rests on.

Both uses of the paper go through here: AbsTopK on activations (per token, along the
width of a site) and the projection of weights after each optimiser step (per matrix).
"Exactly" is meant: ties are broken by lowest index, so the kept set is the same on
every machine and every device count.

How. A float's magnitude, read as an integer, orders as the float does, so the k-th
largest is found by deciding its bits from the top: count the entries at or above a
candidate, keep the bit if at least k are. Counting is all that is asked of the data:
a sharded array exchanges counts and never entries, k may be traced (one program
serves every step of an anneal), and nothing is sorted. Where entries tie at the
threshold, the same bisection over their position finds how many of them fit (a
running sum would gather the array). It stops as soon as every slice is decided; data
without ties costs the second search nothing.

Gradients pass through kept entries only. Threshold and cut carry names, so that
rematerialisation can save them (`REMAT_NAMES`) instead of selecting again.
"""

import functools
import math
import operator
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.ad_checkpoint import checkpoint_name

Axis = int | tuple[int, ...] | None

REMAT_NAMES = ("topk_threshold", "topk_cut")
LANES, UNROLLED = 16, 512  # 16-bit lanes of a CPU's register; entries of 32 of these

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
    masks = select([rank(x) for x in xs], ks, [axis] * len(xs))
    zeros = [jnp.zeros((), x.dtype) for x in xs]
    return [jnp.where(*one) for one in zip(masks, xs, zeros, strict=True)]


def keep_mask(x: jax.Array, k: int | jax.Array, axis: Axis = None) -> jax.Array:
    """True where `keep_largest` keeps."""
    mask: jax.Array = _keep_mask(check_array(x), check_count(k), axis)
    return mask


@functools.partial(jax.jit, static_argnames="axis", inline=True)
def _keep_mask(x: jax.Array, k: int | jax.Array, axis: Axis) -> jax.Array:
    return select([rank(x)], [k], [axis])[0]


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
) -> list[jax.Array]:
    """Masks of the k highest ranks of each array (per slice), ties by lowest index.

    All arrays are decided in one loop, so on many devices a pass costs one exchange
    of a few counts however many matrices there are.
    """
    over = [_normal_axes(r, axis) for r, axis in zip(ranks, axes, strict=True)]
    sizes = [
        math.prod(r.shape[i] for i in axis) for r, axis in zip(ranks, over, strict=True)
    ]
    if max(sizes, default=0) >= 2**31:
        raise ValueError(
            f"wanted at most 2**31 - 1 entries in one selection, got {max(sizes)}: "
            "select per slice (axis=...)"
        )
    wanted = [jnp.clip(k, 0, n) for k, n in zip(ks, sizes, strict=True)]
    everything = [
        jnp.full(_count_shape(r, axis), n, jnp.int32)
        for r, axis, n in zip(ranks, over, sizes, strict=True)
    ]

    def at_or_above(threshold: Sequence[jax.Array]) -> list[jax.Array]:
        return [r >= t.astype(r.dtype) for r, t in zip(ranks, threshold, strict=True)]

    bits = [np.iinfo(r.dtype).bits - 1 for r in ranks]
    threshold, counts = _bisect(at_or_above, over, everything, wanted, bits)
    threshold = [checkpoint_name(t, REMAT_NAMES[0]) for t in threshold]

    def kept(cut: Sequence[jax.Array]) -> list[jax.Array]:
        # At the threshold itself only where the place fits: one comparison.
        return [
            r > (t - _fits(c, r.shape, axis)).astype(r.dtype)
            for r, t, c, axis in zip(ranks, threshold, cut, over, strict=True)
        ]

    cut, _ = _bisect(kept, over, counts, wanted, [n.bit_length() for n in sizes])
    return kept([checkpoint_name(c, REMAT_NAMES[1]) for c in cut])


Masks = Callable[[Sequence[jax.Array]], list[jax.Array]]
Counts = list[jax.Array]
Counter = Callable[[Sequence[jax.Array]], Counts]
Axes = Sequence[tuple[int, ...]]


def _bisect(
    masks: Masks, over: Axes, at_zero: Counts, wanted: Counts, bits: Sequence[int]
) -> tuple[Counts, Counts]:
    """The largest c < 2**bits at which masks(c) count at least `wanted`, and the count.

    The count falls as c rises; `at_zero`, that of masks(0), must be enough. A pass
    reads the data once, however many candidates it is compared with: on an accelerator
    the read is the cost, so a pass tries seven candidates (3 bits). A CPU's cost is
    the comparisons, so it tries one, and adds up 16 bits wide where they suffice
    (`make bench` measures both).
    """

    def counter(narrow: bool) -> Counter:
        def count(candidate: Sequence[jax.Array]) -> Counts:
            return [
                _count(mask, axes, narrow)
                for mask, axes in zip(masks(candidate), over, strict=True)
            ]

        return count

    found: tuple[Counts, Counts] = lax.platform_dependent(
        at_zero,
        wanted,
        cpu=functools.partial(_bisect_loop, counter(True), bits, 1),
        default=functools.partial(_bisect_loop, counter(False), bits, 3),
    )
    return found


def _bisect_loop(
    count: Counter, bits: Sequence[int], step: int, at_zero: Counts, wanted: Counts
) -> tuple[Counts, Counts]:
    passes = -(-max(bits) // step)

    def undecided(state: tuple[jax.Array, Counts, Counts]) -> jax.Array:
        done, _, counts = state
        open_slices = [jnp.any(c != w) for c, w in zip(counts, wanted, strict=True)]
        return (done < passes) & functools.reduce(operator.or_, open_slices)

    def decide(
        state: tuple[jax.Array, Counts, Counts],
    ) -> tuple[jax.Array, Counts, Counts]:
        done, low, counts = state
        left = [jnp.maximum(b - done * step, 0) for b in bits]
        unit = [jnp.left_shift(1, jnp.maximum(p - step, 0)) for p in left]
        base, fewest = low, counts
        for j in range(1, 2**step):
            candidate = [b + j * u for b, u in zip(base, unit, strict=True)]
            found = count(candidate)
            # Past the last bit (j too large for what is left) nothing is decided.
            fits = [
                (n >= w) & (j < jnp.left_shift(1, jnp.minimum(p, step)))
                for n, w, p in zip(found, wanted, left, strict=True)
            ]
            low = [jnp.where(*a) for a in zip(fits, candidate, low, strict=True)]
            fewest = [jnp.where(*a) for a in zip(fits, found, fewest, strict=True)]
        return done + 1, low, fewest

    low = [jnp.zeros_like(n) for n in at_zero]
    _, low, counts = lax.while_loop(undecided, decide, (jnp.int32(0), low, at_zero))
    return low, counts


def _count(mask: jax.Array, axes: tuple[int, ...], narrow: bool) -> jax.Array:
    """How many are true, per slice along the axes."""
    if narrow and axes and mask.shape[axes[-1]] < 2**15:
        mask = _in_lanes(mask, axes[-1])
    return jnp.sum(mask, axis=axes, keepdims=True, dtype=jnp.int32)


def _in_lanes(mask: jax.Array, axis: int) -> jax.Array:
    """Fewer counts along an axis, of which what the mask counts is the sum.

    Along the last, one for each lane of a vector register: to add up whole registers is
    several times as fast as to add up what is in one, if the compiler unrolls the loop
    over them, which it does for a few."""
    wide = mask.shape[axis]
    in_lanes = axis == mask.ndim - 1 and wide % LANES == 0 and wide <= UNROLLED
    split = (wide // LANES, LANES) if in_lanes else (wide, 1)
    parts = mask.reshape(*mask.shape[:axis], *split, *mask.shape[axis + 1 :])
    return jnp.sum(parts, axis=axis, dtype=jnp.int16)


def _count_shape(ranks: jax.Array, axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if i in axes else n for i, n in enumerate(ranks.shape))


def _fits(cut: jax.Array, shape: tuple[int, ...], axes: tuple[int, ...]) -> jax.Array:
    """1 where at least `cut` entries of the same slice stand after, in row-major order.

    Written as a comparison of two arrays that are far smaller than the data, of which
    one changes with the cut: an array of all places would be kept through the loop.
    """
    if not axes:
        return (cut <= 0).astype(jnp.int32)
    *outer, last = axes
    stride = shape[last]
    for axis in reversed(outer):
        cut = cut - stride * _after(shape, axis)
        stride *= shape[axis]
    return (_after(shape, last) >= cut).astype(jnp.int32)


def _after(shape: tuple[int, ...], axis: int) -> jax.Array:
    """How many places follow each one along an axis."""
    along = tuple(n if i == axis else 1 for i, n in enumerate(shape))
    return shape[axis] - 1 - lax.broadcasted_iota(jnp.int32, along, axis)


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
