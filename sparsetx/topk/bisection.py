"""Where a selection ends: thresholds and cuts, found by counting alone.

A rank's bits are decided from the top: count the entries at or above a candidate, keep
the bit if at least as many as wanted are. Where entries tie at the threshold, the same
bisection over their position finds how many of them fit (a running sum would gather a
sharded array). A search stops as soon as every slice is decided; data without ties
costs the second one nothing.

What is cheap depends on the machine (`make bench` measures all of it). On an
accelerator the cost of a pass is to read the data, so a pass compares it with seven
candidates and decides three bits. On a CPU the cost is the comparisons, so a pass has
one, 16 bits wide: the upper halves of ranks are decided first, then, among entries that
have the upper half of the threshold, the lower ones. And the compiler adds up whole
vector registers where a reduction is over a few of them; so a long row is counted in
pieces, and the time for an entry does not grow with the width of its row.
"""

import functools
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType

LANES = 32  # 16-bit counts side by side in the registers that a CPU adds up
PIECE = 1024  # entries of a row that are counted together: 32 registers of lanes
HALF = 16  # bits

Arrays = Sequence[jax.Array]
Axes = Sequence[tuple[int, ...]]
Counts = list[jax.Array]
Masks = Callable[[Arrays], list[jax.Array]]
Counter = Callable[[Arrays], Counts]


