"""The projection of large matrices on one CPU: thresholds found in a few readings.

A projection keeps as many entries of a neuron as reach the threshold, and `alive` where
fewer do; so the sum of the larger of both, over all neurons, falls as the threshold
rises, and where it is k the projection is decided. It is known for three thresholds
after one reading, their counts side by side in one integer. The first three are those
of a sample of the neurons; the next ones are interpolated, and where that does not help
they are the quarters of what is left, so that the number of readings has a limit.

Then neurons that have fewer than `alive` entries there are given theirs, and entries
that tie at the threshold are left out from the last one on. What is seldom (many ties,
a budget too small for the minimum) is left to the way that fits everywhere: `Ends` says
whether they are `settled`.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sparsetx import topk
from sparsetx.projection.wanted import Wanted
from sparsetx.topk import pieces

LEAST = 2**20  # entries of an array that is worth it
TOGETHER = 8  # entries of a column that are added up in registers
LANES = 64, 32, 16  # counts side by side along a row
DIGITS = 10  # bits of one of the three counts
SAMPLE = 32  # neurons for each one of the sample
MOST_TIES = 16  # that are left out one by one
ZERO = 1  # its rank


class Ends(NamedTuple):
    """What is kept: ranks from their neuron's limit on, but of those at the threshold
    only the ones at places before the neuron's `stop` (places count row by row)."""

    limit: jax.Array
    threshold: jax.Array
    stop: jax.Array
    settled: jax.Array


