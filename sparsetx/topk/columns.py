"""`keep_largest` along the middle axis of [n, c, t], where t is long: the columns.

The same choice as everywhere, for float32 on a CPU, in half of the time: where
neighbours in memory belong to different selections, counts of all of them are added up
as vectors, eight entries of each before any sum is written down. The search starts
near its end: no k entries can all exceed the root of their mean square, so the k-th
largest is below √(Σx²/k), and seldom by a factor above 16.

Where entries tie for the last places, `topk.keep_largest` decides.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from sparsetx import topk

TOGETHER = 8  # entries of a column that are counted in registers
OCTAVES = 4  # below the bound, where the threshold is looked for first
HALF = 16  # bits
ZERO = 1  # its rank

Count = Callable[[jax.Array], jax.Array]
# Per column: a candidate that at least k entries reach, one that fewer do, and how many
# reach the first.
Bracket = tuple[jax.Array, jax.Array, jax.Array]


def keep_largest(x_NCT: jax.Array, k: int) -> jax.Array:
    """x with all but the k entries of largest magnitude of every column set to zero."""
    if k >= x_NCT.shape[1]:
        return x_NCT
    rank = topk.rank(x_NCT)
    upper = (rank >> HALF).astype(jnp.int16)
    many_N1T = jnp.full((x_NCT.shape[0], 1, x_NCT.shape[2]), x_NCT.shape[1])
    zero_N1T = jnp.zeros_like(many_N1T)
    first = _first(x_NCT, upper, k, many_N1T)
    top, _, count = _narrowed(lambda c: _reach(upper, c), first, k)
    lower = _lower(rank, upper, top.astype(jnp.int16))
    rest = zero_N1T, zero_N1T + 2**HALF, count
    low, _, count = _narrowed(lambda c: _reach(lower, c - 2 ** (HALF - 1)), rest, k)
    threshold = (top << HALF) + low
    # At the rank of zero, whatever ties is zero already.
    tied = jnp.any((count != k) & (threshold != ZERO))
    chosen: jax.Array = lax.cond(
        tied,
        lambda: topk.keep_largest(x_NCT, k, 1),
        lambda: jnp.where(rank >= threshold, x_NCT, 0.0),
    )
    return chosen


def _first(x_NCT: jax.Array, upper: jax.Array, k: int, many_N1T: jax.Array) -> Bracket:
    """Upper halves of ranks between which the threshold lies: near the bound, if at
    least k entries reach that part; else anywhere (a NaN has no bound)."""
    square_N1T = jnp.sum(jnp.square(x_NCT), 1, keepdims=True) * (1.001 / max(k, 1))
    bound_N1T = lax.bitcast_convert_type(jnp.sqrt(square_N1T), jnp.int32) >> HALF
    finite = jnp.isfinite(square_N1T)
    above = jnp.where(finite, bound_N1T + 1, 2 ** (HALF - 1) - 1)
    near = jnp.maximum(above - OCTAVES * 2**7, 0)
    count = _reach(upper, near)
    enough = finite & (count >= k)
    low, count = jnp.where(enough, near, 0), jnp.where(enough, count, many_N1T)
    return low, jnp.where(enough | ~finite, above, near), count


def _lower(rank: jax.Array, upper: jax.Array, top: jax.Array) -> jax.Array:
    """Of entries with the threshold's upper half, the lower, as a signed integer; of
    others, what is above or below all of these."""
    most = 2 ** (HALF - 1) - 1
    lower = (rank & 0xFFFF) - most - 1
    beside = jnp.where(upper < top, -most - 1, lower)
    return jnp.where(upper > top, most, beside).astype(jnp.int16)


def _narrowed(reach: Count, bracket: Bracket, k: int) -> Bracket:
    """The bracket closed, or so narrow that exactly k entries reach its lower end."""

    def unsettled(bracket: Bracket) -> jax.Array:
        low, above, count = bracket
        return (count != k) & (above - low > 1)

    def halve(bracket: Bracket) -> Bracket:
        low, above, count = bracket
        middle = (low + above) >> 1
        found = reach(middle)
        still, enough = unsettled(bracket), found >= k
        return (
            jnp.where(still & enough, middle, low),
            jnp.where(still & ~enough, middle, above),
            jnp.where(still & enough, found, count),
        )

    return lax.while_loop(lambda b: jnp.any(unsettled(b)), halve, bracket)


def _reach(key_NCT: jax.Array, candidate_N1T: jax.Array) -> jax.Array:
    """How many entries of each column are at least its candidate."""
    groups, wide, columns = key_NCT.shape
    each = next(n for n in range(TOGETHER, 0, -1) if wide % n == 0)
    parts = key_NCT.reshape(groups, wide // each, each, columns)
    candidate = candidate_N1T.astype(jnp.int16)
    count = jnp.zeros((groups, wide // each, columns), jnp.int16)
    for i in range(each):
        count = count + (parts[:, :, i] >= candidate).astype(jnp.int16)
    narrow = wide < 2 ** (HALF - 1)
    kind = jnp.int16 if narrow else jnp.int32
    return jnp.sum(count, 1, keepdims=True, dtype=kind).astype(jnp.int32)