def thresholds(ranks: Arrays, over: Axes, wanted: Counts) -> tuple[Counts, Counts]:
    """The largest rank that at least `wanted` entries reach, per slice, and how many
    do. All arrays are decided in one loop."""
    everything = [
        jnp.full_like(w, r.size // max(w.size, 1))
        for r, w in zip(ranks, wanted, strict=True)
    ]
    found: tuple[Counts, Counts] = lax.platform_dependent(
        list(ranks),
        everything,
        wanted,
        cpu=functools.partial(_by_halves, over),
        default=functools.partial(_at_once, over),
    )
    return found


def cuts(
    ranks: Arrays, over: Axes, threshold: Counts, counts: Counts, wanted: Counts
) -> Counts:
    """How many places must follow an entry at the threshold for it to be kept."""

    def masks(cut: Arrays) -> list[jax.Array]:
        return kept(ranks, over, threshold, cut)

    sizes = [r.size // max(w.size, 1) for r, w in zip(ranks, wanted, strict=True)]
    bits = [n.bit_length() for n in sizes]

    def search(step: int, narrow: bool, counts: Counts, wanted: Counts) -> Counts:
        def count(candidate: Arrays) -> Counts:
            found = zip(masks(candidate), over, strict=True)
            return [_count(mask, axes, narrow) for mask, axes in found]

        return _bisect(count, bits, step, counts, wanted)[0]

    found: Counts = lax.platform_dependent(
        counts,
        wanted,
        cpu=functools.partial(search, 1, True),
        default=functools.partial(search, 3, False),
    )
    return found


def kept(ranks: Arrays, over: Axes, threshold: Arrays, cut: Arrays) -> list[jax.Array]:
    """Above the threshold, and at it where the place fits: one comparison."""
    return [
        r > (t - _fits(c, r.shape, axis)).astype(r.dtype)
        for r, t, c, axis in zip(ranks, threshold, cut, over, strict=True)
    ]


def _at_once(
    over: Axes, ranks: Counts, everything: Counts, wanted: Counts, step: int = 3
) -> tuple[Counts, Counts]:
    """All bits in one search, some at a time."""

    def count(candidate: Arrays) -> Counts:
        return [
            _count(r >= c.astype(r.dtype), axes, False)
            for r, c, axes in zip(ranks, candidate, over, strict=True)
        ]

    bits = [np.iinfo(r.dtype).bits - 1 for r in ranks]
    return _bisect(count, bits, step, everything, wanted)


def _by_halves(
    over: Axes, ranks: Counts, everything: Counts, wanted: Counts
) -> tuple[Counts, Counts]:
    """The upper 15 bits of all ranks, then the lower 16 of those that have them."""
    whole = [_Pieces.of(r, axes) for r, axes in zip(ranks, over, strict=True)]
    wide = [np.iinfo(r.dtype).bits > HALF for r in ranks]
    upper = [
        (p.entries >> HALF if w else p.entries).astype(jnp.int16)
        for p, w in zip(whole, wide, strict=True)
    ]
    many = [p.repeated(n) for p, n in zip(whole, everything, strict=True)]
    goal = [p.repeated(n) for p, n in zip(whole, wanted, strict=True)]

    def search(keys: Arrays, of: Sequence[int], bits: int, first: int) -> None:
        """Decide more bits of some of the arrays; keys of 0 read as `first`."""

        def count(candidate: Arrays) -> Counts:
            return [
                whole[i].count(k >= (c + first).astype(jnp.int16))
                for i, k, c in zip(of, keys, candidate, strict=True)
            ]

        left = [many[i] for i in of], [goal[i] for i in of]
        low, fewest = _bisect(count, [bits] * len(of), 1, *left)
        for i, c, n in zip(of, low, fewest, strict=True):
            found[i], many[i] = (found[i] << bits) + c, n

    found: Counts = [jnp.zeros_like(n) for n in many]
    search(upper, range(len(ranks)), HALF - 1, 0)
    halved = [i for i, w in enumerate(wide) if w]
    if halved:
        lower = [_lower_halves(whole[i].entries, upper[i], found[i]) for i in halved]
        search(lower, halved, HALF, -(2 ** (HALF - 1)))
    return (
        [p.once(c) for p, c in zip(whole, found, strict=True)],
        [p.once(n) for p, n in zip(whole, many, strict=True)],
    )


@dataclass(frozen=True)
class _Pieces:
    """An array as rows of one piece each, [slice · piece, entry], where its layout
    allows. Numbers for slices are repeated for each of their pieces: to spread them
    where they are used would take several times as long as to count."""

    entries: jax.Array
    shape: tuple[int, ...]  # of one number for each slice
    axes: tuple[int, ...]  # of `entries`, that make up a slice
    each: int = 0  # pieces of a slice; 0: it is as it was

    @staticmethod
    def of(ranks: jax.Array, axes: tuple[int, ...]) -> "_Pieces":
        shape = count_shape(ranks, axes)
        slices = max(math.prod(shape), 1)
        long = ranks.size // slices
        trailing = axes == tuple(range(ranks.ndim - len(axes), ranks.ndim))
        if not trailing or not _on_one_device() or long < LANES:
            return _Pieces(ranks, shape, axes)
        wide = _piece(long)
        each = -(-long // wide)
        rows = ranks.reshape(slices, long)
        rows = jnp.pad(rows, ((0, 0), (0, each * wide - long)), constant_values=-1)
        return _Pieces(rows.reshape(slices * each, wide), shape, (1,), each)

    def repeated(self, number: jax.Array) -> jax.Array:
        """A number for each slice, as one for each piece."""
        if not self.each:
            return number
        wide = (math.prod(self.shape), self.each)
        return jnp.broadcast_to(number.reshape(-1, 1), wide).reshape(-1, 1)

    def once(self, number: jax.Array) -> jax.Array:
        """The reverse."""
        if not self.each:
            return number
        return number.reshape(-1, self.each)[:, :1].reshape(self.shape)

    def count(self, mask: jax.Array) -> jax.Array:
        """How many are true in each slice, repeated for its pieces."""
        count = _count(mask, self.axes, True)
        if self.each < 2:
            return count
        by_slice = jnp.sum(count.reshape(-1, self.each), 1, keepdims=True)
        return self.repeated(by_slice)


def _on_one_device() -> bool:
    """Whether an array certainly is: to lay a sharded one out anew would gather it."""
    kinds = jax.sharding.get_abstract_mesh().axis_types
    inside_shard_map = bool(kinds) and all(k == AxisType.Manual for k in kinds)
    return inside_shard_map or jax.device_count() == 1


def _piece(long: int) -> int:
    """Entries of a piece: the most that divides a slice into whole registers."""
    if long <= PIECE:
        return -(-long // LANES) * LANES
    fitting = range(PIECE, PIECE // 8, -LANES)
    return next((n for n in fitting if long % n == 0), PIECE)


def _lower_halves(rank: jax.Array, upper: jax.Array, top: jax.Array) -> jax.Array:
    """Of entries whose upper half is the threshold's, their lower half, moved into the
    range of signed integers; of others, what is above or below all of these."""
    least, most = -(2 ** (HALF - 1)), 2 ** (HALF - 1) - 1
    top = top.astype(jnp.int16)
    lower = (rank & 0xFFFF) + least
    return jnp.where(upper > top, most, jnp.where(upper < top, least, lower)).astype(
        jnp.int16
    )


def _bisect(
    count: Counter, bits: Sequence[int], step: int, at_zero: Counts, wanted: Counts
) -> tuple[Counts, Counts]:
    """The largest c < 2**bits that at least `wanted` reach, and how many do.

    The count falls as c rises; `at_zero`, that of 0, must be enough. A pass decides
    `step` bits by 2**step - 1 candidates.
    """
    passes = -(-max(bits, default=0) // step)

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
    """How many are true, per slice along the axes. `narrow`: first 16 bits wide."""
    if narrow and axes and mask.shape[axes[-1]] < 2**15:
        mask = _in_lanes(mask, axes[-1])
    return jnp.sum(mask, axis=axes, keepdims=True, dtype=jnp.int32)


def _in_lanes(mask: jax.Array, axis: int) -> jax.Array:
    """Fewer counts along an axis, of which what the mask counts is the sum: along the
    last, one for each lane of vector registers."""
    wide = mask.shape[axis]
    lanes = next(n for n in (LANES, LANES // 2, 1) if wide % n == 0)
    in_lanes = axis == mask.ndim - 1 and lanes > 1 and wide <= PIECE
    split = (wide // lanes, lanes) if in_lanes else (wide, 1)
    parts = mask.reshape(*mask.shape[:axis], *split, *mask.shape[axis + 1 :])
    return jnp.sum(parts, axis=axis, dtype=jnp.int16)


def count_shape(ranks: jax.Array, axes: tuple[int, ...]) -> tuple[int, ...]:
    """Of one number for each slice."""
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
