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
pieces, and the time for an entry does not grow with the width of its row. Rows are
decided in blocks (`blocks.py`).
"""

import functools
import operator
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sparsetx.topk import blocks, pieces
from sparsetx.topk.pieces import Pieces

HALF = 16  # bits

Arrays = Sequence[jax.Array]
Axes = Sequence[tuple[int, ...]]
Counts = list[jax.Array]
Counter = Callable[[Arrays], Counts]


def ends(
    ranks: Arrays, over: Axes, wanted: Counts, xs: Arrays, rank: blocks.Rank
) -> tuple[Counts, Counts]:
    """Per slice: its threshold, the largest rank that at least `wanted` entries reach;
    and its cut, how many places must follow an entry at the threshold for it to be
    kept. All arrays are decided in one loop. `xs`: arrays whose `rank` is `ranks`,
    for a machine that does better to rank some rows at a time."""
    each = blocks.rows_of_each(xs, over, wanted)

    def on_a_cpu(ranks: Counts, wanted: Counts, xs: Counts) -> tuple[Counts, Counts]:
        if each:
            return blocks.ends(_on_a_cpu, rank, each, xs, wanted)
        return _on_a_cpu(over, ranks, wanted)

    def elsewhere(ranks: Counts, wanted: Counts, _: Counts) -> tuple[Counts, Counts]:
        return _elsewhere(over, ranks, wanted)

    found: tuple[Counts, Counts] = lax.platform_dependent(
        list(ranks), wanted, list(xs), cpu=on_a_cpu, default=elsewhere
    )
    return found


def ends_by_bits(ranks: Arrays, over: Axes, wanted: Counts) -> tuple[Counts, Counts]:
    """The same by a program that takes longer to run, and not so long to compile."""
    return _elsewhere(over, list(ranks), wanted, 1)


def _elsewhere(
    over: Axes, ranks: Counts, wanted: Counts, step: int = 3
) -> tuple[Counts, Counts]:
    threshold, counts = _at_once(over, ranks, _sizes(ranks, wanted), wanted, step)
    return threshold, _cuts(over, ranks, threshold, counts, wanted, step, False)


def _on_a_cpu(over: Axes, ranks: Counts, wanted: Counts) -> tuple[Counts, Counts]:
    threshold, counts = _by_halves(over, ranks, _sizes(ranks, wanted), wanted)
    whole = [Pieces.of(r, axes) for r, axes in zip(ranks, over, strict=True)]
    if all(p.each and p.long <= 2**HALF for p in whole):
        return threshold, _by_position(whole, threshold, counts, wanted)
    return threshold, _cuts(over, ranks, threshold, counts, wanted, 1, True)


def _sizes(ranks: Arrays, wanted: Counts) -> Counts:
    """Entries of a slice, for each slice."""
    return [
        jnp.full_like(w, r.size // max(w.size, 1))
        for r, w in zip(ranks, wanted, strict=True)
    ]


def _cuts(
    over: Axes,
    ranks: Arrays,
    threshold: Counts,
    counts: Counts,
    wanted: Counts,
    step: int,
    narrow: bool,
) -> Counts:
    def count(candidate: Arrays) -> Counts:
        masks = zip(kept(ranks, over, threshold, candidate), over, strict=True)
        return [pieces.count(mask, axes, narrow) for mask, axes in masks]

    sizes = [r.size // max(w.size, 1) for r, w in zip(ranks, wanted, strict=True)]
    bits = [n.bit_length() for n in sizes]
    return _bisect(count, bits, step, counts, wanted)[0]


def _by_position(
    whole: Sequence[Pieces], threshold: Counts, counts: Counts, wanted: Counts
) -> Counts:
    """The same cuts where a place fits into 16 bits. Keys are made once for all passes,
    and only if there are ties: a loop of at most one turn is a condition that vmap
    keeps."""
    goal = [p.repeated(w) for p, w in zip(whole, wanted, strict=True)]
    many = [p.repeated(c) for p, c in zip(whole, counts, strict=True)]

    def undecided(state: tuple[jax.Array, Counts]) -> jax.Array:
        ties = [jnp.any(m != g) for m, g in zip(many, goal, strict=True)]
        return (state[0] < 1) & functools.reduce(operator.or_, ties)

    def decide(state: tuple[jax.Array, Counts]) -> tuple[jax.Array, Counts]:
        least, most = -(2 ** (HALF - 1)), 2 ** (HALF - 1) - 1
        keys = []
        for p, t in zip(whole, threshold, strict=True):
            limit = p.repeated(t).astype(p.entries.dtype)
            tied = jnp.where(p.entries == limit, p.after() + least, least)
            keys.append(jnp.where(p.entries > limit, most, tied).astype(jnp.int16))

        def count(candidate: Arrays) -> Counts:
            return [
                p.count(k >= (c + least).astype(jnp.int16))
                for p, k, c in zip(whole, keys, candidate, strict=True)
            ]

        bits = [(p.long - 1).bit_length() for p in whole]
        return state[0] + 1, _bisect(count, bits, 1, many, goal)[0]

    nothing = [jnp.zeros_like(g) for g in goal]
    _, found = lax.while_loop(undecided, decide, (jnp.int32(0), nothing))
    return [p.once(c) for p, c in zip(whole, found, strict=True)]


def kept(ranks: Arrays, over: Axes, threshold: Arrays, cut: Arrays) -> list[jax.Array]:
    """Above the threshold, and at it where the place fits: one comparison."""
    return [
        r > (t - _fits(c, r.shape, axis)).astype(r.dtype)
        for r, t, c, axis in zip(ranks, threshold, cut, over, strict=True)
    ]


def _at_once(
    over: Axes, ranks: Counts, everything: Counts, wanted: Counts, step: int
) -> tuple[Counts, Counts]:
    """All bits in one search, some at a time."""

    def count(candidate: Arrays) -> Counts:
        return [
            pieces.count(r >= c.astype(r.dtype), axes, False)
            for r, c, axes in zip(ranks, candidate, over, strict=True)
        ]

    bits = [np.iinfo(r.dtype).bits - 1 for r in ranks]
    return _bisect(count, bits, step, everything, wanted)


def _by_halves(
    over: Axes, ranks: Counts, everything: Counts, wanted: Counts
) -> tuple[Counts, Counts]:
    """The upper 15 bits of all ranks, then the lower 16 of those that have them."""
    whole = [Pieces.of(r, axes) for r, axes in zip(ranks, over, strict=True)]
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
