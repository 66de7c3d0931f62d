"""An array as rows of pieces that a CPU counts in whole registers.

The compiler adds up whole vector registers where a reduction is over a few of them, so
a long row is counted in pieces.
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import AxisType

LANES = 32  # 16-bit counts side by side in the registers that a CPU adds up
PIECE = 1024  # entries of a row that are counted together: 32 registers of lanes


@dataclass(frozen=True)
class Pieces:
    """An array as rows of one piece each, [slice · piece, entry], where its layout
    allows. Numbers for slices are repeated for each of their pieces: to spread them
    where they are used would take several times as long as to count."""

    entries: jax.Array
    shape: tuple[int, ...]  # of one number for each slice
    axes: tuple[int, ...]  # of `entries`, that make up a slice
    each: int = 0  # pieces of a slice; 0: it is as it was
    last: int = 0  # place of a slice's last entry

    @staticmethod
    def of(ranks: jax.Array, axes: tuple[int, ...]) -> "Pieces":
        shape = count_shape(ranks, axes)
        slices = max(math.prod(shape), 1)
        long = ranks.size // slices
        if not in_rows(ranks, axes):
            return Pieces(ranks, shape, axes)
        wide = _piece(long)
        each = -(-long // wide)
        rows = ranks.reshape(slices, long)
        rows = jnp.pad(rows, ((0, 0), (0, each * wide - long)), constant_values=-1)
        rows = rows.reshape(slices * each, wide)
        return Pieces(rows, shape, (1,), each, long - 1)

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

    @property
    def long(self) -> int:
        """Entries of a slice."""
        return self.each * self.entries.shape[-1]  # padding included

    def after(self) -> jax.Array:
        """How many places follow each entry in its slice."""
        rows = lax.broadcasted_iota(jnp.int32, self.entries.shape, 0)
        column = lax.broadcasted_iota(jnp.int32, self.entries.shape, 1)
        return self.last - (rows % self.each) * self.entries.shape[1] - column

    def count(self, mask: jax.Array) -> jax.Array:
        """How many are true in each slice, repeated for its pieces."""
        found = count(mask, self.axes, True)
        if self.each < 2:
            return found
        by_slice = jnp.sum(found.reshape(-1, self.each), 1, keepdims=True)
        return self.repeated(by_slice)


def in_rows(x: jax.Array, axes: tuple[int, ...]) -> bool:
    """Whether slices lie one after another on one device, and fill registers."""
    trailing = axes == tuple(range(x.ndim - len(axes), x.ndim))
    long = math.prod(x.shape[i] for i in axes)
    return trailing and long >= LANES and on_one_device()


def on_one_device() -> bool:
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


def count(mask: jax.Array, axes: tuple[int, ...], narrow: bool) -> jax.Array:
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
