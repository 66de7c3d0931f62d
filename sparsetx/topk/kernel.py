"""Where a selection of rows ends, found in a TPU core's memory: one read of the data.

The same threshold and cut as `bisection.py`'s, up to which of several thresholds that
keep the same entries: threshold by halving the interval between a row's least and
largest rank, cut by halving its places. A pass costs an accelerator a read elsewhere,
so there it compares with seven candidates; here a block of rows stays in the core's
memory, and a pass has one. It ends as soon as every row of the block is decided: a
quarter of 1,024 or of 4,096 values, normal or GELU of such, takes 17 to 21 of at most
31 passes. Where no row has ties there is no second search.

What comes out lies along lanes, so that it takes no more memory than it has numbers.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from sparsetx.system import kernel_cost
from sparsetx.system.kernel_cost import Cost

ROWS = 128  # of a block
BLOCK = 2**21  # bytes of a block at most
PASSES = 31  # bits of a rank
INFINITY = 0x7F800000
SPARE = 8 * 2**20  # bytes of a core's memory for values between instructions

Found = tuple[jax.Array, jax.Array]
State = tuple[jax.Array, jax.Array, jax.Array]


def search(x: jax.Array, k: int, interpret: bool = False) -> Found:
    """Threshold and cut of each row (last axis) of a float32 array, of which k entries
    are kept, 0 < k <= n; of x's shape, but for the last axis, which is 1."""
    wide = x.shape[-1]
    count = x.size // wide
    rows = block_rows(wide)
    blocks = -(-count // rows)
    out = jax.ShapeDtypeStruct((blocks, 1, rows), jnp.int32)
    lanes = pl.BlockSpec((1, 1, rows), lambda i: (i, 0, 0))
    run = pl.pallas_call(
        functools.partial(_search, k),
        [out, out],
        grid=(blocks,),
        in_specs=[pl.BlockSpec((rows, wide), lambda i: (i, 0))],
        out_specs=[lanes, lanes],
        scratch_shapes=[pltpu.VMEM((rows, wide), jnp.int32)],
        interpret=interpret,
        name="topk_search",
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel",), vmem_limit_bytes=12 * BLOCK + SPARE
        ),
        **kernel_cost.stated(cost(count, wide)),
    )
    given = x.reshape(count, wide)
    if count < rows:  # a block may hang over the end of an array, not contain it
        given = jnp.pad(given, ((0, rows - count), (0, 0)))
    shape = (*x.shape[:-1], 1)
    threshold, cut = (y.reshape(-1)[:count].reshape(shape) for y in run(given))
    return threshold, cut


def block_rows(wide: int) -> int:
    """Rows of a block: a power of two from 8 to 128."""
    fitting = BLOCK // (4 * wide)
    return min(ROWS, max(8, 1 << (fitting.bit_length() - 1)))


def cost(count: int, wide: int) -> Cost:
    """Of so many rows, if no search ends early."""
    ranks, ends, tied, a_pass = 4, 2, 9, 3
    passes = tied + (PASSES + places(wide)) * a_pass
    entries = -(-count // block_rows(wide)) * block_rows(wide) * wide
    return Cost(
        products=0.0,
        passes=0.0,
        vector=float(entries * (ranks + ends + passes)),
        transcendental=0.0,
        bytes=4.0 * entries + 8.0 * count,
    )


def places(wide: int) -> int:
    """Passes that find a place in a row."""
    return math.ceil(math.log2(max(wide, 2)))


def _search(
    k: int, x_ref: jax.Ref, threshold_ref: jax.Ref, cut_ref: jax.Ref, ranks: jax.Ref
) -> None:
    bits = lax.bitcast_convert_type(x_ref[...], jnp.int32) & 0x7FFFFFFF
    ranks[...] = jnp.where(bits > INFINITY, 0, bits + 1)
    low, high = _ends(ranks[...])
    whole = jnp.full_like(low, ranks.shape[1])
    low, count = _halved(lambda c: _count(ranks[...] >= c), k, low, high, whole)
    threshold_ref[0, :, :] = _along_lanes(low)
    cut_ref[0, :, :] = jnp.zeros(cut_ref.shape[1:], jnp.int32)

    @pl.when(_any(count != k))
    def _() -> None:
        cut_ref[0, :, :] = _along_lanes(_cut(k, ranks, low))


def _cut(k: int, ranks: jax.Ref, threshold: jax.Array) -> jax.Array:
    """How many places must follow an entry at the threshold, so that k are kept."""
    wide = ranks.shape[1]
    # The place counted from the end, 1 for the last; 0 for an entry that does not tie.
    place = wide - lax.broadcasted_iota(jnp.int32, ranks.shape, 1)
    place = jnp.where(ranks[...] == threshold, place, 0)
    above = _count(ranks[...] > threshold)
    left = k - above
    first, last = jnp.ones_like(above), jnp.full_like(above, wide + 1)
    ties = _count(place >= 1)
    found, _ = _halved(lambda c: _count(place >= c), left, first, last, ties)
    return found - 1


def _halved(
    count_of: Callable[[jax.Array], jax.Array],
    wanted: int | jax.Array,
    low: jax.Array,
    high: jax.Array,
    count: jax.Array,
) -> Found:
    """The largest c of [low, high) that at least `wanted` reach, or one that exactly so
    many do; and how many. A row that is decided stays so."""

    def undecided(state: State) -> jax.Array:
        low, high, count = state
        return _any((count != wanted) & (high - low > 1))

    def halve(state: State) -> State:
        low, high, count = state
        middle = low + ((high - low) >> 1)
        found = count_of(middle)
        enough = found >= wanted
        return (
            jnp.where(enough, middle, low),
            jnp.where(enough, high, middle),
            jnp.where(enough, found, count),
        )

    low, _, count = lax.while_loop(undecided, halve, (low, high, count))
    return low, count


def _ends(ranks: jax.Array) -> Found:
    """A row's least rank, and one above its largest."""
    low, high = (f(ranks, 1, keepdims=True) for f in (jnp.min, jnp.max))
    return low, high + 1


def _count(mask: jax.Array) -> jax.Array:
    """How many are true in each row; added up as float32, which a TPU does best."""
    ones = jnp.where(mask, 1.0, 0.0)
    return jnp.sum(ones, 1, keepdims=True).astype(jnp.int32)


def _any(mask: jax.Array) -> jax.Array:
    return jnp.max(jnp.where(mask, 1.0, 0.0)) > 0.0


def _along_lanes(column: jax.Array) -> jax.Array:
    """[row, 1] as [1, row]."""
    return jnp.broadcast_to(column, (column.shape[0], ROWS)).T[:1, :]
