"""Rows on a CPU, in blocks that stay in its cache for all passes of a search.

A pass over rows that come from the third cache or from memory takes up to four times
as long as the comparisons in it. A block also ends as soon as its own rows are decided,
and what is read from memory is floats, ranked where they are used.
"""

import functools
import math
import os
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax

from sparsetx.topk import pieces

ENTRIES = 2**16  # of a block, for each core that shares it
FEWEST = 8  # blocks: less takes 2 ms as it is, and 0.1 s longer to compile so

Arrays = Sequence[jax.Array]
Axes = Sequence[tuple[int, ...]]
Counts = list[jax.Array]
Find = Callable[[Axes, Counts, Counts], tuple[Counts, Counts]]
Rank = Callable[[jax.Array], jax.Array]


def rows_of_each(xs: Arrays, over: Axes, wanted: Counts) -> int:
    """How many rows are decided together; 0 for arrays that are not divided: which are
    no rows, or not as many as each other, or too few."""
    rows = wanted[0].size if wanted else 0
    entries = sum(x.size for x in xs)
    number = min(rows, round(entries / (ENTRIES * cores())))
    if number < FEWEST or any(w.size != rows for w in wanted):
        return 0
    both = zip(xs, over, strict=True)
    if not all(pieces.in_rows(x, axes) for x, axes in both):
        return 0
    return -(-rows // number)


def ends(
    find: Find, rank: Rank, each: int, xs: Arrays, wanted: Counts
) -> tuple[Counts, Counts]:
    """What `find` finds in the ranks of all rows, `each` of them at a time. The last
    block begins early enough to be as large as the others."""
    rows = wanted[0].size
    entries = [_read(x).reshape(rows, -1) for x in xs]
    goals = [w.reshape(rows, 1) for w in wanted]

    def decide(number: jax.Array, found: list[Counts]) -> list[Counts]:
        start = jnp.minimum(number * each, rows - each)
        part = [lax.dynamic_slice_in_dim(x, start, each) for x in entries]
        block = [_as(x.dtype, y) for x, y in zip(xs, part, strict=True)]
        goal = [lax.dynamic_slice_in_dim(w, start, each) for w in goals]
        new = find([(1,)] * len(block), [rank(x) for x in block], goal)
        put = functools.partial(
            lax.dynamic_update_slice_in_dim, start_index=start, axis=0
        )
        return [list(map(put, *pair)) for pair in zip(found, new, strict=True)]

    nothing = [jnp.zeros_like(w) for w in goals]
    blocks = math.ceil(rows / each)
    found = lax.fori_loop(0, blocks, decide, [nothing, nothing])
    shapes = [w.shape for w in wanted]
    threshold, cut = (list(map(jnp.reshape, numbers, shapes)) for numbers in found)
    return threshold, cut


def _read(x: jax.Array) -> jax.Array:
    """What blocks are cut from: of bfloat16, its bits, since the compiler would cut it
    as float32."""
    return _as(jnp.dtype("int16"), x) if x.dtype == jnp.bfloat16 else x


def _as(dtype: jnp.dtype, x: jax.Array) -> jax.Array:
    return x if x.dtype == dtype else lax.bitcast_convert_type(x, dtype)


def cores() -> int:
    """That share the work of one device of a CPU."""
    usable = getattr(os, "sched_getaffinity", None)
    count = len(usable(0)) if usable else os.cpu_count() or 1
    return max(1, count // jax.local_device_count())