@dataclass(frozen=True)
class Layout:
    """Where the neurons of a matrix lie: its rows (axis 0) or its columns (axis 1)."""

    axis: int
    least: int  # entries that each of them keeps

    @classmethod
    def of(cls, wanted: Wanted) -> "Layout":
        axis = wanted.neuron_axis
        return cls(1, 0) if axis is None else cls(axis, wanted.alive)

    def per_neuron(self, own: int) -> bool:
        """Whether neurons with so many entries can be counted three times at once."""
        parts = self._parts(own)
        return parts > 0 and own // parts < 2**DIGITS

    def _parts(self, own: int) -> int:
        """How many sums are written down for a neuron."""
        if self.axis == 0:
            return next((n for n in LANES if own % n == 0), 0)
        fitting = (n for n in range(1, own + 1) if own % n == 0)
        return next((n for n in fitting if own // n < 2**DIGITS), 0)

    def reduced(
        self, terms: jax.Array, add: Callable[[jax.Array, jax.Array], jax.Array]
    ) -> jax.Array:
        """Terms of each entry as fewer for each neuron, on the axis of its entries.
        Written so that whole registers are added up."""
        along = terms.shape[1 - self.axis]
        parts = self._parts(along)
        if self.axis == 0:
            split = terms.reshape(-1, along // parts, parts)
            sums: jax.Array = lax.reduce(split, _none(add), add, (1,))
            return sums
        each = next(n for n in range(TOGETHER, 0, -1) if along // parts % n == 0)
        split = terms.reshape(parts, -1, each, terms.shape[1])
        found = split[:, :, 0]
        for i in range(1, each):
            found = add(found, split[:, :, i])
        sums = lax.reduce(found, _none(add), add, (1,))
        return sums

    def counts(self, ranks: jax.Array, candidates: jax.Array) -> jax.Array:
        """[3, neuron]: how many entries of each reach each of three rising ranks."""
        first, second, third = candidates
        ones = [sum(2 ** (DIGITS * i) for i in range(n)) for n in range(4)]
        terms = jnp.where(ranks >= first, ones[1], 0)
        terms = jnp.where(ranks >= second, ones[2], terms)
        terms = jnp.where(ranks >= third, ones[3], terms)
        sums = self.reduced(terms, lax.add)
        shifts = DIGITS * jnp.arange(3).reshape(3, 1, 1)
        digits = (sums[None] >> shifts) & (2**DIGITS - 1)
        return jnp.sum(digits, 2 - self.axis)

    def count(self, ranks: jax.Array, limit: jax.Array) -> jax.Array:
        """[neuron]: how many entries reach its limit."""
        terms = (ranks >= self.spread(limit)).astype(jnp.int32)
        return jnp.sum(self.reduced(terms, lax.add), 1 - self.axis)

    def next_below(self, ranks: jax.Array, limit: jax.Array) -> jax.Array:
        """[neuron]: the largest rank below its limit."""
        terms = jnp.where(ranks < self.spread(limit), ranks, -1)
        return jnp.max(self.reduced(terms, lax.max), 1 - self.axis)

    def spread(self, number: jax.Array) -> jax.Array:
        """A number for each neuron, beside its entries."""
        return jnp.expand_dims(number, 1 - self.axis)

    def kept(self, ranks: jax.Array, candidates: jax.Array) -> jax.Array:
        """[3]: how many entries are kept in all, if a candidate is the threshold."""
        counts = self.counts(ranks, candidates)
        return jnp.sum(jnp.maximum(counts, self.least), 1)

    def sample(self, ranks: jax.Array) -> jax.Array:
        """Some of the neurons; of columns, some that lie beside each other."""
        if self.axis == 0:
            return ranks[::SAMPLE]
        own, neurons = ranks.shape
        beside = 16
        groups = neurons // (beside * SAMPLE)
        if not groups:
            return ranks[:, :: min(SAMPLE, neurons)]
        some = ranks[:, : groups * beside * SAMPLE]
        return some.reshape(own, groups, SAMPLE, beside)[:, :, 0].reshape(own, -1)


def _none(add: Callable[[jax.Array, jax.Array], jax.Array]) -> np.int32:
    return np.int32(0 if add is lax.add else -1)


def fits(w: jax.Array, wanted: Wanted) -> bool:
    """Whether this way is one for an array."""
    shape = w.shape[int(wanted.stacked) :]
    if len(shape) != 2 or w.dtype != jnp.float32 or jnp.ndim(wanted.k):
        return False
    layout, size = Layout.of(wanted), math.prod(shape)
    own = shape[1 - layout.axis]
    large = w.size >= LEAST and size < 2**31
    return (
        large
        and layout.least <= own
        and layout.per_neuron(own)
        and pieces.on_one_device()
    )


def ends(w: jax.Array, wanted: Wanted) -> Ends:
    """Where the projection of an array ends; of a stacked one, of each layer."""
    find = functools.partial(_ends, Layout.of(wanted), wanted.k)
    if not wanted.stacked:
        return find(w)
    found: Ends = lax.map(find, w)
    return found._replace(settled=jnp.all(found.settled))


def kept(w: jax.Array, found: Ends, wanted: Wanted) -> jax.Array:
    """The projection that ends there."""
    layout, ranks = Layout.of(wanted), topk.rank(w)
    mask = functools.partial(_mask, layout)
    if wanted.stacked:
        mask = jax.vmap(mask)
    chosen = mask(ranks, found.limit, found.threshold, found.stop)
    return jnp.where(chosen, w, jnp.zeros((), w.dtype))


def _ends(layout: Layout, k: int | jax.Array, w: jax.Array) -> Ends:
    ranks = topk.rank(w)
    top = jnp.int32(np.iinfo(np.int32).max)
    few = jnp.int32(layout.least * ranks.shape[layout.axis])
    k = jnp.clip(k, 0, ranks.size)
    start = jnp.int32(0), top, jnp.int32(ranks.size), few
    low, _, many, _ = _narrowed(layout, ranks, k, start, _first(layout, ranks, k))
    reached, above, _ = layout.counts(ranks, jnp.stack([low, low + 1, low + 1]))
    limit, enough = _with_least(layout, ranks, low, reached)
    # Ties that count towards the minimum of their neuron are not left out.
    needed = above < layout.least
    excess = jnp.where(low == ZERO, 0, many - k)  # of zeros, all may stay
    stop = _without_last(layout, ranks, low, excess, needed)
    both = jnp.any(needed & (reached > layout.least)) & (excess > 0)
    settled = (k >= few) & enough & (excess <= MOST_TIES) & ~both
    return Ends(limit, low, stop, settled)


def _mask(
    layout: Layout,
    ranks: jax.Array,
    limit: jax.Array,
    threshold: jax.Array,
    stop: jax.Array,
) -> jax.Array:
    late = (ranks == threshold) & (_place(ranks.shape) >= layout.spread(stop))
    return (ranks >= layout.spread(limit)) & ~late


Bracket = tuple[jax.Array, jax.Array, jax.Array, jax.Array]


def _first(layout: Layout, ranks: jax.Array, k: jax.Array) -> jax.Array:
    """Three ranks to begin with: between the outer two of them the threshold seems to
    lie, by a sample."""
    some = layout.sample(ranks)
    part = some.size / ranks.size
    few = layout.least * some.shape[layout.axis]
    goal = k * jnp.float32(part)
    margin = 2 * jnp.sqrt(goal) + 1
    goals = jnp.clip(jnp.stack([goal + margin, goal - margin]), few + 1, some.size)
    top = jnp.int32(np.iinfo(np.int32).max)
    start = jnp.int32(0), top, jnp.int32(some.size), jnp.int32(few)

    def near(k: jax.Array) -> jax.Array:
        return _narrowed(layout, some, k, start, _quarters(start[0], start[1]))[0]

    low, high = lax.map(near, goals.astype(jnp.int32))
    return jnp.stack([low, low + ((high - low) >> 1), high])


def _narrowed(
    layout: Layout, ranks: jax.Array, k: jax.Array, start: Bracket, first: jax.Array
) -> Bracket:
    """(a threshold that keeps at least k, one that keeps fewer, how many either keeps):
    neighbours, or the first keeps exactly k."""

    def undecided(state: tuple[Bracket, jax.Array]) -> jax.Array:
        (low, high, many, _), _ = state
        return (many > k) & (high - low > 1)

    def narrow(state: tuple[Bracket, jax.Array]) -> tuple[Bracket, jax.Array]:
        (low, high, many, few), candidates = state
        found = layout.kept(ranks, candidates)
        wide = high - low
        enough = found >= k
        low = jnp.max(jnp.where(enough, candidates, low), initial=low)
        many = jnp.min(jnp.where(enough, found, many), initial=many)
        high = jnp.min(jnp.where(enough, high, candidates), initial=high)
        few = jnp.max(jnp.where(enough, few, found), initial=few)
        guess = _interpolated(low, high, many, few, k)
        slow = high - low > wide >> 2
        guess = jnp.where(slow, _quarters(low, high), guess)
        return (low, high, many, few), guess

    found, _ = lax.while_loop(undecided, narrow, (start, first))
    return found


def _quarters(low: jax.Array, high: jax.Array) -> jax.Array:
    part = (high - low) >> 2
    return low + jnp.maximum(part * jnp.arange(1, 4), 1)


def _interpolated(
    low: jax.Array, high: jax.Array, many: jax.Array, few: jax.Array, k: jax.Array
) -> jax.Array:
    """Where k entries would be kept if those in between were spread evenly, and on
    either side as far as chance may have moved it."""
    between = (many - few).astype(jnp.float32)
    margin = jnp.sqrt(between) * jnp.array([0.75, 0.0, -0.75])
    share = (many - k - margin) / between
    guess = low + (share * (high - low).astype(jnp.float32)).astype(jnp.int32)
    return jnp.clip(guess, low + 1, high - 1)


def _with_least(
    layout: Layout, ranks: jax.Array, threshold: jax.Array, count: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """A lower limit for neurons that have too few entries at the threshold; and whether
    no tie leaves open which of them are a neuron's largest."""

    def short(state: tuple[jax.Array, jax.Array]) -> jax.Array:
        return jnp.any(state[1] < layout.least)

    def lower(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        limit, count = state
        limit = jnp.where(count < layout.least, layout.next_below(ranks, limit), limit)
        return limit, layout.count(ranks, limit)

    start = jnp.broadcast_to(threshold, count.shape), count
    limit, count = lax.while_loop(short, lower, start)
    over = (limit < threshold) & (limit != ZERO) & (count > layout.least)
    return limit, ~jnp.any(over)


def _without_last(
    layout: Layout,
    ranks: jax.Array,
    threshold: jax.Array,
    excess: jax.Array,
    needed: jax.Array,
) -> jax.Array:
    """[neuron]: the place before which its entries at the threshold are kept, if so
    many of them are not: the last ones of neurons that do not need theirs."""
    end = jnp.int32(ranks.size)

    def step(_: int, stop: jax.Array) -> jax.Array:
        before = layout.spread(jnp.where(needed, 0, stop))
        place = _place(ranks.shape)
        here = (ranks == threshold) & (place < before)
        return jnp.max(layout.reduced(jnp.where(here, place, -1), lax.max))

    stop = lax.fori_loop(0, jnp.minimum(excess, MOST_TIES), step, end)
    return jnp.where(needed, end, stop)


def _place(shape: tuple[int, ...]) -> jax.Array:
    row, column = (lax.broadcasted_iota(jnp.int32, shape, n) for n in (0, 1))
    return row * shape[1] + column
