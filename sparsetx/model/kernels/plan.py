"""How attention is divided for a TPU's core: sequences, blocks of heads, tiles.

Sizes are padded so that blocks are whole registers. A block is as many heads as fill
the lanes of one; a tile is a block's tokens that are multiplied at a time.
"""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

LANES = 128  # of a vector register, and rows and columns of the matrix unit
ROWS = 16  # tokens are padded to a multiple: rows of a bfloat16 register
LEAST = 8  # channels of a head: rows of a float32 register


@dataclass(frozen=True)
class Plan:
    """How [batch, length, heads x channels] is divided; sizes include padding."""

    batch: int
    length: int
    n_head: int
    channels: int  # of a head
    asked: int  # of them without padding
    dtype: Any
    interpret: bool = False

    @classmethod
    def of(cls, q_BLC: jax.Array, d_head: int, interpret: bool = False) -> "Plan":
        batch, length, wide = q_BLC.shape
        channels = max(LEAST, 1 << (d_head - 1).bit_length())
        n_head = wide // d_head
        if n_head * channels > LANES:
            n_head = _up(n_head, LANES // channels)
        unit = LANES if length > LANES else ROWS
        own = _up(length, unit)
        return cls(batch, own, n_head, channels, d_head, q_BLC.dtype, interpret)

    @property
    def tile(self) -> int:
        """Tokens of a tile of queries or keys."""
        return min(self.length, LANES)

    @property
    def tiles(self) -> int:
        return self.length // self.tile

    @property
    def heads(self) -> int:
        """Heads of a block."""
        return min(self.n_head, LANES // self.channels)

    @property
    def blocks(self) -> int:
        return self.n_head // self.heads

    @property
    def wide(self) -> int:
        """Channels of a block."""
        return self.heads * self.channels

    @property
    def scale(self) -> float:
        return 1 / math.sqrt(self.asked)

    def rows(self, h: int) -> slice:
        """Channels of a head of the block."""
        return slice(h * self.channels, (h + 1) * self.channels)

    def tokens(self, i: jax.Array | int) -> Any:
        """The place of a tile."""
        start: Any = i * self.tile
        return pl.ds(pl.multiple_of(start, self.tile), self.tile)

    def padded(self, x_BLC: jax.Array) -> jax.Array:
        """An array of the model as the kernels read it."""
        batch, length, wide = x_BLC.shape
        n_head = wide // self.asked
        added = [
            (0, 0),
            (0, self.length - length),
            (0, self.n_head - n_head),
            (0, self.channels - self.asked),
        ]
        if not any(many for _, many in added):
            return x_BLC
        x_BLHA = x_BLC.reshape(batch, length, n_head, self.asked)
        return jnp.pad(x_BLHA, added).reshape(batch, self.length, -1)

    def cut(self, x_BLC: jax.Array, like: jax.Array) -> jax.Array:
        """The reverse."""
        if x_BLC.shape == like.shape:
            return x_BLC
        _, length, wide = like.shape
        x_BLHA = x_BLC.reshape(self.batch, self.length, self.n_head, self.channels)
        x_BLHA = x_BLHA[:, :length, : wide // self.asked, : self.asked]
        return x_BLHA.reshape(like.shape)


def _up(size: int, unit: int) -> int:
    return -(-size // unit) * unit
